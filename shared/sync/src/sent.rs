//! What a client was told, and where that is kept.

use serde::{Deserialize, Serialize};
use tern_model::{RawJson, RoomSeq, StreamPos};

use crate::hash::fingerprint;
use crate::view::Membership;

/// Number of parts.
pub const PARTS: u8 = 16;
/// Most members remembered as sent, per room.
const MOST_MEMBERS: usize = 200;

/// What is stored of a connection besides its text.
pub trait Parts {
    /// [`Connection::rooms`](crate::Connection::rooms) as stored last.
    fn rooms(&self) -> Option<String>;

    /// The text of part `number` (below [`PARTS`]) as stored last: rooms that are not in the connection's own text.
    fn part(&self, number: u8) -> Option<String>;

    /// The body kept in `place` (below [`BODIES`](crate::BODIES)); it may be dropped at any time.
    fn body(&self, place: u8) -> Option<RawJson>;
}

/// What a client knows of a room. Names are short because there is one for every room of every connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RoomSentState {
    /// The user's membership.
    #[serde(rename = "m")]
    pub(crate) membership: String,
    /// When the room was last looked at.
    #[serde(rename = "a")]
    pub(crate) at: StreamPos,
    /// The newest timeline position the client has.
    #[serde(rename = "s")]
    pub(crate) seq: RoomSeq,
    /// How many of the newest events it has without a gap.
    #[serde(rename = "h")]
    pub(crate) held: u32,
    /// It has the timeline from its start.
    #[serde(rename = "c", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) complete: bool,
    /// Index of the state need it has been served by.
    #[serde(rename = "n")]
    pub(crate) need: usize,
    /// The other facts it was given.
    #[serde(rename = "f", default)]
    pub(crate) facts: Facts,
    /// Fingerprints of members sent lazily, newest last.
    #[serde(rename = "l", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) members: Vec<u64>,
}

impl RoomSentState {
    pub(crate) fn was(&self, membership: Membership) -> bool {
        self.membership == membership.as_str()
    }

    pub(crate) fn knows_member(&self, user_id: &str) -> bool {
        self.members.contains(&fingerprint(user_id))
    }

    pub(crate) fn learn_member(&mut self, user_id: &str) {
        let member = fingerprint(user_id);
        self.members.retain(|known| *known != member);
        self.members.push(member);
        if self.members.len() > MOST_MEMBERS {
            self.members.remove(0);
        }
    }
}

/// Values that are sent when they change; texts as fingerprints, zero when absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    #[serde(rename = "n", default, skip_serializing_if = "is_zero")]
    pub(crate) name: u64,
    #[serde(rename = "a", default, skip_serializing_if = "is_zero")]
    pub(crate) avatar: u64,
    #[serde(rename = "h", default, skip_serializing_if = "is_zero")]
    pub(crate) heroes: u64,
    #[serde(rename = "d", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) dm: bool,
    #[serde(rename = "j", default, skip_serializing_if = "is_zero")]
    pub(crate) joined: u64,
    #[serde(rename = "i", default, skip_serializing_if = "is_zero")]
    pub(crate) invited: u64,
    #[serde(rename = "u", default, skip_serializing_if = "is_zero")]
    pub(crate) notifications: u64,
    #[serde(rename = "x", default, skip_serializing_if = "is_zero")]
    pub(crate) highlights: u64,
    #[serde(rename = "b", default, skip_serializing_if = "is_zero")]
    pub(crate) bump: u64,
    /// Of stripped state.
    #[serde(rename = "s", default, skip_serializing_if = "is_zero")]
    pub(crate) stripped: u64,
}

fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}

/// What was found out about a list when it was last looked at as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListSentState {
    /// Rooms that match the filter.
    #[serde(rename = "c")]
    pub(crate) count: u64,
    /// Activity of the last room inside the window; zero when the window holds the whole list.
    #[serde(rename = "f", default)]
    pub(crate) floor: StreamPos,
    /// Rooms have risen into the window since, so that one at its lower end may have dropped out.
    #[serde(rename = "d", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) drifted: bool,
}
