//! Events that a batch has read, kept between its turns: what one event needed of the graph, the next one needs as well.

use std::{cell::RefCell, collections::HashMap};

use ruma::{EventId, OwnedEventId};
use serde::Deserialize;
use tern_model::{Pdu, RawJson};
use tern_ports::{Row, Sql, SqlError};

use crate::{
    graph::side_events::side_event_of,
    timeline::store::{Store, damaged},
};

/// Bytes of events that are kept, and events whose auth events are: a room of 20,000 members has 15 MB of member events.
const MOST_BYTES: usize = 16 * 1024 * 1024;
const MOST_LINKS: usize = 50_000;

/// Events that are read by one statement.
const READ_AT_ONCE: usize = 100;

/// Events, and what they cite. What they are never changes, but for redactions, which leave what the rules look at.
#[derive(Default)]
pub(crate) struct ReadEvents {
    events: RefCell<HashMap<OwnedEventId, Pdu>>,
    bytes: std::cell::Cell<usize>,
    auth: RefCell<HashMap<OwnedEventId, Vec<OwnedEventId>>>,
}

impl ReadEvents {
    /// An event that was read.
    pub(crate) fn event(&self, event_id: &EventId) -> Option<Pdu> {
        self.events.borrow().get(event_id).cloned()
    }

    /// Keeps an event, while there is room.
    pub(crate) fn keep(&self, pdu: &Pdu) {
        let bytes = self.bytes.get() + pdu.raw().text().len();
        if bytes <= MOST_BYTES {
            self.bytes.set(bytes);
            self.events.borrow_mut().insert(pdu.id().to_owned(), pdu.clone());
        }
    }

    /// What an event cites, if that was read.
    pub(crate) fn auth(&self, event_id: &EventId) -> Option<Vec<OwnedEventId>> {
        let event = || self.events.borrow().get(event_id).map(|pdu| pdu.auth().to_vec());
        self.auth.borrow().get(event_id).cloned().or_else(event)
    }

    /// Keeps what an event cites, while there is room.
    pub(crate) fn keep_auth(&self, event_id: OwnedEventId, auth: Vec<OwnedEventId>) {
        let mut known = self.auth.borrow_mut();
        if known.len() < MOST_LINKS {
            known.insert(event_id, auth);
        }
    }

    /// Reads those of the events that are here and were not read, many at a time.
    pub(crate) fn read<S: Sql>(&self, store: Store<'_, S>, wanted: &[&EventId]) -> Result<(), SqlError> {
        let unread = |event_id: &&&EventId| !self.events.borrow().contains_key(**event_id);
        let unread: Vec<&EventId> = wanted.iter().filter(unread).copied().collect();
        for chunk in unread.chunks(READ_AT_ONCE) {
            if self.bytes.get() >= MOST_BYTES {
                return Ok(());
            }
            // What is in the timeline is part of the room, whatever it was before.
            store.side_events(chunk)?.iter().for_each(|pdu| self.keep(pdu));
            store.events_of(chunk)?.iter().for_each(|pdu| self.keep(pdu));
        }
        Ok(())
    }

    /// Reads what those of the events cite that are here and were not read.
    pub(crate) fn read_auth<S: Sql>(&self, store: Store<'_, S>, wanted: &[&EventId]) -> Result<(), SqlError> {
        let unread: Vec<&EventId> = wanted.iter().filter(|event_id| self.auth(event_id).is_none()).copied().collect();
        for chunk in unread.chunks(READ_AT_ONCE) {
            for (event_id, auth) in store.auth_of_many(chunk)? {
                self.keep_auth(event_id, auth);
            }
        }
        Ok(())
    }
}

impl<S: Sql> Store<'_, S> {
    fn events_of(self, ids: &[&EventId]) -> Result<Vec<Pdu>, SqlError> {
        let rows = self.0.query(
            "SELECT e.event_id, e.pdu FROM json_each(?) j CROSS JOIN events e ON e.event_id = j.value",
            &[serde_json::to_string(ids).map_err(damaged)?.into()],
        )?;
        rows.iter().map(pdu_of).collect()
    }

    fn side_events(self, ids: &[&EventId]) -> Result<Vec<Pdu>, SqlError> {
        let rows = self.0.query(
            "SELECT a.event_id, a.verdict, a.reason, a.pdu FROM json_each(?) j CROSS JOIN aside a ON a.event_id = j.value",
            &[serde_json::to_string(ids).map_err(damaged)?.into()],
        )?;
        rows.iter().map(|row| side_event_of(row).map(|side_event| side_event.pdu)).collect()
    }

    /// The auth events of those of the events that are known.
    pub(crate) fn auth_of_many(self, ids: &[&EventId]) -> Result<Vec<(OwnedEventId, Vec<OwnedEventId>)>, SqlError> {
        let ids = serde_json::to_string(ids).map_err(damaged)?;
        let rows = self.0.query(
            "SELECT e.event_id, e.pdu -> '$.auth_events' FROM json_each(?) j CROSS JOIN events e ON e.event_id = j.value
             UNION ALL SELECT p.event_id, p.auth FROM json_each(?) j CROSS JOIN past p ON p.event_id = j.value
             UNION ALL SELECT a.event_id, a.pdu -> '$.auth_events' FROM json_each(?) j
                 CROSS JOIN aside a ON a.event_id = j.value",
            &[ids.clone().into(), ids.clone().into(), ids.into()],
        )?;
        let link = |row: &Row| {
            let event_id = OwnedEventId::try_from(row.text(0).unwrap_or_default()).map_err(damaged)?;
            Ok((event_id, read_references(row.text(1).unwrap_or("[]"))?))
        };
        rows.iter().map(link).collect()
    }
}

/// Reads a row of `event_id`, `pdu`.
pub(crate) fn pdu_of(row: &Row) -> Result<Pdu, SqlError> {
    let event_id = OwnedEventId::try_from(row.text(0).unwrap_or_default()).map_err(damaged)?;
    let raw = RawJson::parse(row.string(1).unwrap_or_default()).map_err(damaged)?;
    Pdu::parse(event_id, raw).map_err(damaged)
}

/// References as they stand in an event, whichever form its room version gives them.
fn read_references(text: &str) -> Result<Vec<OwnedEventId>, SqlError> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Reference {
        Id(OwnedEventId),
        Pair(OwnedEventId, serde::de::IgnoredAny),
    }
    let references: Vec<Reference> = serde_json::from_str(text).map_err(damaged)?;
    let ids = references.into_iter().map(|reference| match reference {
        Reference::Id(event_id) | Reference::Pair(event_id, _) => event_id,
    });
    Ok(ids.collect())
}
