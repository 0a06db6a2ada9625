//! Which application services the room concerns, and since when (Application Service API, "Pushing events").
//!
//! A service is concerned by its local users who are joined, and by rooms of its namespaces. What holds is kept as a row for
//! each service, moved with memberships; other registrations have it looked at anew. A server without services asks nothing.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use ruma::UserId;
use tern_model::{
    RoomSeq, StoredEvent,
    appservice::{Appservice, fingerprint, within},
};
use tern_object_kit::schema::Step;
use tern_ports::{ObjectHost, Sql, SqlError};

use crate::{
    RoomActor,
    delivery::server_queue::{Recipient, ServerQueue},
    timeline::{head::Head, store::Store, view::Transaction},
};

/// `services` are those that the room concerns or concerned, with the first position of that and the last. `registrations`
/// says for which registrations that is so.
pub(crate) const TABLES: Step = &[
    "CREATE TABLE services (id TEXT PRIMARY KEY, since INTEGER NOT NULL, until INTEGER) STRICT, WITHOUT ROWID",
    "CREATE TABLE registrations (id INTEGER PRIMARY KEY CHECK (id = 1), fingerprint INTEGER NOT NULL) STRICT",
];

const MEMBER: &str = "m.room.member";

/// From where to where a room concerns a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    since: RoomSeq,
    until: Option<RoomSeq>,
}

impl Span {
    fn covers(self, seq: RoomSeq) -> bool {
        self.since <= seq && self.until.is_none_or(|until| seq <= until)
    }

    /// It does now.
    pub(crate) fn is_open(self) -> bool {
        self.until.is_none()
    }
}

type Spans = BTreeMap<String, Span>;

/// Services that the room concerns, as far as they were read.
#[derive(Default)]
pub(crate) struct Services(RefCell<Option<Rc<Spans>>>);

impl<H: ObjectHost> RoomActor<H> {
    /// Registrations of services that can be sent anything.
    fn reachable_services(&self) -> impl Iterator<Item = &Appservice> {
        self.config.accounts.appservices.iter().filter(|service| service.address().is_some())
    }

    /// What of the room concerns whom.
    pub(crate) fn spans(&self, head: &Head) -> Result<Rc<Spans>, SqlError> {
        if let Some(spans) = &*self.services.0.borrow() {
            return Ok(Rc::clone(spans));
        }
        let now = fingerprint(&self.config.accounts.appservices);
        if self.store().registrations()? != Some(now) {
            self.host.sql().transaction(|| {
                self.look_at_services(head)?;
                self.store().put_registrations(now)
            })?;
        }
        let spans = Rc::new(self.store().spans()?);
        self.services.0.replace(Some(Rc::clone(&spans)));
        Ok(spans)
    }

    /// Some service takes part.
    pub(crate) fn concerns_services(&self, head: &Head) -> Result<bool, SqlError> {
        let configured = !self.config.accounts.appservices.is_empty();
        Ok(configured && self.spans(head)?.values().any(|span| span.is_open()))
    }

    /// The registrations are others than before: a service that is concerned only now is told what nobody was told yet.
    fn look_at_services(&self, head: &Head) -> Result<(), SqlError> {
        let members = self.store().joined(None)?;
        let before = self.store().spans()?;
        for service in self.reachable_services() {
            let concerned = within(&service.namespaces.rooms, self.room_id.as_str())
                || members.iter().any(|(user_id, _)| self.is_users(service, user_id.as_str()));
            if concerned {
                self.store().open_span(&service.id, head.announced.next())?;
            } else {
                self.store().close_span(&service.id, head.newest)?;
            }
        }
        let known = |id: &String| self.reachable_services().any(|service| service.id == **id);
        before.keys().filter(|id| !known(id)).try_for_each(|id| self.store().drop_span(id))
    }

    /// Takes over which users of services a turn has brought in or taken out, in its transaction.
    pub(crate) fn follow_services(&self, tx: &Transaction<'_, H::Sql>) -> Result<(), SqlError> {
        if self.config.accounts.appservices.is_empty() {
            return Ok(());
        }
        for (user_id, joined) in tx.members_changed() {
            for service in self.reachable_services().filter(|service| self.is_users(service, user_id.as_str())) {
                match joined {
                    Some(since) => self.store().open_span(&service.id, since)?,
                    None if self.still_concerns(service)? => {}
                    None => {
                        let left = self.store().membership(user_id.as_str())?;
                        self.store().close_span(&service.id, left.map_or(tx.newest(), |(at, _)| at))?;
                    }
                }
                self.services.0.take();
            }
        }
        Ok(())
    }

    fn still_concerns(&self, service: &Appservice) -> Result<bool, SqlError> {
        if within(&service.namespaces.rooms, self.room_id.as_str()) {
            return Ok(true);
        }
        // The one that is there the longest, mostly.
        let own = format!("@{}:{}", service.sender_localpart, self.config.server_name);
        if self.store().membership(&own)?.is_some_and(|(_, membership)| membership == "join") {
            return Ok(true);
        }
        Ok(self.store().joined(None)?.iter().any(|(user_id, _)| self.is_users(service, user_id.as_str())))
    }

    fn is_users(&self, service: &Appservice, user_id: &str) -> bool {
        service.has_user(&self.config.server_name, user_id)
    }

    /// Queues services for what happened.
    pub(crate) fn queue_services(
        &self,
        queue: &mut ServerQueue,
        head: &Head,
        events: &[StoredEvent],
    ) -> Result<(), SqlError> {
        if self.config.accounts.appservices.is_empty() {
            return Ok(());
        }
        let spans = self.spans(head)?;
        for service in self.reachable_services() {
            let span = spans.get(&service.id).copied();
            if let Some(first) = events.iter().find(|event| self.is_sent(service, span, event)) {
                queue.enqueue(&Recipient::Service(service.id.clone()), first.seq);
            }
        }
        Ok(())
    }

    /// Whether a service is sent the event: the room concerns it there, or the event is about the membership of one of its
    /// users.
    pub(crate) fn is_sent(&self, service: &Appservice, span: Option<Span>, event: &StoredEvent) -> bool {
        span.is_some_and(|span| span.covers(event.seq)) || self.is_membership(service, event)
    }

    /// Whether the event is about the membership of a user of a service.
    pub(crate) fn is_membership(&self, service: &Appservice, event: &StoredEvent) -> bool {
        let of_user = |user_id: &String| <&UserId>::try_from(&**user_id).is_ok() && self.is_users(service, user_id);
        event.kind == MEMBER && event.state_key.as_ref().is_some_and(of_user)
    }
}

impl<S: Sql> Store<'_, S> {
    fn registrations(self) -> Result<Option<u64>, SqlError> {
        Ok(self.0.query("SELECT fingerprint FROM registrations", &[])?.first().and_then(|row| row.int(0)))
    }

    fn put_registrations(self, fingerprint: u64) -> Result<(), SqlError> {
        self.0.query("INSERT OR REPLACE INTO registrations VALUES (1, ?)", &[fingerprint.into()])?;
        Ok(())
    }

    fn spans(self) -> Result<Spans, SqlError> {
        let rows = self.0.query("SELECT id, since, until FROM services", &[])?;
        let span = |row: &tern_ports::Row| {
            let since = RoomSeq(row.int(1).unwrap_or_default());
            Some((row.string(0)?, Span { since, until: row.int(2).map(RoomSeq) }))
        };
        Ok(rows.iter().filter_map(span).collect())
    }

    fn open_span(self, id: &str, since: RoomSeq) -> Result<(), SqlError> {
        let sql = "INSERT INTO services VALUES (?, ?, NULL) ON CONFLICT (id)
             DO UPDATE SET since = excluded.since, until = NULL WHERE until IS NOT NULL";
        self.0.query(sql, &[id.into(), since.0.into()])?;
        Ok(())
    }

    fn close_span(self, id: &str, until: RoomSeq) -> Result<(), SqlError> {
        let sql = "UPDATE services SET until = ? WHERE id = ? AND until IS NULL";
        self.0.query(sql, &[until.0.into(), id.into()])?;
        Ok(())
    }

    fn drop_span(self, id: &str) -> Result<(), SqlError> {
        self.0.query("DELETE FROM services WHERE id = ?", &[id.into()])?;
        Ok(())
    }
}
