//! A user's settings go along when a room is replaced (Client-Server API, "Room Upgrades"): tags, the place among direct
//! chats, push rules.
//!
//! Anybody may claim that their room replaces another one. So the old room's tombstone has to name the new room, too, and
//! the hub has to have heard of it as that of a member: the summaries that it holds of both rooms tell. Whichever it hears
//! of last, its user's join or the tombstone, settings are copied in the transaction in which it takes that over. A notice
//! that is lost comes again, and no other part is asked.

use ruma::{OwnedRoomId, RoomId};
use serde_json::{Map, Value};
use tern_model::{MatrixError, Notice, RawJson, RoomSeq};
use tern_ports::{ObjectHost, Sql, SqlError, WaitingPolls};
use tern_sync::Membership;

use super::{
    UserActor,
    account_data::{DIRECT, PUSH_RULES, TAG},
    store::{
        account_data, facts,
        rooms::{self, RoomRow},
        upgraded,
    },
    transaction::Transaction,
};

/// A room, and the one that may have taken its place.
pub(super) struct Upgrade {
    old: OwnedRoomId,
    new: OwnedRoomId,
}

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// The upgrades of which a notice tells something new; asked before its summary is taken over.
    pub(super) fn upgrades(&self, row: &RoomRow, was_in: bool, notice: &Notice) -> Result<Vec<Upgrade>, MatrixError> {
        let mut upgrades = Vec::new();
        let Some(summary) = notice.summary.as_deref().filter(|_| row.membership == Membership::Join) else {
            return Ok(upgrades);
        };
        let room_id = &row.room_id;
        if let Some(old) = summary.predecessor.as_ref().filter(|_| !was_in) {
            upgrades.push(Upgrade { old: old.clone(), new: room_id.clone() });
        }
        if let Some(new) = summary.tombstone.as_deref().and_then(|new| OwnedRoomId::try_from(new).ok()) {
            let known = self.facts(room_id)?.summary;
            if known.is_none_or(|known| known.tombstone != summary.tombstone) {
                upgrades.push(Upgrade { old: room_id.clone(), new });
            }
        }
        Ok(upgrades)
    }

    /// Copies settings from a room to the one that has taken its place, once. What the new room has of its own stays.
    pub(super) fn copy_settings(&self, tx: &Transaction<'_, H::Sql>, upgrade: &Upgrade) -> Result<(), MatrixError> {
        let Upgrade { old, new } = upgrade;
        if !is_complete(tx.sql, upgrade)? || !upgraded::note(tx.sql, new)? {
            return Ok(());
        }
        if let Some(tags) = account_data::read(tx.sql, Some(old), TAG)? {
            let held = account_data::read(tx.sql, Some(new), TAG)?;
            self.set_if_it_fits(tx, Some(new), TAG, with_tags(held.as_ref(), &tags))?;
        }
        if let Some(direct) = account_data::read(tx.sql, None, DIRECT)? {
            self.set_if_it_fits(tx, None, DIRECT, with_room(&direct, old, new))?;
        }
        let mut rules = self.push_rules()?;
        let rules = rules.copy_room(old, new).then(|| rules.to_content());
        self.set_if_it_fits(tx, None, PUSH_RULES, rules)
    }

    /// What is too much is left out: the join stands in any case. Refusals come before anything is written.
    fn set_if_it_fits(
        &self,
        tx: &Transaction<'_, H::Sql>,
        room_id: Option<&RoomId>,
        kind: &str,
        content: Option<RawJson>,
    ) -> Result<(), MatrixError> {
        match content.map(|content| self.set_account_data(tx, room_id, kind, &content)) {
            Some(Err(error)) if error.status >= 500 => Err(error),
            _ => Ok(()),
        }
    }
}

/// Both rooms say that the one replaces the other; the user has been in the old one and is in the new one.
fn is_complete(sql: &impl Sql, Upgrade { old, new }: &Upgrade) -> Result<bool, SqlError> {
    let (before, after) = (facts::load(sql, old)?.summary, facts::load(sql, new)?.summary);
    let leads_on = before.is_some_and(|before| before.tombstone.as_deref() == Some(new.as_str()));
    if !leads_on || after.is_none_or(|after| after.predecessor.as_ref() != Some(old)) {
        return Ok(false);
    }
    let has_been_in = rooms::load(sql, old)?.is_some_and(|row| row.joined > RoomSeq(0) && !row.forgotten);
    Ok(has_been_in && rooms::load(sql, new)?.is_some_and(|row| row.membership == Membership::Join))
}

/// The content of `m.tag` with the tags of another room as well; nothing when it has them all.
fn with_tags(held: Option<&RawJson>, others: &RawJson) -> Option<RawJson> {
    let read = |content: &RawJson| content.read::<Map<String, Value>>().ok();
    let mut all = held.and_then(read).unwrap_or_default();
    let mut others = read(others)?;
    let tags = all.entry("tags").or_insert_with(|| Map::new().into()).as_object_mut()?;
    let before = tags.len();
    for (tag, content) in std::mem::take(others.get_mut("tags")?.as_object_mut()?) {
        tags.entry(tag).or_insert(content);
    }
    if tags.len() == before { None } else { RawJson::from_value(&all).ok() }
}

/// The content of `m.direct` with `new` wherever `old` is; nothing when it is so already.
fn with_room(direct: &RawJson, old: &RoomId, new: &RoomId) -> Option<RawJson> {
    let mut users = direct.read::<Map<String, Value>>().ok()?;
    let mut changed = false;
    for rooms in users.values_mut().filter_map(Value::as_array_mut) {
        let names = |room_id: &RoomId| rooms.iter().any(|named| named == room_id.as_str());
        if names(old) && !names(new) {
            rooms.push(new.as_str().into());
            changed = true;
        }
    }
    if changed { RawJson::from_value(&users).ok() } else { None }
}
