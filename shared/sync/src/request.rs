//! A sliding sync request, whichever of the two shapes it came in.

mod read;
mod stable;
mod unstable;

use std::collections::{BTreeMap, BTreeSet};

use ruma::{OwnedRoomId, RoomId, UserId};
use tern_model::{MatrixError, RawJson, StreamPos, news};

use crate::hash::fingerprint;
use crate::state::StateNeed;

/// Most lists and most subscriptions of a request (MSC4186, "Request Body").
const MOST_RULES: usize = 100;
/// Longest `conn_id`.
const LONGEST_CONN_ID: usize = 64;

/// The two ways sliding sync is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// `/_matrix/client/unstable/org.matrix.simplified_msc3575/sync`.
    Unstable,
    /// `/_matrix/client/v4/sync`, the merged MSC4186.
    Stable,
}

/// How much of a room to send (MSC4186, "room config").
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RoomConfig {
    /// `timeline_limit`, capped.
    pub limit: u32,
    /// `required_state`.
    pub state: StateNeed,
}

impl RoomConfig {
    /// Grows to the superset of both (MSC4186, "Combining room configs").
    pub fn add(&mut self, other: &Self) {
        self.limit = self.limit.max(other.limit);
        self.state.add(&other.state);
    }
}

/// What a list is narrowed to (MSC4186, "SlidingRoomFilter"). All given parts must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ListFilter {
    /// `is_dm`.
    pub dm: Option<bool>,
    /// `is_encrypted`.
    pub encrypted: Option<bool>,
    /// `is_invited` (unstable: `is_invite`).
    pub invited: Option<bool>,
    /// `spaces`.
    pub spaces: Option<BTreeSet<String>>,
    /// `room_types`; `None` in the set is a room without a type.
    pub types: Option<BTreeSet<Option<String>>>,
    /// `not_room_types`.
    pub not_types: Option<BTreeSet<Option<String>>>,
    /// `tags`.
    pub tags: Option<BTreeSet<String>>,
    /// `not_tags`.
    pub not_tags: Option<BTreeSet<String>>,
    /// `room_name_like` (unstable only), lower case.
    pub name_like: Option<String>,
}

/// One list of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListRequest {
    /// Inclusive index ranges; `None` is the whole list.
    pub ranges: Option<Vec<(u64, u64)>>,
    /// The filter.
    pub filter: ListFilter,
    /// What to send of its rooms.
    pub config: RoomConfig,
}

/// Which rooms a per-room extension speaks of: those of the named lists and the named subscriptions; `None` is all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scope {
    /// `lists`.
    pub lists: Option<BTreeSet<String>>,
    /// `rooms`; `*` is all subscriptions.
    pub rooms: Option<BTreeSet<String>>,
}

impl Scope {
    /// The list counts.
    pub fn has_list(&self, name: &str) -> bool {
        self.lists.as_ref().is_none_or(|lists| lists.contains(name))
    }

    /// The room counts, given that it is subscribed to.
    pub fn has_room(&self, room_id: &RoomId) -> bool {
        self.rooms.as_ref().is_none_or(|rooms| rooms.contains("*") || rooms.contains(room_id.as_str()))
    }

    /// The room is named itself, subscribed to or not.
    pub fn names_room(&self, room_id: &RoomId) -> bool {
        self.rooms.as_ref().is_some_and(|rooms| rooms.contains(room_id.as_str()))
    }
}

/// The to-device extension (MSC3885).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ToDeviceRequest {
    /// Most messages per answer.
    pub limit: usize,
    /// Everything up to here has arrived and may be deleted.
    pub since: Option<StreamPos>,
}

/// The sticky events extension (MSC4480).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StickyRequest {
    /// Most events per answer.
    pub limit: usize,
    /// Everything up to here has arrived.
    pub since: Option<StreamPos>,
}

/// Extensions that are enabled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// `to_device`.
    pub to_device: Option<ToDeviceRequest>,
    /// `e2ee` (MSC3884).
    pub e2ee: bool,
    /// `account_data` (MSC3959).
    pub account_data: Option<Scope>,
    /// `receipts` (MSC3960).
    pub receipts: Option<Scope>,
    /// `typing` (MSC3961).
    pub typing: Option<Scope>,
    /// `thread_subscriptions` (MSC4308): most changes per answer.
    pub threads: Option<usize>,
    /// `org.matrix.msc4354.sticky_events`.
    pub sticky: Option<StickyRequest>,
}

/// A parsed request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which shape it came in, and the answer goes out.
    pub shape: Shape,
    /// `pos`.
    pub pos: Option<String>,
    /// `conn_id`, empty when there is none.
    pub conn_id: String,
    /// `txn_id` (unstable only), echoed.
    pub txn_id: Option<String>,
    /// `timeout` of the stable shape's body.
    pub timeout: Option<u64>,
    /// `lists`.
    pub lists: BTreeMap<String, ListRequest>,
    /// `room_subscriptions`.
    pub subscriptions: BTreeMap<OwnedRoomId, RoomConfig>,
    /// `extensions`.
    pub extensions: Extensions,
    /// Of everything that shapes the answer, except positions.
    pub(crate) fingerprint: u64,
    /// Of lists and subscriptions.
    pub(crate) rules: u64,
}

impl Request {
    /// Reads the body of `user_id`'s request. `pos` is the query's (unstable shape); the stable shape has it in the body.
    ///
    /// # Errors
    /// `M_BAD_JSON` when the shape is wrong, `M_INVALID_PARAM` when a value is.
    pub fn parse(body: &RawJson, pos: Option<&str>, shape: Shape, user_id: &UserId) -> Result<Self, MatrixError> {
        let mut request = match shape {
            Shape::Unstable => unstable::parse(body, user_id)?,
            Shape::Stable => stable::parse(body, user_id)?,
        };
        request.pos = pos.map(str::to_owned).or(request.pos);
        request.check()?;
        request.rules = fingerprint(&(&request.lists, &request.subscriptions));
        let Extensions { to_device, e2ee, account_data, receipts, typing, threads, sticky } = &request.extensions;
        let others = (account_data, receipts, typing, threads.is_some(), sticky.is_some());
        request.fingerprint = fingerprint(&(shape, request.rules, to_device.is_some(), e2ee, others));
        Ok(request)
    }

    fn check(&self) -> Result<(), MatrixError> {
        if self.lists.len() > MOST_RULES || self.subscriptions.len() > MOST_RULES {
            return Err(MatrixError::invalid_param("Too many lists or room subscriptions"));
        }
        if self.conn_id.len() > LONGEST_CONN_ID {
            return Err(MatrixError::invalid_param("conn_id is too long"));
        }
        let upside_down = |(start, end): &(u64, u64)| start > end;
        if self.lists.values().flat_map(|list| list.ranges.iter().flatten()).any(upside_down) {
            return Err(MatrixError::invalid_param("A range ends before it starts"));
        }
        Ok(())
    }

    /// Up to here the client has its to-device messages: they can be deleted.
    pub fn to_device_ack(&self) -> Option<StreamPos> {
        self.extensions.to_device.and_then(|to_device| to_device.since)
    }

    /// Kinds of news that may give this request something to say (bits of [`news`]).
    pub fn interest(&self) -> u32 {
        let rooms = !self.lists.is_empty() || !self.subscriptions.is_empty();
        let Extensions { to_device, e2ee, account_data, receipts, typing, threads, sticky } = &self.extensions;
        [
            (rooms, news::ROOMS),
            (to_device.is_some(), news::TO_DEVICE),
            (*e2ee, news::E2EE),
            // Lists may depend on account data (`m.direct`, tags), which then changes rooms.
            (account_data.is_some(), news::ACCOUNT_DATA),
            (receipts.is_some(), news::RECEIPTS),
            (typing.is_some(), news::TYPING),
            (threads.is_some(), news::THREADS),
            (sticky.is_some(), news::STICKY),
            (true, news::LOGOUT),
        ]
        .iter()
        .filter_map(|(wanted, bit)| wanted.then_some(bit))
        .sum()
    }
}
