//! Which events a room's summary depends on.

use tern_model::StoredEvent;

/// The event may change what a summary says.
pub(crate) fn affects_summary(event: &StoredEvent) -> bool {
    matches!(
        event.kind.as_str(),
        "m.room.name"
            | "m.room.avatar"
            | "m.room.canonical_alias"
            | "m.room.topic"
            | "m.room.create"
            | "m.room.join_rules"
            | "m.room.encryption"
            | "m.room.tombstone"
            | "m.room.member"
            | "m.room.redaction"
            | "m.space.child"
    )
}
