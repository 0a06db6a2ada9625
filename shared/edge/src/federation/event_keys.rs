//! Keys with which events are signed: looked for where requests' keys are, also old ones.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use ruma::{
    OwnedServerName, OwnedUserId,
    serde::{Base64, base64::Standard},
    signatures::PublicKeyMap,
};
use serde::{Deserialize, de::IgnoredAny};
use tern_federation::{server_keys::ServerKey as Known, server_name::ServerName};
use tern_model::{Config, MatrixError, Millis, RawJson};
use tern_ports::{Clock, Transport, wire::receive::ServerKey};
use tern_room::Version;

use super::{key_cache::KeyCache, own_keys, sender};

/// Servers of whose keys nothing is known that are asked for the events of one room; with more of them the request has to be
/// repeated, when those are known.
const MOST_FETCHES: usize = 20;
/// Of them at a time.
const AT_A_TIME: usize = 6;
/// Keys of one server that one event is looked at with.
const MOST_KEYS: usize = 4;

/// The keys that events need: by server and key id, when the key has to be good.
#[derive(Clone, Debug, Default)]
pub struct Signers(pub(super) BTreeMap<OwnedServerName, BTreeMap<String, Millis>>);

/// What an event says of who signs it.
#[expect(clippy::zero_sized_map_values, reason = "an object is read, of which only the names count")]
#[derive(Deserialize)]
struct Signed {
    sender: OwnedUserId,
    #[serde(default)]
    event_id: Option<String>,
    #[serde(default)]
    origin_server_ts: Option<u64>,
    #[serde(default)]
    content: Content,
    signatures: BTreeMap<OwnedServerName, BTreeMap<String, IgnoredAny>>,
}

#[derive(Default, Deserialize)]
struct Content {
    #[serde(default, rename = "join_authorised_via_users_server")]
    authoriser: Option<String>,
}

impl Signers {
    /// Adds who may have to sign an event, whatever the version of its room: its sender's server, the one whose name is in
    /// its id, and that of the user who let its sender in. An event of another form adds nobody.
    pub fn add(&mut self, event: &RawJson, now: Millis) {
        let Ok(signed) = event.read::<Signed>() else { return };
        let made = Millis(signed.origin_server_ts.unwrap_or_default()).min(now);
        let of_name = |text: &Option<String>| Some(text.as_deref()?.split_once(':')?.1.to_owned());
        let named = [of_name(&signed.event_id), of_name(&signed.content.authoriser)];
        let named = named.into_iter().flatten().filter_map(|name| OwnedServerName::try_from(name).ok());
        for server in named.chain([signed.sender.server_name().to_owned()]) {
            let Some(signatures) = signed.signatures.get(&server) else { continue };
            let known = self.0.entry(server).or_default();
            for key_id in signatures.keys().take(MOST_KEYS) {
                let good_at = known.entry(key_id.clone()).or_default();
                *good_at = made.max(*good_at);
            }
        }
    }

    /// The keys, as far as they can be had. `admit` is asked before anybody is asked for keys.
    ///
    /// # Errors
    /// That of `admit`; 503 when the storage worker cannot be reached, or too many servers would have to be asked.
    pub async fn keys<E: Transport + Clock>(
        self,
        edge: &E,
        config: &Config,
        cache: &KeyCache,
        admit: impl Fn() -> Result<(), MatrixError>,
    ) -> Result<Vec<ServerKey>, MatrixError> {
        let (now, left) = (edge.now(), std::cell::Cell::new(MOST_FETCHES));
        let admit = || {
            left.set(left.get().checked_sub(1).ok_or_else(MatrixError::unavailable)?);
            admit()
        };
        let found = stream::iter(self.0).map(async |(server, wanted)| {
            let Some(name) = ServerName::parse(server.as_str()) else { return Ok(Vec::new()) };
            let known = if name == sender::own_name(config) {
                own(config)
            } else {
                cache.event_keys(edge, &name, &wanted, now, &admit).await?
            };
            Ok::<_, MatrixError>(written(&server, &wanted, known))
        });
        let found: Vec<Vec<ServerKey>> = found.buffer_unordered(AT_A_TIME).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }
}

/// Keys as the rules take them: of a room version that enforces it, those that were good when an event was made.
pub(super) fn good_at(keys: Vec<ServerKey>, version: &Version, made: Millis) -> PublicKeyMap {
    let mut good = PublicKeyMap::new();
    for key in keys {
        let valid = !version.enforces_key_validity() || key.valid_until.is_some_and(|until| made <= until);
        if let (true, Ok(bytes)) = (valid, Base64::<Standard>::parse(&key.key)) {
            good.entry(key.server_name.to_string()).or_default().insert(key.key_id, bytes);
        }
    }
    good
}

/// The wanted ones among the keys of a server, as a room's hub takes them.
pub(super) fn written(
    server: &OwnedServerName,
    wanted: &BTreeMap<String, Millis>,
    known: Vec<Known>,
) -> Vec<ServerKey> {
    let wanted = known.into_iter().filter(|key| wanted.contains_key(&key.key_id));
    let written = wanted.map(|key| ServerKey {
        server_name: server.clone(),
        key_id: key.key_id,
        key: key.key.text(),
        valid_until: Some(key.valid_until),
    });
    written.collect()
}

/// The keys of this server, as a room's hub takes them.
pub(super) fn own_keys(config: &Config) -> Vec<ServerKey> {
    let known = own(config);
    let wanted = known.iter().map(|key| (key.key_id.clone(), Millis(0))).collect();
    written(&config.server_name, &wanted, known)
}

/// The keys of this server, for what others send back to it.
fn own(config: &Config) -> Vec<Known> {
    let key = own_keys::key(config).map(|key| Known {
        key_id: key.id.clone(),
        key: key.public(),
        valid_until: Millis(u64::MAX),
        expired: false,
    });
    let old = config.federation.old_keys.iter().filter_map(|(key_id, old)| {
        let key = tern_federation::signature::PublicKey::parse(&old.key)?;
        Some(Known { key_id: key_id.clone(), key, valid_until: old.expired_ts, expired: true })
    });
    key.into_iter().chain(old).collect()
}
