//! Sending: idempotent, grouped, cheap, and refused with the right code.

use std::{collections::BTreeSet, rc::Rc};

use futures::future::join_all;
use serde_json::json;
use tern_model::MatrixError;
use tern_ports::{
    Sql as _,
    wire::frame,
    wire::room::{MembershipAction, ReadEvent, ReadState, ReadStateEvent, RoomProbe, Sent, SetTyping},
};
use tern_testkit::TestClock;

use super::{
    around::Around,
    scene::{ALICE, BOB, CAROL, Scene, body, caller, config, creation, numbered, raw, texts, user},
};

#[test]
fn a_repeated_transaction_gets_the_same_event() {
    let mut scene = Scene::new();
    let first = scene.ask(Scene::command(ALICE, "hello", "1")).unwrap();
    assert_eq!(scene.ask(Scene::command(ALICE, "hello", "1")).unwrap(), first);
    assert_ne!(scene.ask(Scene::command(BOB, "hello", "1")).unwrap(), first);
    scene.crash();
    assert_eq!(scene.ask(Scene::command(ALICE, "hello", "1")).unwrap(), first);
    let bodies = texts(&scene.walk(ALICE, false, 10));
    assert_eq!(bodies, ["hello", "hello"]);
}

#[test]
fn a_room_that_does_not_exist_is_refused_and_writes_nothing() {
    let scene = Scene::empty(Around::new(), "!none:tern.test".try_into().unwrap());
    let refused = |error: MatrixError| (error.status, error.errcode.into_owned());
    let forbidden = (403, "M_FORBIDDEN".to_owned());
    let not_found = (404, "M_NOT_FOUND".to_owned());
    assert_eq!(refused(scene.ask(Scene::command(ALICE, "x", "1")).unwrap_err()), forbidden);
    assert_eq!(refused(scene.act(ALICE, MembershipAction::Join, ALICE).unwrap_err()), not_found);
    assert_eq!(refused(scene.ask(ReadState { caller: user(ALICE) }).unwrap_err()), forbidden);
    let event = ReadEvent { caller: caller(ALICE), event_id: "$x".try_into().unwrap(), ignored: BTreeSet::new() };
    assert_eq!(refused(scene.ask(event).unwrap_err()), not_found);
    assert_eq!(refused(scene.ask(SetTyping { user_id: user(ALICE), timeout_ms: 1 }).unwrap_err()), forbidden);
    assert_eq!(scene.probe(), RoomProbe::default());
    scene.host.run(scene.actor.alarm());
    assert_eq!(scene.host.sqlite.rows_written(), 0);
    assert_eq!(scene.host.alarm.get(), None);
    assert!(scene.host.sqlite.query("SELECT * FROM sqlite_master", &[]).unwrap().is_empty());
}

#[test]
fn a_room_is_made_once_and_whole() {
    let (room_id, create) = creation(&config(), &json!({}), TestClock::START, 3);
    let scene = Scene::empty(Around::new(), room_id);
    let mut broken = create.clone();
    broken.drafts[1].content = raw(&json!({ "users": { "@mallory:tern.test": "a lot" } }));
    assert_eq!(scene.ask(broken).unwrap_err().status, 400);
    assert!(scene.host.sqlite.query("SELECT * FROM sqlite_master", &[]).unwrap().is_empty());
    scene.ask(create.clone()).unwrap();
    assert_eq!(scene.ask(create).unwrap_err().errcode, "M_ROOM_IN_USE");
    let told = scene.told(ALICE);
    assert_eq!(told.len(), 1, "the creator's hub is told before the reply");
    assert_eq!(told[0].membership.as_deref(), Some("join"));
    assert_eq!(told[0].summary.as_ref().unwrap().joined, 1);
}

#[test]
fn concurrent_sends_are_grouped_ordered_and_complete() {
    let scene = Scene::new();
    let before = scene.probe().newest.0;
    let sqlite = &scene.host.sqlite;
    let written = sqlite.rows_written();
    let sends = (1..=50).map(|number| {
        let actor = Rc::clone(&scene.actor);
        let command =
            Scene::command(if number % 2 == 0 { ALICE } else { BOB }, &number.to_string(), &number.to_string());
        async move { frame::read_reply::<Sent>(&actor.handle(command.into()).await).unwrap().event_id }
    });
    let ids: BTreeSet<_> = scene.host.run(join_all(sends)).into_iter().collect();
    assert_eq!(ids.len(), 50);
    // 50 events, each with the entry of its id; the newest tells where the room is.
    assert_eq!(sqlite.rows_written() - written, 100);
    scene.host.settle();
    assert_eq!(scene.probe().newest.0, before + 50);
    let seen = texts(&scene.walk(ALICE, false, 7));
    assert_eq!(seen, numbered(1..=50));
    assert_eq!(scene.seqs_told(BOB), (before + 1..=before + 50).collect::<Vec<_>>());
    assert_eq!(scene.seqs_told(ALICE), scene.seqs_told(BOB));
}

#[test]
fn a_message_costs_two_rows_and_its_cursors_a_third() {
    let scene = Scene::new();
    scene.ring_until_silent();
    let written = scene.host.sqlite.rows_written();
    scene.say(ALICE, "hello");
    // The event and the entry of its id. The other index has only what relates to other events.
    assert_eq!(scene.host.sqlite.rows_written() - written, 2);
    let indices = "SELECT count(*) FROM sqlite_master WHERE type = 'index' AND tbl_name = 'events'";
    assert_eq!(scene.host.sqlite.query(indices, &[]).unwrap()[0].int(0), Some(2));
    scene.host.settle();
    assert_eq!(scene.host.sqlite.rows_written() - written, 2, "cursors wait for the next commit or the alarm");
    scene.ring_until_silent();
    assert_eq!(scene.host.sqlite.rows_written() - written, 3);
    assert_eq!(scene.host.alarm.get(), None);
}

#[test]
fn refusals_carry_the_codes_of_the_spec() {
    let scene = Scene::new();
    let code = |result: Result<Sent, MatrixError>| result.map_err(|error| (error.status, error.errcode.into_owned()));
    assert_eq!(code(scene.ask(Scene::command(CAROL, "x", "1"))).unwrap_err(), (403, "M_FORBIDDEN".to_owned()));
    assert_eq!(
        code(scene.set(BOB, "m.room.name", "", &json!({ "name": "Mine" }))).unwrap_err(),
        (403, "M_FORBIDDEN".to_owned())
    );
    let large = "x".repeat(65_536);
    assert_eq!(code(scene.ask(Scene::command(ALICE, &large, "2"))).unwrap_err(), (413, "M_TOO_LARGE".to_owned()));
    let unknown = "$nothing".try_into().unwrap();
    assert_eq!(code(scene.redact(ALICE, &unknown)).unwrap_err(), (404, "M_NOT_FOUND".to_owned()));
    let newest = scene.probe().newest;
    let same = scene.set(ALICE, "m.room.name", "", &json!({ "name": "Nest" })).unwrap();
    assert_eq!(scene.probe().newest, newest, "the same state again is no event");
    let name = ReadStateEvent { caller: user(BOB), kind: "m.room.name".to_owned(), state_key: String::new() };
    assert_eq!(body(&scene.ask(name).unwrap())["event_id"], same.event_id.as_str());
}

#[test]
fn state_and_joins_have_their_ceilings_too() {
    let scene = Scene::new();
    scene.ring_until_silent();
    let rows = |work: &dyn Fn()| {
        let written = scene.host.sqlite.rows_written();
        work();
        scene.host.settle();
        scene.host.sqlite.rows_written() - written
    };
    // Event, the entry of its id, head, state; of a member an entry of the state as well.
    assert_eq!(rows(&|| drop(scene.set(ALICE, "m.room.name", "", &json!({ "name": "Cliff" })).unwrap())), 4);
    assert_eq!(rows(&|| drop(scene.act(CAROL, MembershipAction::Join, CAROL).unwrap())), 5);
    let target = scene.say(ALICE, "1");
    assert_eq!(rows(&|| drop(scene.redact(ALICE, &target).unwrap())), 3, "and the redacted event");
    assert_eq!(rows(&|| drop(scene.page(BOB, None, true, 100, None))), 0, "reading writes nothing");
}
