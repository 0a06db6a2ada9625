//! Ignored users: what they say, where they are and whom they invite stays with the hub.

use ruma::{UserId, user_id};
use serde_json::{Value, json};
use tern_model::{EphemeralNotice, Millis, Notice, NoticeEvent, Receipt, RoomSeq, news};
use tern_ports::wire::user::ListIgnored;

use crate::support::{
    Hub, alice, bob, bodies, everything, member, message, notice, raw, redaction, room, rooms_only, spoken,
};

fn carol() -> &'static UserId {
    user_id!("@carol:x")
}

fn timeline(body: &Value) -> Vec<String> {
    bodies(&body["rooms"][room("r").as_str()]["timeline"])
}

fn named(seq: u64, name: &str) -> NoticeEvent {
    let client = json!({
        "type": "m.room.name", "event_id": format!("$e{seq}"), "sender": bob(), "state_key": "",
        "origin_server_ts": 1_000 + seq, "content": {"name": name},
    });
    let kind = "m.room.name".to_owned();
    NoticeEvent { kind, state_key: Some(String::new()), client: raw(&client), ..message(seq, "") }
}

fn bobs_ephemeral(seq: u64) -> Notice {
    let receipt = Receipt {
        kind: "m.read".to_owned(),
        user_id: bob().to_owned(),
        event_id: format!("$e{seq}").try_into().unwrap(),
        seq: Some(RoomSeq(seq)),
        thread_id: None,
        ts: Millis(seq),
    };
    let typing = EphemeralNotice::Typing(vec![bob().to_owned()]);
    Notice { ephemeral: vec![EphemeralNotice::Receipts(vec![receipt]), typing], ..notice("r", vec![]) }
}

fn invite_by_bob() -> Notice {
    let event = member(1, alice(), "invite");
    let stripped = json!({
        "type": "m.room.member", "state_key": alice(), "sender": bob(), "content": {"membership": "invite"},
    });
    Notice {
        membership: Some("invite".to_owned()),
        stripped: vec![raw(&stripped)],
        ..notice("i", vec![NoticeEvent { sender: bob().to_owned(), ..event }])
    }
}

#[test]
fn what_they_say_wakes_nobody_and_is_in_no_answer_but_state_is() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    hub.ignore(&session, &[bob()]);
    let sliding = hub.sliding(&session, &rooms_only(), None, false).unwrap().body();
    let pos = sliding["pos"].as_str().unwrap().to_owned();
    let classic = hub.classic(&session, None, false).unwrap().body();
    let since = classic["next_batch"].as_str().unwrap().to_owned();
    hub.sliding(&session, &rooms_only(), Some(&pos), true).unwrap().kinds();
    hub.woken();
    hub.says("r", 2, "unheard");
    assert_eq!(hub.woken() & news::ROOMS, 0);
    hub.sliding(&session, &rooms_only(), Some(&pos), true).unwrap().kinds();
    hub.classic(&session, Some(&since), true).unwrap().kinds();
    hub.deliver(vec![notice("r", vec![message(3, "unheard too"), named(4, "Seen")])]);
    assert_eq!(hub.woken() & news::ROOMS, news::ROOMS);
    let answer = hub.sliding(&session, &rooms_only(), Some(&pos), true).unwrap().body();
    let events = answer["rooms"]["!r:x"]["timeline"].as_array().unwrap();
    assert_eq!(events.iter().map(|event| &event["type"]).collect::<Vec<_>>(), ["m.room.name"]);
    let answer = hub.classic(&session, Some(&since), false).unwrap().body();
    let events = answer["rooms"]["join"]["!r:x"]["timeline"]["events"].as_array().unwrap();
    assert_eq!(events.iter().map(|event| &event["type"]).collect::<Vec<_>>(), ["m.room.name"]);
}

#[test]
fn a_fresh_sync_shows_what_was_said_once_they_are_ignored_no_more() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    hub.says("r", 2, "before");
    hub.ignore(&session, &[bob()]);
    hub.says("r", 3, "meanwhile");
    assert!(timeline(&hub.sliding(&session, &rooms_only(), None, false).unwrap().body()).is_empty());
    hub.ignore(&session, &[]);
    let fresh = hub.slept().sliding(&session, &rooms_only(), None, false).unwrap().body();
    assert_eq!(timeline(&fresh), ["before", "meanwhile"]);
}

#[test]
fn their_receipts_and_typing_are_not_told() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    hub.says("r", 2, "m2");
    hub.deliver(vec![bobs_ephemeral(1)]);
    hub.ignore(&session, &[bob()]);
    hub.woken();
    hub.deliver(vec![bobs_ephemeral(2)]);
    assert_eq!(hub.woken() & news::RECEIPTS, 0);
    let answer = hub.sliding(&session, &everything(), None, false).unwrap().body();
    assert_eq!(answer["extensions"]["receipts"], Value::Null);
    assert_eq!(answer["extensions"]["typing"], Value::Null);
    let answer = hub.classic(&session, None, false).unwrap().body();
    assert_eq!(answer["rooms"]["join"]["!r:x"]["ephemeral"], Value::Null);
}

#[test]
fn their_invites_are_hidden_and_come_back() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.ignore(&session, &[bob()]);
    hub.deliver(vec![invite_by_bob()]);
    let sliding = hub.sliding(&session, &rooms_only(), None, false).unwrap().body();
    assert_eq!((&sliding["rooms"], &sliding["lists"]["all"]["count"]), (&Value::Null, &json!(0)));
    let classic = hub.classic(&session, None, false).unwrap().body();
    assert_eq!(classic["rooms"]["invite"], Value::Null);
    let (pos, since) = (sliding["pos"].as_str().unwrap(), classic["next_batch"].as_str().unwrap());
    hub.ignore(&session, &[]);
    let sliding = hub.sliding(&session, &rooms_only(), Some(pos), false).unwrap().body();
    assert_eq!(sliding["rooms"]["!i:x"]["invite_state"].as_array().unwrap().len(), 1);
    let classic = hub.classic(&session, Some(since), false).unwrap().body();
    assert_eq!(classic["rooms"]["invite"]["!i:x"]["invite_state"]["events"].as_array().unwrap().len(), 1);
    hub.ignore(&session, &[bob()]);
    let again = hub.classic(&session, None, false).unwrap().body();
    assert_eq!(again["rooms"]["invite"], Value::Null);
}

#[test]
fn the_proxy_is_told_who_is_ignored() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.ignore(&session, &[bob()]);
    assert_eq!(hub.ask(ListIgnored { session }).unwrap(), [bob().to_owned()]);
}

#[test]
fn what_was_missed_before_their_message_is_told_and_their_redaction_counts() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    hub.rooms.learn(&room("r"), &[spoken(2, carol(), &json!({})), spoken(3, carol(), &json!({}))]);
    hub.ignore(&session, &[bob()]);
    let first = hub.sliding(&session, &rooms_only(), None, false).unwrap().body();
    let pos = first["pos"].as_str().unwrap();
    hub.says("r", 4, "unheard");
    let answer = hub.sliding(&session, &rooms_only(), Some(pos), true).unwrap().body();
    assert_eq!(timeline(&answer), ["m2", "m3"]);
    hub.host.settle();
    assert_eq!(hub.unread(&session).total(), (2, 0));
    hub.woken();
    hub.deliver(vec![notice("r", vec![redaction(5, 3)])]);
    assert_eq!((hub.unread(&session).total(), hub.woken()), ((1, 0), news::ROOMS));
}

#[test]
fn threads_and_references_are_told_without_them_even_where_their_state_is() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    let relates = |rel_type: &str| json!({"m.relates_to": {"rel_type": rel_type, "event_id": "$e20"}});
    let (thread, reference) = (relates("m.thread"), relates("m.reference"));
    let client = json!({
        "type": "m.room.name", "event_id": "$e24", "sender": bob(), "state_key": "", "origin_server_ts": 1_024,
        "content": {"name": "Nest", "m.relates_to": {"rel_type": "m.thread", "event_id": "$e20"}},
    });
    let state = NoticeEvent { client: raw(&client), ..named(24, "Nest") };
    // More than a timeline shows: where it begins anew, it tells what its events say of each other.
    let mut events: Vec<_> = (2..=20).map(|seq| spoken(seq, carol(), &json!({}))).collect();
    events.extend([spoken(21, carol(), &thread), spoken(22, bob(), &thread), spoken(23, bob(), &reference), state]);
    hub.deliver(vec![notice("r", events)]);
    for (ignored, thread, latest, references) in
        [(vec![bob()], 1, "$e21", Value::Null), (vec![], 3, "$e24", json!({"chunk": [{"event_id": "$e23"}]}))]
    {
        hub.ignore(&session, &ignored);
        let sliding = hub.sliding(&session, &rooms_only(), None, false).unwrap().body();
        let classic = hub.classic(&session, None, false).unwrap().body();
        let timelines =
            [&sliding["rooms"]["!r:x"]["timeline"], &classic["rooms"]["join"]["!r:x"]["timeline"]["events"]];
        for timeline in timelines {
            let root = timeline.as_array().unwrap().iter().find(|event| event["event_id"] == "$e20").unwrap();
            let told = &root["unsigned"]["m.relations"];
            assert_eq!((&told["m.thread"]["count"], &told["m.reference"]), (&json!(thread), &references));
            assert_eq!(told["m.thread"]["latest_event"]["event_id"], latest);
        }
    }
}

#[test]
fn nobody_is_deaf_to_himself() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    hub.ignore(&session, &[alice(), bob()]);
    assert_eq!(hub.ask(ListIgnored { session: session.clone() }).unwrap(), [bob().to_owned()]);
    hub.deliver(vec![notice("r", vec![spoken(2, alice(), &json!({}))])]);
    assert_eq!(timeline(&hub.sliding(&session, &rooms_only(), None, false).unwrap().body()), ["m2"]);
}
