//! Users of another server join, leave and knock through this one.

use std::{collections::BTreeSet, rc::Rc};

use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedEventId,
    signatures::{Ed25519KeyPair, hash_and_sign_event, reference_hash},
};
use serde_json::{Value, json};
use tern_model::{BoundedJson, BoundedVec, EventRef, Handshake, MatrixError, Name, RawJson};
use tern_ports::{
    Sql as _,
    wire::{
        handshake::{MakeMember, MemberTemplate, SendMember, SentMember},
        room::MembershipAction,
    },
};
use tern_room::Version;
use tern_testkit::TestClock;

use super::{
    far::{AWAY, HOME, keys},
    scene::{ALICE, BOB, CAROL, Scene, body, config, creation, raw, user},
};

const EVE: &str = "@eve:far.test";
const FAR: &str = "far.test";

const PKCS8_PREFIX: [u8; 16] = [48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];

/// An event that somebody has hashed and signed.
fn seal(event: &Value, version: &str, (server, key_id, seed): (&str, &str, u8)) -> (OwnedEventId, Value) {
    let name = key_id.strip_prefix("ed25519:").unwrap().to_owned();
    let key = Ed25519KeyPair::from_der(&[&PKCS8_PREFIX[..], &[seed; 32]].concat(), name).unwrap();
    let rules = &Version::known(version).unwrap().rules;
    let mut object: CanonicalJsonObject = serde_json::from_value(event.clone()).unwrap();
    hash_and_sign_event(server, &key, &mut object, &rules.redaction).unwrap();
    let event_id = format!("${}", reference_hash(&object, rules).unwrap()).try_into().unwrap();
    (event_id, serde_json::to_value(CanonicalJsonValue::from(object)).unwrap())
}

/// What far.test makes of a template.
fn complete(template: &MemberTemplate) -> (OwnedEventId, Value) {
    seal(&body(&template.event), &template.room_version, AWAY)
}

/// The same with something else in it.
fn bent(template: &MemberTemplate, path: &str, value: Value) -> (OwnedEventId, Value) {
    let mut event = body(&template.event);
    *event.pointer_mut(path).unwrap() = value;
    seal(&event, &template.room_version, AWAY)
}

fn make_as(scene: &Scene, origin: &str, handshake: Handshake, user_id: &str) -> Result<MemberTemplate, MatrixError> {
    let versions = BoundedVec::new(["11", "12"].map(Name::cut).to_vec()).unwrap();
    scene.ask(MakeMember { origin: origin.try_into().unwrap(), handshake, user_id: user(user_id), versions })
}

fn make(scene: &Scene, handshake: Handshake) -> Result<MemberTemplate, MatrixError> {
    make_as(scene, FAR, handshake, EVE)
}

fn sending(handshake: Handshake, (event_id, event): &(OwnedEventId, Value)) -> SendMember {
    SendMember {
        origin: FAR.try_into().unwrap(),
        handshake,
        event_id: EventRef::new(event_id.clone()).unwrap(),
        event: BoundedJson::new(raw(event)).unwrap(),
        keys: BoundedVec::new(keys()).unwrap(),
        omit_members: false,
    }
}

fn send(scene: &Scene, handshake: Handshake, event: &(OwnedEventId, Value)) -> Result<SentMember, MatrixError> {
    scene.ask(sending(handshake, event))
}

fn told<T: std::fmt::Debug>(result: Result<T, MatrixError>) -> (u16, String) {
    let error = result.unwrap_err();
    (error.status, error.errcode.into_owned())
}

fn forbidden() -> (u16, String) {
    (403, "M_FORBIDDEN".to_owned())
}

fn invalid() -> (u16, String) {
    (400, "M_INVALID_PARAM".to_owned())
}

fn membership(scene: &Scene, user_id: &str) -> Option<String> {
    let sql = format!("SELECT membership FROM state WHERE kind = 'm.room.member' AND state_key = '{user_id}'");
    scene.host.sqlite.query(&sql, &[]).unwrap().first().and_then(|row| row.string(0))
}

/// Alice, Bob and Carol in a public room.
fn public() -> Scene {
    let scene = Scene::of(&json!({ "preset": "public_chat", "room_version": "11", "name": "Nest" }));
    for who in [BOB, CAROL] {
        scene.act(who, MembershipAction::Join, who).unwrap();
    }
    scene.calm();
    scene
}

fn kinds(events: &[RawJson]) -> Vec<String> {
    events.iter().map(|event| body(event)["type"].as_str().unwrap().to_owned()).collect()
}

fn id_of(event: &RawJson) -> String {
    let object: CanonicalJsonObject = event.read().unwrap();
    format!("${}", reference_hash(&object, &Version::known("11").unwrap().rules).unwrap())
}

#[test]
fn a_user_of_another_server_joins() {
    let scene = public();
    let template = make(&scene, Handshake::Join).unwrap();
    let event = body(&template.event);
    assert_eq!((template.room_version.as_str(), event["content"].clone()), ("11", json!({ "membership": "join" })));
    assert_eq!((event["sender"].clone(), event["state_key"].clone()), (json!(EVE), json!(EVE)));
    assert!(event.get("hashes").is_none() && event.get("signatures").is_none());
    assert_eq!(membership(&scene, EVE), None, "nothing has happened yet");

    let join = complete(&template);
    let sent = send(&scene, Handshake::Join, &join).unwrap();
    assert_eq!(membership(&scene, EVE).as_deref(), Some("join"));
    assert_eq!(body(&sent.event), join.1);
    assert_eq!(sent.servers.iter().map(ToString::to_string).collect::<Vec<_>>(), ["tern.test"]);
    let members = kinds(&sent.state).iter().filter(|kind| *kind == "m.room.member").count();
    assert_eq!(members, 3, "the state before the join");
    let known: BTreeSet<String> = sent.state.iter().chain(&sent.auth_chain).map(id_of).collect();
    let cited = sent.state.iter().chain(&sent.auth_chain).chain([&sent.event]);
    let cited = cited.flat_map(|event| body(event)["auth_events"].as_array().cloned().unwrap());
    assert!(cited.into_iter().all(|id| known.contains(id.as_str().unwrap())), "the auth chain is closed");
    scene.host.settle();
    assert_eq!(scene.told(ALICE).iter().flat_map(|notice| &notice.events).count(), 1, "those in the room see it");

    // Once more: the same answer, and nothing happens.
    let newest = scene.probe().newest;
    assert_eq!(send(&scene, Handshake::Join, &join).unwrap(), sent);
    assert_eq!(scene.probe().newest, newest);
    // Whoever is in may join again: the server may have lost the room.
    let again = complete(&make(&scene, Handshake::Join).unwrap());
    assert!(send(&scene, Handshake::Join, &again).is_ok());
}

#[test]
fn members_may_be_left_out_of_the_answer() {
    let scene = public();
    for number in 0..20 {
        let who = format!("@u{number}:tern.test");
        scene.act(&who, MembershipAction::Join, &who).unwrap();
    }
    let join = complete(&make(&scene, Handshake::Join).unwrap());
    let ask = SendMember { omit_members: true, ..sending(Handshake::Join, &join) };
    let sent = scene.ask(ask).unwrap();
    let members = kinds(&sent.state).iter().filter(|kind| *kind == "m.room.member").count();
    assert_eq!(members, 6, "heroes alone");
    let known: BTreeSet<String> = sent.state.iter().map(id_of).collect();
    let chain: BTreeSet<String> = sent.auth_chain.iter().map(id_of).collect();
    assert!(known.is_disjoint(&chain), "nothing comes twice");
    for event in sent.state.iter().chain(&sent.auth_chain).chain([&sent.event]) {
        let cited = body(event)["auth_events"].as_array().cloned().unwrap();
        let is_known = |id: &Value| known.contains(id.as_str().unwrap()) || chain.contains(id.as_str().unwrap());
        assert!(cited.iter().all(is_known), "{}", event.text());
    }
    let full = send(&scene, Handshake::Join, &join).unwrap();
    assert_eq!(kinds(&full.state).iter().filter(|kind| *kind == "m.room.member").count(), 23);
}

#[test]
fn only_the_event_that_is_meant_is_taken_over() {
    let scene = public();
    let template = make(&scene, Handshake::Join).unwrap();
    let join = complete(&template);
    let other_id = (OwnedEventId::try_from("$other").unwrap(), join.1.clone());
    let mut altered = join.clone();
    altered.1["content"]["displayname"] = json!("Mallory");
    let mut unsigned = join.clone();
    unsigned.1["signatures"] = json!({ FAR: { "ed25519:f": "AAAA" } });
    let nonsense = (join.0.clone(), json!({ "type": "m.room.member" }));
    let cases = [
        (other_id, invalid()),
        (bent(&template, "/type", json!("m.room.message")), invalid()),
        (bent(&template, "/content/membership", json!("leave")), invalid()),
        (bent(&template, "/state_key", json!("@other:far.test")), invalid()),
        (bent(&template, "/room_id", json!("!other:tern.test")), invalid()),
        (altered, invalid()),
        (nonsense, (400, "M_BAD_JSON".to_owned())),
        (unsigned, forbidden()),
        (bent(&template, "/prev_events", json!(["$unknown"])), invalid()),
    ];
    for (event, expected) in cases {
        assert_eq!(told(send(&scene, Handshake::Join, &event)), expected, "{}", event.1);
    }
    // By the way of another handshake.
    for handshake in [Handshake::Leave, Handshake::Knock] {
        assert_eq!(told(send(&scene, handshake, &join)), invalid());
    }
    // A user of a third server, and one of this one.
    let mut event = body(&template.event);
    for who in ["@eve:other.test", ALICE] {
        assert_eq!(told(make_as(&scene, FAR, Handshake::Join, who)), forbidden());
        (event["sender"], event["state_key"]) = (json!(who), json!(who));
        assert_eq!(told(send(&scene, Handshake::Join, &seal(&event, "11", AWAY))), forbidden());
    }
    assert_eq!(membership(&scene, EVE), None);
    assert_eq!(scene.count("SELECT count(*) FROM waiting"), 0);
}

#[test]
fn whoever_is_kept_out_does_not_come_in() {
    let scene = public();
    let join = complete(&make(&scene, Handshake::Join).unwrap());
    scene.act(ALICE, MembershipAction::Ban, EVE).unwrap();
    assert_eq!(told(make(&scene, Handshake::Join)), forbidden());
    assert_eq!(told(make(&scene, Handshake::Knock)), forbidden());
    assert_eq!(told(send(&scene, Handshake::Join, &join)), forbidden(), "made before the ban");
    assert_eq!(membership(&scene, EVE).as_deref(), Some("ban"));
    scene.act(ALICE, MembershipAction::Unban, EVE).unwrap();
    let join = complete(&make(&scene, Handshake::Join).unwrap());
    let list = |deny: &[&str]| json!({ "allow": ["*"], "deny": deny });
    scene.set(ALICE, "m.room.server_acl", "", &list(&[FAR])).unwrap();
    assert_eq!(told(make(&scene, Handshake::Join)), forbidden());
    assert_eq!(told(send(&scene, Handshake::Join, &join)), forbidden());
    scene.set(ALICE, "m.room.server_acl", "", &list(&[])).unwrap();
    let closed = Scene::of(&json!({ "preset": "private_chat", "room_version": "11" }));
    assert_eq!(told(make(&closed, Handshake::Join)), forbidden(), "by invite alone");
    assert_eq!(told(make(&closed, Handshake::Knock)), forbidden());
    // Nobody of this server is there any more.
    for who in [ALICE, BOB, CAROL] {
        scene.act(who, MembershipAction::Leave, who).unwrap();
    }
    let not_found = (404, "M_NOT_FOUND".to_owned());
    assert_eq!(told(make(&scene, Handshake::Join)), not_found);
    let nowhere = Scene::empty(super::around::Around::new(), "!nowhere:tern.test".try_into().unwrap());
    assert_eq!(told(make(&nowhere, Handshake::Join)), not_found);
    assert_eq!(told(send(&nowhere, Handshake::Join, &join)), not_found);
}

#[test]
fn a_server_that_does_not_know_the_version_is_told_it() {
    let scene = public();
    let ask = |handshake, version: &str| MakeMember {
        origin: FAR.try_into().unwrap(),
        handshake,
        user_id: user(EVE),
        versions: BoundedVec::new(vec![Name::cut(version)]).unwrap(),
    };
    for handshake in [Handshake::Join, Handshake::Knock] {
        let error = scene.ask(ask(handshake, "10")).unwrap_err();
        assert_eq!((error.status, &*error.errcode), (400, "M_INCOMPATIBLE_ROOM_VERSION"));
        assert_eq!(error.to_json()["room_version"], "11");
    }
    assert!(scene.ask(ask(Handshake::Join, "11")).is_ok());
}

#[test]
fn an_invite_is_rejected_and_a_knock_retracted() {
    let scene = Scene::of(&json!({ "preset": "private_chat", "room_version": "11" }));
    assert_eq!(told(make(&scene, Handshake::Leave)), forbidden(), "there is nothing to leave");
    scene.act(ALICE, MembershipAction::Invite, EVE).unwrap();
    let leave = complete(&make(&scene, Handshake::Leave).unwrap());
    let sent = send(&scene, Handshake::Leave, &leave).unwrap();
    assert!(sent.state.is_empty() && sent.auth_chain.is_empty());
    assert_eq!(membership(&scene, EVE).as_deref(), Some("leave"));
    assert_eq!(told(make(&scene, Handshake::Leave)), forbidden());

    scene.set(ALICE, "m.room.join_rules", "", &json!({ "join_rule": "knock" })).unwrap();
    let knock = complete(&make(&scene, Handshake::Knock).unwrap());
    let sent = send(&scene, Handshake::Knock, &knock).unwrap();
    assert_eq!(membership(&scene, EVE).as_deref(), Some("knock"));
    let shown = kinds(&sent.state);
    assert!(["m.room.create", "m.room.join_rules"].iter().all(|kind| shown.contains(&(*kind).to_owned())), "{shown:?}");
    assert!(sent.state.iter().all(|event| body(event)["signatures"].is_object()), "whole events");
    assert_eq!(told(make(&scene, Handshake::Join)), forbidden());
    let leave = complete(&make(&scene, Handshake::Leave).unwrap());
    send(&scene, Handshake::Leave, &leave).unwrap();
    assert_eq!(membership(&scene, EVE).as_deref(), Some("leave"));
}

/// A room that members of `outer`, and of a room elsewhere, may join.
fn restricted(outer: &Scene, rooms: &[&str]) -> Scene {
    let allow: Vec<_> = rooms.iter().map(|id| json!({ "type": "m.room_membership", "room_id": id })).collect();
    let rules = json!({ "type": "m.room.join_rules", "content": { "join_rule": "restricted", "allow": allow } });
    let request = json!({ "room_version": "11", "initial_state": [rules] });
    let (room_id, create) = creation(&config(), &request, TestClock::START, 9);
    let scene = Scene::empty(Rc::clone(&outer.around), room_id);
    scene.ask(create).unwrap();
    scene
}

#[test]
fn this_server_lets_in_whoever_is_in_a_room_that_it_knows() {
    let outer = public();
    let scene = restricted(&outer, &[outer.room_id.as_str()]);
    assert_eq!(told(make(&scene, Handshake::Join)), forbidden());
    let elsewhere = Scene::empty(Rc::clone(&outer.around), "!elsewhere:other.test".try_into().unwrap());
    let unclear = restricted(&elsewhere, &[outer.room_id.as_str(), elsewhere.room_id.as_str()]);
    let cannot_tell = (400, "M_UNABLE_TO_AUTHORISE_JOIN".to_owned());
    assert_eq!(told(make(&unclear, Handshake::Join)), cannot_tell);

    let outside = complete(&make(&outer, Handshake::Join).unwrap());
    send(&outer, Handshake::Join, &outside).unwrap();
    let template = make(&scene, Handshake::Join).unwrap();
    assert_eq!(body(&template.event)["content"]["join_authorised_via_users_server"], ALICE);
    let join = complete(&template);
    // Who has left the other room meanwhile is not let in by what was made before.
    let leave = complete(&make(&outer, Handshake::Leave).unwrap());
    send(&outer, Handshake::Leave, &leave).unwrap();
    assert_eq!(told(send(&scene, Handshake::Join, &join)), forbidden());
    let outside = complete(&make(&outer, Handshake::Join).unwrap());
    send(&outer, Handshake::Join, &outside).unwrap();
    let sent = send(&scene, Handshake::Join, &join).unwrap();
    let signed = body(&sent.event)["signatures"].clone();
    assert!(signed[FAR].is_object() && signed[HOME.0][HOME.1].is_string(), "{signed}");
    assert_eq!(membership(&scene, EVE).as_deref(), Some("join"));
}

#[test]
fn nobody_is_let_in_by_who_may_not_let_in() {
    let outer = public();
    let outside = complete(&make(&outer, Handshake::Join).unwrap());
    send(&outer, Handshake::Join, &outside).unwrap();
    let scene = restricted(&outer, &[outer.room_id.as_str()]);
    scene.act(BOB, MembershipAction::Join, BOB).unwrap();
    let template = make(&scene, Handshake::Join).unwrap();
    // Bob has no power.
    scene.set(ALICE, "m.room.power_levels", "", &json!({ "users": { ALICE: 100 }, "invite": 50 })).unwrap();
    let by_bob = bent(&template, "/content/join_authorised_via_users_server", json!(BOB));
    assert_eq!(told(send(&scene, Handshake::Join, &by_bob)), forbidden());
    // The word of a third server needs its signature.
    let by_other = bent(&template, "/content/join_authorised_via_users_server", json!("@x:other.test"));
    assert_eq!(told(send(&scene, Handshake::Join, &by_other)), forbidden());
    let mut without = body(&template.event);
    without["content"].as_object_mut().unwrap().remove("join_authorised_via_users_server");
    assert_eq!(told(send(&scene, Handshake::Join, &seal(&without, "11", AWAY))), forbidden());
    scene.act(ALICE, MembershipAction::Leave, ALICE).unwrap();
    assert_eq!(told(make(&scene, Handshake::Join)), (400, "M_UNABLE_TO_GRANT_JOIN".to_owned()));
}
