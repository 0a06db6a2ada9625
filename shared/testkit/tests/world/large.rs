//! Large rooms, which tell only those who listen: whoever comes back misses nothing, and has it with the first answer.

use std::{cell::Cell, collections::BTreeSet, rc::Rc};

use futures::future::{join, join_all};
use ruma::OwnedEventId;
use serde_json::{Value, json};
use tern_edge::poll;
use tern_model::RawJson;
use tern_ports::{
    Target,
    wire::{
        room::MembershipAction,
        user::{ClassicSync, SlidingSync},
    },
};
use tern_testkit::{Client, Faults, Reader, World};

use crate::scene::{Scene, assert_kept, assert_tail, catch_up, each_seed, each_seed_of, keep_reading};

/// Longer than a client is expected to take for its next poll.
const AWAY_MS: u64 = 90_000;

async fn say(scene: &Scene, name: &str, count: usize) -> Vec<OwnedEventId> {
    let mut said = Vec::new();
    for number in 0..count {
        said.push(scene.alice.send(&scene.room_id, &format!("{name} {number}"), "hello").await);
    }
    said
}

/// Bob has read all there is, and has been away since.
fn bob_goes_away(scene: &Scene, timeline_limit: u64) -> Reader {
    let mut reader = scene.bob.reader(&scene.room_id, timeline_limit);
    scene.world.run(reader.sync(0));
    scene.world.pass(AWAY_MS);
    reader
}

#[test]
fn who_is_away_is_told_once_and_has_everything_with_the_first_answer_on_return() {
    for missed in [1, 30, 51, 300] {
        let scene = Scene::large(7);
        let mut reader = bob_goes_away(&scene, 20);
        let bob = Target::User(scene.bob.user_id.clone());
        scene.world.run(say(&scene, "first", 1));
        scene.world.pass(1_000);
        let (lives, rows) = (scene.world.lives(&bob), scene.world.rows_written(&bob));
        scene.world.run(say(&scene, "then", missed));
        scene.world.pass(1_000);
        assert_eq!((scene.world.lives(&bob), scene.world.rows_written(&bob)), (lives, rows), "bob's hub is left alone");
        let before = reader.unread;
        scene.world.run(reader.sync(0));
        let order = scene.world.run(scene.alice.history(&scene.room_id, true, 50));
        assert_tail(&reader.seen, &order, "bob");
        assert_eq!(reader.seen.last(), order.last());
        assert_eq!(reader.unread - before, missed as u64 + 1, "exact with the first answer");
        // And from then on he is told again at once.
        let live = scene.world.run(say(&scene, "live", 1));
        scene.world.pass(1_000);
        scene.world.run(reader.sync(0));
        assert!(reader.seen.ends_with(&live));
    }
}

#[test]
fn a_room_comes_to_the_top_by_a_message_that_others_have_buried() {
    let scene = Scene::large(8);
    let mut reader = bob_goes_away(&scene, 5);
    let before = reader.bump_stamp;
    scene.world.run(say(&scene, "first", 1));
    scene.world.pass(5_000);
    scene.world.run(say(&scene, "buried", 1));
    let told = reader.bump_stamp;
    for number in 0..60 {
        let name = serde_json::json!({ "name": format!("name {number}") });
        scene.world.run(scene.alice.set_state(&scene.room_id, "m.room.name", &name));
    }
    scene.world.pass(1_000);
    scene.world.run(reader.sync(0));
    assert_eq!(told, before, "nothing was told meanwhile");
    assert!(reader.bump_stamp >= before + AWAY_MS + 5_000, "{} after {before}", reader.bump_stamp);
}

#[test]
fn rooms_missed_together_are_listed_by_their_newest_events_whichever_answers_first() {
    each_seed(|seed| {
        let scene = Scene::large(seed);
        let mut rooms: Vec<_> = (0..5).map(|_| scene.world.run(scene.alice.create_public_room()).unwrap()).collect();
        for room_id in &rooms {
            scene.world.run(scene.bob.change_membership(room_id, MembershipAction::Join));
        }
        scene.world.set_faults(Faults { latency_ms: 200, ..Faults::default() });
        bob_goes_away(&scene, 20);
        for turn in 0..2 {
            let shift = scene.world.random().below(rooms.len());
            rooms.rotate_left(shift);
            for room_id in &rooms {
                scene.world.run(scene.alice.send(room_id, &format!("turn {turn}"), "hello"));
                scene.world.pass(1_000);
            }
        }
        let newest: BTreeSet<_> = rooms.iter().rev().take(3).map(ToString::to_string).collect();
        assert_eq!(scene.world.run(top(&scene, 3)), newest);
    });
}

#[test]
fn more_rooms_than_are_held_at_once_are_in_one_order() {
    let scene = Scene::large(3);
    let mut rooms: Vec<_> = (0..70).map(|_| scene.world.run(scene.alice.create_public_room()).unwrap()).collect();
    for room_id in &rooms {
        scene.world.run(scene.bob.change_membership(room_id, MembershipAction::Join));
    }
    bob_goes_away(&scene, 80);
    for turn in 0..2 {
        // In the order of their ids at first, in which they are asked; then some of the first sixty last, among others.
        rooms.sort();
        if turn == 1 {
            rooms.rotate_left(3);
        }
        for room_id in &rooms {
            scene.world.run(scene.alice.send(room_id, &format!("turn {turn}"), "hello"));
            scene.world.pass(1_000);
        }
    }
    let newest: BTreeSet<_> = rooms.iter().rev().take(5).map(ToString::to_string).collect();
    assert_eq!(scene.world.run(top(&scene, 5)), newest);
}

/// The rooms at the top of Bob's list.
async fn top(scene: &Scene, count: u64) -> BTreeSet<String> {
    let list = json!({ "ranges": [[0, count - 1]], "timeline_limit": 1 });
    let body = RawJson::from_value(&json!({ "lists": { "top": list } })).unwrap();
    let question = |may_wait| {
        let (session, body) = (scene.bob.session(), body.clone());
        SlidingSync { session, body, pos: None, stable: false, may_wait, presence: None }.into()
    };
    let polled = poll::long_poll(&scene.world, &scene.world, &scene.bob.user_id, question, 0).await.unwrap();
    let answer: Value = polled.body.read().unwrap();
    answer["rooms"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn classic_sync_catches_up_as_well() {
    let scene = Scene::large(9);
    let sync = |since: Option<String>| classic(&scene, &scene.bob, since);
    let first = scene.world.run(sync(None));
    scene.world.pass(AWAY_MS);
    let said = scene.world.run(say(&scene, "classic", 40));
    scene.world.pass(1_000);
    let answer = scene.world.run(sync(first["next_batch"].as_str().map(str::to_owned)));
    let room = &answer["rooms"]["join"][scene.room_id.as_str()];
    let ids = room["timeline"]["events"].as_array().unwrap().iter().map(|event| event["event_id"].as_str().unwrap());
    let ids: Vec<_> = ids.collect();
    assert!(said.iter().map(|id| id.as_str()).collect::<Vec<_>>().ends_with(&ids), "{ids:?}");
    assert!(!ids.is_empty());
    assert_eq!(room["unread_notifications"]["notification_count"], 40);
}

async fn classic(scene: &Scene, client: &Client, since: Option<String>) -> Value {
    let question = |may_wait| {
        let (session, since) = (client.session(), since.clone());
        ClassicSync {
            session,
            since,
            filter: None,
            full_state: false,
            state_after: None,
            may_wait,
            presence: None,
            rooms_alone: false,
        }
        .into()
    };
    let polled = poll::long_poll(&scene.world, &scene.world, &client.user_id, question, 0).await.unwrap();
    polled.body.read().unwrap()
}

#[test]
fn a_room_that_cannot_be_reached_on_return_is_news_later() {
    let scene = Scene::large(10);
    let mut reader = bob_goes_away(&scene, 20);
    scene.world.run(say(&scene, "first", 1));
    scene.world.pass(1_000);
    let said = scene.world.run(say(&scene, "missed", 3));
    scene.world.pass(1_000);
    let out = Faults { unreachable: [Target::Room(scene.room_id.clone())].into(), ..Faults::default() };
    scene.world.set_faults(out);
    scene.world.run(reader.sync(0));
    assert!(!reader.seen.ends_with(&said));
    scene.world.heal();
    let answers = reader.answers;
    while !reader.seen.ends_with(&said) {
        assert!(reader.answers < answers + 3, "it comes by itself, in a poll that waits");
        scene.world.run(reader.sync(25_000));
    }
}

/// Bob and Carol come and go while others talk, on a bad day.
fn absences(scene: &Scene, faults: Faults) -> u64 {
    scene.world.run(scene.carol.change_membership(&scene.room_id, MembershipAction::Join));
    let start = scene.world.run(scene.alice.history(&scene.room_id, true, 50)).len();
    let mut readers = [&scene.bob, &scene.carol].map(|client| client.reader(&scene.room_id, 4));
    for reader in &mut readers {
        scene.world.run(reader.sync(0));
    }
    scene.world.set_faults(faults);
    let mut acknowledged = Vec::new();
    for round in 0..8 {
        let random = scene.world.random();
        scene.world.pass(random.below(180_000) as u64);
        let name = format!("round {round}");
        let talk = say(scene, &name, 1 + random.below(15));
        let returns = join_all(readers.iter_mut().map(async |reader| {
            for _ in 0..random.below(4) {
                scene.world.sleep(random.below(400) as u64).await;
                reader.sync(random.below(2_000) as u64).await;
            }
        }));
        let (said, _) = scene.world.run(join(talk, returns));
        acknowledged.extend(said);
        if random.below(3) == 0 {
            scene.world.crash(&Target::Room(scene.room_id.clone()));
        }
    }
    let order = scene.heal();
    for reader in &mut readers {
        scene.world.run(catch_up(reader));
        assert_tail(&reader.seen, &order, "who comes and goes");
        assert_eq!(reader.seen.last(), order.last());
        assert_eq!(reader.unread, (order.len() - start) as u64, "unread, exactly");
    }
    assert_kept(&[acknowledged], &order);
    scene.world.crashes()
}

#[test]
fn who_comes_and_goes_misses_nothing_and_counts_exactly() {
    let crashes = Rc::new(Cell::new(0));
    each_seed(|seed| crashes.set(crashes.get() + absences(&Scene::large(seed), Faults::bad_day())));
    assert!(crashes.get() > 0, "objects did crash");
    let outage = || Faults { storage_outage: true, ..Faults::bad_day() };
    each_seed(|seed| assert!(absences(&Scene::large(seed), outage()) < u64::MAX));
}

#[test]
fn who_is_told_by_relays_misses_nothing_either() {
    each_seed(|seed| {
        let scene = Scene::relayed(seed);
        assert!(absences(&scene, Faults::bad_day()) < u64::MAX);
        assert!(scene.world.lives(&relay(&scene, "0")) > 0, "a relay was asked");
    });
}

fn relay(scene: &Scene, branches: &str) -> Target {
    Target::Relay(format!("{}/{branches}", scene.room_id))
}

/// A crowd reads on while others talk, and while hubs and relays crash and answers are lost.
fn crowd(seed: u64, faults: Faults) -> World {
    let scene = Scene::relayed(seed);
    let members = scene.come(20);
    let stop = Rc::new(Cell::new(false));
    let readers = members.iter().map(|member| member.reader(&scene.room_id, 5));
    let readers: Vec<_> = readers.map(|reader| keep_reading(&scene.world, reader, &stop)).collect();
    scene.world.pass(5_000);
    scene.world.set_faults(faults);
    let acknowledged = scene.world.run(scene.converse(&[&scene.alice, &members[0], &members[1]]));
    let order = scene.heal();
    stop.set(true);
    scene.world.pass(60_000);
    for reader in readers {
        let reader = reader.take().unwrap();
        assert_tail(&reader.seen, &order, "one of many");
    }
    assert_kept(&acknowledged, &order);
    assert!(scene.world.lives(&relay(&scene, "0/0")) > 0, "relays asked further relays");
    scene.world
}

#[test]
fn a_crowd_told_by_relays_hears_everything_once_and_in_order() {
    each_seed_of(2, |seed| drop(crowd(seed, Faults { latency_ms: 20, ..Faults::default() })));
    let crashes = Cell::new(0);
    each_seed_of(6, |seed| crashes.set(crashes.get() + crowd(seed, Faults::bad_day()).crashes()));
    assert!(crashes.get() > 0, "objects did crash");
}

#[test]
fn a_hub_that_does_not_answer_delays_its_share_once_and_not_for_long() {
    let scene = Scene::relayed(12);
    let members = scene.come(12);
    let mut readers: Vec<_> = members.iter().map(|member| member.reader(&scene.room_id, 20)).collect();
    for reader in &mut readers {
        scene.world.run(reader.sync(0));
    }
    let stuck = [Target::User(members[5].user_id.clone())].into();
    scene.world.set_faults(Faults { stuck, ..Faults::default() });
    readers.remove(5);
    let mut have_heard = |said: &[OwnedEventId]| {
        let mut heard = 0;
        for reader in &mut readers {
            scene.world.run(reader.sync(0));
            heard += usize::from(reader.seen.ends_with(said));
        }
        heard
    };
    let first = scene.world.run(say(&scene, "first", 1));
    scene.world.pass(500);
    assert_eq!(have_heard(&first), 11, "all others in its share as well");
    let second = scene.world.run(say(&scene, "second", 1));
    scene.world.pass(12_000);
    assert_eq!(have_heard(&second), 11, "when the patience of its share was over");
    let third = scene.world.run(say(&scene, "third", 1));
    scene.world.pass(500);
    assert_eq!(have_heard(&third), 11, "from now on the room tells it by itself");
}
