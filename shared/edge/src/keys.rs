//! End-to-end encryption keys of many users at once, run in the proxy: each user's hub is asked for what is that user's.
//! Only queries are answered from a copy ([`Query`]).

mod limits;
mod query;
mod remote;

use std::collections::BTreeMap;

use futures::{StreamExt, future::join, stream};
use ruma::{OwnedDeviceId, OwnedUserId, UserId};
use serde::Serialize;
use serde_json::{Map, Value};
use tern_auth::uia::{Auth, Parameters};
use tern_model::{Config, MatrixError, RawJson};
use tern_ports::{
    Clock, Entropy, Transport, ask_user,
    wire::{
        UserRequest,
        keys::{
            ClaimKeys, ClaimedKeys, CrossSigningUploaded, QueryKeys, RemoteUser, SignatureFailures, UploadCrossSigning,
            UploadSignatures,
        },
        user::SessionRef,
    },
};

pub use self::query::Query;
pub(crate) use self::{
    limits::{AT_A_TIME, MOST_USERS},
    query::public_keys_of,
    remote::by_server,
};
use crate::account;

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

/// `POST /keys/claim`. A hub that cannot be reached is a failure of this server, as another server is one of its own: other
/// devices' keys are given out all the same, and must not get lost.
///
/// # Errors
/// `M_TOO_LARGE`.
pub async fn claim<E: Transport>(
    edge: &E,
    config: &Config,
    mut wanted: Wanted<BTreeMap<OwnedDeviceId, String>>,
) -> Result<Claimed, MatrixError> {
    let elsewhere = remote::take(config, &mut wanted)?;
    let here = ask_each(edge, wanted, |devices| ClaimKeys { devices });
    let (here, (mut one_time_keys, mut failures)) = join(here, remote::claim(edge, elsewhere)).await;
    for (user_id, claimed) in here {
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
    parameters: Parameters,
    auth: Option<&Auth>,
) -> Result<(), MatrixError> {
    let operation = ("cross_signing", parameters);
    let first = UploadCrossSigning { proved: false, ..upload };
    match ask_user(edge, user_id, first.clone()).await? {
        CrossSigningUploaded::Done => return Ok(()),
        CrossSigningUploaded::NeedsApproval => {
            return Err(account::await_approval(edge, config, user_id, &first.session.device_id, operation, auth));
        }
        CrossSigningUploaded::NeedsProof => {}
    }
    // An application service has no password to prove anything with (v1.17).
    if !first.session.is_of_service() {
        account::prove(edge, config, user_id, operation, auth, None).await?;
    }
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
    let elsewhere = remote::take(config, &mut wanted)?.into_keys();
    let elsewhere = elsewhere.map(|user_id| RemoteUser { user_id, shared_at: None }).collect();
    let here = ask_all(edge, wanted, |devices| QueryKeys { devices });
    let (here, (elsewhere, _)) = join(here, remote::query(edge, signer, elsewhere)).await;
    let elsewhere = elsewhere.into_iter().filter_map(|(user_id, keys)| Some((user_id, keys.master?)));
    let masters = here?.into_iter().filter_map(|(user_id, keys)| Some((user_id, keys.master?)));
    let masters = masters.chain(elsewhere).collect();
    ask_user(edge, signer, UploadSignatures { session, signed, masters }).await
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
