//! Other servers as they are sent what happens here, with the token of the operator.

use futures::{StreamExt, stream};
use ruma::{OwnedServerName, ServerName};
use serde_json::{Value, json};
use tern_edge::admin::{self, Actor};
use tern_model::MatrixError;
use tern_ports::{
    Clock, ask_destination, ask_storage,
    wire::{
        destination::{DestinationProbe, ProbeDestination, WakeDestination},
        troubles::{ListTroubles, NoteTrouble, TroubledServer},
    },
};

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Admin Get "/_tern/admin/v1/federation/destinations" => list;
    Admin Get "/_tern/admin/v1/federation/destinations/{serverName}" => read;
    Admin Post "/_tern/admin/v1/federation/destinations/{serverName}/retry" => retry;
};

/// Servers of an answer, each of whose objects is asked.
const MOST: u64 = 50;
/// Of them at a time.
const AT_A_TIME: usize = 6;

/// `GET /federation/destinations`: servers that fail, with what waits for them: `from`, `limit`.
async fn list(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let limit = u32::try_from(request.query_number("limit")?.unwrap_or(MOST).clamp(1, MOST)).unwrap_or(1);
    let after = request.query("from").map(server_name).transpose()?;
    let troubles = ask_storage(edge, ListTroubles { after, limit }).await?;
    let full = u64::try_from(troubles.len()).is_ok_and(|count| count >= u64::from(limit));
    let next = troubles.last().filter(|_| full).map(|last| last.server.clone());
    let shown = stream::iter(troubles).map(async |one| still_troubled(edge, one).await).buffered(AT_A_TIME);
    let shown: Vec<Option<Value>> = shown.collect().await;
    let shown: Vec<_> = shown.into_iter().flatten().collect();
    Answer::json(&json!({ "destinations": shown, "next_from": next }))
}

/// How a server is that is said to fail; nothing for one that is well, which is noted.
async fn still_troubled(edge: &Edge, TroubledServer { server, since }: TroubledServer) -> Option<Value> {
    let Ok(probe) = ask_destination(edge, &server, ProbeDestination {}).await else {
        return Some(json!({ "server_name": server, "since": since }));
    };
    if probe.failures == 0 {
        let note = NoteTrouble { server, fails: false, ts: edge.now() };
        // Otherwise it is next time.
        let _noted = ask_storage(edge, note).await;
        return None;
    }
    let mut shown = shown(edge, &server, &probe);
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("since".to_owned(), since.0.into());
    }
    Some(shown)
}

/// `GET /federation/destinations/{serverName}`: how the server is and what waits for it.
async fn read(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let server = named(request)?;
    let probe = ask_destination(edge, &server, ProbeDestination {}).await?;
    Answer::json(&shown(edge, &server, &probe))
}

/// `POST /federation/destinations/{serverName}/retry`: what waits for it is tried now.
async fn retry(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let server = named(request)?;
    admin::record(edge, &Actor::Operator, "retry_destination", server.as_str()).await?;
    ask_destination(edge, &server, WakeDestination {}).await?;
    Ok(Answer::empty())
}

fn named(request: &Incoming) -> Result<OwnedServerName, MatrixError> {
    server_name(request.param("serverName"))
}

fn server_name(name: &str) -> Result<OwnedServerName, MatrixError> {
    OwnedServerName::try_from(name.to_ascii_lowercase())
        .map_err(|_| MatrixError::invalid_param("Not the name of a server"))
}

fn shown(edge: &Edge, server: &ServerName, probe: &DestinationProbe) -> Value {
    let waits = probe.retry_at > edge.now();
    json!({
        "server_name": server,
        "allowed": edge.config.federation.meets(server.as_str()),
        "failures": probe.failures,
        "retry_at": waits.then_some(probe.retry_at),
        "rooms_pending": probe.rooms,
        "events_pending_at_most": probe.positions,
        "to_device_pending": probe.to_device,
        "sending": probe.sending,
        "events_refused": probe.refused,
    })
}
