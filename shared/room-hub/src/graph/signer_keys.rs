//! Keys of those who signed events that the room has asked for itself: from the storage worker, or from their servers.

use std::collections::BTreeMap;

use ruma::OwnedServerName;
use tern_model::{MatrixError, Millis, RawJson};
use tern_ports::{
    ObjectHost, ask_destination, ask_storage,
    wire::{
        receive::ServerKey,
        server_keys::{FetchServerKeys, LoadServerKeys, StoredServerKey},
    },
};
use tern_room::Unverified;

use crate::RoomActor;

/// Servers whose keys are looked for at once; events of others are taken when they come again.
const MOST_SERVERS: usize = 20;

impl<H: ObjectHost> RoomActor<H> {
    /// The keys of the servers that have to have signed these events. A server that cannot be asked has none.
    pub(crate) async fn keys_of(&self, events: &[RawJson]) -> Result<Vec<ServerKey>, MatrixError> {
        let version = self.room()?.version;
        let mut signers: BTreeMap<OwnedServerName, Millis> = BTreeMap::new();
        for event in events {
            let Ok(unverified) = Unverified::read(version, &self.room_id, event) else { continue };
            let made = unverified.made_at().min(self.host.now());
            // What this server has signed is known here.
            let named = unverified.signers().unwrap_or_default();
            for server in named.into_iter().filter(|server| *server != self.config.server_name) {
                let newest = signers.entry(server).or_default();
                *newest = made.max(*newest);
            }
        }
        let mut keys = Vec::new();
        for (server, made) in signers.into_iter().take(MOST_SERVERS) {
            let known = self.keys_of_server(&server, made).await?;
            keys.extend(known.into_iter().map(|key| ServerKey {
                server_name: server.clone(),
                key_id: key.key_id.into_string(),
                key: key.key.into_string(),
                valid_until: Some(key.valid_until),
            }));
        }
        Ok(keys)
    }

    async fn keys_of_server(
        &self,
        server: &OwnedServerName,
        made: Millis,
    ) -> Result<Vec<StoredServerKey>, MatrixError> {
        let name = OwnedServerName::try_from(server.as_str().to_ascii_lowercase());
        let name = name.map_err(|_| MatrixError::internal())?;
        let stored = ask_storage(&*self.host, LoadServerKeys { server: name.clone() }).await?;
        if stored.iter().any(|key| key.valid_until >= made) {
            return Ok(stored);
        }
        match ask_destination(&*self.host, &name, FetchServerKeys {}).await {
            Err(error) if error.status == 503 => Err(error),
            Err(_) => Ok(stored),
            Ok(fetched) => Ok(fetched),
        }
    }
}
