//! What comes before every command, by what it says of itself (`tern_ports::wire::policy`): whether a hub that never was is
//! made for it, whether the session that it comes with is open, and whether a suspended user may cause it.

use tern_model::MatrixError;
use tern_ports::{
    ObjectHost, WaitingPolls, ask_storage,
    wire::{
        Done,
        policy::{Absent, Cause, Suspended, UserPolicy},
        storage::LoadUser,
        user::SessionRef,
    },
};

use super::{
    SCHEMA, UserActor, grants, profile,
    reply::{Handled, reply},
};

/// Whether a command can be handled.
pub(super) enum Prepared {
    /// The tables are there.
    Ready,
    /// There is no such hub, and this is the answer.
    Absent(Handled),
}

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// Sees to the tables.
    pub(super) async fn prepare(&self, policy: &UserPolicy<'_>) -> Result<Prepared, MatrixError> {
        if self.ready.get() {
            return Ok(Prepared::Ready);
        }
        if !SCHEMA.renew(self.host.sql())? {
            if let Some(answer) = self.answer_absent(policy).await? {
                return Ok(Prepared::Absent(answer));
            }
            SCHEMA.create(self.host.sql())?;
        }
        // Another command may have come first.
        if !self.ready.get() {
            self.load()?;
        }
        Ok(Prepared::Ready)
    }

    /// What is answered while there is no hub; nothing when it is to be made.
    async fn answer_absent(&self, policy: &UserPolicy<'_>) -> Result<Option<Handled>, MatrixError> {
        match policy.absent {
            Absent::Create => Ok(None),
            Absent::Service if policy.cause.session().is_some_and(SessionRef::is_of_service) => Ok(None),
            Absent::Registered if self.is_registered().await? => Ok(None),
            Absent::Registered | Absent::Done => Ok(Some(reply(&Ok(Done {})))),
            Absent::Empty => Ok(Some(reply(&Ok([(); 0])))),
            Absent::Service | Absent::UnknownToken => Err(MatrixError::unknown_token(false)),
            Absent::InvalidGrant => Err(grants::invalid_grant()),
            Absent::UnknownUser | Absent::Forbidden | Absent::Own => Err(profile::unknown_user()),
        }
    }

    /// Somebody was made who has never signed in.
    async fn is_registered(&self) -> Result<bool, MatrixError> {
        let row = ask_storage(&*self.host, LoadUser { user_id: self.user_id.clone() }).await?;
        Ok(row.is_some_and(|row| !row.deactivated))
    }

    /// Refuses a client whose session is not open, and what a suspended user may not do.
    pub(super) fn admit_cause(&self, policy: &UserPolicy<'_>) -> Result<(), MatrixError> {
        if let Cause::Client(session) = policy.cause {
            self.admit(session)?;
        }
        match policy.cause {
            Cause::Client(_) | Cause::Own(_) if policy.suspended == Suspended::Refused => {
                self.standing.get().admit_writing()
            }
            _ => Ok(()),
        }
    }
}
