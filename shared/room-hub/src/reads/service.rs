//! What an application service is sent of the room.

use std::rc::Rc;

use ruma::OwnedUserId;
use tern_model::{MatrixError, RawJson, StoredEvent, appservice::Appservice};
use tern_ports::{
    ObjectHost, SqlError,
    wire::server_reads::{OutgoingEvents, ReadOutgoing},
};
use tern_room::{
    client::{membership_of, with_invite_state},
    summary::stripped_state,
};

use crate::{
    RoomActor,
    delivery::services::Span,
    reads::timeline::Range,
    timeline::{
        head::Head,
        store::damaged,
        view::{Transaction, parsed},
    },
};

/// Events that are looked at in one go.
const PAGE: u32 = 100;

impl<H: ObjectHost> RoomActor<H> {
    /// What a service is to be sent from a position on.
    pub(crate) async fn read_for_service(
        &self,
        head: &Rc<Head>,
        id: &str,
        ask: &ReadOutgoing,
    ) -> Result<OutgoingEvents, MatrixError> {
        let service = self.config.accounts.appservices.iter().find(|service| service.id == id);
        let service = service.ok_or_else(|| MatrixError::not_found("There is no such service"))?;
        let until = ask.until.map_or(head.newest, |until| until.min(head.newest));
        let page = self.page_for_service(head, service, Range { after: ask.from.previous(), until, backwards: false });
        let page = page.await?;
        let span = self.spans(head)?.get(id).copied();
        let mut through = page.last().map_or(until, |last| last.seq);
        let (mut events, mut bytes) = (Vec::new(), 0);
        for event in page.iter().filter(|event| self.is_sent(service, span, event)) {
            let form = self.form_for_service(head, service, event)?;
            bytes += form.text().len();
            if !events.is_empty() && (events.len() >= ask.limit as usize || bytes > ask.max_bytes) {
                through = event.seq.previous();
                break;
            }
            events.push(form);
        }
        let joined = span.is_some_and(Span::is_open);
        Ok(OutgoingEvents { events, through, newest: head.newest, joined })
    }

    async fn page_for_service(
        &self,
        head: &Head,
        service: &Appservice,
        range: Range,
    ) -> Result<Vec<StoredEvent>, MatrixError> {
        if range.after >= range.until {
            return Ok(Vec::new());
        }
        if range.after >= head.tail {
            return Ok(self.store().events(range.after, range.until, false, PAGE)?);
        }
        let own = OwnedUserId::try_from(format!("@{}:{}", service.sender_localpart, self.config.server_name));
        let own = own.map_err(|_| MatrixError::internal())?;
        Ok(self.page(head, &own, range, PAGE).await?.events)
    }

    /// In client form; an invite of its user with what the user is shown of the room.
    fn form_for_service(&self, head: &Head, service: &Appservice, event: &StoredEvent) -> Result<RawJson, SqlError> {
        let form = self.client_form(head, event, None)?;
        if !self.is_membership(service, event) || membership_of(&form).as_deref() != Some("invite") {
            return Ok(form);
        }
        let tx = Transaction::new(&self.room_id, self.host.sql(), &self.cache, head.clone());
        Ok(with_invite_state(&form, &stripped_state(&tx, &parsed(event)?).map_err(damaged)?))
    }
}
