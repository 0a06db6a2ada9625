//! Reports of rooms, events and users.

use serde::Deserialize;
use tern_edge::report;
use tern_model::MatrixError;

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Token(Report) Post "/_matrix/client/v3/rooms/{roomId}/report" => report_room;
    Token(Report) Post "/_matrix/client/v3/rooms/{roomId}/report/{eventId}" => report_event;
    Token(Report) Post "/_matrix/client/v3/users/{userId}/report" => report_user;
};

#[derive(Deserialize)]
struct Reason {
    #[serde(default)]
    reason: Option<String>,
}

/// `POST /rooms/{roomId}/report`
async fn report_room(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let reason = required_reason(request)?;
    report::room(edge, &request.caller()?.user_id, request.room_id()?, reason).await?;
    Ok(Answer::empty())
}

/// `POST /rooms/{roomId}/report/{eventId}`
async fn report_event(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let Reason { reason } = request.json_or_empty()?;
    let reason = reason.unwrap_or_default();
    report::event(edge, request.caller()?, request.room_id()?, request.event_id()?, reason).await?;
    Ok(Answer::empty())
}

/// `POST /users/{userId}/report`
async fn report_user(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let reason = required_reason(request)?;
    report::user(edge, &edge.config, &request.caller()?.user_id, request.user_id()?, reason).await?;
    Ok(Answer::empty())
}

fn required_reason(request: &Incoming) -> Result<String, MatrixError> {
    let Reason { reason } = request.json()?;
    reason.ok_or_else(|| MatrixError::missing_param("reason is missing"))
}
