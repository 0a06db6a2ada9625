//! Collects a room's timeline and state from the hub's inbox and, where that does not reach, from a slice.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use tern_model::{NoticeEvent, RawJson, ResolvedState, RoomSeq};

use crate::event::{member_of, state_key};
use crate::slice::{Slice, SliceAsk};
use crate::speakers::{lazy_members, speakers};
use crate::state::MEMBER;
use crate::view::{RoomView, UserView};
use crate::want::Want;

/// Where it comes from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    inbox: Vec<Rc<NoticeEvent>>,
    members: Vec<RawJson>,
    pub(crate) ask: Option<SliceAsk>,
    /// The slice brings the timeline, not only state.
    sliced: bool,
    /// The inbox holds the room from its start.
    from_start: bool,
    /// The newest position the hub knew when the plan was made; a slice may know more, which is for the next answer.
    newest: RoomSeq,
    /// What state resolution changed.
    resolved: Vec<ResolvedState>,
}

/// What came together.
#[derive(Debug, Default)]
pub(crate) struct Gathered<'a> {
    /// Oldest first.
    pub(crate) timeline: Vec<&'a NoticeEvent>,
    /// Something is missing before it.
    pub(crate) limited: bool,
    /// It does not join up with what the client has.
    pub(crate) gap: bool,
    /// It starts before what the client has.
    pub(crate) expanded: bool,
    /// State, as of the end of the timeline or, if so wanted, of its start.
    pub(crate) state: Vec<&'a NoticeEvent>,
    /// Further member events, from the hub's memory.
    pub(crate) members: Vec<&'a str>,
    /// Types and keys of state that there is no more.
    pub(crate) gone: Vec<(&'a str, &'a str)>,
    /// Users of whom a member event is among `state` or `members`.
    pub(crate) shown: BTreeSet<String>,
}

impl Sources {
    /// Looks at the inbox and finds out what is missing. `knows` tells members that the client already has.
    pub(crate) fn find(view: &dyn UserView, room: &RoomView, want: &Want, knows: &dyn Fn(&str) -> bool) -> Self {
        let wants_nothing = want.limit == 0 && want.need.is_empty();
        let gap = match want.after {
            None => !wants_nothing,
            Some(after) => after < room.newest && !room.inbox_covers(after),
        };
        let mut inbox =
            view.inbox(&room.room_id, if gap || want.expand { RoomSeq(0) } else { want.after.unwrap_or(room.newest) });
        let enough = inbox.len() >= want.limit as usize || room.inbox_from.0 <= 1;
        let sliced = gap || (want.expand && !enough);
        let mut state = if want.after.is_none() || gap { want.need.pairs() } else { want.beyond.clone() };
        if want.own && sliced {
            state.push((MEMBER.to_owned(), view.user_id().to_string()));
        }
        let lazy = want.need.lazy();
        let (members, missing) = if lazy { lazy_members(view, room, want, &inbox, knows) } else { Default::default() };
        // Asked with `after`, a slice has only state that changed; what is wanted besides needs the whole.
        let delta = gap && !want.expand && want.beyond.is_empty();
        // All state at the start of a timeline that the inbox has: the slice is of that timeline, for what it replaced.
        let whole = want.at_start && !sliced && !want.beyond.is_empty();
        let ask = (sliced || !state.is_empty() || !missing.is_empty()).then(|| SliceAsk {
            room_id: room.room_id.clone(),
            after: want.after.filter(|_| delta),
            until: (whole || room.is_gone()).then_some(room.newest),
            limit: if sliced || whole { want.limit } else { 0 },
            state,
            members: missing,
            lazy: lazy && sliced,
            replaced: want.at_start && (sliced || whole),
        });
        if ask.is_some() && !gap && !want.expand {
            // The slice may be older than what the client has: its state is brought up to date from the inbox.
            inbox = view.inbox(&room.room_id, RoomSeq(0));
        }
        let resolved = if room.resolved.0 > 0 { view.resolved(room) } else { Vec::new() };
        Self { inbox, members, ask, sliced, from_start: room.inbox_from.0 <= 1, newest: room.newest, resolved }
    }

    /// Whether `slice` together with the inbox reaches the newest event.
    pub(crate) fn met(&self, room: &RoomView, slice: Option<&Slice>) -> bool {
        self.ask.is_none()
            || slice.is_some_and(|slice| slice.through >= room.newest || room.inbox_covers(slice.through))
    }

    /// Puts the parts together.
    pub(crate) fn gather<'a>(
        &'a self,
        own: &str,
        want: &Want,
        slice: Option<&'a Slice>,
        knows: &dyn Fn(&str) -> bool,
    ) -> Gathered<'a> {
        let mut gathered = self.timeline(want, slice);
        self.collect_state(own, want, slice, knows, &mut gathered);
        gathered
    }

    /// The timeline, without the state that goes with it.
    pub(crate) fn timeline<'a>(&'a self, want: &Want, slice: Option<&'a Slice>) -> Gathered<'a> {
        let (mut timeline, mut limited) = self.events(want, slice);
        let surplus = timeline.len().saturating_sub(want.limit as usize);
        limited |= surplus > 0;
        timeline.drain(..surplus);
        let expanded = want.expand && timeline.first().is_some_and(|event| Some(event.seq) <= want.after);
        // Asked for more than was needed: the client has what comes before.
        let joins = want.expand && timeline.first().is_some_and(|event| Some(event.seq.previous()) == want.after);
        limited &= !joins;
        let gap = limited && !expanded;
        Gathered { timeline, limited, gap, expanded, ..Gathered::default() }
    }

    /// Timeline events wanted, before they are cut to the limit.
    fn events<'a>(&'a self, want: &Want, slice: Option<&'a Slice>) -> (Vec<&'a NoticeEvent>, bool) {
        let after = if want.expand { RoomSeq(0) } else { want.after.unwrap_or_default() };
        let Some(slice) = slice.filter(|_| self.sliced) else {
            let events: Vec<_> = self.inbox.iter().map(Rc::as_ref).filter(|event| event.seq > after).collect();
            // Cut from the inbox; a room of which nothing is wanted has everything before it.
            return (events, (want.expand && !self.from_start) || (want.after.is_none() && self.inbox.is_empty()));
        };
        let tail = self.inbox.iter().map(Rc::as_ref).filter(|event| event.seq > slice.through);
        let events: Vec<_> =
            slice.timeline.iter().chain(tail).filter(|event| event.seq > after && event.seq <= self.newest).collect();
        let reaches = slice.timeline.first().is_some_and(|first| Some(first.seq) <= want.after) && !want.expand;
        (events, slice.limited && !reaches)
    }

    /// Adds the state that goes with a timeline.
    pub(crate) fn collect_state<'a>(
        &'a self,
        own: &str,
        want: &Want,
        slice: Option<&'a Slice>,
        knows: &dyn Fn(&str) -> bool,
        gathered: &mut Gathered<'a>,
    ) {
        let ends = if want.at_start { first_set(&gathered.timeline) } else { BTreeMap::new() };
        let (asked, changed) = self.newest_state(want, slice, &ends);
        let lazy = want.need.lazy();
        let speakers = if lazy { speakers(&gathered.timeline) } else { BTreeSet::new() };
        // Without a gap every change of a member is told, so that the client may keep a list of members.
        let every_change = lazy && want.after.is_some() && (want.every_change || !gathered.gap);
        // After a gap the client forgets the members it has.
        let has = |user: &str| !gathered.gap && knows(user);
        for (key, event) in &asked {
            let user = member_of(event);
            let news = changed.contains(key) || want.beyond.iter().any(|pair| covers(pair, *key));
            let wanted = (news && want.need.matches(key.0, key.1))
                || user.is_some_and(|user| {
                    (want.own && user == own)
                        || (every_change && changed.contains(key))
                        || (speakers.contains(user) && (!has(user) || changed.contains(key)))
                });
            if wanted {
                gathered.state.push(event);
                gathered.shown.extend(user.map(str::to_owned));
            }
        }
        if want.after.is_some() {
            let sent = |(kind, key): (&str, &str)| want.need.matches(kind, key) || (every_change && kind == MEMBER);
            let gone = changed.iter().filter(|key| !asked.contains_key(*key) && sent(**key));
            gathered.gone.extend(gone);
        }
        for raw in &self.members {
            let Some(user) = state_key(raw).filter(|user| speakers.contains(user) && !gathered.shown.contains(user))
            else {
                continue;
            };
            gathered.members.push(raw.text());
            gathered.shown.insert(user);
        }
    }

    /// The newest event of each piece of state that the sources hold, of those in `ends` the newest before that position,
    /// and which of them are news to the client.
    #[expect(clippy::type_complexity, reason = "a pair of local collections")]
    fn newest_state<'a>(
        &'a self,
        want: &Want,
        slice: Option<&'a Slice>,
        ends: &BTreeMap<(&str, &str), RoomSeq>,
    ) -> (BTreeMap<(&'a str, &'a str), &'a NoticeEvent>, BTreeSet<(&'a str, &'a str)>) {
        let over = |key: &(&str, &str), seq: RoomSeq| ends.get(key).is_some_and(|end| seq >= *end);
        let through = slice.map(|slice| slice.through);
        let from = match (want.after, through) {
            // What the timeline sets may have been set before, by an event that only the inbox has.
            _ if want.at_start => RoomSeq(0),
            (Some(after), Some(through)) => after.min(through),
            (after, through) => after.or(through).unwrap_or_default(),
        };
        let sliced = slice.into_iter().flat_map(|slice| slice.state.iter().chain(slice.timeline.iter()));
        let recent = self.inbox.iter().map(Rc::as_ref).filter(|event| event.seq > from);
        let mut state: BTreeMap<(&str, &str), &NoticeEvent> = BTreeMap::new();
        let mut changed = BTreeSet::new();
        for event in sliced.chain(recent) {
            let Some(key) = event.state_key.as_deref() else { continue };
            let key = (event.kind.as_str(), key);
            if over(&key, event.seq) {
                continue;
            }
            if state.get(&key).is_none_or(|known| known.seq < event.seq) {
                state.insert(key, event);
            }
            if Some(event.seq) > want.after {
                changed.insert(key);
            }
        }
        for resolved in self.resolved.iter().filter(|resolved| resolved.seq > from && resolved.seq <= self.newest) {
            let key = (resolved.kind.as_str(), resolved.state_key.as_str());
            // The event at that position lost to it.
            if over(&key, resolved.seq) || state.get(&key).is_some_and(|known| known.seq > resolved.seq) {
                continue;
            }
            match &resolved.event {
                Some(event) => drop(state.insert(key, event)),
                None => drop(state.remove(&key)),
            }
            if Some(resolved.seq) > want.after {
                changed.insert(key);
            }
        }
        (state, changed)
    }
}

/// Where a timeline first sets each piece of state that it sets.
fn first_set<'a>(timeline: &[&'a NoticeEvent]) -> BTreeMap<(&'a str, &'a str), RoomSeq> {
    let set = |event: &&'a NoticeEvent| Some(((event.kind.as_str(), event.state_key.as_deref()?), event.seq));
    timeline.iter().rev().filter_map(set).collect()
}

/// Whether a pair, `*` being a wildcard, stands for this type and key.
fn covers(pair: &(String, String), key: (&str, &str)) -> bool {
    (pair.0 == "*" || pair.0 == key.0) && (pair.1 == "*" || pair.1 == key.1)
}
