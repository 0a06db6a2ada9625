//! Account data, tags, push rules, filters, profile, to-device.

use std::collections::BTreeMap;

use ruma::user_id;
use serde_json::{Value, json};
use tern_model::{Caller, MatrixError, news};
use tern_ports::{
    ObjectHost, Sql,
    wire::{
        Done, RoomCommand,
        user::{
            ChangePushRule, ChangeTag, DeleteAccountData, DeliverToDevice, PushRuleChange, ReadAccountData, ReadFilter,
            ReadInvitee, ReadProfile, SessionRef, WriteAccountData, WriteFilter, WriteProfile,
        },
    },
};
use tern_testkit::network::{lost, reply};

use crate::support::{Hub, alice, bob, everything, raw, room};

fn write(
    hub: &Hub,
    session: &SessionRef,
    name: Option<&str>,
    kind: &str,
    content: &Value,
) -> Result<Done, MatrixError> {
    hub.ask(WriteAccountData {
        session: session.clone(),
        room_id: name.map(room),
        kind: kind.to_owned(),
        content: raw(content),
    })
}

fn read(hub: &Hub, session: &SessionRef, name: Option<&str>, kind: &str) -> Option<Value> {
    let read = ReadAccountData { session: session.clone(), room_id: name.map(room), kind: kind.to_owned() };
    hub.ask(read).unwrap().map(|content| content.read().unwrap())
}

#[test]
fn account_data_is_kept_and_wakes_and_shown_by_both_syncs() {
    let hub = Hub::new();
    let session = hub.login("D");
    let first = hub.sliding(&session, &everything(), None, false).unwrap().body();
    let since = hub.classic(&session, None, false).unwrap().body()["next_batch"].as_str().unwrap().to_owned();
    let kinds = hub.sliding(&session, &everything(), first["pos"].as_str(), true).unwrap().kinds();
    assert_ne!(kinds & news::ACCOUNT_DATA, 0);
    hub.host.take_wakes();
    write(&hub, &session, None, "x.y", &json!({"a": 1})).unwrap();
    assert_ne!(hub.woken() & kinds, 0);
    let hub = hub.slept();
    assert_eq!(read(&hub, &session, None, "x.y"), Some(json!({"a": 1})));
    assert_eq!(read(&hub, &session, None, "x.z"), None);
    let expected = json!([{"type": "x.y", "content": {"a": 1}}]);
    let next = hub.sliding(&session, &everything(), first["pos"].as_str(), true).unwrap().body();
    assert_eq!(next["extensions"]["account_data"]["global"], expected);
    let next = hub.classic(&session, Some(&since), true).unwrap().body();
    assert_eq!(next["account_data"]["events"], expected);
}

#[test]
fn what_the_server_manages_cannot_be_written() {
    let hub = Hub::new();
    let session = hub.login("D");
    for kind in ["m.push_rules", "m.fully_read"] {
        let refused = write(&hub, &session, None, kind, &json!({})).unwrap_err();
        assert_eq!((refused.status, refused.errcode.as_ref()), (405, "M_BAD_JSON"));
    }
    assert_eq!(write(&hub, &session, None, "x", &json!([])).unwrap_err().errcode, "M_BAD_JSON");
    write(&hub, &session, Some("r"), "m.fully_read", &json!({"event_id": "$e1"})).unwrap();
    let again = || write(&hub, &session, Some("r"), "m.fully_read", &json!({"event_id": "$e1"}));
    assert_eq!(hub.rows(again).1, 0, "the same marker is no news");
}

#[test]
fn tags_come_and_go_and_direct_chats_move_lists() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    let tag = |tag: &str, content: Option<Value>| ChangeTag {
        session: session.clone(),
        room_id: room("r"),
        tag: tag.to_owned(),
        content: content.as_ref().map(raw),
    };
    hub.ask(tag("m.favourite", Some(json!({"order": 0.5})))).unwrap();
    hub.ask(tag("u.x", Some(json!({})))).unwrap();
    hub.ask(tag("u.x", None)).unwrap();
    assert_eq!(read(&hub, &session, Some("r"), "m.tag"), Some(json!({"tags": {"m.favourite": {"order": 0.5}}})));
    assert_eq!(hub.rows(|| hub.ask(tag("u.x", None)).unwrap()).1, 0);

    let direct = json!({"lists": {"dm": {"ranges": [[0, 9]], "timeline_limit": 1, "required_state": [], "filters": {"is_dm": true}}}});
    let first = hub.sliding(&session, &direct, None, false).unwrap().body();
    assert_eq!(first["lists"]["dm"]["count"], 0);
    write(&hub, &session, None, "m.direct", &json!({bob().as_str(): ["!r:x"]})).unwrap();
    let next = hub.sliding(&session, &direct, first["pos"].as_str(), true).unwrap().body();
    assert_eq!((&next["lists"]["dm"]["count"], &next["rooms"]["!r:x"]["is_dm"]), (&json!(1), &json!(true)));
}

#[test]
fn push_rules_start_with_the_predefined_ones_and_change_in_sync() {
    let hub = Hub::new();
    let session = hub.login("D");
    let rules = read(&hub, &session, None, "m.push_rules").unwrap();
    assert!(rules["global"]["override"].as_array().unwrap().len() > 3);
    let first = hub.sliding(&session, &everything(), None, false).unwrap().body();
    assert_eq!(first["extensions"]["account_data"]["global"][0]["type"], "m.push_rules");
    let change = |rule_id: &str, change| ChangePushRule {
        session: session.clone(),
        kind: "content".to_owned(),
        rule_id: rule_id.to_owned(),
        change,
    };
    let rule = raw(&json!({"actions": ["notify"], "pattern": "tern"}));
    hub.ask(change("bird", PushRuleChange::Put { rule, before: None, after: None })).unwrap();
    assert_eq!(hub.ask(change("nope", PushRuleChange::Enable(false))).unwrap_err().status, 404);
    let next = hub.sliding(&session, &everything(), first["pos"].as_str(), true).unwrap().body();
    let content = &next["extensions"]["account_data"]["global"][0]["content"]["global"]["content"];
    assert!(content.as_array().unwrap().iter().any(|rule| rule["rule_id"] == "bird"));
}

#[test]
fn the_same_filter_gets_the_same_id() {
    let hub = Hub::new();
    let session = hub.login("D");
    let filter = |value: Value| WriteFilter { session: session.clone(), filter: raw(&value) };
    let id = hub.ask(filter(json!({"room": {"timeline": {"limit": 1}}}))).unwrap();
    assert_eq!(hub.ask(filter(json!({"room": {"timeline": {"limit": 1}}}))).unwrap(), id);
    assert_ne!(hub.ask(filter(json!({}))).unwrap(), id);
    let read = hub.ask(ReadFilter { session: session.clone(), filter_id: id }).unwrap().unwrap();
    assert_eq!(read.read::<Value>().unwrap(), json!({"room": {"timeline": {"limit": 1}}}));
}

fn rename(hub: &Hub, session: &SessionRef, name: &str) {
    let session = Some(session.clone());
    hub.ask(WriteProfile { session, field: "displayname".to_owned(), value: Some(raw(&json!(name))) }).unwrap();
}

fn told(hub: &Hub) -> BTreeMap<String, Vec<Option<String>>> {
    let mut told: BTreeMap<String, Vec<Option<String>>> = BTreeMap::new();
    for (room_id, command) in hub.routes.sent_to_rooms() {
        let RoomCommand::SetMemberProfile(command) = command else { panic!("{command:?}") };
        told.entry(room_id.to_string()).or_default().push(command.displayname.clone());
    }
    told
}

#[test]
fn a_profile_reaches_every_joined_room_although_the_hub_crashes_and_rooms_are_silent() {
    let hub = Hub::new();
    let session = hub.login("D");
    let names: Vec<String> = (0..40).map(|number| format!("r{number:02}")).collect();
    for name in &names {
        hub.joins(name);
    }
    hub.routes.rooms(|room_id, _| if room_id.as_str() == "!r03:x" { lost() } else { reply(Done {}) });
    rename(&hub, &session, "Ali");
    // The reply is out and the first rooms are being told when the object is lost.
    for _ in 0..4 {
        hub.host.executor.step();
    }
    let pending = hub.host.executor.pending();
    (1..=64).for_each(|id| hub.host.executor.kill(id));
    let before = told(&hub).len();
    assert!(pending > 0 && (1..40).contains(&before), "{before} rooms were told, {pending} tasks were running");

    let hub = hub.crashed();
    hub.host.run(hub.actor.alarm());
    assert_eq!(told(&hub).len(), 40, "every room was told or tried");
    assert_eq!(hub.ask(ReadProfile {}).unwrap()["displayname"].text(), "\"Ali\"");
    hub.routes.take_sent();
    hub.routes.rooms(|_, _| reply(Done {}));
    hub.host.clock.advance_to(hub.host.alarm.get().unwrap());
    hub.host.run(hub.actor.alarm());
    assert!(told(&hub).contains_key("!r03:x"), "the silent one is told later");
    hub.routes.take_sent();
    hub.host.run(hub.actor.alarm());
    assert_eq!(told(&hub).len(), 0, "and then it is done");
}

#[test]
fn a_profile_changed_again_meanwhile_ends_up_everywhere() {
    let hub = Hub::new();
    let session = hub.login("D");
    (0..8).for_each(|number| hub.joins(&format!("r{number}")));
    hub.routes.rooms(|_, _| reply(Done {}));
    rename(&hub, &session, "One");
    hub.host.executor.step();
    rename(&hub, &session, "Two");
    hub.host.settle();
    for (room_id, names) in told(&hub) {
        assert_eq!(names.last().unwrap().as_deref(), Some("Two"), "{room_id}");
    }
    let same = hub.rows(|| rename(&hub, &session, "Two")).1;
    assert_eq!(same, 0, "the same name is no change");
    let wrong = WriteProfile { session: None, field: "displayname".to_owned(), value: Some(raw(&json!(7))) };
    assert_eq!(hub.ask(wrong).unwrap_err().errcode, "M_BAD_JSON");
}

fn send_to_device(hub: &Hub, txn_id: &str, to: &str, body: u64) {
    let sender = Caller { user_id: bob().to_owned(), device_id: "BOB".into() };
    let messages = BTreeMap::from([(to.to_owned(), raw(&json!({"n": body})))]);
    hub.ask(DeliverToDevice { sender, kind: "m.x".to_owned(), txn_id: txn_id.to_owned(), messages }).unwrap();
}

fn numbers(events: &Value) -> Vec<u64> {
    let events = events.as_array().cloned().unwrap_or_default();
    events.iter().map(|event| event["content"]["n"].as_u64().unwrap()).collect()
}

#[test]
fn to_device_messages_arrive_once_and_go_when_acknowledged() {
    let hub = Hub::new();
    let (phone, desk) = (hub.login("PHONE"), hub.login("DESK"));
    let first = hub.sliding(&phone, &everything(), None, false).unwrap().body();
    let since = hub.classic(&desk, None, false).unwrap().body()["next_batch"].as_str().unwrap().to_owned();
    hub.host.take_wakes();
    send_to_device(&hub, "t1", "*", 1);
    send_to_device(&hub, "t2", "PHONE", 2);
    assert!(hub.host.take_wakes().iter().all(|wake| wake.device_id.is_some() && wake.kinds == news::TO_DEVICE));
    send_to_device(&hub, "t1", "*", 1);
    assert_eq!(hub.host.take_wakes(), [], "a repeated transaction");
    send_to_device(&hub, "t3", "NOBODY", 3);

    let hub = hub.slept();
    let second = hub.sliding(&phone, &everything(), first["pos"].as_str(), true).unwrap().body();
    let batch = &second["extensions"]["to_device"];
    assert_eq!(numbers(&batch["events"]), [1, 2]);
    let mut body = everything();
    body["extensions"]["to_device"]["since"] = batch["next_batch"].clone();
    assert!(matches!(hub.sliding(&phone, &body, second["pos"].as_str(), true), Ok(crate::support::Step::Waiting(_))));
    // What was acknowledged is gone, even for a connection that starts over.
    let fresh = hub.sliding(&phone, &everything(), None, false).unwrap().body();
    assert_eq!(numbers(&fresh["extensions"]["to_device"]["events"]), [0; 0]);

    let next = hub.classic(&desk, Some(&since), true).unwrap().body();
    assert_eq!(numbers(&next["to_device"]["events"]), [1]);
    let again = hub.classic(&desk, Some(&since), true).unwrap().body();
    assert_eq!(numbers(&again["to_device"]["events"]), [1], "not acknowledged yet");
    let acked = hub.classic(&desk, next["next_batch"].as_str(), false).unwrap().body();
    assert_eq!(numbers(&acked["to_device"]["events"]), [0; 0]);
}

#[test]
fn nobody_pushes_out_what_others_have_sent_to_a_device_that_is_off() {
    let hub = Hub::new();
    let (phone, desk) = (hub.login("PHONE"), hub.login("DESK"));
    send_to_device(&hub, "key", "*", 7);
    let mallory = Caller { user_id: user_id!("@mallory:example.org").to_owned(), device_id: "M".into() };
    for number in 0..5_200 {
        let messages = BTreeMap::from([("*".to_owned(), raw(&json!({"n": 1_000 + number})))]);
        let (sender, txn_id) = (mallory.clone(), format!("m{number}"));
        hub.ask(DeliverToDevice { sender, kind: "m.x".to_owned(), txn_id, messages }).unwrap();
    }
    for device in [&phone, &desk] {
        let queued = hub.classic(device, None, false).unwrap().body();
        let queued = numbers(&queued["to_device"]["events"]);
        assert_eq!(queued.first(), Some(&7), "the key that was sent first");
    }
    let rows = hub.host.sql().query("SELECT count(*) FROM to_device", &[]).unwrap();
    assert!(rows[0].int(0).unwrap() < 2 * (100 + 1 + 500), "a stranger has a small share of each queue");
}

#[test]
fn a_transaction_is_one_of_its_type_and_leaves_no_trace_where_nobody_is_addressed() {
    let hub = Hub::new();
    let phone = hub.login("PHONE");
    let first = hub.sliding(&phone, &everything(), None, false).unwrap().body();
    let send = |kind: &str, to: &str| {
        let sender = Caller { user_id: bob().to_owned(), device_id: "BOB".into() };
        let messages = BTreeMap::from([(to.to_owned(), raw(&json!({})))]);
        hub.ask(DeliverToDevice { sender, kind: kind.to_owned(), txn_id: "t".to_owned(), messages }).unwrap();
    };
    send("m.room.encrypted", "PHONE");
    send("m.secret.request", "PHONE");
    send("m.secret.request", "PHONE");
    let next = hub.sliding(&phone, &everything(), first["pos"].as_str(), true).unwrap().body();
    let events = next["extensions"]["to_device"]["events"].as_array().unwrap().clone();
    let kinds: Vec<_> = events.iter().map(|event| event["type"].clone()).collect();
    assert_eq!(kinds, ["m.room.encrypted", "m.secret.request"]);
    let ((), rows) = hub.rows(|| send("m.room.encrypted", "NOBODY"));
    assert_eq!(rows, 0);
}

#[test]
fn deleted_account_data_is_told_to_who_knew_it_alone_and_remembered_within_bounds() {
    let hub = Hub::new();
    let session = hub.login("D");
    let write = |kind: &str, content: Value| WriteAccountData {
        session: session.clone(),
        room_id: None,
        kind: kind.to_owned(),
        content: raw(&content),
    };
    let delete = |kind: &str| DeleteAccountData { session: session.clone(), room_id: None, kind: kind.to_owned() };
    hub.ask(write("kept", json!({"a": 1}))).unwrap();
    let first = hub.classic(&session, None, false).unwrap().body();
    hub.ask(delete("kept")).unwrap();
    hub.ask(delete("never there")).unwrap();
    let next = hub.classic(&session, first["next_batch"].as_str(), false).unwrap().body();
    assert_eq!(next["account_data"]["events"], json!([{"type": "kept", "content": {}}]));
    for number in 0..1_010 {
        hub.ask(write(&format!("kind {number}"), json!({"a": 1}))).unwrap();
        hub.ask(delete(&format!("kind {number}"))).unwrap();
    }
    let next = hub.classic(&session, next["next_batch"].as_str(), false).unwrap().body();
    assert_eq!(next["account_data"]["events"].as_array().unwrap().len(), 1_000, "the oldest are forgotten");
    let fresh = hub.classic(&session, None, false).unwrap().body();
    assert_eq!(fresh["account_data"]["events"].as_array().unwrap().len(), 1, "the push rules");
}

#[test]
fn an_invite_is_refused_to_whom_the_user_blocks() {
    let hub = Hub::new();
    let session = hub.login("D");
    let invitee = || hub.ask(ReadInvitee { inviter: bob().to_owned() });
    assert!(invitee().is_ok());
    let content = raw(&json!({"blocked_users": [bob()]}));
    let kind = "m.invite_permission_config".to_owned();
    hub.ask(WriteAccountData { session, room_id: None, kind, content }).unwrap();
    assert_eq!(invitee().unwrap_err().errcode, "M_INVITE_BLOCKED");
    assert!(hub.ask(ReadInvitee { inviter: alice().to_owned() }).is_ok());
}
