//! Public keys: what is taken, what is given out, and to whom.

use std::collections::{BTreeMap, BTreeSet};

use ruma::{
    serde::{Base64, base64::Standard},
    user_id,
};
use serde_json::{Value, json};
use tern_model::RawJson;
use tern_ports::wire::{
    grant::{AllowReset, Grant, IssueGrant, OpenBrowser, RedeemGrant},
    keys::{
        ClaimKeys, CrossSigningUploaded, NoteDeviceList, QueryKeys, QueryOwnKeys, UploadCrossSigning, UploadKeys,
        UploadSignatures,
    },
    user::{CloseSessions, SessionRef},
};
use tern_testkit::SigningKey;

use crate::support::{Hub, alice, bob, everything, later, member, notice, raw};

pub(crate) const CURVE: &str = "signed_curve25519";

pub(crate) fn upload(session: &SessionRef) -> UploadKeys {
    UploadKeys {
        session: session.clone(),
        device_keys: None,
        one_time_keys: BTreeMap::new(),
        fallback_keys: BTreeMap::new(),
    }
}

pub(crate) fn device_key(device: &str) -> SigningKey {
    SigningKey::of_device(alice(), device)
}

pub(crate) fn with_keys(session: &SessionRef, ids: &[&str]) -> UploadKeys {
    let key = device_key(session.device_id.as_str());
    let one_time = ids.iter().map(|id| (format!("{CURVE}:{id}"), key.disposable(id)));
    UploadKeys { one_time_keys: one_time.collect(), ..upload(session) }
}

pub(crate) fn identity(session: &SessionRef) -> UploadKeys {
    let keys = device_key(session.device_id.as_str()).identity();
    UploadKeys { device_keys: Some(raw(&keys)), ..upload(session) }
}

pub(crate) fn claim(hub: &Hub, device: &str) -> Option<String> {
    let devices = BTreeMap::from([(device.into(), CURVE.to_owned())]);
    let claimed = hub.ask(ClaimKeys { devices }).unwrap();
    let keys = claimed.get(<&ruma::DeviceId>::from(device))?;
    keys.keys().next().map(|name| name.trim_start_matches("signed_curve25519:").to_owned())
}

fn count(hub: &Hub, session: &SessionRef) -> u64 {
    hub.ask(upload(session)).unwrap().get(CURVE).copied().unwrap_or(0)
}

#[test]
fn one_time_keys_go_out_once_in_order_and_then_the_fallback_key() {
    let hub = Hub::new();
    let phone = hub.login("PHONE");
    hub.ask(identity(&phone)).unwrap();
    assert_eq!(claim(&hub, "PHONE"), None);
    assert_eq!(hub.ask(upload(&phone)).unwrap(), BTreeMap::from([(CURVE.to_owned(), 0)]), "none is told, too");
    hub.ask(with_keys(&phone, &["z", "y"])).unwrap();
    hub.ask(with_keys(&phone, &["a"])).unwrap();
    let fallback = BTreeMap::from([(format!("{CURVE}:F"), device_key("PHONE").disposable("F"))]);
    let with_fallback = UploadKeys { fallback_keys: fallback, ..upload(&phone) };
    hub.ask(with_fallback.clone()).unwrap();

    let first = [claim(&hub, "PHONE"), claim(&hub, "PHONE")].map(Option::unwrap);
    assert_eq!(BTreeSet::from(first), BTreeSet::from(["z", "y"].map(str::to_owned)));
    assert_eq!(count(&hub, &phone), 1);
    let hub = hub.slept();
    assert_eq!(claim(&hub, "PHONE").as_deref(), Some("a"), "in the order of the uploads");

    hub.host.take_wakes();
    assert_eq!(unused(&hub, &phone), [CURVE]);
    assert_eq!(claim(&hub, "PHONE").as_deref(), Some("F"));
    assert_ne!(hub.woken(), 0, "time for another one");
    assert_eq!(claim(&hub, "PHONE").as_deref(), Some("F"));
    assert_eq!(unused(&hub, &phone), [""; 0]);
    hub.ask(with_fallback).unwrap();
    assert_eq!(unused(&hub, &phone), [""; 0], "a repeat of the used one is not unused");
    assert_eq!(claim(&hub, "NOBODY"), None);
}

pub(crate) fn unused(hub: &Hub, session: &SessionRef) -> Vec<String> {
    let body = hub.classic(session, None, false).unwrap().body();
    serde_json::from_value(body["device_unused_fallback_key_types"].clone()).unwrap()
}

#[test]
fn a_repeated_upload_brings_no_claimed_key_back() {
    let hub = Hub::new();
    let phone = hub.login("PHONE");
    let batch = with_keys(&phone, &["a", "b", "c"]);
    hub.ask(batch.clone()).unwrap();
    let given = claim(&hub, "PHONE").unwrap();
    assert_eq!(hub.ask(batch).unwrap()[CURVE], 2, "the answer was lost, and the client tries again");
    let rest = [claim(&hub, "PHONE"), claim(&hub, "PHONE")].map(Option::unwrap);
    assert!(!rest.contains(&given));
    assert_eq!(claim(&hub, "PHONE"), None);
}

#[test]
fn another_key_of_the_same_id_is_refused_waiting_or_given() {
    let hub = Hub::new();
    let phone = hub.login("PHONE");
    hub.ask(with_keys(&phone, &["a"])).unwrap();
    let other = UploadKeys {
        one_time_keys: BTreeMap::from([(format!("{CURVE}:a"), device_key("PHONE").disposable("other"))]),
        ..upload(&phone)
    };
    assert_eq!(hub.ask(other.clone()).unwrap_err().errcode, "M_INVALID_PARAM");
    claim(&hub, "PHONE").unwrap();
    assert_eq!(hub.ask(other).unwrap_err().errcode, "M_INVALID_PARAM");
    assert_eq!(count(&hub, &phone), 0);
}

#[test]
fn a_claim_that_was_answered_survives_a_crash() {
    let hub = Hub::new();
    let phone = hub.login("PHONE");
    hub.ask(with_keys(&phone, &["a", "b"])).unwrap();
    let first = claim(&hub, "PHONE").unwrap();
    let hub = hub.crashed();
    let second = claim(&hub, "PHONE").unwrap();
    assert_ne!(first, second);
    assert_eq!(claim(&hub, "PHONE"), None);
}

#[test]
fn an_upload_and_a_claim_write_few_rows() {
    let hub = Hub::new();
    let phone = hub.login("PHONE");
    let ids: Vec<_> = (0..50).map(|id| format!("k{id:02}")).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let (_, rows) = hub.rows(|| hub.ask(with_keys(&phone, &ids)).unwrap());
    assert_eq!(rows, 2, "all keys in one row, and the stream");
    let (_, rows) = hub.rows(|| claim(&hub, "PHONE"));
    assert_eq!(rows, 2);
}

#[test]
fn wrong_keys_are_refused() {
    let hub = Hub::new();
    let phone = hub.login("PHONE");
    let code = |keys: Value| {
        hub.ask(UploadKeys { device_keys: Some(raw(&keys)), ..upload(&phone) }).unwrap_err().errcode.into_owned()
    };
    assert_eq!(code(json!({"user_id": alice(), "device_id": "PHONE"})), "M_BAD_JSON");
    assert_eq!(code(device_key("LAPTOP").identity()), "M_INVALID_PARAM");
    assert_eq!(code(SigningKey::of_device(bob(), "PHONE").identity()), "M_INVALID_PARAM");
    let mut forged = device_key("PHONE").identity();
    forged["algorithms"] = json!(["m.none"]);
    assert_eq!(code(forged), "M_INVALID_SIGNATURE");
    // With the key of all zeros, a signature of all zeros is right for every fourth text.
    let zeros = |len| Base64::<Standard>::new(vec![0; len]).encode();
    for n in 0..32 {
        let mut weak = device_key("PHONE").identity();
        weak["algorithms"] = json!([format!("m.{n}")]);
        weak["keys"]["ed25519:PHONE"] = zeros(32).into();
        weak["signatures"] = json!({ alice(): { "ed25519:PHONE": zeros(64) } });
        assert_eq!(code(weak), "M_INVALID_SIGNATURE");
    }

    hub.ask(identity(&phone)).unwrap();
    let wrong = |name: &str, key: RawJson| {
        let upload = UploadKeys { one_time_keys: BTreeMap::from([(name.to_owned(), key)]), ..upload(&phone) };
        hub.ask(upload).unwrap_err().errcode.into_owned()
    };
    assert_eq!(wrong("nocolon", raw(&json!({"key": "a"}))), "M_BAD_JSON");
    assert_eq!(wrong("signed_curve25519:a", raw(&json!({"kee": "a"}))), "M_BAD_JSON");
    let mut forged: Value = device_key("PHONE").disposable("a").read().unwrap();
    forged["key"] = "b".into();
    assert_eq!(wrong("signed_curve25519:a", raw(&forged)), "M_INVALID_SIGNATURE");
}

pub(crate) struct Cross {
    pub(crate) master: SigningKey,
    pub(crate) ssk: SigningKey,
    pub(crate) usk: SigningKey,
}

impl Cross {
    pub(crate) fn new(label: &str) -> Self {
        let key = |what: &str| SigningKey::cross(alice(), &format!("{label} {what}"));
        Self { master: key("master"), ssk: key("self"), usk: key("user") }
    }

    pub(crate) fn upload(&self, session: &SessionRef, proved: bool) -> UploadCrossSigning {
        let signed = |key: &SigningKey, usage| Some(raw(&self.master.sign(key.for_usage(usage))));
        UploadCrossSigning {
            session: session.clone(),
            master: Some(raw(&device_key(session.device_id.as_str()).sign(self.master.for_usage("master")))),
            self_signing: signed(&self.ssk, "self_signing"),
            user_signing: signed(&self.usk, "user_signing"),
            proved,
        }
    }
}

#[test]
fn the_first_cross_signing_keys_are_free_and_so_is_a_repeat() {
    let hub = Hub::new();
    let phone = hub.login("PHONE");
    hub.ask(identity(&phone)).unwrap();
    let keys = Cross::new("first");
    let unsigned = UploadCrossSigning {
        self_signing: Some(raw(&keys.ssk.for_usage("self_signing"))),
        ..keys.upload(&phone, false)
    };
    assert_eq!(hub.ask(unsigned).unwrap_err().errcode, "M_INVALID_SIGNATURE");
    let alone = UploadCrossSigning { master: None, ..keys.upload(&phone, false) };
    assert_eq!(hub.ask(alone).unwrap_err().errcode, "M_MISSING_PARAM");

    assert_eq!(hub.ask(keys.upload(&phone, false)), Ok(CrossSigningUploaded::Done));
    assert_eq!(hub.rows(|| hub.ask(keys.upload(&phone, false))), (Ok(CrossSigningUploaded::Done), 0));
    let others = Cross::new("second");
    assert_eq!(hub.rows(|| hub.ask(others.upload(&phone, false))), (Ok(CrossSigningUploaded::NeedsProof), 0));
    assert_eq!(hub.ask(others.upload(&phone, true)), Ok(CrossSigningUploaded::Done));
    let seen = hub.ask(QueryKeys { devices: vec![] }).unwrap();
    assert!(seen.master.unwrap().text().contains(&others.master.public));
    assert_eq!(seen.user_signing, None, "only for the owner");
    let own = QueryOwnKeys { session: phone.clone(), devices: Some(vec![]), others: vec![] };
    assert!(hub.ask(own).unwrap().keys.unwrap().user_signing.unwrap().text().contains(&others.usk.public));
}

/// Signs an OAuth client in as a device, with a browser in which the user has signed in.
fn by_oauth(hub: &Hub, device: &str) -> (String, SessionRef) {
    let user_id = alice().to_owned();
    let cookie = hub.ask(OpenBrowser { user_id, ip: None, agent: None }).unwrap();
    let grant = Grant {
        client_id: "client".to_owned(),
        client_name: None,
        redirect_uri: None,
        scope: format!("urn:matrix:client:api:* urn:matrix:client:device:{device}"),
        device_id: Some(device.into()),
        challenge: None,
        nonce: None,
    };
    let code = hub.ask(IssueGrant { cookie: cookie.clone(), grant }).unwrap();
    let redeem = RedeemGrant { code, client_id: "client".to_owned(), redirect_uri: None, verifier: None, ip: None };
    let session = hub.ask(redeem).unwrap().session;
    (cookie, SessionRef { device_id: session.device_id, session_id: session.session_id })
}

#[test]
fn an_oauth_client_replaces_cross_signing_keys_once_and_only_when_the_user_allows_it() {
    let hub = Hub::new();
    let (cookie, phone) = by_oauth(&hub, "PHONE");
    let (_, thief) = by_oauth(&hub, "THIEF");
    hub.ask(identity(&phone)).unwrap();
    hub.ask(identity(&thief)).unwrap();
    hub.ask(Cross::new("first").upload(&phone, false)).unwrap();
    let upload = |hub: &Hub, label: &str, session| hub.ask(Cross::new(label).upload(session, true));
    assert_eq!(upload(&hub, "second", &phone), Ok(CrossSigningUploaded::NeedsApproval), "a password is no approval");

    let allow = |device_id: Option<&str>| AllowReset { cookie: cookie.clone(), device_id: device_id.map(Into::into) };
    hub.ask(allow(Some("PHONE"))).unwrap();
    let hub = hub.slept();
    assert_eq!(upload(&hub, "evil", &thief), Ok(CrossSigningUploaded::NeedsApproval), "it is for one device");
    assert_eq!(upload(&hub, "second", &phone), Ok(CrossSigningUploaded::Done));
    assert_eq!(upload(&hub, "third", &phone), Ok(CrossSigningUploaded::NeedsApproval), "it is used once");

    hub.ask(allow(None)).unwrap();
    later(&hub, 10 * 60_000);
    assert_eq!(upload(&hub, "third", &phone), Ok(CrossSigningUploaded::NeedsApproval), "it does not last");
    hub.ask(allow(None)).unwrap();
    assert_eq!(upload(&hub, "third", &phone), Ok(CrossSigningUploaded::Done));
}

#[test]
fn signatures_are_checked_and_go_with_the_key_that_made_them() {
    let hub = Hub::new();
    let (phone, laptop) = (hub.login("PHONE"), hub.login("LAPTOP"));
    hub.ask(identity(&phone)).unwrap();
    hub.ask(identity(&laptop)).unwrap();
    let keys = Cross::new("first");
    hub.ask(keys.upload(&phone, false)).unwrap();
    let bobs = SigningKey::cross(bob(), "master").for_usage("master");
    let bobs_name = SigningKey::cross(bob(), "master").public;
    let forged = {
        let mut forged = keys.ssk.sign(device_key("PHONE").identity());
        forged["algorithms"] = json!([]);
        forged
    };
    let signed = BTreeMap::from([
        (
            alice().to_owned(),
            BTreeMap::from([
                ("LAPTOP".to_owned(), raw(&keys.ssk.sign(device_key("LAPTOP").identity()))),
                ("PHONE".to_owned(), raw(&forged)),
                ("GONE".to_owned(), raw(&keys.ssk.sign(device_key("GONE").identity()))),
            ]),
        ),
        (bob().to_owned(), BTreeMap::from([(bobs_name.clone(), raw(&keys.usk.sign(bobs.clone())))])),
    ]);
    let masters = BTreeMap::from([(bob().to_owned(), raw(&bobs))]);
    let failures = hub.ask(UploadSignatures { session: phone.clone(), signed, masters }).unwrap();
    let refused: Vec<_> = failures[alice()].keys().map(String::as_str).collect();
    assert_eq!(refused, ["GONE", "PHONE"]);
    assert_eq!(failures.len(), 1);
    let laptop_keys = || {
        hub.ask(QueryKeys { devices: vec!["LAPTOP".into()] }).unwrap().devices[<&ruma::DeviceId>::from("LAPTOP")]
            .text()
            .to_owned()
    };
    assert!(laptop_keys().contains(&keys.ssk.public));
    hub.ask(identity(&laptop)).unwrap();
    assert!(laptop_keys().contains(&keys.ssk.public), "the same keys again lose no signature");
    let own = || {
        hub.ask(QueryOwnKeys { session: phone.clone(), devices: None, others: vec![bob().to_owned()] })
            .unwrap()
            .signatures
    };
    assert_eq!(own().len(), 1);

    hub.ask(Cross::new("second").upload(&phone, true)).unwrap();
    assert!(!laptop_keys().contains(&keys.ssk.public));
    assert_eq!(own(), []);
}

#[test]
fn keys_go_with_their_device() {
    let hub = Hub::new();
    let (phone, laptop) = (hub.login("PHONE"), hub.login("LAPTOP"));
    hub.ask(identity(&laptop)).unwrap();
    hub.ask(with_keys(&laptop, &["a"])).unwrap();
    let keys = Cross::new("first");
    hub.ask(keys.upload(&laptop, false)).unwrap();
    let name = |body: &Value| body["extensions"]["e2ee"]["device_lists"]["changed"].clone();
    let first = hub.sliding(&phone, &everything(), None, false).unwrap().body();
    let pos = first["pos"].as_str().map(str::to_owned);
    hub.ask(CloseSessions { session: Some(phone.clone()), devices: Some(vec!["LAPTOP".into()]), except: None })
        .unwrap();
    let seen = hub.ask(QueryKeys { devices: vec![] }).unwrap();
    assert_eq!(seen.devices.len(), 0);
    assert!(!seen.master.unwrap().text().contains("ed25519:LAPTOP"), "nor is its signature of use");
    assert_eq!(claim(&hub, "LAPTOP"), None);
    let next = hub.sliding(&phone, &everything(), pos.as_deref(), true).unwrap().body();
    assert_eq!(name(&next), json!([alice()]));
}

#[test]
fn the_hub_knows_since_when_a_room_is_shared_with_somebody_elsewhere() {
    let hub = Hub::new();
    let phone = hub.login("PHONE");
    let (eve, ann) = (user_id!("@eve:far.org"), user_id!("@ann:far.org"));
    let shared = || {
        let others = vec![bob().to_owned(), eve.to_owned(), ann.to_owned()];
        let own = hub.ask(QueryOwnKeys { session: phone.clone(), devices: None, others }).unwrap().shared;
        own.into_iter().map(|user| (user.user_id, user.shared_at.unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(shared(), []);
    hub.joins("r");
    hub.deliver(vec![notice("r", vec![member(2, bob(), "join"), member(3, eve, "join")])]);
    let first = shared();
    assert_eq!(first.iter().map(|(user_id, _)| user_id.clone()).collect::<Vec<_>>(), [eve]);
    // What the server tells of is noted there; a local user's hub need not know where.
    let note = |user_id: &ruma::UserId| hub.ask(NoteDeviceList { user_id: user_id.to_owned() }).unwrap().shared_at;
    let noted = note(eve).unwrap();
    assert!(noted > first[0].1);
    assert_eq!(shared(), [(eve.to_owned(), noted)]);
    assert_eq!((note(bob()), note(ann)), (None, None));
    // Gone and come again: another place, so that nothing kept from before counts.
    hub.deliver(vec![notice("r", vec![member(4, eve, "leave")])]);
    assert_eq!((shared(), note(eve)), (vec![], None));
    hub.deliver(vec![notice("r", vec![member(5, eve, "join")])]);
    assert!(shared()[0].1 > noted);
}
