//! Power levels outside the authorisation rules proper (Client-Server API, "Permissions").

use std::collections::BTreeSet;

use ruma::{
    Int, OwnedUserId, UserId,
    events::{StateEventType, TimelineEventType, room::power_levels::UserPowerLevel},
    state_res::events::{RoomCreateEvent, RoomPowerLevelsEvent, RoomPowerLevelsIntField},
};
use serde::Deserialize;
use serde_json::Value;
use tern_model::Pdu;

use crate::{error::Unreadable, version::Version, view::RoomView};

/// The level a creator has in a room without `m.room.power_levels`, before creators stood above all levels.
const CREATOR_WITHOUT_LEVELS: i32 = 100;

/// The level that notifies a room, where none is set.
const NOTIFY_ROOM: i64 = 50;

/// Who may do what in a room.
#[derive(Debug)]
pub struct Powers {
    version: &'static Version,
    creators: BTreeSet<OwnedUserId>,
    levels: Option<RoomPowerLevelsEvent<Pdu>>,
}

impl Powers {
    /// Reads the create and power levels events.
    ///
    /// # Errors
    /// When state cannot be read, or the room has no create event.
    pub fn load(view: &impl RoomView) -> Result<Self, Unreadable> {
        let version = view.version();
        let Some(create) = view.state(&StateEventType::RoomCreate, "")? else {
            return Err(Unreadable("no create event".to_owned()));
        };
        Self::of_state(version, create, view.state(&StateEventType::RoomPowerLevels, "")?)
    }

    /// Reads the create and power levels events given.
    ///
    /// # Errors
    /// When the create event is damaged.
    pub fn of_state(version: &'static Version, create: Pdu, levels: Option<Pdu>) -> Result<Self, Unreadable> {
        let creators = RoomCreateEvent::new(create).creators(&version.rules.authorization).map_err(Unreadable)?;
        let levels = levels.map(RoomPowerLevelsEvent::new);
        Ok(Self { version, creators: creators.into_iter().collect(), levels })
    }

    /// The creators.
    pub fn creators(&self) -> &BTreeSet<OwnedUserId> {
        &self.creators
    }

    /// Users whose level is named, creators included, in order of id.
    ///
    /// # Errors
    /// When the power levels event is damaged.
    pub fn named(&self) -> Result<BTreeSet<OwnedUserId>, Unreadable> {
        let mut named = self.creators.clone();
        if let Some(levels) = &self.levels {
            let users = levels.users(&self.version.rules.authorization).map_err(Unreadable)?;
            named.extend(users.into_iter().flat_map(|users| users.keys().cloned()));
        }
        Ok(named)
    }

    /// The user's level.
    ///
    /// # Errors
    /// When the power levels event is damaged.
    pub fn of(&self, user_id: &UserId) -> Result<UserPowerLevel, Unreadable> {
        let creator = self.creators.contains(user_id);
        if creator && self.version.privileges_creators() {
            return Ok(UserPowerLevel::Infinite);
        }
        match &self.levels {
            Some(levels) => {
                let level = levels.user_power_level(user_id, &self.version.rules.authorization);
                Ok(level.map_err(Unreadable)?.into())
            }
            None if creator => Ok(Int::from(CREATOR_WITHOUT_LEVELS).into()),
            None => Ok(RoomPowerLevelsIntField::UsersDefault.default_value().into()),
        }
    }

    /// The level an action needs.
    ///
    /// # Errors
    /// When the power levels event is damaged.
    pub fn needed(&self, action: RoomPowerLevelsIntField) -> Result<Int, Unreadable> {
        match &self.levels {
            Some(levels) => levels.get_as_int_or_default(action, &self.version.rules.authorization).map_err(Unreadable),
            None => Ok(action.default_value()),
        }
    }

    /// The user's level is enough to set state of a type.
    ///
    /// # Errors
    /// When the power levels event is damaged.
    pub fn may_set(&self, user_id: &UserId, kind: &StateEventType) -> Result<bool, Unreadable> {
        let needed = match &self.levels {
            Some(levels) => {
                let kind = TimelineEventType::from(kind.to_string());
                let rules = &self.version.rules.authorization;
                levels.event_power_level(&kind, Some(""), rules).map_err(Unreadable)?
            }
            None => RoomPowerLevelsIntField::StateDefault.default_value(),
        };
        Ok(self.of(user_id)? >= needed)
    }

    /// The user's level is enough for an action.
    ///
    /// # Errors
    /// When the power levels event is damaged.
    pub fn may(&self, user_id: &UserId, action: RoomPowerLevelsIntField) -> Result<bool, Unreadable> {
        Ok(self.of(user_id)? >= self.needed(action)?)
    }

    /// The user may notify the whole room (`m.room.power_levels`, `notifications.room`). Nobody may where the levels are
    /// damaged.
    pub fn may_notify_room(&self, user_id: &UserId) -> bool {
        #[derive(Deserialize, Default)]
        struct Content {
            #[serde(default)]
            notifications: Notifications,
        }
        #[derive(Deserialize, Default)]
        struct Notifications {
            room: Option<Value>,
        }
        let content = self.levels.as_ref().map(|levels| serde_json::from_str::<Content>(levels.body().get()));
        let Ok(content) = content.unwrap_or_else(|| Ok(Content::default())) else { return false };
        let needed = match content.notifications.room {
            None => Some(NOTIFY_ROOM),
            Some(Value::Number(level)) => level.as_i64(),
            // Levels could be texts before room version 10.
            Some(Value::String(level)) => level.trim().parse().ok(),
            Some(_) => None,
        };
        let needed = needed.and_then(|level| Int::try_from(level).ok());
        needed.is_some_and(|needed| self.of(user_id).is_ok_and(|level| level >= needed))
    }
}
