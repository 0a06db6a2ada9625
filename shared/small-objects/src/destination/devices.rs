//! Keys of the server's users, as users here look them up.
//!
//! The server tells of changes as long as somebody here shares a room with its user. So what it said is kept for those who
//! share one and have asked since: a `watcher` has been there from `since` on, and what was asked for later than that is
//! still true for them. Whoever came to share a room later, or again, asks anew, which their hub tells by another position.

use std::{collections::BTreeMap, pin::pin, rc::Rc};

use futures::{
    StreamExt,
    future::{Either, select},
    stream,
};
use ruma::{OwnedDeviceId, OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::{Map, Value};
use tern_federation::back_off::Health;
use tern_model::{Bounded, BoundedJson, MatrixError, Millis, RawJson};
use tern_object_kit::alarm::backed_off;
use tern_ports::{
    ObjectHost, Sql, SqlError, ask_user,
    outbound::HttpMethod,
    wire::{
        Done,
        destination::SendRequest,
        keys::{FoundKeys, NoteDeviceList, PublicKeys, RemoteUser},
        remote_keys::{NoteRemoteDevices, QueryRemoteKeys, RemoteKeys},
    },
};

use super::{DestinationActor, device_store::Watcher, schema::SCHEMA};

/// Users in one request to the server.
const AT_A_TIME: usize = 250;
/// So long the server has for an answer, in milliseconds, and so long the answer may be.
const TIMEOUT_MS: u64 = 10_000;
const LONGEST: usize = 8 << 20;
/// Most devices of a user.
const MOST_DEVICES: usize = 1_000;
/// What is kept is asked for again after a day, should the server have failed to tell of a change.
const KEPT_MS: u64 = 86_400_000;
/// Watchers told in one round, and at a time.
const ROUND: u32 = 60;
const HUBS_AT_A_TIME: usize = 6;
/// When telling is taken up again, and the delays after hubs could not be told, in milliseconds.
const LEFTOVERS_MS: u64 = 15_000;
const RETRY: (u64, u64) = (5_000, 600_000);

impl<H: ObjectHost> DestinationActor<H> {
    /// The keys of users of the server: those that are kept, and the others as the server says now.
    pub(super) async fn query_keys(self: &Rc<Self>, ask: QueryRemoteKeys) -> Result<RemoteKeys, MatrixError> {
        let QueryRemoteKeys { asker, users } = ask;
        let (mut found, mut rest) = (Vec::new(), Vec::new());
        if users.iter().any(|user| user.shared_at.is_some()) && self.config.federation.meets(self.name.as_str()) {
            SCHEMA.create(self.host.sql())?;
            for user in users {
                match self.kept_keys(&asker, &user)? {
                    Some(keys) => found.push(FoundKeys { user_id: user.user_id, keys: Some(keys), version: None }),
                    None => rest.push(user),
                }
            }
            self.watch(&asker, &rest).await?;
        } else {
            rest = users.into_vec();
        }
        for users in rest.chunks(AT_A_TIME) {
            match self.fetch_device_keys(users).await {
                Ok(keys) => found.extend(keys),
                Err(error) => return Ok(RemoteKeys { found, failure: Some(error) }),
            }
        }
        Ok(RemoteKeys { found, failure: None })
    }

    /// What the server has said of a user, if it is still true for the asker.
    fn kept_keys(&self, asker: &UserId, user: &RemoteUser) -> Result<Option<PublicKeys>, SqlError> {
        let Some(shared_at) = user.shared_at else { return Ok(None) };
        let watcher = self.store().watcher(&user.user_id, asker)?;
        let Some(watcher) = watcher.filter(|watcher| watcher.shared_at == shared_at) else { return Ok(None) };
        let oldest = watcher.since.max(Millis(self.host.now().0.saturating_sub(KEPT_MS)));
        self.store().keys(&user.user_id, oldest)
    }

    /// From now on the asker is told of changes. Durable before the server is asked: a change that it tells of while its answer
    /// is on the way must find the asker.
    async fn watch(&self, asker: &OwnedUserId, users: &[RemoteUser]) -> Result<(), SqlError> {
        let since = self.host.now();
        let mut watched = users.iter().filter(|user| user.shared_at.is_some()).peekable();
        if watched.peek().is_none() {
            return Ok(());
        }
        self.host.sql().transaction(|| {
            for user in watched {
                let shared_at = user.shared_at.unwrap_or_default();
                self.store().put_watcher(&user.user_id, asker, Watcher { shared_at, since })?;
            }
            Ok::<_, SqlError>(())
        })?;
        self.host.synced().await;
        Ok(())
    }

    async fn fetch_device_keys(self: &Rc<Self>, users: &[RemoteUser]) -> Result<Vec<FoundKeys>, MatrixError> {
        let asked = self.host.now();
        let wanted: Map<String, Value> =
            users.iter().map(|user| (user.user_id.to_string(), Value::Array(Vec::new()))).collect();
        let body = Value::Object(Map::from_iter([("device_keys".to_owned(), Value::Object(wanted))]));
        let request = SendRequest {
            method: HttpMethod::Post,
            target: Bounded::cut("/_matrix/federation/v1/user/keys/query"),
            body: Some(BoundedJson::new(RawJson::from_value(&body).map_err(|_| MatrixError::internal())?)?),
            timeout_ms: TIMEOUT_MS,
            max_bytes: LONGEST,
            background: true,
        };
        // To find the server takes time as well.
        let late = pin!(self.host.sleep(TIMEOUT_MS));
        let answer = match select(pin!(self.ask_server(request)), late).await {
            Either::Left((answer, _)) => answer?,
            Either::Right(_) => {
                self.note_health(Health::Unwell);
                return Err(MatrixError::new(504, "M_UNREACHABLE", "The server did not answer in time"));
            }
        };
        let said = answer.body.filter(|_| answer.status == 200).and_then(|body| body.read::<Said>().ok());
        let mut said = said.ok_or_else(|| {
            let reason = format!("The server answers with status {} to a question for keys", answer.status);
            MatrixError::new(502, "M_UNREACHABLE", reason)
        })?;
        let found: Vec<_> = users.iter().map(|user| said.take(&user.user_id)).collect();
        let shared = users.iter().zip(&found).filter(|(user, _)| user.shared_at.is_some());
        self.host.sql().transaction(|| {
            for (user, found) in shared {
                if let Some(keys) = found.keys.as_ref().filter(|keys| keys.bytes() <= PublicKeys::MOST_BYTES) {
                    self.store().put_keys(&user.user_id, keys, asked)?;
                }
            }
            Ok::<_, SqlError>(())
        })?;
        Ok(found)
    }

    /// The server tells of changes: what is kept goes, and whoever has looked is told to look again.
    pub(super) async fn note_devices(self: &Rc<Self>, note: NoteRemoteDevices) -> Result<Done, MatrixError> {
        if !SCHEMA.renew(self.host.sql())? {
            return Ok(Done {});
        }
        // An answer that is on the way may be from before the change.
        let since = self.host.now().plus(1);
        let watched = self.host.sql().transaction(|| {
            let mut watched = false;
            for user_id in &note.users {
                self.store().drop_keys(user_id)?;
                watched |= self.store().mark_watchers(user_id, since)?;
            }
            Ok::<_, SqlError>(watched)
        })?;
        if watched {
            self.alarm.set(&*self.host, self.host.now().plus(LEFTOVERS_MS)).await;
            self.host.synced().await;
            self.tell_watchers().await;
        }
        Ok(Done {})
    }

    /// Tells those who are still to be told of a change. What fails stays, and the alarm comes back to it.
    pub(super) async fn tell_watchers(&self) {
        loop {
            let Ok(due) = self.store().due_watchers(ROUND) else { return };
            let tells = due.iter().map(async |(user_id, watcher, since)| {
                let told = ask_user(&*self.host, watcher, NoteDeviceList { user_id: user_id.clone() }).await;
                let noted = match told {
                    Ok(noted) => noted.shared_at,
                    Err(error) if error.status < 500 => None,
                    Err(_) => return false,
                };
                self.store().settle_watcher(user_id, watcher, *since, noted).is_ok()
            });
            let told: Vec<bool> = stream::iter(tells).buffer_unordered(HUBS_AT_A_TIME).collect().await;
            if told.is_empty() || told.contains(&false) {
                let failures = if told.is_empty() { 0 } else { self.untold.get().saturating_add(1) };
                self.untold.set(failures);
                return;
            }
        }
    }

    /// When somebody is still to be told, if anybody is.
    pub(super) fn watchers_due(&self) -> Result<Option<Millis>, SqlError> {
        if SCHEMA.taken(self.host.sql())? < SCHEMA.steps.len() || self.store().due_watchers(1)?.is_empty() {
            return Ok(None);
        }
        Ok(Some(backed_off(self.host.now(), self.untold.get().max(1), RETRY)))
    }
}

/// What a server says of keys (Server-Server API, "End-to-end encryption").
#[derive(Deserialize)]
struct Said {
    device_keys: BTreeMap<String, BTreeMap<OwnedDeviceId, RawJson>>,
    #[serde(default)]
    master_keys: BTreeMap<String, RawJson>,
    #[serde(default)]
    self_signing_keys: BTreeMap<String, RawJson>,
}

impl Said {
    /// What it says of one of its users; nothing that is said to be somebody else's.
    fn take(&mut self, user_id: &OwnedUserId) -> FoundKeys {
        #[derive(Deserialize)]
        struct Owned {
            user_id: String,
            device_id: Option<String>,
        }
        let is_theirs = |keys: &RawJson, device_id: Option<&str>| {
            keys.read::<Owned>().is_ok_and(|owned| {
                owned.user_id == user_id.as_str() && (device_id.is_none() || owned.device_id.as_deref() == device_id)
            })
        };
        let devices = self.device_keys.remove(user_id.as_str()).unwrap_or_default();
        let devices: BTreeMap<_, _> =
            devices.into_iter().filter(|(id, keys)| is_theirs(keys, Some(id.as_str()))).take(MOST_DEVICES).collect();
        let key =
            |keys: &mut BTreeMap<String, RawJson>| keys.remove(user_id.as_str()).filter(|key| is_theirs(key, None));
        let (master, self_signing) = (key(&mut self.master_keys), key(&mut self.self_signing_keys));
        let devices = RawJson::from_value(&devices).unwrap_or_else(|_| RawJson::empty_object());
        let keys = PublicKeys { devices, master, self_signing };
        FoundKeys { user_id: user_id.clone(), keys: Some(keys), version: None }
    }
}
