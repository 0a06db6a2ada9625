//! What is the user's own goes along when a room is replaced: tags, direct chats, push rules.

use std::rc::Rc;

use serde_json::{Value, json};
use tern_model::{Notice, NoticeEvent, RoomSummary};
use tern_ports::wire::user::{
    ChangePushRule, ChangeTag, PushRuleChange, ReadAccountData, SessionRef, WriteAccountData,
};

use crate::support::{Hub, alice, bob, everything, member, message, notice, raw, room, summary};

const OLD: &str = "!old:x";
const NEW: &str = "!new:x";

fn read(hub: &Hub, session: &SessionRef, name: Option<&str>, kind: &str) -> Option<Value> {
    let read = ReadAccountData { session: session.clone(), room_id: name.map(room), kind: kind.to_owned() };
    hub.ask(read).unwrap().map(|content| content.read().unwrap())
}

fn write_direct(hub: &Hub, session: &SessionRef, content: &Value) {
    let (kind, content) = ("m.direct".to_owned(), raw(content));
    hub.ask(WriteAccountData { session: session.clone(), room_id: None, kind, content }).unwrap();
}

fn tag(hub: &Hub, session: &SessionRef, name: &str, tag: &str, content: Option<&Value>) {
    let content = content.map(raw);
    hub.ask(ChangeTag { session: session.clone(), room_id: room(name), tag: tag.to_owned(), content }).unwrap();
}

fn change_rule(hub: &Hub, session: &SessionRef, kind: &str, room_id: &str, change: PushRuleChange) {
    let (kind, rule_id) = (kind.to_owned(), room_id.to_owned());
    hub.ask(ChangePushRule { session: session.clone(), kind, rule_id, change }).unwrap();
}

/// Mutes a room as clients do, and says that its messages make no sound.
fn mute(hub: &Hub, session: &SessionRef, room_id: &str) {
    let condition = json!({ "kind": "event_match", "key": "room_id", "pattern": room_id });
    for (kind, rule) in
        [("override", json!({ "actions": [], "conditions": [condition] })), ("room", json!({ "actions": ["notify"] }))]
    {
        change_rule(hub, session, kind, room_id, PushRuleChange::Put { rule: raw(&rule), before: None, after: None });
    }
}

/// The rules of a room: kind and switch.
fn rules(content: &Value, room_id: &str) -> Vec<(&'static str, bool)> {
    let of = |kind: &'static str| {
        let rules = content["global"][kind].as_array().unwrap();
        rules.iter().find(|rule| rule["rule_id"] == room_id).map(|rule| (kind, rule["enabled"] == true))
    };
    ["override", "room"].into_iter().filter_map(of).collect()
}

fn rules_of(hub: &Hub, session: &SessionRef, room_id: &str) -> Vec<(&'static str, bool)> {
    rules(&read(hub, session, None, "m.push_rules").unwrap(), room_id)
}

/// Alice is in the old room, which is a favourite of hers, a direct chat with Bob and muted.
fn settled() -> (Hub, SessionRef) {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("old");
    tag(&hub, &session, "old", "m.favourite", Some(&json!({"order": 0.5})));
    write_direct(&hub, &session, &json!({bob().as_str(): [OLD, "!else:x"], "@c:x": ["!else:x"]}));
    mute(&hub, &session, OLD);
    change_rule(&hub, &session, "room", OLD, PushRuleChange::Enable(false));
    (hub, session)
}

fn tombstone(hub: &Hub, name: &str, seq: u64, replacement: &str) {
    let content = json!({ "type": "m.room.tombstone", "state_key": "", "event_id": format!("$e{seq}"), "sender": bob(),
        "origin_server_ts": 1_000 + seq, "content": { "replacement_room": replacement } });
    let (kind, state_key) = ("m.room.tombstone".to_owned(), Some(String::new()));
    let event = NoticeEvent { kind, state_key, client: raw(&content), ..message(seq, "") };
    let tombstone = Some(replacement.to_owned());
    let summary = Rc::new(RoomSummary { tombstone, ..RoomSummary::clone(&summary("12")) });
    hub.deliver(vec![Notice { summary: Some(summary), ..notice(name, vec![event]) }]);
}

/// Alice joins a room that says it replaces another one.
fn join_as(name: &str, seq: u64, predecessor: &str) -> Notice {
    let summary = RoomSummary { predecessor: Some(room(predecessor)), ..RoomSummary::clone(&summary("12")) };
    let (membership, summary) = (Some("join".to_owned()), Some(Rc::new(summary)));
    Notice { membership, summary, ..notice(name, vec![member(seq, alice(), "join")]) }
}

fn leave(hub: &Hub, name: &str, seq: u64) {
    let left = notice(name, vec![member(seq, alice(), "leave")]);
    hub.deliver(vec![Notice { membership: Some("leave".to_owned()), ..left }]);
}

fn assert_copied(hub: &Hub, session: &SessionRef) {
    assert_eq!(read(hub, session, Some("new"), "m.tag"), Some(json!({"tags": {"m.favourite": {"order": 0.5}}})));
    assert_eq!(
        read(hub, session, None, "m.direct"),
        Some(json!({bob().as_str(): [OLD, "!else:x", NEW], "@c:x": ["!else:x"]}))
    );
    assert_eq!(rules_of(hub, session, NEW), [("override", true), ("room", false)]);
    assert_eq!(rules_of(hub, session, OLD), [("override", true), ("room", false)]);
}

fn assert_nothing_copied(hub: &Hub, session: &SessionRef) {
    assert_eq!(read(hub, session, Some("new"), "m.tag"), None);
    assert!(!read(hub, session, None, "m.direct").unwrap().to_string().contains(NEW));
    assert!(rules_of(hub, session, NEW).is_empty());
}

#[test]
fn a_member_who_joins_the_new_room_finds_settings_there_and_both_syncs_tell() {
    let (hub, session) = settled();
    let sliding = hub.sliding(&session, &everything(), None, false).unwrap().body();
    let classic = hub.classic(&session, None, false).unwrap().body();
    tombstone(&hub, "old", 2, NEW);
    assert_nothing_copied(&hub, &session);
    hub.deliver(vec![join_as("new", 1, "old")]);
    assert_copied(&hub, &session);

    let next = hub.sliding(&session, &everything(), sliding["pos"].as_str(), true).unwrap().body();
    let told = &next["extensions"]["account_data"];
    assert_eq!(told["rooms"][NEW][0]["content"]["tags"]["m.favourite"]["order"], 0.5);
    assert_eq!(next["rooms"][NEW]["is_dm"], true);
    let next = hub.classic(&session, classic["next_batch"].as_str(), true).unwrap().body();
    let events = &next["rooms"]["join"][NEW]["account_data"]["events"];
    assert_eq!(events[0]["content"]["tags"]["m.favourite"]["order"], 0.5);
    for global in [told["global"].as_array().unwrap(), next["account_data"]["events"].as_array().unwrap()] {
        let content = |kind: &str| global.iter().find(|event| event["type"] == kind).unwrap()["content"].clone();
        assert_eq!(rules(&content("m.push_rules"), NEW), [("override", true), ("room", false)]);
        assert!(content("m.direct").to_string().contains(NEW));
    }
    // The new room is muted from now on.
    hub.says("new", 2, "hello");
    let next = hub.classic(&session, next["next_batch"].as_str(), true).unwrap().body();
    assert_eq!(next["rooms"]["join"][NEW]["unread_notifications"]["notification_count"], 0);
}

#[test]
fn who_upgrades_a_room_is_in_the_new_one_before_the_old_one_has_a_tombstone() {
    let (hub, session) = settled();
    hub.deliver(vec![join_as("new", 2, "old")]);
    assert_nothing_copied(&hub, &session);
    let hub = hub.slept();
    tombstone(&hub, "old", 2, NEW);
    assert_copied(&hub, &session);
}

#[test]
fn a_room_that_only_claims_to_replace_another_one_gets_nothing() {
    // The old room has no tombstone, or leads elsewhere.
    let (hub, session) = settled();
    hub.deliver(vec![join_as("new", 2, "old")]);
    tombstone(&hub, "old", 2, "!real:x");
    assert_nothing_copied(&hub, &session);
    // It leads to a room that does not know of it.
    let (hub, session) = settled();
    hub.joins("new");
    tombstone(&hub, "old", 2, NEW);
    assert_nothing_copied(&hub, &session);
    // It leads there, but Alice has never been in it, whatever she has set for it.
    let (hub, session) = settled();
    mute(&hub, &session, "!foreign:x");
    tag(&hub, &session, "foreign", "u.x", Some(&json!({})));
    let invite = notice("foreign", vec![member(1, alice(), "invite")]);
    hub.deliver(vec![Notice { membership: Some("invite".to_owned()), ..invite }]);
    tombstone(&hub, "foreign", 2, NEW);
    hub.deliver(vec![join_as("new", 2, "foreign")]);
    assert_nothing_copied(&hub, &session);
}

#[test]
fn who_has_not_joined_the_new_room_yet_gets_settings_with_the_join() {
    let (hub, session) = settled();
    let invited = notice("new", vec![member(2, alice(), "invite")]);
    hub.deliver(vec![Notice { membership: Some("invite".to_owned()), ..invited }]);
    tombstone(&hub, "old", 2, NEW);
    leave(&hub, "old", 3);
    assert_nothing_copied(&hub, &session);
    hub.deliver(vec![join_as("new", 3, "old")]);
    assert_copied(&hub, &session);
}

#[test]
fn settings_come_once_and_not_again_with_the_next_join() {
    let (hub, session) = settled();
    tombstone(&hub, "old", 2, NEW);
    hub.deliver(vec![join_as("new", 2, "old")]);
    tag(&hub, &session, "new", "m.favourite", None);
    for kind in ["override", "room"] {
        change_rule(&hub, &session, kind, NEW, PushRuleChange::Delete);
    }
    write_direct(&hub, &session, &json!({bob().as_str(): [OLD]}));
    let hub = hub.slept();
    hub.deliver(vec![join_as("new", 2, "old")]);
    leave(&hub, "new", 3);
    hub.deliver(vec![join_as("new", 4, "old")]);
    tombstone(&hub, "old", 3, NEW);
    assert_eq!(read(&hub, &session, Some("new"), "m.tag"), Some(json!({"tags": {}})));
    assert_eq!(read(&hub, &session, None, "m.direct"), Some(json!({bob().as_str(): [OLD]})));
    assert!(rules_of(&hub, &session, NEW).is_empty());
}

#[test]
fn a_lost_join_is_told_again_and_brings_settings() {
    let (hub, session) = settled();
    tombstone(&hub, "old", 2, NEW);
    hub.host.sqlite.make_durable();
    let deliver = tern_ports::wire::user::Deliver { notices: vec![join_as("new", 2, "old")] };
    hub.host.run(hub.actor.handle(deliver.clone().into()));
    let hub = hub.crashed();
    assert_nothing_copied(&hub, &session);
    hub.ask(deliver).unwrap();
    assert_copied(&hub, &session);
}

#[test]
fn what_the_new_room_has_of_its_own_stays() {
    let (hub, session) = settled();
    tag(&hub, &session, "old", "u.old", Some(&json!({})));
    tag(&hub, &session, "new", "m.favourite", Some(&json!({"order": 0.1})));
    mute(&hub, &session, NEW);
    change_rule(&hub, &session, "override", NEW, PushRuleChange::Enable(false));
    tombstone(&hub, "old", 2, NEW);
    hub.deliver(vec![join_as("new", 2, "old")]);
    let tags = json!({"tags": {"m.favourite": {"order": 0.1}, "u.old": {}}});
    assert_eq!(read(&hub, &session, Some("new"), "m.tag"), Some(tags));
    assert_eq!(rules_of(&hub, &session, NEW), [("override", false), ("room", true)]);
}

#[test]
fn a_part_that_has_grown_too_large_is_left_out_alone() {
    let (hub, session) = settled();
    let padding = |length: usize| json!({bob().as_str(): [OLD], "padding": "x".repeat(length)});
    let fitting = 512 * 1024 - padding(0).to_string().len();
    write_direct(&hub, &session, &padding(fitting));
    tombstone(&hub, "old", 2, NEW);
    hub.deliver(vec![join_as("new", 2, "old")]);
    assert_eq!(read(&hub, &session, None, "m.direct"), Some(padding(fitting)));
    assert!(read(&hub, &session, Some("new"), "m.tag").is_some());
    assert_eq!(rules_of(&hub, &session, NEW).len(), 2);
}

#[test]
fn a_room_that_replaces_none_costs_no_row_for_it() {
    let (hub, _session) = settled();
    let ((), plain) = hub.rows(|| hub.joins("plain"));
    let ((), claims) = hub.rows(|| hub.deliver(vec![join_as("claims", 1, "unknown")]));
    assert_eq!(plain, claims);
}
