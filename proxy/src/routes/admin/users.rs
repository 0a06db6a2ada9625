//! Administration of accounts, with the token of the operator: what `cargo xtask user` calls.

use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::json;
use tern_auth::username;
use tern_edge::{
    admin::{self, Actor},
    register::add_user,
};
use tern_model::MatrixError;
use tern_ports::{
    ask_storage, ask_user,
    wire::{
        accounts::{ChangeUser, ListUsers, ReadAudit, SetStanding},
        user::{CloseSessions, ListSessions},
    },
};

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Admin Get "/_tern/admin/v1/users" => list;
    Admin Post "/_tern/admin/v1/users" => create;
    Admin Get "/_tern/admin/v1/users/{user}" => read;
    Admin Put "/_tern/admin/v1/users/{user}" => change;
    Admin Put "/_tern/admin/v1/users/{user}/password" => reset_password;
    Admin Post "/_tern/admin/v1/users/{user}/deactivate" => deactivate;
    Admin Get "/_tern/admin/v1/users/{user}/sessions" => sessions;
    Admin Delete "/_tern/admin/v1/users/{user}/sessions" => sign_out;
    Admin Delete "/_tern/admin/v1/users/{user}/sessions/{deviceId}" => sign_out;
    Admin Get "/_tern/admin/v1/audit" => audit;
};

/// Rows of an answer, at most.
const MOST_ROWS: u64 = 1_000;

/// `GET /users`: `from`, `search`, `limit`
async fn list(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let after = request.query("from").map(|from| named(edge, from)).transpose()?;
    let search = request.query("search").map(str::to_owned);
    let limit = limit(request)?;
    let users = ask_storage(edge, ListUsers { after, search, limit }).await?;
    let full = u64::try_from(users.len()).is_ok_and(|count| count >= u64::from(limit));
    let next = users.last().filter(|_| full).map(|last| last.user_id.clone());
    Answer::json(&json!({ "users": users, "next_from": next }))
}

/// `POST /users`
async fn create(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        localpart: String,
        password: String,
        #[serde(default)]
        admin: bool,
    }
    let body: Body = request.json()?;
    admin::record(edge, &Actor::Operator, "add", &body.localpart).await?;
    let user_id = add_user(edge, &edge.config, &body.localpart, &body.password, body.admin).await?;
    Answer::json(&json!({ "user_id": user_id }))
}

/// `GET /users/{user}`
async fn read(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let user_id = user(edge, request)?;
    let row = admin::load(edge, &edge.config, &user_id).await?;
    Answer::json(&json!({
        "user_id": user_id, "admin": row.admin, "locked": row.locked, "suspended": row.suspended,
        "created": row.created, "has_password": row.password_hash.is_some(),
    }))
}

/// `PUT /users/{user}`: `admin`, `locked`, `suspended`, each only if it is to change
async fn change(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        admin: Option<bool>,
        locked: Option<bool>,
        suspended: Option<bool>,
    }
    let user_id = user(edge, request)?;
    let body: Body = request.json()?;
    if let Some(admin) = body.admin {
        admin::load(edge, &edge.config, &user_id).await?;
        let action = if admin { "make_admin" } else { "unmake_admin" };
        admin::record(edge, &Actor::Operator, action, user_id.as_str()).await?;
        let user_id = user_id.clone();
        ask_storage(edge, ChangeUser { user_id, admin: body.admin, locked: None, suspended: None }).await?;
    }
    if body.locked.is_some() || body.suspended.is_some() {
        let standing = SetStanding { locked: body.locked, suspended: body.suspended };
        admin::set_standing(edge, &edge.config, &Actor::Operator, &user_id, standing).await?;
    }
    read(edge, request).await
}

/// `PUT /users/{user}/password`
async fn reset_password(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        password: String,
        #[serde(default)]
        keep_sessions: bool,
    }
    let body: Body = request.json()?;
    let user_id = user(edge, request)?;
    admin::reset_password(edge, &edge.config, &user_id, &body.password, !body.keep_sessions).await?;
    Ok(Answer::empty())
}

/// `POST /users/{user}/deactivate`
async fn deactivate(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        erase: bool,
    }
    let body: Body = request.json_or_empty()?;
    let user_id = user(edge, request)?;
    admin::record(edge, &Actor::Operator, "deactivate", user_id.as_str()).await?;
    admin::deactivate(edge, &edge.config, &user_id, body.erase).await?;
    Ok(Answer::empty())
}

/// `GET /users/{user}/sessions`
async fn sessions(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let user_id = user(edge, request)?;
    admin::load(edge, &edge.config, &user_id).await?;
    Answer::json(&json!({ "sessions": ask_user(edge, &user_id, ListSessions {}).await? }))
}

/// `DELETE /users/{user}/sessions` and `DELETE /users/{user}/sessions/{deviceId}`
async fn sign_out(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let user_id = user(edge, request)?;
    admin::load(edge, &edge.config, &user_id).await?;
    admin::record(edge, &Actor::Operator, "sign_out", user_id.as_str()).await?;
    let one = Some(request.device_id()).filter(|device_id| !device_id.as_str().is_empty());
    let devices = one.map(|device_id| vec![device_id]);
    ask_user(edge, &user_id, CloseSessions { session: None, devices, except: None }).await?;
    Ok(Answer::empty())
}

/// `GET /audit`: `before`, `limit`
async fn audit(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let ask = ReadAudit { before: request.query_number("before")?, limit: limit(request)? };
    Answer::json(&json!({ "entries": ask_storage(edge, ask).await? }))
}

fn limit(request: &Incoming) -> Result<u32, MatrixError> {
    let limit = request.query_number("limit")?.unwrap_or(100).clamp(1, MOST_ROWS);
    Ok(u32::try_from(limit).unwrap_or(u32::MAX))
}

/// The path parameter `user`: a localpart or a whole id.
fn user(edge: &Edge, request: &Incoming) -> Result<OwnedUserId, MatrixError> {
    named(edge, request.param("user"))
}

fn named(edge: &Edge, name: &str) -> Result<OwnedUserId, MatrixError> {
    let unknown = || MatrixError::invalid_param("Not a user of this server");
    username::for_login(name, &edge.config.server_name).ok_or_else(unknown)
}
