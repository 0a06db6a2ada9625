//! The profile, and carrying it into the member events of joined rooms (Client-Server API, "Profiles").

use std::{cell::Cell, rc::Rc};

use futures::future::join_all;
use tern_model::{MatrixError, RawJson};
use tern_object_kit::duties::Outcome;
use tern_ports::{
    ObjectHost, WaitingPolls, ask_room, ask_storage,
    wire::{
        Done,
        directory::PublishProfile,
        room::SetMemberProfile,
        user::{Profile, WriteProfile},
    },
};

use super::{
    UserActor,
    alarm::Duty,
    store::{
        profile::{self, Propagation},
        rooms,
    },
};

/// Longest name of a field, in bytes.
const LONGEST_FIELD: usize = 255;
/// Longest profile, in bytes, names and values together.
const LONGEST_PROFILE: usize = 64 * 1024;
/// Rooms told at a time: as many as an object may have connections.
const BATCH: u64 = 6;
/// When work that was cut off is taken up again.
const RESUME_MS: u64 = 60_000;
/// The first pause before rooms that could not be reached are tried again; doubles each time.
const RETRY_MS: u64 = 15_000;
/// After so many passes the rooms that are still out of reach keep the old profile.
const MOST_ATTEMPTS: u64 = 12;

/// There is no such user here.
pub(super) fn unknown_user() -> MatrixError {
    MatrixError::not_found("Profile not found")
}

/// Fields that member events carry.
fn is_carried(field: &str) -> bool {
    matches!(field, "displayname" | "avatar_url")
}

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    pub(super) fn read_profile(&self) -> Result<Profile, MatrixError> {
        if !self.hub.get().opened {
            return Err(unknown_user());
        }
        Ok(profile::read(self.host.sql())?)
    }

    pub(super) async fn write_profile(self: &Rc<Self>, command: WriteProfile) -> Result<Done, MatrixError> {
        let value = command.value.as_ref().filter(|value| value.text() != "null");
        self.check_field(&command.field, value)?;
        let carried = self.change(|tx| {
            if profile::read(tx.sql)?.get(&command.field) == value {
                return Ok(false);
            }
            // An administrator may name somebody who never signed in.
            tx.open();
            profile::write(tx.sql, &command.field, value)?;
            if !is_carried(&command.field) {
                return Ok(false);
            }
            let change = profile::propagation(tx.sql)?.map_or(1, |under_way| under_way.change + 1);
            profile::set_propagation(tx.sql, Some(&Propagation { change, ..Propagation::default() }))?;
            Ok(true)
        })?;
        if carried {
            self.leave(Duty::Profile, self.host.now().plus(RESUME_MS)).await;
            self.host.spawn(Box::pin(Rc::clone(self).see_to(Duty::Profile)));
        }
        Ok(Done {})
    }

    fn check_field(&self, field: &str, value: Option<&RawJson>) -> Result<(), MatrixError> {
        if field.is_empty() || field.len() > LONGEST_FIELD {
            return Err(MatrixError::new(400, "M_KEY_TOO_LARGE", "The name of the field is empty or too long"));
        }
        let Some(value) = value else { return Ok(()) };
        if is_carried(field) && value.read::<String>().is_err() {
            return Err(MatrixError::bad_json(format!("{field} must be a string")));
        }
        let others = profile::read(self.host.sql())?;
        let others = others.iter().filter(|(name, _)| *name != field);
        let size: usize = others.map(|(name, value)| name.len() + value.text().len()).sum();
        if size + field.len() + value.text().len() > LONGEST_PROFILE {
            return Err(MatrixError::new(400, "M_PROFILE_TOO_LARGE", "The profile would be too large"));
        }
        Ok(())
    }

    /// Carries the profile into joined rooms, from where it was left. Telling a room twice does no harm.
    pub(super) async fn carry_profile(&self) -> Outcome {
        if self.carrying.replace(true) {
            return Outcome::Done;
        }
        // Whatever ends this, the next one may start.
        let _guard = Carrying(&self.carrying);
        loop {
            let at = match profile::propagation(self.host.sql()) {
                Ok(Some(at)) => at,
                Ok(None) => return Outcome::Done,
                Err(_) => return Outcome::Failed,
            };
            match self.carry_on(at).await {
                Ok(None) => {}
                Ok(Some(pause)) => return Outcome::Again(self.host.now().plus(pause)),
                Err(_) => return Outcome::Failed,
            }
        }
    }

    /// Tells a few rooms. Gives the pause to make, if one is due.
    async fn carry_on(&self, at: Propagation) -> Result<Option<u64>, MatrixError> {
        let sql = self.host.sql();
        if at.after_room.is_empty() {
            self.publish_profile().await?;
        }
        let batch = rooms::joined(sql, &at.after_room, BATCH)?;
        let Some(last) = batch.last().map(ToString::to_string) else { return self.end_pass(&at) };
        let fields = profile::read(sql)?;
        let text = |field| fields.get(field).and_then(|value: &RawJson| value.read::<String>().ok());
        let request = SetMemberProfile {
            user_id: self.user_id.clone(),
            displayname: text("displayname"),
            avatar_url: text("avatar_url"),
        };
        let told = join_all(batch.iter().map(|room_id| ask_room(&*self.host, room_id, request.clone()))).await;
        // Refusals are final, silence is not.
        let failed = at.failed || told.iter().any(|told| told.as_ref().is_err_and(|error| error.status >= 500));
        if profile::propagation(sql)?.is_some_and(|now| now.change == at.change) {
            profile::set_propagation(sql, Some(&Propagation { after_room: last, failed, ..at }))?;
        }
        Ok(None)
    }

    /// Makes name and avatar known to the user directory.
    async fn publish_profile(&self) -> Result<(), MatrixError> {
        let fields = profile::read(self.host.sql())?;
        let text = |field| fields.get(field).and_then(|value: &RawJson| value.read::<String>().ok());
        let (displayname, avatar_url) = (text("displayname"), text("avatar_url"));
        ask_storage(&*self.host, PublishProfile { user_id: self.user_id.clone(), displayname, avatar_url }).await?;
        Ok(())
    }

    fn end_pass(&self, at: &Propagation) -> Result<Option<u64>, MatrixError> {
        let again = at.failed && at.attempt < MOST_ATTEMPTS;
        let next = Propagation { change: at.change, attempt: at.attempt + 1, ..Propagation::default() };
        profile::set_propagation(self.host.sql(), again.then_some(&next))?;
        Ok(again.then(|| RETRY_MS << at.attempt))
    }
}

struct Carrying<'a>(&'a Cell<bool>);

impl Drop for Carrying<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}
