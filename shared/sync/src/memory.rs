//! What the client knows of each room, and where that is kept.

use std::cell::RefCell;
use std::collections::BTreeMap;

use ruma::RoomId;
use serde::{Deserialize, Serialize};
use tern_model::{RawJson, RoomSeq, StreamPos};

use crate::conn::Connection;
use crate::hash::fingerprint;
use crate::lines::{self, Line};
use crate::view::Membership;

/// Number of parts.
pub const PARTS: u8 = 16;
/// Most rooms kept in the connection's row.
const MOST_ROOMS_IN_ROW: usize = 64;
/// Most members remembered as sent, per room.
const MOST_MEMBERS: usize = 200;

/// What is stored of a connection besides its text.
pub trait Parts {
    /// [`Connection::rooms`] as stored last.
    fn rooms(&self) -> Option<String>;

    /// The text of part `number` (below [`PARTS`]) as stored last: rooms that are not in the connection's own text.
    fn part(&self, number: u8) -> Option<String>;

    /// The body kept in `place` (below [`BODIES`](crate::conn::BODIES)); it may be dropped at any time.
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

/// Reads what was told of rooms: from the connection's row, else from its parts.
pub(crate) struct Memory<'a> {
    conn: &'a Connection,
    parts: &'a dyn Parts,
    read: RefCell<BTreeMap<u8, String>>,
}

impl<'a> Memory<'a> {
    pub(crate) const fn new(conn: &'a Connection, parts: &'a dyn Parts) -> Self {
        Self { conn, parts, read: RefCell::new(BTreeMap::new()) }
    }

    pub(crate) fn sent(&self, room_id: &RoomId) -> Option<RoomSentState> {
        self.conn.sent_of(room_id, self.parts).or_else(|| {
            let number = part_of(room_id.as_str());
            let load = || read_part(self.conn.parts(), self.parts, number);
            lines::find(self.read.borrow_mut().entry(number).or_insert_with(load), room_id, |_| true)
        })
    }

    pub(crate) fn knows(&self, room_id: &RoomId) -> bool {
        self.sent(room_id).is_some()
    }
}

fn part_of(room_id: &str) -> u8 {
    u8::try_from(fingerprint(room_id) % u64::from(PARTS)).unwrap_or_default()
}

/// A part that is missing makes its rooms unknown: they are sent again, from scratch.
fn read_part(mask: u16, parts: &dyn Parts, number: u8) -> String {
    if mask & (1 << number) == 0 {
        return String::new();
    }
    parts.part(number).unwrap_or_default()
}

/// The move of rooms from the row into parts.
pub(crate) struct Fold {
    pub(crate) mask: u16,
    pub(crate) parts: Vec<(u8, String)>,
}

impl Fold {
    /// Sorts `sent` into parts, if there are too many of them for the row.
    pub(crate) fn of(mask: u16, sent: &[Line<'_>], parts: &dyn Parts) -> Option<Self> {
        if sent.len() <= MOST_ROOMS_IN_ROW {
            return None;
        }
        let mut touched: BTreeMap<u8, Vec<Line<'_>>> = BTreeMap::new();
        for line in sent {
            let Some(room_id) = line.room_id() else { continue };
            touched.entry(part_of(&room_id)).or_default().push(*line);
        }
        let parts = touched.iter().map(|(number, fresh)| {
            let stored = read_part(mask, parts, *number);
            let mut all: Vec<_> = lines::lines(&stored).collect();
            lines::renew(&mut all, fresh);
            (*number, lines::settled(&all))
        });
        let parts: Vec<_> = parts.collect();
        Some(Self { mask: touched.keys().fold(mask, |mask, number| mask | (1 << number)), parts })
    }
}
