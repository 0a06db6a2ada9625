//! Receipts and typing in the notices of rooms.

use std::borrow::Cow;

use ruma::OwnedUserId;
use tern_model::{EphemeralNotice, MatrixError, Notice, Receipt, news};
use tern_ports::{ObjectHost, WaitingPolls};

use super::{
    UserActor,
    store::{receipts, rooms::RoomRow},
    transaction::Transaction,
};

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    pub(super) fn take_typing(&self, notices: &[Notice]) -> Result<(), MatrixError> {
        for notice in notices {
            // Whoever is out hears no more of who types there, nor of their stopping.
            let out = notice.membership.as_deref().is_some_and(|membership| membership != "join");
            if out && !self.typing.borrow().of_room(&notice.room_id).is_empty() {
                self.merge_typing(notice, &[])?;
            }
            for ephemeral in &notice.ephemeral {
                if let EphemeralNotice::Typing(users) = ephemeral {
                    self.merge_typing(notice, users)?;
                }
            }
        }
        Ok(())
    }

    /// Receipts that are newer than the ones in their places.
    pub(super) fn take_receipts(
        &self,
        tx: &Transaction<'_, H::Sql>,
        row: &mut RoomRow,
        notice: &Notice,
    ) -> Result<(), MatrixError> {
        let told = notice.ephemeral.iter().flat_map(|ephemeral| match ephemeral {
            EphemeralNotice::Receipts(receipts) => receipts.as_slice(),
            EphemeralNotice::Typing(_) => &[],
        });
        let mut fresh: Vec<(&Receipt, bool)> = Vec::new();
        let ignored = self.ignored()?;
        for receipt in told.filter(|receipt| !ignored.contains(&receipt.user_id)) {
            let old = receipts::same_place(tx.sql, &notice.room_id, receipt)?;
            let new_thread = old.is_none() && receipt.thread_id.is_some();
            if old.is_none_or(|old| old != *receipt && old.ts <= receipt.ts) {
                fresh.push((receipt, new_thread));
            }
        }
        if fresh.is_empty() {
            return Ok(());
        }
        let pos = tx.advance(news::RECEIPTS);
        let mut moved = false;
        for (receipt, new_thread) in fresh {
            receipts::write(tx.sql, &notice.room_id, receipt, pos)?;
            tx.receipts_told(pos);
            if new_thread {
                receipts::drop_oldest_threads(tx.sql, &notice.room_id, receipt)?;
            }
            moved |= self.read_up_to(tx, row, receipt)?;
        }
        if moved {
            row.pos = tx.advance(news::ROOMS);
        }
        Ok(())
    }

    fn merge_typing(&self, notice: &Notice, users: &[OwnedUserId]) -> Result<(), MatrixError> {
        let ignored = self.ignored()?;
        let mut heard = Cow::Borrowed(users);
        if users.iter().any(|user_id| ignored.contains(user_id)) {
            heard.to_mut().retain(|user_id| !ignored.contains(user_id));
        }
        if self.typing.borrow_mut().set(&notice.room_id, &heard, self.host.now()) {
            self.announce(None, news::TYPING);
        }
        Ok(())
    }
}

/// There is nothing in the notice but who types.
pub(super) fn is_typing_alone(notice: &Notice) -> bool {
    let typing = |news: &EphemeralNotice| matches!(news, EphemeralNotice::Typing(_));
    notice.events.is_empty()
        && notice.membership.is_none()
        && notice.stripped.is_empty()
        && notice.summary.is_none()
        && notice.ephemeral.iter().all(typing)
}
