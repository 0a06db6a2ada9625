//! Having a server say which keys it has: the server itself, or else a notary. What a notary passes on is signed by the
//! server's own keys, so nobody has to be trusted.

use ruma::ServerName as Name;
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tern_federation::{
    discovery::Way,
    server_keys::{self, KeyResponse},
    server_name::ServerName,
};
use tern_model::{BoundedVec, MatrixError, RawJson};
use tern_ports::{
    ObjectHost, ask_storage,
    outbound::{Bounds, HttpAnswer, HttpRequest, fetch},
    wire::server_keys::{StoreServerKeys, StoredServerKey},
};

use super::{
    DestinationActor, Fetched,
    way::{address, find},
};

/// What an answer about keys may cost.
const BOUNDS: Bounds =
    Bounds { timeout_ms: 10_000, max_bytes: server_keys::LONGEST, cut: false, redirects: 0, plain: false };
/// Notaries that are asked, at most.
const MOST_NOTARIES: usize = 3;

impl<H: ObjectHost> DestinationActor<H> {
    /// The keys, from whoever has them, stored.
    pub(super) async fn keys_from_anywhere(&self) -> Fetched {
        let response = match self.keys_of_server().await {
            Ok(response) => response,
            Err(reason) => self.keys_of_notaries().await.ok_or_else(|| unreachable(&reason))?,
        };
        let keys = response.keys.into_iter().filter_map(|key| {
            Some(StoredServerKey {
                key_id: key.key_id.try_into().ok()?,
                key: key.key.text().try_into().ok()?,
                valid_until: key.valid_until,
                expired: key.expired,
            })
        });
        let ask = StoreServerKeys {
            server: self.name.clone(),
            keys: BoundedVec::cut(keys.collect()),
            response: RawJson::parse(response.text).map_err(|_| MatrixError::internal())?,
            seen: self.host.now(),
        };
        ask_storage(&*self.host, ask).await
    }

    async fn keys_of_server(&self) -> Result<KeyResponse, String> {
        let way = self.way().await?;
        let url = address(&way, "/_matrix/key/v2/server").map_err(|error| error.to_string())?;
        let answer = fetch(&*self.host, HttpRequest::get(url), BOUNDS).await;
        let read = answer.map_err(|error| error.to_string()).and_then(|answer| self.read(&answer));
        if read.is_err() {
            self.forget_way();
        }
        read
    }

    fn read(&self, answer: &HttpAnswer) -> Result<KeyResponse, String> {
        if answer.status != 200 {
            return Err(format!("it answers with status {}", answer.status));
        }
        let read = server_keys::read(&answer.body, &self.server, self.host.now());
        read.map_err(|error| error.to_string())
    }

    async fn keys_of_notaries(&self) -> Option<KeyResponse> {
        for notary in self.config.federation.notaries.iter().take(MOST_NOTARIES) {
            if let Some(response) = self.keys_of_notary(notary).await {
                return Some(response);
            }
        }
        None
    }

    /// What a notary has of it that is good for longest.
    async fn keys_of_notary(&self, notary: &Name) -> Option<KeyResponse> {
        #[derive(Deserialize)]
        struct Answer {
            server_keys: Vec<Box<RawValue>>,
        }
        let notary = ServerName::parse(notary.as_str()).filter(|notary| *notary != self.server)?;
        let way: Way = find(&*self.host, self.config.federation.resolver.as_deref(), &notary).await.ok()?;
        let url = address(&way, "/_matrix/key/v2/query").ok()?;
        let now = self.host.now();
        let wanted = json!({ "server_keys": { self.name.as_str(): {} } });
        let request = HttpRequest::post(url, "application/json", wanted.to_string().into_bytes());
        let answer = fetch(&*self.host, request, BOUNDS).await.ok().filter(|answer| answer.status == 200)?;
        let Answer { server_keys } = serde_json::from_slice(&answer.body).ok()?;
        let read =
            server_keys.iter().filter_map(|text| server_keys::read(text.get().as_bytes(), &self.server, now).ok());
        read.max_by_key(|response| response.keys.iter().filter(|key| !key.expired).map(|key| key.valid_until).max())
    }
}

/// Nobody has said which keys the server has.
fn unreachable(reason: &str) -> MatrixError {
    MatrixError::new(502, "M_UNREACHABLE", format!("The server's keys cannot be had: {reason}"))
}
