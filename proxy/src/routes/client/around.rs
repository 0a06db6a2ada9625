//! What stands beside rooms: users to be found, reports, third-party networks, proofs of identity, calls.

use serde::Deserialize;
use serde_json::json;
use tern_auth::openid;
use tern_edge::{report, user_search};
use tern_model::{Config, MatrixError};
use tern_ports::Clock;

use crate::{edge::Edge, request::Incoming, respond::Answer, router::Route, routes::routes};

pub(crate) const ROUTES: &[Route] = routes! {
    Token(Search) Post "/_matrix/client/v3/user_directory/search" => search_users;
    Token Get "/_matrix/client/v1/mutual_rooms" => mutual_rooms;
    Token(Report) Post "/_matrix/client/v3/rooms/{roomId}/report" => report_room;
    Token(Report) Post "/_matrix/client/v3/rooms/{roomId}/report/{eventId}" => report_event;
    Token(Report) Post "/_matrix/client/v3/users/{userId}/report" => report_user;
    Token Get "/_matrix/client/v3/thirdparty/protocols" => protocols;
    Token Get "/_matrix/client/v3/thirdparty/protocol/{protocol}" => unknown_protocol;
    Token Get "/_matrix/client/v3/thirdparty/location/{protocol}" => unknown_protocol;
    Token Get "/_matrix/client/v3/thirdparty/user/{protocol}" => unknown_protocol;
    Token Get "/_matrix/client/v3/thirdparty/location" => locations_of;
    Token Get "/_matrix/client/v3/thirdparty/user" => users_of;
    Token Post "/_matrix/client/v3/user/{userId}/openid/request_token" => request_token;
    Open Get "/_matrix/federation/v1/openid/userinfo" => userinfo;
    Token Get "/_matrix/client/v3/voip/turnServer" => turn_server;
};

/// `POST /user_directory/search`
async fn search_users(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        search_term: String,
        limit: Option<u64>,
    }
    let body: Body = request.json()?;
    let caller = (&*request.caller()?.user_id, request.session()?);
    let found = user_search::search(edge, &edge.config, caller, &body.search_term, body.limit).await?;
    Answer::json(&json!({ "results": found.users, "limited": found.limited }))
}

/// `GET /mutual_rooms`
async fn mutual_rooms(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let other = request.query("user_id").ok_or_else(|| MatrixError::missing_param("user_id is missing"))?;
    let other = ruma::UserId::parse(other).map_err(|_| MatrixError::invalid_param("Not a user id"))?;
    if request.query("from").is_some() {
        return Err(MatrixError::invalid_param("There is only one page"));
    }
    let caller = &request.caller()?.user_id;
    let rooms = user_search::mutual_rooms(edge, &edge.config, caller, request.session()?, &other).await?;
    Answer::json(&json!({ "joined": rooms, "count": rooms.len() }))
}

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

/// `GET /thirdparty/protocols`: no network is bridged by this server itself.
async fn protocols(_: &Edge, _: &Incoming) -> Result<Answer, MatrixError> {
    Ok(Answer::empty())
}

/// `GET /thirdparty/{protocol,location,user}/{protocol}`
async fn unknown_protocol(_: &Edge, _: &Incoming) -> Result<Answer, MatrixError> {
    Err(MatrixError::not_found("The protocol is not bridged here"))
}

/// `GET /thirdparty/location`
async fn locations_of(_: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    nothing_found(request, "alias")
}

/// `GET /thirdparty/user`
async fn users_of(_: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    nothing_found(request, "userid")
}

fn nothing_found(request: &Incoming, of: &str) -> Result<Answer, MatrixError> {
    request.query(of).ok_or_else(|| MatrixError::missing_param(format!("{of} is missing")))?;
    Answer::json(&json!([]))
}

/// `POST /user/{userId}/openid/request_token`
async fn request_token(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {}
    let user_id = request.own_user_id()?;
    // It is said to be an empty object, so there is nothing in it to read.
    let Body {} = request.json_or_empty()?;
    Answer::json(&json!({
        "access_token": openid::mint(&edge.config, &user_id, edge.now())?,
        "token_type": "Bearer",
        "matrix_server_name": edge.config.server_name,
        "expires_in": openid::LIFETIME / 1000,
    }))
}

/// `GET /_matrix/federation/v1/openid/userinfo`, which needs no signature: the token is the proof
async fn userinfo(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let token = request.query("access_token").ok_or_else(MatrixError::missing_token)?;
    Answer::json(&json!({ "sub": owner(&edge.config, token, edge)? }))
}

fn owner(config: &Config, token: &str, clock: &impl Clock) -> Result<ruma::OwnedUserId, MatrixError> {
    openid::check(config, token, clock.now()).ok_or_else(|| MatrixError::unknown_token(false))
}

/// `GET /voip/turnServer`: without relays there is nothing to say.
async fn turn_server(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let user_id = &request.caller()?.user_id;
    let credentials = edge.relays.as_ref().and_then(|relays| relays.credentials(user_id, edge.now()));
    // An empty list would be what the specification asks for, but browsers refuse a relay without an address.
    Answer::json(&credentials.ok_or_else(|| MatrixError::not_found("There are no relays for calls"))?)
}
