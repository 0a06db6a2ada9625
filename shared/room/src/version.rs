//! Which room versions this server makes and takes part in. The only file that names versions.

use ruma::{OwnedEventId, room_version_rules::RoomVersionRules};
use tern_model::Pdu;

/// A supported room version and its rules as data.
#[derive(Debug)]
pub struct Version {
    /// Its name, as in `m.room.create`.
    pub id: &'static str,
    /// What differs between versions.
    pub rules: RoomVersionRules,
}

static V1: Version = Version { id: "1", rules: RoomVersionRules::V1 };
static V2: Version = Version { id: "2", rules: RoomVersionRules::V2 };
static V3: Version = Version { id: "3", rules: RoomVersionRules::V3 };
static V4: Version = Version { id: "4", rules: RoomVersionRules::V4 };
static V5: Version = Version { id: "5", rules: RoomVersionRules::V5 };
static V6: Version = Version { id: "6", rules: RoomVersionRules::V6 };
static V7: Version = Version { id: "7", rules: RoomVersionRules::V7 };
static V8: Version = Version { id: "8", rules: RoomVersionRules::V8 };
static V9: Version = Version { id: "9", rules: RoomVersionRules::V9 };
static V10: Version = Version { id: "10", rules: RoomVersionRules::V10 };
static V11: Version = Version { id: "11", rules: RoomVersionRules::V11 };
static V12: Version = Version { id: "12", rules: RoomVersionRules::V12 };

/// Every version whose events can be read, checked and resolved, oldest first.
pub static KNOWN: [&Version; 12] = [&V1, &V2, &V3, &V4, &V5, &V6, &V7, &V8, &V9, &V10, &V11, &V12];

/// Every version that new rooms may have, oldest first. Versions before 6 do not enforce canonical JSON and are for
/// rooms that exist elsewhere.
pub static SUPPORTED: [&Version; 7] = [&V6, &V7, &V8, &V9, &V10, &V11, &V12];

/// The version of a room whose creator names none: Matrix 1.16 and later, "Room Versions": "Servers SHOULD use room
/// version 12 as the default room version when creating new rooms" (MSC4304).
pub static DEFAULT: &Version = &V12;

/// The version that a room is taken for of which nothing is known.
pub(crate) static PRESUMED: &Version = &V11;

impl Version {
    /// The supported version called `id`.
    pub fn find(id: &str) -> Option<&'static Self> {
        SUPPORTED.iter().copied().find(|version| version.id == id)
    }

    /// The version called `id`, even if no new room may have it.
    pub fn known(id: &str) -> Option<&'static Self> {
        KNOWN.iter().copied().find(|version| version.id == id)
    }

    /// Events carry their id, made up by their server (room versions 1 and 2, "Event IDs").
    pub fn event_id_in_event(&self) -> bool {
        self.rules.event_format.require_event_id
    }

    /// References to events carry hashes (room versions 1 and 2, "Event format").
    pub fn hashes_in_references(&self) -> bool {
        self.event_id_in_event()
    }

    /// The room's id is the create event's id (room version 12, "Event format").
    pub fn room_id_is_create_hash(&self) -> bool {
        self.rules.authorization.room_create_event_id_as_room_id
    }

    /// Creators stand above all power levels (room version 12, "Authorisation rules").
    pub fn privileges_creators(&self) -> bool {
        self.rules.authorization.explicitly_privilege_room_creators
    }

    /// `redacts` sits in the content (room version 11, "Redactions").
    pub fn redacts_in_content(&self) -> bool {
        self.rules.redaction.content_field_redacts
    }

    /// `m.room.create` names its creator in the content (room versions before 11).
    pub fn creator_in_content(&self) -> bool {
        !self.rules.authorization.use_room_create_sender
    }

    /// Keys that had expired when an event was made do not sign it (room version 5, "Signing key validity period").
    pub fn enforces_key_validity(&self) -> bool {
        self.rules.enforce_key_validity
    }

    /// The create event of `pdu`'s room, where the room's id is made of its id; `None` for the create event itself.
    pub(crate) fn create_event_of(&self, pdu: &Pdu) -> Option<OwnedEventId> {
        let hash = pdu.room().filter(|_| self.room_id_is_create_hash())?.as_str().strip_prefix('!')?;
        OwnedEventId::try_from(format!("${hash}")).ok()
    }
}
