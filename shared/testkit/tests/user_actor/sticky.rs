//! Sticky events (MSC4354, MSC4480) in both syncs.

use serde_json::{Value, json};
use tern_model::{Millis, Notice, RawJson, StickyEvent};
use tern_ports::{Clock as _, ObjectHost as _, Sql as _};

use super::support::{Hub, Step, alice, bob, member, message, notice, raw, redaction, room, summary};

const EXTENSION: &str = "org.matrix.msc4354.sticky_events";

fn sticky(hub: &Hub, seq: u64, lasts_ms: u64) -> StickyEvent {
    let client = json!({
        "type": "m.rtc.member", "event_id": format!("$e{seq}"), "sender": bob(), "content": {"body": format!("m{seq}")},
        "msc4354_sticky": {"duration_ms": lasts_ms},
    });
    StickyEvent {
        event_id: format!("$e{seq}").try_into().unwrap(),
        sender: bob().to_owned(),
        until: Millis(hub.host.clock.now().0 + lasts_ms),
        client: raw(&client),
    }
}

/// A sticky event as a room tells it.
fn sends(hub: &Hub, name: &str, seq: u64, lasts_ms: u64) {
    let sticky = sticky(hub, seq, lasts_ms);
    let mut event = message(seq, "");
    event.client = RawJson::clone(&sticky.client);
    hub.deliver(vec![Notice { sticky: vec![sticky], ..notice(name, vec![event]) }]);
}

fn wanted(since: Option<&str>, limit: u64) -> Value {
    json!({
        "lists": {"all": {"ranges": [[0, 0]], "timeline_limit": 1, "required_state": []}},
        "extensions": {EXTENSION: {"enabled": true, "limit": limit, "since": since}},
    })
}

fn answer(step: Step) -> Value {
    match step {
        Step::Answer(answer) => answer,
        other => panic!("no answer: {other:?}"),
    }
}

fn ids(events: &Value) -> Vec<String> {
    events.as_array().into_iter().flatten().map(|event| event["event_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn sliding_sync_tells_of_rooms_outside_the_window_page_by_page_and_once() {
    let hub = Hub::new();
    let session = hub.login("PHONE");
    for name in ["a", "b"] {
        hub.joins(name);
    }
    for seq in 2..=4 {
        sends(&hub, "a", seq, 60_000);
    }
    hub.says("a", 5, "hello");
    hub.says("b", 2, "newest");
    let first = answer(hub.sliding(&session, &wanted(None, 2), None, true).unwrap());
    assert!(first["rooms"].get(room("a").as_str()).is_none(), "it is outside of the window");
    let told = &first["extensions"][EXTENSION];
    assert_eq!(ids(&told["rooms"][room("a").as_str()]["events"]), ["$e2", "$e3"]);
    let left = told["rooms"][room("a").as_str()]["events"][0]["unsigned"]["msc4354_sticky_duration_ttl_ms"].as_u64();
    assert!(left.is_some_and(|left| left > 0 && left <= 60_000));
    let (pos, since) = (first["pos"].as_str(), told["next_batch"].as_str());
    let second = answer(hub.sliding(&session, &wanted(since, 2), pos, true).unwrap());
    let told = &second["extensions"][EXTENSION];
    assert_eq!(ids(&told["rooms"][room("a").as_str()]["events"]), ["$e4"]);
    let (pos, since) = (second["pos"].as_str(), told["next_batch"].as_str());
    assert!(matches!(hub.sliding(&session, &wanted(since, 2), pos, true).unwrap(), Step::Waiting(_)));
    // Without its token it begins anew, and what has expired meanwhile is not told.
    hub.host.clock.advance(61_000);
    let begun = answer(hub.sliding(&session, &wanted(None, 2), None, true).unwrap());
    assert!(begun["extensions"].get(EXTENSION).is_none());
}

#[test]
fn what_the_timeline_has_is_not_told_twice_and_says_how_long_it_lasts() {
    let hub = Hub::new();
    let session = hub.login("PHONE");
    hub.joins("a");
    let begun = answer(hub.sliding(&session, &wanted(None, 9), None, true).unwrap());
    let classic = answer(hub.classic(&session, None, false).unwrap());
    sends(&hub, "a", 2, 60_000);
    let first = answer(hub.sliding(&session, &wanted(None, 9), begun["pos"].as_str(), true).unwrap());
    let event = &first["rooms"][room("a").as_str()]["timeline"][0];
    assert_eq!(event["event_id"], "$e2");
    assert!(event["unsigned"]["msc4354_sticky_duration_ttl_ms"].is_u64(), "{event}");
    let told = &first["extensions"][EXTENSION];
    assert!(told.get("rooms").is_none() && told["next_batch"].is_string(), "{told}");
    let first = answer(hub.classic(&session, classic["next_batch"].as_str(), false).unwrap());
    let joined = &first["rooms"]["join"][room("a").as_str()];
    assert_eq!(ids(&joined["timeline"]["events"]).last().map(String::as_str), Some("$e2"));
    assert!(joined.get("msc4354_sticky").is_none());
}

#[test]
fn classic_sync_tells_in_a_gap_what_the_timeline_has_not() {
    let hub = Hub::new();
    let session = hub.login("PHONE");
    hub.joins("a");
    let first = answer(hub.classic(&session, None, false).unwrap());
    sends(&hub, "a", 2, 60_000);
    for seq in 3..=40 {
        hub.says("a", seq, "hello");
    }
    let next = answer(hub.classic(&session, first["next_batch"].as_str(), false).unwrap());
    let joined = &next["rooms"]["join"][room("a").as_str()];
    assert_eq!(joined["timeline"]["limited"], true);
    assert_eq!(ids(&joined["msc4354_sticky"]["events"]), ["$e2"]);
    let last = answer(hub.classic(&session, next["next_batch"].as_str(), false).unwrap());
    assert!(last.get("rooms").is_none(), "once: {last}");
    let anew = answer(hub.classic(&session, None, false).unwrap());
    assert_eq!(ids(&anew["rooms"]["join"][room("a").as_str()]["msc4354_sticky"]["events"]), ["$e2"]);
}

#[test]
fn redacting_leaving_and_ignoring_end_it() {
    let hub = Hub::new();
    let session = hub.login("PHONE");
    for name in ["a", "b"] {
        hub.joins(name);
        sends(&hub, name, 2, 60_000);
        for seq in 3..=40 {
            hub.says(name, seq, "hello");
        }
    }
    let told = |hub: &Hub| {
        let answer = answer(hub.sliding(&session, &wanted(None, 9), None, true).unwrap());
        answer["extensions"][EXTENSION]["rooms"].as_object().map_or(0, serde_json::Map::len)
    };
    assert_eq!(told(&hub), 2);
    hub.deliver(vec![notice("a", vec![redaction(41, 2)])]);
    assert_eq!(told(&hub), 1);
    let left = Notice { membership: Some("leave".to_owned()), ..notice("b", vec![member(41, alice(), "leave")]) };
    hub.deliver(vec![left]);
    assert_eq!(told(&hub), 0);
    // Back in, the room says again what is sticky.
    let back = Notice {
        membership: Some("join".to_owned()),
        summary: Some(summary("12")),
        sticky: vec![sticky(&hub, 2, 60_000)],
        ..notice("b", vec![member(42, alice(), "join")])
    };
    hub.deliver(vec![back]);
    assert_eq!(told(&hub), 1);
    hub.ignore(&session, &[bob()]);
    assert_eq!(told(&hub), 0);
}

#[test]
fn the_alarm_forgets_what_has_expired() {
    let hub = Hub::new();
    hub.login("PHONE");
    hub.joins("a");
    sends(&hub, "a", 2, 60_000);
    hub.host.clock.advance(61_000);
    hub.host.run(hub.actor.alarm());
    let rows = hub.host.sql().query("SELECT (SELECT count(*) FROM sticky), sticky FROM hub", &[]).unwrap();
    assert_eq!((rows[0].int(0), rows[0].int(1)), (Some(0), Some(0)));
}

#[test]
fn a_hub_without_sticky_events_never_looks_for_any() {
    let hub = Hub::new();
    let session = hub.login("PHONE");
    hub.joins("a");
    hub.host.sqlite.script("DROP TABLE sticky");
    hub.says("a", 2, "hello");
    hub.deliver(vec![notice("a", vec![redaction(3, 2)])]);
    let first = answer(hub.sliding(&session, &wanted(None, 9), None, true).unwrap());
    assert!(first["extensions"].get(EXTENSION).is_none());
    answer(hub.classic(&session, None, false).unwrap());
    hub.deliver(vec![Notice {
        membership: Some("leave".to_owned()),
        ..notice("a", vec![member(4, alice(), "leave")])
    }]);
    hub.host.run(hub.actor.alarm());
}
