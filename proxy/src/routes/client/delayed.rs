//! Delayed events (MSC4140), beside the query parameter of `send` and `state`.

use serde::Deserialize;
use serde_json::json;
use tern_model::{MatrixError, RawJson};
use tern_ports::{
    ask_room, ask_user,
    wire::{
        delayed::{
            DelayAction, DelayEvent, Delayed, FindDelayed, ListDelayed, ListDelayedRooms, ManageDelayed,
            NoteDelayedRoom, ScheduledEvent,
        },
        room::Draft,
    },
};
use tern_room_hub::room_of_delayed;

use super::{
    event_checks::admit,
    send_query::{sticky, timestamp},
};
use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Token(Message) Put "/_matrix/client/unstable/org.matrix.msc4140/rooms/{roomId}/delayed_event/{eventType}/{txnId}" => schedule_message;
    Hub Get "/_matrix/client/unstable/org.matrix.msc4140/delayed_events" => list;
    Hub Get "/_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delayId}" => one;
    Open Post "/_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delayId}" => manage;
    Open Post "/_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delayId}/cancel" => cancel;
    Open Post "/_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delayId}/restart" => restart;
    Open Post "/_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delayId}/send" => send_now;
};

/// The query parameter that makes an event a delayed one.
const DELAY: &str = "org.matrix.msc4140.delay";

/// The delay asked for, in milliseconds.
pub(super) fn delay(request: &Incoming) -> Result<Option<u64>, MatrixError> {
    request.query_number(DELAY)
}

/// Schedules a draft that was admitted, and remembers, in the sender's hub, where.
pub(super) async fn schedule(
    edge: &Edge,
    request: &Incoming,
    draft: Draft,
    txn_id: Option<String>,
    delay_ms: u64,
) -> Result<Answer, MatrixError> {
    let (caller, room_id) = (request.caller()?, request.room_id()?);
    let (ts, sticky_ms) = (timestamp(request)?, sticky(request, &draft)?);
    let ask = DelayEvent { draft, device_id: caller.device_id.clone(), txn_id, delay_ms, ts, sticky_ms };
    let scheduled: Delayed = ask_room(edge, &room_id, ask).await?;
    let note = NoteDelayedRoom { session: request.session()?, room_id, done: false };
    ask_user(edge, &caller.user_id, note).await?;
    Answer::json(&scheduled)
}

/// A request whose body is of no use, refused with `error`: if it asks for a delay, it may be a repeated one.
pub(super) async fn repeat(edge: &Edge, request: &Incoming, error: MatrixError) -> Result<Answer, MatrixError> {
    if delay(request)?.is_none() { Err(error) } else { first(edge, request, error).await }
}

/// What was answered to the first request of this transaction; `error` when this is the first.
async fn first(edge: &Edge, request: &Incoming, error: MatrixError) -> Result<Answer, MatrixError> {
    let caller = request.caller()?;
    let ask = FindDelayed {
        sender: caller.user_id.clone(),
        device_id: caller.device_id.clone(),
        txn_id: request.param("txnId").to_owned(),
        kind: request.param("eventType").to_owned(),
    };
    Answer::json(&ask_room(edge, &request.room_id()?, ask).await?.ok_or(error)?)
}

/// `PUT /rooms/{roomId}/delayed_event/{eventType}/{txnId}`
async fn schedule_message(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(alias = "delay_ms")]
        delay: u64,
        content: RawJson,
        state_key: Option<String>,
    }
    let Body { delay, content, state_key } = match request.json() {
        Ok(body) => body,
        Err(error) => return first(edge, request, error).await,
    };
    if !content.text().starts_with('{') {
        return Err(MatrixError::bad_json("content must be an object"));
    }
    let sender = request.caller()?.user_id.clone();
    let draft = Draft { sender, kind: request.param("eventType").to_owned(), state_key, content, redacts: None };
    admit(edge, request, &request.room_id()?, &draft).await?;
    schedule(edge, request, draft, Some(request.param("txnId").to_owned()), delay).await
}

/// `GET /delayed_events`
async fn list(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    Answer::json(&json!({ "delayed_events": scheduled(edge, request).await? }))
}

/// `GET /delayed_events/{delayId}`
async fn one(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let delay_id = request.param("delayId");
    let ask = ListDelayed { caller: request.caller()?.user_id.clone() };
    let here = ask_room(edge, &room_of_delayed(delay_id)?, ask).await?;
    let found = here.into_iter().find(|event| event.delay_id == delay_id);
    Answer::json(&found.ok_or_else(|| MatrixError::not_found("There is no such delayed event"))?)
}

async fn scheduled(edge: &Edge, request: &Incoming) -> Result<Vec<ScheduledEvent>, MatrixError> {
    let caller = &request.caller()?.user_id;
    let mut all = Vec::new();
    for room_id in ask_user(edge, caller, ListDelayedRooms { session: request.session()? }).await? {
        let here = ask_room(edge, &room_id, ListDelayed { caller: caller.clone() }).await?;
        if here.is_empty() {
            ask_user(edge, caller, NoteDelayedRoom { session: request.session()?, room_id, done: true }).await?;
        }
        all.extend(here);
    }
    all.sort_by_key(|event| event.running_since.plus(event.delay));
    Ok(all)
}

/// `POST /delayed_events/{delayId}`: who knows the id may manage the event, as MatrixRTC's call servers do.
async fn manage(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        action: String,
    }
    let Body { action } = request.json()?;
    match action.as_str() {
        "cancel" => act(edge, request, DelayAction::Cancel).await,
        "restart" => act(edge, request, DelayAction::Restart).await,
        "send" => act(edge, request, DelayAction::Send).await,
        _ => Err(MatrixError::invalid_param("action is none of cancel, restart and send")),
    }
}

/// `POST /delayed_events/{delayId}/cancel`
async fn cancel(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    act(edge, request, DelayAction::Cancel).await
}

/// `POST /delayed_events/{delayId}/restart`
async fn restart(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    act(edge, request, DelayAction::Restart).await
}

/// `POST /delayed_events/{delayId}/send`
async fn send_now(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    act(edge, request, DelayAction::Send).await
}

async fn act(edge: &Edge, request: &Incoming, action: DelayAction) -> Result<Answer, MatrixError> {
    let delay_id = request.param("delayId").to_owned();
    let room_id = room_of_delayed(&delay_id)?;
    ask_room(edge, &room_id, ManageDelayed { delay_id, action }).await?;
    Ok(Answer::empty())
}
