//! What a preset of `POST /createRoom` means, and the power levels a room starts with.

use std::collections::BTreeSet;

use ruma::OwnedUserId;
use serde_json::{Map, Value, json};

use crate::version::Version;

/// Level of a creator in versions that list creators among the users.
const CREATOR_LEVEL: i64 = 100;
/// Level needed to close a room in versions whose creators stand above all levels: above what state needs, so that
/// moderators cannot take a room over by upgrading it (room version 12; MSC4289).
const TOMBSTONE_LEVEL: i64 = 150;

/// `preset` of `POST /createRoom`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// `private_chat`.
    PrivateChat,
    /// `trusted_private_chat`: invitees are the creator's equals.
    TrustedPrivateChat,
    /// `public_chat`.
    PublicChat,
}

impl Preset {
    /// The preset of a name.
    pub fn find(name: &str) -> Option<Self> {
        match name {
            "private_chat" => Some(Self::PrivateChat),
            "trusted_private_chat" => Some(Self::TrustedPrivateChat),
            "public_chat" => Some(Self::PublicChat),
            _ => None,
        }
    }

    /// Its state events, as type and content.
    pub(crate) fn state(self) -> [(&'static str, Value); 3] {
        let (join_rule, guest_access) = match self {
            Self::PrivateChat | Self::TrustedPrivateChat => ("invite", "can_join"),
            Self::PublicChat => ("public", "forbidden"),
        };
        [
            ("m.room.join_rules", json!({ "join_rule": join_rule })),
            ("m.room.history_visibility", json!({ "history_visibility": "shared" })),
            ("m.room.guest_access", json!({ "guest_access": guest_access })),
        ]
    }

    /// In private rooms every member may invite.
    fn invite_level(self) -> i64 {
        match self {
            Self::PrivateChat | Self::TrustedPrivateChat => 0,
            Self::PublicChat => 50,
        }
    }
}

/// The content of the first `m.room.power_levels`. `equals` are the creator and those who get the creator's level;
/// they are listed only where creators do not stand above all levels. `overrides` goes on top, key by key.
pub(crate) fn power_levels(
    version: &Version,
    preset: Preset,
    equals: &BTreeSet<OwnedUserId>,
    overrides: Option<&Map<String, Value>>,
) -> Map<String, Value> {
    let mut users = Map::new();
    if !version.privileges_creators() {
        users.extend(equals.iter().map(|user_id| (user_id.to_string(), CREATOR_LEVEL.into())));
    }
    let tombstone = if version.privileges_creators() { TOMBSTONE_LEVEL } else { CREATOR_LEVEL };
    let mut content = Map::new();
    for (name, level) in [("ban", 50), ("events_default", 0), ("invite", preset.invite_level()), ("kick", 50)] {
        content.insert(name.to_owned(), level.into());
    }
    for (name, level) in [("redact", 50), ("state_default", 50), ("users_default", 0)] {
        content.insert(name.to_owned(), level.into());
    }
    let events = json!({
        "m.room.avatar": 50,
        "m.room.canonical_alias": 50,
        "m.room.encryption": 100,
        "m.room.history_visibility": 100,
        "m.room.name": 50,
        "m.room.power_levels": 100,
        "m.room.server_acl": 100,
        "m.room.tombstone": tombstone,
    });
    content.insert("events".to_owned(), events);
    content.insert("users".to_owned(), users.into());
    for (name, value) in overrides.into_iter().flatten() {
        content.insert(name.clone(), value.clone());
    }
    if version.privileges_creators() {
        keep_tombstone_high(&mut content);
    }
    content
}

/// "The power level for sending `m.room.tombstone` events MUST explicitly be higher than `state_default`", unless the
/// overriding content names one itself.
fn keep_tombstone_high(content: &mut Map<String, Value>) {
    let state_default = content.get("state_default").and_then(Value::as_i64).unwrap_or(50);
    let level = TOMBSTONE_LEVEL.max(state_default.saturating_add(50));
    if let Some(Value::Object(events)) = content.get_mut("events") {
        let level_is_ours = events.get("m.room.tombstone").is_none_or(|named| *named == TOMBSTONE_LEVEL);
        if level_is_ours {
            events.insert("m.room.tombstone".to_owned(), level.into());
        }
    }
}
