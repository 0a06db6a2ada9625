//! Keys for all that a room is made of when somebody joins it: what is known, in one question for a hundred servers; of the
//! others what the server has that lets the user in, as a notary, in one request; and a few of those that are left.

use std::collections::BTreeMap;

use ruma::{OwnedServerName, ServerName as Name};
use serde::Deserialize;
use serde_json::json;
use tern_federation::{
    server_keys::{self, ServerKey as Known},
    server_name::ServerName,
};
use tern_model::{Bounded, BoundedJson, BoundedVec, Config, MatrixError, Millis, RawJson};
use tern_ports::{
    Clock, Transport, ask_destination, ask_storage,
    outbound::HttpMethod,
    wire::{
        destination::SendRequest,
        receive::ServerKey,
        server_keys::{LoadKeyResponses, MOST_SERVERS},
    },
};

use super::{
    event_keys::{Signers, written},
    key_cache::{KeyCache, has_all},
    requests::in_small_letters,
};

/// Of so many servers each is asked for by itself, as for any event.
const FEW: usize = 12;
/// Until the notary's last byte, in milliseconds, and its most bytes.
const NOTARY: (u64, usize) = (20_000, 4 << 20);

/// The keys that these events need, as far as they can be had. The events of others are left out by whoever checks them.
///
/// # Errors
/// 503 when the storage worker cannot be reached.
pub(super) async fn keys<'a, E: Transport + Clock>(
    edge: &E,
    config: &Config,
    (cache, notary): (&KeyCache, &Name),
    events: impl Iterator<Item = &'a RawJson>,
) -> Result<Vec<ServerKey>, MatrixError> {
    let now = edge.now();
    let mut signers = Signers::default();
    for event in events {
        signers.add(event, now);
    }
    let mut keys = Vec::new();
    if signers.0.len() > FEW {
        let names: Vec<OwnedServerName> = signers.0.keys().cloned().collect();
        for names in names.chunks(MOST_SERVERS) {
            let servers = BoundedVec::cut(names.iter().filter_map(|name| in_small_letters(name.as_str())).collect());
            let known = ask_storage(edge, LoadKeyResponses { servers }).await?;
            take(&mut signers, &mut keys, known.iter().map(|known| &known.response), now);
        }
        let passed_on = of_notary(edge, notary, &signers).await;
        take(&mut signers, &mut keys, passed_on.iter(), now);
    }
    let mut few: Vec<_> = signers.0.into_iter().collect();
    // That of the server which lets the user in is needed most.
    few.sort_by_key(|(server, _)| !server.as_str().eq_ignore_ascii_case(notary.as_str()));
    few.truncate(FEW);
    let signers = Signers(few.into_iter().collect());
    keys.extend(signers.keys(edge, config, cache, || Ok(())).await?);
    Ok(keys)
}

/// Takes what servers say of their keys for those who need them.
fn take<'a>(
    signers: &mut Signers,
    keys: &mut Vec<ServerKey>,
    responses: impl Iterator<Item = &'a RawJson>,
    now: Millis,
) {
    #[derive(Deserialize)]
    struct Of {
        server_name: String,
    }
    let read = |response: &RawJson| {
        let of = ServerName::parse(&response.read::<Of>().ok()?.server_name)?;
        let keys = server_keys::read(response.text().as_bytes(), &of, now).ok()?.keys;
        Some((of, keys))
    };
    let mut said: BTreeMap<ServerName, Vec<Known>> = BTreeMap::new();
    for (of, keys) in responses.filter_map(read) {
        said.entry(of).or_default().extend(keys);
    }
    signers.0.retain(|server, wanted| {
        let known = ServerName::parse(server.as_str()).and_then(|name| said.get(&name));
        let Some(known) = known.filter(|known| has_all(known, wanted)) else { return true };
        keys.extend(written(server, wanted, known.clone()));
        false
    });
}

/// What a notary passes on, which needs no trust: each server has signed it.
async fn of_notary<E: Transport>(edge: &E, notary: &Name, signers: &Signers) -> Vec<RawJson> {
    #[derive(Deserialize)]
    struct Answer {
        server_keys: Vec<RawJson>,
    }
    let wanted: BTreeMap<&str, _> = signers.0.keys().map(|server| (server.as_str(), json!({}))).collect();
    let body = RawJson::from_value(&json!({ "server_keys": wanted })).ok().and_then(|body| BoundedJson::new(body).ok());
    let request = SendRequest {
        method: HttpMethod::Post,
        target: Bounded::cut("/_matrix/key/v2/query"),
        body,
        timeout_ms: NOTARY.0,
        max_bytes: NOTARY.1,
        background: true,
    };
    let answer = ask_destination(edge, notary, request).await.ok().and_then(|answer| answer.body);
    answer.and_then(|body| body.read::<Answer>().ok()).map(|answer| answer.server_keys).unwrap_or_default()
}
