//! Other servers are told of what happens here, and are sent what is theirs to know.

use serde_json::Value;
use tern_model::{MatrixError, RoomSeq};
use tern_ports::wire::{
    room::MembershipAction,
    server_reads::{OutgoingEvents, ReadOutgoing},
};

use super::{
    far::MOD,
    scene::{ALICE, BOB, Scene, body},
};

const FAR: &str = "far.test";

fn outgoing_for(scene: &Scene, server: &str, from: u64, limit: u32) -> Result<OutgoingEvents, MatrixError> {
    let ask = ReadOutgoing {
        server: server.try_into().unwrap(),
        service: None,
        from: RoomSeq(from),
        until: None,
        limit,
        max_bytes: 1_000_000,
    };
    scene.ask(ask)
}

fn outgoing(scene: &Scene, from: u64) -> OutgoingEvents {
    outgoing_for(scene, FAR, from, 50).unwrap()
}

/// Bodies of messages, and memberships.
fn said(outgoing: &OutgoingEvents) -> Vec<String> {
    let said = |event: &Value| {
        let content = &event["content"];
        content["body"].as_str().or_else(|| content["membership"].as_str()).unwrap_or_default().to_owned()
    };
    outgoing.events.iter().map(|event| said(&body(event))).collect()
}

impl Scene {
    fn enqueued(&self) -> Vec<(String, u64, u64)> {
        self.host.settle();
        self.around.enqueued.take()
    }

    /// The room with the member of far.test, nothing of which is to be told.
    fn with_far() -> (Self, u64) {
        let scene = Self::shared();
        scene.enqueued();
        let newest = scene.probe().newest.0;
        (scene, newest)
    }
}

#[test]
fn a_server_in_the_room_is_told_of_what_users_here_do() {
    let (scene, newest) = Scene::with_far();
    scene.say(ALICE, "one");
    assert_eq!(scene.enqueued(), [(FAR.to_owned(), newest + 1, newest + 1)]);
    // What came from there is no news there.
    let from_there = scene.message(&scene.newest(), "there");
    assert_eq!(scene.take(&[from_there]), ["accepted"]);
    assert!(scene.enqueued().is_empty());
    scene.say(BOB, "two");
    assert_eq!(scene.enqueued(), [(FAR.to_owned(), newest + 3, newest + 3)]);
    let sent = outgoing(&scene, newest + 1);
    assert_eq!(
        (said(&sent), sent.through.0, sent.newest.0),
        (vec!["one".to_owned(), "two".to_owned()], newest + 3, newest + 3)
    );
    assert!(sent.joined);
    let some = outgoing_for(&scene, FAR, newest + 1, 1).unwrap();
    assert_eq!((said(&some), some.through.0), (vec!["one".to_owned()], newest + 2), "up to the next one");
}

#[test]
fn a_room_of_this_server_alone_tells_nobody() {
    let scene = Scene::new();
    scene.say(ALICE, "one");
    scene.ring_until_silent();
    assert!(scene.enqueued().is_empty());
    assert_eq!(scene.count("SELECT count(*) FROM servers"), 0);
}

#[test]
fn what_was_before_a_server_came_it_is_not_sent() {
    let (scene, newest) = Scene::with_far();
    scene.say(ALICE, "one");
    let sent = outgoing(&scene, 1);
    assert_eq!(said(&sent), ["one"]);
    assert_eq!(sent.through.0, newest + 1);
}

#[test]
fn a_server_hears_how_its_last_user_was_taken_out_and_nothing_after_it() {
    let (scene, newest) = Scene::with_far();
    scene.say(ALICE, "one");
    scene.enqueued();
    scene.act(ALICE, MembershipAction::Ban, MOD).unwrap();
    assert_eq!(scene.enqueued(), [(FAR.to_owned(), newest + 2, newest + 2)]);
    scene.say(ALICE, "among us");
    assert!(scene.enqueued().is_empty());
    assert_eq!(scene.count("SELECT count(*) FROM servers"), 0);
    let sent = outgoing(&scene, newest + 1);
    assert_eq!((said(&sent), sent.joined, sent.through.0), (vec!["ban".to_owned()], false, newest + 3));
    assert_eq!(outgoing_for(&scene, "other.test", 1, 50).unwrap().events.len(), 0);
}

#[test]
fn an_object_that_cannot_be_told_is_told_later_and_a_crash_forgets_nobody() {
    let (mut scene, newest) = Scene::with_far();
    scene.around.out.borrow_mut().insert(FAR.to_owned());
    scene.say(ALICE, "one");
    scene.say(ALICE, "two");
    assert!(scene.enqueued().is_empty());
    assert_eq!(scene.count("SELECT count(*) FROM laggards"), 1);
    assert_eq!(scene.probe().announced, scene.probe().newest, "nobody else is held up");
    scene.crash();
    scene.around.out.borrow_mut().clear();
    scene.ring_until_silent();
    assert_eq!(scene.enqueued(), [(FAR.to_owned(), newest + 1, newest + 2)]);
    assert_eq!(scene.count("SELECT count(*) FROM laggards"), 0);
    // The event is durable, and nobody has been told when the room is gone from memory.
    scene.host.run(scene.actor.handle(Scene::command(ALICE, "three", "t3").into()));
    scene.crash();
    scene.ring_until_silent();
    let told = scene.enqueued();
    assert!(told.iter().any(|(_, from, until)| *from <= newest + 3 && *until == newest + 3), "{told:?}");
}

#[test]
fn after_a_long_absence_a_server_is_sent_the_newest_event_alone() {
    let (scene, newest) = Scene::with_far();
    for number in 1..=100 {
        scene.say(ALICE, &number.to_string());
    }
    scene.say(ALICE, "101");
    assert_eq!(outgoing(&scene, newest + 1).events.len(), 50, "what has just happened is sent one by one");
    scene.host.clock.advance(11 * 60_000);
    let from_there = scene.message(&scene.newest(), "there");
    assert_eq!(scene.take(&[from_there]), ["accepted"]);
    let sent = outgoing(&scene, newest + 1);
    assert_eq!((said(&sent), sent.through), (vec!["101".to_owned()], sent.newest));
}

#[test]
fn what_was_trimmed_is_read_from_the_storage_worker() {
    let (scene, newest) = Scene::with_far();
    scene.say(ALICE, "early");
    for _ in 0..2 {
        let mut place = scene.newest();
        for number in 0..300_u64 {
            let there = scene.message(&place, &number.to_string());
            assert_eq!(scene.take(std::slice::from_ref(&there)), ["accepted"]);
            place = super::far::at(&there);
        }
        scene.host.settle();
        scene.ring_until_silent();
        scene.host.clock.advance(60 * 60 * 1000);
    }
    assert!(scene.count("SELECT tail FROM head") > newest + 100);
    let sent = outgoing(&scene, newest + 1);
    assert_eq!((said(&sent), sent.through), (vec!["early".to_owned()], sent.newest), "the newest of this server's");
}

#[test]
fn rooms_of_earlier_builds_know_their_servers() {
    let (mut scene, newest) = Scene::with_far();
    scene.host.sqlite.script(
        "DROP TABLE servers; DROP TABLE passed_on; DROP TABLE services; DROP TABLE service_aliases; DROP TABLE registrations;
         DROP TABLE entered;
         CREATE UNIQUE INDEX events_by_txn ON events (sender, device_id, txn_id, kind) WHERE txn_id IS NOT NULL;
         UPDATE schema SET version = version - 4;",
    );
    scene.evict();
    scene.say(ALICE, "one");
    assert_eq!(scene.enqueued(), [(FAR.to_owned(), newest + 1, newest + 1)]);
}
