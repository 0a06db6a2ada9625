//! What another server may read of a room that it is in.

use std::collections::BTreeSet;

use ruma::OwnedEventId;
use serde_json::{Value, json};
use tern_model::{BoundedVec, EventRef, MatrixError, Millis, RawJson};
use tern_ports::{
    Sql as _,
    wire::{
        room::MembershipAction,
        server_reads::{ReadForServer, ServedEvents, ServerRead},
    },
};

use super::{
    resolution::{MOD, shared_room, topic},
    scene::{ALICE, CAROL, Scene, body},
};

const FAR: &str = "far.test";

fn named(event_id: &OwnedEventId) -> EventRef {
    EventRef::new(event_id.clone()).unwrap()
}

fn some<const N: usize>(event_ids: &[&OwnedEventId]) -> BoundedVec<EventRef, N> {
    BoundedVec::new(event_ids.iter().map(|event_id| named(event_id)).collect()).unwrap()
}

fn ask(scene: &Scene, origin: &str, read: ServerRead) -> Result<ServedEvents, MatrixError> {
    scene.ask(ReadForServer { origin: origin.try_into().unwrap(), read })
}

fn event(event_id: &OwnedEventId) -> ServerRead {
    ServerRead::Event { event_id: named(event_id) }
}

fn state(event_id: &OwnedEventId, full: bool) -> ServerRead {
    ServerRead::State { event_id: named(event_id), full }
}

fn backfill(event_id: &OwnedEventId, limit: u32) -> ServerRead {
    ServerRead::Backfill { from: some(&[event_id]), limit }
}

fn status<T: std::fmt::Debug>(result: Result<T, MatrixError>) -> (u16, String) {
    let error = result.unwrap_err();
    (error.status, error.errcode.into_owned())
}

/// Bodies of messages; of a redacted event, nothing.
fn said(events: &[RawJson]) -> Vec<Option<String>> {
    let said = |event: &RawJson| body(event)["content"]["body"].as_str().map(str::to_owned);
    events.iter().map(said).collect()
}

fn all(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

/// The ids of the present state.
fn present(scene: &Scene) -> BTreeSet<String> {
    let rows = scene.host.sqlite.query("SELECT e.event_id FROM state s JOIN events e ON e.seq = s.seq", &[]).unwrap();
    rows.iter().map(|row| row.string(0).unwrap()).collect()
}

fn ids(events: &[OwnedEventId]) -> BTreeSet<String> {
    events.iter().map(ToString::to_string).collect()
}

#[test]
fn events_come_as_they_were_signed() {
    let (scene, _) = shared_room();
    let said_here = scene.say(ALICE, "hello");
    let served = ask(&scene, FAR, event(&said_here)).unwrap();
    let stored = scene.host.sqlite.query("SELECT pdu FROM events WHERE event_id = ?", &[said_here.as_str().into()]);
    assert_eq!(served.events[0].text(), stored.unwrap()[0].text(0).unwrap());
    let nothing: OwnedEventId = "$nothing".try_into().unwrap();
    for read in [
        event(&nothing),
        state(&nothing, true),
        backfill(&nothing, 1),
        ServerRead::AuthChain { event_id: named(&nothing) },
    ] {
        assert_eq!(status(ask(&scene, FAR, read)), (404, "M_NOT_FOUND".to_owned()));
    }
}

#[test]
fn only_servers_in_the_room_read_and_those_that_are_kept_out_read_events_alone() {
    let (scene, mut far) = shared_room();
    let said_here = scene.say(ALICE, "hello");
    let missing = || ServerRead::Missing { latest: some(&[&said_here]), earliest: some(&[]), min_depth: 0, limit: 5 };
    let reads = || {
        let chain = ServerRead::AuthChain { event_id: named(&said_here) };
        [state(&said_here, true), state(&said_here, false), backfill(&said_here, 5), missing(), chain]
    };
    let forbidden = (403, "M_FORBIDDEN".to_owned());
    for read in reads().into_iter().chain([event(&said_here)]) {
        assert_eq!(status(ask(&scene, "other.test", read)), forbidden);
    }
    assert!(reads().into_iter().all(|read| ask(&scene, FAR, read).is_ok()));
    let list = json!({ "allow": ["*"], "deny": [FAR] });
    scene.set(ALICE, "m.room.server_acl", "", &list).unwrap();
    for read in reads() {
        assert_eq!(status(ask(&scene, FAR, read)), forbidden);
    }
    assert!(ask(&scene, FAR, event(&said_here)).is_ok());
    scene.set(ALICE, "m.room.server_acl", "", &json!({ "allow": ["*"] })).unwrap();
    far.hear(&scene);
    far.leave();
    far.tell(&scene);
    assert_eq!(status(ask(&scene, FAR, event(&said_here))), forbidden, "nobody of it is here any more");
}

#[test]
fn the_state_before_an_event_with_its_auth_chain() {
    let (scene, _) = shared_room();
    scene.set(ALICE, "m.room.topic", "", &topic("first")).unwrap();
    let before = present(&scene);
    let second = scene.set(ALICE, "m.room.topic", "", &topic("second")).unwrap().event_id;
    let after = present(&scene);
    let said_here = scene.say(ALICE, "hello");
    let served = ask(&scene, FAR, state(&second, false)).unwrap();
    assert_eq!(ids(&served.event_ids), before, "what it replaces, not itself");
    let served = ask(&scene, FAR, state(&said_here, false)).unwrap();
    assert_eq!(ids(&served.event_ids), after);
    // The chain is closed, and the same in full.
    let full = ask(&scene, FAR, state(&said_here, true)).unwrap();
    assert_eq!((full.events.len(), full.auth_chain.len()), (served.event_ids.len(), served.auth_chain_ids.len()));
    let chain = ids(&served.auth_chain_ids);
    for pdu in full.events.iter().chain(&full.auth_chain) {
        let cited = body(pdu)["auth_events"].as_array().cloned().unwrap();
        assert!(cited.iter().all(|id| chain.contains(id.as_str().unwrap())), "{}", pdu.text());
    }
    let of_event = ask(&scene, FAR, ServerRead::AuthChain { event_id: named(&said_here) }).unwrap();
    let kinds: BTreeSet<String> =
        of_event.auth_chain.iter().map(|pdu| body(pdu)["type"].as_str().unwrap().to_owned()).collect();
    assert!(kinds.contains("m.room.create") && kinds.contains("m.room.power_levels"), "{kinds:?}");
    // The first event of all has no state before it.
    let create: OwnedEventId = create_of(&scene);
    assert_eq!(ask(&scene, FAR, state(&create, false)).unwrap(), ServedEvents::default());
}

fn create_of(scene: &Scene) -> OwnedEventId {
    let rows = scene.host.sqlite.query("SELECT event_id FROM events WHERE kind = 'm.room.create'", &[]).unwrap();
    rows[0].string(0).unwrap().try_into().unwrap()
}

#[test]
fn what_a_server_missed_lies_between_what_it_has_and_what_it_heard_of() {
    let (scene, _) = shared_room();
    let sent: Vec<_> = (1..=30).map(|number| scene.say(ALICE, &number.to_string())).collect();
    let missing = |latest: &[&OwnedEventId], earliest: &[&OwnedEventId], min_depth, limit| {
        let read = ServerRead::Missing { latest: some(latest), earliest: some(earliest), min_depth, limit };
        said(&ask(&scene, FAR, read).unwrap().events)
    };
    assert_eq!(missing(&[&sent[5]], &[&sent[1]], 0, 10), all(&["3", "4", "5"]), "oldest first, neither end among it");
    assert_eq!(
        missing(&[&sent[29]], &[&sent[1]], 0, 3),
        all(&["27", "28", "29"]),
        "the newest, when not all have room"
    );
    assert_eq!(missing(&[&sent[29]], &[], 0, 1_000).len(), 20);
    let nothing: OwnedEventId = "$nothing".try_into().unwrap();
    assert_eq!(missing(&[&nothing], &[], 0, 10), all(&[]));
    let depth = body(&ask(&scene, FAR, event(&sent[3])).unwrap().events[0])["depth"].as_u64().unwrap();
    assert_eq!(missing(&[&sent[5]], &[], depth, 10), all(&["4", "5"]));
}

#[test]
fn history_comes_backwards_also_what_only_the_storage_worker_has() {
    let (scene, _) = shared_room();
    let sent: Vec<_> = (1..=300).map(|number| scene.say(ALICE, &number.to_string())).collect();
    let pages = |upto: usize| said(&ask(&scene, FAR, backfill(&sent[upto - 1], 5)).unwrap().events);
    assert_eq!(pages(40), all(&["40", "39", "38", "37", "36"]));
    scene.host.settle();
    scene.ring_until_silent();
    scene.host.clock.advance(60 * 60 * 1000);
    (0..50).for_each(|number| drop(scene.say(CAROL, &format!("later {number}"))));
    scene.host.settle();
    scene.ring_until_silent();
    let here = scene.host.sqlite.query("SELECT 1 FROM events WHERE event_id = ?", &[sent[39].as_str().into()]).unwrap();
    assert!(here.is_empty(), "it is trimmed");
    assert_eq!(pages(40), all(&["40", "39", "38", "37", "36"]));
    assert_eq!(ask(&scene, FAR, backfill(&sent[299], 1_000)).unwrap().events.len(), 100);
    let missing =
        ServerRead::Missing { latest: some(&[&sent[5]]), earliest: some(&[&sent[1]]), min_depth: 0, limit: 10 };
    assert_eq!(said(&ask(&scene, FAR, missing).unwrap().events), all(&["3", "4", "5"]));
    let (state_there, chain_there) = {
        let served = ask(&scene, FAR, state(&sent[39], true)).unwrap();
        (served.events.len(), served.auth_chain.len())
    };
    let now = ask(&scene, FAR, state(&sent[299], true)).unwrap();
    assert_eq!((state_there, chain_there), (now.events.len(), now.auth_chain.len()));
}

#[test]
fn what_a_server_may_not_see_comes_redacted() {
    let scene = Scene::of(&json!({ "preset": "public_chat", "room_version": "11" }));
    scene.act(CAROL, MembershipAction::Join, CAROL).unwrap();
    let visibility = |value: &str| {
        let content: Value = json!({ "history_visibility": value });
        scene.set(ALICE, "m.room.history_visibility", "", &content).unwrap();
    };
    scene.say(ALICE, "shared");
    visibility("joined");
    let hidden = scene.say(ALICE, "hidden");
    scene
        .set(ALICE, "m.room.power_levels", "", &json!({ "users": { ALICE: 100, MOD: 90 }, "state_default": 50 }))
        .unwrap();
    let far = super::resolution::Far::of(&scene);
    scene.calm();
    let open = scene.say(ALICE, "open");
    let events = ask(&scene, FAR, backfill(&open, 100)).unwrap().events;
    let messages: Vec<_> = events.iter().filter(|event| body(event)["type"] == "m.room.message").cloned().collect();
    assert_eq!(said(&messages), [Some("open".to_owned()), None, Some("shared".to_owned())]);
    let alone = ask(&scene, FAR, event(&hidden)).unwrap().events;
    let shape = body(&alone[0]);
    assert_eq!((shape["content"].clone(), shape["hashes"].is_object()), (json!({}), true));
    drop(far);
}

#[test]
fn the_event_nearest_to_a_time() {
    let (scene, _) = shared_room();
    let first = scene.say(ALICE, "first");
    scene.host.clock.advance(10_000);
    let second = scene.say(ALICE, "second");
    let time = |event_id: &OwnedEventId| {
        let served = ask(&scene, FAR, event(event_id)).unwrap();
        body(&served.events[0])["origin_server_ts"].as_u64().unwrap()
    };
    let nearest = |ts, backwards| ask(&scene, FAR, ServerRead::Nearest { ts: Millis(ts), backwards });
    let found = |ts, backwards| nearest(ts, backwards).map(|served| (served.event_ids, served.events.len()));
    let between = time(&first) + 5_000;
    assert_eq!(found(between, true), Ok((vec![first], 1)));
    assert_eq!(found(between, false), Ok((vec![second.clone()], 1)));
    assert_eq!(status(nearest(time(&second) + 1, false)), (404, "M_NOT_FOUND".to_owned()));
    assert_eq!(status(nearest(1, true)), (404, "M_NOT_FOUND".to_owned()));
    let read = ServerRead::Nearest { ts: Millis(between), backwards: true };
    assert_eq!(status(ask(&scene, "other.test", read)), (403, "M_FORBIDDEN".to_owned()));
    assert_eq!(ask(&scene, FAR, ServerRead::Access), Ok(ServedEvents::default()));
    assert_eq!(status(ask(&scene, "other.test", ServerRead::Access)), (403, "M_FORBIDDEN".to_owned()));
}
