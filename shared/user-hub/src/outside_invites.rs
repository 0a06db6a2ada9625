//! Invites into rooms that are not here. No room's hub tells of them, so they have no place in a timeline: the row of the
//! room says that the user is invited, and what is shown of it stands beside.

use std::rc::Rc;

use ruma::{OwnedServerName, OwnedUserId, RoomId};
use serde::Deserialize;
use tern_model::{BoundedVec, MatrixError, RawJson, news};
use tern_ports::{
    ObjectHost, Sql, WaitingPolls,
    wire::{
        Done,
        invite::{DeliverInvite, Inviters, ListInviters, MOST_INVITERS, RejectInvite, Withdrawal},
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

/// Whether an event takes back the invite that stands: it is one of a user of the inviter's server, and cites it. One that
/// comes late cites an earlier invite. A knock is none.
fn is_meant(sql: &impl Sql, room_id: &RoomId, withdrawal: &Withdrawal) -> bool {
    #[derive(Deserialize)]
    struct Invite {
        sender: OwnedUserId,
        content: Content,
    }
    #[derive(Deserialize)]
    struct Content {
        membership: String,
    }
    let Ok(Some((event_id, event))) = outside_invites::read(sql, room_id) else { return false };
    let server = |user_id: &OwnedUserId| user_id.server_name().as_str().to_ascii_lowercase();
    let of_server = RawJson::parse(event).ok().and_then(|event| event.read::<Invite>().ok()).is_some_and(|invite| {
        invite.content.membership == "invite" && server(&invite.sender) == server(&withdrawal.sender)
    });
    of_server && withdrawal.auth_events.iter().any(|cited| cited.as_str() == event_id)
}

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// Shows an invite, unless the room has told that the user is in it.
    pub(super) fn deliver_invite(self: &Rc<Self>, command: &DeliverInvite) -> Result<Done, MatrixError> {
        if self.take_invite(command)? && !command.knock {
            self.push_invite(command);
        }
        Ok(Done {})
    }

    /// True when it is news.
    fn take_invite(&self, command: &DeliverInvite) -> Result<bool, MatrixError> {
        let room_id = &command.room_id;
        self.change(|tx| {
            let before = self.room_row(room_id)?;
            let mut row = before.clone().unwrap_or_else(|| RoomRow::unknown(room_id));
            if row.membership == Membership::Join
                || !outside_invites::put(tx.sql, room_id, command.event_id.as_str(), command.event.text())?
            {
                return Ok(false);
            }
            outside_invites::tidy(tx.sql)?;
            if outside_invites::count(tx.sql)? > MOST {
                return Err(MatrixError::forbidden("The user has too many invites"));
            }
            row.bump = row.bump.max(command.ts);
            row.forgotten = false;
            let stripped: Vec<RawJson> = command.stripped.iter().map(|event| (**event).clone()).collect();
            let membership = if command.knock { Membership::Knock } else { Membership::Invite };
            self.place(tx, &row, membership, stripped).map(|Done {}| true)
        })
    }

    /// The servers of those of whom an invite or a knock tells, the last ones first: that is who invites.
    pub(super) fn list_inviters(&self, command: &ListInviters) -> Result<Inviters, MatrixError> {
        #[derive(Deserialize)]
        struct Stripped {
            sender: OwnedUserId,
        }
        self.invited_to(&command.room_id)?;
        let facts = self.facts(&command.room_id)?;
        let senders = facts.stripped.iter().rev().filter_map(|event| event.read::<Stripped>().ok());
        let mut servers: Vec<OwnedServerName> = Vec::new();
        for server in senders.map(|event| event.sender.server_name().to_owned()) {
            if server != self.user_id.server_name() && !servers.contains(&server) && servers.len() < MOST_INVITERS {
                servers.push(server);
            }
        }
        Ok(BoundedVec::cut(servers))
    }

    /// The room, if the user is invited or has knocked.
    fn invited_to(&self, room_id: &RoomId) -> Result<RoomRow, MatrixError> {
        let row = self.room_row(room_id)?;
        row.filter(|row| matches!(row.membership, Membership::Invite | Membership::Knock))
            .ok_or_else(|| MatrixError::not_found("There is no such invite"))
    }

    /// Takes an invite away. The user is out of the room, as far as there is one.
    pub(super) fn reject_invite(&self, command: &RejectInvite) -> Result<Done, MatrixError> {
        let room_id = &command.room_id;
        self.change(|tx| {
            let mut row = self.invited_to(room_id)?;
            if command.withdrawal.as_ref().is_some_and(|withdrawal| !is_meant(tx.sql, room_id, withdrawal)) {
                return Err(MatrixError::not_found("There is no such invite"));
            }
            outside_invites::take(tx.sql, room_id)?;
            // There is no event that says so.
            row.resolved = row.resolved.max(row.newest.next());
            self.place(tx, &row, Membership::Leave, Vec::new())
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
