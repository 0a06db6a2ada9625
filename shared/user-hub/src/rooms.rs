//! The user's list of rooms.

use ruma::{OwnedRoomId, OwnedUserId};
use tern_model::{MatrixError, news};
use tern_ports::{
    ObjectHost, Sql, WaitingPolls,
    wire::{
        Done,
        delayed::NoteDelayedRoom,
        user::{ForgetRoom, ListSharedUsers, Memberships},
    },
};
use tern_push::UnreadCounts;
use tern_sync::Membership;

use super::{
    UserActor,
    store::{account_data, facts, inbox, places, receipts, resolved, rooms, shared_users, threads, unread},
};

/// Rooms read at a time.
const ALL: u64 = 1_000_000;
/// Of those with whom rooms are shared, so many in one answer whose id contains what is looked for, and others up to as many
/// again: their names are known elsewhere.
const MAX_SHARED_USERS: u64 = 250;

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    pub(super) fn list_rooms(&self) -> Result<Vec<OwnedRoomId>, MatrixError> {
        Ok(rooms::joined(self.host.sql(), "", ALL)?)
    }

    pub(super) fn list_memberships(&self) -> Result<Memberships, MatrixError> {
        let rooms = self.room_rows()?.into_iter();
        Ok(rooms.map(|room| (room.room_id, room.membership.as_str().to_owned())).collect())
    }

    /// Those with whom some room is shared, as far as the hub has been told, and no more of them than one search is worth.
    pub(super) fn list_shared_users(&self, command: &ListSharedUsers) -> Result<Vec<OwnedUserId>, MatrixError> {
        let sql = self.host.sql();
        let mut users = shared_users::named(sql, &command.term, MAX_SHARED_USERS)?;
        for user_id in shared_users::some(sql, MAX_SHARED_USERS)? {
            if !users.contains(&user_id) {
                users.push(user_id);
            }
        }
        Ok(users)
    }

    /// Remembers where the user has scheduled something (MSC4140), or forgets it.
    pub(super) fn note_delayed_room(&self, command: &NoteDelayedRoom) -> Result<Done, MatrixError> {
        let sql = self.host.sql();
        let room_id = [command.room_id.as_str().into()];
        if command.done {
            sql.query("DELETE FROM delayed_room WHERE room_id = ?", &room_id)?;
        } else {
            sql.query("INSERT INTO delayed_room VALUES (?) ON CONFLICT DO NOTHING", &room_id)?;
        }
        Ok(Done {})
    }

    pub(super) fn list_delayed_rooms(&self) -> Result<Vec<OwnedRoomId>, MatrixError> {
        let rows = self.host.sql().query("SELECT room_id FROM delayed_room ORDER BY room_id", &[])?;
        Ok(rows.iter().filter_map(|row| row.text(0)?.try_into().ok()).collect())
    }

    /// The row stays, so that a notice told again does not bring the room back.
    pub(super) fn forget_room(&self, command: &ForgetRoom) -> Result<Done, MatrixError> {
        let room_id = &command.room_id;
        self.change(|tx| {
            let row = self.room_row(room_id)?;
            let mut row = row.ok_or_else(|| MatrixError::not_found("You were never in this room"))?;
            if row.forgotten {
                return Ok(Done {});
            }
            if !matches!(row.membership, Membership::Leave | Membership::Ban) {
                return Err(MatrixError::new(400, "M_UNKNOWN", "You must leave the room before forgetting it"));
            }
            let pos = tx.advance(news::ROOMS);
            tx.relist(pos);
            row.forgotten = true;
            (row.pos, row.relisted) = (pos, pos);
            row.inbox_from = row.newest.next();
            row.unread_counts = UnreadCounts::default();
            row.packed = false;
            row.inbox_bytes = None;
            self.write_room(tx, &row)?;
            facts::delete(tx.sql, room_id)?;
            unread::delete_room(tx.sql, room_id)?;
            places::delete_room(tx.sql, room_id)?;
            // The event by which the user is out stays, for devices that have not been told yet.
            inbox::delete_room_but(tx.sql, room_id, row.newest)?;
            resolved::drop_before(tx.sql, room_id, row.newest.next())?;
            receipts::delete_room(tx.sql, room_id)?;
            threads::delete_room(tx.sql, room_id)?;
            account_data::delete_room(tx.sql, room_id)?;
            self.rooms.borrow_mut().facts_changed(room_id);
            self.rooms.borrow_mut().account_data_changed(room_id);
            Ok(Done {})
        })
    }
}
