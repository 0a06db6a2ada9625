//! Where new rooms go, and when there is no place for one.

use std::collections::BTreeMap;

use tern_model::Millis;
use tern_ports::{
    Sql as _,
    wire::storage::{ReadLevels, RegisterRoom},
};
use tern_storage::{Database, commands::levels::measure};
use tern_testkit::Executor;

use crate::support::{Worker, journal, room, user};

const GB: u64 = 1_000_000_000;

/// Tells how full the databases are, and has them measured; those of which the log speaks.
fn fill(worker: &Worker, global: u64, shards: &[u64]) -> Vec<String> {
    let mut sizes = BTreeMap::from([(Database::Global, global)]);
    for (shard, bytes) in (0..).zip(shards) {
        sizes.insert(Database::Shard(shard), *bytes);
    }
    worker.node.d1.configured.set(u8::try_from(shards.len()).unwrap());
    worker.node.d1.sizes.replace(sizes);
    let full = Executor::new().run(measure(&*worker.node.d1, Millis(1_000))).unwrap();
    full.into_iter().map(|(database, _)| database.name()).collect()
}

/// Makes so many rooms and says how many went to each shard.
fn place(worker: &Worker, name: &str, rooms: u64) -> BTreeMap<u64, u64> {
    for number in 0..rooms {
        let room_id = room(&format!("{name}{number}"));
        worker.append(&room_id, &journal(&room_id, 4));
    }
    let sql = format!("SELECT shard, count(*) FROM placements WHERE room_id LIKE '!{name}%' GROUP BY shard");
    let rows = worker.node.d1.database(Database::Global).query(&sql, &[]).unwrap();
    rows.iter().map(|row| (row.int(0).unwrap(), row.int(1).unwrap())).collect()
}

fn register(worker: &Worker, name: &str) -> Result<(), u16> {
    let ask =
        RegisterRoom { room_id: room(name), creator: user("alice"), alias: None, public: false, ts: Millis(1_000) };
    worker.try_ask(ask).map(drop).map_err(|error| error.status)
}

#[test]
fn new_rooms_go_where_there_is_most_room() {
    let worker = Worker::new();
    let unmeasured = place(&worker, "first", 40);
    assert!(unmeasured.len() == 4 && unmeasured.values().all(|rooms| *rooms >= 3), "{unmeasured:?}");
    fill(&worker, GB, &[3 * GB, GB, 4 * GB, GB + GB / 5]);
    let measured = place(&worker, "second", 40);
    assert_eq!(measured.keys().copied().collect::<Vec<_>>(), [1, 3], "{measured:?}");
    assert!(measured.values().all(|rooms| *rooms >= 10), "those that are about as full share: {measured:?}");
    fill(&worker, GB, &[3 * GB, 2 * GB, 4 * GB, 2 * GB, 0]);
    assert_eq!(place(&worker, "third", 10), BTreeMap::from([(4, 10)]), "a shard that was added");
    assert_eq!(place(&worker, "first", 0), unmeasured, "nothing moves");
}

#[test]
fn the_operator_hears_of_it_long_before_and_new_rooms_are_refused() {
    let worker = Worker::new();
    assert_eq!(register(&worker, "a"), Ok(()));
    assert_eq!(fill(&worker, 7 * GB, &[5 * GB, 7 * GB, 6 * GB + 1, 0]), ["GLOBAL", "EV_01", "EV_02"]);
    assert_eq!(register(&worker, "b"), Ok(()));
    fill(&worker, GB, &[9 * GB, 9 * GB, 9 * GB, 8 * GB]);
    assert_eq!(register(&worker, "c"), Ok(()), "one has a place");
    fill(&worker, GB, &[9 * GB, 9 * GB, 9 * GB, 8 * GB + 1]);
    assert_eq!(register(&worker, "d"), Err(507));
    assert_eq!(place(&worker, "made", 3), BTreeMap::from([(3, 3)]), "what was acknowledged is stored");
    let levels = worker.ask(ReadLevels {});
    let told: Vec<_> = levels.iter().map(|level| (&*level.database, level.bytes / GB, level.takes_rooms)).collect();
    let shard = |name| (name, 9, false);
    assert_eq!(told, [("GLOBAL", 1, false), shard("EV_00"), shard("EV_01"), shard("EV_02"), ("EV_03", 8, false)]);
    fill(&worker, GB, &[9 * GB, 9 * GB, 9 * GB, 9 * GB, 0]);
    assert_eq!(register(&worker, "e"), Ok(()), "a shard was added");
}

#[test]
fn a_database_that_is_full_refuses_what_is_new_by_name_and_heals() {
    let worker = Worker::new();
    let room_id = room("full");
    assert_eq!(worker.append(&room_id, &journal(&room_id, 4)), 4);
    let rows = worker.node.d1.database(Database::Global).query("SELECT shard FROM placements", &[]).unwrap();
    let shard = worker.node.d1.database(Database::Shard(u8::try_from(rows[0].int(0).unwrap()).unwrap()));
    shard.bound(Some(0));
    let append = |from: u64, last: u64| {
        worker.try_ask(tern_ports::wire::storage::AppendEvents {
            room_id: room_id.clone(),
            room_version: "12".to_owned(),
            events: journal(&room_id, last).split_off(usize::try_from(from).unwrap()),
            facts: None,
        })
    };
    let refused = (5..2_000).step_by(100).find_map(|from| append(from - 1, from + 99).err()).unwrap();
    assert_eq!((refused.status, &*refused.errcode), (507, "M_RESOURCE_LIMIT_EXCEEDED"));
    let stored = worker.sync_one(crate::support::newest(&room_id, 500)).timeline.len();
    assert!(stored >= 4, "it is read as before");
    shard.bound(None);
    assert_eq!(append(stored as u64, 2_100).unwrap().through.0, 2_100);
}
