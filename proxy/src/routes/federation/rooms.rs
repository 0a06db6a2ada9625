//! Reading rooms: events, state, what others miss. The room's hub looks whether the server may.

use ruma::{OwnedEventId, RoomId};
use serde::Deserialize;
use serde_json::json;
use tern_edge::federation::{hierarchy, rooms};
use tern_model::{BoundedVec, EventRef, MatrixError, Millis, RawJson};
use tern_ports::{
    Clock, ask_room,
    wire::{
        relations::EventTime,
        server_reads::{MOST_NAMED, ReadForServer, ServedEvents, ServerRead},
    },
};

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
    routes::client::{
        relations::nearest,
        spaces::{in_space, summarised},
    },
};

pub(crate) const ROUTES: &[Route] = routes! {
    Federation Get "/_matrix/federation/v1/event/{eventId}" => event;
    Federation Get "/_matrix/federation/v1/state/{roomId}" => state;
    Federation Get "/_matrix/federation/v1/state_ids/{roomId}" => state_ids;
    Federation Get "/_matrix/federation/v1/event_auth/{roomId}/{eventId}" => event_auth;
    Federation Get "/_matrix/federation/v1/backfill/{roomId}" => backfill;
    Federation Post "/_matrix/federation/v1/get_missing_events/{roomId}" => missing_events;
    Federation Get "/_matrix/federation/v1/timestamp_to_event/{roomId}" => timestamp_to_event;
    Federation Get "/_matrix/federation/v1/hierarchy/{roomId}" => space;
};

type EventIds = BoundedVec<EventRef, MOST_NAMED>;

/// How many events are told when nobody says.
const DEFAULT_LIMIT: u32 = 10;

async fn read(
    edge: &Edge,
    request: &Incoming,
    room_id: &RoomId,
    read: ServerRead,
) -> Result<ServedEvents, MatrixError> {
    ask_room(edge, room_id, ReadForServer { origin: request.origin()?.to_owned(), read }).await
}

/// Events in the envelope of a transaction.
fn transaction(edge: &Edge, pdus: &[RawJson]) -> Result<Answer, MatrixError> {
    let origin = &edge.config.server_name;
    Answer::json(&json!({ "origin": origin, "origin_server_ts": edge.now(), "pdus": pdus }))
}

fn event_ref(text: &str) -> Result<EventRef, MatrixError> {
    let event_id = OwnedEventId::try_from(text).ok().and_then(|event_id| EventRef::new(event_id).ok());
    event_id.ok_or_else(|| MatrixError::invalid_param("Not an event id"))
}

/// The query parameter `event_id`.
fn named_event(request: &Incoming) -> Result<EventRef, MatrixError> {
    event_ref(request.query("event_id").ok_or_else(|| MatrixError::missing_param("event_id is missing"))?)
}

fn limit(number: Option<u64>) -> u32 {
    number.map_or(DEFAULT_LIMIT, |limit| u32::try_from(limit).unwrap_or(u32::MAX))
}

/// `GET /event/{eventId}`
async fn event(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let event_id = event_ref(request.param("eventId"))?;
    let room_id = rooms::room_of(edge, &event_id).await?;
    let served = read(edge, request, &room_id, ServerRead::Event { event_id }).await?;
    transaction(edge, &served.events)
}

/// `GET /state/{roomId}`
async fn state(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let ask = ServerRead::State { event_id: named_event(request)?, full: true };
    let served = read(edge, request, &request.room_id()?, ask).await?;
    Answer::json(&json!({ "pdus": served.events, "auth_chain": served.auth_chain }))
}

/// `GET /state_ids/{roomId}`
async fn state_ids(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let ask = ServerRead::State { event_id: named_event(request)?, full: false };
    let served = read(edge, request, &request.room_id()?, ask).await?;
    Answer::json(&json!({ "pdu_ids": served.event_ids, "auth_chain_ids": served.auth_chain_ids }))
}

/// `GET /event_auth/{roomId}/{eventId}`
async fn event_auth(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let ask = ServerRead::AuthChain { event_id: event_ref(request.param("eventId"))? };
    let served = read(edge, request, &request.room_id()?, ask).await?;
    Answer::json(&json!({ "auth_chain": served.auth_chain }))
}

/// `GET /backfill/{roomId}`
async fn backfill(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let named = request.query.iter().filter(|(name, _)| name == "v").map(|(_, event_id)| event_ref(event_id));
    let from = EventIds::new(named.collect::<Result<_, _>>()?)?;
    if from.is_empty() {
        return Err(MatrixError::missing_param("v is missing"));
    }
    let ask = ServerRead::Backfill { from, limit: limit(request.query_number("limit")?) };
    let served = read(edge, request, &request.room_id()?, ask).await?;
    transaction(edge, &served.events)
}

/// `POST /get_missing_events/{roomId}`
async fn missing_events(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        latest_events: EventIds,
        earliest_events: EventIds,
        limit: Option<u64>,
        #[serde(default)]
        min_depth: u64,
    }
    let body: Body = request.json()?;
    let ask = ServerRead::Missing {
        latest: body.latest_events,
        earliest: body.earliest_events,
        min_depth: body.min_depth,
        limit: limit(body.limit),
    };
    let served = read(edge, request, &request.room_id()?, ask).await?;
    Answer::json(&json!({ "events": served.events }))
}

/// `GET /timestamp_to_event/{roomId}`
async fn timestamp_to_event(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Event {
        origin_server_ts: Millis,
    }
    let (ts, backwards) = nearest(request)?;
    let served = read(edge, request, &request.room_id()?, ServerRead::Nearest { ts, backwards }).await?;
    let (Some(event), Some(event_id)) = (served.events.first(), served.event_ids.first()) else {
        return Err(MatrixError::internal());
    };
    let Event { origin_server_ts } = event.read().map_err(|_| MatrixError::internal())?;
    Answer::json(&EventTime { event_id: event_id.clone(), origin_server_ts })
}

/// `GET /hierarchy/{roomId}`
async fn space(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let suggested_only = request.query_flag("suggested_only")?;
    let space = hierarchy::read(edge, request.origin()?, &request.room_id()?, suggested_only).await?;
    let children: Vec<_> = space.children.iter().map(|room| summarised(&room.room_id, &room.facts)).collect();
    let (room, inaccessible) = (in_space(&space.room), space.inaccessible);
    Answer::json(&json!({ "room": room, "children": children, "inaccessible_children": inaccessible }))
}
