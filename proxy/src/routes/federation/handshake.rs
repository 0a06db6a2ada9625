//! Users of other servers join, leave and knock through this one, and invite its users.

use serde::Deserialize;
use serde_json::{Value, json};
use tern_edge::federation::{
    handshake::{self, HandedOver},
    invite::{self, SentInvite},
    third_party,
};
use tern_model::{Handshake, MatrixError, RawJson};

use crate::{
    edge::Edge,
    limits,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Federation Get "/_matrix/federation/v1/make_join/{roomId}/{userId}" => make_join;
    Federation Put "/_matrix/federation/v2/send_join/{roomId}/{eventId}" => send_join;
    Federation Put "/_matrix/federation/v1/send_join/{roomId}/{eventId}" => send_join_v1;
    Federation Get "/_matrix/federation/v1/make_leave/{roomId}/{userId}" => make_leave;
    Federation Put "/_matrix/federation/v2/send_leave/{roomId}/{eventId}" => send_leave;
    Federation Put "/_matrix/federation/v1/send_leave/{roomId}/{eventId}" => send_leave_v1;
    Federation Get "/_matrix/federation/v1/make_knock/{roomId}/{userId}" => make_knock;
    Federation Put "/_matrix/federation/v1/send_knock/{roomId}/{eventId}" => send_knock;
    Federation Put "/_matrix/federation/v2/invite/{roomId}/{eventId}" => invite;
    Federation Put "/_matrix/federation/v1/invite/{roomId}/{eventId}" => invite_v1;
    Federation Put "/_matrix/federation/v1/exchange_third_party_invite/{roomId}" => exchange;
    Open Put "/_matrix/federation/v1/3pid/onbind" => bound;
};

async fn make(edge: &Edge, request: &Incoming, handshake: Handshake) -> Result<Answer, MatrixError> {
    let versions = request.query.iter().filter(|(name, _)| name == "ver").map(|(_, version)| version.as_str());
    let who = (&*request.room_id()?, request.user_id()?);
    Answer::json(&handshake::make(edge, request.origin()?, handshake, who, versions).await?)
}

async fn send(edge: &Edge, request: &Incoming, handshake: Handshake) -> Result<Value, MatrixError> {
    let handed = HandedOver {
        room_id: &request.room_id()?,
        event_id: request.event_id()?,
        event: request.object()?,
        omit_members: request.query_flag("omit_members")?,
    };
    let from = (request.origin()?, handshake);
    let stranger = || limits::admit_stranger(edge, request.ip.as_deref());
    handshake::send(edge, &edge.config, &edge.server_keys, from, handed, stranger).await
}

/// `GET /make_join/{roomId}/{userId}`
async fn make_join(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    make(edge, request, Handshake::Join).await
}

/// `PUT /send_join/{roomId}/{eventId}`
async fn send_join(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    Answer::json(&send(edge, request, Handshake::Join).await?)
}

/// `PUT /send_join/{roomId}/{eventId}` as it was: the answer is the second entry of a list.
async fn send_join_v1(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    Answer::json(&json!([200, send(edge, request, Handshake::Join).await?]))
}

/// `GET /make_leave/{roomId}/{userId}`
async fn make_leave(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    make(edge, request, Handshake::Leave).await
}

/// `PUT /send_leave/{roomId}/{eventId}`
async fn send_leave(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    Answer::json(&send(edge, request, Handshake::Leave).await?)
}

/// `PUT /send_leave/{roomId}/{eventId}` as it was: the answer is the second entry of a list.
async fn send_leave_v1(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    Answer::json(&json!([200, send(edge, request, Handshake::Leave).await?]))
}

/// `GET /make_knock/{roomId}/{userId}`
async fn make_knock(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    make(edge, request, Handshake::Knock).await
}

/// `PUT /send_knock/{roomId}/{eventId}`
async fn send_knock(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    Answer::json(&send(edge, request, Handshake::Knock).await?)
}

async fn take_invite(edge: &Edge, request: &Incoming, sent: SentInvite<'_>) -> Result<Value, MatrixError> {
    let stranger = || limits::admit_stranger(edge, request.ip.as_deref());
    invite::receive(edge, &edge.config, &edge.server_keys, request.origin()?, sent, stranger).await
}

/// `PUT /invite/{roomId}/{eventId}`
async fn invite(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        room_version: String,
        event: RawJson,
        #[serde(default)]
        invite_room_state: Vec<RawJson>,
    }
    let Body { room_version, event, invite_room_state: shown } = request.json()?;
    let (room_id, event_id) = (&*request.room_id()?, request.event_id()?);
    Answer::json(&take_invite(edge, request, SentInvite { room_id, event_id, room_version, event, shown }).await?)
}

/// `PUT /invite/{roomId}/{eventId}` as it was: for rooms of the first versions, and the answer is the second entry of a list.
async fn invite_v1(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let (room_id, event_id, event) = (&*request.room_id()?, request.event_id()?, request.object()?);
    // Versions 1 and 2 read alike.
    let sent = SentInvite { room_id, event_id, room_version: "1".to_owned(), event, shown: Vec::new() };
    Answer::json(&json!([200, take_invite(edge, request, sent).await?]))
}

/// `PUT /exchange_third_party_invite/{roomId}`
async fn exchange(_: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    Err(third_party::refusal(request.origin()?, &request.room_id()?, &request.object()?))
}

/// `PUT /3pid/onbind`, which an identity server does not sign
async fn bound(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let stranger = || limits::admit_stranger(edge, request.ip.as_deref());
    third_party::bound(edge, &edge.config, &request.json()?, stranger).await?;
    Ok(Answer::empty())
}
