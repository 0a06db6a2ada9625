//! What becomes of an event that was judged: its place in the timeline and in the state, or beside them.

use std::rc::Rc;

use ruma::OwnedEventId;
use tern_model::{Pdu, StoredEvent};
use tern_ports::{Sql, SqlError};
use tern_room::{Advance, Difference, JudgeError, Judged, Key, Unreadable, Verdict, advance, judge};

use crate::{
    graph::{
        aside::Standing,
        known::{Fetched, Graph},
    },
    timeline::{
        store::damaged,
        view::{Entry, Turn},
    },
};

/// What became of an event.
pub(crate) enum Admitted {
    /// It is part of the room.
    Accepted,
    /// It is kept beside the timeline.
    Aside(Standing, String),
    /// These events have to be known first.
    Missing(Vec<OwnedEventId>),
    /// The rules came to no verdict. Nothing was written.
    Unjudged(String),
}

impl<S: Sql> Turn<'_, S> {
    /// Judges an event where it stands and takes it in.
    pub(crate) fn admit(&self, entry: &Entry, fetched: &Fetched) -> Result<Admitted, SqlError> {
        let pdu = &entry.pdu;
        let graph = Graph::new(self, fetched, pdu);
        let judged = match judge(&graph, pdu) {
            Ok(judged) => judged,
            Err(JudgeError::Missing(missing)) => return Ok(Admitted::Missing(missing)),
            Err(JudgeError::Unreadable(cause)) => return Ok(unjudged(&graph, cause)),
        };
        let next = match judged.verdict {
            Verdict::Accept => match advance(&graph, &self.extremities_now(), pdu, &judged.after) {
                Ok(next) => Some(next),
                Err(cause) => return Ok(unjudged(&graph, cause)),
            },
            _ => None,
        };
        let unknown = graph.unknown();
        if !unknown.is_empty() {
            return Ok(Admitted::Missing(unknown));
        }
        match (judged.verdict.clone(), next) {
            (Verdict::Accept, Some(next)) => self.take_in(entry, &judged, &next, &graph).map(|()| Admitted::Accepted),
            (Verdict::SoftFail(reason), _) => self.put_aside(pdu, &judged, Standing::SoftFailed, reason),
            (Verdict::Reject(reason), _) => self.put_aside(pdu, &judged, Standing::Rejected, reason),
            (Verdict::Accept, None) => Err(damaged("an accepted event without a present")),
        }
    }

    fn take_in(&self, entry: &Entry, judged: &Judged, next: &Advance, graph: &Graph<'_, S>) -> Result<(), SqlError> {
        let pdu = &entry.pdu;
        self.store().drop_cited(pdu.id().as_str())?;
        let own = pdu.key().map(|key| (pdu.kind().to_string().into(), key.to_owned()));
        let others: Vec<(&Key, &Option<OwnedEventId>)> =
            next.changes.iter().filter(|(_, event_id)| event_id.as_deref() != Some(pdu.id())).collect();
        // What becomes current without ever having been in the timeline enters it now.
        for (_, event_id) in &others {
            if let Some(event_id) = event_id {
                self.promote(event_id, graph)?;
            }
        }
        if judged.after != next.changes {
            // Told from the trunk as it is before the event.
            self.note_state(pdu, &judged.after)?;
        }
        let current =
            own.as_ref().is_none_or(|own| next.changes.get(own).is_some_and(|id| id.as_deref() == Some(pdu.id())));
        self.append_to(entry, current, next.extremities.iter().cloned().collect())?;
        for (key, event_id) in others {
            self.turn_to(key, event_id.as_ref())?;
        }
        match own {
            Some(own) if !current && !next.changes.contains_key(&own) => self.stay_at(&own),
            _ => Ok(()),
        }
    }

    fn put_aside(&self, pdu: &Pdu, judged: &Judged, standing: Standing, reason: String) -> Result<Admitted, SqlError> {
        self.note_state(pdu, &judged.after)?;
        self.store().put_aside(pdu, standing, Some(&reason), self.newest())?;
        Ok(Admitted::Aside(standing, reason))
    }

    /// Keeps the state after an event, shared with the event before it where that has the same.
    fn note_state(&self, pdu: &Pdu, after: &Rc<Difference>) -> Result<(), SqlError> {
        let store = self.store();
        let before = match pdu.prev() {
            [only] => store.fork(only.as_str())?,
            _ => None,
        };
        let number = match (before, pdu.key()) {
            (Some(before), None) => before,
            (Some(before), Some(key)) => {
                let key = (pdu.kind().to_string().into(), key.to_owned());
                let takes_effect = after.get(&key).is_some_and(|id| id.as_deref() == Some(pdu.id()));
                let chained = if takes_effect { store.chain_fork_state(before, &key, pdu.id())? } else { Some(before) };
                match chained {
                    Some(number) => number,
                    None => store.add_fork_state(self.newest(), after)?,
                }
            }
            (None, _) => store.add_fork_state(self.newest(), after)?,
        };
        store.put_fork(pdu.id().as_str(), number, self.newest())
    }

    /// Gives an event that was put aside, or trimmed, its row in the timeline.
    fn promote(&self, event_id: &OwnedEventId, graph: &Graph<'_, S>) -> Result<(), SqlError> {
        if self.store().seq_of(event_id.as_str())?.is_some() {
            return Ok(());
        }
        if let Some(trimmed) = graph.fetched(event_id) {
            return self.store().insert_event(trimmed, None);
        }
        let aside = self.store().aside(event_id.as_str())?.ok_or_else(|| damaged("an unknown event became state"))?;
        let extremities = self.extremities_now().into_iter().collect();
        self.append_to(&Entry::plain(aside.pdu), false, extremities)?;
        match key_of(self.store().event(event_id.as_str())?.as_ref()) {
            Some(key) => self.stay_at(&key),
            None => Ok(()),
        }
    }
}

fn key_of(event: Option<&StoredEvent>) -> Option<Key> {
    let event = event?;
    Some((event.kind.as_str().into(), event.state_key.clone()?))
}

/// What could not be judged for want of an event waits for it. Anything else is this event's own misfortune: those that are
/// decided with it must not suffer for it.
fn unjudged<S: Sql>(graph: &Graph<'_, S>, cause: Unreadable) -> Admitted {
    let unknown = graph.unknown();
    if unknown.is_empty() { Admitted::Unjudged(cause.0) } else { Admitted::Missing(unknown) }
}
