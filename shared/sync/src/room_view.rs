//! A room as its member's hub knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ruma::OwnedRoomId;
use tern_model::{RawJson, RoomSeq, RoomSummary, StreamPos};

/// The user's membership of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Membership {
    /// `join`.
    Join,
    /// `invite`.
    Invite,
    /// `knock`.
    Knock,
    /// `leave`: left, kicked, or an invite or knock that came to nothing.
    Leave,
    /// `ban`.
    Ban,
}

impl Membership {
    /// The value as events have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Invite => "invite",
            Self::Knock => "knock",
            Self::Leave => "leave",
            Self::Ban => "ban",
        }
    }

    /// Reads the value that events have.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "join" => Self::Join,
            "invite" => Self::Invite,
            "knock" => Self::Knock,
            "leave" => Self::Leave,
            "ban" => Self::Ban,
            _ => return None,
        })
    }
}

/// Unread counts (Client-Server API, "Receiving notifications").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// `notification_count`.
    pub notifications: u64,
    /// `highlight_count`.
    pub highlights: u64,
}

/// One room as its member's hub knows it. Forgotten rooms are not shown to the engine at all.
#[derive(Clone, Debug)]
pub struct RoomView {
    /// The room.
    pub room_id: OwnedRoomId,
    /// The user's membership.
    pub membership: Membership,
    /// The user was joined and somebody else ended that. A withdrawn invite is no removal; a ban that follows a leave
    /// changes nothing here.
    pub removed: bool,
    /// Facts of the room's current state; absent before the first join.
    pub summary: Option<Rc<RoomSummary>>,
    /// Position of the last change of anything in this struct (typing, receipts and account data excepted; `dm`, `tags`
    /// and `unread` included).
    pub changed: StreamPos,
    /// Position of the last change of what lists are filtered by: membership, `removed`, `dm`, `tags`, and of the summary
    /// `room_type`, `encrypted`, `name` and `children` (see [`relists`]).
    pub relisted: StreamPos,
    /// Position at which the newest event of the room, or the invite, arrived: rooms are listed by it, newest first.
    /// No two rooms have the same.
    pub activity: StreamPos,
    /// `origin_server_ts` of the newest event that counts as activity (see [`is_bump`]), or of the membership event for a
    /// room not joined.
    pub bump_stamp: u64,
    /// Position of the newest event known here. For somebody who left: of their own leave event.
    pub newest: RoomSeq,
    /// The inbox holds every visible event from here to `newest`; `newest + 1` when it is empty.
    pub inbox_from: RoomSeq,
    /// Position of the user's newest join (a change of profile is none); zero when they never joined.
    pub joined: RoomSeq,
    /// Position of the newest change by state resolution; zero where there was none.
    pub resolved: RoomSeq,
    /// Stripped state of an invite or knock, the user's own member event included.
    pub stripped: Rc<[RawJson]>,
    /// `m.direct` names the room.
    pub dm: bool,
    /// Names of the room's tags.
    pub tags: BTreeSet<String>,
    /// Counts of the whole room.
    pub unread: Unread,
    /// Counts of threads that have any, by root event.
    pub threads: BTreeMap<String, Unread>,
}

impl RoomView {
    /// The user is joined.
    pub fn is_joined(&self) -> bool {
        self.membership == Membership::Join
    }

    /// The user left, was kicked or is banned.
    pub const fn is_gone(&self) -> bool {
        matches!(self.membership, Membership::Leave | Membership::Ban)
    }

    /// The user is, or was, joined.
    pub const fn was_joined(&self) -> bool {
        self.joined.0 > 0
    }

    /// The inbox holds everything after `seq`.
    pub const fn inbox_covers(&self, seq: RoomSeq) -> bool {
        seq.0 + 1 >= self.inbox_from.0
    }
}

/// Whether an event of this type moves a room's `bump_stamp` (MSC4186, "Common fields").
pub fn is_bump(kind: &str) -> bool {
    matches!(
        kind,
        "m.room.create"
            | "m.room.message"
            | "m.room.encrypted"
            | "m.sticker"
            | "m.call.invite"
            | "m.poll.start"
            | "org.matrix.msc3381.poll.start"
            | "m.beacon_info"
            | "org.matrix.msc3672.beacon_info"
    )
}

/// Whether the change from one summary to the next may move the room into or out of a list.
pub fn relists(old: &RoomSummary, new: &RoomSummary) -> bool {
    old.room_type != new.room_type
        || old.encrypted != new.encrypted
        || old.name != new.name
        || old.children != new.children
}
