//! What state resolution changed, as clients are told.

use serde_json::{Value, json};
use tern_model::{Notice, NoticeEvent, ResolvedState, RoomSeq};
use tern_ports::wire::user::SlidingSync;

use crate::support::{Hub, alice, bob, member, message, notice, raw, room, step};

fn topic(seq: u64, text: &str) -> NoticeEvent {
    let client = json!({
        "type": "m.room.topic", "event_id": format!("$t{text}"), "sender": bob(), "state_key": "",
        "origin_server_ts": 1_000 + seq, "content": {"topic": text},
    });
    NoticeEvent {
        event_id: format!("$t{text}").try_into().unwrap(),
        kind: "m.room.topic".to_owned(),
        state_key: Some(String::new()),
        client: raw(&client),
        ..message(seq, "")
    }
}

/// The room's topic is changed by resolution at the position of a message.
fn turn(seq: u64, event: Option<NoticeEvent>) -> Notice {
    let resolved =
        ResolvedState { seq: RoomSeq(seq), kind: "m.room.topic".to_owned(), state_key: String::new(), event };
    Notice { resolved: vec![resolved], ..notice("r", vec![message(seq, &format!("m{seq}"))]) }
}

fn request() -> Value {
    json!({"lists": {"all": {"ranges": [[0, 99]], "timeline_limit": 20, "required_state": [["m.room.topic", ""]]}}})
}

fn topics(events: &Value) -> Vec<String> {
    let events = events.as_array().cloned().unwrap_or_default();
    events.iter().filter_map(|event| event["content"]["topic"].as_str().map(str::to_owned)).collect()
}

#[test]
fn restored_state_reaches_clients_of_every_sync() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    hub.storage.learn(&room("r"), &[member(1, alice(), "join"), topic(2, "first"), topic(3, "second")]);
    hub.deliver(vec![notice("r", vec![topic(2, "first"), topic(3, "second")])]);
    let first = hub.sliding(&session, &request(), None, false).unwrap().body();
    assert_eq!(topics(&first["rooms"]["!r:x"]["required_state"]), ["second"]);
    let classic = hub.classic(&session, None, false).unwrap().body();
    hub.deliver(vec![turn(4, Some(topic(4, "first")))]);
    let hub = hub.slept();
    let live = hub.sliding(&session, &request(), first["pos"].as_str(), false).unwrap().body();
    assert_eq!(topics(&live["rooms"]["!r:x"]["required_state"]), ["first"]);
    assert_eq!(topics(&live["rooms"]["!r:x"]["timeline"]), [""; 0]);
    let since = hub.classic(&session, classic["next_batch"].as_str(), false).unwrap().body();
    assert_eq!(topics(&since["rooms"]["join"]["!r:x"]["state"]["events"]), ["first"]);
    // Once, and not when it is told again; what is set afterwards holds.
    hub.deliver(vec![turn(4, Some(topic(4, "first"))), notice("r", vec![topic(5, "third")])]);
    let later = hub.sliding(&session, &request(), live["pos"].as_str(), false).unwrap().body();
    assert_eq!(topics(&later["rooms"]["!r:x"]["required_state"]), ["third"]);
    hub.says("r", 6, "m6");
    let quiet = hub.sliding(&session, &request(), later["pos"].as_str(), false).unwrap().body();
    assert_eq!(topics(&quiet["rooms"]["!r:x"]["required_state"]), [""; 0]);
}

#[test]
fn what_lost_is_in_the_timeline_alone() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    hub.deliver(vec![notice("r", vec![topic(2, "ours")])]);
    let first = hub.sliding(&session, &request(), None, false).unwrap().body();
    hub.deliver(vec![notice("r", vec![NoticeEvent { state_key: None, ..topic(3, "theirs") }])]);
    let live = hub.sliding(&session, &request(), first["pos"].as_str(), false).unwrap().body();
    assert_eq!(topics(&live["rooms"]["!r:x"]["timeline"]), ["theirs"]);
    assert_eq!(topics(&live["rooms"]["!r:x"]["required_state"]), [""; 0]);
    hub.storage.learn(&room("r"), &[member(1, alice(), "join"), topic(2, "ours"), message(3, "")]);
    let other = hub.login("E");
    let anew = hub.sliding(&other, &request(), None, false).unwrap().body();
    assert_eq!(topics(&anew["rooms"]["!r:x"]["required_state"]), ["ours"]);
}

#[test]
fn state_that_was_taken_away_is_not_told_any_more() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    let first = hub.sliding(&session, &request(), None, false).unwrap().body();
    let classic = hub.classic(&session, None, false).unwrap().body();
    hub.deliver(vec![notice("r", vec![topic(2, "gone")]), turn(3, None)]);
    let live = hub.sliding(&session, &request(), first["pos"].as_str(), false).unwrap().body();
    assert_eq!(topics(&live["rooms"]["!r:x"]["timeline"]), ["gone"]);
    assert_eq!(topics(&live["rooms"]["!r:x"]["required_state"]), [""; 0]);
    let since = hub.classic(&session, classic["next_batch"].as_str(), false).unwrap().body();
    assert_eq!(topics(&since["rooms"]["join"]["!r:x"]["state"]["events"]), [""; 0]);
}

#[test]
fn a_join_that_was_undone_ends_the_room() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    hub.deliver(vec![notice("r", vec![member(2, bob(), "join")])]);
    let stable = |pos: Option<&str>| {
        step(hub.handle(SlidingSync {
            session: session.clone(),
            body: raw(&json!({"lists": {"all": {"range": [0, 99], "timeline_limit": 20, "required_state": {}}}})),
            pos: pos.map(str::to_owned),
            stable: true,
            may_wait: false,
            presence: None,
        }))
        .unwrap()
        .body()
    };
    let first = stable(None);
    let classic = hub.classic(&session, None, false).unwrap().body();
    let own = ResolvedState {
        seq: RoomSeq(3),
        kind: "m.room.member".to_owned(),
        state_key: alice().to_string(),
        event: None,
    };
    let gone = Notice { resolved: vec![own], membership: Some("leave".to_owned()), ..notice("r", vec![]) };
    hub.deliver(vec![gone.clone()]);
    let live = stable(first["pos"].as_str());
    assert_eq!(live["rooms"]["!r:x"]["membership"], "leave", "{live}");
    let since = hub.classic(&session, classic["next_batch"].as_str(), false).unwrap().body();
    assert!(since["rooms"]["leave"]["!r:x"].is_object(), "{since}");
    hub.deliver(vec![gone]);
    let again = hub.classic(&session, since["next_batch"].as_str(), false).unwrap().body();
    assert!(again["rooms"]["leave"]["!r:x"].is_null(), "{again}");
    assert!(again["rooms"]["join"]["!r:x"].is_null(), "{again}");
}
