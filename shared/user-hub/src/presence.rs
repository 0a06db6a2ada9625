//! Presence (Client-Server API, "Presence"). What the user shows is one row, written when it changes; what others show is
//! in memory only ([`super::others`]).
//!
//! A change is told once to each of the people the user shares rooms with, after the reply, and each tells their own in
//! turn: so whoever comes online knows who is there, and so do those who begin to share a room ([`super::acquaintance`]).
//! Nobody is told again: a hub that slept forgets what it was told, but its clients do not. While the user is there an
//! alarm looks every few minutes whether that still holds; polls cost nothing.

use std::rc::Rc;

use futures::{StreamExt, stream};
use ruma::{DeviceId, OwnedUserId};
use tern_model::{MatrixError, Millis, Presence, PresenceNote, RawJson, news};
use tern_object_kit::duties::Outcome;
use tern_ports::{
    ObjectHost, Sql, SqlError, WaitingPolls, ask_user,
    wire::{
        Done,
        presence::{NotePresence, ReadPresence, SetPresence},
    },
};
use tern_sync::{PresencePos, Showing, presence_content};

use super::{UserActor, alarm::Duty, store::shared_users};

/// The table. Without a row the user was never seen.
pub(super) const TABLES: &[&str] = &["CREATE TABLE IF NOT EXISTS presence (
        id INTEGER PRIMARY KEY CHECK (id = 1), presence TEXT NOT NULL, device_id TEXT NOT NULL, status_msg TEXT,
        last_active INTEGER NOT NULL
    ) STRICT"];

/// After this long without a sign of any device the user is offline.
const IDLE_MS: u64 = 5 * 60_000;
/// People told of a change.
pub(super) const MOST_TOLD: u64 = 100;
/// Told at a time: as many as an object may have connections.
const AT_A_TIME: usize = 6;
/// Longest message, in bytes.
const LONGEST_STATUS: usize = 1_024;

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// A device syncs, and shows itself as `wanted`: online when it does not say.
    pub(super) fn show_up(&self, device_id: &DeviceId, wanted: Option<Presence>) -> Result<(), MatrixError> {
        if !self.config.accounts.presence {
            return Ok(());
        }
        let (wanted, now) = (wanted.unwrap_or(Presence::Online), self.host.now());
        if wanted != Presence::Offline {
            self.seen.set(now);
        }
        match self.showing()?.after_sync(device_id, wanted, now) {
            Some(showing) => self.show(showing),
            None => Ok(()),
        }
    }

    /// A first classic sync after a sleep, in which what others show was forgotten: they are asked.
    pub(super) fn look_around(&self) {
        if self.config.accounts.presence && self.others.borrow().newest() == PresencePos(0) {
            self.untold.set(true);
        }
    }

    pub(super) fn set_presence(&self, command: SetPresence) -> Result<Done, MatrixError> {
        if !self.config.accounts.presence {
            return Ok(Done {});
        }
        if command.status_msg.as_ref().is_some_and(|status| status.len() > LONGEST_STATUS) {
            return Err(MatrixError::invalid_param("status_msg is too long"));
        }
        let now = self.host.now();
        self.seen.set(now);
        let device_id = &command.session.device_id;
        let showing = self.showing()?.after_put(device_id, command.presence, command.status_msg, now);
        self.show(showing)?;
        Ok(Done {})
    }

    pub(super) fn read_presence(&self, command: &ReadPresence) -> Result<RawJson, MatrixError> {
        let shares = command.caller == self.user_id || shared_users::any(self.host.sql(), &command.caller)?;
        if !shares {
            return Err(MatrixError::forbidden("You share no room with this user"));
        }
        let content = presence_content(&self.present()?, self.host.now());
        RawJson::parse(content).map_err(|_| MatrixError::internal())
    }

    pub(super) fn note_presence(&self, command: NotePresence) -> Result<PresenceNote, MatrixError> {
        if !shared_users::any(self.host.sql(), &command.user_id)? {
            return Err(MatrixError::forbidden("No room is shared with this user"));
        }
        self.hear(&command.user_id, command.note)?;
        self.present()
    }

    /// Tells whom the user shares rooms with, and hears what they show.
    pub(super) async fn tell_presence(self: Rc<Self>) {
        let told = (self.present(), shared_users::some(self.host.sql(), MOST_TOLD));
        let (Ok(note), Ok(shared_users)) = told else { return };
        if note.presence != Presence::Offline {
            self.leave(Duty::Presence, self.host.now().plus(IDLE_MS)).await;
        }
        self.exchange_presence(note, shared_users).await;
    }

    /// Tells these users what this one shows, and hears what they do. Best effort: presence is over in a moment.
    pub(super) async fn exchange_presence(self: Rc<Self>, note: PresenceNote, shared_users: Vec<OwnedUserId>) {
        let local = shared_users.into_iter().filter(|user_id| user_id.server_name() == self.config.server_name);
        let asks = local.map(|user_id| {
            let ask = NotePresence { user_id: self.user_id.clone(), note: note.clone() };
            let host = Rc::clone(&self.host);
            async move { (ask_user(&*host, &user_id, ask).await, user_id) }
        });
        let answers: Vec<_> = stream::iter(asks).buffer_unordered(AT_A_TIME).collect().await;
        for (answer, user_id) in answers {
            let Ok(note) = answer else { continue };
            if self.hear(&user_id, note).is_err() {
                return;
            }
        }
        self.answer_waiting();
    }

    /// The alarm: whether the user is still there.
    pub(super) async fn check_presence(self: &Rc<Self>) -> Outcome {
        let Ok(showing) = self.showing() else { return Outcome::Failed };
        if showing.note.presence == Presence::Offline || !self.config.accounts.presence {
            return Outcome::Done;
        }
        let now = self.host.now();
        let last = if self.host.waiting_polls() > 0 { now } else { showing.note.last_active.max(self.seen.get()) };
        if now.since(last) >= IDLE_MS {
            if self.store_showing(showing.gone(last)).is_err() {
                return Outcome::Failed;
            }
            Rc::clone(self).tell_presence().await;
            return Outcome::Done;
        }
        let is_old = now.since(showing.note.last_active) >= IDLE_MS;
        if is_old && self.store_showing(showing.still(last)).is_err() {
            return Outcome::Failed;
        }
        Outcome::Again(last.plus(IDLE_MS))
    }

    /// What the user shows, by the row.
    fn showing(&self) -> Result<Rc<Showing>, SqlError> {
        if let Some(showing) = &*self.showing.borrow() {
            return Ok(Rc::clone(showing));
        }
        let rows = self.host.sql().query("SELECT presence, device_id, status_msg, last_active FROM presence", &[])?;
        let showing = rows.first().and_then(|row| {
            let (presence, last_active) = (Presence::parse(row.text(0)?)?, Millis(row.int(3)?));
            let note = PresenceNote { presence, status_msg: row.string(2), last_active };
            Some(Showing { note, device_id: row.string(1)? })
        });
        let showing = Rc::new(showing.unwrap_or_default());
        self.showing.replace(Some(Rc::clone(&showing)));
        Ok(showing)
    }

    /// What others are told now: an alarm that was lost makes nobody be there for ever.
    pub(super) fn present(&self) -> Result<PresenceNote, MatrixError> {
        let showing = self.showing()?;
        let last_active = showing.note.last_active.max(self.seen.get());
        let lost = self.host.now().since(last_active) > 2 * IDLE_MS && self.host.waiting_polls() == 0;
        let showing = if lost { showing.gone(last_active) } else { showing.still(last_active) };
        Ok(showing.note)
    }

    fn show(&self, showing: Showing) -> Result<(), MatrixError> {
        self.store_showing(showing)?;
        self.untold.set(true);
        Ok(())
    }

    fn store_showing(&self, showing: Showing) -> Result<(), MatrixError> {
        let note = &showing.note;
        self.host.sql().query(
            "INSERT INTO presence (id, presence, device_id, status_msg, last_active) VALUES (1, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET presence = excluded.presence, device_id = excluded.device_id,
             status_msg = excluded.status_msg, last_active = excluded.last_active",
            &[
                note.presence.as_str().into(),
                showing.device_id.as_str().into(),
                note.status_msg.clone().into(),
                note.last_active.0.into(),
            ],
        )?;
        self.showing.replace(Some(Rc::new(showing)));
        Ok(())
    }

    fn hear(&self, user_id: &OwnedUserId, note: PresenceNote) -> Result<(), MatrixError> {
        if self.ignored()?.contains(user_id) {
            return Ok(());
        }
        if self.others.borrow_mut().set(user_id, note, self.host.now()) {
            self.announce(None, news::PRESENCE);
        }
        Ok(())
    }
}
