//! Who is typing where. Kept in memory only: rooms send the whole set again when it changes, and end it themselves.

use std::collections::BTreeMap;

use ruma::{OwnedRoomId, OwnedUserId, RoomId};
use tern_model::Millis;
use tern_sync::TypingPos;

/// Sets of typing users by room, each with the position of its last change.
#[derive(Debug, Default)]
pub(super) struct Typing {
    rooms: BTreeMap<OwnedRoomId, (TypingPos, Vec<OwnedUserId>)>,
    newest: TypingPos,
}

impl Typing {
    /// Takes over a room's set; false when it is known already.
    pub(super) fn set(&mut self, room_id: &RoomId, users: &[OwnedUserId], now: Millis) -> bool {
        if self.rooms.get(room_id).is_some_and(|(_, known)| known == users) {
            return false;
        }
        // By the clock, and so beyond everything that an earlier life of the hub gave out.
        self.newest = TypingPos(now.0.max(self.newest.0 + 1));
        self.rooms.insert(room_id.to_owned(), (self.newest, users.to_vec()));
        true
    }

    pub(super) const fn newest(&self) -> TypingPos {
        self.newest
    }

    pub(super) fn changed(&self, after: TypingPos) -> Vec<(OwnedRoomId, Vec<OwnedUserId>)> {
        let changed = self.rooms.iter().filter(|(_, (pos, _))| *pos > after);
        changed.map(|(room_id, (_, users))| (room_id.clone(), users.clone())).collect()
    }

    pub(super) fn of_room(&self, room_id: &RoomId) -> Vec<OwnedUserId> {
        self.rooms.get(room_id).map(|(_, users)| users.clone()).unwrap_or_default()
    }
}
