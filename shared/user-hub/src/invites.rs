//! Which invites reach the user (Client-Server API, "Invite permission" and "Ignoring Users"; MSC4155). One that does not
//! is filed all the same, so that it is there once it is welcome; no sync shows it.

use std::{collections::BTreeSet, rc::Rc};

use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde::Deserialize;
use tern_model::{MatrixError, NoticeEvent};
use tern_ports::{
    ObjectHost, SqlError, WaitingPolls,
    wire::user::{Profile, ReadInvitee},
};
use tern_room::{InviteRules, Reception, invites::TYPES};
use tern_sync::Membership;

use super::{
    UserActor,
    ignored::IGNORED,
    member::{MEMBER, is_member_event_of, membership_after},
    store::{account_data, facts::Facts, rooms::RoomRow},
    transaction::Transaction,
};

/// Longest content that says who may invite the user, in bytes: every invite is held against it.
const LONGEST_RULES: usize = 64 * 1024;

/// Whether account data of this type says which invites reach the user.
fn decides(room_id: Option<&RoomId>, kind: &str) -> bool {
    room_id.is_none() && (kind == IGNORED || TYPES.contains(&kind))
}

/// Refuses rules that are too long to be held against every invite.
pub(super) fn check_rules(room_id: Option<&RoomId>, kind: &str, length: usize) -> Result<(), MatrixError> {
    if room_id.is_none() && TYPES.contains(&kind) && length > LONGEST_RULES {
        return Err(MatrixError::too_large("The rules for invites are too long"));
    }
    Ok(())
}

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// The profile of somebody who is about to be invited, if they let themselves be.
    pub(super) fn read_invitee(&self, command: &ReadInvitee) -> Result<Profile, MatrixError> {
        if self.invite_rules()?.receive(&command.inviter) == Reception::Blocked {
            return Err(MatrixError::new(403, "M_INVITE_BLOCKED", "The user does not accept this invite"));
        }
        self.read_profile()
    }

    /// What the user says about invites, read once.
    fn invite_rules(&self) -> Result<Rc<InviteRules>, SqlError> {
        if let Some(rules) = &*self.invite_rules.borrow() {
            return Ok(Rc::clone(rules));
        }
        let read = |kind: &&str| account_data::read(self.host.sql(), None, kind).transpose();
        let contents = TYPES.iter().filter_map(read).collect::<Result<Vec<_>, _>>()?;
        let rules = Rc::new(InviteRules::read(&contents));
        self.invite_rules.replace(Some(Rc::clone(&rules)));
        Ok(rules)
    }

    /// The room is an invite that does not reach the user.
    pub(super) fn hides(&self, row: &RoomRow, facts: &Facts) -> Result<bool, SqlError> {
        if row.membership != Membership::Invite {
            return Ok(false);
        }
        match inviter(&self.user_id, facts) {
            Some(inviter) => Ok(!self.allows(&inviter)?),
            None => Ok(self.invite_rules()?.blocks_all()),
        }
    }

    /// Invites by this user reach the user.
    fn allows(&self, inviter: &UserId) -> Result<bool, SqlError> {
        Ok(!self.ignored()?.contains(inviter) && self.invite_rules()?.receive(inviter) == Reception::Allowed)
    }

    /// The event is an invite that does not reach the user, so it notifies nobody.
    pub(super) fn is_disallowed(&self, event: &NoticeEvent) -> Result<bool, SqlError> {
        Ok(is_member_event_of(event, &self.user_id)
            && membership_after(event).as_deref() == Some("invite")
            && !self.allows(&event.sender)?)
    }

    /// Writes account data by `write`. When it says which invites reach the user, those that it hides go, and those that it
    /// hides no more come back.
    pub(super) fn with_invites(
        &self,
        tx: &Transaction<'_, H::Sql>,
        place: (Option<&RoomId>, &str),
        write: impl FnOnce() -> Result<(), SqlError>,
    ) -> Result<(), MatrixError> {
        if !decides(place.0, place.1) {
            return Ok(write()?);
        }
        let before = self.hidden_invites()?;
        write()?;
        self.ignored.take();
        self.invite_rules.take();
        for room_id in before.symmetric_difference(&self.hidden_invites()?) {
            self.relist_room(tx, room_id)?;
            self.note_invites();
        }
        Ok(())
    }

    fn hidden_invites(&self) -> Result<BTreeSet<OwnedRoomId>, SqlError> {
        let mut hidden = BTreeSet::new();
        for row in self.room_rows()?.into_iter().filter(|row| row.membership == Membership::Invite) {
            if self.hides(&row, &self.facts(&row.room_id)?)? {
                hidden.insert(row.room_id);
            }
        }
        Ok(hidden)
    }
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
