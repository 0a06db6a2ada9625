//! What a user's hub knows, as the sync engine reads it.

use std::collections::BTreeMap;
use std::rc::Rc;

use ruma::{DeviceId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde::{Deserialize, Serialize};
use tern_model::{NoticeEvent, RawJson, Receipt, ResolvedState, RoomSeq, StreamPos};

pub use crate::room_view::{Membership, RoomView, Unread, is_bump, relists};

/// A position among changes of who types, which have a count of their own: they are kept in memory only. It grows from
/// one life of the hub to the next; zero is before all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TypingPos(pub u64);

/// A position among changes of others' presence, which are kept in memory only, as [`TypingPos`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PresencePos(pub u64);

/// A room that the user left and then forgot.
#[derive(Clone, Debug)]
pub struct Forgotten {
    /// What is left of it.
    pub room: Rc<RoomView>,
    /// The user's own member event, by which they are out.
    pub event: Rc<NoticeEvent>,
    /// When that came.
    pub left: StreamPos,
}

/// One entry of account data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountData {
    /// `type`.
    pub kind: String,
    /// `content`.
    pub content: RawJson,
}

/// A queued to-device message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToDeviceMessage {
    /// When it was queued.
    pub at: StreamPos,
    /// `{"sender":…,"type":…,"content":…}`.
    pub event: RawJson,
}

/// A sticky event of a room (MSC4354).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sticky {
    /// When it came; no two events have the same.
    pub at: StreamPos,
    /// The room.
    pub room_id: OwnedRoomId,
    /// The event's id.
    pub event_id: String,
    /// `sender`.
    pub sender: OwnedUserId,
    /// For how many more milliseconds it is sticky; more than zero.
    pub remaining_ms: u64,
    /// The event in client form without `room_id`.
    pub client: RawJson,
}

/// How the user stands to a thread (MSC4306).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadSubscription {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Id of the thread's root.
    pub root: String,
    /// Whether a client subscribed to it of itself; `None` when it is subscribed to no more.
    pub automatic: Option<bool>,
    /// When that changed last.
    pub at: StreamPos,
}

/// Users whose devices changed, and users of whom nothing more will be heard (Client-Server API, "Tracking the device
/// list for a user").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceListChanges {
    /// `changed`.
    pub changed: Vec<OwnedUserId>,
    /// `left`.
    pub left: Vec<OwnedUserId>,
}

/// Keys the server holds for the device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyCounts {
    /// Unclaimed one-time keys by algorithm.
    pub one_time: BTreeMap<String, u64>,
    /// Algorithms with an unused fallback key.
    pub fallback: Vec<String>,
}

/// What one device of a user may be told, read on demand. "After a position" excludes the position itself.
pub trait UserView {
    /// The user.
    fn user_id(&self) -> &UserId;

    /// The device that asks.
    fn device_id(&self) -> &DeviceId;

    /// The newest position. Nothing of what the other functions give is newer.
    fn position(&self) -> StreamPos;

    /// The greatest [`RoomView::relisted`] of all rooms, forgotten ones included: forgetting a room counts as a change.
    fn relisted(&self) -> StreamPos;

    /// All rooms, in any order.
    fn rooms(&self) -> Vec<Rc<RoomView>>;

    /// One room.
    fn room(&self, room_id: &RoomId) -> Option<Rc<RoomView>>;

    /// Rooms with [`RoomView::changed`] after a position, in any order.
    fn changed_rooms(&self, after: StreamPos) -> Vec<Rc<RoomView>>;

    /// Rooms that were forgotten after a position, in any order: whoever was not told that they are left still has to be.
    fn forgotten(&self, after: StreamPos) -> Vec<Forgotten>;

    /// Events in the inbox of a room after `seq`, oldest first.
    fn inbox(&self, room_id: &RoomId, after: RoomSeq) -> Vec<Rc<NoticeEvent>>;

    /// The newest room position the user's hub knew at stream position `at`; `None` when it cannot tell any more. Used by
    /// classic sync, which has no state of its own.
    fn seq_at(&self, room_id: &RoomId, at: StreamPos) -> Option<RoomSeq>;

    /// A member event in client form, if the hub happens to have it (from the inbox or from an earlier slice).
    fn member(&self, room_id: &RoomId, user_id: &UserId) -> Option<RawJson>;

    /// What state resolution changed in a room, as far back as the inbox reaches, oldest first. Asked only where there is
    /// something.
    fn resolved(&self, room: &RoomView) -> Vec<ResolvedState>;

    /// Of a room's newest events, without gaps, those that others of them relate to: by position, in client form, with
    /// what is said about them (Client-Server API, "Aggregations of child events").
    fn aggregated(&self, timeline: &[&NoticeEvent]) -> BTreeMap<RoomSeq, RawJson>;

    /// Global account data changed after a position; deleted entries have the content `{}`.
    fn account_data(&self, after: StreamPos) -> Vec<AccountData>;

    /// Rooms' account data changed after a position (`m.tag` and `m.fully_read` included).
    fn rooms_account_data(&self, after: StreamPos) -> Vec<(OwnedRoomId, AccountData)>;

    /// All account data of a room.
    fn room_account_data(&self, room_id: &RoomId) -> Vec<AccountData>;

    /// Receipts that arrived after a position.
    fn receipts(&self, after: StreamPos) -> Vec<(OwnedRoomId, Receipt)>;

    /// All receipts of a room.
    fn room_receipts(&self, room_id: &RoomId) -> Vec<Receipt>;

    /// The newest `limit` changes of thread subscriptions after a position, newest first.
    fn thread_subscriptions(&self, after: StreamPos, limit: usize) -> Vec<ThreadSubscription>;

    /// The newest sticky event; zero while there is none.
    fn sticky_position(&self) -> StreamPos;

    /// At most `limit` sticky events after a position, the oldest first; none only when there are no more.
    fn sticky(&self, after: StreamPos, limit: usize) -> Vec<Sticky>;

    /// A room's sticky events after a position, oldest first.
    fn room_sticky(&self, room_id: &RoomId, after: StreamPos) -> Vec<Sticky>;

    /// Rooms whose set of typing users changed after a position, with that set, empty ones included.
    fn typing(&self, after: TypingPos) -> Vec<(OwnedRoomId, Vec<OwnedUserId>)>;

    /// The newest change of who types; zero when there was none in this life of the hub.
    fn typing_position(&self) -> TypingPos;

    /// Users typing in a room.
    fn room_typing(&self, room_id: &RoomId) -> Vec<OwnedUserId>;

    /// Users whose presence changed after a position, with the content of the event that tells it.
    fn presence(&self, after: PresencePos) -> Vec<(OwnedUserId, String)>;

    /// The newest change of presence; zero when there was none in this life of the hub.
    fn presence_position(&self) -> PresencePos;

    /// Up to `limit` of the device's to-device messages after a position, oldest first.
    fn to_device(&self, after: StreamPos, limit: usize) -> Vec<ToDeviceMessage>;

    /// Device list changes after a position.
    fn device_lists(&self, after: StreamPos) -> DeviceListChanges;

    /// Where the device's key counts last changed; zero when that was in an earlier life of the hub, in which case nobody
    /// waits for it any more.
    fn key_counts_at(&self) -> StreamPos;

    /// The device has uploaded keys of any kind; without, nothing can run out of which it would have to know.
    fn has_keys(&self) -> bool;

    /// The device's key counts.
    fn key_counts(&self) -> KeyCounts;
}
