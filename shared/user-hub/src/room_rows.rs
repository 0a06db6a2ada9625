//! Rows of rooms as they are, also where the newest event says more than the row.

use ruma::{OwnedRoomId, RoomId};
use tern_model::StreamPos;
use tern_ports::{ObjectHost, SqlError, WaitingPolls};

use super::{
    UserActor,
    inbox_bounds::has_grown,
    store::{
        hub::{self, Hub},
        receipts,
        recent::RecentRooms,
        rooms::{self, Figures, RoomRow},
    },
    transaction::Transaction,
};

/// What was written with the newest event of a notice.
pub(super) struct Filing {
    /// When it came.
    pub(super) pos: StreamPos,
    /// What it says of the room.
    pub(super) figures: Figures,
}

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// The hub as it was last: its row leaves to others what they say themselves.
    pub(super) fn read_hub(&self) -> Result<Hub, SqlError> {
        let sql = self.host.sql();
        let hub = hub::read(sql)?;
        let (recent, rooms, push) = RecentRooms::load(sql)?;
        self.recent.replace(Some(recent));
        let (rooms, receipts) = (hub.rooms.max(rooms), hub.receipts.max(receipts::newest(sql)?));
        let (push_at, push_from) = if push.0 > hub.push_at { push } else { (hub.push_at, hub.push_from) };
        Ok(Hub { rooms, receipts, position: hub.position.max(rooms).max(receipts), push_at, push_from, ..hub })
    }

    /// Writes the hub's row, and with it which rooms may be ahead of theirs.
    pub(super) fn write_hub(&self, sql: &H::Sql, hub: &Hub) -> Result<(), SqlError> {
        hub::write(sql, hub, self.with_recent(|recent| recent.ids())?)
    }

    /// Does something with the rooms that may be ahead of their rows.
    pub(super) fn with_recent<T>(&self, work: impl FnOnce(&mut RecentRooms) -> T) -> Result<T, SqlError> {
        let mut recent = self.recent.borrow_mut();
        let known = match recent.take() {
            Some(known) => known,
            None => RecentRooms::load(self.host.sql())?.0,
        };
        Ok(work(recent.insert(known)))
    }

    /// A room's row.
    pub(super) fn room_row(&self, room_id: &RoomId) -> Result<Option<RoomRow>, SqlError> {
        match self.with_recent(|recent| recent.get(room_id).cloned())? {
            None => rooms::load(self.host.sql(), room_id),
            known => Ok(known),
        }
    }

    /// Those of all rooms that are not forgotten.
    pub(super) fn room_rows(&self) -> Result<Vec<RoomRow>, SqlError> {
        let mut rows = rooms::all(self.host.sql())?;
        self.with_recent(|recent| {
            for row in &mut rows {
                if let Some(known) = recent.get(&row.room_id) {
                    row.clone_from(known);
                }
            }
        })?;
        Ok(rows)
    }

    /// Those of rooms that may be unread, among them all invites, and that changed at `since` or later.
    pub(super) fn unread_rows(&self, since: StreamPos) -> Result<Vec<RoomRow>, SqlError> {
        let mut rows = rooms::unread(self.host.sql(), since)?;
        self.with_recent(|recent| {
            rows.retain(|row| recent.get(&row.room_id).is_none());
            let unread = recent.rows().filter(|row| !row.forgotten && row.pos >= since && row.is_unread());
            rows.extend(unread.cloned());
        })?;
        Ok(rows)
    }

    /// Rooms changed after `after`, forgotten ones left out.
    pub(super) fn changed_room_ids(&self, after: StreamPos) -> Result<Vec<OwnedRoomId>, SqlError> {
        let mut ids = rooms::changed(self.host.sql(), after)?;
        self.with_recent(|recent| {
            for row in recent.rows().filter(|row| !row.forgotten && row.pos > after) {
                if !ids.contains(&row.room_id) {
                    ids.push(row.room_id.clone());
                }
            }
        })?;
        Ok(ids)
    }

    /// Writes a room's row.
    pub(super) fn write_room(&self, tx: &Transaction<'_, H::Sql>, row: &RoomRow) -> Result<(), SqlError> {
        rooms::write(tx.sql, row)?;
        if self.with_recent(|recent| recent.written(row))? {
            tx.rooms_told(row.pos);
        }
        Ok(())
    }

    /// Keeps what a notice has made of a room, if it has moved: by its newest event alone, where that says all of it.
    pub(super) fn keep_room(
        &self,
        tx: &Transaction<'_, H::Sql>,
        before: Option<RoomRow>,
        row: RoomRow,
        filing: Option<Filing>,
    ) -> Result<(), SqlError> {
        // How far storage is alone is not worth a row.
        let moved = |before: &RoomRow| {
            before.pos != row.pos || before.newest != row.newest || before.unread_counts != row.unread_counts
        };
        if !before.as_ref().is_none_or(moved) {
            return Ok(());
        }
        self.rooms.borrow_mut().changed(&row.room_id);
        let told = |filing: &Filing| {
            let before = before.filter(|before| !has_grown(before, &row));
            before.is_some_and(|before| before.with(row.newest, filing.figures) == row)
        };
        let Some(filing) = filing.filter(told) else { return self.write_room(tx, &row) };
        if self.with_recent(|recent| recent.moved(tx.sql, row))?? {
            tx.list();
        }
        tx.rooms_told(filing.pos);
        tx.pushes_told(filing.figures);
        Ok(())
    }
}
