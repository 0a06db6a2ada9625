//! The current state of a room has a budget in bytes, and a room that is full of it can still be left and moderated.

use std::collections::BTreeSet;

use ruma::OwnedEventId;
use serde_json::{Value, json};
use tern_model::MatrixError;
use tern_ports::{
    Sql as _,
    wire::{
        receive::PduResult,
        room::{MembersFilter, MembershipAction, PageState, ReadState},
    },
};
use tern_room::state_budget::MAX_STATE_BYTES;

use super::{
    resolution::shared_room,
    scene::{ALICE, BOB, CAROL, Scene, user},
};

/// An event that is as large as it may be.
fn large() -> Value {
    json!({ "text": "x".repeat(60_000) })
}

impl Scene {
    /// Sets state until there is no more place; how many there were, and the refusal.
    fn fill(&self) -> (u64, MatrixError) {
        self.fill_with("org.example.large")
    }

    fn fill_with(&self, kind: &str) -> (u64, MatrixError) {
        for number in 0..1_000 {
            if let Err(error) = self.set(ALICE, kind, &number.to_string(), &large()) {
                return (number, error);
            }
        }
        panic!("the room takes everything");
    }

    /// What the head says of the state, and what the state is.
    fn weights(&self) -> (u64, u64) {
        let number = |sql: &str| self.host.sqlite.query(sql, &[]).unwrap()[0].int(0).unwrap();
        let counted = "SELECT sum(CASE WHEN s.kind = 'm.room.member' THEN max(length(CAST(e.pdu AS BLOB)) - 2048, 0)
                       ELSE length(CAST(e.pdu AS BLOB)) END) FROM state s JOIN events e ON e.seq = s.seq";
        (number("SELECT state_bytes FROM head"), number(counted))
    }

    fn members_reason(&self, target: &str, bytes: usize) -> Result<(), MatrixError> {
        let content = json!({ "membership": "ban", "reason": "r".repeat(bytes) });
        self.set(ALICE, "m.room.member", target, &content).map(drop)
    }
}

#[test]
fn a_full_room_refuses_state_and_can_be_left_closed_and_moderated() {
    let scene = Scene::new();
    scene.act(CAROL, MembershipAction::Join, CAROL).unwrap();
    let (number, error) = scene.fill();
    assert_eq!((error.status, &*error.errcode), (413, "M_TOO_LARGE"));
    assert!((65..75).contains(&number), "{number} events of 60 kB");
    let (head, counted) = scene.weights();
    assert_eq!(head, counted);
    assert!(head <= MAX_STATE_BYTES);

    // Messages go, and so does what takes nothing.
    scene.say(ALICE, "still here");
    scene.act("@dave:tern.test", MembershipAction::Join, "@dave:tern.test").unwrap();
    scene.act(BOB, MembershipAction::Leave, BOB).unwrap();
    scene.act(ALICE, MembershipAction::Ban, CAROL).unwrap();
    scene.members_reason("@erin:tern.test", 500).unwrap();
    assert_eq!(scene.members_reason("@frank:tern.test", 60_000).unwrap_err().status, 413, "not with a novel");
    let levels = json!({ "state_default": 50, "note": "x".repeat(60_000) });
    scene.set(ALICE, "m.room.power_levels", "", &levels).unwrap();
    scene.set(ALICE, "m.room.join_rules", "", &json!({ "join_rule": "invite" })).unwrap();
    let other = scene.set(ALICE, "m.room.power_levels", "else", &large()).unwrap_err();
    assert_eq!(other.status, 413, "only where it means something");
    let (head, counted) = scene.weights();
    assert_eq!(head, counted);
}

#[test]
fn a_redaction_and_a_smaller_event_make_place_again() {
    let scene = Scene::new();
    let first: OwnedEventId = scene.set(ALICE, "org.example.large", "first", &large()).unwrap().event_id;
    let second = scene.set(ALICE, "org.example.large", "second", &large()).unwrap().event_id;
    let (number, _) = scene.fill();
    scene.redact(ALICE, &first).unwrap();
    scene.redact(ALICE, &second).unwrap();
    let (more, _) = scene.fill_with("org.example.again");
    assert!((1..=2).contains(&more), "{more} in the place of two");
    for smaller in number - 2..number {
        scene.set(ALICE, "org.example.large", &smaller.to_string(), &json!({})).unwrap();
    }
    let (more, _) = scene.fill_with("org.example.more");
    assert!((1..=2).contains(&more), "{more} in the place of two");
    let (head, counted) = scene.weights();
    assert_eq!(head, counted);
}

#[test]
fn the_state_of_a_room_of_an_earlier_build_is_counted_once() {
    let mut scene = Scene::new();
    scene.fill();
    scene.host.settle();
    scene.ring_until_silent();
    scene.host.sqlite.query("UPDATE head SET state_bytes = NULL, tail_bytes = NULL", &[]).unwrap();
    scene.replace(scene.host.restarted());
    scene.say(ALICE, "no state, no count");
    let row = scene.host.sqlite.query("SELECT state_bytes IS NULL FROM head", &[]).unwrap();
    assert_eq!(row[0].int(0), Some(1_u64));
    scene.set(ALICE, "org.example.large", "one more", &large()).unwrap_err();
    scene.set(ALICE, "m.room.topic", "", &json!({ "topic": "small" })).unwrap();
    let (head, counted) = scene.weights();
    assert_eq!(head, counted);
}

#[test]
fn a_room_that_begins_too_large_is_not_made() {
    let state =
        |number: u32| json!({ "type": "org.example.large", "state_key": number.to_string(), "content": large() });
    let request = json!({ "preset": "public_chat", "initial_state": (0..150).map(state).collect::<Vec<_>>() });
    let (room_id, create) =
        super::scene::creation(&super::scene::config(), &request, tern_testkit::TestClock::START, 1);
    let scene = Scene::empty(super::around::Around::new(), room_id);
    assert_eq!(scene.ask(create).unwrap_err().status, 413);
}

#[test]
fn a_full_state_is_read_a_page_at_a_time() {
    let scene = Scene::new();
    let (number, _) = scene.fill();
    let (mut after, mut keys, mut pages) = (None, BTreeSet::new(), 0);
    loop {
        let page = scene.ask(PageState { caller: user(ALICE), members: None, after }).unwrap();
        assert!(page.events.iter().map(|event| event.text().len()).sum::<usize>() < 1_200_000);
        for event in &page.events {
            let event: Value = event.read().unwrap();
            assert!(keys.insert((event["type"].to_string(), event["state_key"].to_string())), "each place once");
        }
        (after, pages) = (page.next, pages + 1);
        if after.is_none() {
            break;
        }
    }
    assert!(pages >= 4 && keys.len() as u64 >= number + 5, "{pages} pages of {} events", keys.len());
    let members = Some(MembersFilter { membership: Some("join".try_into().unwrap()), ..MembersFilter::default() });
    let members = scene.ask(PageState { caller: user(ALICE), members, after: None }).unwrap();
    assert_eq!((members.events.len(), members.next), (2, None));
}

/// Neither taken nor rejected: the room waits until there is a place, and then goes on as everywhere else.
#[test]
fn what_another_server_sends_waits_for_a_place() {
    let (scene, mut far) = shared_room();
    scene.fill();
    let before = far.sent;
    far.set("org.example.far", &large());
    let results = far.tell(&scene);
    assert!(matches!(&results[..], [PduResult::Deferred(reason)] if reason.contains("bytes")), "{results:?}");
    let aside = scene.host.sqlite.query("SELECT count(*) FROM aside", &[]).unwrap();
    assert_eq!(aside[0].int(0), Some(0_u64), "no verdict is kept");
    scene.set(ALICE, "org.example.large", "0", &json!({})).unwrap();
    far.sent = before;
    assert_eq!(far.tell(&scene), [PduResult::Accepted]);
    let state = scene.ask(ReadState { caller: user(ALICE) }).unwrap();
    assert!(state.iter().any(|event| event.text().contains("org.example.far")));
    let (head, counted) = scene.weights();
    assert_eq!(head, counted);
}
