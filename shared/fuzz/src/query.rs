//! Filters, of lists of events and of classic sync.

use ruma::room_id;
use tern_room::filter::RoomEventFilter;
use tern_sync::Filter;

/// Both kinds are read, and asked what they let pass.
pub(crate) fn filter(data: &[u8]) {
    let Some(raw) = crate::input::json(data) else { return };
    if let Ok(filter) = RoomEventFilter::read(Some(&raw)) {
        let _asked = (filter.excludes_room(room_id!("!room:example.org")), filter.passes_type("m.room.message"));
    }
    if let Ok(filter) = Filter::parse(&raw) {
        let _asked = filter.presence.allows_kind("m.presence") | filter.room.ephemeral.allows_kind("m.typing");
    }
}
