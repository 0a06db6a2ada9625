//! What was said in a room before anybody of this server was in it (Server-Server API, "Backfilling and retrieving missing
//! events"): asked of a server in the room, page by page, and not kept. A token names the oldest event of the page before.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    rc::Rc,
};

use ruma::{EventId, OwnedEventId};
use serde::Deserialize;
use tern_model::{Bounded, MatrixError, Pdu, RawJson, RoomSeq, StoredEvent};
use tern_object_kit::schema::Step;
use tern_ports::{
    ObjectHost, Sql, SqlError, ask_destination,
    outbound::HttpMethod,
    wire::{
        destination::SendRequest,
        room::{Messages, ReadMessages},
    },
};
use tern_room::{Unverified, filter::RoomEventFilter, order::topological};

use crate::{
    RoomActor,
    graph::{gaps::escaped, genuine::Keys},
    reads::visibility_fact::value_of,
    timeline::{
        head::Head,
        store::{Store, event_id_of},
        view::stored,
    },
};

/// Events of one request; nobody gives more.
const MOST_EVENTS: u32 = 100;
/// Of a request: how long the answer may take, in milliseconds, and how long it may be.
const TIMEOUT_MS: u64 = 30_000;
const MOST_BYTES: usize = 4 << 20;
/// What a token begins with.
const TOKEN: &str = "h";

/// Joins by which this server came into the room through another one.
pub(crate) const TABLE: Step = &["CREATE TABLE entered (seq INTEGER PRIMARY KEY, event_id TEXT NOT NULL) STRICT"];

/// The last join by which this server came into the room: what is before is asked of others.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) seq: RoomSeq,
    event_id: OwnedEventId,
}

impl Entry {
    /// The token of what is before.
    pub(crate) fn token(&self) -> String {
        format!("{TOKEN}{}", self.event_id)
    }
}

/// How asking others stands.
#[derive(Default)]
pub(crate) struct BeforeJoin {
    /// One request at a time.
    asking: Cell<bool>,
    /// The table was read.
    read: Cell<bool>,
    entry: RefCell<Option<Entry>>,
}

impl BeforeJoin {
    /// It is to be read again.
    pub(crate) fn forget(&self) {
        self.read.set(false);
    }
}

/// Ends with the future it is in.
struct Asking<'a>(&'a Cell<bool>);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// The event that a token names, if it is one of this kind.
pub(crate) fn read_token(token: &str) -> Option<OwnedEventId> {
    OwnedEventId::try_from(token.strip_prefix(TOKEN)?).ok()
}

impl<H: ObjectHost> RoomActor<H> {
    /// The last join by which this server came into the room, if it did. Asked of the table once in a life.
    pub(crate) fn entry(&self) -> Result<Option<Entry>, SqlError> {
        if !self.before_join.read.get() {
            self.before_join.entry.replace(self.store().last_entry()?);
            self.before_join.read.set(true);
        }
        Ok(self.before_join.entry.borrow().clone())
    }

    /// One page of what was before `event_id`, for somebody who is in the room.
    pub(crate) async fn read_before_join(
        &self,
        head: &Rc<Head>,
        request: &ReadMessages,
        event_id: &EventId,
    ) -> Result<Messages, MatrixError> {
        let start = format!("{TOKEN}{event_id}");
        let mut page = Messages { start, end: None, chunk: Vec::new(), state: Vec::new() };
        let filter = RoomEventFilter::read(request.filter.as_ref())?;
        if !request.backwards || !self.shows_past()? || filter.excludes_room(&self.room_id) {
            return Ok(page);
        }
        let limit = request.limit.min(filter.limit.unwrap_or(MOST_EVENTS)).clamp(1, MOST_EVENTS - 1);
        let (events, redacted) = self.ask_backfill(event_id, limit + 1).await?;
        let mut events = topological(events);
        events.retain(|pdu| pdu.id() != event_id);
        events.reverse();
        events.truncate(limit as usize);
        page.end = events.last().filter(|oldest| !oldest.prev().is_empty()).map(|pdu| format!("{TOKEN}{}", pdu.id()));
        let events: Vec<StoredEvent> = events.iter().map(|pdu| stored(RoomSeq(0), pdu)).collect();
        let shown: Vec<StoredEvent> = events
            .into_iter()
            .filter(|event| {
                filter.passes(event)
                    // What this server may not see comes without its content.
                    && !redacted.contains(&event.event_id)
                    && !request.ignored.iter().any(|user_id| user_id.as_str() == event.sender)
            })
            .collect();
        page.chunk = shown.iter().map(|event| self.client_form(head, event, None)).collect::<Result<_, _>>()?;
        if filter.lazy_load_members {
            page.state = self.members_of(head, head.newest, &shown).await?;
        }
        Ok(page)
    }

    /// Who is in the room sees what was before they were. The other server sees to what was not to be seen then.
    fn shows_past(&self) -> Result<bool, SqlError> {
        let visibility = self.store().state("m.room.history_visibility", "")?;
        Ok(visibility.is_none_or(|event| matches!(value_of(&event).as_str(), "shared" | "world_readable")))
    }

    /// Events up to this one, and which of them are not as their senders made them.
    async fn ask_backfill(
        &self,
        event_id: &EventId,
        limit: u32,
    ) -> Result<(Vec<Pdu>, BTreeSet<OwnedEventId>), MatrixError> {
        #[derive(Deserialize)]
        struct Answer {
            pdus: Vec<RawJson>,
        }
        if self.before_join.asking.replace(true) {
            return Err(MatrixError::limit_exceeded(1_000));
        }
        let _asking = Asking(&self.before_join.asking);
        let version = self.room()?.version;
        let (room, event) = (escaped(self.room_id.as_str()), escaped(event_id.as_str()));
        let target = format!("/_matrix/federation/v1/backfill/{room}?v={event}&limit={limit}");
        let ask = SendRequest {
            method: HttpMethod::Get,
            target: Bounded::new(target)?,
            body: None,
            timeout_ms: TIMEOUT_MS,
            max_bytes: MOST_BYTES,
            background: false,
        };
        let own = &self.config.server_name;
        let servers = self.store().joined_servers()?;
        let server = servers.into_iter().find(|server| server != own);
        let server = server.ok_or_else(|| MatrixError::not_found("Nobody else is in the room"))?;
        let answer = ask_destination(&*self.host, &server, ask).await?;
        let answer = answer.body.filter(|_| answer.status == 200).and_then(|body| body.read::<Answer>().ok());
        let unusable = || MatrixError::new(502, "M_UNKNOWN", "The other server does not say what was before");
        let mut pdus = answer.ok_or_else(unusable)?.pdus;
        pdus.truncate(MOST_EVENTS as usize);
        let keys = Keys::read(&self.keys_of(&pdus).await?, self.host.now())?;
        let keys = keys.with_own(own, &self.config.signing_key_id, self.signer()?);
        let (mut events, mut redacted) = (Vec::new(), BTreeSet::new());
        for raw in &pdus {
            let Ok(read) = Unverified::read(version, &self.room_id, raw) else { continue };
            let Ok(received) = keys.received(version, read) else { continue };
            if received.redacted {
                redacted.insert(received.pdu.id().to_owned());
            }
            events.push(received.pdu);
        }
        Ok((events, redacted))
    }
}

impl<S: Sql> Store<'_, S> {
    fn last_entry(self) -> Result<Option<Entry>, SqlError> {
        let rows = self.0.query("SELECT seq, event_id FROM entered ORDER BY seq DESC LIMIT 1", &[])?;
        let entry = |row: &tern_ports::Row| {
            Ok(Entry { seq: RoomSeq(row.int(0).unwrap_or_default()), event_id: event_id_of(row, 1)? })
        };
        rows.first().map(entry).transpose()
    }

    /// This server has come into the room by this join.
    pub(crate) fn note_entry(self, seq: RoomSeq, event_id: &EventId) -> Result<(), SqlError> {
        self.0.query("INSERT INTO entered VALUES (?, ?)", &[seq.0.into(), event_id.as_str().into()])?;
        Ok(())
    }
}
