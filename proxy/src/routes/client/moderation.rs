//! What the specification lets server administrators do with their own access tokens. Who asks is judged before the user
//! is looked at, so that nobody learns who exists.

use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tern_edge::admin::{self, Actor};
use tern_model::MatrixError;
use tern_ports::{
    ask_user,
    wire::{
        accounts::SetStanding,
        user::{Device, ListSessions},
    },
};

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Token Get "/_matrix/client/v3/admin/whois/{userId}" => whois;
    Token Get "/_matrix/client/v1/admin/lock/{userId}" => read_lock;
    Token Put "/_matrix/client/v1/admin/lock/{userId}" => set_lock;
    Token Get "/_matrix/client/v1/admin/suspend/{userId}" => read_suspension;
    Token Put "/_matrix/client/v1/admin/suspend/{userId}" => set_suspension;
};

/// `GET /admin/whois/{userId}`
async fn whois(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let user_id = request.user_id()?;
    if user_id != request.caller()?.user_id {
        let actor = Actor::admin(edge, &request.caller()?.user_id).await?;
        admin::load(edge, &edge.config, &user_id).await?;
        admin::record(edge, &actor, "whois", user_id.as_str()).await?;
    }
    let devices = ask_user(edge, &user_id, ListSessions {}).await?;
    let connection = |device: &Device| json!({ "ip": device.last_seen_ip, "last_seen": device.last_seen_ts });
    let device = |device: &Device| {
        let known = device.last_seen_ip.is_some() && device.last_seen_ts.is_some();
        let connections: Vec<Value> = known.then(|| connection(device)).into_iter().collect();
        (device.device_id.to_string(), json!({ "sessions": [{ "connections": connections }] }))
    };
    let devices: Map<String, Value> = devices.iter().map(device).collect();
    Answer::json(&json!({ "user_id": user_id, "devices": devices }))
}

/// `GET /admin/lock/{userId}`
async fn read_lock(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let (_, user_id) = admit(edge, request).await?;
    Answer::json(&json!({ "locked": admin::load(edge, &edge.config, &user_id).await?.locked }))
}

/// `PUT /admin/lock/{userId}`
async fn set_lock(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        locked: bool,
    }
    let body: Body = request.json()?;
    set(edge, request, SetStanding { locked: Some(body.locked), suspended: None }).await?;
    Answer::json(&json!({ "locked": body.locked }))
}

/// `GET /admin/suspend/{userId}`
async fn read_suspension(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let (_, user_id) = admit(edge, request).await?;
    Answer::json(&json!({ "suspended": admin::load(edge, &edge.config, &user_id).await?.suspended }))
}

/// `PUT /admin/suspend/{userId}`
async fn set_suspension(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        suspended: bool,
    }
    let body: Body = request.json()?;
    set(edge, request, SetStanding { locked: None, suspended: Some(body.suspended) }).await?;
    Answer::json(&json!({ "suspended": body.suspended }))
}

async fn set(edge: &Edge, request: &Incoming, standing: SetStanding) -> Result<(), MatrixError> {
    let (actor, user_id) = admit(edge, request).await?;
    admin::set_standing(edge, &edge.config, &actor, &user_id, standing).await
}

async fn admit(edge: &Edge, request: &Incoming) -> Result<(Actor, OwnedUserId), MatrixError> {
    let actor = Actor::admin(edge, &request.caller()?.user_id).await?;
    Ok((actor, request.user_id()?))
}
