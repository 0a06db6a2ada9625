//! Who is typing where. Kept in memory only: rooms send the whole set again when it changes, and end it themselves.

use std::collections::BTreeMap;

use ruma::{OwnedRoomId, OwnedUserId, RoomId};
use tern_model::StreamPos;

/// Sets of typing users by room, each with the position of its last change.
#[derive(Debug, Default)]
pub(super) struct Typing(BTreeMap<OwnedRoomId, (StreamPos, Vec<OwnedUserId>)>);

impl Typing {
    /// Whether `users` are the ones already known to type.
    pub(super) fn is(&self, room_id: &RoomId, users: &[OwnedUserId]) -> bool {
        self.0.get(room_id).is_some_and(|(_, known)| known == users)
    }

    pub(super) fn set(&mut self, room_id: &RoomId, users: &[OwnedUserId], pos: StreamPos) {
        self.0.insert(room_id.to_owned(), (pos, users.to_vec()));
    }

    pub(super) fn changed(&self, after: StreamPos, until: StreamPos) -> Vec<(OwnedRoomId, Vec<OwnedUserId>)> {
        let changed = self.0.iter().filter(|(_, (pos, _))| *pos > after && *pos <= until);
        changed.map(|(room_id, (_, users))| (room_id.clone(), users.clone())).collect()
    }

    pub(super) fn of_room(&self, room_id: &RoomId) -> Vec<OwnedUserId> {
        self.0.get(room_id).map(|(_, users)| users.clone()).unwrap_or_default()
    }
}
