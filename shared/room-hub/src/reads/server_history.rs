//! Parts of the timeline that other servers miss.

use std::collections::BTreeSet;

use ruma::{OwnedEventId, ServerName};
use tern_model::{MatrixError, Millis, Pdu, RoomSeq, StoredEvent};
use tern_ports::ObjectHost;

use crate::{
    RoomActor,
    reads::timeline::Range,
    timeline::{head::Head, view::parsed},
};

/// Most events of one answer to `backfill`, and to `get_missing_events`.
const MOST_BACKFILLED: u32 = 100;
const MOST_MISSING: u32 = 20;

impl<H: ObjectHost> RoomActor<H> {
    /// Events up to and including these, newest first.
    pub(crate) async fn events_before(
        &self,
        head: &Head,
        origin: &ServerName,
        from: Vec<OwnedEventId>,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, MatrixError> {
        let known = self.timeline_events(head, from).await?;
        let newest = known.values().map(|event| event.seq).max();
        let newest = newest.ok_or_else(|| MatrixError::not_found("None of these events is known"))?;
        let users = self.store().users_of(origin.as_str())?;
        let reader = users.first().ok_or_else(MatrixError::internal)?;
        let range = Range { after: RoomSeq::default(), until: newest, backwards: true };
        Ok(self.page(head, reader, range, limit.clamp(1, MOST_BACKFILLED)).await?.events)
    }

    /// The event nearest to a time on one side of it.
    pub(crate) async fn event_nearest(
        &self,
        head: &Head,
        origin: &ServerName,
        ts: Millis,
        backwards: bool,
    ) -> Result<StoredEvent, MatrixError> {
        let users = self.store().users_of(origin.as_str())?;
        let reader = users.first().ok_or_else(MatrixError::internal)?;
        let range = self.side_of_time(head, ts, backwards).await?;
        let found = self.page(head, reader, range, 1).await?.events.pop();
        found.ok_or_else(|| MatrixError::not_found("There is no event on that side of the time"))
    }

    /// What these events stand on, back to the others, oldest first.
    pub(crate) async fn events_between(
        &self,
        head: &Head,
        latest: Vec<OwnedEventId>,
        earliest: Vec<OwnedEventId>,
        min_depth: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, MatrixError> {
        let limit = limit.clamp(1, MOST_MISSING) as usize;
        let mut seen: BTreeSet<_> = latest.iter().cloned().chain(earliest).collect();
        let mut found = Vec::new();
        let mut generation = self.timeline_events(head, latest).await?;
        while !generation.is_empty() && found.len() < limit {
            let mut before = Vec::new();
            for event in generation.values() {
                let pdu: Pdu = parsed(event)?;
                before.extend(pdu.prev().iter().filter(|event_id| seen.insert((*event_id).clone())).cloned());
            }
            generation = self.timeline_events(head, before).await?;
            let mut shallow = Vec::new();
            for (event_id, event) in &generation {
                if parsed(event)?.depth() < min_depth {
                    shallow.push(event_id.clone());
                }
            }
            for event_id in &shallow {
                generation.remove(event_id);
            }
            // The newest of a generation come first, in case not all have room.
            let mut some: Vec<_> = generation.values().cloned().collect();
            some.sort_by_key(|event| std::cmp::Reverse(event.seq));
            found.extend(some.into_iter().take(limit - found.len()));
        }
        found.sort_by_key(|event| event.seq);
        Ok(found)
    }
}
