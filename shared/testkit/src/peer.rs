//! Another server, as far as one can be told by what it signs: it says which keys it has and signs requests, rightly or not.

use std::collections::BTreeMap;

use tern_federation::{
    request::{SignedRequest, content},
    server_keys::publish,
    signature::PrivateKey,
};
use tern_model::{Millis, OldSigningKey};

/// Another server with one key.
pub struct Peer {
    /// Its name.
    pub name: String,
    /// Its key.
    pub key: PrivateKey,
}

impl Peer {
    /// The server of this name, whose key is made of `seed`.
    pub fn new(name: &str, key_id: &str, seed: u8) -> Self {
        let key = PrivateKey::new(key_id, &[seed; 32]).expect("a seed has 32 bytes");
        Self { name: name.to_owned(), key }
    }

    /// What it says of its key: `GET /_matrix/key/v2/server`.
    pub fn keys(&self, valid_until: Millis, old: &BTreeMap<String, OldSigningKey>) -> String {
        publish(&self.name, &self.key, old, valid_until).expect("keys can be published")
    }

    /// The `Authorization` header of a request to `destination`; `body` is JSON or empty.
    pub fn sign(&self, method: &str, target: &str, destination: &str, body: &str) -> String {
        let content = content(body.as_bytes()).expect("the body can be signed");
        let origin = &self.name;
        SignedRequest { method, target, origin, destination, content: content.as_deref() }.sign(&self.key)
    }
}
