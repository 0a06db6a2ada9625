//! The state, or the members, a page at a time.

use tern_model::{EventField, MatrixError, Name, RawJson, RoomSeq, StoredEvent};
use tern_ports::{
    ObjectHost, SqlError,
    wire::room::{MembersFilter, PageState, StatePage},
};

use crate::{
    RoomActor,
    reads::{read::membership_of, timeline::read_token},
};

/// Events read for a page at once.
const PAGE: u32 = 64;

/// Bytes of events after which a page ends.
const PAGE_BYTES: usize = 1 << 20;

/// Events looked at for a page, of which a filter may leave out any.
const MOST_SCANNED: usize = 4_096;

/// Events, and the place of the last one when there may be more.
type Page = (Vec<StoredEvent>, Option<(EventField, EventField)>);

impl<H: ObjectHost> RoomActor<H> {
    /// A page of the current state. What somebody who left reads, or what was at a point in time, is put together as a
    /// whole and is one page.
    pub(crate) async fn page_state(&self, request: &PageState) -> Result<StatePage, MatrixError> {
        let head = self.room()?;
        let end = self.reach(&request.caller).await?.end(head.newest);
        let members = request.members.as_ref();
        let at = members.and_then(|members| members.at.as_deref()).map(read_token).transpose()?;
        let at = at.map_or(end, |at| at.min(end));
        let pattern = if members.is_some() { ("m.room.member", "*") } else { ("*", "*") };
        if at >= head.newest {
            let (events, next) = self.current_page(pattern, request)?;
            return Ok(StatePage { events: self.client_forms(&head, &events)?, next });
        }
        Ok(StatePage { events: self.state_page_at(at, pattern, request).await?, next: None })
    }

    async fn state_page_at(
        &self,
        at: RoomSeq,
        pattern: (&str, &str),
        request: &PageState,
    ) -> Result<Vec<RawJson>, MatrixError> {
        let head = self.room()?;
        let mut state = self.state_at(&head, at, pattern.0, pattern.1).await?;
        let after = request.after.as_ref().map(|(kind, key)| (kind.as_str(), key.as_str()));
        state.retain(|event| is_wanted(event, request.members.as_ref()) && Some(key_of(event)) > after);
        self.client_forms(&head, &state)
    }

    fn current_page(&self, pattern: (&str, &str), request: &PageState) -> Result<Page, SqlError> {
        let (mut events, mut bytes, mut scanned) = (Vec::new(), 0, 0);
        let mut after = request.after.clone().unwrap_or_default();
        loop {
            let rows = self.store().state_page(pattern, (&after.0, &after.1), PAGE)?;
            if rows.is_empty() {
                return Ok((events, None));
            }
            for event in rows {
                after = (EventField::cut(event.kind.as_str()), EventField::cut(key_of(&event).1));
                scanned += 1;
                if is_wanted(&event, request.members.as_ref()) {
                    bytes += size(&event);
                    events.push(event);
                }
                if bytes >= PAGE_BYTES || scanned >= MOST_SCANNED {
                    return Ok((events, Some(after)));
                }
            }
        }
    }
}

fn size(event: &StoredEvent) -> usize {
    event.pdu.text().len() + event.unsigned.as_ref().map_or(0, |unsigned| unsigned.text().len())
}

fn key_of(event: &StoredEvent) -> (&str, &str) {
    (&event.kind, event.state_key.as_deref().unwrap_or_default())
}

fn is_wanted(event: &StoredEvent, members: Option<&MembersFilter>) -> bool {
    let Some(members) = members else { return true };
    let membership = membership_of(event);
    let is = |wanted: &Option<Name>| wanted.as_ref().map(|wanted| wanted.as_str() == membership);
    is(&members.membership).unwrap_or(true) && !is(&members.not_membership).unwrap_or(false)
}
