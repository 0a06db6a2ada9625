//! What the client knows of each room.

use std::cell::RefCell;
use std::collections::BTreeMap;

use ruma::RoomId;

use crate::conn::Connection;
use crate::fold::{part_of, read_part};
use crate::lines;
use crate::sent::{Parts, RoomSentState};

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
