//! What it costs to know who sends a request.

use std::hint::black_box;

use ruma::OwnedServerName;
use serde_json::json;
use tern_edge::federation::{
    key_cache::KeyCache,
    sender::{Received, verify},
};
use tern_model::{BoundedVec, Name, RawJson};
use tern_ports::{
    Clock, ask_storage,
    wire::server_keys::{StoreServerKeys, StoredServerKey},
};
use tern_testkit::peer::Peer;

use crate::{Cluster, cost::measure, workloads::Costs};

/// PDUs of a transaction: as many as there may be.
const PDUS: usize = 50;

impl Costs {
    /// A transaction of 50 messages: from a server whose keys are stored, and from one that the isolate knows.
    pub(crate) fn of_federation(&mut self) {
        let (cluster, cache, peer) = (Cluster::default(), KeyCache::default(), Peer::new("far.test", "ed25519:1", 9));
        let key = StoredServerKey {
            key_id: Name::cut(peer.key.id.clone()),
            key: Name::cut(peer.key.public().text()),
            valid_until: cluster.now().plus(1_000_000),
            expired: false,
        };
        let store = StoreServerKeys {
            server: OwnedServerName::try_from(peer.name.as_str()).expect("the name is valid"),
            keys: BoundedVec::cut(vec![key]),
            response: RawJson::empty_object(),
            seen: cluster.now(),
        };
        cluster.run(ask_storage(&cluster, store)).expect("keys are stored");
        let message = json!({ "content": { "body": "hello", "msgtype": "m.text" }, "origin_server_ts": 1, "type": "m.room.message" });
        let body = json!({ "origin": peer.name, "pdus": vec![message; PDUS] }).to_string();
        let target = "/_matrix/federation/v1/send/1";
        let header = peer.sign("PUT", target, cluster.config().server_name.as_str(), &body);
        for name in ["federation_first", "federation"] {
            let received =
                Received { method: "PUT", target, authorization: Some(&header), body: black_box(body.as_bytes()) };
            let verified = verify(&cluster, cluster.config(), &cache, received, || Ok(()));
            self.add(name.to_owned(), measure(&cluster, verified, |server| u64::from(server.is_err())));
        }
    }
}
