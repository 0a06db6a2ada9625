//! Events as a reader is shown them: with their edits, threads and references (`unsigned.m.relations`).
//!
//! Whatever relates to an event comes after it. So for events of the tail the tail knows everything; only for older ones
//! is the storage worker asked, once for all of them.

use std::collections::{BTreeMap, BTreeSet};

use ruma::{OwnedEventId, OwnedUserId, UserId};
use tern_model::{Caller, MatrixError, RawJson, RoomSeq, StoredEvent};
use tern_ports::{
    ObjectHost, SqlError, ask_storage,
    wire::{
        relations::{LoadAggregations, StoredAggregation},
        sync::VisibilityFacts,
    },
};
use tern_room::{
    Aggregation, Relation, Thread,
    aggregate::Related,
    client::with_membership,
    relations::{References, aggregates, replaces},
    visibility::Facts,
};

use crate::{
    RoomActor,
    reads::{access::visible, timeline::Range},
    timeline::{head::Head, store::damaged},
};

/// Type of the event that makes a room an encrypted one.
const ENCRYPTION: &str = "m.room.encryption";

/// Who reads, and how far.
pub(crate) struct Reading<'a> {
    pub(crate) head: &'a Head,
    pub(crate) caller: &'a Caller,
    /// For what may be seen, from the oldest event on that is shown.
    pub(crate) facts: &'a VisibilityFacts,
    /// The last position within reach.
    pub(crate) end: RoomSeq,
    /// Whom the caller ignores.
    pub(crate) ignored: &'a BTreeSet<OwnedUserId>,
}

impl Reading<'_> {
    /// A child event is considered: child events of ignored users are not ("Aggregations of child events").
    fn considers(&self, event: &StoredEvent) -> bool {
        event.seq <= self.end && !self.ignores(&event.sender) && visible(&self.caller.user_id, self.facts, event)
    }

    /// The caller ignores this user.
    pub(crate) fn ignores(&self, sender: &str) -> bool {
        !self.ignored.is_empty() && <&UserId>::try_from(sender).is_ok_and(|sender| self.ignored.contains(sender))
    }

    /// The reader's membership at an event.
    fn membership_at(&self, seq: RoomSeq) -> &str {
        let VisibilityFacts { history, membership } = self.facts;
        Facts { user_id: &self.caller.user_id, history, membership }.membership_at(seq)
    }
}

type AllGathered = BTreeMap<OwnedEventId, Related>;

impl<H: ObjectHost> RoomActor<H> {
    /// Events in client form, each with what others have said about it.
    pub(crate) async fn show(
        &self,
        reading: &Reading<'_>,
        events: &[StoredEvent],
    ) -> Result<Vec<RawJson>, MatrixError> {
        let gathered = self.gather(reading, events.iter()).await?;
        // The newest event of a thread may have been edited as well.
        let newest = gathered.values().filter_map(|gathered| gathered.thread.as_ref().map(|(newest, _, _)| newest));
        let edits = self.gather(reading, newest).await?;
        let encrypted = self.store().state(ENCRYPTION, "")?.is_some();
        let form = |event: &StoredEvent, relations: Option<RawJson>| {
            let shown = self.client_form_with(reading.head, event, Some(reading.caller), relations.as_ref())?;
            Ok::<_, SqlError>(if encrypted { with_membership(&shown, reading.membership_at(event.seq)) } else { shown })
        };
        let forms = events.iter().map(|event| {
            let Some(gathered) = gathered.get(&event.event_id) else { return Ok(form(event, None)?) };
            let mut aggregation = Aggregation {
                edit: gathered.edit.as_ref().map(|edit| form(edit, None)).transpose()?,
                thread: None,
                references: References::of(gathered.references.iter().cloned()),
            };
            if let Some((newest, count, participated)) = &gathered.thread {
                let edit = edits.get(&newest.event_id).and_then(|gathered| gathered.edit.as_ref());
                let edit = edit.map(|edit| form(edit, None)).transpose()?;
                let edited = Aggregation { edit, ..Aggregation::default() }.to_json().map_err(damaged)?;
                aggregation.thread = Some(Thread {
                    latest_event: form(newest, edited)?,
                    count: *count,
                    current_user_participated: *participated || event.sender == reading.caller.user_id,
                });
            }
            Ok(form(event, aggregation.to_json().map_err(damaged)?)?)
        });
        forms.collect()
    }

    async fn gather<'a>(
        &self,
        reading: &Reading<'_>,
        events: impl Iterator<Item = &'a StoredEvent>,
    ) -> Result<AllGathered, MatrixError> {
        let targets: BTreeMap<&OwnedEventId, &StoredEvent> =
            events.filter(|event| aggregates(event)).map(|event| (&event.event_id, event)).collect();
        if targets.is_empty() {
            return Ok(AllGathered::new());
        }
        let mut gathered = AllGathered::new();
        for stored in self.gather_stored(reading, &targets).await? {
            let Some(target) = targets.get(&stored.target) else { continue };
            let entry = gathered.entry(stored.target).or_default();
            entry.edit = stored.edit.filter(|edit| reading.considers(edit) && replaces(target, edit));
            entry.thread = stored
                .thread
                .filter(|thread| reading.considers(&thread.latest))
                .map(|thread| (thread.latest, thread.count, thread.participated));
            entry.references = stored.references;
        }
        let ids: Vec<OwnedEventId> = targets.keys().map(|id| (*id).clone()).collect();
        let tail = Range { after: reading.head.tail, until: reading.end, backwards: false };
        for event in self.store().aggregated(&ids, tail)? {
            let Some(relation) = Relation::of(&event).filter(|_| reading.considers(&event)) else { continue };
            let Some(target) = targets.get(&relation.event_id) else { continue };
            gathered.entry(relation.event_id).or_default().add(
                &relation.rel_type,
                target,
                event,
                &reading.caller.user_id,
            );
        }
        Ok(gathered)
    }

    /// What the storage worker knows of those events that are older than the tail.
    async fn gather_stored(
        &self,
        reading: &Reading<'_>,
        targets: &BTreeMap<&OwnedEventId, &StoredEvent>,
    ) -> Result<Vec<StoredAggregation>, MatrixError> {
        let tail = reading.head.tail;
        let old = targets.values().filter(|event| event.seq <= tail).map(|event| event.event_id.clone());
        let targets: Vec<OwnedEventId> = old.collect();
        if targets.is_empty() {
            return Ok(Vec::new());
        }
        let ask = LoadAggregations {
            room_id: self.room_id.clone(),
            user_id: reading.caller.user_id.clone(),
            targets,
            until: reading.end.min(tail),
            ignored: reading.ignored.clone(),
        };
        ask_storage(&*self.host, ask).await
    }
}
