//! Ignored users (Client-Server API, "Ignoring Users"): the user hears nothing of what they say, state excepted, and is
//! shown none of their invites.
//!
//! What they say is filed all the same, so that it is there for a fresh sync once they are ignored no more; it wakes
//! nobody and moves no room.

use std::{collections::BTreeSet, rc::Rc};

use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::{Map, Value};
use tern_model::{MatrixError, NoticeEvent, RawJson};
use tern_ports::{ObjectHost, Parking, SqlError, wire::user::ListIgnored};
use tern_sync::Membership;

use super::{
    UserActor,
    member::MEMBER,
    store::{
        account_data,
        facts::Facts,
        rooms::{self, RoomRow},
    },
    turn::Turn,
};

/// Type of the list of ignored users.
pub(super) const IGNORED: &str = "m.ignored_user_list";

impl<H: ObjectHost + Parking> UserActor<H> {
    /// The ignored users, for the proxy to keep out what the user reads of rooms themselves.
    pub(super) fn list_ignored(&self, command: &ListIgnored) -> Result<Vec<OwnedUserId>, MatrixError> {
        self.admit(&command.session)?;
        Ok(self.ignored()?.iter().cloned().collect())
    }

    /// The ignored users, read once.
    pub(super) fn ignored(&self) -> Result<Rc<BTreeSet<OwnedUserId>>, SqlError> {
        if let Some(ignored) = &*self.ignored.borrow() {
            return Ok(Rc::clone(ignored));
        }
        let content = account_data::read(self.host.sql(), None, IGNORED)?;
        let ignored = Rc::new(content.as_ref().map(named).unwrap_or_default());
        self.ignored.replace(Some(Rc::clone(&ignored)));
        Ok(ignored)
    }

    /// The room is an invite by somebody ignored.
    pub(super) fn hides(&self, row: &RoomRow, facts: &Facts) -> Result<bool, SqlError> {
        if row.membership != Membership::Invite {
            return Ok(false);
        }
        let ignored = self.ignored()?;
        Ok(inviter(&self.user_id, facts).is_some_and(|inviter| ignored.contains(&inviter)))
    }

    /// The list changed: invites by those it now names go, those of the others come back.
    pub(super) fn ignore(
        &self,
        turn: &Turn<'_, H::Sql>,
        before: Option<&RawJson>,
        after: &RawJson,
    ) -> Result<(), MatrixError> {
        self.ignored.take();
        let (before, after) = (before.map(named).unwrap_or_default(), named(after));
        let changed: BTreeSet<&OwnedUserId> = before.symmetric_difference(&after).collect();
        for row in rooms::all(turn.sql)?.iter().filter(|row| row.membership == Membership::Invite) {
            let facts = self.facts(&row.room_id)?;
            if inviter(&self.user_id, &facts).is_some_and(|inviter| changed.contains(&inviter)) {
                self.relist_room(turn, &row.room_id)?;
            }
        }
        Ok(())
    }
}

/// The user does not hear of this event.
pub(super) fn is_unheard(ignored: &BTreeSet<OwnedUserId>, event: &NoticeEvent) -> bool {
    event.state_key.is_none() && ignored.contains(&event.sender)
}

/// Who sent the invite, by the user's own member event in its stripped state.
fn inviter(own: &UserId, facts: &Facts) -> Option<OwnedUserId> {
    #[derive(Deserialize)]
    struct Stripped {
        r#type: String,
        state_key: String,
        sender: OwnedUserId,
    }
    let events = facts.stripped.iter().filter_map(|event| event.read::<Stripped>().ok());
    let mut own = events.filter(|event| event.r#type == MEMBER && event.state_key == own.as_str());
    own.next().map(|event| event.sender)
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
