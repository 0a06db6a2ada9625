//! Events that are sent later (MSC4140).

use serde_json::json;
use tern_model::{MatrixError, Millis};
use tern_ports::{
    Clock as _,
    wire::{
        delayed::{DelayAction, DelayEvent, ListDelayed, ManageDelayed, ScheduledEvent},
        room::{Draft, MembershipAction},
    },
};

use super::scene::{ALICE, BOB, CAROL, Scene, raw, texts, user};

impl Scene {
    fn delay(&self, sender: &str, text: &str, delay_ms: u64) -> Result<String, MatrixError> {
        let (kind, content) = ("m.room.message".to_owned(), raw(&json!({ "msgtype": "m.text", "body": text })));
        let draft = Draft { sender: user(sender), kind, state_key: None, content, redacts: None };
        self.schedule(draft, Some(text), delay_ms)
    }

    fn delay_topic(&self, sender: &str, topic: &str, delay_ms: u64) -> Result<String, MatrixError> {
        let (kind, content) = ("m.room.topic".to_owned(), raw(&json!({ "topic": topic })));
        let draft = Draft { sender: user(sender), kind, state_key: Some(String::new()), content, redacts: None };
        self.schedule(draft, None, delay_ms)
    }

    fn schedule(&self, draft: Draft, txn_id: Option<&str>, delay_ms: u64) -> Result<String, MatrixError> {
        let ask = DelayEvent {
            draft,
            device_id: "PHONE".into(),
            txn_id: txn_id.map(str::to_owned),
            delay_ms,
            ts: None,
            sticky_ms: None,
        };
        Ok(self.ask(ask)?.delay_id)
    }

    fn manage(&self, delay_id: &str, action: DelayAction) -> Result<(), MatrixError> {
        self.ask(ManageDelayed { delay_id: delay_id.to_owned(), action }).map(drop)
    }

    fn scheduled(&self, who: &str) -> Vec<ScheduledEvent> {
        self.ask(ListDelayed { caller: user(who) }).unwrap()
    }

    fn said(&self) -> Vec<String> {
        texts(&self.walk(ALICE, false, 100))
    }

    /// Moves on by `ms`, and lets every alarm ring on the way.
    fn wait(&self, ms: u64) {
        let until = Millis(self.host.clock.now().0 + ms);
        while self.host.alarm.get().is_some_and(|at| at <= until) {
            self.ring();
        }
        self.host.clock.advance_to(until);
    }
}

#[test]
fn a_delayed_event_is_sent_once_when_its_time_comes_even_after_an_eviction() {
    let mut scene = Scene::new();
    let delay_id = scene.delay(BOB, "later", 60_000).unwrap();
    assert_eq!(scene.delay(BOB, "later", 60_000).unwrap(), delay_id, "the same transaction, the same answer");
    assert_eq!(tern_room_hub::room_of_delayed(&delay_id).unwrap(), scene.room_id);
    let listed = scene.scheduled(BOB);
    assert_eq!((listed.len(), listed[0].delay, listed[0].kind.as_str()), (1, 60_000, "m.room.message"));
    assert!(scene.scheduled(ALICE).is_empty());
    scene.wait(59_000);
    assert!(scene.said().is_empty());
    scene.evict();
    scene.wait(2_000);
    assert_eq!(scene.said(), ["later"]);
    assert!(scene.scheduled(BOB).is_empty());
    scene.wait(600_000);
    assert_eq!(scene.said(), ["later"]);
}

#[test]
fn a_delayed_event_can_be_restarted_sent_at_once_and_cancelled() {
    let scene = Scene::new();
    let restarted = scene.delay(BOB, "restarted", 60_000).unwrap();
    let cancelled = scene.delay(BOB, "cancelled", 60_000).unwrap();
    let sent = scene.delay(BOB, "sent", 60_000).unwrap();
    scene.manage(&sent, DelayAction::Send).unwrap();
    assert_eq!(scene.said(), ["sent"]);
    scene.wait(40_000);
    scene.manage(&restarted, DelayAction::Restart).unwrap();
    scene.manage(&cancelled, DelayAction::Cancel).unwrap();
    scene.wait(40_000);
    assert_eq!(scene.said(), ["sent"]);
    scene.wait(30_000);
    assert_eq!(scene.said(), ["sent", "restarted"]);
}

#[test]
fn an_action_that_is_repeated_is_answered_again_and_one_that_comes_too_late_conflicts() {
    use DelayAction::{Cancel, Restart, Send};
    let mut scene = Scene::new();
    let sent = scene.delay(BOB, "sent", 60_000).unwrap();
    let timed = scene.delay(BOB, "timed", 10_000).unwrap();
    let cancelled = scene.delay(BOB, "cancelled", 60_000).unwrap();
    scene.manage(&sent, Send).unwrap();
    scene.manage(&cancelled, Cancel).unwrap();
    scene.wait(20_000);
    for evicted in [false, true] {
        for (delay_id, action) in [(&sent, Send), (&timed, Send), (&cancelled, Cancel)] {
            scene.manage(delay_id, action).unwrap();
        }
        let conflicts =
            [(&sent, Cancel), (&sent, Restart), (&timed, Cancel), (&cancelled, Send), (&cancelled, Restart)];
        for (delay_id, action) in conflicts {
            assert_eq!(scene.manage(delay_id, action).unwrap_err().status, 409, "{action:?}, evicted: {evicted}");
        }
        for (text, delay_id) in [("sent", &sent), ("timed", &timed), ("cancelled", &cancelled)] {
            assert_eq!(&scene.delay(BOB, text, 60_000).unwrap(), delay_id, "the transaction has its answer");
        }
        assert_eq!(scene.manage("x.y", Cancel).unwrap_err().status, 404);
        scene.evict();
    }
    assert_eq!(scene.said(), ["sent", "timed"]);
    assert!(scene.scheduled(BOB).is_empty());
}

#[test]
fn events_due_within_one_second_are_each_sent_when_they_are_due() {
    let scene = Scene::new();
    for (text, delay_ms) in [("first", 10_000), ("second", 10_250), ("third", 10_500)] {
        scene.delay(BOB, text, delay_ms).unwrap();
    }
    scene.wait(10_249);
    assert_eq!(scene.said(), ["first"]);
    scene.wait(1);
    assert_eq!(scene.said(), ["first", "second"]);
    scene.wait(250);
    assert_eq!(scene.said(), ["first", "second", "third"]);
}

#[test]
fn what_is_sent_before_its_time_and_refused_waits_for_it() {
    let scene = Scene::new();
    let topic = scene.delay_topic(BOB, "mine", 10_000).unwrap();
    assert_eq!(scene.manage(&topic, DelayAction::Send).unwrap_err().status, 403);
    assert_eq!(scene.scheduled(BOB).len(), 1);
    scene.wait(20_000);
    assert!(scene.scheduled(BOB).is_empty());
    assert_eq!(scene.manage(&topic, DelayAction::Send).unwrap_err().status, 409);
    scene.manage(&topic, DelayAction::Cancel).unwrap();
}

#[test]
fn what_is_not_allowed_when_it_is_due_is_given_up() {
    let scene = Scene::new();
    scene.delay(BOB, "too late", 10_000).unwrap();
    scene.delay_topic(BOB, "mine", 10_000).unwrap();
    scene.act(ALICE, MembershipAction::Kick, BOB).unwrap();
    scene.wait(60_000);
    assert!(scene.said().is_empty() && scene.scheduled(BOB).is_empty());
    assert_eq!(scene.delay(BOB, "again", 10_000).unwrap_err().status, 403, "not in the room");
    assert_eq!(scene.delay(CAROL, "stranger", 10_000).unwrap_err().status, 403);
    for delay_ms in [0, u64::MAX >> 12] {
        assert_eq!(scene.delay(ALICE, "bad", delay_ms).unwrap_err().status, 400);
    }
}

#[test]
fn state_that_somebody_else_sets_ends_what_was_scheduled_for_it() {
    let scene = Scene::of(&json!({ "preset": "public_chat", "power_level_content_override": { "state_default": 0 } }));
    scene.act(BOB, MembershipAction::Join, BOB).unwrap();
    scene.delay_topic(BOB, "bob's, later", 10_000).unwrap();
    scene.set(BOB, "m.room.topic", "", &json!({ "topic": "bob's, now" })).unwrap();
    assert_eq!(scene.scheduled(BOB).len(), 1, "his own state ends nothing");
    scene.set(ALICE, "m.room.topic", "", &json!({ "topic": "alice's" })).unwrap();
    assert!(scene.scheduled(BOB).is_empty());
}
