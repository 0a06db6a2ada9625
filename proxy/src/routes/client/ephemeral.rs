//! Typing, receipts and read markers: no storage call on these paths.

use ruma::EventId;
use serde::Deserialize;
use serde_json::{Value, json};
use tern_edge::threads::MAIN;
use tern_model::{EventRef, MatrixError, Name, RawJson, ThreadId};
use tern_ports::{
    ask_room, ask_user,
    wire::{
        room::{ReceiptDraft, SendReceipts, SetTyping},
        user::WriteAccountData,
    },
};

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Token(Ephemeral) Put "/_matrix/client/v3/rooms/{roomId}/typing/{userId}" => set_typing;
    Token(Ephemeral) Post "/_matrix/client/v3/rooms/{roomId}/receipt/{receiptType}/{eventId}" => send_receipt;
    Token(Ephemeral) Post "/_matrix/client/v3/rooms/{roomId}/read_markers" => set_read_markers;
};

/// Longest time a client may claim to be typing for, in milliseconds.
const MAX_TYPING: u64 = 120_000;

/// `PUT /rooms/{roomId}/typing/{userId}`
async fn set_typing(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        typing: bool,
        timeout: Option<u64>,
    }
    let user_id = request.own_user_id()?;
    let body: Body = request.json()?;
    let timeout_ms = if body.typing { body.timeout.unwrap_or(30_000).clamp(1, MAX_TYPING) } else { 0 };
    ask_room(edge, &request.room_id()?, SetTyping { user_id, timeout_ms }).await?;
    Ok(Answer::empty())
}

/// `POST /rooms/{roomId}/receipt/{receiptType}/{eventId}`
async fn send_receipt(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        thread_id: Option<Value>,
    }
    let body: Body = request.json_or_empty()?;
    let thread_id = body.thread_id.map(thread_id).transpose()?;
    match request.param("receiptType") {
        kind @ ("m.read" | "m.read.private") => {
            let receipt =
                ReceiptDraft { kind: Name::cut(kind), event_id: EventRef::new(request.event_id()?)?, thread_id };
            send_receipts(edge, request, vec![receipt]).await?;
        }
        "m.fully_read" if thread_id.is_some() => {
            return Err(MatrixError::invalid_param("m.fully_read has no thread"));
        }
        "m.fully_read" => set_fully_read(edge, request, &request.event_id()?).await?,
        _ => return Err(MatrixError::invalid_param("Unknown receipt type")),
    }
    Ok(Answer::empty())
}

/// A `thread_id`: `main`, or the id of a root (Client-Server API, "Threaded read receipts").
fn thread_id(value: Value) -> Result<ThreadId, MatrixError> {
    let named = match value {
        Value::String(text) if text == MAIN || EventId::parse(&text).is_ok() => ThreadId::new(text).ok(),
        _ => None,
    };
    named.ok_or_else(|| MatrixError::invalid_param("thread_id is neither `main` nor an event id"))
}

/// `POST /rooms/{roomId}/read_markers`
async fn set_read_markers(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(rename = "m.fully_read")]
        fully_read: Option<EventRef>,
        #[serde(rename = "m.read")]
        read: Option<EventRef>,
        #[serde(rename = "m.read.private")]
        read_private: Option<EventRef>,
    }
    let body: Body = request.json()?;
    let receipts: Vec<ReceiptDraft> = [("m.read", body.read), ("m.read.private", body.read_private)]
        .into_iter()
        .filter_map(|(kind, event_id)| {
            event_id.map(|event_id| ReceiptDraft { kind: Name::cut(kind), event_id, thread_id: None })
        })
        .collect();
    // Also without receipts: this is where the room refuses a stranger.
    send_receipts(edge, request, receipts).await?;
    if let Some(event_id) = body.fully_read {
        set_fully_read(edge, request, &event_id).await?;
    }
    Ok(Answer::empty())
}

async fn send_receipts(edge: &Edge, request: &Incoming, receipts: Vec<ReceiptDraft>) -> Result<(), MatrixError> {
    let (user_id, receipts) = (request.caller()?.user_id.clone(), receipts.try_into()?);
    ask_room(edge, &request.room_id()?, SendReceipts { user_id, receipts }).await?;
    Ok(())
}

/// The fully-read marker is account data of the room (Client-Server API, "Fully read markers").
async fn set_fully_read(edge: &Edge, request: &Incoming, event_id: &EventId) -> Result<(), MatrixError> {
    let content = RawJson::from_value(&json!({ "event_id": event_id })).map_err(|_| MatrixError::internal())?;
    let marker = WriteAccountData {
        session: request.session()?,
        room_id: Some(request.room_id()?),
        kind: "m.fully_read".to_owned(),
        content,
    };
    ask_user(edge, &request.caller()?.user_id, marker).await?;
    Ok(())
}
