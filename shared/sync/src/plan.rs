//! The first half of a step: which rooms have something to say, and what is missing to say it.

use std::collections::BTreeMap;

use tern_model::StreamPos;

use crate::conn::Connection;
use crate::list::Windows;
use crate::memory::Memory;
use crate::request::Request;
use crate::room::RoomPlan;
use crate::sent::{ListSentState, Parts};
use crate::slice::{SliceAsk, Slices};
use crate::view::UserView;

/// What a step is going to answer.
#[derive(Debug, Default)]
pub struct Plan {
    /// Nothing at all can have changed.
    pub(crate) idle: bool,
    /// The view's position when the plan was made: what comes later is for the next step.
    pub(crate) at: StreamPos,
    pub(crate) rooms: Vec<RoomPlan>,
    pub(crate) lists: BTreeMap<String, ListSentState>,
}

impl Plan {
    /// Slices to be loaded before [`answer`](crate::answer::answer); none for live updates.
    pub fn asks(&self) -> Vec<SliceAsk> {
        self.rooms.iter().filter_map(|room| room.sources()?.ask.clone()).collect()
    }

    /// Of [`Self::asks`], those that `slices` does not answer up to the newest event: to be asked of the rooms' hubs. A room
    /// that stays unmet is left out of the answer and looked at again in the next step.
    pub fn unmet(&self, slices: &Slices) -> Vec<SliceAsk> {
        let unmet = self.rooms.iter().filter(|room| !room.is_met(slices));
        unmet.filter_map(|room| room.sources()?.ask.clone()).collect()
    }

    /// Nothing can have changed since the connection's position: no room has been looked at, and the answer will be quiet.
    pub const fn is_idle(&self) -> bool {
        self.idle
    }
}

impl RoomPlan {
    /// Everything it asks for is there.
    pub(crate) fn is_met(&self, slices: &Slices) -> bool {
        self.sources().is_none_or(|sources| sources.met(&self.room, slices.get(&self.room.room_id)))
    }
}

/// Looks at what changed since the connection's position.
pub fn plan(view: &dyn UserView, parts: &dyn Parts, conn: &Connection, request: &Request) -> Plan {
    let sent = conn.sent();
    let at = view.position();
    let same = !conn.is_new() && sent.request == request.fingerprint && sent.at == at;
    if same && sent.owed.is_empty() && sent.extensions.is_settled(request, view.typing_position()) {
        return Plan { idle: true, at, lists: sent.lists.clone(), ..Plan::default() };
    }
    let memory = Memory::new(conn, parts);
    let changed = if conn.is_new() { None } else { Windows::changed(view, &memory, request, sent) };
    let windows = changed.unwrap_or_else(|| Windows::all(view, &memory, request));
    let rooms = windows.rooms.values().filter_map(|matched| {
        let known = memory.sent(&matched.room.room_id);
        RoomPlan::make(view, conn, matched, known)
    });
    let gone = !conn.is_new() && view.relisted() > sent.at;
    let gone = if gone { view.forgotten(sent.at) } else { Vec::new() };
    let untold = gone.into_iter().filter_map(|forgotten| RoomPlan::forgotten(&memory, forgotten));
    Plan { idle: false, at, rooms: rooms.chain(untold).collect(), lists: windows.lists }
}
