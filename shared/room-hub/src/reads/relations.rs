//! `GET relations`, `GET threads` and `GET timestamp_to_event`.

use std::{cmp::Reverse, collections::BTreeMap};

use ruma::{OwnedEventId, UserId};
use tern_model::{MatrixError, Millis, RoomSeq, StoredEvent};
use tern_ports::{
    ObjectHost, Sql, SqlError, ask_storage,
    wire::{
        relations::{
            EventTime, FindByTime, PageThreads, ReadEventByTime, ReadRelations, ReadThreads, RelationPage, ThreadRow,
        },
        sync::VisibilityFacts,
    },
};

use crate::{
    RoomActor,
    reads::{
        access::{joined_facts, visible},
        aggregate::Reading,
        history::{MOST_EVENTS, Scan},
        related::Kinds,
        timeline::{Page, Range, read_token, token},
    },
    timeline::{
        head::Head,
        store::{Store, damaged},
    },
};
use tern_room::{filter::RoomEventFilter, redact::redact};

/// Levels of relations that `recurse` follows ("Relationships API").
const LEVELS: u32 = 3;

/// Events followed from one level to the next, at most.
const MOST_FOLLOWED: u32 = 500;

impl<S: Sql> Store<'_, S> {
    /// Position of the first event above `after` that is not older than `ts`.
    fn first_from(self, after: RoomSeq, ts: u64) -> Result<Option<RoomSeq>, SqlError> {
        let rows = self.0.query(
            "SELECT seq FROM events WHERE seq > ? AND ts >= ? ORDER BY seq LIMIT 1",
            &[after.0.into(), ts.into()],
        )?;
        Ok(rows.first().and_then(|row| row.int(0)).map(RoomSeq))
    }
}

impl Reading<'_> {
    /// A thread's root as the list of threads has it: of an ignored user redacted, as if the client had made the list
    /// ("Querying threads in a room").
    fn root(&self, root: StoredEvent) -> Result<StoredEvent, SqlError> {
        if root.state_key.is_some() || !self.ignores(&root.sender) {
            return Ok(root);
        }
        let pdu = redact(self.head.version, &root.pdu).map_err(damaged)?;
        Ok(StoredEvent { pdu, ..root })
    }
}

impl<H: ObjectHost> RoomActor<H> {
    /// Events that relate to one, which the reader must be able to see.
    pub(crate) async fn read_relations(&self, request: ReadRelations) -> Result<RelationPage, MatrixError> {
        let reader = &*request.caller.user_id;
        let (head, parent, facts) = self.find_visible(reader, &request.event_id).await?;
        let end = self.end_for(&head, reader, parent.seq).await?;
        let from = request.from.as_deref().map(read_token).transpose()?;
        let to = request.to.as_deref().map(read_token).transpose()?;
        let range = if request.backwards {
            Range { after: to.unwrap_or_default(), until: from.unwrap_or(end).min(end), backwards: true }
        } else {
            Range { after: from.unwrap_or_default(), until: to.unwrap_or(end).min(end), backwards: false }
        };
        let (targets, depth) = if request.recurse {
            let (targets, depth) = self.descendants(&head, reader, &parent, end).await?;
            (targets, Some(depth))
        } else {
            (vec![request.event_id.clone()], None)
        };
        let kinds = Kinds { rel_type: request.rel_type.as_deref(), kind: request.kind.as_deref() };
        let limit = request.limit.clamp(1, MOST_EVENTS);
        let Page { mut events, .. } = self.page_related(&head, reader, &targets, range, kinds, limit).await?;
        let next = (events.len() == limit as usize).then(|| events.last()).flatten();
        let next = next.map(|last| token(if request.backwards { last.seq.previous() } else { last.seq }));
        events.retain(|event| event.seq > parent.seq && visible(reader, &facts, event));
        let reading = Reading { head: &head, caller: &request.caller, facts: &facts, end, ignored: &request.ignored };
        Ok(RelationPage { chunk: self.show(&reading, &events).await?, next, depth })
    }

    /// The event and what relates to it, directly or through others, and how many levels of it there are.
    async fn descendants(
        &self,
        head: &Head,
        reader: &UserId,
        parent: &StoredEvent,
        end: RoomSeq,
    ) -> Result<(Vec<OwnedEventId>, u32), MatrixError> {
        let range = Range { after: parent.seq, until: end, backwards: false };
        let mut found = vec![parent.event_id.clone()];
        let mut level = found.clone();
        let mut depth = 1;
        while depth < LEVELS {
            let page = self.page_related(head, reader, &level, range, Kinds::default(), MOST_FOLLOWED).await?;
            level = page.events.into_iter().map(|event| event.event_id).filter(|id| !found.contains(id)).collect();
            if level.is_empty() {
                break;
            }
            found.extend(level.iter().cloned());
            depth += 1;
        }
        Ok((found, depth))
    }

    /// Roots of threads, the one with the newest event first; what the reader ignores makes no thread.
    pub(crate) async fn read_threads(&self, request: ReadThreads) -> Result<RelationPage, MatrixError> {
        let reach = self.reach(&request.caller.user_id).await?;
        let head = self.room()?;
        let end = reach.end(head.newest);
        let from = request.from.as_deref().map(read_token).transpose()?;
        let before = from.map_or(end.next(), RoomSeq::next);
        let limit = request.limit.clamp(1, MOST_EVENTS) as usize;
        let (mut threads, facts) = self.threads(&head, &request, before, end).await?;
        threads.sort_by_key(|thread| Reverse(thread.latest));
        let more = threads.len() > limit;
        threads.truncate(limit);
        let next = threads.last().filter(|_| more).map(|last| token(last.latest.previous()));
        let reader = &request.caller.user_id;
        let reading = Reading { head: &head, caller: &request.caller, facts: &facts, end, ignored: &request.ignored };
        let seen = threads.into_iter().map(|thread| thread.root).filter(|root| visible(reader, &facts, root));
        let roots = seen.map(|root| reading.root(root)).collect::<Result<Vec<_>, _>>()?;
        Ok(RelationPage { chunk: self.show(&reading, &roots).await?, next, depth: None })
    }

    /// Threads with newest events before a position: one page and at least one more, if there is one.
    async fn threads(
        &self,
        head: &Head,
        request: &ReadThreads,
        before: RoomSeq,
        end: RoomSeq,
    ) -> Result<(Vec<ThreadRow>, VisibilityFacts), MatrixError> {
        let reader = &*request.caller.user_id;
        let mut facts = self.local_facts(head, reader)?;
        let here = self.store().threads(head.tail, end, &request.ignored)?;
        let latest: BTreeMap<_, _> = here.into_iter().collect();
        let mut threads = Vec::new();
        for (root, seq) in &latest {
            if let Some(event) = self.store().event(root.as_str())?.filter(|event| event.seq > head.tail) {
                threads.push(ThreadRow { root: event, latest: *seq, participated: false });
            }
        }
        if head.tail.0 > 0 {
            let ask = PageThreads {
                room_id: self.room_id.clone(),
                user_id: reader.to_owned(),
                before,
                until: end.min(head.tail),
                known: latest.keys().cloned().collect(),
                participated: request.participated,
                limit: request.limit.clamp(1, MOST_EVENTS) + 1,
                ignored: request.ignored.clone(),
            };
            let page = ask_storage(&*self.host, ask).await?;
            // A thread that goes on has its place in the list from here.
            threads.extend(page.threads.into_iter().map(|thread| {
                let latest = latest.get(&thread.root.event_id).copied().unwrap_or(thread.latest);
                ThreadRow { latest, ..thread }
            }));
            facts = joined_facts(head, facts, Some(page.facts));
        }
        threads.retain(|thread| thread.latest < before);
        if request.participated {
            let mut own = Vec::with_capacity(threads.len());
            for thread in threads {
                let spoke = thread.participated || thread.root.sender == reader.as_str();
                if spoke || self.store().spoke_in(&thread.root.event_id, reader)? {
                    own.push(thread);
                }
            }
            threads = own;
        }
        Ok((threads, facts))
    }

    /// The event nearest to a time, of those the reader may see.
    pub(crate) async fn read_event_by_time(&self, request: ReadEventByTime) -> Result<EventTime, MatrixError> {
        let reader = &*request.caller.user_id;
        let reach = self.reach(reader).await?;
        let head = self.room()?;
        let end = reach.end(head.newest);
        let range = self.side_of_time(&head, request.ts, request.backwards).await?;
        let range = Range { until: range.until.min(end), ..range };
        let mut scan = Scan::of(range);
        self.scan(&head, reader, &RoomEventFilter::default(), 1, &mut scan).await?;
        let found =
            scan.chunk.pop().ok_or_else(|| MatrixError::not_found("There is no event on that side of the time"))?;
        Ok(EventTime { event_id: found.event_id, origin_server_ts: found.ts })
    }

    /// What is before a time, or after it. The first event after the time divides the timeline: before it everything is
    /// older.
    pub(crate) async fn side_of_time(&self, head: &Head, ts: Millis, backwards: bool) -> Result<Range, MatrixError> {
        let from = if backwards { ts.0.saturating_add(1) } else { ts.0 };
        let first = self.first_from_time(head, from).await?.unwrap_or(head.newest.next());
        Ok(if backwards {
            Range { after: RoomSeq::default(), until: first.previous(), backwards }
        } else {
            Range { after: first.previous(), until: head.newest, backwards }
        })
    }

    /// Position of the first event that is not older than `ts`, wherever it is.
    async fn first_from_time(&self, head: &Head, ts: u64) -> Result<Option<RoomSeq>, MatrixError> {
        let here = self.store().first_from(head.tail, ts)?;
        let settled = head.tail.0 == 0 || here.is_none_or(|seq| seq > head.tail.next());
        if settled {
            return Ok(here);
        }
        let ask = FindByTime { room_id: self.room_id.clone(), ts: Millis(ts) };
        let stored = ask_storage(&*self.host, ask).await?;
        Ok(stored.or(here))
    }
}
