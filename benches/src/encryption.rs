//! The workloads of end-to-end encryption.

use std::collections::BTreeMap;

use ruma::OwnedUserId;
use serde_json::json;
use tern_edge::{
    backup::{self, Method, Rooms},
    keys::{self, Query},
    to_device,
};
use tern_model::{Caller, MatrixError, RawJson};
use tern_ports::{
    ask_user,
    wire::{keys::UploadKeys, user::OpenSession},
};
use tern_testkit::SigningKey;

use crate::{
    Cluster, Phone,
    corpus::Room,
    cost::measure,
    workloads::{Costs, EMPTY},
};

/// The algorithm of one-time keys.
const CURVE: &str = "signed_curve25519";
/// One-time keys of an upload.
const KEYS: usize = 50;
/// Users of a query.
const USERS: usize = 1_000;
/// Devices that one message goes to.
const DEVICES: usize = 100;
/// Session keys of an upload to the backup.
const SESSIONS: usize = 1_000;

impl Costs {
    /// Keys, to-device messages, backup.
    pub(crate) fn of_encryption(&mut self) {
        let room = Room::new(200);
        room.cluster.quiesce();
        let upload = identity(&room.sender);
        let published = ask_user(&room.cluster, &room.sender.user_id, upload);
        self.add("keys_identity_200".to_owned(), measure(&room.cluster, published, |_| EMPTY));

        let cluster = Cluster::default();
        let alice = Phone::sign_in(&cluster, "alice");
        let phones: Vec<_> = (0..USERS).map(|number| Phone::sign_in(&cluster, &format!("user{number:04}"))).collect();
        for phone in &phones {
            cluster.run(ask_user(&cluster, &phone.user_id, identity(phone))).expect("the keys are good");
        }
        cluster.quiesce();
        self.of_keys(&cluster, &alice, &phones);
        self.of_messages(&cluster, &alice);
        self.of_backup(&cluster, &alice);
    }

    fn of_keys(&mut self, cluster: &Cluster, alice: &Phone, phones: &[Phone]) {
        let key = SigningKey::of_device(&alice.user_id, "PHONE");
        let named = |number: usize| (format!("{CURVE}:{number}"), key.disposable(&number.to_string()));
        let upload = UploadKeys { one_time_keys: (0..KEYS).map(named).collect(), ..nothing(alice) };
        let uploaded = ask_user(cluster, &alice.user_id, upload);
        self.add(format!("keys_upload_{KEYS}"), measure(cluster, uploaded, |_| EMPTY));

        let wanted = phones.iter().map(|phone| (phone.user_id.clone(), Vec::new())).collect();
        let query = async {
            let mut query = Query::new(cluster, cluster.config(), &alice.user_id, alice.session(), wanted).await?;
            let mut bytes = 0;
            while !query.is_over() {
                bytes += query.next(cluster).await?.len() as u64;
            }
            Ok::<_, MatrixError>(bytes)
        };
        self.add(format!("keys_query_{USERS}"), measure(cluster, query, |bytes| *bytes.as_ref().expect("it succeeds")));

        let wanted = [(alice.user_id.clone(), BTreeMap::from([("PHONE".into(), CURVE.to_owned())]))].into();
        let claim = keys::claim(cluster, cluster.config(), wanted);
        self.add("keys_claim".to_owned(), measure(cluster, claim, |claimed| body(claimed.as_ref().ok())));
    }

    fn of_messages(&mut self, cluster: &Cluster, alice: &Phone) {
        let bob: OwnedUserId = "@bob:tern.test".try_into().expect("the name is valid");
        for number in 0..DEVICES {
            let open = OpenSession {
                device_id: Some(format!("D{number:03}").as_str().into()),
                display_name: None,
                refresh: false,
                ip: None,
                user_id: bob.clone(),
            };
            cluster.run(ask_user(cluster, &bob, open)).expect("the hub opens a session");
        }
        cluster.quiesce();
        let sender = Caller { user_id: alice.user_id.clone(), device_id: "PHONE".into() };
        let content = raw(&json!({ "ciphertext": "c".repeat(500) }));
        let messages = [(bob, BTreeMap::from([("*".to_owned(), content)]))].into();
        let sent = to_device::send(cluster, cluster.config(), &sender, "m.room.encrypted", "t1", messages);
        self.add(format!("to_device_{DEVICES}"), measure(cluster, sent, |_| EMPTY));
    }

    fn of_backup(&mut self, cluster: &Cluster, alice: &Phone) {
        let method: Method =
            serde_json::from_value(json!({ "algorithm": "a", "auth_data": {} })).expect("the method is valid");
        let version = cluster.run(backup::create(cluster, &alice.user_id, method)).expect("a backup is made");
        let session = json!({
            "first_message_index": 0, "forwarded_count": 0, "is_verified": true,
            "session_data": { "ciphertext": "c".repeat(700), "ephemeral": "e".repeat(43), "mac": "m".repeat(11) },
        });
        let sessions: serde_json::Map<_, _> =
            (0..SESSIONS).map(|number| (format!("session{number:040}"), session.clone())).collect();
        let rooms: Rooms =
            serde_json::from_value(json!({ "!room:tern.test": { "sessions": sessions } })).expect("the keys are valid");
        let stored = backup::store(cluster, &alice.user_id, Some(&version), rooms);
        let bytes = |stored: &Result<serde_json::Value, _>| body(stored.as_ref().ok());
        self.add(format!("backup_{SESSIONS}"), measure(cluster, stored, bytes));
    }
}

fn nothing(phone: &Phone) -> UploadKeys {
    UploadKeys {
        session: phone.session(),
        device_keys: None,
        one_time_keys: BTreeMap::new(),
        fallback_keys: BTreeMap::new(),
    }
}

fn identity(phone: &Phone) -> UploadKeys {
    let keys = SigningKey::of_device(&phone.user_id, "PHONE").identity();
    UploadKeys { device_keys: Some(raw(&keys)), ..nothing(phone) }
}

fn raw(value: &serde_json::Value) -> RawJson {
    RawJson::from_value(value).expect("it is JSON")
}

fn body<T: serde::Serialize>(answer: Option<&T>) -> u64 {
    serde_json::to_string(answer.expect("the request succeeds")).map_or(0, |text| text.len() as u64)
}
