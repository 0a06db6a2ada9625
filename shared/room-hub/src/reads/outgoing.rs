//! What another server is sent of the room.

use std::{collections::BTreeSet, rc::Rc};

use tern_model::{MatrixError, Millis, RoomSeq, StoredEvent};
use tern_ports::{
    ObjectHost, SqlError,
    wire::server_reads::{OutgoingEvents, ReadOutgoing},
};

use crate::{RoomActor, reads::timeline::Range, timeline::head::Head};

/// Of more positions than this, the first of which has waited for so long, only the newest event is sent: the server was
/// away, and fetches what is before it, as much as it wants.
const CATCH_UP: u64 = 100;
const AWAY_MS: u64 = 10 * 60_000;
/// Events that are looked at in one go, and how often.
const PAGE: u32 = 100;
const MOST_PAGES: usize = 10;

impl<H: ObjectHost> RoomActor<H> {
    /// What a server is to be sent from a position on.
    pub(crate) async fn read_outgoing(&self, ask: ReadOutgoing) -> Result<OutgoingEvents, MatrixError> {
        let head = self.head()?.ok_or_else(|| MatrixError::not_found("There is no such room"))?;
        if let Some(service) = &ask.service {
            return self.read_for_service(&head, service.as_str(), &ask).await;
        }
        let until = ask.until.map_or(head.newest, |until| until.min(head.newest));
        let since = self.store().server_since(&ask.server)?;
        let from = ask.from.previous();
        // What was before the server came, it has got by coming.
        let range = Range { after: since.map_or(from, |since| from.max(since)), until, backwards: false };
        let (events, through) = if since.is_none() {
            (self.removals(&ask, range)?, until)
        } else if self.has_waited(&head, range)?
            && let Some(newest) = self.newest_outgoing(&head, &ask, range).await?
        {
            (vec![newest], until)
        } else {
            self.next_outgoing(&head, &ask, range).await?
        };
        let events = events.into_iter().map(|event| event.pdu).collect();
        Ok(OutgoingEvents { events, through, newest: head.newest, joined: since.is_some() })
    }

    /// There is so much, and it has waited for so long, that the server must have been away.
    fn has_waited(&self, head: &Rc<Head>, range: Range) -> Result<bool, SqlError> {
        if range.until.0.saturating_sub(range.after.0) <= CATCH_UP {
            return Ok(false);
        }
        let recently = Millis(self.host.now().0.saturating_sub(AWAY_MS));
        let recent = self.store().first_since(range.after, range.until, recently)?;
        Ok(range.after < head.tail || recent != Some(range.after.next()))
    }

    /// The events by which the last users of a server were taken out, as far as the tail has them.
    fn removals(&self, ask: &ReadOutgoing, range: Range) -> Result<Vec<StoredEvent>, MatrixError> {
        let mut events = self.store().events(range.after, range.until, true, PAGE)?;
        events.retain(|event| {
            let of_server = event.state_key.as_deref().and_then(server_of);
            event.kind == "m.room.member" && of_server.as_deref() == Some(ask.server.as_str())
        });
        events.reverse();
        self.outgoing(ask, events, range)
    }

    /// The newest event of a range that the server is to be sent, if it is found.
    async fn newest_outgoing(
        &self,
        head: &Rc<Head>,
        ask: &ReadOutgoing,
        range: Range,
    ) -> Result<Option<StoredEvent>, MatrixError> {
        let mut until = range.until;
        for _ in 0..MOST_PAGES {
            if until <= range.after {
                break;
            }
            let page = self.run_of(head, Range { until, backwards: true, ..range }, PAGE).await?;
            let Some(oldest) = page.last().map(|event| event.seq) else { break };
            if let Some(newest) = self.outgoing(ask, page, range)?.into_iter().next() {
                return Ok(Some(newest));
            }
            until = oldest.previous();
        }
        Ok(None)
    }

    /// The first events of a range that the server is to be sent, and up to where they are all.
    async fn next_outgoing(
        &self,
        head: &Rc<Head>,
        ask: &ReadOutgoing,
        range: Range,
    ) -> Result<(Vec<StoredEvent>, RoomSeq), MatrixError> {
        if range.after >= range.until {
            return Ok((Vec::new(), range.until));
        }
        let page = self.run_of(head, range, PAGE).await?;
        let mut through = page.last().map_or(range.until, |last| last.seq);
        let mut events = self.outgoing(ask, page, range)?;
        let mut bytes = 0;
        let fits = |event: &StoredEvent| {
            bytes += event.pdu.text().len();
            bytes > ask.max_bytes
        };
        let most = events.iter().position(fits).map_or(events.len(), |most| most.max(1)).min(ask.limit as usize);
        if let Some(first) = events.get(most) {
            through = first.seq.previous();
        }
        events.truncate(most);
        Ok((events, through))
    }

    /// Those of the events that this server tells the other one of.
    fn outgoing(
        &self,
        ask: &ReadOutgoing,
        mut events: Vec<StoredEvent>,
        range: Range,
    ) -> Result<Vec<StoredEvent>, MatrixError> {
        let passed_on: BTreeSet<RoomSeq> = self.store().passed_on(range.after, range.until)?;
        events.retain(|event| {
            let sender = server_of(&event.sender);
            self.is_ours(event, &passed_on) && sender.as_deref() != Some(ask.server.as_str())
        });
        Ok(events)
    }

    /// A run of the timeline, from the tail, and from the storage worker below it.
    async fn run_of(&self, head: &Rc<Head>, range: Range, limit: u32) -> Result<Vec<StoredEvent>, MatrixError> {
        if range.after >= head.tail {
            return Ok(self.store().events(range.after, range.until, range.backwards, limit)?);
        }
        // What a member may see is not asked here: the server is in the room.
        let reader = self.store().joined(Some(1))?.into_iter().next();
        let (reader, _) = reader.ok_or_else(|| MatrixError::not_found("Nobody is in the room"))?;
        Ok(self.page(head, &reader, range, limit).await?.events)
    }
}

/// The server of a user id, in small letters.
fn server_of(user_id: &str) -> Option<String> {
    user_id.split_once(':').map(|(_, server)| server.to_ascii_lowercase())
}
