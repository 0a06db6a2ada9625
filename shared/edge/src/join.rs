//! Memberships, run in the proxy: what a room's hub needs to know beyond the request, and who may be acted on.

use std::collections::BTreeMap;

use ruma::{OwnedEventId, OwnedRoomId, RoomAliasId, RoomId, UserId};
use serde::Deserialize;
use tern_model::{Config, MatrixError, RawJson};
use tern_ports::{
    Clock, Outbound, Transport, ask_room, ask_storage, ask_user,
    wire::{
        room::{ChangeMembership, Draft, ForgetMember, MembershipAction, ReadStateEvent, Sent},
        storage::ResolveAlias,
        user::{ForgetRoom, SessionRef},
    },
};

use tern_room::build::MAX_EVENT_BYTES;

use crate::{
    federation::{
        inviting::{self, Invite},
        leaving,
    },
    profile, services,
};

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
pub async fn change<E: Transport + Clock>(
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
            Some(content(&profile::in_rooms(edge, membership_change.target).await?)?)
        }
        MembershipAction::Invite if !is_local(config, membership_change.target) => {
            let MembershipChange { caller, target, reason, .. } = membership_change;
            let (target, reason) = (target.to_owned(), reason.map(str::to_owned));
            return inviting::invite(edge, config, Invite { room_id, caller, target, reason, content: None })
                .await
                .map(drop);
        }
        MembershipAction::Invite => {
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
            let content = content_of_reason(membership_change.reason)?;
            let rejected = leaving::reject(edge, config, (room_id, membership_change.caller), &content).await;
            rejected.map_err(|other| if other.status == 404 { error } else { other })
        }
        answered => answered.map(drop),
    }
}

/// A state event that invites somebody is as welcome as any other invite.
///
/// # Errors
/// `M_INVITE_BLOCKED` when whom it invites does not let the sender; 403 for users of other servers, whose servers have to agree
/// before, where it cannot be sent by [`invite_elsewhere`].
pub async fn check_invite<E: Transport>(edge: &E, config: &Config, draft: &Draft) -> Result<(), MatrixError> {
    let Some(target) = invited(draft) else { return Ok(()) };
    if !is_local(config, target) {
        return Err(MatrixError::forbidden("Invites to users of other servers cannot be scheduled"));
    }
    profile::of_invitee(edge, target, &draft.sender).await.map(drop)
}

/// Whom a state event invites who is of another server.
pub fn invited_elsewhere<'a>(config: &Config, draft: &'a Draft) -> Option<&'a UserId> {
    invited(draft).filter(|target| !is_local(config, target))
}

/// Sends a state event that invites a user of another server, as any other invite is sent. The event that the state has then.
///
/// # Errors
/// As [`inviting::invite`].
pub async fn invite_elsewhere<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    room_id: &RoomId,
    (draft, target): (&Draft, &UserId),
) -> Result<Sent, MatrixError> {
    #[derive(Deserialize)]
    struct Event {
        event_id: OwnedEventId,
    }
    let (caller, content) = (&*draft.sender, Some(draft.content.clone()));
    let invite = Invite { room_id, caller, target: target.to_owned(), reason: None, content };
    if let Some(event_id) = inviting::invite(edge, config, invite).await? {
        return Ok(Sent { event_id });
    }
    // Invited like that before.
    let (caller, kind, state_key) = (draft.sender.clone(), draft.kind.clone(), target.to_string());
    let there = ask_room(edge, room_id, ReadStateEvent { caller, kind, state_key }).await?;
    let Event { event_id } = there.read().map_err(|_| MatrixError::internal())?;
    Ok(Sent { event_id })
}

/// Whom a state event invites. Of what is no user id the room says what is wrong.
pub(crate) fn invited(draft: &Draft) -> Option<&UserId> {
    let invites = || draft.kind == "m.room.member" && draft.membership().as_deref() == Some("invite");
    let target = draft.state_key.as_deref().filter(|_| invites());
    <&UserId>::try_from(target?).ok()
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
    match ask_room(edge, &room_id, ForgetMember { user_id: user_id.to_owned() }).await {
        // Of a room that is not here, and into which the user was invited, the user's own hub knows alone.
        Err(error) if error.status == 403 => match ask_user(edge, user_id, ForgetRoom { session, room_id }).await {
            Err(other) if other.status == 404 => Err(error),
            forgotten => forgotten.map(drop),
        },
        answered => {
            answered?;
            ask_user(edge, user_id, ForgetRoom { session, room_id }).await.map(drop)
        }
    }
}

/// The user is one of this server.
pub(crate) fn is_local(config: &Config, user_id: &UserId) -> bool {
    user_id.server_name() == config.server_name
}

fn content_of_reason(reason: Option<&str>) -> Result<RawJson, MatrixError> {
    let fields: BTreeMap<&str, &str> = reason.map(|reason| ("reason", reason)).into_iter().collect();
    RawJson::from_value(&fields).map_err(|_| MatrixError::internal())
}

/// What the event of somebody who comes in says beyond the membership: name, picture, reason.
///
/// # Errors
/// 413 `M_TOO_LARGE` for too long a reason; the user's hub's.
pub(crate) async fn content_of<E: Transport>(edge: &E, change: MembershipChange<'_>) -> Result<RawJson, MatrixError> {
    let profile = profile::in_rooms(edge, change.caller).await?;
    let fields = [
        ("displayname", profile.displayname.as_deref()),
        ("avatar_url", profile.avatar_url.as_deref()),
        ("reason", change.reason),
    ];
    let set: BTreeMap<&str, &str> = fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    RawJson::from_value(&set).map_err(|_| MatrixError::internal())
}

fn content(profile: &tern_room::Profile) -> Result<RawJson, MatrixError> {
    let fields = [("displayname", &profile.displayname), ("avatar_url", &profile.avatar_url)];
    let set: BTreeMap<&str, &str> =
        fields.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    RawJson::from_value(&set).map_err(|_| MatrixError::internal())
}
