//! What this server passes on of the keys of others, with its own signature (Server-Server API, "Querying Keys Through
//! Another Server").

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use ruma::{OwnedServerName, ServerName as Name};
use serde::Deserialize;
use serde_json::value::RawValue;
use tern_federation::{server_keys::countersign, server_name::ServerName};
use tern_model::{BoundedVec, Config, MatrixError, Millis};
use tern_ports::{
    Clock, Transport, ask_destination, ask_storage,
    wire::server_keys::{FetchServerKeys, LoadKeyResponses, MOST_SERVERS, StoredKeyResponse},
};

use super::own_keys::{self, OwnKeys};

/// Servers that are asked themselves for one question, at most; of the others it is told what is known.
const MOST_FETCHES: usize = 10;
/// Of them at a time.
const AT_A_TIME: usize = 6;

/// `server_keys` of the question: how long the keys of each server have to be good.
pub type Wanted = BTreeMap<OwnedServerName, Millis>;

/// The answer, an object with `server_keys`: what each server said last, signed by it and by this one. A server of which
/// nothing can be had is left out. `admit` is asked before each server that has to be asked itself.
///
/// # Errors
/// That of `admit`, when no server may be asked; 503.
pub async fn query<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    own: &OwnKeys,
    wanted: Wanted,
    admit: impl Fn() -> Result<(), MatrixError>,
) -> Result<String, MatrixError> {
    let mut wanted = in_small_letters(wanted);
    let own_name = config.server_name.as_str().to_ascii_lowercase();
    let asks_own = wanted.keys().any(|name| name.as_str() == own_name);
    wanted.retain(|name, _| name.as_str() != own_name);
    let mut found = load(edge, wanted.keys().cloned().collect()).await?;
    let good: BTreeSet<_> = found.iter().filter(|one| is_good(one, &wanted)).map(|one| one.server.clone()).collect();
    let missing = wanted.keys().filter(|name| !good.contains(*name)).take(MOST_FETCHES).cloned();
    let missing = admitted(missing, admit)?;
    if !missing.is_empty() {
        // A server that has no answer keeps what was known of it.
        let asked = stream::iter(&missing).map(async |name| ask_destination(edge, name, FetchServerKeys {}).await);
        let asked: Vec<_> = asked.buffer_unordered(AT_A_TIME).collect().await;
        drop(asked);
        let fetched = load(edge, missing).await?;
        found.retain(|one| fetched.iter().all(|new| new.server != one.server));
        found.extend(fetched);
    }
    let mut texts = found.iter().map(|one| signed(config, one.response.text())).collect::<Result<Vec<_>, _>>()?;
    if asks_own {
        texts.push(own.answer(config, edge.now())?);
    }
    Ok(format!("{{\"server_keys\":[{}]}}", texts.join(",")))
}

/// Those of them that may be asked: all, or as many as there is room for.
fn admitted(
    servers: impl Iterator<Item = OwnedServerName>,
    admit: impl Fn() -> Result<(), MatrixError>,
) -> Result<Vec<OwnedServerName>, MatrixError> {
    let mut admitted = Vec::new();
    for server in servers {
        match admit() {
            Ok(()) => admitted.push(server),
            Err(error) if admitted.is_empty() => return Err(error),
            Err(_) => break,
        }
    }
    Ok(admitted)
}

/// Reads a `server_keys` of a question: by server and key id, when the key has to be good still.
///
/// # Errors
/// `M_BAD_JSON`.
pub fn wanted(server_keys: &BTreeMap<OwnedServerName, BTreeMap<String, Box<RawValue>>>) -> Result<Wanted, MatrixError> {
    #[derive(Deserialize)]
    struct Criteria {
        #[serde(default)]
        minimum_valid_until_ts: Millis,
    }
    if server_keys.len() > MOST_SERVERS {
        return Err(MatrixError::too_large("Too many servers"));
    }
    let of_server = |keys: &BTreeMap<String, Box<RawValue>>| {
        let until = |criteria: &RawValue| {
            let read = serde_json::from_str(criteria.get()).map(|read: Criteria| read.minimum_valid_until_ts);
            read.map_err(|_| MatrixError::bad_json("minimum_valid_until_ts is not a number"))
        };
        keys.values().map(|criteria| until(criteria)).try_fold(Millis(0), |most, one| one.map(|one| most.max(one)))
    };
    server_keys.iter().map(|(name, keys)| Ok((name.clone(), of_server(keys)?))).collect()
}

fn in_small_letters(wanted: Wanted) -> Wanted {
    let small = |name: &Name| OwnedServerName::try_from(ServerName::parse(name.as_str())?.to_string()).ok();
    wanted.into_iter().filter_map(|(name, until)| Some((small(&name)?, until))).collect()
}

async fn load<E: Transport>(edge: &E, servers: Vec<OwnedServerName>) -> Result<Vec<StoredKeyResponse>, MatrixError> {
    if servers.is_empty() {
        return Ok(Vec::new());
    }
    ask_storage(edge, LoadKeyResponses { servers: BoundedVec::new(servers)? }).await
}

/// Whether what is known is good for as long as it is wanted.
fn is_good(known: &StoredKeyResponse, wanted: &Wanted) -> bool {
    #[derive(Deserialize)]
    struct Validity {
        valid_until_ts: Millis,
    }
    let until = known.response.read().map_or(Millis(0), |validity: Validity| validity.valid_until_ts);
    wanted.get(&known.server).is_none_or(|wanted| until >= *wanted)
}

fn signed(config: &Config, response: &str) -> Result<String, MatrixError> {
    let key = own_keys::key(config).ok_or_else(MatrixError::internal)?;
    countersign(response, config.server_name.as_str(), &key).map_err(|_| MatrixError::internal())
}
