//! What others show of themselves: in memory only, as long as a room is shared.

use std::collections::BTreeMap;

use ruma::{OwnedUserId, UserId};
use tern_model::{Millis, Presence, PresenceNote};
use tern_sync::PresencePos;

/// People whose presence is held.
const MOST_HELD: usize = 1_000;

/// What others show, each with the position of its last change.
#[derive(Debug, Default)]
pub(super) struct Others {
    users: BTreeMap<OwnedUserId, (PresencePos, PresenceNote)>,
    newest: PresencePos,
}

impl Others {
    /// Takes over what somebody shows; false when that is known already.
    pub(super) fn set(&mut self, user_id: &OwnedUserId, note: PresenceNote, now: Millis) -> bool {
        let known = self.users.get(user_id).map(|(_, known)| known);
        let same = |known: &PresenceNote| known.presence == note.presence && known.status_msg == note.status_msg;
        // Of somebody not heard of before, that they are not there is no news.
        if known.map_or(note.presence == Presence::Offline && note.status_msg.is_none(), same) {
            return false;
        }
        // By the clock, and so beyond everything that an earlier life of the hub gave out.
        self.newest = PresencePos(now.0.max(self.newest.0 + 1));
        self.users.insert(user_id.clone(), (self.newest, note));
        if self.users.len() > MOST_HELD {
            let oldest = self.users.iter().min_by_key(|(_, (at, _))| *at).map(|(user_id, _)| user_id.clone());
            oldest.and_then(|user_id| self.users.remove(&user_id));
        }
        true
    }

    /// Whether it is known what somebody shows.
    pub(super) fn holds(&self, user_id: &UserId) -> bool {
        self.users.contains_key(user_id)
    }

    /// No room is shared any more.
    pub(super) fn forget(&mut self, user_id: &UserId) {
        self.users.remove(user_id);
    }

    pub(super) const fn newest(&self) -> PresencePos {
        self.newest
    }

    pub(super) fn changed(&self, after: PresencePos) -> impl Iterator<Item = (&OwnedUserId, &PresenceNote)> {
        self.users.iter().filter(move |(_, (at, _))| *at > after).map(|(user_id, (_, note))| (user_id, note))
    }
}
