//! What events from elsewhere need and is not here any more: looked for in the storage worker, between two turns.

use std::collections::BTreeSet;

use futures::future::join_all;
use ruma::OwnedEventId;
use tern_model::{MatrixError, Pdu};
use tern_ports::{
    ObjectHost, ask_storage,
    wire::storage::{LoadAuthChain, LoadEvent},
};
use tern_room::redact;

use crate::{RoomActor, graph::batch::Batch, timeline::head::Head};

/// Events that are looked for at a time.
const MOST_SOUGHT: usize = 64;

/// Events whose auth chains are asked for at once, and links of the answer.
const MOST_CHAINS: usize = 1_000;
const MOST_LINKS: u32 = 20_000;

impl<H: ObjectHost> RoomActor<H> {
    /// What redactions of the batch redact, and events of the batch that came before, where they were trimmed here.
    pub(crate) async fn fetch_trimmed(&self, batch: &Batch) -> Result<(), MatrixError> {
        let Some(head) = self.head()?.filter(|head| head.tail.0 > 0) else { return Ok(()) };
        let (mut wanted, mut new) = (BTreeSet::new(), BTreeSet::new());
        for pdu in batch.open.borrow().iter() {
            wanted.extend(redact::target(head.version, pdu));
            if self.stands_on_new(pdu, &head, &new)? {
                new.insert(pdu.id().to_owned());
            } else {
                wanted.insert(pdu.id().to_owned());
            }
        }
        self.fetch_events(batch, &head, wanted).await.map(drop)
    }

    /// The event stands on one of the tail, or on a new one. If it was trimmed, it does not: what it stands on came before.
    fn stands_on_new(&self, pdu: &Pdu, head: &Head, new: &BTreeSet<OwnedEventId>) -> Result<bool, MatrixError> {
        for previous in pdu.prev() {
            let in_tail = self.store().seq_of(previous.as_str())?.is_some_and(|seq| seq > head.tail);
            if in_tail || new.contains(previous) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Fetches from the storage worker what is wanted; false when nothing new was found.
    pub(crate) async fn fetch(&self, batch: &Batch, wanted: BTreeSet<OwnedEventId>) -> Result<bool, MatrixError> {
        let Some(head) = self.head()?.filter(|head| head.tail.0 > 0) else { return Ok(false) };
        // The next turn tells what is still wanted when the way along the auth chains is known.
        if self.store().known_from()?.0 > 0 && self.fetch_chains(batch, &wanted).await? {
            return Ok(true);
        }
        self.fetch_events(batch, &head, wanted).await
    }

    async fn fetch_events(
        &self,
        batch: &Batch,
        head: &Head,
        wanted: BTreeSet<OwnedEventId>,
    ) -> Result<bool, MatrixError> {
        let mut sought = Vec::new();
        for event_id in wanted {
            let open = sought.len() < MOST_SOUGHT && !batch.sought.borrow().contains(&event_id);
            if open && self.store().seq_of(event_id.as_str())?.is_none() {
                sought.push(event_id);
            }
        }
        // What the storage worker adds for a reader is not looked at.
        let Some(reader) = batch.first().map(|pdu| pdu.from().to_owned()) else { return Ok(false) };
        let load = |event_id| LoadEvent { room_id: self.room_id.clone(), event_id, user_id: reader.clone() };
        let loaded = join_all(sought.iter().cloned().map(|event_id| ask_storage(&*self.host, load(event_id)))).await;
        let mut found = false;
        for (event_id, event) in sought.into_iter().zip(loaded) {
            // Whether it is there has to be known: an event that is only said to be missing would be checked otherwise.
            let event = event?;
            batch.sought.borrow_mut().insert(event_id);
            if let Some(loaded) = event.filter(|loaded| loaded.event.seq <= head.tail) {
                found = true;
                batch.fetched.borrow_mut().events.insert(loaded.event.event_id.clone(), loaded.event);
            }
        }
        Ok(found)
    }

    /// The auth chains of what is wanted, as far as they are forgotten here.
    async fn fetch_chains(&self, batch: &Batch, wanted: &BTreeSet<OwnedEventId>) -> Result<bool, MatrixError> {
        let mut events = Vec::new();
        for event_id in wanted.iter().filter(|event_id| !batch.fetched.borrow().auth.contains_key(*event_id)) {
            if events.len() < MOST_CHAINS && !self.store().knows_auth_of(event_id.as_str())? {
                events.push(event_id.clone());
            }
        }
        if events.is_empty() {
            return Ok(false);
        }
        let ask = LoadAuthChain { room_id: self.room_id.clone(), events, limit: MOST_LINKS };
        let links = ask_storage(&*self.host, ask).await?;
        let known = &mut batch.fetched.borrow_mut().auth;
        let before = known.len();
        known.extend(links.into_iter().map(|link| (link.event_id, link.auth)));
        Ok(known.len() > before)
    }
}
