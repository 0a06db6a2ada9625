//! Push to phones on bad days: whatever dies between an event's commit and its push, the push comes, and an outage ends
//! without a storm.

use std::collections::BTreeMap;

use ruma::OwnedEventId;
use serde_json::json;
use tern_model::{Bounded, BoundedVec, EventRef, Name, RawJson};
use tern_ports::{
    Target, ask_room, ask_user,
    wire::{
        pushers::{PusherFields, SetPusher},
        room::{ReceiptDraft, SendReceipts},
    },
};
use tern_testkit::{Client, Faults};

use crate::scene::{MESSAGES, Scene, each_seed};

/// Longer than the pause after any number of failures, in milliseconds.
const HEALING_MS: u64 = 2 * 3_600_000;

fn set_pusher(scene: &Scene, client: &Client) {
    let data = json!({"url": "https://push.example.org/_matrix/push/v1/notify", "format": "event_id_only"});
    let pusher = PusherFields {
        app_display_name: Bounded::cut("App"),
        device_display_name: Bounded::cut("Phone"),
        profile_tag: None,
        lang: Bounded::cut("en"),
        data: RawJson::from_value(&data).unwrap().try_into().unwrap(),
        enabled: true,
    };
    let (app_id, pushkey) = (Bounded::cut("app"), Bounded::cut("key"));
    let set = SetPusher { session: client.session(), app_id, pushkey, pusher };
    scene.world.run(ask_user(&scene.world, &client.user_id, set)).unwrap();
}

/// Bob's phone is asleep, and has a pusher.
fn asleep(seed: u64) -> Scene {
    let scene = Scene::new(seed);
    set_pusher(&scene, &scene.bob);
    scene.world.pass(60_000);
    scene.world.gateway().take();
    scene
}

fn counted(pushed: Vec<String>) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for event in pushed {
        *counted.entry(event).or_default() += 1;
    }
    counted
}

#[test]
fn every_message_is_pushed_although_hubs_crash_between_commit_and_push() {
    each_seed(|seed| {
        let scene = asleep(seed);
        let bob = Target::User(scene.bob.user_id.clone());
        scene.world.set_faults(Faults { crashes: 40, evictions: 20, latency_ms: 40, ..Faults::default() });
        let sent = scene.world.run(scene.converse(&[&scene.alice])).remove(0);
        scene.heal();
        let lives = usize::try_from(scene.world.lives(&bob)).unwrap();
        let pushed = counted(scene.world.gateway().take_events());
        for event in sent {
            let times = pushed.get(event.as_str()).copied().unwrap_or(0);
            assert!(times > 0, "{event} was not pushed");
            assert!(times <= lives, "{event} was pushed {times} times in {lives} lives");
        }
    });
}

#[test]
fn on_a_bad_day_the_newest_is_pushed_in_the_end() {
    each_seed(|seed| {
        let scene = asleep(seed);
        scene.world.set_faults(Faults::bad_day());
        scene.world.run(scene.converse(&[&scene.alice]));
        scene.heal();
        scene.world.pass(HEALING_MS);
        let newest = scene.world.run(scene.alice.send(&scene.room_id, "last", "and one more"));
        scene.world.pass(HEALING_MS);
        assert_eq!(scene.world.gateway().take_events().last(), Some(&newest.to_string()));
    });
}

#[test]
fn an_outage_ends_with_one_push_for_the_room() {
    each_seed(|seed| {
        let scene = asleep(seed);
        scene.world.gateway().answers(502);
        scene.world.set_faults(Faults { crashes: 20, evictions: 60, latency_ms: 40, ..Faults::default() });
        let sent = scene.world.run(scene.converse(&[&scene.alice])).remove(0);
        scene.world.heal();
        scene.world.pass(10 * 60_000);
        let asked = scene.world.gateway().take().len();
        assert!(asked < 20, "asked {asked} times in ten minutes");
        scene.world.gateway().answers(None);
        scene.world.pass(HEALING_MS);
        assert_eq!(scene.world.gateway().take_events(), [last(&sent)]);
        assert_eq!(sent.len(), MESSAGES);
    });
}

#[test]
fn reading_elsewhere_clears_the_badge_once() {
    let scene = asleep(1);
    let sent = scene.world.run(scene.converse(&[&scene.alice])).remove(0);
    scene.world.pass(60_000);
    assert_eq!(scene.world.gateway().take_events().len(), MESSAGES);
    for event in &sent {
        let receipt = ReceiptDraft {
            kind: Name::cut("m.read"),
            event_id: EventRef::new(event.clone()).unwrap(),
            thread_id: None,
        };
        let receipts = SendReceipts { user_id: scene.bob.user_id.clone(), receipts: BoundedVec::cut(vec![receipt]) };
        scene.world.run(ask_room(&scene.world, &scene.room_id, receipts)).unwrap();
    }
    scene.world.pass(1_500);
    assert!(scene.world.gateway().take().is_empty(), "more may be read in a moment");
    scene.world.pass(60_000);
    let sent = scene.world.gateway().take();
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].get("event_id"), &sent[0]["counts"]), (None, &json!({"unread": 0})));
}

fn last(sent: &[OwnedEventId]) -> String {
    sent.last().unwrap().to_string()
}
