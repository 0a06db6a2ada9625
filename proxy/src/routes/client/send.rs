//! Sending: messages, state, redactions.

use std::collections::BTreeSet;

use ruma::RoomId;
use serde::Deserialize;
use serde_json::json;
use tern_edge::join;
use tern_model::{MatrixError, RawJson};
use tern_ports::{
    ask_room,
    wire::{
        policy::Standing,
        room::{Draft, ReadEvent, ReadStateEvent, SendEvent},
    },
};

use super::{
    delayed,
    event_checks::admit,
    send_query::{sticky, timestamp},
};
use crate::{
    edge::Edge,
    limits,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Token(Message) Put "/_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}" => send_message;
    Token(Message) Put "/_matrix/client/v3/rooms/{roomId}/state/{eventType}" => send_state;
    Token(Message) Put "/_matrix/client/v3/rooms/{roomId}/state/{eventType}/" => send_state;
    Token(Message) Put "/_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}" => send_state;
    Token Get "/_matrix/client/v3/rooms/{roomId}/state/{eventType}" => read_state_event;
    Token Get "/_matrix/client/v3/rooms/{roomId}/state/{eventType}/" => read_state_event;
    Token Get "/_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}" => read_state_event;
    Token(Redact) Put "/_matrix/client/v3/rooms/{roomId}/redact/{eventId}/{txnId}" => redact;
};

/// `PUT /rooms/{roomId}/send/{eventType}/{txnId}`
async fn send_message(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let content = match request.object() {
        Ok(content) => content,
        Err(error) => return delayed::repeat(edge, request, error).await,
    };
    let draft = draft(request, request.param("eventType"), None, content)?;
    send(edge, &request.room_id()?, request, draft, Some(request.param("txnId").to_owned())).await
}

/// `PUT /rooms/{roomId}/state/{eventType}/{stateKey}`, the last segment absent or empty for the empty key
async fn send_state(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let state_key = Some(request.param("stateKey").to_owned());
    let draft = draft(request, request.param("eventType"), state_key, request.object()?)?;
    if let (Some(target), None) = (join::invited_elsewhere(&edge.config, &draft), delayed::delay(request)?) {
        limits::admit_event(edge, request.identity()?, &draft)?;
        // An invite that another server signs has its own time.
        timestamp(request)?;
        let sent = join::invite_elsewhere(edge, &edge.config, &request.room_id()?, (&draft, target)).await?;
        return Answer::json(&sent);
    }
    send(edge, &request.room_id()?, request, draft, None).await
}

/// `PUT /rooms/{roomId}/redact/{eventId}/{txnId}`
async fn redact(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        reason: Option<String>,
    }
    let body: Body = request.json()?;
    if request.identity()?.standing == Standing::Suspended {
        check_own(edge, request).await?;
    }
    let content = body.reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }));
    let content = RawJson::from_value(&content).map_err(|_| MatrixError::internal())?;
    let mut draft = draft(request, "m.room.redaction", None, content)?;
    draft.redacts = Some(request.event_id()?);
    send(edge, &request.room_id()?, request, draft, Some(request.param("txnId").to_owned())).await
}

/// A suspended user takes back only what is his own.
async fn check_own(edge: &Edge, request: &Incoming) -> Result<(), MatrixError> {
    #[derive(Deserialize)]
    struct Event {
        sender: String,
    }
    let caller = request.caller()?;
    let ask = ReadEvent { caller: caller.clone(), event_id: request.event_id()?, ignored: BTreeSet::new() };
    let event = ask_room(edge, &request.room_id()?, ask).await?;
    let event: Event = event.read().map_err(|_| MatrixError::internal())?;
    if event.sender == caller.user_id.as_str() { Ok(()) } else { Err(MatrixError::user_suspended()) }
}

/// `GET /rooms/{roomId}/state/{eventType}/{stateKey}`, likewise
async fn read_state_event(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Content {
        content: RawJson,
    }
    let whole = match request.query("format") {
        None | Some("content") => false,
        Some("event") => true,
        Some(_) => return Err(MatrixError::invalid_param("format is neither content nor event")),
    };
    let ask = ReadStateEvent {
        caller: request.caller()?.user_id.clone(),
        kind: request.param("eventType").to_owned(),
        state_key: request.param("stateKey").to_owned(),
    };
    let event = ask_room(edge, &request.room_id()?, ask).await?;
    if whole {
        return Ok(Answer::raw(&event));
    }
    let read: Content = event.read().map_err(|_| MatrixError::internal())?;
    Ok(Answer::raw(&read.content))
}

fn draft(request: &Incoming, kind: &str, state_key: Option<String>, content: RawJson) -> Result<Draft, MatrixError> {
    Ok(Draft { sender: request.caller()?.user_id.clone(), kind: kind.to_owned(), state_key, content, redacts: None })
}

async fn send(
    edge: &Edge,
    room_id: &RoomId,
    request: &Incoming,
    draft: Draft,
    txn_id: Option<String>,
) -> Result<Answer, MatrixError> {
    admit(edge, request, room_id, &draft).await?;
    if let Some(delay_ms) = delayed::delay(request)?.filter(|_| draft.redacts.is_none()) {
        return delayed::schedule(edge, request, draft, txn_id, delay_ms).await;
    }
    let device_id = request.caller()?.device_id.clone();
    let ts = timestamp(request)?.filter(|_| draft.redacts.is_none());
    let sticky_ms = sticky(request, &draft)?;
    let event = SendEvent { draft, device_id, txn_id, ts, sticky_ms };
    Answer::json(&ask_room(edge, room_id, event).await?)
}
