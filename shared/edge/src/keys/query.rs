//! `POST /keys/query`: of the asker the own hub knows all, of others there is a copy in the storage worker, which is never
//! behind what was acknowledged or announced (`user::encryption::publish`). Whoever has none there, and everybody while the
//! storage worker cannot be reached, is asked directly.
//!
//! The answer is written piece by piece, since it may be longer than what an isolate can hold: identity keys as they come,
//! and then the cross-signing keys, of which every user has few.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use futures::future::try_join;
use ruma::{OwnedDeviceId, OwnedUserId, UserId};
use serde::Serialize;
use tern_keys::{Signature, Signed, cross_signing};
use tern_model::{Config, MatrixError, RawJson};
use tern_ports::{
    Transport, ask_storage, ask_user,
    wire::{
        keys::{
            FoundKeys, KeysPage, OwnKeys, OwnSignature, PublicKeys, QueryKeys, QueryOwnKeys, ReadPublicKeys,
            RemoteUser, UserKeys,
        },
        user::SessionRef,
    },
};

use super::{Failures, Wanted, ask_all, remote};

/// Users who are looked for at a time.
const AT_A_TIME: usize = 1_000;
/// As many while the storage worker is out of reach.
const HUBS_AT_A_TIME: usize = 250;
/// Bytes that are read of hubs at a time, give or take what one round of them can have.
const PAGE_BYTES: usize = 4 << 20;
/// Longest cross-signing keys of all users together, in bytes. Honest ones of five thousand users are half of it.
const MOST_KEPT: usize = 16 << 20;

/// The answer to a query, on its way to the client.
#[derive(Debug)]
pub struct Query {
    /// The user here who asks; nobody where another server does.
    asker: Option<OwnedUserId>,
    /// Whose keys are still to be written.
    rest: Wanted<Vec<OwnedDeviceId>>,
    /// What was read already.
    ahead: Vec<(OwnedUserId, PublicKeys)>,
    /// The asker's signatures, which nobody else sees.
    signatures: BTreeMap<OwnedUserId, Vec<OwnSignature>>,
    failures: Failures,
    /// Members of the objects that come last.
    master: String,
    self_signing: String,
    user_signing: String,
    started: bool,
    over: bool,
}

impl Query {
    /// Asks for the first keys.
    ///
    /// # Errors
    /// `M_UNKNOWN_TOKEN`, `M_TOO_LARGE`; 503 when a user here can be asked nowhere, since one who is missing would look like
    /// one without keys. Another server that does not answer is among the failures.
    pub async fn new<E: Transport>(
        edge: &E,
        config: &Config,
        asker: &UserId,
        session: SessionRef,
        mut wanted: Wanted<Vec<OwnedDeviceId>>,
    ) -> Result<Self, MatrixError> {
        let elsewhere = remote::take(config, &mut wanted)?;
        let devices = wanted.remove(asker);
        let others = wanted.keys().chain(elsewhere.keys()).cloned().collect();
        let ask = QueryOwnKeys { session, devices, others };
        let mut query = Self { asker: Some(asker.to_owned()), ..Self::of_server(wanted) };
        // The own hub knows whether the session is open: nothing is told before it has answered.
        let (mut own, ahead) = try_join(ask_user(edge, asker, ask), query.read(edge)).await?;
        query.ahead = ahead;
        let shared = mem::take(&mut own.shared);
        query.take_own(own)?;
        if !elsewhere.is_empty() {
            query.ask_elsewhere(edge, asker, elsewhere, shared).await?;
        }
        Ok(query)
    }

    /// Asks for the keys of users of other servers. `shared` are those of them who share a room with the asker.
    async fn ask_elsewhere<E: Transport>(
        &mut self,
        edge: &E,
        asker: &UserId,
        mut wanted: Wanted<Vec<OwnedDeviceId>>,
        shared: Vec<RemoteUser>,
    ) -> Result<(), MatrixError> {
        let mut shared: BTreeMap<_, _> = shared.into_iter().map(|user| (user.user_id, user.shared_at)).collect();
        let users = wanted
            .keys()
            .map(|user_id| RemoteUser { user_id: user_id.clone(), shared_at: shared.remove(user_id).flatten() });
        let (found, failures) = remote::query(edge, asker, users.collect()).await;
        self.failures = failures;
        for (user_id, mut keys) in found {
            let Some(devices) = wanted.remove(&user_id) else { continue };
            if !devices.is_empty() {
                keys.devices = only(&keys.devices, &devices)?;
            }
            self.ahead.push((user_id, keys));
        }
        Ok(())
    }

    /// As another server asks, of users here.
    pub fn of_server(wanted: Wanted<Vec<OwnedDeviceId>>) -> Self {
        Self {
            asker: None,
            rest: wanted,
            ahead: Vec::new(),
            signatures: BTreeMap::new(),
            failures: Failures::new(),
            master: String::new(),
            self_signing: String::new(),
            user_signing: String::new(),
            started: false,
            over: false,
        }
    }

    /// There are no more pieces.
    pub const fn is_over(&self) -> bool {
        self.over
    }

    /// The next piece of the text; the pieces together are a JSON object.
    ///
    /// # Errors
    /// 503 as in [`Query::new`], `M_TOO_LARGE` when cross-signing keys are longer than can be held.
    pub async fn next<E: Transport>(&mut self, edge: &E) -> Result<String, MatrixError> {
        if self.ahead.is_empty() {
            self.ahead = self.read(edge).await?;
        }
        let keys = mem::take(&mut self.ahead);
        let bytes: usize =
            keys.iter().map(|(user_id, keys)| user_id.as_str().len() + keys.devices.text().len() + 4).sum();
        let mut text = String::with_capacity(bytes + 32);
        let mut first = !mem::replace(&mut self.started, true);
        if first {
            text.push_str(r#"{"device_keys":{"#);
        }
        for (user_id, keys) in keys {
            if !mem::take(&mut first) {
                text.push(',');
            }
            self.write(&mut text, &user_id, keys)?;
        }
        if self.master.len() + self.self_signing.len() > MOST_KEPT {
            return Err(MatrixError::too_large("Too many keys"));
        }
        if self.rest.is_empty() {
            self.over = true;
            self.end(&mut text)?;
        }
        Ok(text)
    }

    /// Writes the identity keys of a user, and keeps the cross-signing keys for the end.
    fn write(&mut self, text: &mut String, user_id: &UserId, keys: PublicKeys) -> Result<(), MatrixError> {
        // Who is asked for by device is not shown with all of them.
        let devices = self.rest.remove(user_id).unwrap_or_default();
        let of_devices = if devices.is_empty() { keys.devices } else { only(&keys.devices, &devices)? };
        member(text, user_id.as_str(), &of_devices)?;
        if let Some(master) = keys.master {
            let master = self.with_own(master, user_id);
            add(&mut self.master, user_id, &master)?;
        }
        if let Some(self_signing) = keys.self_signing {
            add(&mut self.self_signing, user_id, &self_signing)?;
        }
        Ok(())
    }

    fn end(&self, text: &mut String) -> Result<(), MatrixError> {
        let failures = serde_json::to_string(&self.failures).map_err(|_| MatrixError::internal())?;
        text.push_str(r#"},"failures":"#);
        text.push_str(&failures);
        let others = [
            ("master_keys", &self.master),
            ("self_signing_keys", &self.self_signing),
            ("user_signing_keys", &self.user_signing),
        ];
        for (name, members) in others.into_iter().filter(|(_, members)| !members.is_empty()) {
            text.extend([r#",""#, name, r#"":{"#, members, "}"]);
        }
        text.push('}');
        Ok(())
    }

    /// The own keys come first.
    fn take_own(&mut self, own: OwnKeys) -> Result<(), MatrixError> {
        for signature in own.signatures {
            self.signatures.entry(signature.user_id.clone()).or_default().push(signature);
        }
        let (Some(mut keys), Some(asker)) = (own.keys, self.asker.clone()) else { return Ok(()) };
        if let Some(user_signing) = keys.user_signing.take() {
            add(&mut self.user_signing, &asker, &user_signing)?;
        }
        // They are those of the devices that were asked for.
        self.ahead.insert(0, (asker, public(keys)?));
        Ok(())
    }

    /// The keys of some of the next users. Those of whom nobody has heard have none.
    async fn read<E: Transport>(&self, edge: &E) -> Result<Vec<(OwnedUserId, PublicKeys)>, MatrixError> {
        let users: Vec<_> = self.rest.keys().take(AT_A_TIME).cloned().collect();
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let page = match ask_storage(edge, ReadPublicKeys { users: users.clone(), versions: false }).await {
            Ok(page) if page.looked_at > 0 => page,
            Err(error) if error.status < 500 => return Err(error),
            Ok(_) | Err(_) => nowhere(&users),
        };
        let looked_at = users.into_iter().take(page.looked_at);
        let mut keys: BTreeMap<_, _> = looked_at.map(|user_id| (user_id, no_keys())).collect();
        let mut elsewhere = Vec::new();
        for FoundKeys { user_id, keys: found, .. } in page.found {
            match found {
                Some(found) => drop(keys.insert(user_id, found)),
                None => elsewhere.extend(keys.remove_entry(&user_id)),
            }
        }
        let mut bytes = 0;
        let mut elsewhere = elsewhere.into_iter().map(|(user_id, _)| user_id).peekable();
        while elsewhere.peek().is_some() && bytes < PAGE_BYTES {
            let some: Vec<_> = elsewhere.by_ref().take(super::AT_A_TIME).collect();
            keys.extend(some.iter().map(|user_id| (user_id.clone(), no_keys())));
            let some = some.into_iter().map(|user_id| (user_id, Vec::new())).collect();
            for (user_id, found) in ask_all(edge, some, |devices| QueryKeys { devices }).await? {
                let found = public(found)?;
                bytes += found.bytes();
                keys.insert(user_id, found);
            }
        }
        Ok(keys.into_iter().collect())
    }

    /// A master key with the asker's signatures over it.
    fn with_own(&self, master: RawJson, user_id: &UserId) -> RawJson {
        let (Some(over), Some(asker)) = (self.signatures.get(user_id), &self.asker) else { return master };
        let Ok(mut signed) = Signed::parse(&master) else { return master };
        let current = cross_signing::public_key(&signed).map(str::to_owned);
        let over = over.iter().filter(|signature| Some(&signature.key) == current.as_ref());
        let over: Vec<_> =
            over.map(|own| Signature { signer: own.signer.clone(), signature: own.signature.clone() }).collect();
        if over.is_empty() || !signed.add(asker.as_str(), &over) { master } else { signed.to_json() }
    }
}

/// The keys of one user here that everybody may see, and how often they have changed. Somebody who is not there has none.
///
/// # Errors
/// 503.
pub(crate) async fn public_keys_of<E: Transport>(edge: &E, user_id: &UserId) -> Result<(PublicKeys, u64), MatrixError> {
    let ask = ReadPublicKeys { users: vec![user_id.to_owned()], versions: true };
    let Some(found) = ask_storage(edge, ask).await?.found.pop() else { return Ok((no_keys(), 0)) };
    let version = found.version.unwrap_or_default();
    if let Some(keys) = found.keys {
        return Ok((keys, version));
    }
    match ask_user(edge, user_id, QueryKeys { devices: Vec::new() }).await {
        Err(error) if error.status == 404 => Ok((no_keys(), version)),
        keys => Ok((public(keys?)?, version)),
    }
}

/// The storage worker is out of reach: the hubs have to be asked.
fn nowhere(users: &[OwnedUserId]) -> KeysPage {
    let some = users.iter().take(HUBS_AT_A_TIME);
    let found: Vec<_> = some.map(|user_id| FoundKeys { user_id: user_id.clone(), keys: None, version: None }).collect();
    KeysPage { looked_at: found.len(), found }
}

fn public(keys: UserKeys) -> Result<PublicKeys, MatrixError> {
    let UserKeys { devices, master, self_signing, .. } = keys;
    let devices = RawJson::from_value(&devices).map_err(|_| MatrixError::internal())?;
    Ok(PublicKeys { devices, master, self_signing })
}

fn no_keys() -> PublicKeys {
    PublicKeys { devices: RawJson::empty_object(), master: None, self_signing: None }
}

/// The keys of some devices.
fn only(keys: &RawJson, devices: &[OwnedDeviceId]) -> Result<RawJson, MatrixError> {
    let mut all: BTreeMap<OwnedDeviceId, RawJson> = keys.read().map_err(|_| MatrixError::internal())?;
    let devices: BTreeSet<_> = devices.iter().collect();
    all.retain(|device_id, _| devices.contains(device_id));
    RawJson::from_value(&all).map_err(|_| MatrixError::internal())
}

/// Adds a member to the members of an object.
fn add(members: &mut String, user_id: &UserId, value: &RawJson) -> Result<(), MatrixError> {
    if !members.is_empty() {
        members.push(',');
    }
    member(members, user_id.as_str(), value)
}

fn member(text: &mut String, name: &str, value: &RawJson) -> Result<(), MatrixError> {
    text.push_str(&quoted(name)?);
    text.push(':');
    text.push_str(value.text());
    Ok(())
}

fn quoted<T: Serialize + ?Sized>(name: &T) -> Result<String, MatrixError> {
    serde_json::to_string(name).map_err(|_| MatrixError::internal())
}
