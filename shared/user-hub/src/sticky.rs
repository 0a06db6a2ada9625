//! Sticky events (MSC4354): what rooms say of them is kept here, beside the inbox, until they expire, so that no sync asks
//! anybody. A hub that knows of none, by its own row, never looks for any.

use ruma::{EventId, RoomId};
use tern_model::{Millis, Notice, StreamPos, news};
use tern_object_kit::duties::Outcome;
use tern_ports::{ObjectHost, SqlError, WaitingPolls};
use tern_sync::Membership;

use super::{
    UserActor,
    store::{rooms::RoomRow, sticky},
    transaction::Transaction,
};

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// Keeps the sticky events of a notice. Whoever waits is woken by what came along with them.
    pub(super) fn take_sticky(&self, tx: &Transaction<'_, H::Sql>, notice: &Notice) -> Result<(), SqlError> {
        let now = self.host.now();
        let mut fresh = notice.sticky.iter().filter(|event| event.until > now).peekable();
        if fresh.peek().is_none() {
            return Ok(());
        }
        sticky::delete_expired(tx.sql, now)?;
        for event in fresh {
            if !sticky::is_known(tx.sql, &notice.room_id, &event.event_id)? {
                sticky::add(tx.sql, &notice.room_id, event, tx.advance_quietly(news::STICKY))?;
            }
        }
        Ok(())
    }

    /// Redacted, an event is as any other.
    pub(super) fn unstick(&self, sql: &H::Sql, room_id: &RoomId, event_id: &EventId) -> Result<(), SqlError> {
        if self.hub.get().sticky > StreamPos(0) { sticky::delete(sql, room_id, event_id) } else { Ok(()) }
    }

    /// Who is out of a room has no part in what is sticky there.
    pub(super) fn unstick_room(&self, sql: &H::Sql, row: &RoomRow) -> Result<(), SqlError> {
        if row.membership == Membership::Join || self.hub.get().sticky == StreamPos(0) {
            return Ok(());
        }
        sticky::delete_room(sql, &row.room_id)
    }

    /// Drops what has expired. With nothing left the hub forgets that there was any.
    pub(super) fn expire_sticky(&self, now: Millis) -> Outcome {
        if self.hub.get().sticky == StreamPos(0) {
            return Outcome::Done;
        }
        let expired = self.change(|tx| {
            sticky::delete_expired(tx.sql, now)?;
            if !sticky::any(tx.sql)? {
                tx.forget_sticky();
            }
            Ok(())
        });
        if expired.is_ok() { Outcome::Done } else { Outcome::Failed }
    }
}
