//! The state before an event, and auth chains, as other servers ask for them.

use std::collections::{BTreeMap, BTreeSet};

use ruma::{EventId, OwnedEventId};
use serde::Deserialize;
use tern_model::{MatrixError, Pdu, RoomSeq, StoredEvent};
use tern_ports::{
    ObjectHost, ask_storage,
    wire::{server_reads::ServedEvents, storage::LoadAuthChain},
};

use crate::{
    RoomActor,
    timeline::{head::Head, view::parsed},
};

/// Most events of one answer, state and auth chain each.
const MOST_EVENTS: usize = 100_000;
/// Events whose auth chains are asked for at once, and links of the answer.
const MOST_CHAINS: usize = 1_000;
const MOST_LINKS: u32 = 20_000;

/// The state of a room by type and state key.
pub(crate) type State = BTreeMap<(String, String), StoredEvent>;

impl<H: ObjectHost> RoomActor<H> {
    /// The state before an event, with its auth chain.
    pub(crate) async fn served_state(
        &self,
        head: &Head,
        event_id: &EventId,
        full: bool,
    ) -> Result<ServedEvents, MatrixError> {
        let event = self.event_for_server(head, event_id).await?;
        let state = self.state_before(head, &event).await?;
        let ids: Vec<_> = state.values().map(|event| event.event_id.clone()).collect();
        let chain = self.auth_chain(head, ids.clone()).await?;
        if !full {
            let auth_chain_ids = chain.into_iter().collect();
            return Ok(ServedEvents { event_ids: ids, auth_chain_ids, ..ServedEvents::default() });
        }
        // What is in the state already is not read once more.
        let mut by_id: BTreeMap<_, _> = state.into_values().map(|event| (event.event_id, event.pdu)).collect();
        let (here, rest): (Vec<_>, Vec<_>) = chain.into_iter().partition(|event_id| by_id.contains_key(event_id));
        let mut auth_chain: Vec<_> = here.iter().filter_map(|event_id| by_id.get(event_id).cloned()).collect();
        auth_chain.extend(self.pdus(head, rest).await?);
        let events = ids.iter().filter_map(|event_id| by_id.remove(event_id)).collect();
        Ok(ServedEvents { events, auth_chain, ..ServedEvents::default() })
    }

    /// The state after an event, with the event's own place as it was before.
    pub(crate) async fn state_before(&self, head: &Head, event: &StoredEvent) -> Result<State, MatrixError> {
        let mut state = self.state_after(head, &event.event_id, event.seq).await?;
        let Some(state_key) = event.state_key.clone() else { return Ok(state) };
        let place = (event.kind.clone(), state_key);
        if state.get(&place).is_none_or(|held| held.event_id != event.event_id) {
            return Ok(state);
        }
        state.remove(&place);
        if let Some(replaced) = self.replaced(head, event, &place).await? {
            state.insert(place, replaced);
        }
        Ok(state)
    }

    /// What a state event replaced where it stands.
    async fn replaced(
        &self,
        head: &Head,
        event: &StoredEvent,
        place: &(String, String),
    ) -> Result<Option<StoredEvent>, MatrixError> {
        #[derive(Deserialize)]
        struct Unsigned {
            replaces_state: Option<OwnedEventId>,
        }
        if self.store().state_group(event.event_id.as_str())?.is_none() {
            let unsigned = event.unsigned.as_ref().and_then(|unsigned| unsigned.read::<Unsigned>().ok());
            let Some(replaced) = unsigned.and_then(|unsigned| unsigned.replaces_state) else { return Ok(None) };
            return self.event_for_server(head, &replaced).await.map(Some);
        }
        // On a fork. Where several branches meet, what was there before them is not kept.
        let pdu: Pdu = parsed(event)?;
        let unknown = || MatrixError::not_found("The state before this event is not known here");
        let [before] = pdu.prev() else { return Err(unknown()) };
        let before = self.event_for_server(head, before).await?;
        Ok(self.state_after(head, &before.event_id, before.seq).await?.remove(place))
    }

    /// The state after an event: the current-state log's at its position, or that of its fork.
    async fn state_after(&self, head: &Head, event_id: &EventId, seq: RoomSeq) -> Result<State, MatrixError> {
        let Some(group) = self.store().state_group(event_id.as_str())? else {
            return Ok(by_place(self.state_at(head, seq, "*", "*").await?));
        };
        let (base, changes) = self.store().state_group_delta(group)?;
        let mut state = by_place(self.state_at(head, base, "*", "*").await?);
        let mut events = self.timeline_events(head, changes.values().flatten().cloned().collect()).await?;
        for ((kind, state_key), event_id) in changes {
            let place = (kind.to_string(), state_key);
            match event_id {
                None => drop(state.remove(&place)),
                Some(event_id) => {
                    let event = events.remove(&event_id).ok_or_else(MatrixError::internal)?;
                    state.insert(place, event);
                }
            }
        }
        Ok(state)
    }

    /// The auth events of these events, of those, and so on.
    pub(crate) async fn auth_chain(
        &self,
        head: &Head,
        mut frontier: Vec<OwnedEventId>,
    ) -> Result<BTreeSet<OwnedEventId>, MatrixError> {
        let mut chain = BTreeSet::new();
        let mut fetched: BTreeMap<OwnedEventId, Vec<OwnedEventId>> = BTreeMap::new();
        while !frontier.is_empty() {
            let (mut next, mut unknown) = (Vec::new(), Vec::new());
            let asked: Vec<&EventId> = frontier.iter().map(AsRef::as_ref).collect();
            let known: BTreeMap<_, _> = self.store().auth_of_many(&asked)?.into_iter().collect();
            for event_id in frontier {
                match known.get(&event_id).or_else(|| fetched.get(&event_id)).cloned() {
                    Some(cited) => next.extend(cited.into_iter().filter(|cited| chain.insert(cited.clone()))),
                    None => unknown.push(event_id),
                }
            }
            if chain.len() > MOST_EVENTS {
                return Err(MatrixError::too_large("The auth chain is too long"));
            }
            next.extend(self.fetch_links(head, unknown, &mut fetched).await?);
            frontier = next;
        }
        Ok(chain)
    }

    /// Fetches what events cite that is not known here; those of which it is known now.
    async fn fetch_links(
        &self,
        head: &Head,
        unknown: Vec<OwnedEventId>,
        fetched: &mut BTreeMap<OwnedEventId, Vec<OwnedEventId>>,
    ) -> Result<Vec<OwnedEventId>, MatrixError> {
        if head.tail.0 == 0 {
            return Ok(Vec::new());
        }
        for events in unknown.chunks(MOST_CHAINS) {
            let room_id = self.room_id.clone();
            let ask = LoadAuthChain { room_id, events: events.to_vec(), limit: MOST_LINKS };
            let links = ask_storage(&*self.host, ask).await?;
            fetched.extend(links.into_iter().map(|link| (link.event_id, link.auth)));
        }
        // What the storage worker does not know either is nowhere, and not asked for again.
        Ok(unknown.into_iter().filter(|event_id| fetched.contains_key(event_id)).collect())
    }
}

fn by_place(events: Vec<StoredEvent>) -> State {
    let place = |event: &StoredEvent| (event.kind.clone(), event.state_key.clone().unwrap_or_default());
    events.into_iter().map(|event| (place(&event), event)).collect()
}
