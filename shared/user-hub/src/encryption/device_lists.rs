//! Whose devices the user's clients should look up again, and whose they can forget (Client-Server API, "Tracking the
//! device list for a user").
//!
//! Lists are followed of whoever shares a room with the user. The hub keeps with whom that is, so it can tell by itself
//! when the last room is gone. Somebody who comes into a room is told of even if another room is shared already: that
//! other room's news may be late.

use std::collections::BTreeSet;

use ruma::{OwnedUserId, RoomId, UserId};
use tern_model::{CLOCK_SKEW_MS, MatrixError, Millis, Notice, NoticeEvent, RoomSummary, news};
use tern_ports::{
    ObjectHost, Sql, WaitingPolls,
    wire::keys::{DeviceLists, NoteDeviceList, NotedDeviceList, ReadDeviceLists},
};
use tern_sync::{DeviceListChanges, Membership, UserView as _, stream_position};

use crate::{
    UserActor,
    member::{MEMBER, is_member_event_of, joins, membership_after},
    store::{devices, rooms::RoomRow, shared_users},
    sync::refuse_failed,
    transaction::Transaction,
    view::View,
};

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// The user's own devices or cross-signing keys changed: own devices look again now, everybody else is told.
    pub(crate) fn devices_changed(&self, tx: &Transaction<'_, H::Sql>) -> Result<(), MatrixError> {
        self.note_own_devices(tx)?;
        self.public_keys_changed(tx)?;
        shared_users::announce(tx.sql, self.host.now())?;
        self.unannounced.set(true);
        Ok(())
    }

    /// The hub hears that the user is in a room. Members may have looked the user's devices up since the join; of changes
    /// made meanwhile they were not told, since the room was not among those asked.
    fn announce_to_late_room(&self, tx: &Transaction<'_, H::Sql>, fresh: &[&NoticeEvent]) -> Result<(), MatrixError> {
        let join = fresh.iter().rfind(|event| is_member_event_of(event, &self.user_id) && joins(event));
        let since = join.map_or(0, |join| join.ts.0.saturating_sub(CLOCK_SKEW_MS));
        if shared_users::announce_again(tx.sql, Millis(since))? {
            self.unannounced.set(true);
        }
        Ok(())
    }

    /// The user's other devices learn that the list of devices changed.
    pub(crate) fn note_own_devices(&self, tx: &Transaction<'_, H::Sql>) -> Result<(), MatrixError> {
        look_again(tx, std::slice::from_ref(&self.user_id))
    }

    /// Another user's hub, or their server's object, says that their devices changed. Strangers do not concern this user.
    pub(crate) fn note_device_list(&self, command: &NoteDeviceList) -> Result<NotedDeviceList, MatrixError> {
        let user_id = &command.user_id;
        self.change(|tx| {
            if !shared_users::any(tx.sql, user_id)? {
                return Ok(NotedDeviceList::default());
            }
            let pos = tx.advance(news::E2EE);
            devices::note_list_change(tx.sql, user_id, pos)?;
            let is_remote = user_id.server_name() != self.config.server_name;
            Ok(NotedDeviceList { shared_at: is_remote.then_some(pos) })
        })
    }

    /// Follows who is in a room, from a notice with new events. `was_in`: the user was joined before.
    pub(crate) fn follow_members(
        &self,
        tx: &Transaction<'_, H::Sql>,
        row: &RoomRow,
        was_in: bool,
        notice: &Notice,
        fresh: &[&NoticeEvent],
    ) -> Result<(), MatrixError> {
        if row.membership != Membership::Join && !was_in {
            return Ok(());
        }
        let moves = || fresh.iter().any(|event| event.kind == MEMBER);
        let anew = was_in && fresh.first().is_some_and(|first| first.seq == row.inbox_from);
        if row.membership == Membership::Join && was_in && notice.members.is_none() && !anew && !moves() {
            return Ok(());
        }
        let followed = self.is_followed(notice)?;
        if row.membership == Membership::Join && !was_in && followed {
            self.announce_to_late_room(tx, fresh)?;
        }
        let affected = match &notice.members {
            // What is kept of a room that has become too large goes when it would not be true any more.
            _ if row.membership != Membership::Join || !followed && anew => untrack_all(tx, &row.room_id)?,
            Some(members) if followed => {
                if self.makes_acquaintances(0)? {
                    let others = members.iter().filter(|member| **member != self.user_id);
                    self.make_acquaintance(tx.sql, others.map(|member| &**member))?;
                }
                self.track_all(tx, &row.room_id, members)?
            }
            _ => {
                if followed {
                    self.track_joining(tx, notice, fresh)?;
                }
                self.follow_events(tx, &row.room_id, fresh, followed)?
            }
        };
        self.lose_sight(tx.sql, &affected)?;
        look_again(tx, &affected)
    }

    /// Whether the hub keeps who is in the room. Of a large one that is not encrypted it does not: no device list is needed
    /// there, and with every join it would be a row for each member in the hub of each.
    fn is_followed(&self, notice: &Notice) -> Result<bool, MatrixError> {
        if !notice.selective {
            return Ok(true);
        }
        let encrypted = |summary: &RoomSummary| summary.encrypted;
        Ok(match &notice.summary {
            Some(summary) => encrypted(summary),
            None => self.facts(&notice.room_id)?.summary.as_deref().is_some_and(encrypted),
        })
    }

    /// Whoever joins is to hear of the user, and the user of them.
    fn track_joining(
        &self,
        tx: &Transaction<'_, H::Sql>,
        notice: &Notice,
        fresh: &[&NoticeEvent],
    ) -> Result<(), MatrixError> {
        let members = fresh.iter().filter(|event| event.kind == MEMBER && !is_member_event_of(event, &self.user_id));
        let others = members.filter(|event| joins(event));
        let mut joining = others.filter_map(|event| <&UserId>::try_from(event.state_key.as_deref()?).ok()).peekable();
        if joining.peek().is_none() {
            return Ok(());
        }
        let summary = match &notice.summary {
            Some(summary) => Some(summary.joined),
            None => self.facts(&notice.room_id)?.summary.as_ref().map(|summary| summary.joined),
        };
        if self.makes_acquaintances(summary.unwrap_or_default())? {
            self.make_acquaintance(tx.sql, joining)?;
        }
        Ok(())
    }

    /// The room says who is in it: after the user's own join, or after a gap, in which anybody may have come and gone.
    fn track_all(
        &self,
        tx: &Transaction<'_, H::Sql>,
        room_id: &RoomId,
        members: &[OwnedUserId],
    ) -> Result<Vec<OwnedUserId>, MatrixError> {
        let mut affected: Vec<_> = members.iter().filter(|member| **member != self.user_id).cloned().collect();
        let known = shared_users::of_room(tx.sql, room_id)?;
        for member in &affected {
            shared_users::add(tx.sql, room_id, member)?;
        }
        let members: BTreeSet<&OwnedUserId> = members.iter().collect();
        for gone in known.into_iter().filter(|known| !members.contains(known)) {
            shared_users::remove(tx.sql, room_id, &gone)?;
            if !shared_users::any(tx.sql, &gone)? {
                affected.push(gone);
            }
        }
        Ok(affected)
    }

    fn follow_events(
        &self,
        tx: &Transaction<'_, H::Sql>,
        room_id: &RoomId,
        fresh: &[&NoticeEvent],
        followed: bool,
    ) -> Result<Vec<OwnedUserId>, MatrixError> {
        let mut affected = Vec::new();
        for event in fresh.iter().filter(|event| event.kind == MEMBER && !is_member_event_of(event, &self.user_id)) {
            let Some(user_id) = event.state_key.as_deref().and_then(|key| <&UserId>::try_from(key).ok()) else {
                continue;
            };
            let moved = match membership_after(event).as_deref() {
                Some("join") => followed && shared_users::add(tx.sql, room_id, user_id)?,
                _ => shared_users::remove(tx.sql, room_id, user_id)? && !shared_users::any(tx.sql, user_id)?,
            };
            if moved {
                affected.push(user_id.to_owned());
            }
        }
        Ok(affected)
    }

    pub(crate) fn read_device_lists(&self, command: &ReadDeviceLists) -> Result<DeviceLists, MatrixError> {
        let unknown = || MatrixError::invalid_param("from and to must be tokens of a sync");
        let from = stream_position(&command.from).ok_or_else(unknown)?;
        stream_position(&command.to).ok_or_else(unknown)?;
        // What changed after `to` is told as well: the list must not be older than the keys that are then looked up.
        let view = View::new(self, &command.session.device_id);
        let DeviceListChanges { changed, left } = view.device_lists(from);
        refuse_failed(&view)?;
        Ok(DeviceLists { changed, left })
    }
}

/// All of the user's devices look these users up again, or forget them if no room is shared any more.
pub(super) fn look_again(tx: &Transaction<'_, impl Sql>, users: &[OwnedUserId]) -> Result<(), MatrixError> {
    if users.is_empty() {
        return Ok(());
    }
    let pos = tx.advance(news::E2EE);
    for user_id in users {
        devices::note_list_change(tx.sql, user_id, pos)?;
    }
    Ok(())
}

/// The user is not in the room any more. Those with whom no room is left.
fn untrack_all(tx: &Transaction<'_, impl Sql>, room_id: &RoomId) -> Result<Vec<OwnedUserId>, MatrixError> {
    let mut left = Vec::new();
    for shared_user in shared_users::of_room(tx.sql, room_id)? {
        shared_users::remove(tx.sql, room_id, &shared_user)?;
        if !shared_users::any(tx.sql, &shared_user)? {
            left.push(shared_user);
        }
    }
    Ok(left)
}
