//! End-to-end encryption keys of many users at once, run in the proxy: each user's hub is asked for what is that user's.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use ruma::{OwnedDeviceId, OwnedUserId, UserId};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tern_auth::uia::Auth;
use tern_keys::{Signature, Signed, cross_signing};
use tern_model::{Config, MatrixError, RawJson};
use tern_ports::{
    Clock, Entropy, Transport, ask_user,
    wire::{
        UserRequest,
        keys::{
            ClaimKeys, ClaimedKeys, CrossSigningUploaded, OwnKeys, OwnSignature, QueryKeys, QueryOwnKeys,
            SignatureFailures, UploadCrossSigning, UploadSignatures, UserKeys,
        },
        user::SessionRef,
    },
};

use crate::account;

/// Hubs asked at a time. What the platform cannot take at once it lets wait.
pub(crate) const AT_A_TIME: usize = 24;
/// Most users in one request: each is a call, of which a request has ten thousand.
pub(crate) const MOST_USERS: usize = 5_000;

/// The answer to `POST /keys/query`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Queried {
    /// Identity keys, by user and device.
    pub device_keys: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, RawJson>>,
    /// Servers that could not be asked.
    pub failures: Failures,
    /// Master keys, with the signatures that the asker may see.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub master_keys: BTreeMap<OwnedUserId, RawJson>,
    /// Self-signing keys.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub self_signing_keys: BTreeMap<OwnedUserId, RawJson>,
    /// The asker's own user-signing key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub user_signing_keys: BTreeMap<OwnedUserId, RawJson>,
}

/// The answer to `POST /keys/claim`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Claimed {
    /// Keys, by user and device.
    pub one_time_keys: BTreeMap<OwnedUserId, ClaimedKeys>,
    /// Servers that could not be asked.
    pub failures: Failures,
}

/// Error objects by server name.
pub type Failures = Map<String, Value>;

/// What to ask of each user.
pub type Wanted<T> = BTreeMap<OwnedUserId, T>;

/// `POST /keys/query`.
///
/// # Errors
/// `M_UNKNOWN_TOKEN`, `M_TOO_LARGE`; 503 when a hub cannot be reached, since a missing user would look like one without
/// keys.
pub async fn query<E: Transport>(
    edge: &E,
    config: &Config,
    asker: &UserId,
    session: SessionRef,
    mut wanted: Wanted<Vec<OwnedDeviceId>>,
) -> Result<Queried, MatrixError> {
    let failures = take_remote(config, &mut wanted)?;
    let devices = wanted.remove(asker);
    let own = QueryOwnKeys { session, devices, others: wanted.keys().cloned().collect() };
    // The own hub knows whether the session is open: nobody else is asked before.
    let OwnKeys { keys, signatures } = ask_user(edge, asker, own).await?;
    let mut queried = Queried { failures, ..Queried::default() };
    if let Some(keys) = keys {
        queried.add(asker.to_owned(), keys, &[], asker);
    }
    for (user_id, keys) in ask_all(edge, wanted, |devices| QueryKeys { devices }).await? {
        queried.add(user_id, keys, &signatures, asker);
    }
    Ok(queried)
}

impl Queried {
    fn add(&mut self, user_id: OwnedUserId, keys: UserKeys, signatures: &[OwnSignature], asker: &UserId) {
        let put = |map: &mut BTreeMap<_, _>, key: Option<RawJson>| {
            if let Some(key) = key {
                map.insert(user_id.clone(), key);
            }
        };
        put(&mut self.master_keys, keys.master.map(|master| with_own(master, &user_id, signatures, asker)));
        put(&mut self.self_signing_keys, keys.self_signing);
        put(&mut self.user_signing_keys, keys.user_signing);
        self.device_keys.insert(user_id, keys.devices);
    }
}

/// A master key with the asker's signatures over it.
fn with_own(master: RawJson, user_id: &UserId, signatures: &[OwnSignature], asker: &UserId) -> RawJson {
    let over: Vec<_> = signatures.iter().filter(|signature| signature.user_id == user_id).collect();
    if over.is_empty() {
        return master;
    }
    let Ok(mut signed) = Signed::parse(&master) else { return master };
    let current = cross_signing::public_key(&signed).map(str::to_owned);
    let over = over.into_iter().filter(|signature| Some(&signature.key) == current.as_ref());
    let over: Vec<_> =
        over.map(|own| Signature { signer: own.signer.clone(), signature: own.signature.clone() }).collect();
    if over.is_empty() || !signed.add(asker.as_str(), &over) { master } else { signed.to_json() }
}

/// `POST /keys/claim`. A hub that cannot be reached is a failure of this server: other devices' keys are given out all the
/// same, and must not get lost.
///
/// # Errors
/// `M_TOO_LARGE`.
pub async fn claim<E: Transport>(
    edge: &E,
    config: &Config,
    mut wanted: Wanted<BTreeMap<OwnedDeviceId, String>>,
) -> Result<Claimed, MatrixError> {
    let mut failures = take_remote(config, &mut wanted)?;
    let mut one_time_keys = BTreeMap::new();
    for (user_id, claimed) in ask_each(edge, wanted, |devices| ClaimKeys { devices }).await {
        match claimed {
            Ok(keys) if keys.is_empty() => {}
            Ok(keys) => drop(one_time_keys.insert(user_id, keys)),
            Err(error) if error.status == 404 => {}
            Err(error) => drop(failures.insert(config.server_name.to_string(), error.to_json())),
        }
    }
    Ok(Claimed { one_time_keys, failures })
}

/// `POST /keys/device_signing/upload`.
///
/// # Errors
/// The challenge of user-interactive authentication when keys would be replaced; what is wrong with the keys.
pub async fn upload_cross_signing<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    user_id: &UserId,
    upload: UploadCrossSigning,
    auth: Option<&Auth>,
) -> Result<(), MatrixError> {
    let first = UploadCrossSigning { proved: false, ..upload };
    match ask_user(edge, user_id, first.clone()).await? {
        CrossSigningUploaded::Done => return Ok(()),
        CrossSigningUploaded::NeedsApproval => {
            return Err(account::await_approval(
                edge,
                config,
                user_id,
                &first.session.device_id,
                "cross_signing",
                auth,
            ));
        }
        CrossSigningUploaded::NeedsProof => {}
    }
    account::prove(edge, config, user_id, "cross_signing", auth, None).await?;
    ask_user(edge, user_id, UploadCrossSigning { proved: true, ..first }).await?;
    Ok(())
}

/// `POST /keys/signatures/upload`. The user's own hub judges, with the others' master keys before it.
///
/// # Errors
/// `M_UNKNOWN_TOKEN`, `M_TOO_LARGE`.
pub async fn upload_signatures<E: Transport>(
    edge: &E,
    config: &Config,
    signer: &UserId,
    session: SessionRef,
    signed: BTreeMap<OwnedUserId, BTreeMap<String, RawJson>>,
) -> Result<SignatureFailures, MatrixError> {
    // No device has an empty id: only the cross-signing keys are of interest.
    let nobody: Vec<OwnedDeviceId> = vec!["".into()];
    let others = signed.keys().filter(|user_id| *user_id != signer);
    let mut wanted: Wanted<_> = others.map(|user_id| (user_id.clone(), nobody.clone())).collect();
    take_remote(config, &mut wanted)?;
    let keys = ask_all(edge, wanted, |devices| QueryKeys { devices }).await?;
    let masters = keys.into_iter().filter_map(|(user_id, keys)| Some((user_id, keys.master?))).collect();
    ask_user(edge, signer, UploadSignatures { session, signed, masters }).await
}

/// Takes users of other servers out: they cannot be asked.
fn take_remote<T>(config: &Config, wanted: &mut Wanted<T>) -> Result<Failures, MatrixError> {
    if wanted.len() > MOST_USERS {
        return Err(MatrixError::too_large("Too many users"));
    }
    let remote = wanted.extract_if(.., |user_id, _| user_id.server_name() != config.server_name);
    let unreachable = json!({ "errcode": "M_UNREACHABLE", "error": "This server cannot be asked" });
    Ok(remote.map(|(user_id, _)| (user_id.server_name().to_string(), unreachable.clone())).collect())
}

/// Asks the hubs of all users at once; users who are not there are left out.
async fn ask_all<E: Transport, T, R: UserRequest>(
    edge: &E,
    wanted: Wanted<T>,
    request: impl Fn(T) -> R,
) -> Result<Vec<(OwnedUserId, R::Reply)>, MatrixError> {
    let mut answers = Vec::new();
    for (user_id, answer) in ask_each(edge, wanted, request).await {
        match answer {
            Ok(answer) => answers.push((user_id, answer)),
            Err(error) if error.status == 404 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(answers)
}

async fn ask_each<E: Transport, T, R: UserRequest>(
    edge: &E,
    wanted: Wanted<T>,
    request: impl Fn(T) -> R,
) -> Vec<(OwnedUserId, Result<R::Reply, MatrixError>)> {
    let asks = wanted.into_iter().map(|(user_id, of_user)| {
        let request = request(of_user);
        async move {
            let answer = ask_user(edge, &user_id, request).await;
            (user_id, answer)
        }
    });
    stream::iter(asks).buffer_unordered(AT_A_TIME).collect().await
}
