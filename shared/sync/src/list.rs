//! Lists: which rooms are in a list's window (MSC4186, "Lists").

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ruma::{OwnedRoomId, RoomId};
use tern_model::StreamPos;

use crate::filter::Matcher;
use crate::memory::Memory;
use crate::request::{ListRequest, Request, RoomConfig};
use crate::sent::ListSentState;
use crate::sent_answers::SentState;
use crate::view::{RoomView, UserView};

/// A room that a rule of the request matches.
#[derive(Clone, Debug)]
pub(crate) struct Matched {
    pub(crate) room: Rc<RoomView>,
    /// All matching rules together.
    pub(crate) config: RoomConfig,
    /// Names of the lists that match.
    pub(crate) lists: Vec<String>,
}

/// Rooms to look at.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    pub(crate) rooms: BTreeMap<OwnedRoomId, Matched>,
    pub(crate) lists: BTreeMap<String, ListSentState>,
}

impl Windows {
    fn put(&mut self, room: &Rc<RoomView>, config: &RoomConfig, list: Option<&str>) {
        let fresh = || Matched { room: Rc::clone(room), config: RoomConfig::default(), lists: Vec::new() };
        let matched = self.rooms.entry(room.room_id.clone()).or_insert_with(fresh);
        matched.config.add(config);
        matched.lists.extend(list.map(str::to_owned));
    }

    /// Goes through all rooms.
    pub(crate) fn all(view: &dyn UserView, memory: &Memory<'_>, request: &Request) -> Self {
        let mut windows = Self::default();
        let mut rooms = if request.lists.is_empty() { Vec::new() } else { view.rooms() };
        rooms.retain(|room| is_listed(room, memory));
        rooms.sort_by_key(|room| std::cmp::Reverse(room.activity));
        for (name, list) in &request.lists {
            let matcher = Matcher::new(view, &list.filter);
            let mut sent = ListSentState::default();
            for room in rooms.iter().filter(|room| matcher.matches(room)) {
                if list.contains(sent.count) {
                    windows.put(room, &list.config, Some(name));
                    sent.floor = room.activity;
                }
                sent.count += 1;
            }
            if list.end().is_none_or(|end| sent.count <= end + 1) {
                sent.floor = StreamPos(0);
            }
            windows.lists.insert(name.clone(), sent);
        }
        for (room_id, config) in &request.subscriptions {
            if let Some(room) = view.room(room_id).filter(|room| is_visible(room)) {
                windows.put(&room, config, None);
            }
        }
        windows
    }

    /// Goes through rooms that changed since `sent`, and only those. Possible while no room moved into or out of a
    /// list: then a room with new activity is at the top, and every other one is where it was or lower. `None` when
    /// that does not decide.
    pub(crate) fn changed(
        view: &dyn UserView,
        memory: &Memory<'_>,
        request: &Request,
        sent: &SentState,
    ) -> Option<Self> {
        let simple = request.lists.values().all(ListRequest::starts_at_top);
        if request.rules != sent.rules || view.relisted() > sent.at || !simple {
            return None;
        }
        let news = view.position() > sent.at && !(request.lists.is_empty() && request.subscriptions.is_empty());
        let mut rooms = if news { view.changed_rooms(sent.at) } else { Vec::new() };
        let known: BTreeSet<_> = rooms.iter().map(|room| room.room_id.clone()).collect();
        rooms.extend(sent.owed.difference(&known).filter_map(|room_id| view.room(room_id)));
        rooms.sort_by_key(|room| std::cmp::Reverse(room.activity));
        let mut windows = Self { lists: sent.lists.clone(), ..Self::default() };
        for (name, list) in &request.lists {
            windows.raise(view, memory, (name, list), &rooms, sent.at)?;
        }
        for room in rooms.iter().filter(|room| is_visible(room)) {
            if let Some(config) = request.subscriptions.get(&room.room_id) {
                windows.put(room, config, None);
            }
        }
        Some(windows)
    }

    fn raise(
        &mut self,
        view: &dyn UserView,
        memory: &Memory<'_>,
        (name, list): (&str, &ListRequest),
        rooms: &[Rc<RoomView>],
        at: StreamPos,
    ) -> Option<()> {
        let mut sent = self.lists.get(name)?.clone();
        let matcher = Matcher::new(view, &list.filter);
        let mut risen = 0;
        for room in rooms.iter().filter(|room| is_listed(room, memory) && matcher.matches(room)) {
            let inside = if room.activity > at {
                risen += 1;
                sent.drifted |= sent.floor.0 > 0;
                list.contains(risen - 1)
            } else if sent.floor.0 == 0 || room.activity < sent.floor {
                sent.floor.0 == 0
            } else if sent.drifted {
                return None;
            } else {
                true
            };
            if inside {
                self.put(room, &list.config, Some(name));
            }
        }
        self.lists.insert(name.to_owned(), sent);
        Some(())
    }
}

impl ListRequest {
    fn contains(&self, index: u64) -> bool {
        let inside = |(start, end): &(u64, u64)| (*start..=*end).contains(&index);
        self.ranges.as_ref().is_none_or(|ranges| ranges.iter().any(inside))
    }

    /// Last index of the window; `None` when it has no end.
    fn end(&self) -> Option<u64> {
        self.ranges.as_ref().map(|ranges| ranges.iter().map(|(_, end)| *end).max().unwrap_or_default())
    }

    /// The window is one range from the top.
    fn starts_at_top(&self) -> bool {
        self.ranges.as_ref().is_none_or(|ranges| matches!(ranges.as_slice(), [(0, _)]))
    }
}

/// Whether the room is on the server's list: rooms the user left only if the client has seen them, rooms the user was
/// removed from always, but not when they never were in them (MSC4186, "Lists").
fn is_listed(room: &RoomView, memory: &Memory<'_>) -> bool {
    !room.is_gone() || (room.removed && room.was_joined()) || memory.knows(&room.room_id)
}

/// Whether a subscription may show the room.
fn is_visible(room: &RoomView) -> bool {
    !room.is_gone() || room.was_joined()
}

/// Whether a per-room extension speaks of a room: by a list it belongs to, or by a subscription.
pub(crate) fn in_scope(
    scope: &crate::request::Scope,
    request: &Request,
    view: &dyn UserView,
    room_id: &RoomId,
) -> bool {
    if scope.names_room(room_id) || (request.subscriptions.contains_key(room_id) && scope.has_room(room_id)) {
        return true;
    }
    let mut lists = request.lists.iter().filter(|(name, _)| scope.has_list(name)).map(|(_, list)| list).peekable();
    if lists.peek().is_none() {
        return false;
    }
    view.room(room_id).is_some_and(|room| lists.any(|list| Matcher::new(view, &list.filter).matches(&room)))
}
