//! Rooms come to be, and people come and go.

use ruma::{OwnedServerName, OwnedUserId, UserId};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::json;
use tern_edge::{
    aliases,
    create::{self, CreateRoomRequest},
    enter,
    join::{self, MembershipChange},
    services, upgrade,
};
use tern_model::{Class, MatrixError};
use tern_ports::wire::room::MembershipAction;

use super::directory::check_alias;
use crate::{
    edge::Edge,
    limits,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Token(CreateRoom) Post "/_matrix/client/v3/createRoom" => create_room;
    Token(Join) Post "/_matrix/client/v3/join/{roomIdOrAlias}" => join_by_name;
    Token(Join) Post "/_matrix/client/v3/knock/{roomIdOrAlias}" => knock;
    Token(Join) Post "/_matrix/client/v3/rooms/{roomId}/join" => join_room;
    Token(CreateRoom) Post "/_matrix/client/v3/rooms/{roomId}/upgrade" => upgrade_room;
    Token Post "/_matrix/client/v3/rooms/{roomId}/leave" => leave;
    Token Post "/_matrix/client/v3/rooms/{roomId}/forget" => forget;
    Token(Invite) Post "/_matrix/client/v3/rooms/{roomId}/invite" => invite;
    Token(Invite) Post "/_matrix/client/v3/rooms/{roomId}/kick" => kick;
    Token(Invite) Post "/_matrix/client/v3/rooms/{roomId}/ban" => ban;
    Token(Invite) Post "/_matrix/client/v3/rooms/{roomId}/unban" => unban;
};

/// Servers that a client may name.
const MOST_VIA: usize = 20;

/// What the caller may say about a change of their own membership.
#[derive(Deserialize)]
struct Own {
    reason: Option<String>,
}

/// What the caller may say about a change of somebody else's.
#[derive(Deserialize)]
struct Other {
    user_id: OwnedUserId,
    reason: Option<String>,
}

/// `POST /createRoom`
async fn create_room(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let wanted: CreateRoomRequest = request.json()?;
    let creator = &request.caller()?.user_id;
    if let Some(name) = &wanted.room_alias_name {
        check_alias(edge, request, &format!("#{name}:{}", edge.config.server_name))?;
    }
    let invites = wanted.invite.as_ref().map_or(0, Vec::len).try_into().unwrap_or(u32::MAX);
    limits::admit_further(edge, request.identity()?, Class::Invite, invites)?;
    let room_id = create::create_room(edge, &edge.config, creator, &wanted).await?;
    let alias = wanted.room_alias_name.map(|name| format!("#{name}:{}", edge.config.server_name));
    if let Some(alias) = alias.and_then(|alias| aliases::local_alias(&edge.config, &alias).ok()) {
        // The room is there, whatever becomes of this.
        services::note_alias(edge, &edge.config, &room_id, alias, true).await.ok();
    }
    Answer::json(&json!({ "room_id": room_id }))
}

/// `POST /join/{roomIdOrAlias}`
async fn join_by_name(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let own: Own = request.json_or_empty()?;
    join_anywhere(edge, request, request.param("roomIdOrAlias"), &own).await
}

/// `POST /knock/{roomIdOrAlias}`
async fn knock(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let own: Own = request.json_or_empty()?;
    let caller = &request.caller()?.user_id;
    let reason = own.reason.as_deref();
    let change = MembershipChange { caller, action: MembershipAction::Knock, target: caller, reason };
    let room_id = enter::knock(edge, &edge.config, (request.param("roomIdOrAlias"), via(request)), change).await?;
    Answer::json(&json!({ "room_id": room_id }))
}

/// `POST /rooms/{roomId}/join`
async fn join_room(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let own: Own = request.json_or_empty()?;
    join_anywhere(edge, request, request.room_id()?.as_str(), &own).await
}

/// Joins a room here, or through the servers that the client names.
async fn join_anywhere(edge: &Edge, request: &Incoming, name: &str, own: &Own) -> Result<Answer, MatrixError> {
    let caller = &request.caller()?.user_id;
    let reason = own.reason.as_deref();
    let change = MembershipChange { caller, action: MembershipAction::Join, target: caller, reason };
    let place = (name, via(request));
    let room_id = enter::join(edge, &edge.config, &edge.server_keys, place, change).await?;
    Answer::json(&json!({ "room_id": room_id }))
}

/// The servers that the client names: `via`, `server_name` in older ones.
fn via(request: &Incoming) -> Vec<OwnedServerName> {
    let named = request.query.iter().filter(|(name, _)| matches!(name.as_str(), "via" | "server_name"));
    named.filter_map(|(_, name)| OwnedServerName::try_from(name.as_str()).ok()).take(MOST_VIA).collect()
}

/// `POST /rooms/{roomId}/upgrade`
async fn upgrade_room(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let wanted = request.json()?;
    let room_id = upgrade::upgrade(edge, &edge.config, request.caller()?, &request.room_id()?, &wanted).await?;
    Answer::json(&json!({ "replacement_room": room_id }))
}

/// `POST /rooms/{roomId}/leave`
async fn leave(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let own: Own = request.json_or_empty()?;
    let caller = &request.caller()?.user_id;
    change(edge, request, MembershipAction::Leave, caller, own.reason.as_deref()).await
}

/// `POST /rooms/{roomId}/forget`
async fn forget(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let caller = &request.caller()?.user_id;
    join::forget(edge, caller, request.session()?, request.room_id()?).await?;
    Ok(Answer::empty())
}

/// `POST /rooms/{roomId}/invite`
async fn invite(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct ThirdParty {
        user_id: Option<IgnoredAny>,
        medium: Option<IgnoredAny>,
    }
    let body: ThirdParty = request.json()?;
    if body.user_id.is_none() && body.medium.is_some() {
        return Err(MatrixError::forbidden("There is no identity server to invite by third-party identifier"));
    }
    act_on(edge, request, MembershipAction::Invite).await
}

/// `POST /rooms/{roomId}/kick`
async fn kick(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    act_on(edge, request, MembershipAction::Kick).await
}

/// `POST /rooms/{roomId}/ban`
async fn ban(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    act_on(edge, request, MembershipAction::Ban).await
}

/// `POST /rooms/{roomId}/unban`
async fn unban(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    act_on(edge, request, MembershipAction::Unban).await
}

async fn act_on(edge: &Edge, request: &Incoming, action: MembershipAction) -> Result<Answer, MatrixError> {
    let other: Other = request.json()?;
    change(edge, request, action, &other.user_id, other.reason.as_deref()).await
}

async fn change(
    edge: &Edge,
    request: &Incoming,
    action: MembershipAction,
    target: &UserId,
    reason: Option<&str>,
) -> Result<Answer, MatrixError> {
    let membership_change = MembershipChange { caller: &request.caller()?.user_id, action, target, reason };
    join::change(edge, &edge.config, &request.room_id()?, membership_change).await?;
    Ok(Answer::empty())
}
