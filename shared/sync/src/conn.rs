//! A connection: what one device has been told (MSC4186, "Connections").
//!
//! The state behind the newest acknowledged `pos` is kept apart from the answers given since, each a branch of its own: a
//! repeated request gets its answer again, byte for byte, and a changed one is answered from the same starting point. The
//! branch whose `pos` comes back becomes the state; the others are dropped.

use std::collections::{BTreeMap, BTreeSet};

use ruma::{DeviceId, OwnedRoomId};
use serde::{Deserialize, Serialize};
use tern_model::{MatrixError, RawJson, StreamPos};

use crate::extensions::ExtensionsTold;
use crate::hash::fingerprint;
use crate::list::ListTold;
use crate::memory::{Fold, Parts, RoomTold};
use crate::request::Request;
use crate::state::StateNeed;

/// Most answers remembered at a time.
const MOST_BRANCHES: usize = 3;
/// Longest answer remembered.
const LONGEST_BODY: usize = 512 << 10;
/// Most bytes of answers: a row holds 2 MB.
const MOST_WEIGHT: usize = 1 << 20;
/// About the bytes one room takes.
const ROOM_WEIGHT: usize = 200;
/// A `pos` ends in three digits that mark its connection.
const MARKS: u64 = 1_000;
/// Most different `required_state` needs of a connection's life; beyond it the client starts over.
const MOST_NEEDS: usize = 64;

/// One device's connection with one `conn_id`. Stored as JSON in one row; rooms of large accounts are stored beside it in
/// [`Parts`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Connection {
    /// Marks the positions of this connection, so that those of another device or `conn_id` are not taken for them.
    #[serde(default)]
    mark: u64,
    /// The next `pos` to give out, without the mark.
    next: u64,
    /// The newest `pos` that came back; zero before the first.
    pos: u64,
    /// Needs by the index that rooms refer to; only ever grows.
    needs: Vec<StateNeed>,
    /// Which parts belong to this connection, as bits.
    #[serde(default)]
    parts: u16,
    /// The state behind `pos`.
    told: Told,
    /// The answer that led to `pos`, for a late duplicate of its request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<Answer>,
    /// Answers given from `pos`, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    branches: Vec<Branch>,
}

/// What the client knows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Everything up to here has been looked at.
    pub(crate) at: StreamPos,
    /// Fingerprint of the request.
    pub(crate) request: u64,
    /// Fingerprint of the request's lists and subscriptions.
    pub(crate) rules: u64,
    /// Lists.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) lists: BTreeMap<String, ListTold>,
    /// Rooms; in a branch only those it told of.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) rooms: BTreeMap<OwnedRoomId, RoomTold>,
    /// Rooms that could not be read in time: to be looked at again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) owed: BTreeSet<OwnedRoomId>,
    /// Extensions.
    #[serde(default)]
    pub(crate) extensions: ExtensionsTold,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Answer {
    from: u64,
    to: u64,
    request: u64,
    /// Absent when it was too long to keep: a repeated request is then answered anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<RawJson>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Branch {
    told: Told,
    answer: Answer,
}

/// How a request stands to its connection.
#[derive(Debug)]
pub enum Begin {
    /// It has been answered before: this is the answer, again.
    Replay(RawJson),
    /// It is to be answered from this state.
    Step(Box<Connection>),
}

impl Connection {
    /// Reads a stored connection. One of an older build that cannot be read is as good as none.
    pub fn load(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The text to store.
    pub fn text(&self) -> String {
        // Maps have string keys and raw JSON is valid: this does not fail, and an empty text loads as no connection.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Finds out what a request is: the first of a connection, the next, or one seen before. `position` is the view's;
    /// `device_id` and the request's `conn_id` say whose connection it is.
    ///
    /// # Errors
    /// `M_UNKNOWN_POS` for a `pos` that is not the newest one, or not of this connection.
    pub fn begin(
        stored: Option<Self>,
        request: &Request,
        position: StreamPos,
        device_id: &DeviceId,
    ) -> Result<Begin, MatrixError> {
        let mark = fingerprint(&(device_id.as_str(), &request.conn_id)) % MARKS;
        let Some(pos) = &request.pos else {
            return Ok(Begin::Step(Box::new(Self::start(stored, position, mark))));
        };
        let pos: u64 = pos.parse().map_err(|_| MatrixError::unknown_pos())?;
        if pos < MARKS || pos % MARKS != mark {
            return Err(MatrixError::unknown_pos());
        }
        let pos = pos / MARKS;
        let mut conn = stored.ok_or_else(MatrixError::unknown_pos)?;
        if let Some(body) = conn.answer_to(pos, request.fingerprint) {
            return Ok(Begin::Replay(body.clone()));
        }
        conn.acknowledge(pos);
        if conn.pos != pos || conn.needs.len() > MOST_NEEDS {
            return Err(MatrixError::unknown_pos());
        }
        Ok(Begin::Step(Box::new(conn)))
    }

    /// A new connection. Its positions go on where the old one's ended, so that none means two things; a request doubled
    /// before any answer was acknowledged only adds a branch.
    fn start(stored: Option<Self>, position: StreamPos, mark: u64) -> Self {
        match stored {
            Some(conn) if conn.pos == 0 && conn.needs.len() <= MOST_NEEDS => conn,
            stored => Self { mark, next: stored.map_or(0, |conn| conn.next).max(position.0 + 1), ..Self::default() },
        }
    }

    fn answer_to(&self, pos: u64, request: u64) -> Option<&RawJson> {
        let answers = self.branches.iter().rev().map(|branch| &branch.answer).chain(&self.last);
        answers.into_iter().find(|answer| answer.from == pos && answer.request == request)?.body.as_ref()
    }

    /// The client has the answer that ends in `pos`.
    fn acknowledge(&mut self, pos: u64) {
        let Some(index) = self.branches.iter().position(|branch| branch.answer.to == pos) else { return };
        let branch = self.branches.swap_remove(index);
        self.branches.clear();
        let mut rooms = std::mem::take(&mut self.told.rooms);
        rooms.extend(branch.told.rooms);
        self.told = Told { rooms, ..branch.told };
        self.last = Some(branch.answer);
        self.pos = pos;
    }

    /// Nothing has been told yet.
    pub(crate) const fn is_new(&self) -> bool {
        self.pos == 0
    }

    /// `pos` of an answer with nothing in it.
    pub(crate) const fn pos(&self) -> u64 {
        self.pos * MARKS + self.mark
    }

    /// `pos` of the next answer.
    pub(crate) const fn next_pos(&self) -> u64 {
        self.next * MARKS + self.mark
    }

    pub(crate) const fn told(&self) -> &Told {
        &self.told
    }

    pub(crate) const fn parts(&self) -> u16 {
        self.parts
    }

    pub(crate) fn need(&self, index: usize) -> Option<&StateNeed> {
        self.needs.get(index)
    }

    /// The index of a need, remembered from now on.
    pub(crate) fn intern(&mut self, need: &StateNeed) -> usize {
        self.needs.iter().position(|known| known == need).unwrap_or_else(|| {
            self.needs.push(need.clone());
            self.needs.len() - 1
        })
    }

    /// Remembers an answer.
    pub(crate) fn branch(&mut self, told: Told, body: &RawJson) {
        let body = Some(body.clone()).filter(|body| body.text().len() <= LONGEST_BODY);
        let answer = Answer { from: self.pos, to: self.next, request: told.request, body };
        self.branches.push(Branch { told, answer });
        self.next += 1;
        while self.branches.len() > MOST_BRANCHES || (self.branches.len() > 1 && self.weight() > MOST_WEIGHT) {
            self.branches.remove(0);
        }
        if self.weight() > MOST_WEIGHT {
            self.last = None;
        }
    }

    /// About how many bytes the branches and answers take.
    fn weight(&self) -> usize {
        let answers = self.branches.iter().map(|branch| &branch.answer).chain(&self.last);
        let bodies: usize = answers.filter_map(|answer| answer.body.as_ref()).map(|body| body.text().len()).sum();
        let rooms: usize = self.branches.iter().map(|branch| branch.told.rooms.len()).sum();
        bodies + rooms * ROOM_WEIGHT
    }

    /// Takes over what a look without result found out, under the same `pos`. Rooms stay as told.
    pub(crate) fn settle(&mut self, told: Told) {
        let rooms = std::mem::take(&mut self.told.rooms);
        self.told = Told { rooms, ..told };
    }

    /// Moves rooms from the row into parts when there are many.
    pub(crate) fn fold(&mut self, parts: &dyn Parts) -> Vec<(u8, String)> {
        let Some(fold) = Fold::of(self.parts, &mut self.told.rooms, parts) else { return Vec::new() };
        self.parts = fold.mask;
        fold.parts
    }
}
