//! What notified and is unread.

use tern_model::MatrixError;
use tern_ports::{ObjectHost, WaitingPolls};
use tern_push::queue::{Pending, Place};
use tern_sync::Membership;

use crate::{
    UserActor,
    counting::counts,
    member::MEMBER,
    store::{
        inbox::{self, Mark},
        rooms::RoomRow,
    },
};

/// Events of a room that are looked at, the newest.
const MOST_OF_ROOM: u64 = 100;

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// What notified after a place and is unread, in order. It is looked for in the rooms that have changed since.
    pub(super) fn pending(&self, from: Place) -> Result<Vec<Pending>, MatrixError> {
        let mut pending = Vec::new();
        for row in self.unread_rows(from.0)? {
            if self.is_hidden(&row)? {
                continue;
            }
            let marks = inbox::marks_after(self.host.sql(), &row, from, MOST_OF_ROOM)?;
            let marks = marks.into_iter().filter(|mark| is_pending(&row, mark));
            pending.extend(marks.map(|mark| Pending {
                room_id: row.room_id.clone(),
                place: (mark.pos, mark.notification.seq),
                highlight: mark.notification.highlight,
                ts: mark.ts,
            }));
        }
        pending.sort_by_key(|pending| pending.place);
        Ok(pending)
    }
}

/// Of a room the user is in: what counts. Of an invite: the invite.
fn is_pending(row: &RoomRow, mark: &Mark) -> bool {
    let unread = row.unread_counts.is_unread(&mark.notification);
    match row.membership {
        Membership::Join => unread && counts(row, mark.notification.seq),
        Membership::Invite => mark.kind == MEMBER && mark.notification.seq == row.newest,
        _ => false,
    }
}
