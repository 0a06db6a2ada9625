//! What a sync needs of rooms beyond the inbox: one question to the storage worker for all of them, and what it cannot
//! answer from the rooms' own hubs.

use std::collections::BTreeSet;

use futures::future::join_all;
use ruma::{OwnedRoomId, RoomId};
use tern_model::{MatrixError, NoticeEvent, StoredEvent};
use tern_ports::{
    ObjectHost, SqlError, WaitingPolls, ask_room, ask_storage,
    wire::{
        room::ReadSlice,
        storage::SyncRooms,
        sync::{SyncAsk, SyncRoom, VisibilityFacts},
    },
};
use tern_room::{
    client::{Form, client_event, with_membership},
    version::{self, Version},
    visibility::{Facts, may_see},
};
use tern_sync::{Slice, SliceAsk, Slices};

use super::{UserActor, ignored::is_unheard};

/// Rooms asked at a time: as many as an object may have connections.
const AT_A_TIME: usize = 6;

/// How much is loaded for one answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Rooms asked themselves.
    pub(super) hubs: usize,
    /// Bytes after which nothing more is asked for.
    pub(super) bytes: usize,
    /// What becomes of an answer to which that is not enough.
    pub(super) over: Over,
}

/// What becomes of an answer that is not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// The rest is in the next one.
    Owed,
    /// There is none.
    Refused,
}

/// What was loaded so far.
struct Loading {
    bounds: Bounds,
    bytes: usize,
    slices: Slices,
}

impl Loading {
    /// There is room for more.
    fn goes_on(&self) -> Result<bool, MatrixError> {
        if self.bytes > self.bounds.bytes && self.bounds.over == Over::Refused {
            return Err(MatrixError::too_large(
                "The rooms are too large for one answer: name fewer in a filter, or use sliding sync",
            ));
        }
        Ok(self.bytes <= self.bounds.bytes)
    }
}

fn bytes(room: &SyncRoom) -> usize {
    let unsigned = |event: &StoredEvent| event.unsigned.as_ref().map_or(0, |unsigned| unsigned.text().len());
    room.timeline.iter().chain(&room.state).map(|event| event.pdu.text().len() + unsigned(event)).sum()
}

/// The pair stands for any number of events.
fn is_wildcard((kind, state_key): &(String, String)) -> bool {
    kind == "*" || state_key == "*"
}

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// Loads `asks` within `bounds`; `unmet` tells which of them the slices so far do not answer.
    ///
    /// # Errors
    /// 413 when all of it is too much for an answer that must have it all.
    pub(super) async fn load_slices(
        &self,
        asks: Vec<SliceAsk>,
        bounds: Bounds,
        unmet: impl Fn(&Slices) -> Vec<SliceAsk>,
    ) -> Result<Slices, MatrixError> {
        let mut loading = Loading { bounds, bytes: 0, slices: Slices::new() };
        let mut stored = Vec::new();
        for ask in &asks {
            if self.may_be_stored(ask)? {
                stored.push(self.wire(ask));
            }
        }
        let left = self.load_stored(&mut loading, stored).await?;
        let unmet = unmet(&loading.slices).into_iter().filter(|ask| !left.contains(&ask.room_id));
        let missing: Vec<_> = unmet.take(bounds.hubs).map(|ask| self.wire(&ask)).collect();
        self.load_from_hubs(&mut loading, missing).await?;
        Ok(loading.slices)
    }

    /// What the storage worker has, an answer at a time. The rooms that it has more of than is wanted; none when it is out, so
    /// that the rooms' hubs are asked.
    async fn load_stored(
        &self,
        loading: &mut Loading,
        mut asks: Vec<SyncAsk>,
    ) -> Result<BTreeSet<OwnedRoomId>, MatrixError> {
        while !asks.is_empty() && loading.goes_on()? {
            let Ok(rooms) = ask_storage(&*self.host, SyncRooms { rooms: asks.clone() }).await else {
                return Ok(BTreeSet::new());
            };
            let over: BTreeSet<_> = rooms.iter().filter(|room| room.over).map(|room| room.room_id.clone()).collect();
            // A room that is not stored comes back at position zero.
            for room in rooms.into_iter().filter(|room| room.through.0 > 0) {
                self.take(loading, room)?;
            }
            asks.retain(|ask| over.contains(&ask.room_id));
        }
        loading.goes_on()?;
        Ok(asks.into_iter().map(|ask| ask.room_id).collect())
    }

    /// What only the rooms' hubs have: those one by one that may answer with all their state.
    async fn load_from_hubs(&self, loading: &mut Loading, asks: Vec<SyncAsk>) -> Result<(), MatrixError> {
        let (large, small): (Vec<_>, Vec<_>) = asks.into_iter().partition(|ask| ask.state.iter().any(is_wildcard));
        for (asks, at_a_time) in [(small, AT_A_TIME), (large, 1)] {
            for asks in asks.chunks(at_a_time) {
                if !loading.goes_on()? {
                    return Ok(());
                }
                let asked = asks.iter().map(|ask| ask_room(&*self.host, &ask.room_id, ReadSlice { ask: ask.clone() }));
                for room in join_all(asked).await.into_iter().flatten() {
                    self.take(loading, room)?;
                }
            }
        }
        loading.goes_on().map(drop)
    }

    /// Whether, by what is known here, storage reaches as far as the inbox begins.
    fn may_be_stored(&self, ask: &SliceAsk) -> Result<bool, SqlError> {
        let row = self.room_row(&ask.room_id)?;
        Ok(row.is_none_or(|row| ask.until.is_some() || row.forwarded.next() >= row.inbox_from))
    }

    fn wire(&self, ask: &SliceAsk) -> SyncAsk {
        SyncAsk {
            room_id: ask.room_id.clone(),
            user_id: self.user_id.clone(),
            after: ask.after,
            until: ask.until,
            limit: ask.limit,
            state: ask.state.clone(),
            lazy: ask.lazy,
            members: ask.members.clone(),
            replaced: ask.replaced,
        }
    }

    fn take(&self, loading: &mut Loading, mut room: SyncRoom) -> Result<(), SqlError> {
        loading.bytes += bytes(&room);
        self.add_own_join(&mut room)?;
        let version = self.room_version(&room.room_id)?;
        let ignored = self.ignored()?;
        let heard = |event: &NoticeEvent| !is_unheard(&ignored, event);
        let visible = |event: &StoredEvent| self.may_see(&room.facts, event);
        let view = self.room(&room.room_id)?;
        let encrypted = view.and_then(|view| view.summary.clone()).is_some_and(|summary| summary.encrypted);
        let facts = self.facts_of(&room.facts);
        // Each event goes as its client form comes to be, so that there are never two of all of them.
        let client = |event: StoredEvent| self.client_form(version, &event);
        let told = |event: StoredEvent| {
            let shown = self.client_form(version, &event)?;
            if !encrypted {
                return Some(shown);
            }
            let client = with_membership(&shown.client, facts.membership_at(event.seq));
            Some(NoticeEvent { client, ..shown })
        };
        let slice = Slice {
            through: room.through,
            timeline: room.timeline.into_iter().filter(visible).filter_map(told).filter(heard).collect(),
            limited: room.limited,
            state: room.state.into_iter().filter_map(client).collect(),
        };
        loading.slices.insert(room.room_id, slice);
        Ok(())
    }

    /// Storage may reach to the inbox and not know yet that the user is in the room, which decides what they may see of it.
    fn add_own_join(&self, room: &mut SyncRoom) -> Result<(), SqlError> {
        let view = self.room(&room.room_id)?;
        let join = view.filter(|view| view.is_joined() && view.joined > room.through);
        room.facts.membership.extend(join.map(|view| (view.joined, "join".to_owned())));
        Ok(())
    }

    pub(super) fn room_version(&self, room_id: &RoomId) -> Result<&'static Version, SqlError> {
        let room = self.room(room_id)?;
        let summary = room.as_ref().and_then(|room| room.summary.as_ref());
        Ok(summary.and_then(|summary| Version::known(&summary.version)).unwrap_or(version::DEFAULT))
    }

    pub(super) fn may_see(&self, facts: &VisibilityFacts, event: &StoredEvent) -> bool {
        may_see(&self.facts_of(facts), event.seq, &event.kind, event.state_key.as_deref())
    }

    fn facts_of<'a>(&'a self, facts: &'a VisibilityFacts) -> Facts<'a> {
        Facts { user_id: &self.user_id, history: &facts.history, membership: &facts.membership }
    }

    /// Transaction ids are only for the user's own devices.
    pub(super) fn client_form(&self, version: &Version, event: &StoredEvent) -> Option<NoticeEvent> {
        Some(NoticeEvent {
            seq: event.seq,
            event_id: event.event_id.clone(),
            kind: event.kind.clone(),
            sender: event.sender.as_str().try_into().ok()?,
            state_key: event.state_key.clone(),
            ts: event.ts,
            client: client_event(version, event, Form::default()).ok()?,
            txn: event.txn.clone().filter(|_| event.sender == self.user_id.as_str()),
            redacts: None,
            pings_room: false,
        })
    }
}
