//! Invites into rooms that are not here. No room's hub tells of them, so they have no place in a timeline: the row of the
//! room says that the user is invited, and what is shown of it stands beside.

use tern_model::{MatrixError, RawJson, news};
use tern_ports::{
    ObjectHost, WaitingPolls,
    wire::{
        Done,
        invite::{DeliverInvite, RejectInvite, RejectedInvite},
    },
};
use tern_sync::Membership;

use super::{
    UserActor,
    store::{
        facts::{self, Facts},
        outside_invites,
        rooms::RoomRow,
    },
    transaction::Transaction,
};

/// So many stand at most; more are refused, since others make them.
const MOST: u64 = 1_000;

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// Shows an invite, unless the room has told that the user is in it.
    pub(super) fn deliver_invite(&self, command: &DeliverInvite) -> Result<Done, MatrixError> {
        let room_id = &command.room_id;
        self.change(|tx| {
            let before = self.room_row(room_id)?;
            let mut row = before.clone().unwrap_or_else(|| RoomRow::unknown(room_id));
            if row.membership == Membership::Join
                || !outside_invites::put(tx.sql, room_id, command.event_id.as_str(), command.event.text())?
            {
                return Ok(Done {});
            }
            if outside_invites::count(tx.sql)? > MOST {
                return Err(MatrixError::forbidden("The user has too many invites"));
            }
            row.bump = row.bump.max(command.ts);
            row.forgotten = false;
            let stripped: Vec<RawJson> = command.stripped.iter().map(|event| (**event).clone()).collect();
            self.place(tx, &row, Membership::Invite, stripped)
        })
    }

    /// Takes an invite away. The user is out of the room, as far as there is one.
    pub(super) fn reject_invite(&self, command: &RejectInvite) -> Result<RejectedInvite, MatrixError> {
        let room_id = &command.room_id;
        self.change(|tx| {
            let taken = outside_invites::take(tx.sql, room_id)?;
            let row = self.room_row(room_id)?.filter(|row| row.membership == Membership::Invite);
            let (Some(event_id), Some(mut row)) = (taken, row) else {
                return Err(MatrixError::not_found("There is no such invite"));
            };
            // There is no event that says so.
            row.resolved = row.resolved.max(row.newest.next());
            self.place(tx, &row, Membership::Leave, Vec::new())?;
            Ok(RejectedInvite { event_id })
        })
    }

    /// Writes what became of the room, which every list of rooms may show.
    fn place(
        &self,
        tx: &Transaction<'_, H::Sql>,
        row: &RoomRow,
        membership: Membership,
        stripped: Vec<RawJson>,
    ) -> Result<Done, MatrixError> {
        let pos = tx.advance(news::ROOMS);
        tx.relist(pos);
        let facts = Facts { summary: None, stripped: stripped.into(), own_name: None };
        let after = RoomRow { membership, removed: false, pos, activity: pos, relisted: pos, ..row.clone() };
        facts::write(tx.sql, &row.room_id, &facts)?;
        self.write_room(tx, &after)?;
        self.note_unread(Some(row), &after);
        self.rooms.borrow_mut().facts_changed(&row.room_id);
        Ok(Done {})
    }
}
