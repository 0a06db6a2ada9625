//! A room's summary and unread counts in a classic answer.

use tern_model::{NoticeEvent, RoomSummary};

use super::filter::OfRoom;
use crate::gather::Gathered;
use crate::json::Object;
use crate::room_json::HEROES;
use crate::view::{RoomView, Unread, UserView};
use crate::want::Want;

/// Writes both.
pub(super) fn write_counts(
    out: &mut Object<'_>,
    view: &dyn UserView,
    filter: OfRoom<'_>,
    room: &RoomView,
    want: &Want,
    gathered: &Gathered<'_>,
) {
    let named = |event: &&NoticeEvent| {
        matches!(event.kind.as_str(), "m.room.member" | "m.room.name" | "m.room.canonical_alias")
    };
    let changed = gathered.limited || gathered.timeline.iter().chain(&gathered.state).any(named);
    if let Some(summary) = room.summary.as_ref().filter(|_| changed || want.after.is_none()) {
        out.object("summary", |out| write_summary(out, summary, view));
    }
    let mut main = room.unread;
    if filter.timeline.is_some_and(|timeline| timeline.unread_thread_notifications) {
        for thread in room.threads.values() {
            main.notifications = main.notifications.saturating_sub(thread.notifications);
            main.highlights = main.highlights.saturating_sub(thread.highlights);
        }
        out.object("unread_thread_notifications", |out| {
            for (root, unread) in &room.threads {
                out.object(root, |out| write_unread(out, *unread));
            }
        });
    }
    out.object("unread_notifications", |out| write_unread(out, main));
}

fn write_unread(out: &mut Object<'_>, unread: Unread) {
    out.number("highlight_count", unread.highlights);
    out.number("notification_count", unread.notifications);
}

fn write_summary(out: &mut Object<'_>, summary: &RoomSummary, view: &dyn UserView) {
    if summary.name.is_none() && summary.canonical_alias.is_none() {
        let heroes = summary.heroes.iter().map(|hero| &hero.user_id).filter(|user_id| *user_id != view.user_id());
        out.texts("m.heroes", heroes.take(HEROES));
    }
    out.number("m.joined_member_count", summary.joined);
    out.number("m.invited_member_count", summary.invited);
}
