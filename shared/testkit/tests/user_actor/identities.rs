//! What becomes of keys when devices, identities and accounts change.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tern_model::MatrixError;
use tern_ports::wire::{
    accounts::Retire,
    grant::{AllowReset, Grant, IssueGrant, OpenBrowser, RedeemGrant},
    keys::{
        CrossSigningUploaded, PutDehydrated, QueryKeys, QueryOwnKeys, UploadCrossSigning, UploadKeys, UploadSignatures,
    },
    user::SessionRef,
};
use tern_testkit::SigningKey;

use crate::{
    keys::{CURVE, Cross, claim, device_key, identity, unused, upload, with_keys},
    support::{Hub, alice, bob, open, raw},
};

fn code<T: std::fmt::Debug>(result: Result<T, MatrixError>) -> (u16, String) {
    let error = result.unwrap_err();
    (error.status, error.errcode.into_owned())
}

fn master(hub: &Hub) -> Value {
    hub.ask(QueryKeys { devices: vec![] }).unwrap().master.unwrap().read().unwrap()
}

#[test]
fn keys_of_another_account_behind_the_same_device_leave_nothing_of_the_old_ones() {
    let hub = Hub::new();
    let phone = hub.login("PHONE");
    hub.ask(identity(&phone)).unwrap();
    hub.ask(UploadKeys { fallback_keys: with_keys(&phone, &["F"]).one_time_keys, ..with_keys(&phone, &["a", "b"]) })
        .unwrap();
    hub.ask(Cross::new("first").upload(&phone, false)).unwrap();
    claim(&hub, "PHONE").unwrap();
    assert!(master(&hub)["signatures"][alice().as_str()]["ed25519:PHONE"].is_string());

    // The app lost its data and signed in again as the same device.
    let phone = hub.login("PHONE");
    let fresh = device_key("PHONE").renewed();
    let keys = UploadKeys {
        device_keys: Some(raw(&fresh.identity())),
        one_time_keys: BTreeMap::from([(format!("{CURVE}:a"), fresh.disposable("a"))]),
        ..upload(&phone)
    };
    assert_eq!(hub.ask(keys).unwrap()[CURVE], 1, "ids start over, and what is left of the old ones is gone");
    assert_eq!(unused(&hub, &phone), [""; 0]);
    assert_eq!(master(&hub)["signatures"][alice().as_str()].get("ed25519:PHONE"), None);
    assert_eq!(claim(&hub, "PHONE").as_deref(), Some("a"));
    assert_eq!(claim(&hub, "PHONE"), None);
}

#[test]
fn a_long_upload_that_is_repeated_late_brings_no_claimed_key_back() {
    let hub = Hub::new();
    let phone = hub.login("PHONE");
    let ids: Vec<_> = (0..500).map(|id| format!("k{id:03}")).collect();
    let batch = with_keys(&phone, &ids.iter().map(String::as_str).collect::<Vec<_>>());
    hub.ask(batch.clone()).unwrap();
    for _ in 0..450 {
        claim(&hub, "PHONE").unwrap();
    }
    assert_eq!(hub.ask(batch).unwrap()[CURVE], 50);
}

#[test]
fn a_fallback_key_is_one_of_its_algorithm_in_whatever_order_its_fields_come() {
    let hub = Hub::new();
    let phone = hub.login("PHONE");
    let fallback = |text: &str| UploadKeys {
        fallback_keys: BTreeMap::from([(format!("{CURVE}:F"), tern_model::RawJson::parse(text.to_owned()).unwrap())]),
        ..upload(&phone)
    };
    hub.ask(fallback(r#"{"key":"k","fallback":true}"#)).unwrap();
    claim(&hub, "PHONE").unwrap();
    hub.ask(fallback(r#"{"fallback": true, "key": "k"}"#)).unwrap();
    assert_eq!(unused(&hub, &phone), [""; 0], "it is the used one");
    let two = UploadKeys { fallback_keys: with_keys(&phone, &["G", "H"]).one_time_keys, ..upload(&phone) };
    assert_eq!(code(hub.ask(two)), (400, "M_INVALID_PARAM".to_owned()));
}

#[test]
fn no_device_is_called_like_a_cross_signing_key() {
    let hub = Hub::new();
    let phone = hub.login("PHONE");
    let keys = Cross::new("first");
    hub.ask(keys.upload(&phone, false)).unwrap();
    let forbidden = (403, "M_FORBIDDEN".to_owned());
    for key in [&keys.master, &keys.ssk, &keys.usk] {
        assert_eq!(code(hub.ask(open(Some(&key.public), false))), forbidden);
        let device = SigningKey::of_device(alice(), &key.public);
        assert_eq!(code(hub.ask(dehydrated(&phone, &device))), forbidden);
    }
    let device = device_key("DRY");
    hub.ask(dehydrated(&phone, &device)).unwrap();
    assert_eq!(code(hub.ask(open(Some("DRY"), false))), forbidden, "nobody signs in as the dehydrated device");
    hub.ask(dehydrated(&phone, &device)).unwrap();
}

fn dehydrated(session: &SessionRef, device: &SigningKey) -> PutDehydrated {
    PutDehydrated {
        session: session.clone(),
        device_id: device.name.as_str().into(),
        device_data: raw(&json!({})),
        display_name: None,
        device_keys: raw(&device.identity()),
        one_time_keys: BTreeMap::new(),
        fallback_keys: BTreeMap::new(),
    }
}

#[test]
fn nobody_sees_in_keys_what_others_signed() {
    let hub = Hub::new();
    let phone = hub.login("PHONE");
    let bobs = SigningKey::cross(bob(), "user");
    let keys = UploadKeys { device_keys: Some(raw(&bobs.sign(device_key("PHONE").identity()))), ..upload(&phone) };
    hub.ask(keys).unwrap();
    let cross = Cross::new("first");
    let signed = bobs.sign(cross.master.for_usage("master"));
    hub.ask(UploadCrossSigning { master: Some(raw(&signed)), ..cross.upload(&phone, false) }).unwrap();
    let seen = hub.ask(QueryKeys { devices: vec![] }).unwrap();
    let text = seen.devices.values().chain(&seen.master).map(|keys| keys.text().to_owned()).collect::<String>();
    assert!(text.contains("ed25519:PHONE") && !text.contains(bob().as_str()), "{text}");
}

#[test]
fn somebody_who_is_trusted_from_afar_is_not_told_as_gone() {
    let hub = Hub::new();
    let phone = hub.login("PHONE");
    let keys = Cross::new("first");
    hub.ask(keys.upload(&phone, false)).unwrap();
    let since = hub.classic(&phone, None, false).unwrap().body()["next_batch"].as_str().unwrap().to_owned();
    let bobs = SigningKey::cross(bob(), "master");
    let own = bobs.for_usage("master");
    let signed =
        BTreeMap::from([(bob().to_owned(), BTreeMap::from([(bobs.public.clone(), raw(&keys.usk.sign(own.clone())))]))]);
    let masters = BTreeMap::from([(bob().to_owned(), raw(&own))]);
    let failures = hub.ask(UploadSignatures { session: phone.clone(), signed, masters }).unwrap();
    assert_eq!(failures, BTreeMap::new());
    let next = hub.classic(&phone, Some(&since), false).unwrap().body();
    assert_eq!(next.get("device_lists"), None);
}

#[test]
fn an_account_that_ends_takes_its_identity_along() {
    let hub = Hub::new();
    let phone = hub.login("PHONE");
    hub.ask(identity(&phone)).unwrap();
    hub.ask(Cross::new("first").upload(&phone, false)).unwrap();
    hub.ask(dehydrated(&phone, &device_key("DRY"))).unwrap();
    hub.ask(Retire { erase: false }).unwrap();
    let left = hub.slept().ask(QueryKeys { devices: vec![] }).unwrap();
    assert_eq!((left.devices.len(), left.master, left.self_signing), (0, None, None));
}

fn signed_in_by_oauth(hub: &Hub, cookie: &str) -> SessionRef {
    let grant = Grant {
        client_id: "c".to_owned(),
        client_name: None,
        redirect_uri: None,
        scope: "urn:matrix:client:device:TABLET".to_owned(),
        device_id: Some("TABLET".into()),
        challenge: None,
        nonce: None,
    };
    let code = hub.ask(IssueGrant { cookie: cookie.to_owned(), grant }).unwrap();
    let (client_id, redirect_uri, verifier, ip) = ("c".to_owned(), None, None, None);
    let session = hub.ask(RedeemGrant { code, client_id, redirect_uri, verifier, ip }).unwrap().session;
    SessionRef { device_id: session.device_id, session_id: session.session_id }
}

#[test]
fn who_signed_in_by_oauth_may_replace_an_identity_once_after_allowing_it_on_the_account_page() {
    let hub = Hub::new();
    let phone = hub.login("PHONE");
    let cookie = hub.ask(OpenBrowser { user_id: alice().to_owned(), ip: None, agent: None }).unwrap();
    let tablet = signed_in_by_oauth(&hub, &cookie);
    assert_eq!(hub.ask(Cross::new("first").upload(&tablet, false)), Ok(CrossSigningUploaded::Done));
    let second = Cross::new("second");
    assert_eq!(hub.ask(second.upload(&tablet, false)), Ok(CrossSigningUploaded::NeedsApproval));
    assert_eq!(hub.ask(second.upload(&phone, false)), Ok(CrossSigningUploaded::NeedsProof));
    hub.ask(AllowReset { cookie, device_id: None }).unwrap();
    let hub = hub.slept();
    assert_eq!(hub.ask(second.upload(&tablet, false)), Ok(CrossSigningUploaded::Done));
    assert_eq!(hub.ask(second.upload(&tablet, false)), Ok(CrossSigningUploaded::Done), "a repeat changes nothing");
    assert_eq!(hub.ask(Cross::new("third").upload(&tablet, false)), Ok(CrossSigningUploaded::NeedsApproval));
    let own = QueryOwnKeys { session: tablet, devices: Some(vec![]), others: vec![] };
    let keys = hub.ask(own).unwrap().keys.unwrap();
    assert!(keys.user_signing.unwrap().text().contains(&second.usk.public));
}
