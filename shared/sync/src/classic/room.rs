//! One room of a classic answer.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomId};
use tern_model::{Hero, NoticeEvent, RawJson, Receipt, RoomSeq, RoomSummary, StreamPos};

use super::{ClassicRequest, RoomFilter, Token};
use crate::event::{add_remaining, client_json, ended_join, member_of, sticky_json};
use crate::extensions::{receipt_content, typing_content};
use crate::gather::{Gathered, Sources, Want};
use crate::json::Object;
use crate::room::{HEROES, prev_batch};
use crate::slice::{Slice, Slices};
use crate::state::{MEMBER, Selector, StateNeed, StateRule};
use crate::view::{Membership, RoomView, Unread, UserView};

/// How many events are read when only some of them pass the filter.
const SIEVED: u32 = 100;

/// Where in `rooms` a room stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Join,
    Invite,
    Knock,
    Leave,
}

impl Section {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Invite => "invite",
            Self::Knock => "knock",
            Self::Leave => "leave",
        }
    }

    const fn of(membership: Membership) -> Self {
        match membership {
            Membership::Join => Self::Join,
            Membership::Invite => Self::Invite,
            Membership::Knock => Self::Knock,
            Membership::Leave | Membership::Ban => Self::Leave,
        }
    }
}

/// A room to be written.
#[derive(Debug)]
pub(super) struct ClassicRoom {
    room: Rc<RoomView>,
    body: Body,
}

#[derive(Debug)]
enum Body {
    /// Timeline and state. `new` to the client, or `lost`: the hub cannot tell any more what the client has of it.
    Full { want: Box<Want>, sources: Box<Sources>, new: bool, lost: bool },
    /// Stripped state.
    Stripped,
    /// An invite or knock that came to nothing: the user's own member event.
    Refused(Option<Rc<NoticeEvent>>),
    /// Only what stands beside the timeline: account data, ephemeral events, counts.
    Beside,
}

impl ClassicRoom {
    /// `None` when the room has nothing to show.
    pub(super) fn make(
        view: &dyn UserView,
        request: &ClassicRequest,
        room: &Rc<RoomView>,
        since: Option<StreamPos>,
    ) -> Option<Self> {
        let changed = since.is_none_or(|since| room.changed > since);
        let relisted = since.is_none_or(|since| room.relisted > since);
        let body = match Section::of(room.membership) {
            Section::Join if changed || request.full_state => Self::joined(view, request, room, since),
            Section::Invite | Section::Knock if relisted => Body::Stripped,
            Section::Leave => Self::left(view, request, room, since.filter(|_| relisted), since.is_none())?,
            _ => return None,
        };
        Some(Self { room: Rc::clone(room), body })
    }

    /// A room in which only what stands beside the timeline changed.
    pub(super) fn beside(room: &Rc<RoomView>) -> Option<Self> {
        let stays = room.is_joined() || room.is_gone();
        stays.then(|| Self { room: Rc::clone(room), body: Body::Beside })
    }

    fn joined(view: &dyn UserView, request: &ClassicRequest, room: &RoomView, since: Option<StreamPos>) -> Body {
        let known = since.and_then(|since| view.seq_at(&room.room_id, since));
        // Whoever joined since then gets the whole room; so does a client away for longer than the hub remembers.
        let lost = since.is_some() && known.is_none();
        Self::full(view, request, room, known.filter(|seq| *seq >= room.joined && room.was_joined()), lost)
    }

    /// Only at the moment of leaving, or on demand.
    fn left(
        view: &dyn UserView,
        request: &ClassicRequest,
        room: &RoomView,
        since: Option<StreamPos>,
        initial: bool,
    ) -> Option<Body> {
        if initial {
            let wanted = request.filter.room.include_leave && room.was_joined() && ended_join(view, room);
            return wanted.then(|| Self::full(view, request, room, None, false));
        }
        let known = view.seq_at(&room.room_id, since?);
        if known.is_some_and(|seq| seq >= room.newest) {
            // Out by a resolution that left no event to say so.
            return (room.turned > room.newest).then_some(Body::Refused(None));
        }
        // Of a room entered and left in between, or never entered, the leave alone is shown.
        if let Some(after) = known.filter(|seq| room.was_joined() && *seq >= room.joined && ended_join(view, room)) {
            return Some(Self::full(view, request, room, Some(after), false));
        }
        let inbox = view.inbox(&room.room_id, RoomSeq(0));
        let own = |event: &Rc<NoticeEvent>| member_of(event) == Some(view.user_id().as_str());
        Some(Body::Refused(inbox.into_iter().rfind(own)))
    }

    fn full(
        view: &dyn UserView,
        request: &ClassicRequest,
        room: &RoomView,
        after: Option<RoomSeq>,
        lost: bool,
    ) -> Body {
        let filter = &request.filter.room;
        let lazy = filter.state.lazy_load_members;
        let new = after.is_none();
        // The heroes of a new room come with their member events, where it is called by them.
        let nameless =
            room.summary.iter().filter(|summary| summary.name.is_none() && summary.canonical_alias.is_none());
        let heroes = nameless.filter(|_| lazy && new).flat_map(|summary| summary.heroes.iter().take(HEROES + 1));
        let hero = |hero: &Hero| Selector { kind: Some(MEMBER.to_owned()), key: Some(hero.user_id.to_string()) };
        let include = std::iter::once(Selector::default()).chain(heroes.map(hero)).collect();
        let need = StateNeed::one(StateRule { include, exclude: Vec::new(), lazy });
        let beyond = if request.full_state && room.is_joined() { need.pairs() } else { Vec::new() };
        let limit = if filter.timeline.allows_all() { filter.timeline.limit() } else { SIEVED };
        let own = new || request.full_state || room.is_gone();
        let want = Want { after, limit, expand: false, need, beyond, own };
        let sources = Sources::find(view, room, &want, &|_| false);
        Body::Full { want: Box::new(want), sources: Box::new(sources), new, lost }
    }

    pub(super) fn room_id(&self) -> &OwnedRoomId {
        &self.room.room_id
    }

    pub(super) fn section(&self) -> Section {
        Section::of(self.room.membership)
    }

    /// The client does not know the room.
    pub(super) const fn is_new(&self) -> bool {
        matches!(self.body, Body::Full { new: true, .. })
    }

    pub(super) const fn sources(&self) -> Option<&Sources> {
        match &self.body {
            Body::Full { sources, .. } => Some(sources),
            _ => None,
        }
    }

    pub(super) fn is_met(&self, slices: &Slices) -> bool {
        self.sources().is_none_or(|sources| sources.met(&self.room, slices.get(&self.room.room_id)))
    }

    pub(super) fn write(
        &self,
        out: &mut Object<'_>,
        view: &dyn UserView,
        request: &ClassicRequest,
        slice: Option<&Slice>,
    ) {
        match &self.body {
            Body::Full { want, sources, lost, .. } => {
                let mut gathered = sources.gather(view.user_id().as_str(), want, slice, &|_| false);
                gathered.limited |= lost;
                self.write_full(out, view, request, want, gathered);
            }
            Body::Stripped => {
                let name = if self.section() == Section::Knock { "knock_state" } else { "invite_state" };
                out.object(name, |out| out.array("events", self.room.stripped.iter().map(RawJson::text)));
            }
            Body::Refused(event) => {
                out.object("timeline", |out| out.array("events", event.iter().map(|event| event.client.text())));
                if let Some(name) = request.state_after {
                    let events = event.iter().map(|event| event.client.text());
                    out.object(name.field(), |out| out.array("events", events));
                }
            }
            Body::Beside => {
                if let Some(name) = request.state_after {
                    out.object(name.field(), |out| out.array::<&str>("events", []));
                }
            }
        }
    }

    fn write_full(
        &self,
        out: &mut Object<'_>,
        view: &dyn UserView,
        request: &ClassicRequest,
        want: &Want,
        mut gathered: Gathered<'_>,
    ) {
        let filter = &request.filter.room;
        // What relates to an event comes after it, so that only a timeline that has begun anew holds both.
        let anew = gathered.limited || gathered.timeline.len() > filter.timeline.limit() as usize;
        let mut aggregated = if anew { view.aggregated(&gathered.timeline) } else { BTreeMap::new() };
        sieve(filter, &self.room.room_id, &mut gathered);
        add_remaining(view, &self.room.room_id, &gathered.timeline, &mut aggregated);
        let shown: BTreeSet<_> = gathered.timeline.iter().map(|event| &event.event_id).collect();
        out.object("timeline", |out| {
            if !gathered.timeline.is_empty() {
                out.array(
                    "events",
                    gathered.timeline.iter().map(|event| client_json(event, view.device_id(), &aggregated)),
                );
            }
            if gathered.limited {
                out.flag("limited", true);
            }
            if gathered.limited || !gathered.timeline.is_empty() {
                out.text("prev_batch", &prev_batch(&gathered.timeline, self.room.newest));
            }
        });
        // State before the timeline is what is left when the timeline's own changes are taken away.
        let in_timeline = |event: &NoticeEvent| request.state_after.is_none() && shown.contains(&event.event_id);
        let wanted = |event: &&&NoticeEvent| !in_timeline(event) && filter.state.allows(event);
        let state = gathered.state.iter().filter(wanted).map(|event| event.client.text());
        let mut state: Vec<&str> = state.chain(gathered.members.iter().copied()).collect();
        if !filter.state.allows_room(self.room.room_id.as_str()) {
            state.clear();
        }
        if let Some(name) = request.state_after {
            out.object(name.field(), |out| out.array("events", state));
        } else if !state.is_empty() {
            out.object("state", |out| out.array("events", state));
        }
        if self.room.is_joined() {
            self.write_sticky(out, view, request.since(view.position()).filter(|_| want.after.is_some()), &shown);
            self.write_counts(out, view, request, want, &gathered);
        }
    }

    /// Sticky events since `since`, all there are for a room that is new to the client, whatever its filter (MSC4354,
    /// "Sync API changes"). There are as many as the room allows.
    fn write_sticky(
        &self,
        out: &mut Object<'_>,
        view: &dyn UserView,
        since: Option<Token>,
        shown: &BTreeSet<&OwnedEventId>,
    ) {
        let since = since.unwrap_or_default().stream;
        if view.sticky_position() <= since {
            return;
        }
        let events = view.room_sticky(&self.room.room_id, since).into_iter();
        let events: Vec<String> = events
            .filter(|event| !shown.iter().any(|shown| **shown == event.event_id))
            .map(|event| sticky_json(&event))
            .collect();
        if !events.is_empty() {
            out.object("msc4354_sticky", |out| out.array("events", events));
        }
    }

    fn write_counts(
        &self,
        out: &mut Object<'_>,
        view: &dyn UserView,
        request: &ClassicRequest,
        want: &Want,
        gathered: &Gathered<'_>,
    ) {
        let named = |event: &&NoticeEvent| {
            matches!(event.kind.as_str(), "m.room.member" | "m.room.name" | "m.room.canonical_alias")
        };
        let changed = gathered.limited || gathered.timeline.iter().chain(&gathered.state).any(named);
        if let Some(summary) = self.room.summary.as_ref().filter(|_| changed || want.after.is_none()) {
            out.object("summary", |out| write_summary(out, summary, view));
        }
        let threads = &self.room.threads;
        let mut main = self.room.unread;
        if request.filter.room.timeline.unread_thread_notifications {
            for thread in threads.values() {
                main.notifications = main.notifications.saturating_sub(thread.notifications);
                main.highlights = main.highlights.saturating_sub(thread.highlights);
            }
            out.object("unread_thread_notifications", |out| {
                for (root, unread) in threads {
                    out.object(root, |out| write_unread(out, *unread));
                }
            });
        }
        out.object("unread_notifications", |out| write_unread(out, main));
    }
}

/// Applies the timeline's filter, then its limit.
fn sieve(filter: &RoomFilter, room_id: &RoomId, gathered: &mut Gathered<'_>) {
    let wanted = filter.timeline.allows_room(room_id.as_str());
    gathered.timeline.retain(|event| wanted && filter.timeline.allows(event));
    let surplus = gathered.timeline.len().saturating_sub(filter.timeline.limit() as usize);
    gathered.timeline.drain(..surplus);
    gathered.limited |= surplus > 0;
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

/// Typing and receipts as events.
pub(super) fn ephemeral(
    filter: &RoomFilter,
    typing: Option<&Vec<OwnedUserId>>,
    receipts: Option<&Vec<Receipt>>,
) -> Vec<String> {
    let event = |kind: &str, content: String| {
        filter.ephemeral.allows_kind(kind).then(|| format!("{{\"type\":\"{kind}\",\"content\":{content}}}"))
    };
    let typing = typing.map(|users| event("m.typing", typing_content(users)));
    let receipts =
        receipts.filter(|receipts| !receipts.is_empty()).map(|receipts| event("m.receipt", receipt_content(receipts)));
    [typing, receipts].into_iter().flatten().flatten().collect()
}
