//! Telling everybody who shares a room with the user that the user's devices or cross-signing keys changed.
//!
//! The rooms are asked who is in them, and each of those users is told once, however many rooms are shared: fewer calls
//! and rows than to announce through the rooms, which would tell them once per room. The rooms are asked, and not this
//! hub's own memory of whom the user shares rooms with, because they know of a member before that member can have
//! looked up any key. Another server in a room is told once as well, by its object. At least once: a cursor is stored with the change, and the alarm goes on from there. A room that
//! this hub does not know of yet, because the notice of the user's own join is late, makes it tell everybody again when
//! it comes.

use std::{cell::Cell, collections::BTreeSet};

use futures::{StreamExt, future::join_all, stream};
use ruma::{OwnedServerName, OwnedUserId, RoomId};
use tern_model::MatrixError;
use tern_object_kit::duties::Outcome;
use tern_ports::{
    ObjectHost, WaitingPolls, ask_destination, ask_room, ask_user,
    wire::{destination::EnqueueDeviceList, keys::NoteDeviceList, room::ReadJoinedUsers},
};

use crate::{
    UserActor,
    store::{
        publication, rooms,
        shared_users::{self, Announcement},
    },
};

/// Rooms or users asked at a time: as many as an object may have connections.
const AT_A_TIME: usize = 6;
/// Users told between two writes of the cursor.
const STRIDE: usize = 60;
/// Most rooms of a user.
const ALL_ROOMS: u64 = 1_000_000;
/// When work that was cut off is taken up again.
pub(super) const RESUME_MS: u64 = 60_000;
/// The first pause before those that could not be reached are tried again; doubles each time.
const RETRY_MS: u64 = 5_000;
/// How often it doubles. There is no last attempt: a lost change would be messages that cannot be read.
const MOST_DOUBLINGS: u64 = 9;

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// Copies and announces what is not copied and announced yet, from where it was left.
    pub(crate) async fn announce_devices(&self) -> Outcome {
        if self.announcing.replace(true) {
            return Outcome::Done;
        }
        // Whatever ends this, the next one may start.
        let _guard = Announcing(&self.announcing);
        loop {
            // Who is told looks at the copy.
            if self.publish_keys().await.is_err() {
                return Outcome::Again(self.host.now().plus(self.pause_of_copying()));
            }
            let at = match shared_users::announcement(self.host.sql()) {
                Ok(Some(at)) => at,
                Ok(None) => return Outcome::Done,
                Err(_) => return Outcome::Failed,
            };
            match self.announce_once(&at).await {
                Ok(None) => {}
                Ok(Some(pause)) => return Outcome::Again(self.host.now().plus(pause)),
                Err(_) => return Outcome::Failed,
            }
        }
    }

    /// One pass over everybody. Gives the pause to make, if one is due.
    async fn announce_once(&self, at: &Announcement) -> Result<Option<u64>, MatrixError> {
        let (audience, mut failed) = self.audience().await?;
        failed |= at.failed;
        // It is in the copy.
        let version = publication::read(self.host.sql())?.map(|known| known.version).unwrap_or_default();
        let rest: Vec<_> = audience.into_iter().filter(|recipient| recipient.is_after(&at.after_user)).collect();
        for users in rest.chunks(STRIDE) {
            let asks = users.iter().map(|recipient| self.tell_of_devices(recipient, version));
            let told: Vec<_> = stream::iter(asks).buffer_unordered(AT_A_TIME).collect().await;
            // Refusals are final, silence is not.
            failed |= told.iter().any(|told| told.as_ref().is_err_and(|error| error.status >= 500));
            if !self.still(at)? {
                return Ok(None);
            }
            if let Some(last) = users.last().filter(|_| users.len() == STRIDE) {
                let cursor = Announcement { after_user: last.as_str().to_owned(), failed, ..at.clone() };
                shared_users::move_announcement(self.host.sql(), &cursor)?;
            }
        }
        if !self.still(at)? {
            return Ok(None);
        }
        if !failed {
            shared_users::finish_announcement(self.host.sql())?;
            return Ok(None);
        }
        let again = Announcement { change: at.change, attempt: at.attempt + 1, ..Announcement::default() };
        shared_users::move_announcement(self.host.sql(), &again)?;
        Ok(Some(RETRY_MS << at.attempt.min(MOST_DOUBLINGS)))
    }

    /// Tells the hub of a user here, or the object of another server.
    async fn tell_of_devices(&self, recipient: &Recipient, version: u64) -> Result<(), MatrixError> {
        let user_id = self.user_id.clone();
        match recipient {
            Recipient::User(other) => drop(ask_user(&*self.host, other, NoteDeviceList { user_id }).await?),
            Recipient::Server(server) => {
                ask_destination(&*self.host, server, EnqueueDeviceList { user_id, version }).await?;
            }
        }
        Ok(())
    }

    /// Members of the room may follow the user's devices: in large rooms only where messages are encrypted.
    fn may_be_followed(&self, room_id: &RoomId) -> bool {
        let facts = self.facts(room_id);
        let summary = facts.as_ref().ok().and_then(|facts| facts.summary.as_deref());
        summary.is_none_or(|summary| summary.encrypted || summary.joined <= self.config.limits.large_room)
    }

    /// No further change has come meanwhile.
    fn still(&self, at: &Announcement) -> Result<bool, MatrixError> {
        Ok(shared_users::announcement(self.host.sql())?.is_some_and(|now| now.change == at.change))
    }

    /// A user here, or else the server.
    fn recipient(&self, user_id: OwnedUserId) -> Option<Recipient> {
        if *user_id.server_name() == self.config.server_name {
            return Some(Recipient::User(user_id));
        }
        let name = user_id.server_name().as_str().to_ascii_lowercase();
        OwnedServerName::try_from(name).ok().map(Recipient::Server)
    }

    /// Everybody here in the user's rooms, and the other servers in them; and whether some room could not be asked.
    async fn audience(&self) -> Result<(BTreeSet<Recipient>, bool), MatrixError> {
        let mut rooms = rooms::joined(self.host.sql(), "", ALL_ROOMS)?;
        rooms.retain(|room_id| self.may_be_followed(room_id));
        let (mut audience, mut failed) = (BTreeSet::new(), false);
        for rooms in rooms.chunks(AT_A_TIME) {
            let asks = rooms.iter().map(|room_id| {
                let ask = ReadJoinedUsers { user_id: self.user_id.clone() };
                ask_room(&*self.host, room_id, ask)
            });
            for joined in join_all(asks).await {
                match joined {
                    Ok(joined) => {
                        audience.extend(joined.into_iter().filter_map(|user_id| self.recipient(user_id)));
                    }
                    Err(error) => failed |= error.status >= 500,
                }
            }
        }
        Ok((audience, failed))
    }
}

/// Who is told, in the order of it: users here, and then other servers by their names in small letters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Recipient {
    User(OwnedUserId),
    Server(OwnedServerName),
}

impl Recipient {
    fn as_str(&self) -> &str {
        match self {
            Self::User(user_id) => user_id.as_str(),
            Self::Server(server) => server.as_str(),
        }
    }

    /// Comes after the one of this id or name; after nobody, whoever it is.
    fn is_after(&self, told: &str) -> bool {
        let is_server = !told.is_empty() && !told.starts_with('@');
        match self {
            Self::User(user_id) => !is_server && user_id.as_str() > told,
            Self::Server(server) => !is_server || server.as_str() > told,
        }
    }
}

struct Announcing<'a>(&'a Cell<bool>);

impl Drop for Announcing<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}
