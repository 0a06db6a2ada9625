//! What other servers read: whether they may, which events they see, and the answers.

use std::{collections::BTreeMap, rc::Rc};

use ruma::{EventId, OwnedEventId, OwnedUserId, ServerName};
use tern_model::{MatrixError, RawJson, RoomSeq, StoredEvent};
use tern_ports::{
    ObjectHost, ask_storage,
    wire::{
        server_reads::{ReadForServer, ServedEvents, ServerRead},
        storage::LoadEvents,
        sync::VisibilityFacts,
    },
};
use tern_room::{RoomView as _, acl, redact};

use crate::{
    RoomActor,
    graph::side_events::EventStatus,
    reads::access::visible,
    timeline::{head::Head, store::damaged, view::Transaction},
};

/// Events of one question to the storage worker.
const AT_A_TIME: usize = 500;

impl<H: ObjectHost> RoomActor<H> {
    /// Reads for another server.
    pub(crate) async fn read_for_server(&self, request: ReadForServer) -> Result<ServedEvents, MatrixError> {
        let ReadForServer { origin, read } = request;
        let head = self.head()?.ok_or_else(not_in_room)?;
        self.check_server(&head, &origin, matches!(read, ServerRead::Event { .. }))?;
        match read {
            ServerRead::Event { event_id } => {
                let event = self.event_for_server(&head, &event_id).await?;
                self.served(&head, &origin, vec![event]).await
            }
            ServerRead::State { event_id, full } => self.served_state(&head, &event_id, full).await,
            ServerRead::AuthChain { event_id } => {
                let event = self.event_for_server(&head, &event_id).await?;
                let chain = self.auth_chain(&head, vec![event.event_id]).await?;
                Ok(ServedEvents { auth_chain: self.pdus(&head, chain).await?, ..ServedEvents::default() })
            }
            ServerRead::Backfill { from, limit } => {
                let from = from.iter().map(|id| (**id).clone()).collect();
                let events = self.events_before(&head, &origin, from, limit).await?;
                self.served(&head, &origin, events).await
            }
            ServerRead::Missing { latest, earliest, min_depth, limit } => {
                let ids = |ids: &[tern_model::EventRef]| ids.iter().map(|id| (**id).clone()).collect();
                let events = self.events_between(&head, ids(&latest), ids(&earliest), min_depth, limit).await?;
                self.served(&head, &origin, events).await
            }
            ServerRead::Nearest { ts, backwards } => {
                let event = self.event_nearest(&head, &origin, ts, backwards).await?;
                let event_id = event.event_id.clone();
                let served = self.served(&head, &origin, vec![event]).await?;
                Ok(ServedEvents { event_ids: vec![event_id], ..served })
            }
            ServerRead::Access => Ok(ServedEvents::default()),
        }
    }

    /// Whether the server takes part in the room. An event by its id is told to whoever is in the room, since events travel
    /// without asking the access control list of the past.
    fn check_server(&self, head: &Rc<Head>, origin: &ServerName, is_event: bool) -> Result<(), MatrixError> {
        let tx = Transaction::new(&self.room_id, self.host.sql(), &self.cache, Head::clone(head));
        if !tx.has_joined(origin)? {
            return Err(not_in_room());
        }
        if is_event || acl::allows(&tx, origin)? {
            return Ok(());
        }
        Err(MatrixError::forbidden("The room keeps this server out"))
    }

    /// An event of the timeline.
    pub(crate) async fn event_for_server(&self, head: &Head, event_id: &EventId) -> Result<StoredEvent, MatrixError> {
        let found = self.timeline_events(head, vec![event_id.to_owned()]).await?.into_values().next();
        found.ok_or_else(|| MatrixError::not_found("There is no such event"))
    }

    /// Those of the events that are in the timeline.
    pub(crate) async fn timeline_events(
        &self,
        head: &Head,
        ids: Vec<OwnedEventId>,
    ) -> Result<BTreeMap<OwnedEventId, StoredEvent>, MatrixError> {
        let (mut found, mut elsewhere) = (BTreeMap::new(), Vec::new());
        for event_id in ids {
            match self.store().event(event_id.as_str())? {
                Some(event) => drop(found.insert(event_id, event)),
                None => elsewhere.push(event_id),
            }
        }
        if head.tail.0 > 0 {
            for event_ids in elsewhere.chunks(AT_A_TIME) {
                let ask = LoadEvents { room_id: self.room_id.clone(), event_ids: event_ids.to_vec() };
                let loaded = ask_storage(&*self.host, ask).await?;
                found.extend(loaded.into_iter().map(|event| (event.event_id.clone(), event)));
            }
        }
        Ok(found)
    }

    /// Events in federation form as they are, also those that are known only because others cite them. What is not here is
    /// left out: whoever asked for it asks somebody else.
    pub(crate) async fn pdus(
        &self,
        head: &Head,
        ids: impl IntoIterator<Item = OwnedEventId>,
    ) -> Result<Vec<RawJson>, MatrixError> {
        let (mut pdus, mut rest) = (Vec::new(), Vec::new());
        for event_id in ids {
            match self.store().side_event(event_id.as_str())? {
                Some(side) if side.verdict == EventStatus::Outlier => pdus.push(side.pdu.raw().clone()),
                _ => rest.push(event_id),
            }
        }
        pdus.extend(self.timeline_events(head, rest).await?.into_values().map(|event| event.pdu));
        Ok(pdus)
    }

    /// Events as the server may see them, in their order.
    async fn served(
        &self,
        head: &Head,
        origin: &ServerName,
        events: Vec<StoredEvent>,
    ) -> Result<ServedEvents, MatrixError> {
        let eyes = self.eyes_of(head, origin, &events).await?;
        let form = |event: StoredEvent| {
            if is_shown(&eyes, &event) {
                Ok(event.pdu)
            } else {
                redact::redact(head.version, &event.pdu).map_err(damaged)
            }
        };
        let events = events.into_iter().map(form).collect::<Result<_, _>>()?;
        Ok(ServedEvents { events, ..ServedEvents::default() })
    }

    /// Users of the server, with what decides which of the events they may see. One is enough where nothing is hidden from
    /// members.
    async fn eyes_of(&self, head: &Head, origin: &ServerName, events: &[StoredEvent]) -> Result<Eyes, MatrixError> {
        let Some(oldest) = events.iter().map(|event| event.seq).min() else { return Ok(Eyes::new()) };
        let mut eyes = Eyes::new();
        for user_id in self.store().users_of(origin.as_str())? {
            let facts = self.facts_at(head, &user_id, oldest).await?;
            let open = events.iter().all(|event| is_open(&facts, event.seq));
            eyes.push((user_id, facts));
            if open {
                break;
            }
        }
        Ok(eyes)
    }
}

/// Users of a server, with what decides which events they may see.
type Eyes = Vec<(OwnedUserId, VisibilityFacts)>;

/// What is open to members is open to the server, which is in the room; of the rest, what one of its users may see.
fn is_shown(eyes: &Eyes, event: &StoredEvent) -> bool {
    eyes.iter().any(|(user_id, facts)| is_open(facts, event.seq) || visible(user_id, facts, event))
}

/// Whether members see the event whenever they came.
fn is_open(facts: &VisibilityFacts, seq: RoomSeq) -> bool {
    let after = facts.history.partition_point(|(at, _)| *at <= seq);
    let value = after.checked_sub(1).and_then(|at| facts.history.get(at)).map(|(_, value)| value.as_str());
    matches!(value, None | Some("shared" | "world_readable"))
}

fn not_in_room() -> MatrixError {
    MatrixError::forbidden("The server is not in the room")
}
