//! Push to phones: what is pushed, in order, once; what happens when the gateway or the hub fails.

use std::rc::Rc;

use serde_json::{Value, json};
use tern_model::{
    Bounded, BoundedJson, BoundedVec, EphemeralNotice, EventRef, Notice, NoticeEvent, Receipt, RoomSeq, RoomSummary,
};
use tern_ports::{
    Clock as _, Sql as _,
    wire::{
        invite::DeliverInvite,
        pushers::{DeletePusher, ListPushers, PusherFields, SetPusher},
        user::{CloseSessions, SessionRef},
    },
};
use tern_testkit::Gateway;

use crate::support::{Hub, alice, bob, member, message, notice, raw, spoken, summary};

const PUSHKEY: &str = "key";

impl Hub {
    /// A phone with a pusher, in a room.
    fn with_pusher() -> (Self, SessionRef) {
        Self::new().gets_pusher()
    }

    fn gets_pusher(self) -> (Self, SessionRef) {
        let hub = self;
        let session = hub.login("PHONE");
        hub.set_pusher(&session, PUSHKEY, &json!({}), true);
        hub.joins("r");
        hub.host.settle();
        hub.gateway().take();
        (hub, session)
    }

    fn gateway(&self) -> &Gateway {
        &self.host.gateway
    }

    fn set_pusher(&self, session: &SessionRef, pushkey: &str, more: &Value, enabled: bool) {
        let mut data = json!({"url": "https://push.example.org/_matrix/push/v1/notify"});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let pusher = PusherFields {
            app_display_name: Bounded::cut("App"),
            device_display_name: Bounded::cut("Phone"),
            profile_tag: None,
            lang: Bounded::cut("en"),
            data: raw(&data).try_into().unwrap(),
            enabled,
        };
        let (app_id, pushkey) = (Bounded::cut("app"), Bounded::cut(pushkey));
        self.ask(SetPusher { session: session.clone(), app_id, pushkey, pusher }).unwrap();
    }

    fn pushers(&self, session: &SessionRef) -> Value {
        self.ask(ListPushers { session: session.clone() }).unwrap().read::<Value>().unwrap()["pushers"].take()
    }

    /// Bob says something now, and all that follows happens.
    fn hears(&self, name: &str, seq: u64) {
        self.hears_event(name, message(seq, "hello"));
    }

    fn hears_event(&self, name: &str, event: NoticeEvent) {
        self.is_told(name, event);
        self.host.settle();
    }

    /// As [`Self::hears_event`], as far as the room's request goes.
    fn is_told(&self, name: &str, event: NoticeEvent) {
        let event = NoticeEvent { ts: self.host.clock.now(), ..event };
        self.deliver(vec![notice(name, vec![event])]);
    }

    fn has_read(&self, name: &str, seq: u64) {
        let receipt = Receipt {
            kind: "m.read".to_owned(),
            user_id: alice().to_owned(),
            event_id: format!("$e{seq}").try_into().unwrap(),
            seq: Some(RoomSeq(seq)),
            thread_id: None,
            ts: self.host.clock.now(),
        };
        let ephemeral = vec![EphemeralNotice::Receipts(vec![receipt])];
        self.deliver(vec![Notice { ephemeral, ..notice(name, vec![]) }]);
        self.host.settle();
    }

    fn passes(&self, ms: u64) {
        self.host.clock.advance(ms);
        self.ring();
        self.host.settle();
    }

    fn pushed(&self) -> Vec<String> {
        self.gateway().take_events()
    }
}

#[test]
fn what_notifies_is_pushed_once_and_in_order() {
    let (hub, _) = Hub::with_pusher();
    for seq in 2..=4 {
        hub.hears("r", seq);
    }
    assert_eq!(hub.pushed(), ["$e2", "$e3", "$e4"]);
    hub.hears_event("r", spoken(5, bob(), &json!({"msgtype": "m.notice"})));
    hub.hears_event("r", spoken(6, alice(), &json!({})));
    hub.deliver(vec![notice("r", vec![message(4, "again")])]);
    hub.passes(5_000);
    hub.passes(600_000);
    assert_eq!(hub.pushed(), Vec::<String>::new());
}

#[test]
fn a_push_costs_no_row_but_the_one_of_an_alarm_for_a_burst() {
    let (with, _) = Hub::with_pusher();
    let without = Hub::new();
    without.login("PHONE");
    without.joins("r");
    let rows = |hub: &Hub| {
        let hears = |seq| {
            // Of two pushes at the same time the hub's row would have to say which came later.
            hub.host.clock.advance(1);
            hub.hears("r", seq);
        };
        let burst = hub.rows(|| (2..=10).for_each(hears)).1;
        burst + hub.rows(|| hub.passes(5_000)).1
    };
    assert_eq!(rows(&with), rows(&without));
    assert_eq!(with.pushed().len(), 9);
    assert_eq!(with.host.alarm.get(), None, "it rang once, and nothing was left");
    let alarm = without.host.alarm.get();
    assert_eq!(alarm, None);
}

#[test]
fn priority_and_tweaks_follow_from_the_rules() {
    let (hub, _) = Hub::with_pusher();
    let three = RoomSummary { joined: 3, ..(*summary("12")).clone() };
    let mention = json!({"body": "x", "m.mentions": {"user_ids": [alice()]}});
    hub.deliver(vec![Notice { summary: Some(Rc::new(three)), ..notice("r", vec![]) }]);
    hub.hears("r", 2);
    hub.hears_event("r", spoken(3, bob(), &mention));
    let encrypted =
        json!({"type": "m.room.encrypted", "event_id": "$e4", "sender": bob(), "content": {"ciphertext": "x"}});
    let encrypted = NoticeEvent { kind: "m.room.encrypted".to_owned(), client: raw(&encrypted), ..message(4, "") };
    hub.hears_event("r", encrypted);
    let sent = hub.gateway().take();
    let of = |index: usize| (&sent[index]["prio"], &sent[index]["devices"][0]["tweaks"]);
    assert_eq!(of(0), (&json!("low"), &json!({})));
    assert_eq!(of(1), (&json!("high"), &json!({"highlight": true, "sound": "default"})));
    assert_eq!(of(2), (&json!("high"), &json!({})));
    assert_eq!(sent[0]["counts"], json!({"unread": 1}), "rooms, not messages");
    assert_eq!((&sent[0]["sender"], &sent[0]["content"]["body"]), (&json!(bob()), &json!("hello")));
}

#[test]
fn an_invite_is_pushed_and_counts_until_it_is_answered() {
    let (hub, _) = Hub::with_pusher();
    let invite = NoticeEvent { sender: bob().to_owned(), ..member(1, alice(), "invite") };
    let mut client: Value = invite.client.read().unwrap();
    client["sender"] = json!(bob());
    let invite = NoticeEvent { client: raw(&client), ..invite };
    let stripped = vec![
        raw(&json!({"type": "m.room.name", "state_key": "", "sender": bob(), "content": {"name": "Party"}})),
        raw(&json!({"type": "m.room.member", "state_key": bob(), "sender": bob(), "content": {"displayname": "Bob"}})),
        raw(
            &json!({"type": "m.room.member", "state_key": alice(), "sender": bob(), "content": {"membership": "invite"}}),
        ),
    ];
    hub.deliver(vec![Notice { membership: Some("invite".to_owned()), stripped, ..notice("party", vec![invite]) }]);
    hub.host.settle();
    let sent = hub.gateway().take();
    assert_eq!(sent.len(), 1);
    assert_eq!((&sent[0]["membership"], &sent[0]["user_is_target"]), (&json!("invite"), &json!(true)));
    assert_eq!((&sent[0]["room_name"], &sent[0]["sender_display_name"]), (&json!("Party"), &json!("Bob")));
    assert_eq!((&sent[0]["prio"], &sent[0]["counts"]), (&json!("high"), &json!({"unread": 1})));
    let join = member(2, alice(), "join");
    hub.deliver(vec![Notice { membership: Some("join".to_owned()), ..notice("party", vec![join]) }]);
    hub.hears("r", 2);
    assert_eq!(hub.gateway().take()[0]["counts"], json!({"unread": 1}), "the message alone");
}

#[test]
fn after_an_outage_the_newest_of_each_room_comes_and_nothing_that_was_read() {
    let (hub, _) = Hub::with_pusher();
    for name in ["s", "t"] {
        hub.joins(name);
    }
    hub.gateway().answers(500);
    hub.hears("r", 2);
    assert_eq!(hub.pushed(), ["$e2"]);
    for (name, seq) in [("r", 3), ("s", 2), ("t", 2), ("s", 3), ("r", 4)] {
        hub.hears(name, seq);
    }
    assert_eq!(hub.pushed(), Vec::<String>::new(), "new events do not wake a gateway that is down");
    hub.passes(6_500);
    assert_eq!(hub.pushed(), ["$e2"], "room t, whose newest is the oldest");
    hub.has_read("t", 2);
    hub.gateway().answers(None);
    // In another life, too.
    let hub = hub.slept();
    hub.passes(20_000);
    assert_eq!(hub.pushed(), ["$e3", "$e4"], "rooms s and r");
    hub.hears("t", 3);
    hub.hears("t", 4);
    assert_eq!(hub.pushed(), ["$e3", "$e4"], "one by one again");
}

#[test]
fn a_gateway_says_when_to_come_back_and_silence_is_a_minute() {
    let (hub, _) = Hub::with_pusher();
    hub.gateway().answers(429);
    hub.gateway().asks_for(100);
    hub.hears("r", 2);
    hub.passes(99_000);
    assert_eq!(hub.pushed().len(), 1);
    hub.gateway().answers(None);
    hub.gateway().is_silent(true);
    hub.passes(2_000);
    assert_eq!(hub.pushed(), ["$e2"]);
    hub.passes(58_000);
    assert_eq!(hub.pushed(), Vec::<String>::new());
    hub.gateway().is_silent(false);
    hub.passes(3_000);
    assert_eq!(hub.pushed(), ["$e2"]);
}

#[test]
fn what_the_gateway_will_never_take_is_skipped() {
    let (hub, _) = Hub::with_pusher();
    hub.gateway().answers(413);
    hub.hears("r", 2);
    hub.gateway().answers(None);
    hub.hears("r", 3);
    assert_eq!(hub.pushed(), ["$e2", "$e3"]);
}

#[test]
fn a_hub_that_dies_after_the_commit_pushes_by_its_alarm() {
    let (hub, _) = Hub::with_pusher();
    hub.is_told("r", message(2, "x"));
    assert_eq!(hub.pushed(), Vec::<String>::new(), "the request of the room is over, and nothing was pushed in it");
    let hub = hub.crashed();
    hub.passes(5_000);
    assert_eq!(hub.pushed(), ["$e2"]);
    // Also when it is another event that wakes it.
    hub.is_told("r", message(3, "x"));
    let hub = hub.crashed();
    hub.hears("r", 4);
    assert_eq!(hub.pushed(), ["$e3", "$e4"]);
}

#[test]
fn a_hub_that_slept_repeats_nothing() {
    let (hub, _) = Hub::with_pusher();
    hub.hears("r", 2);
    hub.passes(5_000);
    assert_eq!(hub.pushed(), ["$e2"]);
    hub.host.clock.advance(15_000);
    let hub = hub.slept();
    hub.hears("r", 3);
    hub.passes(5_000);
    assert_eq!(hub.pushed(), ["$e3"]);
}

#[test]
fn an_alarm_of_something_else_repeats_nothing() {
    let (hub, session) = Hub::with_presence().gets_pusher();
    hub.classic(&session, None, false).unwrap();
    hub.host.settle();
    // In five minutes it is looked whether the user is still there.
    hub.passes(270_000);
    hub.hears("r", 2);
    hub.passes(5_000);
    assert_eq!(hub.pushed(), ["$e2"]);
    hub.host.clock.advance(20_000);
    let hub = hub.slept();
    hub.passes(5_000);
    hub.passes(5_000);
    assert_eq!(hub.pushed(), Vec::<String>::new());
}

#[test]
fn a_rejected_device_and_one_that_signed_out_have_no_pusher() {
    let (hub, session) = Hub::with_pusher();
    let other = hub.login("TABLET");
    hub.set_pusher(&other, "tablet", &json!({"format": "event_id_only"}), true);
    assert_eq!(hub.pushers(&session).as_array().unwrap().len(), 2);
    hub.gateway().rejects(PUSHKEY);
    hub.hears("r", 2);
    assert_eq!(hub.pushers(&session)[0]["pushkey"], "tablet");
    hub.hears("r", 3);
    assert_eq!(hub.pushed(), ["$e2", "$e2", "$e3"]);
    let devices = Some(vec![other.device_id.clone()]);
    hub.ask(CloseSessions { session: Some(session.clone()), devices, except: None }).unwrap();
    assert_eq!(hub.pushers(&session), json!([]));
    hub.hears("r", 4);
    assert_eq!(hub.pushed(), Vec::<String>::new());
}

#[test]
fn a_disabled_pusher_misses_what_comes_and_one_set_again_stays() {
    let (hub, session) = Hub::with_pusher();
    hub.set_pusher(&session, PUSHKEY, &json!({}), false);
    hub.hears("r", 2);
    let other = hub.login("TABLET");
    hub.set_pusher(&other, PUSHKEY, &json!({}), true);
    hub.hears("r", 3);
    assert_eq!(hub.pushed(), ["$e3"]);
    let pusher = &hub.pushers(&session)[0];
    assert_eq!((&pusher["device_id"], &pusher["enabled"]), (&json!("PHONE"), &json!(true)));
    let (app_id, pushkey) = (Bounded::cut("app"), Bounded::cut(PUSHKEY));
    for _ in 0..2 {
        let (app_id, pushkey) = (app_id.clone(), pushkey.clone());
        hub.ask(DeletePusher { session: Some(session.clone()), app_id, pushkey }).unwrap();
    }
    assert_eq!(hub.pushers(&session), json!([]));
}

#[test]
fn there_is_a_bound_to_the_number_of_pushers() {
    let hub = Hub::new();
    let session = hub.login("PHONE");
    for number in 0..20 {
        hub.set_pusher(&session, &format!("key{number}"), &json!({}), true);
    }
    hub.set_pusher(&session, "key7", &json!({}), true);
    let pusher = hub.pushers(&session).as_array().unwrap().len();
    assert_eq!(pusher, 20);
}

#[test]
fn large_rooms_tell_a_hub_that_has_a_pusher() {
    let (hub, _) = Hub::with_pusher();
    let selective = |seq| Notice { selective: true, ..notice("r", vec![message(seq, "x")]) };
    let delivered = hub.ask(tern_ports::wire::user::Deliver { notices: vec![selective(2)] }).unwrap();
    assert!(!delivered.idle);
    hub.host.settle();
    assert_eq!(hub.pushed(), ["$e2"]);
    assert!(hub.host.sqlite.query("SELECT 1 FROM unheard", &[]).unwrap().is_empty());
}

#[test]
fn an_invite_into_a_room_that_is_not_here_is_pushed_as_well() {
    let (hub, _) = Hub::with_pusher();
    let event = json!({
        "type": "m.room.member", "sender": bob(), "state_key": alice(), "content": { "membership": "invite" },
    });
    let shown = [
        json!({ "type": "m.room.name", "state_key": "", "sender": bob(), "content": { "name": "Far" } }),
        event.clone(),
    ];
    let invite = |number: u64| DeliverInvite {
        room_id: crate::support::room("far"),
        event_id: EventRef::try_from(format!("$invite{number}").as_str()).unwrap(),
        ts: hub.host.clock.now(),
        event: BoundedJson::new(raw(&event)).unwrap(),
        stripped: BoundedVec::new(shown.iter().map(|event| BoundedJson::new(raw(event)).unwrap()).collect()).unwrap(),
        knock: false,
    };
    hub.ask(invite(1)).unwrap();
    hub.ask(invite(1)).unwrap();
    hub.host.settle();
    let sent = hub.gateway().take();
    assert_eq!(sent.len(), 1, "told again it is no news");
    hub.ask(DeliverInvite { knock: true, ..invite(2) }).unwrap();
    hub.host.settle();
    assert_eq!(hub.pushed(), Vec::<String>::new(), "a knock is one's own");
}
