//! Sticky events (MSC4354): kept for those who come later, bounded, gone when they expire.

use ruma::OwnedEventId;
use serde_json::json;
use tern_model::{MatrixError, Notice};
use tern_ports::{
    Sql as _,
    wire::{
        delayed::DelayEvent,
        room::{Draft, MembershipAction, SendEvent},
    },
};

use super::scene::{ALICE, BOB, CAROL, Scene, body, raw, user};

const HOUR_MS: u64 = 3_600_000;

fn draft(sender: &str, text: &str) -> Draft {
    let (kind, content) = ("m.rtc.member".to_owned(), raw(&json!({ "body": text })));
    Draft { sender: user(sender), kind, state_key: None, content, redacts: None }
}

impl Scene {
    fn stick(&self, sender: &str, text: &str, duration_ms: u64) -> Result<OwnedEventId, MatrixError> {
        let (txn_id, sticky_ms) = (Some(text.to_owned()), Some(duration_ms));
        let ask = SendEvent { draft: draft(sender, text), device_id: "PHONE".into(), txn_id, ts: None, sticky_ms };
        Ok(self.ask(ask)?.event_id)
    }

    fn told_sticky(&self, who: &str) -> Vec<String> {
        self.host.settle();
        self.told(who).iter().flat_map(texts).collect()
    }

    fn kept(&self) -> u64 {
        self.host.sqlite.query("SELECT count(*) FROM sticky", &[]).unwrap()[0].int(0).unwrap()
    }
}

fn texts(notice: &Notice) -> Vec<String> {
    let text = |event: &tern_model::StickyEvent| body(&event.client)["content"]["body"].as_str().unwrap().to_owned();
    notice.sticky.iter().map(text).collect()
}

#[test]
fn whoever_joins_hears_of_all_that_is_still_sticky_however_much_came_after_it() {
    let mut scene = Scene::new();
    let event_id = scene.stick(BOB, "here", HOUR_MS).unwrap();
    assert_eq!(scene.stick(BOB, "here", HOUR_MS).unwrap(), event_id, "the same transaction, the same answer");
    scene.stick(BOB, "briefly", 10_000).unwrap();
    assert_eq!(scene.told_sticky(ALICE), ["here", "briefly"]);
    for number in 1..=300 {
        scene.say(ALICE, &number.to_string());
    }
    scene.host.clock.advance(20_000);
    scene.evict();
    scene.act(CAROL, MembershipAction::Join, CAROL).unwrap();
    assert_eq!(scene.told_sticky(CAROL), ["here"]);
    let notice = scene.told(CAROL).into_iter().find(|notice| !notice.sticky.is_empty()).unwrap();
    let sticky = &notice.sticky[0];
    assert_eq!((&sticky.event_id, sticky.sender.as_str()), (&event_id, BOB));
    let client = body(&sticky.client);
    assert_eq!(client["msc4354_sticky"], json!({ "duration_ms": HOUR_MS }));
    assert_eq!((&client["event_id"], &client["type"]), (&json!(event_id), &json!("m.rtc.member")));
    scene.host.clock.advance(HOUR_MS);
    scene.act(CAROL, MembershipAction::Leave, CAROL).unwrap();
    scene.calm();
    scene.act(CAROL, MembershipAction::Join, CAROL).unwrap();
    assert!(scene.told_sticky(CAROL).is_empty(), "it has expired");
}

#[test]
fn a_room_without_sticky_events_never_looks_for_any() {
    let scene = Scene::new();
    scene.host.sqlite.script("DROP TABLE sticky");
    let event_id = scene.say(ALICE, "hello");
    scene.redact(ALICE, &event_id).unwrap();
    scene.act(CAROL, MembershipAction::Join, CAROL).unwrap();
    scene.host.settle();
    scene.ring_until_silent();
    assert!(!scene.seqs_told(CAROL).is_empty());
    scene.stick(ALICE, "here", HOUR_MS).unwrap_err();
}

#[test]
fn a_redacted_event_is_sticky_no_more() {
    let scene = Scene::new();
    let event_id = scene.stick(BOB, "here", HOUR_MS).unwrap();
    scene.redact(ALICE, &event_id).unwrap();
    scene.calm();
    scene.act(CAROL, MembershipAction::Join, CAROL).unwrap();
    assert!(scene.told_sticky(CAROL).is_empty());
}

#[test]
fn what_has_expired_is_dropped_by_the_next_sticky_event_or_the_next_alarm() {
    let scene = Scene::new();
    scene.stick(BOB, "one", 1_000).unwrap();
    scene.host.settle();
    scene.ring_until_silent();
    scene.host.clock.advance(2_000);
    scene.stick(BOB, "two", 1_000).unwrap();
    assert_eq!(scene.kept(), 1);
    scene.host.clock.advance(2_000);
    scene.say(ALICE, "hello");
    scene.host.settle();
    scene.ring_until_silent();
    assert_eq!(scene.kept(), 0);
}

#[test]
fn there_are_only_so_many_at_a_time_of_a_user() {
    let scene = Scene::new();
    for number in 0..100 {
        scene.stick(BOB, &number.to_string(), HOUR_MS).unwrap();
        scene.host.clock.advance(10);
    }
    let refused = scene.stick(BOB, "one too many", HOUR_MS).unwrap_err();
    assert_eq!((refused.status, &*refused.errcode), (429, "M_LIMIT_EXCEEDED"));
    assert!(refused.retry_after_ms.is_some_and(|ms| ms > HOUR_MS - 5_000 && ms <= HOUR_MS), "until the first expires");
    scene.stick(BOB, "not sticky", 0).unwrap();
    scene.stick(ALICE, "somebody else's", HOUR_MS).unwrap();
    for too_long in [HOUR_MS + 1, u64::MAX >> 12] {
        let refused = scene.stick(ALICE, "for ever", too_long).unwrap_err();
        assert_eq!((refused.status, &*refused.errcode), (400, "M_INVALID_PARAM"));
    }
    // What was promised before is kept: it takes the place of its sender's oldest.
    let (draft, device_id) = (draft(BOB, "gone"), "PHONE".into());
    scene
        .ask(DelayEvent { draft, device_id, txn_id: None, delay_ms: 5_000, sticky_ms: Some(HOUR_MS), ts: None })
        .unwrap();
    scene.host.settle();
    scene.calm();
    scene.ring_until_silent();
    assert_eq!(scene.told_sticky(ALICE), ["gone"]);
    assert_eq!(scene.kept(), 101);
}

#[test]
fn a_delayed_event_is_sticky_from_when_it_is_sent() {
    let mut scene = Scene::new();
    let (draft, device_id) = (draft(BOB, "gone"), "PHONE".into());
    scene
        .ask(DelayEvent { draft, device_id, txn_id: None, delay_ms: 60_000, sticky_ms: Some(30_000), ts: None })
        .unwrap();
    assert!(scene.told_sticky(ALICE).is_empty());
    scene.evict();
    scene.ring_until_silent();
    assert_eq!(scene.told_sticky(ALICE), ["gone"]);
    scene.host.clock.advance(20_000);
    scene.act(CAROL, MembershipAction::Join, CAROL).unwrap();
    assert_eq!(scene.told_sticky(CAROL), ["gone"]);
}
