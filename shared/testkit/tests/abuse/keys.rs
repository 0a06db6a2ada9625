//! Keys for end-to-end encryption that nobody can use.

use std::collections::BTreeMap;

use serde_json::json;
use tern_model::{Class, RawJson};
use tern_ports::wire::keys::{UploadKeys, UploadSignatures};

use crate::scene::{Act, Deed, LONG, Scene, long, raw};

pub(crate) const ALL: &[Deed] = &[
    Deed { name: "one-time keys", class: Class::Other, what: one_time_keys },
    Deed { name: "fallback keys", class: Class::Other, what: fallback_keys },
    Deed { name: "device keys", class: Class::Other, what: device_keys },
    Deed { name: "signatures", class: Class::Other, what: signatures },
];

fn upload(scene: &Scene) -> UploadKeys {
    UploadKeys {
        session: scene.mallory.session(),
        device_keys: None,
        one_time_keys: BTreeMap::new(),
        fallback_keys: BTreeMap::new(),
    }
}

fn key(id: u64, number: u64) -> (String, RawJson) {
    (format!("signed_curve25519:{id}"), raw(&json!({ "key": long(number, 1_000), "signatures": {} })))
}

fn one_time_keys(scene: &Scene, number: u64) -> Act<'_> {
    let keys = (0..50).map(|at| key(50 * number + at, number)).collect();
    Box::pin(scene.own(UploadKeys { one_time_keys: keys, ..upload(scene) }))
}

fn fallback_keys(scene: &Scene, number: u64) -> Act<'_> {
    Box::pin(scene.own(UploadKeys { fallback_keys: [key(number, number)].into(), ..upload(scene) }))
}

/// Others are told of each.
fn device_keys(scene: &Scene, number: u64) -> Act<'_> {
    let device = scene.mallory.session().device_id;
    let keys = raw(&json!({
        "user_id": scene.mallory.user_id, "device_id": device, "algorithms": [long(number, LONG / 4)],
        "keys": { format!("curve25519:{device}"): "AAAA", format!("ed25519:{device}"): "AAAA" }, "signatures": {},
    }));
    Box::pin(scene.own(UploadKeys { device_keys: Some(keys), ..upload(scene) }))
}

fn signatures(scene: &Scene, number: u64) -> Act<'_> {
    let signed = BTreeMap::from([(
        scene.alice.user_id.clone(),
        BTreeMap::from([(
            format!("KEY{number}"),
            raw(&json!({ "keys": {}, "signatures": {}, "text": long(number, LONG) })),
        )]),
    )]);
    Box::pin(scene.own(UploadSignatures { session: scene.mallory.session(), signed, masters: BTreeMap::new() }))
}
