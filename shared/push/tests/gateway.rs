//! What a gateway is sent, and what its answers mean.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use ruma::{room_id, user_id};
use serde_json::{Value, json};
use tern_model::{Millis, RawJson};
use tern_push::{
    gateway::{Device, PusherData, Told, badge, is_over, judge, notification},
    queue::Outcome,
};

fn data(more: &Value) -> PusherData {
    let mut data =
        json!({"url": "https://push.example.org/_matrix/push/v1/notify", "default_payload": {"cs": "secret"}});
    data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    PusherData::read(&RawJson::from_value(&data).unwrap())
}

fn device(data: &PusherData) -> Device<'_> {
    Device { app_id: "org.example.app", pushkey: "key", since: Millis(1_700_000_000_999), data }
}

fn sent(data: &PusherData, event: &Value, tweaks: &Value) -> Value {
    let client = RawJson::from_value(event).unwrap();
    let told = Told {
        user_id: user_id!("@alice:x"),
        room_id: room_id!("!r:x"),
        client: &client,
        tweaks: tweaks.as_object().unwrap().clone().into_iter().collect(),
        sender_name: Some("Bob".to_owned()),
        room_name: Some("Talk".to_owned()),
    };
    let body = notification(&device(data), &told, 3).unwrap();
    serde_json::from_slice::<Value>(&body).unwrap()["notification"].take()
}

fn message(body: &str) -> Value {
    json!({"type": "m.room.message", "event_id": "$e", "sender": "@bob:x", "content": {"msgtype": "m.text", "body": body}})
}

#[test]
fn the_short_format_names_the_event_and_nothing_of_it() {
    let data = data(&json!({"format": "event_id_only"}));
    let entry = json!({"app_id": "org.example.app", "pushkey": "key", "pushkey_ts": 1_700_000_000,
        "data": {"format": "event_id_only", "default_payload": {"cs": "secret"}}});
    assert_eq!(
        sent(&data, &message("hi"), &json!({"sound": "default"})),
        json!({"event_id": "$e", "room_id": "!r:x", "prio": "high", "counts": {"unread": 3}, "devices": [entry]})
    );
}

#[test]
fn the_full_format_says_what_is_known() {
    let full = sent(&data(&json!({})), &message("hi"), &json!({"highlight": false}));
    assert_eq!(full["prio"], "low");
    assert_eq!((&full["type"], &full["sender"]), (&json!("m.room.message"), &json!("@bob:x")));
    assert_eq!((&full["sender_display_name"], &full["room_name"]), (&json!("Bob"), &json!("Talk")));
    assert_eq!(full["content"], json!({"msgtype": "m.text", "body": "hi"}));
    assert_eq!(full["devices"][0]["tweaks"], json!({"highlight": false}));
    assert_eq!(full.get("user_is_target"), None);
    let long = sent(&data(&json!({})), &message(&"x".repeat(4_000)), &json!({}));
    assert_eq!(long.get("content"), None, "phones take no more");
    let invite = json!({"type": "m.room.member", "event_id": "$i", "sender": "@bob:x", "state_key": "@alice:x",
        "content": {"membership": "invite"}});
    let invite = sent(&data(&json!({})), &invite, &json!({"sound": "default"}));
    assert_eq!((&invite["membership"], &invite["user_is_target"]), (&json!("invite"), &json!(true)));
}

#[test]
fn what_rings_or_may_ring_is_urgent() {
    let encrypted = json!({"type": "m.room.encrypted", "event_id": "$e", "sender": "@bob:x", "content": {}});
    for (event, tweaks, prio) in [
        (message("x"), json!({}), "low"),
        (message("x"), json!({"sound": "ring"}), "high"),
        (message("x"), json!({"highlight": true}), "high"),
        (encrypted, json!({}), "high"),
    ] {
        assert_eq!(sent(&data(&json!({})), &event, &tweaks)["prio"], prio);
    }
}

#[test]
fn badges_are_explicit_and_may_be_unwanted() {
    let body: Value = serde_json::from_slice(&badge(&device(&data(&json!({}))), 0)).unwrap();
    assert_eq!(body["notification"]["counts"], json!({"unread": 0}));
    assert_eq!(body["notification"]["devices"][0]["pushkey"], "key");
    let unwanted = data(&json!({"org.matrix.msc4076.disable_badge_count": true}));
    assert!(unwanted.no_counts);
    assert_eq!(sent(&unwanted, &message("x"), &json!({})).get("counts"), None);
}

#[test]
fn answers_are_judged_by_status_and_only_the_own_key_is_rejected() {
    let of = |status, retry_after, body: &str| judge(status, retry_after, (body.as_bytes(), false), "key");
    assert_eq!(of(200, None, "{}"), (Outcome::Delivered, false));
    assert_eq!(of(200, None, "[]"), (Outcome::Delivered, false));
    assert_eq!(of(200, None, r#"{"rejected":["other", "key"]}"#), (Outcome::Delivered, true));
    for odd in
        [r#"{"rejected":["other"]}"#, r#"{"rejected":null}"#, r#"{"rejected":"key"}"#, r#"{"rejected":[["key"]]}"#]
    {
        assert_eq!(of(200, None, odd), (Outcome::Delivered, false), "{odd}");
    }
    assert_eq!(of(200, None, "<html>"), (Outcome::Failed(None), false));
    assert_eq!(judge(200, None, (b"{\"a", true), "key"), (Outcome::Delivered, false));
    for status in [400, 413, 422] {
        assert_eq!(of(status, None, "{}"), (Outcome::Refused, false));
    }
    for status in [302, 401, 403, 404, 410, 500, 502, 507] {
        assert_eq!(of(status, None, r#"{"rejected":["key"]}"#), (Outcome::Failed(None), false));
    }
    assert_eq!(of(429, Some("7"), "{}"), (Outcome::Failed(Some(7_000)), false));
    assert_eq!(of(429, Some("tomorrow"), "{}"), (Outcome::Failed(None), false));
}

#[test]
fn nobody_rings_for_a_call_that_is_over() {
    let call = json!({"type": "m.call.invite", "origin_server_ts": 1_000, "content": {"lifetime": 60_000}});
    let call = RawJson::from_value(&call).unwrap();
    assert!(!is_over(&call, Millis(61_000)) && is_over(&call, Millis(61_001)));
    assert!(!is_over(&RawJson::from_value(&message("x")).unwrap(), Millis(u64::MAX)));
}
