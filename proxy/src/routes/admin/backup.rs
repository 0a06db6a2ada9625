//! Everything that the server has, out of it and into an empty one, with the token of the operator. What is asked is passed
//! on as it came: objects answer for themselves (`tern_object_kit::backup`), the storage worker for databases and bucket.

use ruma::{OwnedRoomId, OwnedServerName, OwnedUserId};
use tern_auth::appservice::by_id;
use tern_edge::admin::{self, Actor};
use tern_model::{BoundedJson, MatrixError, Name, RawJson};
use tern_object_kit::backup::{EXPORT, RESTORE};
use tern_ports::{
    Target, Transport as _, ask_storage,
    wire::{
        archive::{Archive, PassObject},
        frame,
    },
};
use worker::ResponseBody;

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Admin Post "/_tern/admin/v1/backup/databases" => read_databases;
    Admin Post "/_tern/admin/v1/backup/objects/{class}/{name}" => read_object;
    Admin Get "/_tern/admin/v1/backup/media/{object}" => read_media;
    Admin Post "/_tern/admin/v1/backup/record/{action}" => record;
    Admin Post "/_tern/admin/v1/restore/{restore}/databases" => write_databases;
    Admin Post large "/_tern/admin/v1/restore/{restore}/objects/{class}/{name}" => write_object;
    Admin Put streamed "/_tern/admin/v1/restore/{restore}/media/{object}" => write_media;
};

/// `POST /backup/databases`: a question of `tern_storage::commands::archive` that writes nothing.
async fn read_databases(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    databases(edge, request.object()?, false).await
}

/// `POST /restore/{restore}/databases`: one that writes, or may.
async fn write_databases(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    databases(edge, request.object()?, true).await
}

async fn databases(edge: &Edge, question: RawJson, writes: bool) -> Result<Answer, MatrixError> {
    let ask = Archive { question: BoundedJson::new(question)?, writes };
    Ok(Answer::raw(&ask_storage(edge, ask).await?))
}

/// `POST /backup/objects/{class}/{name}`: a page of `users`, `rooms`, `destinations` or `services`.
async fn read_object(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    object(edge, request, EXPORT).await
}

/// `POST /restore/{restore}/objects/{class}/{name}`: a page back.
async fn write_object(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let check = ["{\"check\":{\"restore\":", &quoted(&restore(request)?)?, "}}"].concat();
    let check = RawJson::parse(check).map_err(|_| MatrixError::internal())?;
    databases(edge, check, true).await?;
    object(edge, request, RESTORE).await
}

async fn object(edge: &Edge, request: &Incoming, kind: &[u8]) -> Result<Answer, MatrixError> {
    let answer = edge.exchange(&target(edge, request)?, [kind, &request.body].concat()).await?;
    Ok(Answer::raw(&frame::read_reply(&answer)?))
}

/// `GET /backup/media/{object}`
async fn read_media(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let body = media(edge, request, None).await?;
    Ok(Answer::content(200, vec![("content-type", "application/octet-stream".to_owned())], body))
}

/// `PUT /restore/{restore}/media/{object}`
async fn write_media(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    media(edge, request, Some(restore(request)?)).await?;
    Ok(Answer::empty())
}

async fn media(edge: &Edge, request: &Incoming, restore: Option<Name>) -> Result<ResponseBody, MatrixError> {
    let ask = PassObject { object: Name::new(request.param("object"))?, restore };
    edge.wire.ask_media(ask, request.stream.clone().map(Into::into)).await.map(|(_, body)| body)
}

/// `POST /backup/record/{action}`: what the tool is about to do, or has done.
async fn record(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let action = Some(request.param("action")).filter(|action| ["backup", "restore", "restored"].contains(action));
    let action = action.ok_or_else(|| MatrixError::not_found("No such action"))?;
    admin::record(edge, &Actor::Operator, action, "server").await?;
    Ok(Answer::empty())
}

fn restore(request: &Incoming) -> Result<Name, MatrixError> {
    Ok(Name::new(request.param("restore"))?)
}

fn quoted(text: &Name) -> Result<String, MatrixError> {
    serde_json::to_string(text.as_str()).map_err(|_| MatrixError::internal())
}

/// The object of a class that is named in the path; only names that can have one.
fn target(edge: &Edge, request: &Incoming) -> Result<Target, MatrixError> {
    let name = request.param("name");
    let target = match request.param("class") {
        "users" => {
            OwnedUserId::try_from(name).ok().filter(|id| id.server_name() == edge.config.server_name).map(Target::User)
        }
        "rooms" => OwnedRoomId::try_from(name).ok().map(Target::Room),
        "destinations" => OwnedServerName::try_from(name.to_ascii_lowercase()).ok().map(Target::Destination),
        "services" => by_id(&edge.config, name).map(|service| Target::Service(service.id.clone())),
        _ => None,
    };
    target.ok_or_else(|| MatrixError::not_found("There is no such object"))
}
