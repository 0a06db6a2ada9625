//! What is wrong with the content of an event, whoever sends it. The authorisation rules refuse it as well; said before
//! them, the client hears of its mistake and not of a lack of permission.

use ruma::{
    UserId,
    events::TimelineEventType,
    state_res::events::{RoomCreateEvent, RoomPowerLevelsEvent, RoomPowerLevelsIntField},
};
use tern_model::Pdu;

use crate::{
    auth::{AuthState, membership_of},
    error::SendError,
    version::Version,
};

/// The levels that are numbers of their own (Client-Server API, `m.room.power_levels`).
const LEVELS: [RoomPowerLevelsIntField; 7] = [
    RoomPowerLevelsIntField::UsersDefault,
    RoomPowerLevelsIntField::EventsDefault,
    RoomPowerLevelsIntField::StateDefault,
    RoomPowerLevelsIntField::Ban,
    RoomPowerLevelsIntField::Redact,
    RoomPowerLevelsIntField::Kick,
    RoomPowerLevelsIntField::Invite,
];

/// The memberships there are (Client-Server API, `m.room.member`).
const MEMBERSHIPS: [&str; 5] = ["join", "invite", "knock", "leave", "ban"];

/// Checks the content of an event that the rules look into; `state` is what they look at besides.
///
/// # Errors
/// `Content`, or `Exists` for a second create event.
pub(crate) fn check(version: &Version, pdu: &Pdu, state: &AuthState) -> Result<(), SendError> {
    match pdu.kind() {
        TimelineEventType::RoomCreate => Err(SendError::Exists),
        TimelineEventType::RoomMember => check_member(pdu).map_err(SendError::Content),
        TimelineEventType::RoomPowerLevels => check_levels(version, pdu, state).map_err(SendError::Content),
        _ => Ok(()),
    }
}

fn check_member(pdu: &Pdu) -> Result<(), String> {
    if pdu.key().is_none_or(|key| UserId::parse(key).is_err()) {
        return Err("The `state_key` of `m.room.member` must be a user id".to_owned());
    }
    let membership = membership_of(pdu).map_err(|error| error.0)?;
    if MEMBERSHIPS.contains(&&*membership) { Ok(()) } else { Err(format!("`{membership}` is no membership")) }
}

/// Authorisation rules of room version 12, 10.1 to 10.4.
fn check_levels(version: &Version, pdu: &Pdu, state: &AuthState) -> Result<(), String> {
    let rules = &version.rules.authorization;
    let levels = RoomPowerLevelsEvent::new(pdu);
    for field in LEVELS {
        levels.get_as_int(field, rules)?;
    }
    levels.events(rules)?;
    levels.notifications(rules)?;
    let Some(users) = levels.users(rules)? else { return Ok(()) };
    let create = state.create().filter(|_| version.privileges_creators());
    let creators = create.map(|create| RoomCreateEvent::new(create).creators(rules)).transpose()?.unwrap_or_default();
    match creators.iter().find(|creator| users.contains_key(*creator)) {
        Some(creator) => Err(format!("{creator} is a creator of the room, who has no place in `users`")),
        None => Ok(()),
    }
}
