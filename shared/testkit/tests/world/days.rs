//! Days on which things go wrong.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    rc::Rc,
};

use futures::future::{join, join_all};
use tern_ports::{Target, wire::room::MembershipAction};
use tern_testkit::{Faults, World};

use crate::scene::{MESSAGES, Scene, assert_kept, assert_tail, catch_up, each_seed, keep_reading};

fn day(seed: u64, faults: Faults, timeline_limit: u64) -> World {
    day_of(Scene::new(seed), faults, timeline_limit)
}

fn day_of(scene: Scene, faults: Faults, timeline_limit: u64) -> World {
    let stop = Rc::new(Cell::new(false));
    let mut readers = [&scene.alice, &scene.bob].map(|client| client.reader(&scene.room_id, timeline_limit));
    for reader in &mut readers {
        scene.world.run(reader.sync(0));
    }
    let before = readers.each_ref().map(|reader| reader.seen.len());
    let readers = readers.map(|reader| keep_reading(&scene.world, reader, &stop));
    scene.world.set_faults(faults);
    let late = scene.world.run(async {
        let senders = [&scene.alice, &scene.bob];
        let talk = scene.converse(&senders);
        let arrival = async {
            scene.world.sleep(700).await;
            scene.carol.change_membership(&scene.room_id, MembershipAction::Join).await;
        };
        let (acknowledged, ()) = join(talk, arrival).await;
        acknowledged
    });
    let late_reader = keep_reading(&scene.world, scene.carol.reader(&scene.room_id, timeline_limit), &stop);
    let more = scene.world.run(scene.converse_again(&[&scene.bob, &scene.carol]));
    let order = scene.heal();
    stop.set(true);
    scene.world.pass(60_000);
    assert_kept(&late, &order);
    assert_kept(&more, &order);
    for (reader, before) in readers.into_iter().zip(before) {
        let reader = reader.take().unwrap();
        assert_tail(&reader.seen, &order, "a member from the start");
        assert!(reader.seen.len() > before + 3 * MESSAGES, "including all that was sent meanwhile");
    }
    let reader = late_reader.take().unwrap();
    assert_tail(&reader.seen, &order, "carol");
    scene.world
}

#[test]
fn on_a_good_day_everybody_sees_everything_once_and_in_one_order() {
    let world = day(1, Faults { latency_ms: 20, ..Faults::default() }, 20);
    assert_eq!(world.crashes(), 0);
}

#[test]
fn on_a_bad_day_too() {
    let crashes = Cell::new(0);
    each_seed(|seed| crashes.set(crashes.get() + day(seed, Faults::bad_day(), 20).crashes()));
    assert!(crashes.get() > 0, "objects did crash");
}

#[test]
fn in_a_large_room_too() {
    each_seed(|seed| drop(day_of(Scene::large(seed), Faults::bad_day(), 20)));
    each_seed(|seed| drop(day_of(Scene::large(seed), Faults { storage_outage: true, ..Faults::bad_day() }, 3)));
}

#[test]
fn with_short_timelines_the_gaps_can_be_filled() {
    each_seed(|seed| drop(day(seed, Faults::bad_day(), 2)));
}

#[test]
fn a_storage_outage_delays_history_and_nothing_else() {
    each_seed(|seed| drop(day(seed, Faults { storage_outage: true, ..Faults::bad_day() }, 5)));
}

#[test]
fn a_user_whose_hub_cannot_be_reached_catches_up() {
    each_seed(|seed| {
        let scene = Scene::new(seed);
        let mut reader = scene.bob.reader(&scene.room_id, 5);
        scene.world.run(reader.sync(0));
        let bob = Target::User(scene.bob.user_id.clone());
        scene.world.set_faults(Faults { unreachable: BTreeSet::from([bob]), ..Faults::bad_day() });
        let acknowledged = scene.world.run(scene.converse(&[&scene.alice]));
        let order = scene.heal();
        scene.world.run(catch_up(&mut reader));
        assert_kept(&acknowledged, &order);
        assert_tail(&reader.seen, &order, "bob");
    });
}

#[test]
fn a_repeated_transaction_is_the_same_event_after_every_crash() {
    each_seed(|seed| {
        let scene = Scene::new(seed);
        scene.world.set_faults(Faults::bad_day());
        let mut ids = BTreeSet::new();
        for _ in 0..6 {
            let sends = (0..3).map(|_| scene.alice.send(&scene.room_id, "one", "only once"));
            ids.extend(scene.world.run(join_all(sends)));
            scene.world.crash(&Target::Room(scene.room_id.clone()));
        }
        assert_eq!(ids.len(), 1, "one transaction, one event");
        let order = scene.heal();
        assert_eq!(order.iter().filter(|event| ids.contains(*event)).count(), 1);
    });
}

#[test]
fn what_was_acknowledged_survives_a_crash_at_once() {
    each_seed(|seed| {
        let scene = Scene::new(seed);
        let mut acknowledged = Vec::new();
        for number in 0..10 {
            acknowledged.push(scene.world.run(scene.alice.send(&scene.room_id, &format!("t{number}"), "kept")));
            scene.world.crash(&Target::Room(scene.room_id.clone()));
        }
        assert_kept(&[acknowledged], &scene.heal());
    });
}

#[test]
fn a_poll_stays_parked_while_its_hub_is_evicted() {
    let scene = Scene::new(3);
    let mut reader = scene.bob.reader(&scene.room_id, 20);
    scene.world.run(reader.sync(0));
    scene.world.run(reader.sync(0));
    let bob = Target::User(scene.bob.user_id.clone());
    let answers = reader.answers;
    let read = Rc::new(RefCell::new(None));
    let result = Rc::clone(&read);
    scene.world.spawn(async move {
        reader.sync(25_000).await;
        result.replace(Some(reader));
    });
    scene.world.pass(12_000);
    let lives = scene.world.lives(&bob);
    scene.world.evict_all();
    scene.world.pass(1_000);
    let sent = scene.world.run(scene.alice.send(&scene.room_id, "late", "while you slept"));
    scene.world.pass(1_000);
    assert_eq!(scene.world.lives(&bob), lives + 1, "the hub was built again for the news");
    let reader = read.take().unwrap();
    assert_eq!((reader.answers, reader.seen.last()), (answers + 1, Some(&sent)));
}
