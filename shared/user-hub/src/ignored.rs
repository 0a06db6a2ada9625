//! Ignored users (Client-Server API, "Ignoring Users"): the user hears nothing of what they say, state excepted.
//! [`super::invites`] keeps back their invites.
//!
//! What they say is filed all the same, so that it is there for a fresh sync once they are ignored no more; it wakes
//! nobody and moves no room.

use std::{collections::BTreeSet, rc::Rc};

use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::{Map, Value};
use tern_model::{MatrixError, NoticeEvent, RawJson};
use tern_ports::{ObjectHost, SqlError, WaitingPolls};

use super::{UserActor, store::account_data};

/// Type of the list of ignored users.
pub(super) const IGNORED: &str = "m.ignored_user_list";

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// The ignored users, for the proxy to keep out what the user reads of rooms themselves.
    pub(super) fn list_ignored(&self) -> Result<Vec<OwnedUserId>, MatrixError> {
        Ok(self.ignored()?.iter().cloned().collect())
    }

    /// The ignored users, read once.
    pub(super) fn ignored(&self) -> Result<Rc<BTreeSet<OwnedUserId>>, SqlError> {
        if let Some(ignored) = &*self.ignored.borrow() {
            return Ok(Rc::clone(ignored));
        }
        let content = account_data::read(self.host.sql(), None, IGNORED)?;
        let mut ignored = content.as_ref().map(named).unwrap_or_default();
        // Whoever names himself would lose what he says on his other devices.
        ignored.remove(&self.user_id);
        let ignored = Rc::new(ignored);
        self.ignored.replace(Some(Rc::clone(&ignored)));
        Ok(ignored)
    }
}

/// The user does not hear of this event.
pub(super) fn is_unheard(ignored: &BTreeSet<OwnedUserId>, event: &NoticeEvent) -> bool {
    event.state_key.is_none() && ignored.contains(&event.sender)
}

/// Users that an `m.ignored_user_list` names; what is not well-formed is left out.
fn named(content: &RawJson) -> BTreeSet<OwnedUserId> {
    #[derive(Deserialize)]
    struct Content {
        ignored_users: Map<String, Value>,
    }
    let users = content.read::<Content>().map(|content| content.ignored_users).unwrap_or_default();
    users.keys().filter_map(|user| user.as_str().try_into().ok()).collect()
}
