//! `org.matrix.msc4354.sticky_events` (MSC4480): every sticky event of the rooms that lists match or the client subscribes
//! to, once, until its token comes back as `since`, as with to-device messages.

use std::collections::BTreeMap;

use tern_model::StreamPos;

use super::Known;
use super::sent::StickySentState;
use crate::event::sticky_json;
use crate::filter::Matcher;
use crate::hash::fingerprint;
use crate::json::Object;
use crate::request::{Request, StickyRequest};
use crate::view::Sticky;

/// Events looked at in one go.
const PAGE: usize = 100;

pub(super) fn write(
    out: &mut Object<'_>,
    known: &Known<'_>,
    request: StickyRequest,
    before: Option<&StickySentState>,
) -> StickySentState {
    let scope = scope(known.request);
    // A token from the future is of another life of this account, and other lists are of rooms not spoken of before.
    let begins = before.is_some_and(|sent| sent.scope != scope);
    let since = request.since.filter(|since| *since <= known.view.position() && !begins).unwrap_or_default();
    let (events, more) = wanted(known, since, request.limit);
    let Some(newest) = events.last().map(|event| event.at) else {
        let token = before.and_then(|sent| sent.token).filter(|sent| *sent <= request.since.unwrap_or_default());
        return StickySentState { token, more: false, scope };
    };
    let mut rooms: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for event in &events {
        let shown = known.shown.get(&event.room_id).is_some_and(|shown| shown.events.contains(&event.event_id));
        if !shown {
            rooms.entry(&event.room_id).or_default().push(sticky_json(event));
        }
    }
    out.object("org.matrix.msc4354.sticky_events", |out| {
        out.text("next_batch", &newest.0.to_string());
        out.object("rooms", |out| {
            for (room_id, events) in rooms {
                out.object(room_id.as_str(), |out| out.array("events", events));
            }
        });
    });
    StickySentState { token: Some(newest), more, scope }
}

/// At most `limit` events after `since`, the oldest first, and whether that was the limit.
fn wanted(known: &Known<'_>, since: StreamPos, limit: usize) -> (Vec<Sticky>, bool) {
    let mut wanted: Vec<Sticky> = Vec::new();
    let mut at = since;
    while at < known.view.sticky_position() {
        let page = known.view.sticky(at, PAGE);
        let Some(last) = page.last() else { break };
        at = last.at;
        for event in page {
            if is_of_interest(known, &event) {
                wanted.push(event);
            }
            if wanted.len() == limit {
                return (wanted, true);
            }
        }
    }
    (wanted, false)
}

/// The client is interested in a room that a list matches, wherever its window ends, and in one it subscribes to.
fn is_of_interest(known: &Known<'_>, event: &Sticky) -> bool {
    let Some(room) = known.view.room(&event.room_id).filter(|room| room.is_joined()) else { return false };
    let request = known.request;
    let mut lists = request.lists.values();
    request.subscriptions.contains_key(&event.room_id)
        || lists.any(|list| Matcher::new(known.view, &list.filter).matches(&room))
}

fn scope(request: &Request) -> u64 {
    fingerprint(&request.lists.values().map(|list| &list.filter).collect::<Vec<_>>())
}
