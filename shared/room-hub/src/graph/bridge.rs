//! A gap that is too long to be filled: what came after it is taken in with the state that its sender has there (Server-Server
//! API, "Backfilling and retrieving missing events"). What was said in the gap is not known here then.

use std::collections::BTreeMap;

use ruma::{OwnedEventId, OwnedServerName, ServerName, events::StateEventType};
use serde::Deserialize;
use tern_model::{Bounded, MatrixError, Pdu, RawJson};
use tern_ports::{
    ObjectHost, Sql, SqlError, ask_destination,
    outbound::HttpMethod,
    wire::{
        adopt::{MOST_ADOPTED, MOST_ADOPTED_BYTES},
        destination::SendRequest,
    },
};
use tern_room::{Key, StateDelta, Unverified, Version, order::topological};

use crate::{
    RoomActor,
    graph::{
        adopt::{beside, is_allowed},
        fetched::Fetched,
        gaps::escaped,
        genuine::Keys,
        read_events::pdu_of,
    },
    timeline::{
        store::{Store, damaged, event_id_of},
        view::Transaction,
    },
};

/// Most events that the first event after a gap may stand on.
const MOST_PREV: usize = 20;
/// How long the answer may take, in milliseconds.
const TIMEOUT_MS: u64 = 60_000;

/// The state before an event, as another server has it.
#[derive(Deserialize)]
struct Told {
    pdus: Vec<RawJson>,
    auth_chain: Vec<RawJson>,
}

impl<H: ObjectHost> RoomActor<H> {
    /// Asks a server that is in the room for the state before the first event after a gap; true when the event can be
    /// taken in by that.
    pub(super) async fn bridge(&self, server: &OwnedServerName) -> Result<bool, MatrixError> {
        let Some(event) = self.store().stuck()?.filter(|event| event.prev().len() <= MOST_PREV) else {
            return Ok(false);
        };
        if !self.store().has_joined(server.as_str())? {
            return Ok(false);
        }
        let Some(told) = self.ask_state(server, &event).await? else { return Ok(false) };
        let version = self.room()?.version;
        let unknown: Vec<RawJson> =
            told.pdus.iter().chain(&told.auth_chain).filter(|raw| self.is_unknown(version, raw)).cloned().collect();
        let keys = Keys::read(&self.keys_of(&unknown).await?, self.host.now())?;
        let keys = keys.with_own(&self.config.server_name, &self.config.signing_key_id, self.signer()?);
        let new = topological(unknown.iter().filter_map(|raw| self.verified(version, raw, &keys)).collect());
        self.take_state(version, &event, &told.pdus, &new)
    }

    async fn ask_state(&self, server: &ServerName, event: &Pdu) -> Result<Option<Told>, MatrixError> {
        let (room, event) = (escaped(self.room_id.as_str()), escaped(event.id().as_str()));
        let ask = SendRequest {
            method: HttpMethod::Get,
            target: Bounded::new(format!("/_matrix/federation/v1/state/{room}?event_id={event}"))?,
            body: None,
            timeout_ms: TIMEOUT_MS,
            max_bytes: MOST_ADOPTED_BYTES,
            background: true,
        };
        let answer = ask_destination(&*self.host, server, ask).await?;
        let told = answer.body.filter(|_| answer.status == 200).and_then(|body| body.read::<Told>().ok());
        Ok(told.filter(|told| told.pdus.len() <= MOST_ADOPTED && told.auth_chain.len() <= MOST_ADOPTED))
    }

    fn is_unknown(&self, version: &'static Version, raw: &RawJson) -> bool {
        let read = Unverified::read(version, &self.room_id, raw);
        read.is_ok_and(|read| self.store().knows(read.event_id().as_str()).is_ok_and(|known| !known))
    }

    /// Keeps the events beside the timeline, and the state as that after what the event stands on.
    fn take_state(
        &self,
        version: &'static Version,
        event: &Pdu,
        state: &[RawJson],
        new: &[Pdu],
    ) -> Result<bool, MatrixError> {
        let head = self.room()?;
        let tx = self.view(&head);
        let ids: Vec<OwnedEventId> = state
            .iter()
            .filter_map(|raw| Some(Unverified::read(version, &self.room_id, raw).ok()?.event_id().clone()))
            .collect();
        Ok(self.host.sql().transaction(|| {
            let fetched = Fetched::default();
            for pdu in new {
                if is_allowed(&tx, &fetched, pdu) {
                    beside(&tx, pdu)?;
                }
            }
            tx.store().use_all_outliers()?;
            bridge_to(&tx, event, &ids)
        })?)
    }
}

/// Notes the state of these events as that after all that the event stands on and that is not known.
fn bridge_to<S: Sql>(tx: &Transaction<'_, S>, event: &Pdu, state: &[OwnedEventId]) -> Result<bool, SqlError> {
    let store = tx.store();
    let mut there = BTreeMap::new();
    for event_id in state {
        // What is not genuine or not allowed is not here, and what was rejected is no state.
        if let Some(key) = store.state_key_of(event_id)? {
            there.insert(key, event_id.clone());
        }
    }
    if !there.contains_key(&(StateEventType::RoomCreate, String::new())) {
        return Ok(false);
    }
    let here = store.present_ids()?;
    let gone = here.keys().filter(|key| !there.contains_key(*key)).map(|key| (key.clone(), None));
    let other = there.iter().filter(|(key, event_id)| here.get(*key) != Some(*event_id));
    let changes: StateDelta = other.map(|(key, event_id)| (key.clone(), Some(event_id.clone()))).chain(gone).collect();
    let number = store.add_state_group(tx.newest(), &changes)?;
    let mut bridged = false;
    for previous in event.prev() {
        if !store.knows(previous.as_str())? {
            store.put_state_group(previous.as_str(), number, tx.newest())?;
            bridged = true;
        }
    }
    Ok(bridged)
}

impl<S: Sql> Store<'_, S> {
    /// Of the events that wait for what is not known, the first.
    fn stuck(self) -> Result<Option<Pdu>, SqlError> {
        let rows = self.0.query(
            "SELECT w.event_id, w.pdu FROM waiting w WHERE EXISTS
                 (SELECT 1 FROM json_each(w.missing) j
                  WHERE NOT EXISTS (SELECT 1 FROM waiting o WHERE o.event_id = j.value)
                    AND NOT EXISTS (SELECT 1 FROM events e WHERE e.event_id = j.value)
                    AND NOT EXISTS (SELECT 1 FROM aside a WHERE a.event_id = j.value)
                    AND NOT EXISTS (SELECT 1 FROM forks f WHERE f.event_id = j.value))
             ORDER BY w.pdu ->> '$.depth', w.place LIMIT 1",
            &[],
        )?;
        rows.first().map(pdu_of).transpose()
    }

    /// The event is here, or the state after it.
    fn knows(self, event_id: &str) -> Result<bool, SqlError> {
        let rows = self.0.query(
            "SELECT 1 FROM events WHERE event_id = ?1 UNION ALL SELECT 1 FROM aside WHERE event_id = ?1
             UNION ALL SELECT 1 FROM forks WHERE event_id = ?1 LIMIT 1",
            &[event_id.into()],
        )?;
        Ok(!rows.is_empty())
    }

    /// The place of a state event that is here and was not rejected.
    fn state_key_of(self, event_id: &OwnedEventId) -> Result<Option<Key>, SqlError> {
        let rows = self.0.query(
            "SELECT pdu ->> '$.type', pdu ->> '$.state_key' FROM
                 (SELECT pdu FROM events WHERE event_id = ?1 UNION ALL
                  SELECT pdu FROM aside WHERE event_id = ?1 AND verdict <> 'rejected') LIMIT 1",
            &[event_id.as_str().into()],
        )?;
        Ok(rows.first().and_then(|row| Some((row.text(0)?.into(), row.string(1)?))))
    }

    /// The present state.
    pub(super) fn present_ids(self) -> Result<BTreeMap<Key, OwnedEventId>, SqlError> {
        let rows = self
            .0
            .query("SELECT e.event_id, s.kind, s.state_key FROM state s CROSS JOIN events e ON e.seq = s.seq", &[])?;
        let entry = |row: &tern_ports::Row| {
            let text = |index| row.string(index).ok_or_else(|| damaged("a place of the state"));
            Ok(((text(1)?.into(), text(2)?), event_id_of(row, 0)?))
        };
        rows.iter().map(entry).collect()
    }
}
