//! `GET messages` and `GET context`: parts of the timeline, as the reader may see it.

use std::collections::BTreeSet;

use ruma::{OwnedEventId, UserId};
use tern_model::{MatrixError, RawJson, RoomSeq, StoredEvent};
use tern_ports::{
    ObjectHost,
    wire::{
        relations::{EventContext, ReadContext},
        room::{Messages, ReadMessages},
        sync::VisibilityFacts,
    },
};
use tern_room::Relation;

use crate::{
    RoomActor,
    reads::{
        access::{Reach, visible},
        aggregate::Reading,
        before_join,
        related::Kinds,
        timeline::{Page, Range, read_token, token},
    },
    timeline::{head::Head, tail_bytes::size},
};
use tern_room::filter::RoomEventFilter;

/// Most events of one page.
pub(crate) const MOST_EVENTS: u32 = 250;

/// Events looked at for one page, when a filter or visibility leaves many out. The client goes on from there.
const MOST_SCANNED: u32 = 1_000;

/// Events looked at that relate to those of one step, when the filter asks for them.
const MOST_RELATED: u32 = 2_000;

/// Bytes of events after which a page ends, whatever was asked for. The client goes on from there.
const MOST_BYTES: u64 = 2 << 20;

/// Events fetched at once while scanning.
const STEP: u32 = 100;

/// Where a page stands while it is filled.
pub(crate) struct Scan {
    pub(crate) range: Range,
    pub(crate) chunk: Vec<StoredEvent>,
    /// What the chunk weighs.
    bytes: u64,
    /// For deciding what the reader may see, from the oldest event of the page on.
    pub(crate) facts: VisibilityFacts,
    /// The timeline's end in the direction of reading was reached.
    exhausted: bool,
}

impl Scan {
    pub(crate) fn of(range: Range) -> Self {
        Self { range, chunk: Vec::new(), bytes: 0, facts: VisibilityFacts::default(), exhausted: false }
    }

    /// Everything up to `event` has been looked at.
    fn pass(&mut self, event: &StoredEvent) {
        if self.range.backwards {
            self.range.until = event.seq.previous();
        } else {
            self.range.after = event.seq;
        }
    }

    /// Nothing more goes in.
    fn is_full(&self, limit: u32) -> bool {
        self.chunk.len() >= limit as usize || self.bytes >= MOST_BYTES
    }

    /// The token to go on with.
    fn end(&self) -> Option<String> {
        if self.range.backwards {
            // Below position 1 there is nothing. Elsewhere nothing may be left to see, but only looking tells.
            let more = self.range.until.0 > 0 && !(self.exhausted && self.chunk.is_empty());
            more.then(|| token(self.range.until))
        } else {
            (!(self.exhausted && self.chunk.is_empty())).then(|| token(self.range.after))
        }
    }
}

impl<H: ObjectHost> RoomActor<H> {
    /// One page of the timeline.
    pub(crate) async fn read_messages(&self, request: ReadMessages) -> Result<Messages, MatrixError> {
        let reach = self.reach(&request.caller.user_id).await?;
        let head = self.room()?;
        let before = request.from.as_deref().and_then(before_join::read_token);
        if let Some(event_id) = before.filter(|_| reach == Reach::Current) {
            return self.read_before_join(&head, &request, &event_id).await;
        }
        let filter = RoomEventFilter::read(request.filter.as_ref())?;
        let newest = reach.end(head.newest);
        let entry = if request.backwards && reach == Reach::Current { self.entry()? } else { None };
        let from = request.from.as_deref().map(read_token).transpose()?;
        let to = request.to.as_deref().map(read_token).transpose()?;
        let start = from.unwrap_or(if request.backwards { newest } else { RoomSeq::default() });
        let range = if request.backwards {
            let beginning = entry.as_ref().map(|entry| entry.seq.previous());
            Range { after: to.max(beginning).unwrap_or_default(), until: start.min(newest), backwards: true }
        } else {
            Range { after: start, until: to.unwrap_or(newest).min(newest), backwards: false }
        };
        let mut scan = Scan::of(range);
        if filter.excludes_room(&self.room_id) {
            scan.exhausted = true;
        } else {
            let limit = request.limit.min(filter.limit.unwrap_or(MOST_EVENTS)).clamp(1, MOST_EVENTS);
            self.scan(&head, &request.caller.user_id, &filter, limit, &mut scan).await?;
        }
        let Scan { facts, .. } = &scan;
        let reading = Reading { head: &head, caller: &request.caller, facts, end: newest, ignored: &request.ignored };
        Ok(Messages {
            start: token(start),
            end: match entry.filter(|entry| to.is_none() && scan.range.until < entry.seq) {
                Some(entry) => Some(entry.token()),
                None => scan.end(),
            },
            chunk: self.show(&reading, &scan.chunk).await?,
            state: if filter.lazy_load_members {
                self.members_of(&head, newest, &scan.chunk).await?
            } else {
                Vec::new()
            },
        })
    }

    /// One event with what stands around it.
    pub(crate) async fn read_context(&self, request: ReadContext) -> Result<EventContext, MatrixError> {
        let reader = &*request.caller.user_id;
        let filter = RoomEventFilter::read(request.filter.as_ref())?;
        let (head, event, facts) = self.find_visible(reader, &request.event_id).await?;
        let end = self.end_for(&head, reader, event.seq).await?;
        let back = Range { after: RoomSeq::default(), until: event.seq.previous(), backwards: true };
        let on = Range { after: event.seq, until: end, backwards: false };
        let (mut before, mut after) = (Scan::of(back), Scan::of(on));
        before.facts = facts;
        self.scan(&head, reader, &filter, request.limits.0.min(MOST_EVENTS), &mut before).await?;
        self.scan(&head, reader, &filter, request.limits.1.min(MOST_EVENTS), &mut after).await?;
        let Scan { facts, .. } = &before;
        let reading = Reading { head: &head, caller: &request.caller, facts, end, ignored: &request.ignored };
        let around = before.chunk.len();
        let shown: Vec<_> = before.chunk.iter().chain([&event]).chain(&after.chunk).cloned().collect();
        let mut forms = self.show(&reading, &shown).await?.into_iter();
        let last = after.chunk.last().map_or(event.seq, |last| last.seq);
        let state = if request.only_members {
            self.members_of(&head, last, &shown).await?
        } else {
            self.context_state(&head, last, &shown, filter.lazy_load_members).await?
        };
        Ok(EventContext {
            start: token(before.range.until),
            end: token(after.range.after),
            before: forms.by_ref().take(around).collect(),
            event: forms.next().ok_or_else(MatrixError::internal)?,
            after: forms.collect(),
            state,
        })
    }

    /// The state at `at`; with `lazy` only of those who sent the events.
    async fn context_state(
        &self,
        head: &Head,
        at: RoomSeq,
        events: &[StoredEvent],
        lazy: bool,
    ) -> Result<Vec<RawJson>, MatrixError> {
        let mut state = self.state_at(head, at, "*", "*").await?;
        if lazy {
            let senders: BTreeSet<&str> = events.iter().map(|event| event.sender.as_str()).collect();
            let sent = |key: &Option<String>| key.as_deref().is_some_and(|key| senders.contains(key));
            state.retain(|event| event.kind != "m.room.member" || sent(&event.state_key));
        }
        self.client_forms(head, &state)
    }

    /// Fills a page with up to `limit` events that the reader may see and the filter lets through.
    pub(crate) async fn scan(
        &self,
        head: &Head,
        reader: &UserId,
        filter: &RoomEventFilter,
        limit: u32,
        scan: &mut Scan,
    ) -> Result<(), MatrixError> {
        let mut scanned = 0;
        let mut step = limit;
        while scanned < MOST_SCANNED && !scan.is_full(limit) {
            let page = match self.page(head, reader, scan.range, step).await {
                // What was found so far is an answer.
                Err(_) if !scan.chunk.is_empty() => return Ok(()),
                page => page?,
            };
            if page.events.is_empty() {
                scan.exhausted = true;
                return Ok(());
            }
            let related = self.related_targets(head, reader, filter, &page).await?;
            for event in page.events {
                scanned += 1;
                scan.pass(&event);
                let passes = filter.passes(&event) && related.as_ref().is_none_or(|ids| ids.contains(&event.event_id));
                if passes && visible(reader, &page.facts, &event) {
                    scan.bytes += size(&event);
                    scan.chunk.push(event);
                }
                if scan.is_full(limit) {
                    break;
                }
            }
            if scan.range.backwards || scanned <= step {
                scan.facts = page.facts;
            }
            step = step.max(STEP);
        }
        Ok(())
    }

    /// Of a page's events those to which others relate as the filter asks; nothing when it does not ask.
    async fn related_targets(
        &self,
        head: &Head,
        reader: &UserId,
        filter: &RoomEventFilter,
        page: &Page,
    ) -> Result<Option<BTreeSet<OwnedEventId>>, MatrixError> {
        if !filter.asks_for_relations() {
            return Ok(None);
        }
        let targets: Vec<_> = page.events.iter().map(|event| event.event_id.clone()).collect();
        let first = page.events.iter().map(|event| event.seq).min().unwrap_or_default();
        let range = Range { after: first, until: self.reach(reader).await?.end(head.newest), backwards: true };
        let related = self.page_related(head, reader, &targets, range, Kinds::default(), MOST_RELATED).await?;
        let wanted = |event: &StoredEvent| {
            let relation = Relation::of(event).filter(|relation| filter.passes_related(event, &relation.rel_type));
            relation.filter(|_| visible(reader, &related.facts, event)).map(|relation| relation.event_id)
        };
        Ok(Some(related.events.iter().filter_map(wanted).collect()))
    }

    /// The member events, at `at`, of those who sent these events.
    pub(crate) async fn members_of(
        &self,
        head: &Head,
        at: RoomSeq,
        events: &[StoredEvent],
    ) -> Result<Vec<RawJson>, MatrixError> {
        let senders: BTreeSet<&str> = events.iter().map(|event| event.sender.as_str()).collect();
        let mut members = Vec::with_capacity(senders.len());
        for sender in senders {
            let member = if at >= head.newest {
                self.store().state("m.room.member", sender)?
            } else {
                self.state_at(head, at, "m.room.member", sender).await?.pop()
            };
            if let Some(member) = member {
                members.push(self.client_form(head, &member, None)?);
            }
        }
        Ok(members)
    }
}
