//! A slice of the room for a sync answer, as the storage worker would give it.

use std::collections::{BTreeMap, BTreeSet};

use ruma::OwnedEventId;
use tern_model::{MatrixError, RoomSeq, StoredEvent};
use tern_ports::{
    ObjectHost,
    wire::sync::{SyncAsk, SyncRoom},
};

use super::{
    RoomActor,
    store::Head,
    timeline::{Page, Range, matches},
};

/// Most timeline events of a slice.
const MOST_EVENTS: u32 = 500;

impl<H: ObjectHost> RoomActor<H> {
    /// The slice. What was trimmed comes from the storage worker; without it the timeline is shorter, and says so.
    pub(super) async fn read_slice(&self, ask: &SyncAsk) -> Result<SyncRoom, MatrixError> {
        let reach = self.reach(&ask.user_id).await?;
        let head = self.room()?;
        let end = reach.end(head.newest);
        let until = ask.until.map_or(end, |until| until.min(end));
        let after = ask.after.unwrap_or_default();
        let range = Range { after, until, backwards: true };
        let Page { mut events, facts } = self.page(&head, &ask.user_id, range, ask.limit.min(MOST_EVENTS)).await?;
        events.reverse();
        let first_known = events.first().map_or(until, |event| event.seq.previous());
        if head.turned > first_known {
            events = self.store().turns_after(first_known)?.effective(events);
        }
        let first = events.first().map_or(until.next(), |event| event.seq);
        Ok(SyncRoom {
            room_id: self.room_id.clone(),
            through: head.newest,
            limited: first > after.next(),
            state: self.slice_state(&head, ask, until, &events).await?,
            timeline: events,
            facts,
            summary: Some(self.summarise(&head)?),
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
        if until < head.newest && (!ask.state.is_empty() || !senders.is_empty()) {
            for event in self.state_at(head, until, "*", "*").await? {
                let key = event.state_key.as_deref().unwrap_or_default();
                let asked = ask.state.iter().any(|(kind, wanted)| matches(kind, &event.kind) && matches(wanted, key));
                let sender = event.kind == "m.room.member" && senders.contains(key);
                if sender || asked && event.seq > after {
                    keep(event);
                }
            }
            return Ok(found.into_values().collect());
        }
        for (kind, state_key) in &ask.state {
            // Of a large room, members are most of the state. Who loads them lazily has asked for none by a wildcard.
            let found = match (kind.as_str(), state_key.as_str()) {
                ("m.room.member", "*") if ask.lazy => Vec::new(),
                ("*", "*") if ask.lazy => self.store().state_beside_members(after)?,
                pattern => self.store().state_like(pattern.0, pattern.1, after)?,
            };
            found.into_iter().for_each(&mut keep);
        }
        for sender in senders {
            self.store().state_like("m.room.member", sender, RoomSeq::default())?.into_iter().for_each(&mut keep);
        }
        Ok(found.into_values().collect())
    }
}
