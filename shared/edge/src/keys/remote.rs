//! Keys of users of other servers: each server is asked once for all of its users, through its object. One that does not
//! answer is a failure that the client is told, and nobody else's.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use ruma::{OwnedDeviceId, OwnedServerName, OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::json;
use tern_model::{Bounded, BoundedJson, BoundedVec, Config, MatrixError, RawJson};
use tern_ports::{
    Transport, ask_destination,
    outbound::HttpMethod,
    wire::{
        destination::SendRequest,
        keys::{ClaimedKeys, PublicKeys, RemoteUser},
        remote_keys::{QueryRemoteKeys, RemoteKeys},
    },
};

use super::{
    Failures, Wanted,
    limits::{AT_A_TIME, MOST_USERS},
};

/// So long a server has for an answer about one-time keys, in milliseconds, and so long the answer may be.
const TIMEOUT_MS: u64 = 10_000;
const LONGEST: usize = 8 << 20;
/// Longest keys of other servers' users together, in bytes.
const MOST_BYTES: usize = 16 << 20;

/// Takes users of other servers out.
///
/// # Errors
/// `M_TOO_LARGE`.
pub(super) fn take<T>(config: &Config, wanted: &mut Wanted<T>) -> Result<Wanted<T>, MatrixError> {
    if wanted.len() > MOST_USERS {
        return Err(MatrixError::too_large("Too many users"));
    }
    Ok(wanted.extract_if(.., |user_id, _| user_id.server_name() != config.server_name).collect())
}

/// The keys of users of other servers.
pub(super) async fn query<E: Transport>(
    edge: &E,
    asker: &UserId,
    users: Vec<RemoteUser>,
) -> (Vec<(OwnedUserId, PublicKeys)>, Failures) {
    let asks = by_server(users, |user| &user.user_id).into_iter().map(async |(server, users)| {
        let ask = QueryRemoteKeys { asker: asker.to_owned(), users: BoundedVec::cut(users) };
        let answer = ask_destination(edge, &server, ask).await;
        (server, answer.unwrap_or_else(|error| RemoteKeys { found: Vec::new(), failure: Some(error) }))
    });
    let mut answers = stream::iter(asks).buffer_unordered(AT_A_TIME);
    let (mut keys, mut failures, mut bytes) = (Vec::new(), Failures::new(), 0);
    while let Some((server, RemoteKeys { found, mut failure })) = answers.next().await {
        for (user_id, found) in found.into_iter().filter_map(|found| Some((found.user_id, found.keys?))) {
            bytes += found.bytes();
            if bytes > MOST_BYTES {
                failure = Some(MatrixError::too_large("Too many keys"));
                break;
            }
            keys.push((user_id, found));
        }
        failures.extend(failure.map(|error| (server.to_string(), error.to_json())));
    }
    (keys, failures)
}

/// One-time keys of devices of users of other servers.
pub(super) async fn claim<E: Transport>(
    edge: &E,
    wanted: Wanted<BTreeMap<OwnedDeviceId, String>>,
) -> (BTreeMap<OwnedUserId, ClaimedKeys>, Failures) {
    let asks = by_server(wanted, |(user_id, _)| user_id).into_iter().map(async |(server, wanted)| {
        let answer = claim_of(edge, &server, wanted.into_iter().collect()).await;
        (server, answer)
    });
    let mut answers = stream::iter(asks).buffer_unordered(AT_A_TIME);
    let (mut claimed, mut failures) = (BTreeMap::new(), Failures::new());
    while let Some((server, answer)) = answers.next().await {
        match answer {
            Ok(keys) => claimed.extend(keys),
            Err(error) => drop(failures.insert(server.to_string(), error.to_json())),
        }
    }
    (claimed, failures)
}

async fn claim_of<E: Transport>(
    edge: &E,
    server: &OwnedServerName,
    wanted: Wanted<BTreeMap<OwnedDeviceId, String>>,
) -> Result<BTreeMap<OwnedUserId, ClaimedKeys>, MatrixError> {
    #[derive(Deserialize)]
    struct Said {
        one_time_keys: BTreeMap<String, ClaimedKeys>,
    }
    let body = RawJson::from_value(&json!({ "one_time_keys": wanted })).map_err(|_| MatrixError::internal())?;
    let request = SendRequest {
        method: HttpMethod::Post,
        target: Bounded::cut("/_matrix/federation/v1/user/keys/claim"),
        body: Some(BoundedJson::new(body)?),
        timeout_ms: TIMEOUT_MS,
        max_bytes: LONGEST,
        background: false,
    };
    let answer = ask_destination(edge, server, request).await?;
    let said = answer.body.filter(|_| answer.status == 200).and_then(|body| body.read::<Said>().ok());
    let said = said.ok_or_else(|| {
        MatrixError::new(502, "M_UNREACHABLE", format!("The server answers with status {}", answer.status))
    })?;
    // Nothing is taken that was not asked for.
    let keys = said.one_time_keys.into_iter().filter_map(|(user_id, mut keys)| {
        let (user_id, wanted) = wanted.get_key_value(<&UserId>::try_from(user_id.as_str()).ok()?)?;
        keys.retain(|device_id, _| wanted.contains_key(device_id));
        Some((user_id.clone(), keys))
    });
    Ok(keys.filter(|(_, keys)| !keys.is_empty()).collect())
}

/// What concerns users of each server. A server's object is named in small letters.
pub(crate) fn by_server<T>(
    all: impl IntoIterator<Item = T>,
    user_id: impl Fn(&T) -> &OwnedUserId,
) -> BTreeMap<OwnedServerName, Vec<T>> {
    let mut servers = BTreeMap::<_, Vec<T>>::new();
    for one in all {
        let name = user_id(&one).server_name().as_str().to_ascii_lowercase();
        if let Ok(server) = OwnedServerName::try_from(name) {
            servers.entry(server).or_default().push(one);
        }
    }
    servers
}
