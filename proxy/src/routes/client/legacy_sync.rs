//! The syncs of old: snapshots of rooms and streams of events.

use serde_json::json;
use tern_edge::legacy_sync::{self, Events};
use tern_model::MatrixError;

use super::history::page_limit;
use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Token Get "/_matrix/client/v3/rooms/{roomId}/initialSync" => room;
    Token Get "/_matrix/client/v3/initialSync" => initial_sync;
    Token Get "/_matrix/client/v3/events" => events;
    Token Get "/_matrix/client/v3/events/{eventId}" => event;
};

/// `GET /rooms/{roomId}/initialSync`
async fn room(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let (caller, session, limit) = (request.caller()?, request.session()?, page_limit(request)?);
    Answer::json(&legacy_sync::room(edge, caller, session, request.room_id()?, limit).await?)
}

/// `GET /initialSync`
async fn initial_sync(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let asked = (page_limit(request)?.into(), request.query_flag("archived")?);
    let (caller, session) = (request.caller()?, request.session()?);
    Answer::json(&legacy_sync::initial_sync(&*edge.wire, edge, caller, session, asked).await?)
}

/// `GET /events`; with `room_id` those of one room, which one need not be in.
async fn events(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let asked = (request.query("from"), request.query_number("timeout")?.unwrap_or(0));
    let (caller, session) = (request.caller()?, request.session()?);
    let Events { start, end, chunk } = match request.query("room_id") {
        None => legacy_sync::events(&*edge.wire, edge, caller, session, asked).await?,
        Some(room_id) => {
            let room_id = ruma::RoomId::parse(room_id).map_err(|_| MatrixError::invalid_param("Not a room id"))?;
            legacy_sync::peek(&*edge.wire, edge, caller, session, room_id, asked).await?
        }
    };
    Answer::json(&json!({ "start": start, "end": end, "chunk": chunk }))
}

/// `GET /events/{eventId}`
async fn event(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let (caller, session) = (request.caller()?, request.session()?);
    Ok(Answer::raw(&legacy_sync::event(edge, caller, session, request.event_id()?).await?))
}
