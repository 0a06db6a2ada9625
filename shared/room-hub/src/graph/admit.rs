//! What becomes of an event that was checked: its place in the timeline and in the state, or beside them.

use std::rc::Rc;

use ruma::OwnedEventId;
use tern_model::{Millis, Pdu, StoredEvent};
use tern_ports::{Sql, SqlError};
use tern_room::{
    Advance, AuthoriseError, AuthorisedPdu, Former, Key, StateDelta, Unreadable, Verdict, advance, authorise_pdu,
};

use crate::{
    graph::{fetched::Fetched, known::Graph, side_events::EventStatus, state_groups::FORMER},
    timeline::{
        store::damaged,
        view::{Entry, Transaction},
    },
};

/// What became of an event.
pub(crate) enum Admitted {
    /// It is part of the room.
    Accepted,
    /// It is kept beside the timeline.
    SideEvent(EventStatus, String),
    /// These events have to be known first.
    Missing(Vec<OwnedEventId>),
    /// The rules came to no verdict, through no fault of the event. Nothing was written.
    Deferred(String),
}

impl<S: Sql> Transaction<'_, S> {
    /// Checks an event where it stands and takes it in.
    pub(crate) fn admit(&self, entry: &Entry, fetched: &Fetched) -> Result<Admitted, SqlError> {
        let pdu = &entry.pdu;
        let graph = Graph::new(self, fetched, pdu);
        let authorised = match authorise_pdu(&graph, pdu) {
            Ok(authorised) => authorised,
            Err(AuthoriseError::Missing(missing)) => return Ok(Admitted::Missing(missing)),
            Err(AuthoriseError::Unreadable(cause)) => return Ok(without_verdict(&graph, cause)),
        };
        let next = match authorised.verdict {
            Verdict::Accept => {
                match graph.extremities().and_then(|before| advance(&graph, &before, pdu, &authorised.after)) {
                    Ok(next) => Some(next),
                    Err(cause) => return Ok(without_verdict(&graph, cause)),
                }
            }
            _ => None,
        };
        let unknown = graph.unknown();
        if !unknown.is_empty() {
            return Ok(Admitted::Missing(unknown));
        }
        if let Some(next) = next.as_ref()
            && let Err(error) = self.check_advance_bytes(&next.changes, &graph)?
        {
            return Ok(Admitted::Deferred(error.to_string()));
        }
        match (authorised.verdict.clone(), next) {
            (Verdict::Accept, Some(next)) => {
                self.take_in(entry, &authorised, &next, &graph).map(|()| Admitted::Accepted)
            }
            (Verdict::SoftFail(reason), _) => {
                self.store_side_event(pdu, &authorised, &graph, (EventStatus::SoftFailed, reason))
            }
            (Verdict::Reject(reason), _) => {
                self.store_side_event(pdu, &authorised, &graph, (EventStatus::Rejected, reason))
            }
            (Verdict::Accept, None) => Err(damaged("an accepted event without a present")),
        }
    }

    fn take_in(
        &self,
        entry: &Entry,
        authorised: &AuthorisedPdu,
        next: &Advance,
        graph: &Graph<'_, S>,
    ) -> Result<(), SqlError> {
        let pdu = &entry.pdu;
        self.store().drop_outlier(pdu.id().as_str())?;
        self.store().use_outliers(pdu.auth())?;
        self.states.keep_state(pdu.id().as_str(), &authorised.after);
        let own = pdu.key().map(|key| (pdu.kind().to_string().into(), key.to_owned()));
        let others: Vec<(&Key, &Option<OwnedEventId>)> =
            next.changes.iter().filter(|(_, event_id)| event_id.as_deref() != Some(pdu.id())).collect();
        // What becomes current without ever having been in the timeline enters it now.
        for (_, event_id) in &others {
            if let Some(event_id) = event_id {
                self.promote(event_id, graph)?;
            }
        }
        if authorised.after != next.changes {
            // Told from the current-state log as it is before the event.
            self.note_state(pdu, &authorised.after, graph)?;
        }
        let current =
            own.as_ref().is_none_or(|own| next.changes.get(own).is_some_and(|id| id.as_deref() == Some(pdu.id())));
        self.append_to(entry, current, next.extremities.clone())?;
        for (key, event_id) in others {
            self.resolve_to(key, event_id.as_ref())?;
        }
        match own {
            Some(own) if !current && !next.changes.contains_key(&own) => self.stay_at(&own)?,
            _ => {}
        }
        self.note_former(next.former)
    }

    /// Keeps the state that is resolved along with those after the extremities, or forgets it.
    fn note_former(&self, former: Former) -> Result<(), SqlError> {
        let store = self.store();
        match former {
            Former::Kept => return Ok(()),
            Former::Nothing if self.extremities_now().1 => store.drop_state_group(FORMER)?,
            Former::Nothing => {}
            Former::Present => {
                let nothing = Rc::default();
                let number = store.add_state_group(self.newest(), &nothing)?;
                store.put_state_group(FORMER, number, self.newest())?;
                self.states.keep_state(FORMER, &nothing);
            }
        }
        self.set_former(former != Former::Nothing);
        Ok(())
    }

    fn store_side_event(
        &self,
        pdu: &Pdu,
        authorised: &AuthorisedPdu,
        graph: &Graph<'_, S>,
        (status, reason): (EventStatus, String),
    ) -> Result<Admitted, SqlError> {
        self.note_state(pdu, &authorised.after, graph)?;
        match status {
            EventStatus::Rejected => graph.note_rejected(),
            _ => self.store().use_outliers(pdu.auth())?,
        }
        self.store().store_side_event(pdu, status, Some(&reason), self.newest())?;
        Ok(Admitted::SideEvent(status, reason))
    }

    /// Keeps the state after an event: by what the event before it has and it has not, so that a fork takes as much room as
    /// was said on it, however much the present has moved since.
    fn note_state(&self, pdu: &Pdu, after: &Rc<StateDelta>, graph: &Graph<'_, S>) -> Result<(), SqlError> {
        let store = self.store();
        let own = pdu.key().map(|key| (pdu.kind().to_string().into(), key.to_owned()));
        let own = own.filter(|own| after.get(own).is_some_and(|id| id.as_deref() == Some(pdu.id())));
        let own = own.map(|own| (own, Some(pdu.id().to_owned())));
        let (group, position) = match pdu.prev() {
            [only] => (store.state_group(only.as_str())?, graph.on_the_log(only)?),
            _ => (None, None),
        };
        let number = match (group, position) {
            (Some(group), _) => store.state_group_on(group, own)?,
            (None, Some(position)) => store.add_state_group(position, &own.into_iter().collect())?,
            (None, None) => store.add_state_group(self.newest(), after)?,
        };
        store.put_state_group(pdu.id().as_str(), number, self.newest())
    }

    /// Gives an event that was a side event, or trimmed, its row in the timeline.
    fn promote(&self, event_id: &OwnedEventId, graph: &Graph<'_, S>) -> Result<(), SqlError> {
        if self.store().seq_of(event_id.as_str())?.is_some() {
            return Ok(());
        }
        if let Some(trimmed) = graph.fetched(event_id) {
            return self.store().insert_event(trimmed, Millis::default(), None);
        }
        let side_event =
            self.store().side_event(event_id.as_str())?.ok_or_else(|| damaged("an unknown event became state"))?;
        let (extremities, _) = self.extremities_now();
        self.append_to(&Entry::plain(side_event.pdu), false, extremities)?;
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

/// What could not be checked for want of an event waits for it. Anything else is this event's own misfortune: those
/// that are decided with it must not suffer for it.
fn without_verdict<S: Sql>(graph: &Graph<'_, S>, cause: Unreadable) -> Admitted {
    let unknown = graph.unknown();
    if unknown.is_empty() { Admitted::Deferred(cause.0) } else { Admitted::Missing(unknown) }
}
