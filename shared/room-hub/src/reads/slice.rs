//! A slice of the room for a sync answer, as the storage worker would give it.

use std::collections::{BTreeMap, BTreeSet};

use ruma::OwnedEventId;
use tern_model::{MatrixError, RoomSeq, StoredEvent};
use tern_ports::{
    ObjectHost, ask_storage,
    wire::{
        storage::SyncRooms,
        sync::{SyncAsk, SyncRoom},
    },
};

use crate::{
    RoomActor,
    reads::timeline::{Held, Page, Range, matches},
    timeline::head::Head,
};

/// Most timeline events of a slice.
const MOST_EVENTS: u32 = 500;

impl<H: ObjectHost> RoomActor<H> {
    /// The slice. What was trimmed comes from the storage worker; without it the timeline is shorter, and says so.
    pub(crate) async fn read_slice(&self, ask: &SyncAsk) -> Result<SyncRoom, MatrixError> {
        let reach = self.reach(&ask.user_id).await?;
        let head = self.room()?;
        let end = reach.end(head.newest);
        let until = ask.until.map_or(end, |until| until.min(end));
        let after = ask.after.unwrap_or_default();
        let range = Range { after, until, backwards: true };
        let Page { mut events, facts } = self.page(&head, &ask.user_id, range, ask.limit.min(MOST_EVENTS)).await?;
        events.reverse();
        let first_known = events.first().map_or(until, |event| event.seq.previous());
        if head.resolved > first_known {
            events = self.store().resolutions_after(first_known)?.effective(events);
        }
        let first = events.first().map_or(until.next(), |event| event.seq);
        let mut state = self.slice_state(&head, ask, until, &events).await?;
        if ask.replaced {
            state.extend(self.replaced_state(&head, ask, &events).await?);
            state.sort_by_key(|event| event.seq);
        }
        Ok(SyncRoom {
            room_id: self.room_id.clone(),
            through: head.newest,
            limited: first > after.next(),
            state,
            timeline: events,
            facts,
            summary: Some(self.summarise(&head)?),
            over: false,
        })
    }

    async fn slice_state(
        &self,
        head: &Head,
        ask: &SyncAsk,
        until: RoomSeq,
        timeline: &[StoredEvent],
    ) -> Result<Vec<StoredEvent>, MatrixError> {
        let senders: BTreeSet<&str> = timeline.iter().filter(|_| ask.lazy).map(|event| event.sender.as_str()).collect();
        let after = ask.after.unwrap_or_default();
        let mut found: BTreeMap<(RoomSeq, OwnedEventId), StoredEvent> = BTreeMap::new();
        let mut keep = |event: StoredEvent| drop(found.insert((event.seq, event.event_id.clone()), event));
        let members = senders.iter().copied().chain(ask.members.iter().map(String::as_str));
        if until < head.newest && (!ask.state.is_empty() || members.clone().next().is_some()) {
            for event in self.state_at(head, until, "*", "*").await? {
                let key = event.state_key.as_deref().unwrap_or_default();
                let asked = ask.state.iter().any(|(kind, wanted)| matches(kind, &event.kind) && matches(wanted, key));
                let named = |key: &str| senders.contains(key) || ask.members.iter().any(|user_id| user_id == key);
                let member = event.kind == "m.room.member" && named(key);
                if member || asked && event.seq > after {
                    keep(event);
                }
            }
            return Ok(found.into_values().collect());
        }
        for (kind, state_key) in &ask.state {
            // Of a large room, members are most of the state. Who loads them lazily has asked for none by a wildcard, or only
            // for those that changed.
            let found = match (kind.as_str(), state_key.as_str()) {
                ("m.room.member", "*") if ask.lazy && ask.after.is_none() => Vec::new(),
                ("*", "*") if ask.lazy && ask.after.is_none() => self.store().state_beside_members(after)?,
                pattern => self.store().state_like(pattern.0, pattern.1, after)?,
            };
            found.into_iter().for_each(&mut keep);
        }
        for member in members {
            self.store().state_like("m.room.member", member, RoomSeq::default())?.into_iter().for_each(&mut keep);
        }
        Ok(found.into_values().collect())
    }

    /// What the state events of a timeline replaced: the state of before it in their places. What is not here any more is
    /// asked of the storage worker, all of it at once.
    async fn replaced_state(
        &self,
        head: &Head,
        ask: &SyncAsk,
        timeline: &[StoredEvent],
    ) -> Result<Vec<StoredEvent>, MatrixError> {
        let at = timeline.first().map_or(RoomSeq(0), |first| first.seq.previous());
        if at.0 == 0 {
            return Ok(Vec::new());
        }
        let place = |event: &StoredEvent| Some((event.kind.clone(), event.state_key.clone()?));
        let places: BTreeSet<(String, String)> = timeline.iter().filter_map(place).collect();
        let (mut state, mut unknown) = (Vec::new(), BTreeSet::new());
        for place in places {
            let here = at >= head.tail;
            match if here { self.held_at(head, at, (&place.0, &place.1))? } else { Held::Unknown } {
                Held::Event(event) => state.push(*event),
                Held::Nothing => {}
                Held::Unknown => drop(unknown.insert(place)),
            }
        }
        if head.tail.0 > 0 && !unknown.is_empty() {
            state.extend(self.stored_places(ask, head.forwarded.min(at), unknown).await?);
        }
        state.retain(|event| event.seq > ask.after.unwrap_or_default());
        Ok(state)
    }

    async fn stored_places(
        &self,
        ask: &SyncAsk,
        at: RoomSeq,
        places: BTreeSet<(String, String)>,
    ) -> Result<Vec<StoredEvent>, MatrixError> {
        let ask = SyncAsk {
            after: None,
            until: Some(at),
            limit: 0,
            state: places.iter().cloned().collect(),
            members: Vec::new(),
            lazy: false,
            replaced: false,
            ..ask.clone()
        };
        let stored = ask_storage(&*self.host, SyncRooms { rooms: vec![ask] }).await?.pop();
        let mut state = stored.map(|room| room.state).unwrap_or_default();
        // A state key may be a star.
        state.retain(|event| places.contains(&(event.kind.clone(), event.state_key.clone().unwrap_or_default())));
        Ok(state)
    }
}
