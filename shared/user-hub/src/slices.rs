//! What a sync needs of rooms beyond the inbox: one question to the storage worker for all of them, and what it cannot
//! answer from the rooms' own hubs.

use futures::{StreamExt, stream};
use ruma::RoomId;
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

use super::{UserActor, ignored::is_unheard, store::rooms};

/// Rooms asked at a time: as many as an object may have connections.
const AT_A_TIME: usize = 6;

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// Loads `asks`; `unmet` tells which of them the slices so far do not answer. At most `hubs` rooms are asked themselves.
    pub(super) async fn load_slices(
        &self,
        asks: Vec<SliceAsk>,
        hubs: usize,
        unmet: impl Fn(&Slices) -> Vec<SliceAsk>,
    ) -> Result<Slices, MatrixError> {
        let mut slices = Slices::new();
        let mut stored = Vec::new();
        for ask in &asks {
            if self.may_be_stored(ask)? {
                stored.push(self.wire(ask));
            }
        }
        if !stored.is_empty()
            && let Ok(rooms) = ask_storage(&*self.host, SyncRooms { rooms: stored }).await
        {
            // A room that is not stored comes back at position zero.
            for room in rooms.into_iter().filter(|room| room.through.0 > 0) {
                self.take(&mut slices, room)?;
            }
        }
        let missing: Vec<_> = unmet(&slices).into_iter().take(hubs).map(|ask| self.wire(&ask)).collect();
        let asked = missing.into_iter().map(|ask| async move {
            let room_id = ask.room_id.clone();
            ask_room(&*self.host, &room_id, ReadSlice { ask }).await
        });
        let answers: Vec<_> = stream::iter(asked).buffer_unordered(AT_A_TIME).collect().await;
        for room in answers.into_iter().flatten() {
            self.take(&mut slices, room)?;
        }
        Ok(slices)
    }

    /// Whether, by what is known here, storage reaches as far as the inbox begins.
    fn may_be_stored(&self, ask: &SliceAsk) -> Result<bool, SqlError> {
        let row = rooms::load(self.host.sql(), &ask.room_id)?;
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

    fn take(&self, slices: &mut Slices, mut room: SyncRoom) -> Result<(), SqlError> {
        self.add_own_join(&mut room)?;
        let version = self.room_version(&room.room_id)?;
        let ignored = self.ignored()?;
        let heard = |event: &NoticeEvent| !is_unheard(&ignored, event);
        let visible = |event: &&StoredEvent| self.may_see(&room.facts, event);
        let view = self.room(&room.room_id)?;
        let encrypted = view.and_then(|view| view.summary.clone()).is_some_and(|summary| summary.encrypted);
        let facts = self.facts_of(&room.facts);
        let client = |event: &StoredEvent| self.client_form(version, event);
        let told = |event: &StoredEvent| {
            let shown = client(event)?;
            if !encrypted {
                return Some(shown);
            }
            let client = with_membership(&shown.client, facts.membership_at(event.seq));
            Some(NoticeEvent { client, ..shown })
        };
        let slice = Slice {
            through: room.through,
            timeline: room.timeline.iter().filter(visible).filter_map(told).filter(heard).collect(),
            limited: room.limited,
            state: room.state.iter().filter_map(client).collect(),
        };
        slices.insert(room.room_id, slice);
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
