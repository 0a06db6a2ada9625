//! The JSON of a room in a sliding sync answer: what of it the client does not know yet.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ruma::UserId;
use tern_model::{NoticeEvent, RoomSeq, RoomSummary};

use crate::event::{add_remaining, client_json};
use crate::gather::Gathered;
use crate::hash::fingerprint;
use crate::json::Object;
use crate::request::Shape;
use crate::sent::{Facts, RoomSentState};
use crate::view::{RoomView, UserView};
use crate::want::Want;

/// Most heroes shown.
pub(crate) const HEROES: usize = 5;

fn print_of(text: Option<&str>) -> u64 {
    text.map_or(0, fingerprint)
}

pub(crate) fn write_summary(out: &mut Object<'_>, summary: &RoomSummary, own: &UserId, facts: &mut Facts) {
    let changed = |fact: &mut u64, value: u64| std::mem::replace(fact, value) != value;
    if changed(&mut facts.name, print_of(summary.name.as_deref())) {
        out.nullable("name", summary.name.as_deref());
    }
    if changed(&mut facts.avatar, print_of(summary.avatar.as_deref())) {
        out.nullable("avatar", summary.avatar.as_deref());
    }
    if changed(&mut facts.joined, summary.joined) {
        out.number("joined_count", summary.joined);
    }
    if changed(&mut facts.invited, summary.invited) {
        out.number("invited_count", summary.invited);
    }
    // A room with a name is not called by its members.
    let heroes: Vec<String> = match summary.name {
        None => summary.heroes.iter().filter(|hero| hero.user_id != own).take(HEROES).map(hero_json).collect(),
        Some(_) => Vec::new(),
    };
    let print = if heroes.is_empty() { 0 } else { fingerprint(&heroes) };
    if changed(&mut facts.heroes, print) && print != 0 {
        out.array("heroes", heroes);
    }
}

fn hero_json(hero: &tern_model::Hero) -> String {
    let mut text = String::new();
    let mut out = Object::open(&mut text);
    out.text("user_id", hero.user_id.as_str());
    if let Some(name) = &hero.name {
        out.text("displayname", name);
    }
    if let Some(avatar) = &hero.avatar {
        out.text("avatar_url", avatar);
    }
    out.end();
    text
}

/// Some clients take absent counts for zero: whenever a room is sent, counts that are not zero go with it.
pub(crate) fn write_unread(out: &mut Object<'_>, room: &RoomView, facts: &mut Facts) {
    let (notifications, highlights) = (room.unread.notifications, room.unread.highlights);
    let changed = notifications != facts.notifications || highlights != facts.highlights;
    if changed || (out.len() > 0 && notifications + highlights > 0) {
        out.number("notification_count", notifications);
        out.number("highlight_count", highlights);
    }
    facts.notifications = notifications;
    facts.highlights = highlights;
}

pub(crate) fn write_events(
    view: &dyn UserView,
    shape: Shape,
    out: &mut Object<'_>,
    gathered: &Gathered<'_>,
    want: &Want,
    live_from: Option<RoomSeq>,
    room: &RoomView,
) {
    let (device_id, room_id, newest) = (view.device_id(), &room.room_id, room.newest);
    // Stubs came with the stable shape.
    let gone = if shape == Shape::Stable { &*gathered.gone } else { &[] };
    if !gathered.state.is_empty() || !gathered.members.is_empty() || !gone.is_empty() {
        let state = gathered.state.iter().map(|event| event.client.text().into());
        let members = gathered.members.iter().map(|event| Cow::Borrowed(*event));
        let stubs = gone.iter().map(|(kind, key)| Cow::Owned(stub(kind, key)));
        out.array("required_state", state.chain(members).chain(stubs));
    }
    if !gathered.timeline.is_empty() {
        // What relates to an event comes after it, so that only a timeline that has begun anew holds both.
        let mut aggregated = if gathered.limited { view.aggregated(&gathered.timeline) } else { BTreeMap::new() };
        add_remaining(view, room_id, &gathered.timeline, &mut aggregated);
        out.array("timeline", gathered.timeline.iter().map(|event| client_json(event, device_id, &aggregated)));
    }
    if gathered.limited {
        out.flag("limited", true);
        out.text("prev_batch", &prev_batch(&gathered.timeline, newest));
    }
    let live = want.after.or(live_from);
    let num_live = gathered.timeline.iter().filter(|event| live.is_some_and(|live| event.seq > live)).count();
    if num_live > 0 {
        out.number("num_live", num_live as u64);
    }
    if gathered.expanded {
        out.flag(if shape == Shape::Stable { "expanded_timeline" } else { "unstable_expanded_timeline" }, true);
    }
}

/// What stands for state that there is no more (MSC4186, "`StateStub` type").
fn stub(kind: &str, key: &str) -> String {
    let mut text = String::new();
    let mut out = Object::open(&mut text);
    out.text("type", kind);
    out.text("state_key", key);
    out.end();
    text
}

/// The token of the place before the timeline.
pub(crate) fn prev_batch(timeline: &[&NoticeEvent], newest: RoomSeq) -> String {
    let before = timeline.first().map_or(newest, |first| first.seq.previous());
    format!("t{}", before.0)
}

/// What the client knows of the room after this answer.
pub(crate) fn remember(sent: &mut RoomSentState, room: &RoomView, want: &Want, gathered: &Gathered<'_>) {
    sent.seq = room.newest;
    let afresh = want.after.is_none() || gathered.expanded;
    sent.held = if afresh || gathered.gap {
        want.limit
    } else {
        sent.held.saturating_add(u32::try_from(gathered.timeline.len()).unwrap_or(u32::MAX))
    };
    sent.complete = if afresh { !gathered.limited } else { sent.complete && !gathered.gap };
    if gathered.gap {
        sent.members.clear();
    }
    if want.need.lazy() {
        for user in &gathered.shown {
            sent.learn_member(user);
        }
    }
}
