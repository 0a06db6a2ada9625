//! Memberships, run in the proxy: what a room's hub needs to know beyond the request, and who may be acted on.

use std::collections::BTreeMap;

use ruma::{OwnedRoomId, RoomAliasId, RoomId, UserId};
use serde::Deserialize;
use tern_model::{Config, MatrixError, RawJson};
use tern_ports::{
    Outbound, Transport, ask_room, ask_storage, ask_user,
    wire::{
        room::{ChangeMembership, Draft, ForgetMember, MembershipAction},
        storage::ResolveAlias,
        user::{ForgetRoom, SessionRef},
    },
};

use tern_room::build::MAX_EVENT_BYTES;

use crate::{federation::invite, profile, services};

/// A request to change a membership.
#[derive(Clone, Copy, Debug)]
pub struct MembershipChange<'a> {
    /// Who acts.
    pub caller: &'a UserId,
    /// What.
    pub action: MembershipAction,
    /// On whom; the caller for join, knock and leave.
    pub target: &'a UserId,
    /// `reason`.
    pub reason: Option<&'a str>,
}

/// The room of an id or a local alias.
///
/// # Errors
/// `M_NOT_FOUND` for an unknown alias, `M_INVALID_PARAM` for neither.
pub async fn resolve<E: Transport + Outbound>(
    edge: &E,
    config: &Config,
    text: &str,
) -> Result<OwnedRoomId, MatrixError> {
    if let Ok(room_id) = RoomId::parse(text) {
        return Ok(room_id);
    }
    let alias = RoomAliasId::parse(text).map_err(|_| MatrixError::invalid_param("Neither room id nor alias"))?;
    let unknown = || MatrixError::not_found("Unknown room alias");
    if alias.server_name() != config.server_name {
        return Err(unknown());
    }
    if let Some(room_id) = ask_storage(edge, ResolveAlias { alias: alias.clone() }).await? {
        return Ok(room_id);
    }
    // A service makes rooms of its namespaces when they are first asked for.
    if !services::makes_alias(edge, config, alias.as_str()).await {
        return Err(unknown());
    }
    ask_storage(edge, ResolveAlias { alias }).await?.ok_or_else(unknown)
}

/// Changes a membership in a room; name and avatar of somebody who comes in go with it.
///
/// # Errors
/// The room's refusal.
pub async fn change<E: Transport>(
    edge: &E,
    config: &Config,
    room_id: &RoomId,
    membership_change: MembershipChange<'_>,
) -> Result<(), MatrixError> {
    // Whoever says too much hears of that, whatever the room would answer.
    if membership_change.reason.is_some_and(|reason| reason.len() > MAX_EVENT_BYTES) {
        return Err(MatrixError::too_large("The reason does not fit into an event"));
    }
    let content = match membership_change.action {
        MembershipAction::Join | MembershipAction::Knock => {
            check_local(config, membership_change.target)?;
            Some(content(&profile::in_rooms(edge, membership_change.target).await?)?)
        }
        MembershipAction::Invite => {
            check_local(config, membership_change.target)?;
            Some(content(&profile::of_invitee(edge, membership_change.target, membership_change.caller).await?)?)
        }
        MembershipAction::Leave | MembershipAction::Kick | MembershipAction::Ban | MembershipAction::Unban => None,
    };
    let change = ChangeMembership {
        caller: membership_change.caller.to_owned(),
        action: membership_change.action,
        target: membership_change.target.to_owned(),
        reason: membership_change.reason.map(str::to_owned),
        content,
    };
    match ask_room(edge, room_id, change).await {
        // Of an invite into a room that is not here the user's own hub knows alone.
        Err(error) if membership_change.action == MembershipAction::Leave && error.status == 403 => {
            let rejected = invite::reject(edge, membership_change.caller, room_id).await;
            rejected.map_err(|other| if other.status == 404 { error } else { other })
        }
        answered => answered.map(drop),
    }
}

/// A state event that invites somebody is as welcome as any other invite.
///
/// # Errors
/// `M_INVITE_BLOCKED` when whom it invites does not let the sender.
pub async fn check_invite<E: Transport>(edge: &E, config: &Config, draft: &Draft) -> Result<(), MatrixError> {
    #[derive(Deserialize)]
    struct Content {
        membership: String,
    }
    let invites = || draft.content.read::<Content>().is_ok_and(|content| content.membership == "invite");
    let target = draft.state_key.as_deref().filter(|_| draft.kind == "m.room.member" && invites());
    // Of what is no user id, or of another server, the room says what is wrong.
    let target = target.and_then(|target| <&UserId>::try_from(target).ok());
    if let Some(target) = target.filter(|target| target.server_name() == config.server_name) {
        profile::of_invitee(edge, target, &draft.sender).await?;
    }
    Ok(())
}

/// `POST /rooms/{roomId}/forget`.
///
/// # Errors
/// 400 while the user is still in the room.
pub async fn forget<E: Transport>(
    edge: &E,
    user_id: &UserId,
    session: SessionRef,
    room_id: OwnedRoomId,
) -> Result<(), MatrixError> {
    ask_room(edge, &room_id, ForgetMember { user_id: user_id.to_owned() }).await?;
    ask_user(edge, user_id, ForgetRoom { session, room_id }).await?;
    Ok(())
}

/// Users of other servers cannot be reached.
pub(crate) fn check_local(config: &Config, user_id: &UserId) -> Result<(), MatrixError> {
    if user_id.server_name() == config.server_name {
        return Ok(());
    }
    Err(MatrixError::forbidden("Users of other servers cannot be invited"))
}

fn content(profile: &tern_room::Profile) -> Result<RawJson, MatrixError> {
    let fields = [("displayname", &profile.displayname), ("avatar_url", &profile.avatar_url)];
    let set: BTreeMap<&str, &str> =
        fields.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    RawJson::from_value(&set).map_err(|_| MatrixError::internal())
}
