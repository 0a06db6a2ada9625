//! Joining, knocking, leaving, inviting, kicking, banning and unbanning (Client-Server API, "Room membership"): which
//! member event an action sends, and the refusals that deserve a better word than a rule's.
//!
//! What is decided here is still authorised like any other event.

use ruma::{
    OwnedRoomId, OwnedUserId, RoomId, ServerName, UserId, events::StateEventType,
    state_res::events::RoomPowerLevelsIntField,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use tern_model::{MembershipAction, Pdu, RawJson};

use crate::{
    auth::membership_of,
    draft::Draft,
    error::{MembershipError, Unreadable},
    power::Powers,
    view::RoomView,
};

/// How many joined members are looked at for one who may let others in.
const AUTHORISER_SEARCH: usize = 32;

/// A request to change a membership.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// What.
    pub action: MembershipAction,
    /// Who acts.
    pub actor: &'a UserId,
    /// On whom; the actor for join, knock and leave.
    pub target: &'a UserId,
    /// `reason`.
    pub reason: Option<&'a str>,
    /// Further content: `displayname` and `avatar_url` of the target, `is_direct`, `third_party_invite`.
    pub extra: Option<&'a RawJson>,
}

/// What to do about a request.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Nothing: it is so already, by this event.
    Unchanged(Pdu),
    /// Send this.
    Send(Draft),
}

/// Decides what `change` sends. `is_joined` tells whether the actor is joined to another room, for restricted rooms; the
/// rooms in question are those of [`allowed_rooms`].
///
/// # Errors
/// When the action makes no sense for the target's membership, or the join rule keeps the actor out.
pub fn decide(
    view: &impl RoomView,
    change: &Change<'_>,
    is_joined: impl Fn(&RoomId) -> bool,
) -> Result<Outcome, MembershipError> {
    decide_at(view, change, change.actor.server_name(), is_joined)
}

/// As [`decide`], for an actor who comes through `server`, whose users let others in.
///
/// # Errors
/// As [`decide`].
pub(crate) fn decide_at(
    view: &impl RoomView,
    change: &Change<'_>,
    server: &ServerName,
    is_joined: impl Fn(&RoomId) -> bool,
) -> Result<Outcome, MembershipError> {
    let current = view.state(&StateEventType::RoomMember, change.target.as_str())?;
    let was = current.as_ref().map(membership_of).transpose()?;
    let was = was.as_deref().unwrap_or("none");
    if change.actor != change.target
        && matches!(change.action, MembershipAction::Join | MembershipAction::Knock | MembershipAction::Leave)
    {
        return Err(MembershipError::WrongTarget("You can only do this for yourself"));
    }
    let unchanged =
        matches!((change.action, was), (MembershipAction::Join, "join") | (MembershipAction::Leave, "leave"));
    if let (true, Some(current)) = (unchanged, &current) {
        return Ok(Outcome::Unchanged(current.clone()));
    }
    check_before(change, was)?;
    let mut content = content_of(change)?;
    match change.action {
        MembershipAction::Join => admit(view, (change.actor, server), was, &mut content, is_joined)?,
        MembershipAction::Knock => check_knocking(view)?,
        _ => {}
    }
    let raw = RawJson::from_value(&content).map_err(|error| Unreadable(error.to_string()))?;
    if let Some(current) = current.filter(|current| repeats(current, change.actor, &content)) {
        return Ok(Outcome::Unchanged(current));
    }
    let draft = Draft::state(change.actor.to_owned(), "m.room.member", change.target.as_str(), raw);
    Ok(Outcome::Send(draft.admitted()))
}

/// The rooms whose members may join without an invite: `allow` of a restricted join rule. Empty for other rules.
///
/// # Errors
/// When state cannot be read.
pub fn allowed_rooms(view: &impl RoomView) -> Result<Vec<OwnedRoomId>, Unreadable> {
    Ok(JoinRule::load(view)?.allowed_rooms())
}

/// The member event that carries a changed profile, for a joined user; `None` when there is nothing to send.
///
/// # Errors
/// When the member event is damaged.
pub fn with_profile(
    current: &Pdu,
    displayname: Option<&str>,
    avatar_url: Option<&str>,
) -> Result<Option<Draft>, Unreadable> {
    let damaged = |error: serde_json::Error| Unreadable(format!("{}: {error}", current.id()));
    let old: Map<String, Value> = serde_json::from_str(current.body().get()).map_err(damaged)?;
    let Some(user_id) = current.key().and_then(|key| OwnedUserId::try_from(key).ok()) else {
        return Ok(None);
    };
    if old.get("membership").and_then(Value::as_str) != Some("join") {
        return Ok(None);
    }
    let mut new = old.clone();
    for (name, value) in [("displayname", displayname), ("avatar_url", avatar_url)] {
        match value {
            Some(value) => new.insert(name.to_owned(), value.into()),
            None => new.remove(name),
        };
    }
    if new == old {
        return Ok(None);
    }
    // These told how the user came in; they are not part of a profile.
    for name in ["join_authorised_via_users_server", "reason", "is_direct", "third_party_invite"] {
        new.remove(name);
    }
    let raw = RawJson::from_value(&new).map_err(damaged)?;
    Ok(Some(Draft::state(user_id.clone(), "m.room.member", user_id.as_str(), raw)))
}

/// Refuses what makes no sense for somebody whose membership is `was`.
fn check_before(change: &Change<'_>, was: &str) -> Result<(), MembershipError> {
    let target = change.target.to_owned();
    match (change.action, was) {
        (MembershipAction::Join | MembershipAction::Knock | MembershipAction::Invite, "ban") => {
            Err(MembershipError::Banned(target))
        }
        (MembershipAction::Knock | MembershipAction::Invite, "join") => Err(MembershipError::AlreadyIn(target)),
        (MembershipAction::Knock, "invite") => Err(MembershipError::NotAllowed("You are invited to this room already")),
        (MembershipAction::Leave | MembershipAction::Kick, "none" | "leave" | "ban") => {
            Err(MembershipError::NotIn(target))
        }
        (MembershipAction::Unban, "none" | "leave" | "join" | "invite" | "knock") => {
            Err(MembershipError::NotBanned(target))
        }
        _ => Ok(()),
    }
}

/// The member event's content.
fn content_of(change: &Change<'_>) -> Result<Map<String, Value>, MembershipError> {
    let mut content: Map<String, Value> = match change.extra {
        Some(extra) => extra.read().map_err(|_| MembershipError::BadContent)?,
        None => Map::new(),
    };
    content.remove("join_authorised_via_users_server");
    let membership = match change.action {
        MembershipAction::Join => "join",
        MembershipAction::Knock => "knock",
        MembershipAction::Leave | MembershipAction::Kick | MembershipAction::Unban => "leave",
        MembershipAction::Invite => "invite",
        MembershipAction::Ban => "ban",
    };
    content.insert("membership".to_owned(), membership.into());
    if let Some(reason) = change.reason {
        content.insert("reason".to_owned(), reason.into());
    }
    Ok(content)
}

/// A repeated invite or ban that would say nothing new.
fn repeats(current: &Pdu, actor: &UserId, content: &Map<String, Value>) -> bool {
    let same = serde_json::from_str::<Map<String, Value>>(current.body().get()).is_ok_and(|old| old == *content);
    same && current.from() == actor
}

/// `m.room.join_rules`; without the event, by invite.
#[derive(Default, Deserialize)]
struct JoinRule {
    #[serde(default)]
    join_rule: String,
    #[serde(default)]
    allow: Value,
}

#[derive(Deserialize)]
struct Allow {
    #[serde(rename = "type")]
    kind: String,
    room_id: OwnedRoomId,
}

impl JoinRule {
    fn load(view: &impl RoomView) -> Result<Self, Unreadable> {
        let event = view.state(&StateEventType::RoomJoinRules, "")?;
        Ok(event.and_then(|event| serde_json::from_str(event.body().get()).ok()).unwrap_or_default())
    }

    fn restricted(&self) -> bool {
        matches!(self.join_rule.as_str(), "restricted" | "knock_restricted")
    }

    /// A condition of a wrong shape lets nobody in, and leaves the others as they are.
    fn allowed_rooms(self) -> Vec<OwnedRoomId> {
        let restricted = self.restricted();
        let conditions = match self.allow {
            Value::Array(conditions) if restricted => conditions,
            _ => Vec::new(),
        };
        let conditions = conditions.into_iter().filter_map(|condition| serde_json::from_value::<Allow>(condition).ok());
        conditions.filter(|allow| allow.kind == "m.room_membership").map(|allow| allow.room_id).collect()
    }
}

/// Lets the actor in by the join rule, or says why not.
fn admit(
    view: &impl RoomView,
    (actor, server): (&UserId, &ServerName),
    was: &str,
    content: &mut Map<String, Value>,
    is_joined: impl Fn(&RoomId) -> bool,
) -> Result<(), MembershipError> {
    if is_free(view, was)? || is_first_join(view, actor)? {
        return Ok(());
    }
    check_allowed(view, is_joined)?;
    let authoriser = authoriser(view, server)?.ok_or(MembershipError::NobodyMayGrant)?;
    content.insert("join_authorised_via_users_server".to_owned(), authoriser.as_str().into());
    Ok(())
}

/// Somebody whose membership is `was` needs nobody who lets them in.
pub(crate) fn is_free(view: &impl RoomView, was: &str) -> Result<bool, Unreadable> {
    Ok(was == "invite" || JoinRule::load(view)?.join_rule == "public")
}

/// The join rule lets in who is in another room, and the actor is.
pub(crate) fn check_allowed(view: &impl RoomView, is_joined: impl Fn(&RoomId) -> bool) -> Result<(), MembershipError> {
    let rule = JoinRule::load(view)?;
    if !rule.restricted() {
        return Err(MembershipError::NotAllowed("You are not invited to this room"));
    }
    let is_allowed = rule.allowed_rooms().iter().any(|room_id| is_joined(room_id));
    if is_allowed { Ok(()) } else { Err(MembershipError::InNoAllowedRoom) }
}

/// The creator's join right after the create event needs no rule.
fn is_first_join(view: &impl RoomView, actor: &UserId) -> Result<bool, Unreadable> {
    let create = view.state(&StateEventType::RoomCreate, "")?;
    let Some(create) = create.filter(|create| create.from() == actor) else {
        return Ok(false);
    };
    Ok(view.extremities()?.iter().all(|extremity| extremity.event_id == *create.id()))
}

/// A joined member of `server` with the power to invite (room version 8, "Authorisation rules").
fn authoriser(view: &impl RoomView, server: &ServerName) -> Result<Option<OwnedUserId>, Unreadable> {
    let powers = Powers::load(view)?;
    let suits = |user_id: &UserId| -> Result<bool, Unreadable> {
        if user_id.server_name() != server || !powers.may(user_id, RoomPowerLevelsIntField::Invite)? {
            return Ok(false);
        }
        let member = view.state(&StateEventType::RoomMember, user_id.as_str())?;
        Ok(member.as_ref().map(membership_of).transpose()?.as_deref() == Some("join"))
    };
    for user_id in powers.named()? {
        if suits(&user_id)? {
            return Ok(Some(user_id));
        }
    }
    for user_id in view.joined(AUTHORISER_SEARCH)? {
        if suits(&user_id)? {
            return Ok(Some(user_id));
        }
    }
    Ok(None)
}

fn check_knocking(view: &impl RoomView) -> Result<(), MembershipError> {
    if !view.version().rules.authorization.knocking {
        return Err(MembershipError::NotAllowed("Rooms of this version do not support knocking"));
    }
    match JoinRule::load(view)?.join_rule.as_str() {
        "knock" | "knock_restricted" => Ok(()),
        _ => Err(MembershipError::NotAllowed("This room does not accept knocks")),
    }
}
