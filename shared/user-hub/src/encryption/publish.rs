//! The copy of what everybody may see of the user's keys, from which other users are answered.
//!
//! The truth is here, and a change comes in this order: it is written with a new version, the copy is written, the change is
//! acknowledged and announced. So whoever was told of a change, by an answer or by a sync, finds it in the copy. A version
//! that was overtaken does not get into the copy. A failure or a crash on the way leaves the hub's version ahead of the one
//! it knows to be copied, and the next life, the alarm, or whoever repeats the request tries again.

use std::rc::Rc;

use tern_model::{MatrixError, RawJson};
use tern_ports::{
    ObjectHost, SqlError, WaitingPolls, ask_storage,
    wire::{
        keys::{PublicKeys, PublishKeys, UserKeys},
        policy::Tells,
    },
};

use super::announce;
use crate::{
    Handled, UserActor,
    alarm::Duty,
    reply,
    store::publication::{self, Publication},
    transaction::Transaction,
};

/// The first pause before a copy that failed is tried again; doubles each time.
const RETRY_MS: u64 = 1_000;
/// How often it doubles.
const MOST_DOUBLINGS: u32 = 8;

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// What everybody may see of the keys is about to change.
    pub(crate) fn public_keys_changed(&self, tx: &Transaction<'_, H::Sql>) -> Result<(), SqlError> {
        publication::due(tx.sql)?;
        self.uncopied.set(true);
        self.keys_changed.set(true);
        Ok(())
    }

    /// There is no copy yet: this one was asked for.
    pub(super) fn first_copy_due(&self) -> Result<(), MatrixError> {
        if publication::read(self.host.sql())?.is_none() {
            self.change(|tx| Ok(publication::due(tx.sql)?))?;
            self.uncopied.set(true);
            self.unannounced.set(true);
        }
        Ok(())
    }

    /// Some change may not be in the copy.
    pub(crate) fn load_publication(&self) -> Result<bool, SqlError> {
        let late = publication::read(self.host.sql())?.is_some_and(|known| known.version > known.published);
        self.uncopied.set(late);
        Ok(late)
    }

    /// Makes sure that the copy has the keys as they are now.
    pub(super) async fn publish_keys(&self) -> Result<(), MatrixError> {
        let sql = self.host.sql();
        let Some(Publication { version, .. }) = self.due_publication()? else { return Ok(()) };
        let UserKeys { devices, master, self_signing, .. } = self.public_keys(&[])?;
        let devices = RawJson::from_value(&devices).map_err(|_| MatrixError::internal())?;
        let keys = Some(PublicKeys { devices, master, self_signing });
        let keys = keys.filter(|keys| keys.bytes() <= PublicKeys::MOST_BYTES);
        ask_storage(&*self.host, PublishKeys { user_id: self.user_id.clone(), version, keys }).await?;
        self.failed_copies.set(0);
        Ok(publication::done(sql, version)?)
    }

    fn due_publication(&self) -> Result<Option<Publication>, SqlError> {
        if !self.uncopied.get() {
            return Ok(None);
        }
        let due = publication::read(self.host.sql())?.filter(|known| known.version > known.published);
        self.uncopied.set(due.is_some());
        Ok(due)
    }

    /// When to try again what failed.
    pub(super) fn pause_of_copying(&self) -> u64 {
        let failed = self.failed_copies.get();
        self.failed_copies.set(failed.saturating_add(1));
        RETRY_MS << failed.min(MOST_DOUBLINGS)
    }

    /// Lets the answer to a command go when the copy has what it tells.
    pub(crate) async fn after_keys(self: &Rc<Self>, handled: Handled, tells: Tells) -> Handled {
        let (changed, unannounced) = (self.keys_changed.take(), self.unannounced.take());
        if changed || unannounced {
            self.leave(Duty::Devices, self.host.now().plus(announce::RESUME_MS)).await;
        }
        let wait = changed
            || match tells {
                Tells::Nobody => false,
                Tells::Change | Tells::End => true,
                Tells::Keys => self.is_overtaken(),
            };
        let copied = if wait { self.publish_keys().await } else { Ok(()) };
        if unannounced || copied.is_err() {
            self.host.spawn(Box::pin(Rc::clone(self).see_to(Duty::Devices)));
        }
        match copied {
            Ok(()) => handled,
            // What is still to be done must not wait for it.
            Err(_) if tells == Tells::End => handled,
            Err(_) => reply::<()>(&Err(MatrixError::unavailable())),
        }
    }

    /// The copy shows keys that are not true any more. Before the first there is none that could.
    fn is_overtaken(&self) -> bool {
        !matches!(self.due_publication(), Ok(None | Some(Publication { version: 1, .. })))
    }
}
