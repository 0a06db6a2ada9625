//! Which rule an event meets: every condition, the order of kinds, and what never notifies.

#![expect(clippy::unwrap_used, reason = "tests")]

use ruma::{room_id, user_id};
use serde_json::{Value, json};
use tern_model::RawJson;
use tern_push::{Change, Context, Evaluator, Event, PushRules};

fn raw(value: &Value) -> RawJson {
    RawJson::from_value(value).unwrap()
}

fn context() -> Context<'static> {
    Context {
        room_id: room_id!("!r:x"),
        display_name: Some("Alice *"),
        members: 3,
        pings_room: false,
        subscribed: None,
    }
}

fn message(content: &Value) -> Value {
    json!({"type": "m.room.message", "sender": "@bob:x", "event_id": "$e", "content": content})
}

/// Whether the event notifies, and whether it highlights.
fn judged(rules: &PushRules, event: &Value, context: &Context<'_>) -> (bool, bool) {
    let evaluator = Evaluator::new(user_id!("@alice:x"), rules);
    let client = raw(event);
    let verdict = evaluator.evaluate(&Event::read(&client), context).cloned().unwrap_or_default();
    (verdict.notify, verdict.highlight)
}

fn defaults() -> PushRules {
    PushRules::server_default(user_id!("@alice:x"))
}

#[test]
fn the_predefined_rules_do_what_they_are_for() {
    let state = |kind: &str, key: &str, content: Value| json!({"type": kind, "sender": "@bob:x", "state_key": key, "content": content});
    let body = || json!({"msgtype": "m.text", "body": "hello alice"});
    let with = |more: Value| {
        let mut content = body();
        content.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        message(&content)
    };
    let redacted = json!({"type": "m.room.message", "sender": "@bob:x", "content": {},
        "unsigned": {"redacted_because": {"type": "m.room.redaction"}}});
    for (event, expected) in [
        (message(&body()), (true, false)),
        (message(&json!({"msgtype": "m.notice", "body": "x"})), (false, false)),
        (json!({"type": "m.room.encrypted", "sender": "@bob:x", "content": {}}), (true, false)),
        (json!({"type": "m.call.invite", "sender": "@bob:x", "content": {}}), (true, false)),
        (json!({"type": "m.reaction", "sender": "@bob:x", "content": {}}), (false, false)),
        (json!({"type": "m.room.message", "sender": "@alice:x", "content": body()}), (false, false)),
        (redacted, (false, false)),
        (state("m.room.member", "@alice:x", json!({"membership": "invite"})), (true, false)),
        (state("m.room.member", "@carol:x", json!({"membership": "invite"})), (false, false)),
        (state("m.room.tombstone", "", json!({})), (true, true)),
        (state("m.room.tombstone", "x", json!({})), (false, false)),
        (state("m.room.topic", "", json!({"topic": "x"})), (false, false)),
        (with(json!({"m.mentions": {"user_ids": ["@carol:x", "@alice:x"]}})), (true, true)),
        (with(json!({"m.mentions": {"user_ids": "@alice:x"}})), (true, false)),
        (with(json!({"m.mentions": {"room": true}})), (true, false)),
        (with(json!({"m.relates_to": {"rel_type": "m.replace", "event_id": "$x"}})), (false, false)),
    ] {
        assert_eq!(judged(&defaults(), &event, &context()), expected, "{event}");
    }
    let ping = with(json!({"m.mentions": {"room": true}}));
    assert_eq!(judged(&defaults(), &ping, &Context { pings_room: true, ..context() }), (true, true));
    let ping = with(json!({"m.mentions": {"room": "true"}}));
    assert_eq!(judged(&defaults(), &ping, &Context { pings_room: true, ..context() }), (true, false));
}

#[test]
fn every_condition_holds_where_it_should() {
    let event = json!({
        "type": "m.room.message", "sender": "@bob:x", "room_id": "!other:x",
        "content": {"body": "An example, alice *!", "n": 5, "b": false, "z": null, "list": [1, "two", null, {"a": 1}],
            "deep": {"a.b": "dot"}, "other": {"body": "An example"}},
    });
    let context = context();
    let matching = |key: &str, pattern: &str| json!({"kind": "event_match", "key": key, "pattern": pattern});
    let is = |key: &str, value: Value| json!({"kind": "event_property_is", "key": key, "value": value});
    let has = |key: &str, value: Value| json!({"kind": "event_property_contains", "key": key, "value": value});
    let members = |is: &str| json!({"kind": "room_member_count", "is": is});
    for (condition, holds) in [
        (matching("content.body", "ex*ple"), true),
        (matching("content.body", "xample"), false),
        (matching("content.other.body", "An example"), true),
        (matching("content.other.body", "example"), false),
        (matching(r"content.deep.a\.b", "DOT"), true),
        (matching("content.n", "5"), false),
        (matching("content.nothing", "*"), false),
        (matching("room_id", "!r:x"), true),
        (matching("room_id", "!other:x"), false),
        (matching("room_id", "*:x"), true),
        (is("room_id", json!("!r:x")), true),
        (is("room_id", json!("!other:x")), false),
        (is("room_id", json!(5)), false),
        (is("content.n", json!(5)), true),
        (is("content.n", json!("5")), false),
        (is("content.b", json!(false)), true),
        (is("content.z", json!(null)), true),
        (is("content.nothing", json!(null)), false),
        (is("content.deep", json!({"a.b": "dot"})), false),
        (has("content.list", json!("two")), true),
        (has("content.list", json!(null)), true),
        (has("content.list", json!({"a": 1})), false),
        (has("content.body", json!("An")), false),
        (members("3"), true),
        (members(">2"), true),
        (members("<3"), false),
        (members("<=3"), true),
        (json!({"kind": "contains_display_name"}), true),
        (json!({"kind": "sender_notification_permission", "key": "room"}), false),
        (json!({"kind": "io.element.msc4306.thread_subscription", "subscribed": false}), false),
        (json!({"kind": "org.example.new", "key": "content.body"}), false),
        (json!({"kind": "event_match", "key": "content.body"}), false),
    ] {
        let mut rules = defaults();
        let rule = raw(&json!({"conditions": [condition], "actions": ["notify", {"set_tweak": "highlight"}]}));
        if rules.apply("override", "own", Change::Put { rule: &rule, before: None, after: None }).is_ok() {
            assert_eq!(judged(&rules, &event, &context), (true, holds), "{condition}");
        }
    }
}

#[test]
fn kinds_are_tried_in_order_and_disabled_rules_never_match() {
    let mut rules = defaults();
    let mut put = |kind: &str, id: &str, rule: &Value| {
        rules.apply(kind, id, Change::Put { rule: &raw(rule), before: None, after: None }).unwrap();
        rules.clone()
    };
    let event = message(&json!({"msgtype": "m.text", "body": "cake!"}));
    let quiet = put("sender", "@bob:x", &json!({"actions": []}));
    assert_eq!(judged(&quiet, &event, &context()), (false, false));
    let loud = put("room", "!r:x", &json!({"actions": ["notify", {"set_tweak": "highlight", "value": true}]}));
    assert_eq!(judged(&loud, &event, &context()), (true, true));
    let cake = put("content", "cake", &json!({"pattern": "cake", "actions": ["dont_notify"]}));
    assert_eq!(judged(&cake, &event, &context()), (false, false));
    let softly = put(
        "override",
        "o",
        &json!({"conditions": [], "actions": ["notify", {"set_tweak": "highlight", "value": false}]}),
    );
    assert_eq!(judged(&softly, &event, &context()), (true, false));
    let mut off = softly;
    off.apply("override", ".m.rule.master", Change::Enable(true)).unwrap();
    assert_eq!(judged(&off, &event, &context()), (false, false));
    off.apply("override", ".m.rule.master", Change::Enable(false)).unwrap();
    off.apply("override", "o", Change::Enable(false)).unwrap();
    off.apply("content", "cake", Change::Enable(false)).unwrap();
    assert_eq!(judged(&off, &event, &context()), (true, true));
}

#[test]
fn threads_notify_by_subscription_once_a_client_uses_it() {
    let event = message(&json!({"body": "x", "m.relates_to": {"rel_type": "m.thread", "event_id": "$root"}}));
    for (subscribed, expected) in [(None, true), (Some(true), true), (Some(false), false)] {
        assert_eq!(judged(&defaults(), &event, &Context { subscribed, ..context() }).0, expected, "{subscribed:?}");
    }
}

/// A content rule for each pattern, the last one the most important.
fn with_patterns<'a>(patterns: impl IntoIterator<Item = &'a str>) -> PushRules {
    let mut rules = defaults();
    for (number, pattern) in patterns.into_iter().enumerate() {
        let rule = raw(&json!({"actions": ["notify", {"set_tweak": "highlight"}], "pattern": pattern}));
        rules.apply("content", &number.to_string(), Change::Put { rule: &rule, before: None, after: None }).unwrap();
    }
    rules
}

#[test]
fn a_hundred_words_are_looked_for_in_the_longest_message() {
    let words: Vec<String> = (0..100).map(|number| format!("word{number}")).collect();
    let rules = with_patterns(words.iter().map(String::as_str));
    let body = format!("{} word0", "x ".repeat(32_000));
    assert_eq!(judged(&rules, &message(&json!({"body": body})), &context()), (true, true));
}

/// Patterns whose every place a message reaches, and one below them that does match: it is not looked for any more.
#[test]
fn what_patterns_cost_for_one_event_is_bounded() {
    let costly = format!("{}b", "a?".repeat(127));
    let rules = with_patterns(["end"].into_iter().chain(vec![costly.as_str(); 900]));
    let body = |length: usize| message(&json!({"body": format!("{} end", "a-".repeat(length))}));
    assert_eq!(judged(&rules, &body(32_000), &context()), (true, false));
    assert_eq!(judged(&rules, &body(10), &context()), (true, true));
}

#[test]
fn a_pattern_of_an_earlier_build_that_is_too_long_matches_nothing() {
    let mut content: Value = with_patterns(["short"]).to_content().read().unwrap();
    content["global"]["content"][0]["pattern"] = "a?".repeat(10_000).into();
    let rules = PushRules::from_content(user_id!("@alice:x"), &raw(&content)).unwrap();
    let event = message(&json!({"body": "a-".repeat(10_000)}));
    assert_eq!(judged(&rules, &event, &context()), (true, false));
}
