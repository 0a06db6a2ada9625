//! Push rules as a client sees them.

#![expect(clippy::unwrap_used, reason = "tests")]

use ruma::user_id;
use serde_json::{Value, json};
use tern_model::{MatrixError, RawJson};
use tern_push::{Change, PushRuleError, PushRules, View};

fn rules() -> PushRules {
    PushRules::server_default(user_id!("@a:example.org"))
}

fn raw(value: &Value) -> RawJson {
    RawJson::from_value(value).unwrap()
}

fn seen(rules: &PushRules, view: View<'_>) -> Value {
    rules.view(view).unwrap().read().unwrap()
}

fn put(
    rules: &mut PushRules,
    kind: &str,
    id: &str,
    before: Option<&str>,
    after: Option<&str>,
) -> Result<(), PushRuleError> {
    let rule = raw(&json!({ "actions": ["notify"], "pattern": "cake" }));
    rules.apply(kind, id, Change::Put { rule: &rule, before, after })
}

fn ids(rules: &PushRules, kind: &str) -> Vec<String> {
    let list = seen(rules, View::Kind(kind));
    list.as_array().unwrap().iter().map(|rule| rule["rule_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_new_user_has_the_predefined_rules_and_every_kind() {
    let all = seen(&rules(), View::All);
    let global = all["global"].as_object().unwrap();
    assert_eq!(
        global.keys().collect::<Vec<_>>(),
        ["content", "override", "postcontent", "room", "sender", "underride"]
    );
    assert_eq!(all["global"]["override"][0]["rule_id"], ".m.rule.master");
    assert_eq!(all["global"]["override"][0]["enabled"], false);
    assert!(ids(&rules(), "override").contains(&".m.rule.is_user_mention".to_owned()));
    assert_eq!(all["global"]["underride"][0]["rule_id"], ".m.rule.call");
    assert_eq!(seen(&rules(), View::Global), all["global"]);
    let mention = seen(&rules(), View::Rule("override", ".m.rule.is_user_mention"));
    assert_eq!(mention["conditions"][0]["value"], "@a:example.org");
    assert_eq!(mention["actions"][2], json!({ "set_tweak": "highlight" }));
}

#[test]
fn a_new_rule_is_the_most_important_one_of_the_users_but_below_the_master_switch() {
    let mut rules = rules();
    put(&mut rules, "override", "one", None, None).unwrap();
    put(&mut rules, "override", "two", None, None).unwrap();
    assert_eq!(ids(&rules, "override")[..4], [".m.rule.master", "two", "one", ".m.rule.suppress_notices"]);
    put(&mut rules, "underride", "one", None, None).unwrap();
    assert_eq!(ids(&rules, "underride")[..2], ["one", ".m.rule.call"]);
    let rule = seen(&rules, View::Rule("override", "one"));
    assert_eq!(
        rule,
        json!({ "actions": ["notify"], "conditions": [], "default": false, "enabled": true, "rule_id": "one" })
    );
}

#[test]
fn before_and_after_place_and_move_a_rule() {
    let mut rules = rules();
    for id in ["c", "b", "a"] {
        put(&mut rules, "content", id, None, None).unwrap();
    }
    assert_eq!(ids(&rules, "content"), ["a", "b", "c"]);
    put(&mut rules, "content", "x", Some("b"), None).unwrap();
    assert_eq!(ids(&rules, "content"), ["a", "x", "b", "c"]);
    put(&mut rules, "content", "a", None, Some("c")).unwrap();
    assert_eq!(ids(&rules, "content"), ["x", "b", "c", "a"]);
    put(&mut rules, "content", "y", Some("a"), Some("x")).unwrap();
    assert_eq!(ids(&rules, "content"), ["x", "b", "c", "y", "a"]);
    put(&mut rules, "content", "c", None, None).unwrap();
    assert_eq!(ids(&rules, "content"), ["x", "b", "c", "y", "a"]);

    let before = rules.clone();
    assert_eq!(put(&mut rules, "content", "z", Some("x"), Some("a")), Err(PushRuleError::NeighboursOutOfOrder));
    assert_eq!(
        put(&mut rules, "content", "z", Some("no"), None),
        Err(PushRuleError::UnknownNeighbour("no".to_owned()))
    );
    assert_eq!(put(&mut rules, "content", "x", None, Some("x")), Err(PushRuleError::UnknownNeighbour("x".to_owned())));
    assert_eq!(put(&mut rules, "override", "z", Some(".m.rule.master"), None), Err(PushRuleError::PredefinedNeighbour));
    assert_eq!(rules, before);
}

#[test]
fn a_replaced_rule_stays_switched_off() {
    let mut rules = rules();
    put(&mut rules, "content", "cake", None, None).unwrap();
    rules.apply("content", "cake", Change::Enable(false)).unwrap();
    put(&mut rules, "content", "cake", None, None).unwrap();
    assert_eq!(seen(&rules, View::Enabled("content", "cake")), json!({ "enabled": false }));
}

#[test]
fn predefined_rules_can_be_switched_and_re_aimed_only() {
    let mut rules = rules();
    rules.apply("override", ".m.rule.master", Change::Enable(true)).unwrap();
    let actions = raw(&json!(["notify", { "set_tweak": "sound", "value": "bing" }]));
    rules.apply("underride", ".m.rule.call", Change::Actions(&actions)).unwrap();
    assert_eq!(seen(&rules, View::Enabled("override", ".m.rule.master")), json!({ "enabled": true }));
    assert_eq!(
        seen(&rules, View::Actions("underride", ".m.rule.call")),
        json!({ "actions": ["notify", { "set_tweak": "sound", "value": "bing" }] })
    );
    assert_eq!(rules.apply("underride", ".m.rule.call", Change::Delete), Err(PushRuleError::Predefined));
    assert_eq!(put(&mut rules, "underride", ".m.rule.call", None, None), Err(PushRuleError::Predefined));
    assert_eq!(put(&mut rules, "underride", ".mine", None, None), Err(PushRuleError::Predefined));
}

#[test]
fn unknown_rules_and_kinds_are_not_found() {
    let mut rules = rules();
    put(&mut rules, "room", "!r:example.org", None, None).unwrap();
    rules.apply("room", "!r:example.org", Change::Delete).unwrap();
    for change in [Change::Delete, Change::Enable(true), Change::Actions(&raw(&json!([])))] {
        assert_eq!(rules.apply("room", "!r:example.org", change), Err(PushRuleError::UnknownRule));
        assert_eq!(rules.apply("precontent", "x", change), Err(PushRuleError::UnknownKind));
    }
    assert_eq!(rules.view(View::Kind("global")), Err(PushRuleError::UnknownKind));
    let error = MatrixError::from(rules.view(View::Enabled("content", "x")).unwrap_err());
    assert_eq!((error.status, error.errcode.as_ref()), (404, "M_NOT_FOUND"));
}

#[test]
fn malformed_rules_are_refused_and_change_nothing() {
    let mut rules = rules();
    let before = rules.clone();
    for (kind, body) in [
        ("content", json!({ "actions": ["notify"] })),
        ("content", json!({ "pattern": "x" })),
        ("content", json!({ "pattern": 7, "actions": [] })),
        ("override", json!({ "actions": [7] })),
        ("override", json!({ "actions": ["shout"] })),
        ("override", json!({ "actions": ["notify", "org.example.dance"] })),
        ("override", json!({ "actions": [{ "sound": "default" }] })),
        ("override", json!({ "actions": [{ "set_tweak": "sound", "value": 7 }] })),
        ("override", json!({ "actions": [], "conditions": [{ "kind": "event_match" }] })),
        ("override", json!({ "actions": [], "conditions": "all" })),
        ("override", json!(["notify"])),
    ] {
        let rule = raw(&body);
        let refused = rules.apply(kind, "x", Change::Put { rule: &rule, before: None, after: None });
        assert!(matches!(refused, Err(PushRuleError::Malformed(_))), "{kind} {body}: {refused:?}");
    }
    for (kind, id) in
        [("content", ""), ("content", "a/b"), ("content", "a\\b"), ("room", "x"), ("sender", "!r:example.org")]
    {
        assert_eq!(put(&mut rules, kind, id, None, None), Err(PushRuleError::InvalidRuleId), "{kind} {id}");
    }
    assert_eq!(put(&mut rules, "content", &"x".repeat(256), None, None), Err(PushRuleError::InvalidRuleId));
    assert_eq!(rules, before);
}

#[test]
fn an_action_is_a_known_name_or_a_tweak_also_for_rules_that_exist() {
    let mut rules = rules();
    let master = ".m.rule.master";
    for actions in
        [json!([]), json!(["notify"]), json!(["dont_notify"]), json!(["coalesce", { "set_tweak": "highlight" }])]
    {
        rules.apply("override", master, Change::Actions(&raw(&actions))).unwrap();
    }
    for actions in [json!(["shout"]), json!([{}]), json!([null]), json!("notify")] {
        let refused = rules.apply("override", master, Change::Actions(&raw(&actions)));
        assert!(matches!(refused, Err(PushRuleError::Malformed(_))), "{actions}: {refused:?}");
    }
}

/// Every hub of a room looks for patterns in every event of it.
#[test]
fn a_rule_has_a_bounded_number_of_conditions_and_actions_and_short_patterns() {
    let mut rules = rules();
    let mut put = |kind: &str, rule: &Value| {
        let rule = raw(rule);
        rules.apply(kind, "rule", Change::Put { rule: &rule, before: None, after: None })
    };
    let like = |pattern: &str| json!({"kind": "event_match", "key": "content.body", "pattern": pattern});
    let (long, longest) = ("x".repeat(256), "x".repeat(255));
    for (kind, rule) in [
        ("content", json!({"actions": [], "pattern": long})),
        ("override", json!({"actions": [], "conditions": [like(&long)]})),
        ("override", json!({"actions": [], "conditions": vec![like("x"); 33]})),
        ("override", json!({"actions": vec!["notify"; 33], "conditions": []})),
    ] {
        assert!(matches!(put(kind, &rule), Err(PushRuleError::Malformed(_))), "{kind}");
    }
    put("content", &json!({"actions": [], "pattern": longest})).unwrap();
    put("override", &json!({"actions": vec!["notify"; 32], "conditions": vec![like(&longest); 32]})).unwrap();
}

#[test]
fn rules_of_one_kind_are_limited() {
    let mut rules = rules();
    for number in 0..1_000 {
        put(&mut rules, "content", &number.to_string(), None, None).unwrap();
    }
    assert_eq!(put(&mut rules, "content", "more", None, None), Err(PushRuleError::TooMany));
    put(&mut rules, "content", "7", None, None).unwrap();
}

#[test]
fn stored_rules_keep_the_users_settings_and_get_this_builds_predefined_rules() {
    let user = user_id!("@a:example.org");
    let mut rules = rules();
    put(&mut rules, "override", "mine", None, None).unwrap();
    let unknown = raw(
        &json!({ "actions": [{ "set_tweak": "org.example.dance" }], "conditions": [{ "kind": "org.example.moon", "phase": 3 }] }),
    );
    rules.apply("underride", "odd", Change::Put { rule: &unknown, before: None, after: None }).unwrap();
    rules.apply("override", ".m.rule.suppress_notices", Change::Enable(false)).unwrap();
    let content = rules.to_content();
    assert_eq!(PushRules::from_content(user, &content).unwrap(), rules);

    let mut old: Value = content.read().unwrap();
    let list = old["global"]["override"].as_array_mut().unwrap();
    list.retain(|rule| rule["rule_id"] != ".m.rule.tombstone");
    list.push(json!({ "rule_id": ".m.rule.gone", "default": true, "enabled": true, "actions": [], "conditions": [] }));
    assert_eq!(PushRules::from_content(user, &raw(&old)).unwrap(), rules);
    assert!(PushRules::from_content(user, &raw(&json!({}))).is_err());
}
