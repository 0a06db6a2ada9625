//! One room of a classic answer.

use std::collections::BTreeMap;
use std::rc::Rc;

use ruma::OwnedRoomId;
use tern_model::{Hero, NoticeEvent, RawJson, RoomSeq, StreamPos};

use super::{ClassicRequest, events::write_sticky, filter::OfRoom, summary::write_counts};
use crate::event::{add_remaining, client_json, ended_join, member_of};
use crate::gather::{Gathered, Sources};
use crate::json::Object;
use crate::room_json::{HEROES, prev_batch};
use crate::slice::{Slice, Slices};
use crate::state::{MEMBER, Selector, StateNeed, StateRule};
use crate::view::{Forgotten, Membership, RoomView, UserView};
use crate::want::Want;

/// Bytes of all timelines of an answer, and what the timeline of each room has in any case.
const TIMELINES_BYTES: usize = 4 << 20;
const TIMELINE_BYTES: usize = 16 << 10;

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
pub(super) struct ClassicRoom<'a> {
    room: Rc<RoomView>,
    filter: OfRoom<'a>,
    body: Body,
}

#[derive(Debug)]
enum Body {
    /// Timeline and state. `new` to the client, or `lost`: the hub cannot tell any more what the client has of it.
    Full { want: Box<Want>, sources: Box<Sources>, new: bool, lost: bool },
    /// Stripped state.
    Stripped,
    /// An invite or knock that came to nothing, a room that is forgotten: the user's own member event.
    Refused(Option<Rc<NoticeEvent>>),
    /// Only what stands beside the timeline: account data, ephemeral events, counts.
    Beside,
}

impl<'a> ClassicRoom<'a> {
    /// `None` when the room has nothing to show.
    pub(super) fn make(
        view: &dyn UserView,
        request: &'a ClassicRequest,
        room: &Rc<RoomView>,
        since: Option<StreamPos>,
    ) -> Option<Self> {
        let filter = request.filter.room.of_room(room.room_id.as_str())?;
        let changed = since.is_none_or(|since| room.changed > since);
        let relisted = since.is_none_or(|since| room.relisted > since);
        let body = match Section::of(room.membership) {
            Section::Join if changed || request.full_state => Self::joined(view, request, filter, room, since),
            Section::Invite | Section::Knock if relisted => Body::Stripped,
            Section::Leave => Self::left(view, request, filter, room, since.filter(|_| relisted), since.is_none())?,
            _ => return None,
        };
        Some(Self { room: Rc::clone(room), filter, body })
    }

    /// A room in which only what stands beside the timeline changed.
    pub(super) fn beside(request: &'a ClassicRequest, room: &Rc<RoomView>) -> Option<Self> {
        let filter = request.filter.room.of_room(room.room_id.as_str())?;
        let stays = room.is_joined() || room.is_gone();
        stays.then(|| Self { room: Rc::clone(room), filter, body: Body::Beside })
    }

    /// A room that was left and forgotten since.
    pub(super) fn forgotten(request: &'a ClassicRequest, forgotten: Forgotten) -> Option<Self> {
        let filter = request.filter.room.of_room(forgotten.room.room_id.as_str())?;
        Some(Self { room: forgotten.room, filter, body: Body::Refused(Some(forgotten.event)) })
    }

    fn joined(
        view: &dyn UserView,
        request: &ClassicRequest,
        filter: OfRoom<'_>,
        room: &RoomView,
        since: Option<StreamPos>,
    ) -> Body {
        let known = since.and_then(|since| view.seq_at(&room.room_id, since));
        // Whoever joined since then gets the whole room; so does a client away for longer than the hub remembers.
        let lost = since.is_some() && known.is_none();
        Self::full(view, request, filter, room, known.filter(|seq| *seq >= room.joined && room.was_joined()), lost)
    }

    /// Only at the moment of leaving, or on demand.
    fn left(
        view: &dyn UserView,
        request: &ClassicRequest,
        filter: OfRoom<'_>,
        room: &RoomView,
        since: Option<StreamPos>,
        initial: bool,
    ) -> Option<Body> {
        if initial {
            let wanted = request.filter.room.include_leave && room.was_joined() && ended_join(view, room);
            return wanted.then(|| Self::full(view, request, filter, room, None, false));
        }
        let known = view.seq_at(&room.room_id, since?);
        if known.is_some_and(|seq| seq >= room.newest) {
            // Out by a resolution that left no event to say so.
            return (room.resolved > room.newest).then_some(Body::Refused(None));
        }
        // Of a room entered and left in between, or never entered, the leave alone is shown.
        if let Some(after) = known.filter(|seq| room.was_joined() && *seq >= room.joined && ended_join(view, room)) {
            return Some(Self::full(view, request, filter, room, Some(after), false));
        }
        let inbox = view.inbox(&room.room_id, RoomSeq(0));
        let own = |event: &Rc<NoticeEvent>| member_of(event) == Some(view.user_id().as_str());
        Some(Body::Refused(inbox.into_iter().rfind(own)))
    }

    fn full(
        view: &dyn UserView,
        request: &ClassicRequest,
        filter: OfRoom<'_>,
        room: &RoomView,
        after: Option<RoomSeq>,
        lost: bool,
    ) -> Body {
        // Whom of its members the client has to hear of cannot be told any more: it gets them all.
        let all_members = lost && room.joined < room.inbox_from;
        let lazy = filter.lazy_members() && !all_members;
        let new = after.is_none();
        // The heroes of a new room come with their member events, where it is called by them.
        let nameless =
            room.summary.iter().filter(|summary| summary.name.is_none() && summary.canonical_alias.is_none());
        let heroes = nameless.filter(|_| lazy && new).flat_map(|summary| summary.heroes.iter().take(HEROES + 1));
        let hero = |hero: &Hero| Selector { kind: Some(MEMBER.to_owned()), key: Some(hero.user_id.to_string()) };
        let include = std::iter::once(Selector::default()).chain(heroes.map(hero)).collect();
        let need = StateNeed::one(StateRule { include, exclude: Vec::new(), lazy });
        let beyond = if request.full_state && room.is_joined() { need.pairs() } else { Vec::new() };
        let sieved = filter.timeline.is_some_and(|timeline| !timeline.allows_all());
        let limit = if sieved { SIEVED } else { filter.limit() };
        let own = new || request.full_state || room.is_gone();
        let at_start = request.state_after.is_none();
        let want = Want { after, limit, expand: false, need, beyond, own, at_start, every_change: true };
        let sources = Sources::find(view, room, &want, &|_| false);
        Body::Full { want: Box::new(want), sources: Box::new(sources), new, lost }
    }

    pub(super) fn room_id(&self) -> &OwnedRoomId {
        &self.room.room_id
    }

    pub(super) const fn filter(&self) -> OfRoom<'a> {
        self.filter
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
        (slice, rooms): (Option<&Slice>, usize),
    ) {
        match &self.body {
            Body::Full { want, sources, lost, .. } => {
                let most = (TIMELINES_BYTES / rooms.max(1)).max(TIMELINE_BYTES);
                let gathered = self.write_timeline(out, view, (want, sources, most), slice, *lost);
                self.write_state(out, request, &gathered);
                if self.room.is_joined() {
                    let since = request.since(view.position()).filter(|_| want.after.is_some());
                    write_sticky(out, view, self.room_id(), since, &gathered.timeline);
                    write_counts(out, view, self.filter, &self.room, want, &gathered);
                }
            }
            Body::Stripped => {
                let name = if self.section() == Section::Knock { "knock_state" } else { "invite_state" };
                out.object(name, |out| out.array("events", self.room.stripped.iter().map(RawJson::text)));
            }
            Body::Refused(event) => {
                let events: Vec<&str> = event.iter().map(|event| event.client.text()).collect();
                out.object("timeline", |out| out.array("events", &events));
                self.write_state_events(out, request, if request.state_after.is_some() { events } else { Vec::new() });
            }
            Body::Beside => {
                if self.room.is_gone() {
                    out.object("timeline", |out| out.array::<&str>("events", []));
                }
                self.write_state_events(out, request, Vec::new());
            }
        }
    }

    /// Writes the timeline, and gives it with the state that goes with it.
    fn write_timeline<'s>(
        &self,
        out: &mut Object<'_>,
        view: &dyn UserView,
        (want, sources, most): (&Want, &'s Sources, usize),
        slice: Option<&'s Slice>,
        lost: bool,
    ) -> Gathered<'s> {
        let mut gathered = sources.timeline(want, slice);
        gathered.limited |= lost;
        // What relates to an event comes after it, so that only a timeline that has begun anew holds both.
        let anew = gathered.limited || gathered.timeline.len() > self.filter.limit() as usize;
        let mut aggregated = if anew { view.aggregated(&gathered.timeline) } else { BTreeMap::new() };
        sieve(self.filter, &mut gathered);
        weigh(most, &mut gathered);
        add_remaining(view, &self.room.room_id, &gathered.timeline, &mut aggregated);
        sources.collect_state(view.user_id().as_str(), want, slice, &|_| false, &mut gathered);
        if gathered.limited || !gathered.timeline.is_empty() || self.room.is_gone() {
            let events = gathered.timeline.iter().map(|event| client_json(event, view.device_id(), &aggregated));
            out.object("timeline", |out| {
                out.array("events", events);
                if gathered.limited {
                    out.flag("limited", true);
                }
                if gathered.limited || !gathered.timeline.is_empty() {
                    out.text("prev_batch", &prev_batch(&gathered.timeline, self.room.newest));
                }
            });
        }
        gathered
    }

    fn write_state(&self, out: &mut Object<'_>, request: &ClassicRequest, gathered: &Gathered<'_>) {
        let Some(filter) = self.filter.state else { return self.write_state_events(out, request, Vec::new()) };
        let state = gathered.state.iter().filter(|event| filter.allows(event)).map(|event| event.client.text());
        self.write_state_events(out, request, state.chain(gathered.members.iter().copied()).collect());
    }

    /// `state` of a joined room may be left out when it is empty, that of a left one is read by clients without a look
    /// whether it is there; `state_after` never may.
    fn write_state_events(&self, out: &mut Object<'_>, request: &ClassicRequest, events: Vec<&str>) {
        if let Some(name) = request.state_after {
            out.object(name.field(), |out| out.array("events", events));
        } else if !events.is_empty() || self.room.is_gone() {
            out.object("state", |out| out.array("events", events));
        }
    }
}

/// Leaves so many bytes of a timeline, and the newest event in any case: what is missing is read as history.
fn weigh(most: usize, gathered: &mut Gathered<'_>) {
    let mut bytes = 0;
    let fits = |event: &&&NoticeEvent| {
        bytes += event.client.text().len();
        bytes <= most
    };
    let kept = gathered.timeline.iter().rev().take_while(fits).count().max(1);
    let surplus = gathered.timeline.len().saturating_sub(kept);
    gathered.timeline.drain(..surplus);
    gathered.limited |= surplus > 0;
    gathered.gap |= surplus > 0;
}

/// Applies the timeline's filter, then its limit.
fn sieve(filter: OfRoom<'_>, gathered: &mut Gathered<'_>) {
    gathered.timeline.retain(|event| filter.timeline.is_some_and(|timeline| timeline.allows(event)));
    let surplus = gathered.timeline.len().saturating_sub(filter.limit() as usize);
    gathered.timeline.drain(..surplus);
    gathered.limited |= surplus > 0;
    gathered.gap |= surplus > 0;
}
