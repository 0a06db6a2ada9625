//! Typing and receipts: memory first. Typing is never written; receipts are written together, seconds later.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use ruma::{OwnedUserId, UserId};
use tern_model::{EphemeralNotice, MatrixError, Millis, Receipt, ThreadId};
use tern_ports::{
    ObjectHost, Sql, SqlError,
    wire::{
        Done,
        ephemeral::Typist,
        room::{ReceiptDraft, SendReceipts, SetTyping},
    },
};

use crate::{RoomActor, delivery::pending::Pending, refusal::not_in_room};

/// Longest typing notification believed.
const LONGEST_TYPING_MS: u64 = 120_000;

/// Receipts are written this much later.
const FLUSH_MS: u64 = 5_000;

/// User, kind, thread.
type ReceiptKey = (OwnedUserId, String, ThreadId);

/// What of the room is only in memory.
#[derive(Default)]
pub(crate) struct Ephemeral {
    /// Who types, until when.
    typing: RefCell<BTreeMap<OwnedUserId, Millis>>,
    /// Receipts that are not yet written.
    unwritten: RefCell<BTreeMap<ReceiptKey, Receipt>>,
    flush_at: RefCell<Option<Millis>>,
}

impl<H: ObjectHost> RoomActor<H> {
    /// Starts or stops typing, of a user here. Other servers are told again of who goes on, since they forget it.
    pub(crate) fn set_typing(self: &Rc<Self>, request: SetTyping) -> Result<Done, MatrixError> {
        let SetTyping { user_id, timeout_ms } = request;
        let told = self.meets_servers().then(|| user_id.clone());
        let changed = self.note_typing(user_id, timeout_ms)?;
        if let Some(user_id) = told.filter(|_| changed || timeout_ms > 0) {
            self.tell_servers_of_typing(vec![Typist { user_id, typing: timeout_ms > 0 }]);
        }
        Ok(Done {})
    }

    /// Notes who types, of whatever server; whether that is news.
    pub(crate) fn note_typing(self: &Rc<Self>, user_id: OwnedUserId, timeout_ms: u64) -> Result<bool, MatrixError> {
        self.check_joined(&user_id)?;
        let now = self.host.now();
        let before = self.typing_now();
        {
            let mut typing = self.ephemeral.typing.borrow_mut();
            typing.retain(|_, until| *until > now);
            if timeout_ms == 0 {
                typing.remove(&user_id);
            } else {
                typing.insert(user_id, now.plus(timeout_ms.min(LONGEST_TYPING_MS)));
            }
        }
        let changed = self.typing_now() != before;
        if changed {
            self.announce_typing();
        }
        Ok(changed)
    }

    /// Who types now.
    pub(crate) fn typing_now(&self) -> Vec<OwnedUserId> {
        let now = self.host.now();
        let typing = self.ephemeral.typing.borrow();
        let typing = typing.iter().filter(|(user_id, until)| **until > now && self.check_joined(user_id).is_ok());
        typing.map(|(user_id, _)| user_id.clone()).collect()
    }

    /// Announces that somebody stopped typing by the clock.
    pub(crate) fn expire_typing(self: &Rc<Self>) {
        let now = self.host.now();
        let expired: Vec<OwnedUserId> = {
            let mut typing = self.ephemeral.typing.borrow_mut();
            typing.extract_if(.., |_, until| *until <= now).map(|(user_id, _)| user_id).collect()
        };
        if !expired.is_empty() {
            self.announce_typing();
            self.tell_servers_of_typing(self.stopped(expired));
        }
    }

    /// Has those who are no longer in the room stop typing: they cannot do so themselves any more.
    pub(crate) fn stop_typing_of_leavers(self: &Rc<Self>) {
        let gone = {
            let mut typing = self.ephemeral.typing.borrow_mut();
            let before = typing.len();
            typing.retain(|user_id, _| self.check_joined(user_id).is_ok());
            typing.len() < before
        };
        if gone {
            self.announce_typing();
        }
    }

    /// The object slept: the alarm may be for people whose typing it has forgotten.
    pub(crate) fn forget_typing(self: &Rc<Self>) {
        self.announce_typing();
    }

    /// When the next typing notification expires.
    pub(crate) fn typing_due(&self) -> Option<Millis> {
        self.ephemeral.typing.borrow().values().min().copied()
    }

    /// When typing expires or receipts are to be written, whichever is first.
    pub(crate) fn ephemeral_due(&self) -> Option<Millis> {
        [self.typing_due(), self.receipts_due()].into_iter().flatten().min()
    }

    fn announce_typing(self: &Rc<Self>) {
        self.announce_ephemeral(Pending { typing: true, ..Pending::default() }, None);
    }

    /// Takes receipts that move forward and tells them: public ones to all members, private ones to their owner.
    pub(crate) async fn send_receipts(self: &Rc<Self>, request: SendReceipts) -> Result<Done, MatrixError> {
        self.check_joined(&request.user_id)?;
        let now = self.host.now();
        for draft in request.receipts {
            if !matches!(draft.kind.as_str(), "m.read" | "m.read.private") {
                return Err(MatrixError::invalid_param("Unknown receipt type"));
            }
            self.take_draft(&request.user_id, draft, now).await?;
        }
        Ok(Done {})
    }

    /// Takes a receipt if it moves forward, and tells it.
    pub(crate) async fn take_draft(
        self: &Rc<Self>,
        user_id: &UserId,
        draft: ReceiptDraft,
        ts: Millis,
    ) -> Result<(), MatrixError> {
        let Some(seq) = self.receipt_position(user_id, &draft).await? else { return Ok(()) };
        let receipt = Receipt {
            kind: draft.kind.into_string(),
            user_id: user_id.to_owned(),
            event_id: draft.event_id.into_id(),
            seq: Some(seq),
            thread_id: draft.thread_id,
            ts,
        };
        if self.take_receipt(&receipt)? {
            let only = (receipt.kind == "m.read.private").then(|| receipt.user_id.clone());
            self.announce_ephemeral(Pending { receipts: vec![Rc::new(receipt)], ..Pending::default() }, only);
        }
        Ok(())
    }

    /// The public receipts of the room, for somebody who joins.
    pub(crate) fn current_receipts(&self, most: u32) -> Result<Option<EphemeralNotice>, SqlError> {
        let stored = self.store().public_receipts(most)?;
        let mut receipts: BTreeMap<ReceiptKey, Receipt> =
            stored.into_iter().map(|receipt| (key(&receipt), receipt)).collect();
        let unwritten = self.ephemeral.unwritten.borrow();
        let public = unwritten.iter().filter(|(_, receipt)| receipt.kind == "m.read");
        receipts.extend(public.map(|(key, receipt)| (key.clone(), receipt.clone())));
        let all: Vec<Receipt> = receipts.into_values().collect();
        Ok((!all.is_empty()).then_some(EphemeralNotice::Receipts(all)))
    }

    /// Writes the receipts that are only in memory, and tells other servers of them.
    pub(crate) fn flush_receipts(self: &Rc<Self>) -> Result<(), SqlError> {
        let receipts = self.ephemeral.unwritten.borrow().clone();
        if !receipts.is_empty() {
            self.host
                .sql()
                .transaction(|| receipts.values().try_for_each(|receipt| self.store().put_receipt(receipt)))?;
        }
        self.ephemeral.unwritten.borrow_mut().clear();
        self.ephemeral.flush_at.replace(None);
        self.tell_servers_of_receipts(receipts.values());
        Ok(())
    }

    /// When receipts are to be written, if there are any.
    pub(crate) fn receipts_due(&self) -> Option<Millis> {
        *self.ephemeral.flush_at.borrow()
    }

    /// Keeps a receipt unless the one before it, of the same kind and thread, is at the same event or further.
    fn take_receipt(&self, receipt: &Receipt) -> Result<bool, SqlError> {
        let key = key(receipt);
        let unwritten = self.ephemeral.unwritten.borrow().get(&key).cloned();
        let before = match unwritten {
            Some(before) => Some(before),
            None => self.store().receipt(key.0.as_str(), &key.1, &key.2)?,
        };
        if before.is_some_and(|before| before.seq >= receipt.seq) {
            return Ok(false);
        }
        self.ephemeral.unwritten.borrow_mut().insert(key, receipt.clone());
        let mut flush_at = self.ephemeral.flush_at.borrow_mut();
        *flush_at = flush_at.or(Some(self.host.now().plus(FLUSH_MS)));
        Ok(true)
    }

    /// 403 unless the user is in the room.
    pub(crate) fn check_joined(&self, user_id: &UserId) -> Result<(), MatrixError> {
        self.room()?;
        match self.store().membership(user_id.as_str())? {
            Some((_, membership)) if membership == "join" => Ok(()),
            _ => Err(not_in_room()),
        }
    }
}

fn key(receipt: &Receipt) -> ReceiptKey {
    let thread_id = receipt.thread_id.clone().unwrap_or_default();
    (receipt.user_id.clone(), receipt.kind.clone(), thread_id)
}
