//! A connection: what one device has been told (MSC4186, "Connections").
//!
//! The state behind the newest acknowledged `pos` is kept apart from the answers given since, each a branch of its own: a
//! repeated request gets its answer again, byte for byte, and a changed one is answered from the same starting point. The
//! branch whose `pos` comes back becomes the state; the others are dropped.

mod remember;

use std::cell::OnceCell;

use ruma::{DeviceId, RoomId};
use serde::{Deserialize, Serialize};
use tern_model::{MatrixError, RawJson, StreamPos};

use crate::hash::fingerprint;
use crate::lazy::Lazy;
use crate::lines;
use crate::pos::{MARKS, Pos, number_at};
use crate::request::Request;
use crate::sent::{Parts, RoomSentState};
use crate::sent_answers::{Answer, Kept, SentState, Variant};
use crate::state::StateNeed;
use crate::view::TypingPos;

/// Most different `required_state` needs of a connection's life; beyond it the client starts over.
const MOST_NEEDS: usize = 64;

/// One device's connection with one `conn_id`. Stored in one row: as JSON, and beside it a line for each room that the
/// client was told of lately, which a step without news does not touch. Further rooms of large accounts are in [`Parts`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Connection {
    /// Marks the positions of this connection, so that those of another device or `conn_id` are not taken for them.
    #[serde(default)]
    mark: u64,
    /// The number of the next `pos` to give out.
    next: u64,
    /// The newest `pos` that came back; zero before the first.
    pos: u64,
    /// Needs by the index that rooms refer to; only ever grows.
    needs: Lazy<Vec<StateNeed>>,
    /// There are too many of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    full: bool,
    /// Which parts belong to this connection, as bits.
    #[serde(default)]
    parts: u16,
    /// The state behind `pos`.
    #[serde(rename = "told")]
    sent: Lazy<SentState>,
    /// The answer that led to `pos`, for a late duplicate of its request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<Answer>,
    /// Answers given from `pos`, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[serde(rename = "branches")]
    variants: Vec<Variant>,
    /// How far the client says it was told of typing beyond the state behind `pos`.
    #[serde(skip)]
    typing: Option<TypingPos>,
    /// The lines of rooms, once somebody has looked.
    #[serde(skip)]
    rooms: OnceCell<String>,
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
        parts: &dyn Parts,
        request: &Request,
        position: StreamPos,
        device_id: &DeviceId,
    ) -> Result<Begin, MatrixError> {
        let mark = fingerprint(&(device_id.as_str(), &request.conn_id)) % MARKS;
        let Some(pos) = &request.pos else {
            return Ok(Begin::Step(Box::new(Self::start(stored, position, mark))));
        };
        let read = Pos::read_any(pos).filter(|read| read.mark == mark).ok_or_else(MatrixError::unknown_pos)?;
        let (pos, typing) = (read.number, read.typing);
        let mut conn = stored.ok_or_else(MatrixError::unknown_pos)?;
        let kept = conn.answer_to(pos, request.fingerprint);
        if let Some(body) = kept.and_then(|kept| parts.body(kept.place)) {
            return Ok(Begin::Replay(body));
        }
        conn.acknowledge(pos);
        if conn.pos != pos || conn.full || !conn.sent.is_sound() {
            return Err(MatrixError::unknown_pos());
        }
        conn.typing = typing;
        if let Some(typing) = typing {
            conn.sent.change(|sent| sent.extensions.saw_typing(typing));
        }
        Ok(Begin::Step(Box::new(conn)))
    }

    /// A new connection. Its positions go on where the old one's ended, so that none means two things; a request doubled
    /// before any answer was acknowledged only adds a branch.
    fn start(stored: Option<Self>, position: StreamPos, mark: u64) -> Self {
        match stored {
            Some(conn) if conn.pos == 0 && !conn.full => conn,
            stored => {
                let next = stored.map_or(0, |conn| conn.next).max(number_at(position));
                Self { mark, next, rooms: OnceCell::from(String::new()), ..Self::default() }
            }
        }
    }

    fn answers(&self) -> impl Iterator<Item = &Answer> {
        self.variants.iter().rev().map(|variant| &variant.answer).chain(&self.last)
    }

    fn answer_to(&self, pos: u64, request: u64) -> Option<Kept> {
        self.answers().find(|answer| answer.from == pos && answer.request == request)?.kept
    }

    /// The client has the answer that ends in `pos`.
    fn acknowledge(&mut self, pos: u64) {
        let Some(index) = self.variants.iter().position(|variant| variant.answer.to == pos) else { return };
        let variant = self.variants.swap_remove(index);
        self.variants.clear();
        self.sent = variant.sent;
        self.last = Some(variant.answer);
        self.pos = pos;
    }

    /// Nothing has been told yet.
    pub(crate) const fn is_new(&self) -> bool {
        self.pos == 0
    }

    /// `pos` of an answer with nothing in it, or with nothing but typing up to `typing`.
    pub(crate) fn pos(&self, typing: Option<TypingPos>) -> String {
        Pos { number: self.pos, mark: self.mark, typing: typing.or(self.typing) }.text()
    }

    /// `pos` of the next answer that is remembered, which is given at `at`.
    pub(crate) fn next_pos(&mut self, at: StreamPos) -> String {
        self.next = self.next.max(number_at(at));
        Pos { number: self.next, mark: self.mark, typing: None }.text()
    }

    pub(crate) fn sent(&self) -> &SentState {
        self.sent.get()
    }

    /// What was told of a room, if that is in the row.
    pub(crate) fn sent_of(&self, room_id: &RoomId, parts: &dyn Parts) -> Option<RoomSentState> {
        let rooms = self.rooms.get_or_init(|| parts.rooms().unwrap_or_default());
        lines::find(rooms, room_id, |answer| self.has(answer))
    }

    /// The client has this answer: it is behind `pos`, or led to it.
    const fn has(&self, answer: u64) -> bool {
        answer == 0 || answer == self.pos
    }

    /// The lines to store.
    pub fn rooms(&self) -> &str {
        self.rooms.get().map_or("", String::as_str)
    }

    pub(crate) const fn parts(&self) -> u16 {
        self.parts
    }

    pub(crate) fn need(&self, index: usize) -> Option<&StateNeed> {
        self.needs.get().get(index)
    }

    /// The index of a need, remembered from now on.
    pub(crate) fn intern(&mut self, need: &StateNeed) -> usize {
        let known = self.needs.get().iter().position(|known| known == need);
        known.unwrap_or_else(|| {
            let index = self.needs.get().len();
            self.needs.change(|needs| needs.push(need.clone()));
            self.full = index >= MOST_NEEDS;
            index
        })
    }
}
