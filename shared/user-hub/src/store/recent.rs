//! Rooms that ordinary events have moved lately. Such an event writes one row, its own in the inbox: what it moves of the
//! room's row stands beside it, and the room's row stays behind. Which rooms these are stands in the hub's row, so that a hub
//! that wakes looks at them and at no others.

use ruma::{OwnedRoomId, RoomId};
use tern_model::StreamPos;
use tern_object_kit::schema::Step;
use tern_ports::{Sql, SqlError};

use super::rooms::{self, Pushes, RoomRow};

/// Conversations that one user follows at a time. A room that makes place costs the row that it had saved.
const MOST: usize = 16;

pub(crate) const COLUMNS: Step = &[
    "ALTER TABLE hub ADD COLUMN recent TEXT",
    // Of the newest event of a room whose row is behind: see `rooms::Figures`.
    "ALTER TABLE inbox ADD COLUMN figures TEXT",
    // Events before this one left the inbox; their rows are for new ones.
    "ALTER TABLE room ADD COLUMN spare INTEGER NOT NULL DEFAULT 0",
];

/// A room as it is.
struct Recent {
    row: RoomRow,
    /// What the room's row does not say yet.
    behind: bool,
}

/// The rooms, the one that moved last at the end.
#[derive(Default)]
pub(crate) struct RecentRooms(Vec<Recent>);

impl RecentRooms {
    /// Reads them, each as its newest event has left it; and the newest position that any of them was told at, and what the
    /// last event says of pushes.
    pub(crate) fn load(sql: &impl Sql) -> Result<(Self, StreamPos, Pushes), SqlError> {
        let rows = sql.query("SELECT recent FROM hub", &[])?;
        let text = rows.first().and_then(|row| row.text(0)).unwrap_or("[]");
        let mut recent = Self::default();
        let (mut newest, mut push) = (StreamPos(0), Pushes::default());
        for told in rooms::recent(sql, text)? {
            newest = newest.max(told.row.pos).max(told.pos);
            push = push.max(told.push);
            recent.0.push(Recent { row: told.row, behind: told.behind });
        }
        Ok((recent, newest, push))
    }

    /// One of them.
    pub(crate) fn get(&self, room_id: &RoomId) -> Option<&RoomRow> {
        self.0.iter().map(|recent| &recent.row).find(|row| row.room_id == room_id)
    }

    /// All of them.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &RoomRow> {
        self.0.iter().map(|recent| &recent.row)
    }

    /// Their ids as the hub's row has them.
    pub(crate) fn ids(&self) -> Option<String> {
        let ids: Vec<&OwnedRoomId> = self.rows().map(|row| &row.room_id).collect();
        // Text always serialises.
        if ids.is_empty() { None } else { serde_json::to_string(&ids).ok() }
    }

    /// A room's row was written.
    pub(crate) fn written(&mut self, row: &RoomRow) -> bool {
        let known = self.0.iter_mut().find(|recent| recent.row.room_id == row.room_id);
        known.map(|recent| *recent = Recent { row: row.clone(), behind: false }).is_some()
    }

    /// An event has moved a room and says so. True when the room was not among them: then the hub's row has to be written.
    pub(crate) fn moved(&mut self, sql: &impl Sql, row: RoomRow) -> Result<bool, SqlError> {
        let known = self.0.iter().position(|recent| recent.row.room_id == row.room_id);
        if let Some(known) = known {
            self.0.remove(known);
        } else if self.0.len() >= MOST {
            let oldest = self.0.remove(0);
            if oldest.behind {
                rooms::write(sql, &oldest.row)?;
            }
        }
        self.0.push(Recent { row, behind: true });
        Ok(known.is_none())
    }
}
