//! Keys of other servers in an isolate's memory. Read from the storage worker, which has them from the objects of the servers.

use std::{cell::RefCell, num::NonZeroUsize, rc::Rc};

use lru::LruCache;
use ruma::OwnedServerName;
use tern_federation::{server_keys::ServerKey, server_name::ServerName, signature::PublicKey};
use tern_model::{MatrixError, Millis};
use tern_ports::{
    Transport, ask_destination, ask_storage,
    wire::server_keys::{FetchServerKeys, LoadServerKeys, StoredServerKey},
};

/// Servers whose keys are remembered, at about 300 bytes each.
const CAPACITY: usize = 10_000;
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
            self.remember(server, stored, Millis(0));
            return Ok(Some(key));
        }
        let fetched = match ask_destination(edge, &name, FetchServerKeys {}).await {
            Ok(fetched) => keys(fetched),
            Err(error) if error.status == 503 => return Err(error),
            Err(_) => stored,
        };
        let key = good(&fetched, key_id, now);
        self.remember(server, fetched, now.plus(ABSENT_FOR));
        Ok(key)
    }

    fn remember(&self, server: &ServerName, keys: Vec<ServerKey>, asked_until: Millis) {
        self.0.borrow_mut().put(server.clone(), Rc::new(Known { keys, asked_until }));
    }
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
