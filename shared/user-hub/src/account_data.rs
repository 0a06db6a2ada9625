//! Account data, tags and push rules (Client-Server API, "Client Config", "Room Tagging", "Push Rules").

use std::collections::BTreeSet;

use ruma::{DeviceId, OwnedRoomId, RoomId};
use serde_json::{Map, Value};
use tern_model::{MatrixError, RawJson, StreamPos, news};
use tern_ports::{
    ObjectHost, SqlError, WaitingPolls,
    wire::{
        Done,
        user::{ChangePushRule, ChangeTag, DeleteAccountData, PushRuleChange, ReadAccountData, WriteAccountData},
    },
};
use tern_push::{Change, PushRules};

use super::{UserActor, invites::check_rules, store::account_data, transaction::Transaction};

/// Type of the push rules.
pub(super) const PUSH_RULES: &str = "m.push_rules";
/// Type of a room's fully read marker.
const FULLY_READ: &str = "m.fully_read";
/// Type of a room's tags.
pub(super) const TAG: &str = "m.tag";
/// Type of the list of direct chats.
pub(super) const DIRECT: &str = "m.direct";
/// Longest content, in bytes.
const LONGEST: usize = 512 * 1024;
/// Longest type or tag, in bytes.
const LONGEST_NAME: usize = 255;
/// Most entries of one room, or global ones; and most that are remembered as deleted.
const MOST_ENTRIES: u64 = 1_000;
/// Bytes of all entries of a user: a first sync has all of them.
const MOST_BYTES: u64 = 4 << 20;

/// Types that end with a device's id and go with it: as in MSC3890, and as clients write them while it is unstable.
const OF_DEVICES: [&str; 2] = ["m.local_notification_settings", "org.matrix.msc3890.local_notification_settings"];

/// An empty content is a deleted entry (MSC3391).
pub(super) fn is_deleted(content: &RawJson) -> bool {
    content.text() == "{}"
}

/// Refuses what clients may only read (Client-Server API, "Client Config", "Server behaviour"). A room's `m.fully_read`
/// passes: it comes by the read markers, and the route of `PUT account_data` refuses it.
fn refuse_server_managed(room_id: Option<&RoomId>, kind: &str) -> Result<(), MatrixError> {
    if kind == PUSH_RULES || (kind == FULLY_READ && room_id.is_none()) {
        let message = format!("Cannot set {kind} through this API.");
        return Err(MatrixError::new(405, "M_BAD_JSON", message));
    }
    Ok(())
}

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    pub(super) fn read_account_data(&self, command: &ReadAccountData) -> Result<Option<RawJson>, MatrixError> {
        if command.kind == PUSH_RULES && command.room_id.is_none() {
            return Ok(Some(self.push_rules()?.to_content()));
        }
        let stored = account_data::read(self.host.sql(), command.room_id.as_deref(), &command.kind)?;
        Ok(stored.filter(|content| !is_deleted(content)))
    }

    pub(super) fn write_account_data(&self, command: &WriteAccountData) -> Result<Done, MatrixError> {
        refuse_server_managed(command.room_id.as_deref(), &command.kind)?;
        let content = command.content.read::<Map<String, Value>>();
        let content = content.map_err(|_| MatrixError::bad_json("The content must be an object"))?;
        check_rules(command.room_id.as_deref(), &command.kind, command.content.text().len())?;
        let content = if content.is_empty() { &RawJson::empty_object() } else { &command.content };
        self.change(|tx| self.set_account_data(tx, command.room_id.as_deref(), &command.kind, content))
    }

    pub(super) fn delete_account_data(&self, command: &DeleteAccountData) -> Result<Done, MatrixError> {
        refuse_server_managed(command.room_id.as_deref(), &command.kind)?;
        self.change(|tx| self.drop_account_data(tx, command.room_id.as_deref(), &command.kind))
    }

    /// A device is removed, and with it what clients keep of it in account data (MSC3890).
    pub(super) fn drop_account_data_of(
        &self,
        tx: &Transaction<'_, H::Sql>,
        device_id: &DeviceId,
    ) -> Result<(), MatrixError> {
        for kind in OF_DEVICES {
            self.drop_account_data(tx, None, &format!("{kind}.{device_id}"))?;
        }
        Ok(())
    }

    /// Deletes an entry, if it is there. Its row stays, empty, to tell syncs that it is gone.
    fn drop_account_data(
        &self,
        tx: &Transaction<'_, H::Sql>,
        room_id: Option<&RoomId>,
        kind: &str,
    ) -> Result<Done, MatrixError> {
        match account_data::read(tx.sql, room_id, kind)? {
            Some(content) if !is_deleted(&content) => {
                self.set_account_data(tx, room_id, kind, &RawJson::empty_object())
            }
            _ => Ok(Done {}),
        }
    }

    pub(super) fn change_tag(&self, command: &ChangeTag) -> Result<Done, MatrixError> {
        if command.tag.is_empty() || command.tag.len() > LONGEST_NAME {
            return Err(MatrixError::invalid_param("The tag is empty or too long"));
        }
        let content = command.content.as_ref().map(RawJson::read::<Map<String, Value>>).transpose();
        let content = content.map_err(|_| MatrixError::bad_json("A tag's content must be an object"))?;
        self.change(|tx| {
            let stored = account_data::read(tx.sql, Some(&command.room_id), TAG)?;
            let mut all = stored.and_then(|stored| stored.read::<Map<String, Value>>().ok()).unwrap_or_default();
            let tags = all.entry("tags").or_insert_with(|| Value::Object(Map::new()));
            if !tags.is_object() {
                *tags = Value::Object(Map::new());
            }
            let changed = match (tags.as_object_mut(), content) {
                (Some(tags), Some(content)) => {
                    tags.insert(command.tag.clone(), Value::Object(content));
                    true
                }
                (Some(tags), None) => tags.remove(&command.tag).is_some(),
                (None, _) => false,
            };
            if !changed {
                return Ok(Done {});
            }
            let content = RawJson::from_value(&all).map_err(|_| MatrixError::internal())?;
            self.set_account_data(tx, Some(&command.room_id), TAG, &content)
        })
    }

    pub(super) fn change_push_rule(&self, command: &ChangePushRule) -> Result<Done, MatrixError> {
        let mut rules = self.push_rules()?;
        let change = match &command.change {
            PushRuleChange::Put { rule, before, after } => {
                Change::Put { rule, before: before.as_deref(), after: after.as_deref() }
            }
            PushRuleChange::Delete => Change::Delete,
            PushRuleChange::Enable(enabled) => Change::Enable(*enabled),
            PushRuleChange::Actions(actions) => Change::Actions(actions),
        };
        rules.apply(&command.kind, &command.rule_id, change)?;
        self.change(|tx| self.set_account_data(tx, None, PUSH_RULES, &rules.to_content()))
    }

    /// The rules in force: the predefined ones until the user changes any.
    pub(super) fn push_rules(&self) -> Result<PushRules, MatrixError> {
        let stored = account_data::read(self.host.sql(), None, PUSH_RULES)?;
        let rules = stored.and_then(|stored| PushRules::from_content(&self.user_id, &stored).ok());
        Ok(rules.unwrap_or_else(|| PushRules::server_default(&self.user_id)))
    }

    /// Writes an entry, and notes the rooms whose place in lists depends on it.
    pub(super) fn set_account_data(
        &self,
        tx: &Transaction<'_, H::Sql>,
        room_id: Option<&RoomId>,
        kind: &str,
        content: &RawJson,
    ) -> Result<Done, MatrixError> {
        if kind.is_empty() || kind.len() > LONGEST_NAME || content.text().len() > LONGEST {
            return Err(MatrixError::too_large("The account data or its type is too long"));
        }
        let old = account_data::read(tx.sql, room_id, kind)?;
        let (known, deleted) = (old.as_ref().is_some_and(|old| !is_deleted(old)), is_deleted(content));
        let too_many = || Ok::<_, SqlError>(account_data::count(tx.sql, room_id)? >= MOST_ENTRIES);
        let more = content.text().len().saturating_sub(old.as_ref().map_or(0, |old| old.text().len())) as u64;
        let too_much = || Ok::<_, SqlError>(account_data::bytes(tx.sql)? + more > MOST_BYTES);
        if !deleted && ((!known && too_many()?) || (more > 0 && too_much()?)) {
            return Err(MatrixError::new(403, "M_RESOURCE_LIMIT_EXCEEDED", "Too much account data"));
        }
        // A marker set again to the same place is no news; other entries are echoed, since clients wait for it.
        if kind == FULLY_READ && old.as_ref() == Some(content) {
            return Ok(Done {});
        }
        let pos = tx.advance(news::ACCOUNT_DATA);
        self.with_invites(tx, (room_id, kind), || account_data::write(tx.sql, room_id, kind, content, pos))?;
        if deleted {
            account_data::trim_deleted(tx.sql, room_id, MOST_ENTRIES)?;
        }
        match (room_id, kind) {
            (None, PUSH_RULES) => drop(self.push_evaluator.take()),
            (None, DIRECT) => {
                let before = old.as_ref().map(direct_rooms).unwrap_or_default();
                for room_id in direct_rooms(content).symmetric_difference(&before) {
                    self.relist_room(tx, room_id)?;
                }
            }
            (Some(room_id), TAG) => self.relist_room(tx, room_id)?,
            _ => {}
        }
        Ok(Done {})
    }

    /// The room may belong to other lists now.
    pub(super) fn relist_room(&self, tx: &Transaction<'_, H::Sql>, room_id: &RoomId) -> Result<(), MatrixError> {
        self.rooms.borrow_mut().account_data_changed(room_id);
        let Some(mut row) = self.room_row(room_id)?.filter(|row| !row.forgotten) else { return Ok(()) };
        let pos: StreamPos = tx.advance(news::ROOMS);
        tx.relist(pos);
        (row.pos, row.relisted) = (pos, pos);
        Ok(self.write_room(tx, &row)?)
    }
}

/// Rooms that `m.direct` names; what is not well-formed is left out.
pub(super) fn direct_rooms(content: &RawJson) -> BTreeSet<OwnedRoomId> {
    let users = content.read::<Map<String, Value>>().unwrap_or_default();
    let rooms = users.values().filter_map(Value::as_array).flatten().filter_map(Value::as_str);
    rooms.filter_map(|room_id| room_id.try_into().ok()).collect()
}

/// Names of the tags in an `m.tag` content.
pub(super) fn tag_names(content: &RawJson) -> BTreeSet<String> {
    let content = content.read::<Map<String, Value>>().unwrap_or_default();
    let tags = content.get("tags").and_then(Value::as_object);
    tags.map(|tags| tags.keys().cloned().collect()).unwrap_or_default()
}
