//! Events that relate to others: the tail's rows, joined with what the storage worker has.

use std::{cmp::Reverse, collections::BTreeSet};

use ruma::{EventId, OwnedEventId, OwnedUserId, UserId};
use tern_model::{MatrixError, RoomSeq, StoredEvent};
use tern_object_kit::schema::Step;
use tern_ports::{
    ObjectHost, Sql, SqlError, ask_storage,
    wire::{relations::PageRelations, sync::VisibilityFacts},
};

use crate::{
    RoomActor,
    reads::{
        access::joined_facts,
        timeline::{Page, Range},
    },
    timeline::{
        head::Head,
        store::{Store, all, damaged, event_columns},
    },
};

/// Which relations.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kinds<'a> {
    pub(crate) rel_type: Option<&'a str>,
    pub(crate) kind: Option<&'a str>,
}

/// Who has annotated an event with what is asked for each reaction, so it is in the index; the beginning of a key is enough
/// to tell almost all apart, and a key may be as long as an event.
pub(crate) const ANNOTATIONS: Step = &[
    "ALTER TABLE events ADD COLUMN annotation TEXT
         GENERATED ALWAYS AS (substr(pdu ->> '$.content.\"m.relates_to\".key', 1, 64)) VIRTUAL",
    "DROP INDEX relations",
    "CREATE INDEX relations ON events (relates_to, rel_type, sender, annotation) WHERE relates_to IS NOT NULL",
];

impl<S: Sql> Store<'_, S> {
    /// The sender has annotated `target` with this key, in an event of type `kind`. Of what begins alike, a few are looked
    /// at.
    pub(crate) fn has_annotated(
        self,
        target: &EventId,
        key: Option<&str>,
        (sender, kind): (&str, &str),
    ) -> Result<bool, SqlError> {
        let rows = self.0.query(
            "SELECT 1 FROM (SELECT kind, pdu FROM events WHERE relates_to = ?1 AND rel_type = 'm.annotation'
                 AND sender = ?2 AND annotation IS substr(?3, 1, 64) LIMIT 8)
             WHERE kind = ?4 AND pdu ->> '$.content.\"m.relates_to\".key' IS ?3 LIMIT 1",
            &[target.as_str().into(), sender.into(), key.into(), kind.into()],
        )?;
        Ok(!rows.is_empty())
    }

    /// Events of a range of the tail that are told with one of `targets`: edits, threads and references.
    pub(crate) fn aggregated(self, targets: &[OwnedEventId], range: Range) -> Result<Vec<StoredEvent>, SqlError> {
        const SQL: &str = concat!(
            "SELECT ",
            event_columns!(),
            " FROM json_each(?) j CROSS JOIN events e ON e.relates_to = j.value",
            " AND e.rel_type IN ('m.replace', 'm.thread', 'm.reference') WHERE e.seq > ? AND e.seq <= ? ORDER BY e.seq"
        );
        let targets = serde_json::to_string(targets).map_err(damaged)?;
        all(self.0.query(SQL, &[targets.into(), range.after.0.into(), range.until.0.into()])?)
    }

    /// Events of a range of the tail that relate to one of `targets`.
    pub(crate) fn related(
        self,
        targets: &[OwnedEventId],
        range: Range,
        kinds: Kinds<'_>,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, SqlError> {
        const FROM: &str = concat!(
            "SELECT ",
            event_columns!(),
            " FROM json_each(?) j CROSS JOIN events e ON e.relates_to = j.value WHERE e.seq > ? AND e.seq <= ?",
            " AND (?4 IS NULL OR e.rel_type = +?4) AND (?5 IS NULL OR e.kind = +?5) ORDER BY e.seq"
        );
        let order = if range.backwards { " DESC LIMIT +?6" } else { " LIMIT +?6" };
        let params = [
            serde_json::to_string(targets).map_err(damaged)?.into(),
            range.after.0.into(),
            range.until.0.into(),
            kinds.rel_type.into(),
            kinds.kind.into(),
            u64::from(limit).into(),
        ];
        all(self.0.query(&format!("{FROM}{order}"), &params)?)
    }

    /// Threads that go on in the tail up to `until`, with their newest position there; what `ignored` sent does not count.
    pub(crate) fn threads(
        self,
        tail: RoomSeq,
        until: RoomSeq,
        ignored: &BTreeSet<OwnedUserId>,
    ) -> Result<Vec<(OwnedEventId, RoomSeq)>, SqlError> {
        let rows = self.0.query(
            "SELECT relates_to, max(seq) FROM events
             WHERE relates_to IS NOT NULL AND rel_type = 'm.thread' AND seq > ? AND seq <= ?
             AND sender NOT IN (SELECT value FROM json_each(?)) GROUP BY relates_to",
            &[tail.0.into(), until.0.into(), serde_json::to_string(ignored).map_err(damaged)?.into()],
        )?;
        let threads = rows.iter().filter_map(|row| Some((EventId::parse(row.text(0)?).ok()?, RoomSeq(row.int(1)?))));
        Ok(threads.collect())
    }

    /// The user sent an event of this thread in the tail.
    pub(crate) fn spoke_in(self, root: &EventId, user_id: &UserId) -> Result<bool, SqlError> {
        let rows = self.0.query(
            "SELECT 1 FROM events WHERE relates_to = ? AND rel_type = 'm.thread' AND sender = ? LIMIT 1",
            &[root.as_str().into(), user_id.as_str().into()],
        )?;
        Ok(!rows.is_empty())
    }
}

impl<H: ObjectHost> RoomActor<H> {
    /// At most `limit` events of a range that relate to one of `targets`.
    pub(crate) async fn page_related(
        &self,
        head: &Head,
        reader: &UserId,
        targets: &[OwnedEventId],
        range: Range,
        kinds: Kinds<'_>,
        limit: u32,
    ) -> Result<Page, MatrixError> {
        let local = self.local_facts(head, reader)?;
        let here = Range { after: range.after.max(head.tail), ..range };
        let mut events = self.store().related(targets, here, kinds, limit)?;
        let there = Range { until: range.until.min(head.tail), ..range };
        let enough = range.backwards && events.len() >= limit as usize;
        if there.after >= there.until || enough {
            return Ok(Page { events, facts: local });
        }
        let ask = PageRelations {
            room_id: self.room_id.clone(),
            user_id: reader.to_owned(),
            targets: targets.to_vec(),
            rel_type: kinds.rel_type.map(str::to_owned),
            kind: kinds.kind.map(str::to_owned),
            after: there.after,
            until: there.until,
            backwards: there.backwards,
            limit,
        };
        let stored = ask_storage(&*self.host, ask).await?;
        events.extend(stored.events);
        if range.backwards {
            events.sort_by_key(|event| Reverse(event.seq));
        } else {
            events.sort_by_key(|event| event.seq);
        }
        events.truncate(limit as usize);
        let facts: VisibilityFacts = joined_facts(head, local, Some(stored.facts));
        Ok(Page { events, facts })
    }
}
