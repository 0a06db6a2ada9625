//! Events beside the timeline of a classic answer.

use ruma::OwnedRoomId;
use tern_model::NoticeEvent;

use super::token::Token;
use crate::event::sticky_json;
use crate::json::Object;
use crate::view::UserView;

/// A section, unless it is empty.
pub(super) fn write_some(out: &mut Object<'_>, section: &str, events: Vec<String>) {
    out.object(section, |out| {
        if !events.is_empty() {
            out.array("events", events);
        }
    });
}

/// Sticky events since `since`, all there are for a room that is new to the client, whatever its filter (MSC4354,
/// "Sync API changes"). There are as many as the room allows.
pub(super) fn write_sticky(
    out: &mut Object<'_>,
    view: &dyn UserView,
    room_id: &OwnedRoomId,
    since: Option<Token>,
    shown: &[&NoticeEvent],
) {
    let since = since.unwrap_or_default().stream;
    if view.sticky_position() <= since {
        return;
    }
    let events = view.room_sticky(room_id, since).into_iter();
    let events = events.filter(|event| !shown.iter().any(|shown| shown.event_id == event.event_id));
    write_some(out, "msc4354_sticky", events.map(|event| sticky_json(&event)).collect());
}
