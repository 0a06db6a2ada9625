//! What a room tells a local user's hub.

use std::rc::Rc;

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};

use crate::{Millis, RawJson, RoomSeq, RoomSummary, StickyEvent, ThreadId, TxnRef};

/// News of one room for one user. A hint, not the truth: it may be lost or repeated. `(room_id, seq)` of each event
/// removes repeats; a first `seq` beyond the last known one plus one shows that something was missed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Notice {
    /// The room.
    pub room_id: OwnedRoomId,
    /// New events that this user may see, oldest first, without gaps among themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<NoticeEvent>,
    /// What state resolution changed along with these events. Members only: of one who is out by it, the own member event
    /// is among `events`, at the position where the resolution was, or here, if there is none any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[serde(rename = "turned")]
    pub resolved: Vec<ResolvedState>,
    /// The user's membership after the events, when they changed it: `join`, `invite`, `knock`, `leave` or `ban`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub membership: Option<String>,
    /// Stripped state for an invite or knock (Client-Server API, "Stripped state"), the user's own member event included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stripped: Vec<RawJson>,
    /// The room's summary when it changed, and always with a membership change to `join`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Rc<RoomSummary>>,
    /// All others with membership `join`, after a join of the user or when events before the first had to be left out:
    /// the hub cannot follow from the events alone whom the user shares the room with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<Rc<Vec<OwnedUserId>>>,
    /// Up to here the storage worker has the room's events.
    pub forwarded: RoomSeq,
    /// The room tells only those who listen: a hub that nobody listens to may say so, and asks when somebody does again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub selective: bool,
    /// Typing and receipts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ephemeral: Vec<EphemeralNotice>,
    /// Sticky events among the new ones, those left out included; after a join of the user all there are, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sticky: Vec<StickyEvent>,
}

/// One event of a notice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoticeEvent {
    /// Position in the room.
    pub seq: RoomSeq,
    /// The event's id.
    pub event_id: OwnedEventId,
    /// `type`.
    pub kind: String,
    /// `sender`.
    pub sender: OwnedUserId,
    /// `state_key`, for state events. One that state resolution did not let become state has none here, though its client
    /// form does: it is part of the timeline and says nothing of the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_key: Option<String>,
    /// `origin_server_ts`.
    pub ts: Millis,
    /// The event in client form without `room_id`, with `event_id`, ready to be copied into an answer.
    pub client: RawJson,
    /// Set only in notices to the sender's own hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txn: Option<TxnRef>,
    /// The event this one redacts; hubs drop the content they hold of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redacts: Option<OwnedEventId>,
    /// The sender's power level is enough to notify the whole room (`notifications.room`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pings_room: bool,
}

/// A place in the room's state that got another event, or none, by state resolution alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResolvedState {
    /// Position of the event with which the room was resolved anew.
    pub seq: RoomSeq,
    /// `type`.
    pub kind: String,
    /// `state_key`.
    pub state_key: String,
    /// The event that is state from there on; its `seq` is the one above, since that is where it became state.
    pub event: Option<NoticeEvent>,
}

/// A change that is not part of the timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum EphemeralNotice {
    /// All users now typing.
    Typing(Vec<OwnedUserId>),
    /// New receipts. Private ones are only ever sent to their owner.
    Receipts(Vec<Receipt>),
}

/// A read receipt (Client-Server API, "Receipts"; MSC4102 for threads).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// `m.read` or `m.read.private`.
    pub kind: String,
    /// Who read.
    pub user_id: OwnedUserId,
    /// Up to which event.
    pub event_id: OwnedEventId,
    /// Position of that event, when the room knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<RoomSeq>,
    /// `main`, a thread root's id, or nothing for an unthreaded receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<ThreadId>,
    /// When.
    pub ts: Millis,
}
