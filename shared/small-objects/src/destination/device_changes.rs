//! Changed devices of users here, which the server is told of (Server-Server API, "Device Management").
//!
//! It is told that something has changed, and asks for all of it (`user/devices`): whatever was lost, reordered or left out
//! before, it then has the devices as they are. So the ids of a user's changes are even numbers, and each change names the
//! odd one before it as its predecessor, which no server has ever seen.

use std::collections::BTreeMap;

use ruma::{OwnedDeviceId, OwnedUserId};
use serde_json::{Map, Value, json};
use std::rc::Rc;
use tern_model::{MatrixError, RawJson};
use tern_object_kit::schema::Step;
use tern_ports::{
    ObjectHost, Row, Sql, SqlError, ask_storage,
    wire::{
        Done,
        destination::EnqueueDeviceList,
        keys::{PublicKeys, ReadPublicKeys},
        remote_keys::stream_id,
    },
};

use super::{
    DestinationActor,
    store::{DeviceChange, Store, damaged},
};

/// A user's newest change that the server was not told of.
pub(super) const TABLES: Step =
    &["CREATE TABLE device_change (user_id TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT, WITHOUT ROWID"];

/// Most changes in one transaction.
pub(super) const MOST_CHANGES: u32 = 5;

impl<H: ObjectHost> DestinationActor<H> {
    /// Remembers durably that a user's devices have changed, and begins to tell the server.
    pub(super) async fn enqueue_devices(self: &Rc<Self>, ask: EnqueueDeviceList) -> Result<Done, MatrixError> {
        if !self.config.federation.meets(self.name.as_str()) {
            return Ok(Done {});
        }
        self.open_queue()?;
        self.store().put_device_change(&ask.user_id, ask.version)?;
        self.look_after().await?;
        Ok(Done {})
    }

    /// What the server is told of changes, with the keys as they are now.
    pub(super) async fn describe_changes(&self, changes: &[DeviceChange]) -> Result<Vec<RawJson>, MatrixError> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let users = changes.iter().map(|change| change.user_id.clone()).collect();
        let page = ask_storage(&*self.host, ReadPublicKeys { users, versions: false }).await?;
        let mut keys: BTreeMap<_, _> = page.found.into_iter().map(|found| (found.user_id, found.keys)).collect();
        let edus = changes.iter().flat_map(|change| describe(change, keys.remove(&change.user_id).flatten()));
        edus.map(|edu| RawJson::from_value(&edu).map_err(|_| MatrixError::internal())).collect()
    }
}

/// One device stands for all.
fn describe(change: &DeviceChange, keys: Option<PublicKeys>) -> Vec<Value> {
    let DeviceChange { user_id, version } = change;
    let (devices, master, self_signing) = match keys {
        Some(PublicKeys { devices, master, self_signing }) => (devices, master, self_signing),
        None => (RawJson::empty_object(), None, None),
    };
    let devices: BTreeMap<OwnedDeviceId, Map<String, Value>> = devices.read().unwrap_or_default();
    let id = stream_id(*version);
    let own = || ("user_id", Value::from(user_id.as_str()));
    let change = [own(), ("stream_id", id.into()), ("prev_id", json!([id.saturating_sub(1)]))];
    let device = match devices.into_iter().next() {
        Some((device_id, mut keys)) => {
            keys.remove("unsigned");
            [("device_id", device_id.as_str().into()), ("keys", keys.into())]
        }
        None => [("device_id", "NONE".into()), ("deleted", true.into())],
    };
    let mut edus = vec![edu("m.device_list_update", change.into_iter().chain(device))];
    if let Some(master) = master {
        let keys = [Some(("master_key", master)), self_signing.map(|key| ("self_signing_key", key))];
        let keys = keys.into_iter().flatten().filter_map(|(name, key)| Some((name, key.read::<Value>().ok()?)));
        let keys: Vec<_> = std::iter::once(own()).chain(keys).collect();
        // Older servers know the other name alone.
        edus.push(edu("m.signing_key_update", keys.iter().cloned()));
        edus.push(edu("org.matrix.signing_key_update", keys.into_iter()));
    }
    edus
}

fn edu(kind: &str, content: impl Iterator<Item = (&'static str, Value)>) -> Value {
    let content: Map<String, Value> = content.map(|(name, value)| (name.to_owned(), value)).collect();
    json!({ "edu_type": kind, "content": content })
}

impl<S: Sql> Store<'_, S> {
    fn put_device_change(&self, user_id: &OwnedUserId, version: u64) -> Result<(), SqlError> {
        self.0.query(
            "INSERT INTO device_change VALUES (?, ?) ON CONFLICT DO UPDATE SET version = excluded.version
             WHERE version < excluded.version",
            &[user_id.as_str().into(), version.into()],
        )?;
        Ok(())
    }

    /// Some of the changes that wait.
    pub(super) fn device_changes(&self, limit: u32) -> Result<Vec<DeviceChange>, SqlError> {
        let rows = self.0.query("SELECT user_id, version FROM device_change LIMIT +?", &[u64::from(limit).into()])?;
        let change = |row: &Row| {
            let user_id = OwnedUserId::try_from(row.text(0).unwrap_or_default()).map_err(damaged)?;
            Ok(DeviceChange { user_id, version: row.int(1).unwrap_or_default() })
        };
        rows.iter().map(change).collect()
    }

    /// The server was told of a change; one that came meanwhile stays.
    pub(super) fn drop_device_change(&self, change: &DeviceChange) -> Result<(), SqlError> {
        self.0.query(
            "DELETE FROM device_change WHERE user_id = ? AND version <= ?",
            &[change.user_id.as_str().into(), change.version.into()],
        )?;
        Ok(())
    }
}
