//! Administration, with the token of the operator: accounts, registration tokens, and the inner figures of hubs.

pub(crate) mod appservices;
pub(crate) mod backup;
pub(crate) mod destinations;
pub(crate) mod metrics;
pub(crate) mod tokens;
pub(crate) mod users;

use serde_json::json;
use tern_model::MatrixError;
use tern_ports::{
    ask_room, ask_storage, ask_user,
    wire::{
        media::{Purge, PurgeMedia, QuarantineMedia},
        room::ProbeRoom,
        storage::ReadLevels,
        user::ProbeUser,
    },
};

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
    routes::client::media::named,
};

pub(crate) const ROUTES: &[Route] = routes! {
    Admin Get "/_tern/admin/v1/hubs/user/{userId}" => probe_user;
    Admin Get "/_tern/admin/v1/hubs/room/{roomId}" => probe_room;
    Admin Get "/_tern/admin/v1/storage" => storage_levels;
    Admin Delete "/_tern/admin/v1/media/{serverName}/{mediaId}" => purge_media;
    Admin Delete "/_tern/admin/v1/users/{userId}/media" => purge_media_of_user;
    Admin Put "/_tern/admin/v1/media/{serverName}/{mediaId}/quarantine" => quarantine_media;
    Admin Delete "/_tern/admin/v1/media/{serverName}/{mediaId}/quarantine" => release_media;
};

/// `GET /_tern/admin/v1/hubs/user/{userId}`
async fn probe_user(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let user_id = request.user_id()?;
    if user_id.server_name() != edge.config.server_name {
        return Err(MatrixError::not_found("Not a user of this server"));
    }
    Answer::json(&ask_user(edge, &user_id, ProbeUser {}).await?)
}

/// `GET /_tern/admin/v1/hubs/room/{roomId}`
async fn probe_room(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    Answer::json(&ask_room(edge, &request.room_id()?, ProbeRoom {}).await?)
}

/// `GET /_tern/admin/v1/storage`: how full the databases are.
async fn storage_levels(edge: &Edge, _: &Incoming) -> Result<Answer, MatrixError> {
    Answer::json(&json!({ "databases": ask_storage(edge, ReadLevels {}).await? }))
}

/// `DELETE /_tern/admin/v1/media/{serverName}/{mediaId}`: nobody finds it any more; its bytes go with the next sweep.
async fn purge_media(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let purged = ask_storage(edge, PurgeMedia { which: Purge::One(named(edge, request)?) }).await?;
    if purged.count == 0 {
        return Err(MatrixError::not_found("No such media"));
    }
    Answer::json(&json!({ "deleted": purged.count }))
}

/// `DELETE /_tern/admin/v1/users/{userId}/media`: everything the user uploaded.
async fn purge_media_of_user(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let purged = ask_storage(edge, PurgeMedia { which: Purge::OfUser(request.user_id()?) }).await?;
    Answer::json(&json!({ "deleted": purged.count }))
}

/// `PUT /_tern/admin/v1/media/{serverName}/{mediaId}/quarantine`: withheld from everybody, whoever uploaded or uploads it.
async fn quarantine_media(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    ask_storage(edge, QuarantineMedia { media: named(edge, request)?, withheld: true }).await?;
    Ok(Answer::empty())
}

/// `DELETE` of the same.
async fn release_media(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    ask_storage(edge, QuarantineMedia { media: named(edge, request)?, withheld: false }).await?;
    Ok(Answer::empty())
}
