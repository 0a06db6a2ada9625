//! What the events of one run of a timeline say of each other.
//!
//! Whatever relates to an event comes after it. So of a run that reaches the newest event, the run itself tells all that is
//! said about its events, and nobody has to be asked.

use std::collections::BTreeMap;

use ruma::{OwnedEventId, UserId};
use tern_model::{RawJson, RoomSeq, StoredEvent};

use crate::{
    client::with_relations,
    relations::{Aggregation, References, Relation, Thread, aggregates, newer_edit, replaces},
};

/// References told of with one event, at most.
pub const MOST_REFERENCES: usize = 100;

/// What relates to one event.
#[derive(Clone, Debug, Default)]
pub struct Related {
    /// The newest edit.
    pub edit: Option<StoredEvent>,
    /// The newest event of its thread, how many there are, and whether the reader sent one of them.
    pub thread: Option<(StoredEvent, u64, bool)>,
    /// The events that refer to it, oldest first.
    pub references: Vec<OwnedEventId>,
}

impl Related {
    /// Adds an event that relates to `target` and comes after all that were added.
    pub fn add(&mut self, rel_type: &str, target: &StoredEvent, event: StoredEvent, reader: &UserId) {
        match rel_type {
            "m.replace" if replaces(target, &event) => {
                self.edit = Some(match self.edit.take() {
                    Some(edit) => newer_edit(edit, event),
                    None => event,
                });
            }
            "m.thread" => {
                let (count, participated) = self.thread.take().map_or((0, false), |(_, count, own)| (count, own));
                let own = reader.as_str() == event.sender;
                self.thread = Some((event, count + 1, participated || own));
            }
            "m.reference" if self.references.len() < MOST_REFERENCES => self.references.push(event.event_id),
            _ => {}
        }
    }
}

/// Those of a timeline's newest events that others of them relate to, with what is said about them. The events' `pdu` is
/// their client form, and so is what comes back.
///
/// # Errors
/// The serialiser's error.
pub fn aggregated(reader: &UserId, timeline: &[StoredEvent]) -> Result<BTreeMap<RoomSeq, RawJson>, serde_json::Error> {
    let targets: BTreeMap<&OwnedEventId, &StoredEvent> =
        timeline.iter().filter(|event| aggregates(event)).map(|event| (&event.event_id, event)).collect();
    let mut related: BTreeMap<OwnedEventId, Related> = BTreeMap::new();
    for event in timeline {
        let Some(relation) = Relation::of(event) else { continue };
        let Some(target) = targets.get(&relation.event_id).filter(|target| target.seq < event.seq) else { continue };
        related.entry(relation.event_id).or_default().add(&relation.rel_type, target, event.clone(), reader);
    }
    let mut told = BTreeMap::new();
    for (event_id, about) in &related {
        let Some(target) = targets.get(event_id) else { continue };
        if let Some(relations) = aggregation(reader, target, about, &related)?.to_json()? {
            told.insert(target.seq, with_relations(&target.pdu, &relations));
        }
    }
    Ok(told)
}

fn aggregation(
    reader: &UserId,
    target: &StoredEvent,
    about: &Related,
    all: &BTreeMap<OwnedEventId, Related>,
) -> Result<Aggregation, serde_json::Error> {
    let mut aggregation = Aggregation {
        edit: about.edit.as_ref().map(|edit| edit.pdu.clone()),
        thread: None,
        references: References::of(about.references.iter().cloned()),
    };
    if let Some((newest, count, participated)) = &about.thread {
        // The newest event of a thread may have been edited as well.
        let edit = all.get(&newest.event_id).and_then(|about| about.edit.as_ref()).map(|edit| edit.pdu.clone());
        let edited = Aggregation { edit, ..Aggregation::default() }.to_json()?;
        aggregation.thread = Some(Thread {
            latest_event: edited.map_or_else(|| newest.pdu.clone(), |edited| with_relations(&newest.pdu, &edited)),
            count: *count,
            current_user_participated: *participated || target.sender == reader.as_str(),
        });
    }
    Ok(aggregation)
}
