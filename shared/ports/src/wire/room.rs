//! What a room's hub can be asked.

use std::collections::BTreeSet;

use ruma::{OwnedDeviceId, OwnedEventId, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
pub use tern_model::MembershipAction;
use tern_model::{BoundedVec, Caller, EventField, EventRef, Millis, Name, RawJson, RoomSeq, ThreadId};

use super::sync::SyncAsk;

/// An event to be built, authorised and sent by a local user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// Who sends it.
    pub sender: OwnedUserId,
    /// `type`.
    pub kind: String,
    /// `state_key`, for state events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_key: Option<String>,
    /// `content`, an object.
    pub content: RawJson,
    /// The event to redact; placed where the room version wants it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redacts: Option<OwnedEventId>,
}

impl Draft {
    /// `membership`, as the event will have it: of two members of this name the last one counts there.
    pub fn membership(&self) -> Option<String> {
        match self.content.read::<Map<String, Value>>().ok()?.remove("membership")? {
            Value::String(membership) => Some(membership),
            _ => None,
        }
    }
}

/// Makes the room: all events or none. A second call for the same room is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateRoom {
    /// Room version.
    pub version: String,
    /// The finished `m.room.create` PDU; in room version 12 its hash is the room's id.
    pub create: RawJson,
    /// What follows, in order; the creator's join first.
    pub drafts: Vec<Draft>,
}

/// The event that answers a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Its id.
    pub event_id: OwnedEventId,
}

/// Sends a message or state event, or a redaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendEvent {
    /// The event.
    pub draft: Draft,
    /// The sender's device.
    pub device_id: OwnedDeviceId,
    /// Client's transaction id; a repeated one gets the first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txn_id: Option<String>,
    /// The event is sticky for so many milliseconds (MSC4354).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky_ms: Option<u64>,
    /// `origin_server_ts`, when an application service sets it; otherwise the server's clock does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ts: Option<Millis>,
}

/// Changes a membership.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeMembership {
    /// Who acts.
    pub caller: OwnedUserId,
    /// What.
    pub action: MembershipAction,
    /// On whom; the caller for join, knock and leave.
    pub target: OwnedUserId,
    /// `reason`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Further content of the member event: the target's `displayname` and `avatar_url`, `is_direct`, `third_party_invite`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<RawJson>,
}

/// Carries a changed profile into the member event of a joined user; for anybody else nothing happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetMemberProfile {
    /// The user.
    pub user_id: OwnedUserId,
    /// `displayname`.
    pub displayname: Option<String>,
    /// `avatar_url`.
    pub avatar_url: Option<String>,
}

/// `POST forget`: takes from somebody who has left what they could still read, until they are invited or join again; 400
/// for somebody who is still in the room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgetMember {
    /// Who forgets.
    pub user_id: OwnedUserId,
}

/// Starts or stops typing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetTyping {
    /// Who.
    pub user_id: OwnedUserId,
    /// For how long, in milliseconds; zero stops.
    pub timeout_ms: u64,
}

/// Sends receipts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendReceipts {
    /// Who.
    pub user_id: OwnedUserId,
    /// One or two (`m.read`, `m.read.private`).
    pub receipts: BoundedVec<ReceiptDraft, 2>,
}

/// One receipt to send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptDraft {
    /// `m.read` or `m.read.private`.
    pub kind: Name,
    /// Up to which event.
    pub event_id: EventRef,
    /// `main`, a thread root's id, or nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<ThreadId>,
}

/// `GET messages`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadMessages {
    /// Who reads.
    pub caller: Caller,
    /// Token to start at; without one, the newest (backwards) or oldest (forwards) end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Token to stop at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// `dir=b`.
    pub backwards: bool,
    /// At most this many events.
    pub limit: u32,
    /// `RoomEventFilter`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<RawJson>,
    /// Whom the caller ignores: what they said is not considered in aggregations.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ignored: BTreeSet<OwnedUserId>,
}

/// The answer to [`ReadMessages`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messages {
    /// Token the page starts at.
    pub start: String,
    /// Token to go on with, absent at the end.
    pub end: Option<String>,
    /// Events in client form with `room_id`, in the order asked for.
    pub chunk: Vec<RawJson>,
    /// Members, with lazy loading.
    pub state: Vec<RawJson>,
}

/// `GET event`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadEvent {
    /// Who reads.
    pub caller: Caller,
    /// Which event.
    pub event_id: OwnedEventId,
    /// Whom the caller ignores: what they said is not considered in aggregations.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ignored: BTreeSet<OwnedUserId>,
}

/// `GET state`: all of it, as the caller may see it (somebody who left sees the state at that point).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadState {
    /// Who reads.
    pub caller: OwnedUserId,
}

/// `GET state` and `GET members`, a page at a time: of the state as the caller may see it, in the order of its keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageState {
    /// Who reads.
    pub caller: OwnedUserId,
    /// Only members, and of them those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<MembersFilter>,
    /// Only what comes after this type and key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<(EventField, EventField)>,
}

/// Which members `GET members` is to have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembersFilter {
    /// Those of this point in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Name>,
    /// Only those with this membership.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub membership: Option<Name>,
    /// Not those with this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_membership: Option<Name>,
}

/// The answer to [`PageState`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatePage {
    /// Events in client form with `room_id`.
    pub events: Vec<RawJson>,
    /// Where to go on; nothing at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<(EventField, EventField)>,
}

/// `GET state/{type}/{key}`: the whole event in client form; the route picks the content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadStateEvent {
    /// Who reads.
    pub caller: OwnedUserId,
    /// `type`.
    pub kind: String,
    /// `state_key`.
    pub state_key: String,
}

/// `GET joined_members`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadJoinedMembers {
    /// Who reads.
    pub caller: OwnedUserId,
}

/// One joined member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinedMember {
    /// The member.
    pub user_id: OwnedUserId,
    /// `displayname`.
    pub display_name: Option<String>,
    /// `avatar_url`.
    pub avatar_url: Option<String>,
}

/// A slice for a sync answer, when the storage worker is behind or cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadSlice {
    /// What is needed.
    pub ask: SyncAsk,
}

/// A member's hub listens again to a room that tells only those who do. The answer is what it has missed: as much as it
/// keeps, or the newest of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscribeRoom {
    /// The member.
    pub user_id: OwnedUserId,
    /// The newest position that the hub knows of.
    pub after: RoomSeq,
    /// When it became idle: receipts from then on are told.
    pub since: Millis,
}

/// What an upgrade takes over from the room; 403 for those who may not close it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadForUpgrade {
    /// Who upgrades.
    pub caller: OwnedUserId,
}

/// The answer to [`ReadForUpgrade`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeSource {
    /// The newest event.
    pub last: OwnedEventId,
    /// State that goes along, and bans, in client form.
    pub state: Vec<RawJson>,
}

/// Asks for the hub's inner figures (administration and tests).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeRoom {}

/// The answer to [`ProbeRoom`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomProbe {
    /// Newest position.
    pub newest: RoomSeq,
    /// Up to here the storage worker has the events.
    pub forwarded: RoomSeq,
    /// Up to here members' hubs were told.
    pub announced: RoomSeq,
}

/// Those who follow a member's list of devices: the other local users with membership `join`, and of each other server in the
/// room one user, who stands for the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadJoinedUsers {
    /// The member; somebody who is not joined shares no room.
    pub user_id: OwnedUserId,
}
