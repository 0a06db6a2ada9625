//! Policy servers: what they do not stand behind is soft-failed, and not sent.

use ruma::{
    CanonicalJsonObject,
    serde::{Base64, base64::Standard},
};
use serde_json::{Value, json};
use tern_model::{Pdu, RawJson};
use tern_room::{KNOWN, Signer, Verdict, authorise_pdu};

use crate::{
    scene::{ALICE, BOB, CAROL, Event, MOD, Scene, event, member, message, state},
    support::{self, Room},
};

fn policy_server(seed: u8) -> Signer {
    Signer::new("b.test".try_into().unwrap(), "ed25519:policy_server", &[seed; 32]).unwrap()
}

fn policy(via: &str) -> Value {
    let key = Base64::<Standard>::new(policy_server(1).public_key().to_vec()).encode();
    json!({ "via": via, "public_keys": { "ed25519": key } })
}

/// The scene's next event, with the signatures of these.
fn signed(scene: &mut Scene, event: Event, signers: &[Signer]) -> Pdu {
    let pdu = scene.make(event.field("hashes", json!({ "sha256": "hash" })));
    let mut object: CanonicalJsonObject = pdu.raw().read().unwrap();
    for signer in signers {
        signer.countersign(&mut object, &scene.version.rules.redaction).unwrap();
    }
    Pdu::parse(pdu.id().to_owned(), RawJson::from_value(&object).unwrap()).unwrap()
}

fn verdict(scene: &mut Scene, event: Event, signers: &[Signer]) -> Verdict {
    let pdu = signed(scene, event, signers);
    authorise_pdu(&scene.graph, &pdu).unwrap().verdict
}

fn is_soft(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::SoftFail(_))
}

#[test]
fn what_the_policy_server_does_not_stand_behind_is_soft_failed() {
    for version in KNOWN {
        let mut scene = Scene::new(version);
        scene.add(member(CAROL, CAROL, "join"));
        scene.add(state("m.room.policy", ALICE, policy("b.test")));
        assert!(is_soft(&verdict(&mut scene, message(BOB), &[])), "{}", version.id);
        assert_eq!(verdict(&mut scene, message(BOB), &[policy_server(1)]), Verdict::Accept, "{}", version.id);
        assert!(is_soft(&verdict(&mut scene, message(BOB), &[policy_server(2)])), "another key");
        let elsewhere = Signer::new("c.test".try_into().unwrap(), "ed25519:policy_server", &[1; 32]).unwrap();
        assert!(is_soft(&verdict(&mut scene, message(BOB), &[elsewhere])), "another server");
        let ordinary = Signer::new("b.test".try_into().unwrap(), "ed25519:1", &[1; 32]).unwrap();
        assert!(is_soft(&verdict(&mut scene, message(CAROL), &[ordinary])), "its ordinary key");
        assert!(is_soft(&verdict(&mut scene, member(BOB, BOB, "leave"), &[])), "members' events, too");
        // The rules come first: who may not, may not with a signature either.
        let outsider = verdict(&mut scene, message("@dave:b.test"), &[policy_server(1)]);
        assert!(matches!(outsider, Verdict::Reject(_)), "{outsider:?}");
    }
}

#[test]
fn a_room_gets_rid_of_its_policy_server_without_asking_it() {
    let mut scene = Scene::new(KNOWN[10]);
    scene.add(member(CAROL, CAROL, "join"));
    scene.add(state("m.room.policy", ALICE, policy("b.test")));
    let other_key = event("m.room.policy", MOD).key("other").content(json!({}));
    assert!(is_soft(&verdict(&mut scene, other_key, &[])));
    assert!(is_soft(&verdict(&mut scene, event("m.room.policy", MOD), &[])), "a message of that type");
    scene.add(state("m.room.policy", MOD, json!({})));
    assert_eq!(verdict(&mut scene, message(BOB), &[]), Verdict::Accept);
}

#[test]
fn a_room_that_names_none_rightly_uses_none() {
    let none = [
        policy("a.nowhere"),
        policy("not a server"),
        json!({ "via": 7, "public_keys": { "ed25519": "key" } }),
        json!({ "via": "b.test" }),
        json!({ "via": "b.test", "public_keys": {} }),
        json!({ "via": "b.test", "public_keys": { "ed25519": 7 } }),
    ];
    for content in none {
        let mut scene = Scene::new(KNOWN[11]);
        scene.add(member(CAROL, CAROL, "join"));
        scene.add(state("m.room.policy", ALICE, content.clone()));
        assert_eq!(verdict(&mut scene, message(BOB), &[]), Verdict::Accept, "{content}");
    }
    let mut scene = Scene::new(KNOWN[11]);
    scene.add(member(CAROL, CAROL, "join"));
    scene.add(state("m.room.policy", ALICE, json!({ "via": "b.test", "public_keys": { "ed25519": "?" } })));
    assert!(is_soft(&verdict(&mut scene, message(BOB), &[])), "a key that is none verifies nothing");
}

#[test]
fn nobody_has_to_serve_a_room_they_are_not_in() {
    let mut scene = Scene::new(KNOWN[10]);
    scene.add(state("m.room.policy", ALICE, policy("b.test")));
    assert_eq!(verdict(&mut scene, message(BOB), &[]), Verdict::Accept);
    scene.add(member(CAROL, CAROL, "join"));
    assert!(is_soft(&verdict(&mut scene, message(BOB), &[])));
    let leaves = signed(&mut scene, member(CAROL, CAROL, "leave"), &[policy_server(1)]);
    assert_eq!(scene.graph.take(&leaves).unwrap(), Verdict::Accept);
    assert_eq!(verdict(&mut scene, message(BOB), &[]), Verdict::Accept);
}

#[test]
fn local_events_that_would_have_to_be_signed_are_not_sent() {
    let mut room = Room::create("12", json!({ "preset": "public_chat" }));
    room.join(support::BOB);
    room.set(support::ALICE, "m.room.policy", &policy("elsewhere.test"));
    room.send(&support::message(support::BOB)).unwrap();
    room.set(support::ALICE, "m.room.policy", &policy("tern.test"));
    assert_eq!(room.refused(&support::message(support::BOB)), (403, "M_FORBIDDEN".to_owned()));
    room.set(support::ALICE, "m.room.policy", &json!({}));
    room.send(&support::message(support::BOB)).unwrap();
}
