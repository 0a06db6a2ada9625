//! `GET messages`: pages of the timeline, as the reader may see it.

use std::collections::BTreeSet;

use tern_model::{MatrixError, RawJson, RoomSeq, StoredEvent};
use tern_ports::{
    ObjectHost,
    wire::room::{Messages, ReadMessages},
};

use super::{
    RoomActor,
    access::visible,
    filter::RoomEventFilter,
    store::Head,
    timeline::{Range, read_token, token},
};

/// Most events of one page.
const MOST_EVENTS: u32 = 250;

/// Events looked at for one page, when a filter or visibility leaves many out. The client goes on from there.
const MOST_SCANNED: u32 = 1_000;

/// Events fetched at once while scanning.
const STEP: u32 = 100;

/// Where a page stands while it is filled.
struct Scan {
    range: Range,
    chunk: Vec<StoredEvent>,
    /// The timeline's end in the direction of reading was reached.
    exhausted: bool,
}

impl Scan {
    /// Everything up to `event` has been looked at.
    fn pass(&mut self, event: &StoredEvent) {
        if self.range.backwards {
            self.range.until = event.seq.previous();
        } else {
            self.range.after = event.seq;
        }
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
    pub(super) async fn read_messages(&self, request: ReadMessages) -> Result<Messages, MatrixError> {
        let reach = self.reach(&request.caller.user_id).await?;
        let head = self.room()?;
        let filter = RoomEventFilter::read(request.filter.as_ref())?;
        let newest = reach.end(head.newest);
        let from = request.from.as_deref().map(read_token).transpose()?.map(|from| from.unwrap_or(newest));
        let to = request.to.as_deref().map(read_token).transpose()?.flatten();
        let start = from.unwrap_or(if request.backwards { newest } else { RoomSeq::default() });
        let range = if request.backwards {
            Range { after: to.unwrap_or_default(), until: start.min(newest), backwards: true }
        } else {
            Range { after: start, until: to.unwrap_or(newest).min(newest), backwards: false }
        };
        let mut scan = Scan { range, chunk: Vec::new(), exhausted: false };
        if filter.excludes_room(&self.room_id) {
            scan.exhausted = true;
        } else {
            self.scan(&head, &request, &filter, &mut scan).await?;
        }
        let client = |event: &StoredEvent| self.client_form(&head, event, Some(&request.caller));
        Ok(Messages {
            start: token(start),
            end: scan.end(),
            chunk: scan.chunk.iter().map(client).collect::<Result<_, _>>()?,
            state: if filter.lazy_load_members { self.members_of(&head, &scan.chunk)? } else { Vec::new() },
        })
    }

    async fn scan(
        &self,
        head: &Head,
        request: &ReadMessages,
        filter: &RoomEventFilter,
        scan: &mut Scan,
    ) -> Result<(), MatrixError> {
        let reader = &*request.caller.user_id;
        let limit = request.limit.min(filter.limit.unwrap_or(MOST_EVENTS)).clamp(1, MOST_EVENTS) as usize;
        let mut scanned = 0;
        let mut step = u32::try_from(limit).unwrap_or(STEP);
        while scanned < MOST_SCANNED {
            let page = match self.page(head, reader, scan.range, step).await {
                // What was found so far is an answer.
                Err(_) if !scan.chunk.is_empty() => return Ok(()),
                page => page?,
            };
            if page.events.is_empty() {
                scan.exhausted = true;
                return Ok(());
            }
            for event in page.events {
                scanned += 1;
                scan.pass(&event);
                if visible(reader, &page.facts, &event) && filter.passes(&event) {
                    scan.chunk.push(event);
                }
                if scan.chunk.len() == limit {
                    return Ok(());
                }
            }
            step = step.max(STEP);
        }
        Ok(())
    }

    /// The member events of those who sent these events.
    fn members_of(&self, head: &Head, events: &[StoredEvent]) -> Result<Vec<RawJson>, MatrixError> {
        let senders: BTreeSet<&str> = events.iter().map(|event| event.sender.as_str()).collect();
        let mut members = Vec::with_capacity(senders.len());
        for sender in senders {
            if let Some(member) = self.store().state("m.room.member", sender)? {
                members.push(self.client_form(head, &member, None)?);
            }
        }
        Ok(members)
    }
}
