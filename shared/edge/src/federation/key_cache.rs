//! Keys of other servers in an isolate's memory. Read from the storage worker, which has them from the objects of the servers.

use std::{cell::RefCell, collections::BTreeMap, num::NonZeroUsize, rc::Rc};

use lru::LruCache;
use ruma::OwnedServerName;
use tern_federation::{server_keys::ServerKey, server_name::ServerName, signature::PublicKey};
use tern_model::{MatrixError, Millis};
use tern_ports::{
    Transport, ask_destination, ask_storage,
    wire::server_keys::{FetchServerKeys, LoadServerKeys, StoredServerKey},
};

/// Servers whose keys are remembered.
const CAPACITY: usize = 10_000;
/// Keys of each, at about 300 bytes; a server may have hundreds, and signs with one.
const MOST_KEYS: usize = 4;
/// That a server has no such key is remembered for so long, in milliseconds.
const ABSENT_FOR: u64 = 60_000;

/// What is known of a server.
#[derive(Default)]
struct Known {
    keys: Vec<ServerKey>,
    /// Until then it is not asked for another key.
    asked_until: Millis,
}

/// The keys.
pub struct KeyCache(RefCell<LruCache<ServerName, Rc<Known>>>);

impl Default for KeyCache {
    fn default() -> Self {
        Self(RefCell::new(LruCache::new(NonZeroUsize::new(CAPACITY).unwrap_or(NonZeroUsize::MIN))))
    }
}

impl KeyCache {
    /// The key of this id with which `server` signs requests now. Costs nothing when it is remembered, else one storage call,
    /// and when that knows no good one, one call of the server's object. `admit` is asked before either.
    ///
    /// # Errors
    /// That of `admit`; 503 when the storage worker cannot be reached. A server that does not say which keys it has has none.
    pub async fn request_key<E: Transport>(
        &self,
        edge: &E,
        server: &ServerName,
        key_id: &str,
        now: Millis,
        admit: impl FnOnce() -> Result<(), MatrixError>,
    ) -> Result<Option<PublicKey>, MatrixError> {
        let known = self.0.borrow_mut().get(server).cloned();
        let found = known.as_ref().and_then(|known| good(&known.keys, key_id, now));
        if found.is_some() || known.is_some_and(|known| now < known.asked_until) {
            return Ok(found);
        }
        admit()?;
        let Ok(name) = OwnedServerName::try_from(server.to_string()) else { return Ok(None) };
        let stored = keys(ask_storage(edge, LoadServerKeys { server: name.clone() }).await?);
        if let Some(key) = good(&stored, key_id, now) {
            self.remember(server, still_good(stored, key_id, now), Millis(0));
            return Ok(Some(key));
        }
        let fetched = fetch(edge, &name, stored).await?;
        let key = good(&fetched, key_id, now);
        let kept = still_good(fetched, key_id, now);
        // Where there may be more than are kept, absence is not known.
        let asked_until = if kept.len() < MOST_KEYS { now.plus(ABSENT_FOR) } else { Millis(0) };
        self.remember(server, kept, asked_until);
        Ok(key)
    }

    /// Those of these keys of a server that it has, or had until after the time they are wanted for; with them whatever
    /// else is known of it. Costs what [`Self::request_key`] costs.
    ///
    /// # Errors
    /// As of [`Self::request_key`].
    pub async fn event_keys<E: Transport>(
        &self,
        edge: &E,
        server: &ServerName,
        wanted: &BTreeMap<String, Millis>,
        now: Millis,
        admit: impl FnOnce() -> Result<(), MatrixError>,
    ) -> Result<Vec<ServerKey>, MatrixError> {
        let known = self.0.borrow_mut().get(server).cloned();
        if let Some(known) = known.as_ref().filter(|known| has_all(&known.keys, wanted)) {
            return Ok(known.keys.clone());
        }
        let Ok(name) = OwnedServerName::try_from(server.to_string()) else { return Ok(Vec::new()) };
        let stored = keys(ask_storage(edge, LoadServerKeys { server: name.clone() }).await?);
        let settled = has_all(&stored, wanted) || known.is_some_and(|known| now < known.asked_until);
        if settled {
            return Ok(stored);
        }
        admit()?;
        let fetched = fetch(edge, &name, stored).await?;
        let kept = wanted.keys().next().map(|key_id| still_good(fetched.clone(), key_id, now));
        self.remember(server, kept.unwrap_or_default(), now.plus(ABSENT_FOR));
        Ok(fetched)
    }

    fn remember(&self, server: &ServerName, keys: Vec<ServerKey>, asked_until: Millis) {
        self.0.borrow_mut().put(server.clone(), Rc::new(Known { keys, asked_until }));
    }
}

/// The keys of a server that is seldom asked for them: nothing is remembered.
///
/// # Errors
/// 503 when the storage worker cannot be reached.
pub(super) async fn look_up<E: Transport>(
    edge: &E,
    server: &OwnedServerName,
    wanted: &BTreeMap<String, Millis>,
) -> Result<Vec<ServerKey>, MatrixError> {
    let stored = keys(ask_storage(edge, LoadServerKeys { server: server.clone() }).await?);
    if has_all(&stored, wanted) { Ok(stored) } else { fetch(edge, server, stored).await }
}

/// What a server says of its keys; what was known, where it says nothing.
async fn fetch<E: Transport>(
    edge: &E,
    server: &OwnedServerName,
    stored: Vec<ServerKey>,
) -> Result<Vec<ServerKey>, MatrixError> {
    match ask_destination(edge, server, FetchServerKeys {}).await {
        Ok(fetched) => Ok(keys(fetched)),
        Err(error) if error.status == 503 => Err(error),
        Err(_) => Ok(stored),
    }
}

/// Whether all that are wanted are known for when they are wanted.
pub(super) fn has_all(keys: &[ServerKey], wanted: &BTreeMap<String, Millis>) -> bool {
    let has = |(key_id, at): (&String, &Millis)| {
        keys.iter().any(|key| key.key_id == *key_id && (key.expired || key.valid_until >= *at))
    };
    wanted.iter().all(has)
}

/// Keys that sign requests now, the one that was asked for among them.
fn still_good(mut keys: Vec<ServerKey>, key_id: &str, now: Millis) -> Vec<ServerKey> {
    keys.retain(|key| key.signs_requests_at(now));
    keys.sort_by_key(|key| key.key_id != key_id);
    keys.truncate(MOST_KEYS);
    keys.shrink_to_fit();
    keys
}

fn good(keys: &[ServerKey], key_id: &str, now: Millis) -> Option<PublicKey> {
    let key = keys.iter().find(|key| key.key_id == key_id && key.signs_requests_at(now))?;
    Some(key.key.clone())
}

/// What the storage worker has, less what is no key.
fn keys(stored: Vec<StoredServerKey>) -> Vec<ServerKey> {
    let read = |key: StoredServerKey| {
        let StoredServerKey { key_id, key, valid_until, expired } = key;
        Some(ServerKey { key_id: key_id.into_string(), key: PublicKey::parse(&key)?, valid_until, expired })
    };
    stored.into_iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use tern_federation::{server_keys::ServerKey, signature::PrivateKey};
    use tern_model::Millis;

    use super::{MOST_KEYS, still_good};

    #[test]
    fn of_hundreds_of_keys_few_are_remembered_and_the_one_that_signed_is_one() {
        let public = PrivateKey::new("ed25519:a", &[1; 32]).map(|key| key.public());
        let key = |number: u64| {
            let valid_until = Millis(if number == 0 { 1 } else { 100 });
            Some(ServerKey { key_id: format!("ed25519:{number}"), key: public.clone()?, valid_until, expired: false })
        };
        let kept = still_good((0..256).filter_map(key).collect(), "ed25519:200", Millis(50));
        assert_eq!(kept.len(), MOST_KEYS);
        assert_eq!(kept.first().map(|key| key.key_id.as_str()), Some("ed25519:200"));
        assert!(kept.iter().all(|key| key.key_id != "ed25519:0"), "over");
    }
}
