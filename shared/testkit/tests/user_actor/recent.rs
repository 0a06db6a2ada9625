//! Rooms that are ahead of their rows: a hub that wakes, or comes back after a crash, is where one is that never slept.

use std::collections::BTreeMap;

use serde_json::Value;
use tern_model::{EphemeralNotice, Millis, Notice, NoticeEvent, Receipt, RoomSeq};
use tern_ports::{Sql as _, wire::user::SessionRef};
use tern_testkit::Sqlite;

use crate::support::{Hub, alice, bob, everything, message, notice, redaction, rooms_only, spoken, summary};

/// More than may be ahead of their rows at a time.
const ROOMS: u64 = 24;

fn receipt(user_id: &ruma::UserId, seq: u64, ts: u64) -> EphemeralNotice {
    EphemeralNotice::Receipts(vec![Receipt {
        kind: "m.read".to_owned(),
        user_id: user_id.to_owned(),
        event_id: format!("$e{seq}").try_into().unwrap(),
        seq: Some(RoomSeq(seq)),
        thread_id: None,
        ts: Millis(ts),
    }])
}

/// A message that counts.
fn says(seq: u64) -> NoticeEvent {
    let content = serde_json::json!({"msgtype": "m.text", "body": format!("message {seq}")});
    spoken(seq, bob(), &content)
}

/// Everything that clients see of all rooms.
fn seen(hub: &Hub, session: &SessionRef) -> [Value; 2] {
    let classic = hub.classic(session, None, false).unwrap().body();
    [hub.sliding(session, &everything(), None, false).unwrap().body()["rooms"].clone(), classic]
}

fn number(sqlite: &Sqlite, sql: &str) -> u64 {
    sqlite.query(sql, &[]).unwrap()[0].int(0).unwrap()
}

#[test]
fn a_message_is_one_row_and_so_is_a_receipt_with_its_index() {
    let hub = Hub::new();
    hub.login("D");
    hub.joins("r");
    assert_eq!(hub.rows(|| hub.says("r", 2, "hello")).1, 2, "the event, and that the room is one of the recent ones");
    let told = |seq| Notice { forwarded: RoomSeq(seq - 1), ..notice("r", vec![says(seq)]) };
    for seq in 3..=75 {
        assert_eq!(hub.rows(|| hub.deliver(vec![told(seq)])).1, 1, "message {seq}");
    }
    let read = |ts| Notice { ephemeral: vec![receipt(bob(), 9, ts)], ..notice("r", vec![]) };
    for ts in 1..=5 {
        assert_eq!(hub.rows(|| hub.deliver(vec![read(ts)])).1, 2, "receipt {ts}");
    }
    let rows: u64 = (76..=1_075).map(|seq| hub.rows(|| hub.deliver(vec![told(seq)])).1).sum();
    // Every 25th leaves the inbox with 24 others: the room, a row of places, a pack of unread marks. Nothing is deleted.
    assert!(rows <= 1_000 + 1_000 / 25 * 3, "{rows} rows for 1,000 messages");
    assert!(number(&hub.host.sqlite, "SELECT count(*) FROM inbox") <= 76);
}

#[test]
fn a_hub_that_sleeps_after_each_notice_is_where_one_is_that_never_does() {
    let (awake, mut sleeper) = (Hub::new(), Hub::new());
    let session = awake.login("D");
    let sleepers = sleeper.login("D");
    for number in 0..ROOMS {
        awake.joins(&format!("r{number}"));
        sleeper.joins(&format!("r{number}"));
    }
    let mut newest: BTreeMap<u64, u64> = (0..ROOMS).map(|room| (room, 1)).collect();
    for step in 1..=400_u64 {
        // Most of it in few rooms, now and then all of them.
        let room = if step % 60 < 30 { step % ROOMS } else { step * step % 5 };
        let seq = newest.get_mut(&room).unwrap();
        *seq += 1;
        let name = format!("r{room}");
        let mut told = match step % 13 {
            5 => notice(&name, vec![redaction(*seq, *seq - 1)]),
            8 => Notice { summary: Some(summary("12")), ..notice(&name, vec![says(*seq)]) },
            _ => notice(&name, vec![says(*seq)]),
        };
        told.forwarded = RoomSeq(*seq - 1);
        match step % 7 {
            2 => told.ephemeral.push(receipt(bob(), *seq - 1, step)),
            4 => told.ephemeral.push(receipt(alice(), *seq, step)),
            _ => {}
        }
        awake.deliver(vec![told.clone()]);
        sleeper.deliver(vec![told]);
        sleeper = if step % 2 == 0 { sleeper.slept() } else { sleeper.crashed() };
        if step % 20 == 0 || step > 390 {
            assert_eq!(seen(&sleeper, &sleepers), seen(&awake, &session), "after {step} notices");
        }
    }
    let behind =
        "SELECT count(*) FROM room r WHERE newest < (SELECT max(seq) FROM inbox i WHERE i.room_id = r.room_id)";
    let behind = number(&sleeper.host.sqlite, behind);
    assert!((1..=16).contains(&behind), "{behind} rooms are ahead of their rows");
}

#[test]
fn a_crash_between_writing_and_durability_loses_all_of_a_notice_or_nothing() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    hub.deliver(vec![notice("r", vec![says(2)])]);
    let before = seen(&hub, &session);
    // Written, and lost before it was durable.
    let lost = notice("r", vec![says(3)]);
    let deliver = tern_ports::wire::user::Deliver { notices: vec![lost.clone()] };
    drop(hub.host.run(hub.actor.handle(deliver.into())));
    let hub = hub.crashed();
    assert_eq!(seen(&hub, &session), before);
    hub.deliver(vec![lost]);
    assert_eq!(seen(&hub, &session)[0]["!r:x"]["notification_count"], 2);
}

/// Makes of a hub what the build before these columns would have left.
pub(crate) fn undo(sqlite: &Sqlite) {
    sqlite.script(
        "UPDATE room SET (newest, pos, activity, bump, notifications, highlights, forwarded) = (
             SELECT i.seq, i.figures ->> 0, i.figures ->> 1, i.figures ->> 2, i.figures ->> 3, i.figures ->> 4,
                 i.figures ->> 5
             FROM inbox i WHERE i.room_id = room.room_id ORDER BY i.seq DESC LIMIT 1)
         WHERE newest < (SELECT max(seq) FROM inbox i WHERE i.room_id = room.room_id);
         DELETE FROM inbox WHERE seq < (SELECT spare FROM room r WHERE r.room_id = inbox.room_id);
         UPDATE hub SET rooms = max(rooms, (SELECT max(pos) FROM inbox), (SELECT max(pos) FROM room)),
             receipts = max(receipts, coalesce((SELECT max(pos) FROM receipt), 0));
         UPDATE hub SET position = max(position, rooms, receipts);
         ALTER TABLE hub DROP COLUMN recent;
         ALTER TABLE inbox DROP COLUMN figures;
         ALTER TABLE room DROP COLUMN spare;",
    );
}

#[test]
fn a_hub_of_an_earlier_build_goes_on() {
    let hub = Hub::new();
    let session = hub.login("D");
    for name in ["a", "b"] {
        hub.joins(name);
        let told = |seq| Notice { forwarded: RoomSeq(seq - 1), ..notice(name, vec![message(seq, "before")]) };
        (2..=90).for_each(|seq| hub.deliver(vec![told(seq)]));
    }
    let before = seen(&hub, &session);
    undo(&hub.host.sqlite);
    hub.host.sqlite.script("UPDATE hub SET version = version - 1");
    let hub = hub.slept();
    let written = hub.host.sqlite.rows_written();
    assert_eq!(seen(&hub, &session), before, "nothing has changed");
    assert!(hub.host.sqlite.rows_written() - written <= 4, "and nothing old was written anew");
    let first = hub.sliding(&session, &rooms_only(), None, false).unwrap().body();
    hub.says("a", 91, "after");
    let hub = hub.slept();
    hub.says("b", 91, "after");
    let hub = hub.crashed();
    let next = hub.sliding(&session, &rooms_only(), first["pos"].as_str(), false).unwrap().body();
    assert_eq!(next["rooms"].as_object().unwrap().len(), 2, "{next}");
}
