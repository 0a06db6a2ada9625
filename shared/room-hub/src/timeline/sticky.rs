//! Sticky events (MSC4354): what everybody in the room is told of, also those who come later, until it expires.
//!
//! The head says until when anything is sticky, so a room without such events never looks at the table. Nothing waits for
//! an event to expire: who reads passes over what has, and the next sticky event or alarm drops it.

use ruma::{OwnedEventId, OwnedUserId};
use tern_model::{MatrixError, Millis, Pdu, RawJson, RoomSeq, StickyEvent, StoredEvent};
use tern_ports::{ObjectHost, Row, Sql, SqlError};
use tern_room::{Form, RoomView, client_event, sticky_until};

use crate::{
    RoomActor,
    timeline::{
        head::Head,
        store::{Store, damaged},
        view::Transaction,
    },
};

/// Sticky events of one user at a time, and of the whole room; every member is told all of them.
const MOST_OF_USER: u64 = 100;
const MOST: u64 = 1_000;
/// Bytes of them.
const MOST_BYTES: u64 = 2 << 20;

pub(crate) const TABLE: tern_object_kit::schema::Step = &[
    "ALTER TABLE head ADD COLUMN sticky INTEGER NOT NULL DEFAULT 0",
    "CREATE TABLE sticky (
        seq INTEGER PRIMARY KEY,
        event_id TEXT NOT NULL,
        sender TEXT NOT NULL,
        until INTEGER NOT NULL,
        client TEXT NOT NULL
    ) STRICT",
    "ALTER TABLE delayed ADD COLUMN sticky INTEGER",
];

/// What a user would go beyond with one more.
struct Crowded {
    /// It is the user's own bound.
    own: bool,
    /// When one of those counted expires.
    until: Millis,
}

impl<S: Sql> Store<'_, S> {
    /// Sticky events at or after `from`, oldest first.
    pub(crate) fn sticky_since(self, from: RoomSeq, now: Millis) -> Result<Vec<StickyEvent>, SqlError> {
        let rows = self.0.query(
            "SELECT event_id, sender, until, client FROM sticky WHERE seq >= ? AND until > ? ORDER BY seq",
            &[from.0.into(), now.0.into()],
        )?;
        rows.iter().map(sticky_of).collect()
    }

    /// What is in the way of one more by `sender`.
    fn crowded(self, sender: &str, now: Millis) -> Result<Option<Crowded>, SqlError> {
        let rows = self.0.query(
            "SELECT count(*), coalesce(sum(length(client)), 0), coalesce(min(until), 0),
                 count(*) FILTER (WHERE sender = ?1), coalesce(min(until) FILTER (WHERE sender = ?1), 0)
             FROM sticky WHERE until > ?2",
            &[sender.into(), now.0.into()],
        )?;
        let number = |index| rows.first().and_then(|row| row.int(index)).unwrap_or_default();
        Ok(if number(3) >= MOST_OF_USER {
            Some(Crowded { own: true, until: Millis(number(4)) })
        } else if number(0) >= MOST || number(1) >= MOST_BYTES {
            Some(Crowded { own: false, until: Millis(number(2)) })
        } else {
            None
        })
    }

    fn put_sticky(self, seq: RoomSeq, event: &StickyEvent) -> Result<(), SqlError> {
        let params = [
            seq.0.into(),
            event.event_id.as_str().into(),
            event.sender.as_str().into(),
            event.until.0.into(),
            event.client.text().into(),
        ];
        self.0.query("INSERT INTO sticky VALUES (?, ?, ?, ?, ?)", &params)?;
        Ok(())
    }

    /// Redacted, an event is as any other.
    pub(crate) fn drop_sticky(self, seq: RoomSeq) -> Result<(), SqlError> {
        self.0.query("DELETE FROM sticky WHERE seq = ?", &[seq.0.into()])?;
        Ok(())
    }

    fn drop_oldest_sticky(self, sender: &str) -> Result<(), SqlError> {
        self.0
            .query("DELETE FROM sticky WHERE seq = (SELECT min(seq) FROM sticky WHERE sender = ?)", &[sender.into()])?;
        Ok(())
    }

    fn drop_expired(self, now: Millis) -> Result<(), SqlError> {
        self.0.query("DELETE FROM sticky WHERE until <= ?", &[now.0.into()])?;
        Ok(())
    }
}

fn sticky_of(row: &Row) -> Result<StickyEvent, SqlError> {
    Ok(StickyEvent {
        event_id: OwnedEventId::try_from(row.text(0).unwrap_or_default()).map_err(damaged)?,
        sender: OwnedUserId::try_from(row.text(1).unwrap_or_default()).map_err(damaged)?,
        until: Millis(row.int(2).unwrap_or_default()),
        client: RawJson::parse(row.string(3).unwrap_or_default()).map_err(damaged)?,
    })
}

impl<S: Sql> Transaction<'_, S> {
    /// Refuses a request to send one more sticky event than there may be.
    pub(crate) fn check_room_for_sticky(&self, sender: &str, now: Millis) -> Result<(), MatrixError> {
        let crowded = self.store().crowded(sender, now)?;
        crowded.map_or(Ok(()), |crowded| Err(MatrixError::limit_exceeded(crowded.until.since(now))))
    }

    /// Keeps an event that is appended, if it is sticky. One that nobody asked whether to take (it was due, or came from
    /// elsewhere) takes the place of its sender's oldest; in a full room it is like any other.
    pub(crate) fn keep_sticky(&self, pdu: &Pdu, stored: &StoredEvent) -> Result<(), SqlError> {
        let now = self.now();
        let Some(until) = sticky_until(pdu, now) else { return Ok(()) };
        let store = self.store();
        store.drop_expired(now)?;
        match store.crowded(pdu.from().as_str(), now)? {
            Some(Crowded { own: true, .. }) => store.drop_oldest_sticky(pdu.from().as_str())?,
            Some(_) => return Ok(()),
            None => {}
        }
        let client = client_event(self.version(), stored, Form::default()).map_err(damaged)?;
        let event = StickyEvent { event_id: pdu.id().to_owned(), sender: pdu.from().to_owned(), until, client };
        store.put_sticky(stored.seq, &event)?;
        self.sticks_until(until);
        Ok(())
    }
}

impl<H: ObjectHost> RoomActor<H> {
    /// Sticky events at or after `from`, oldest first; without a look where there are none.
    pub(crate) fn sticky_from(&self, head: &Head, from: RoomSeq) -> Result<Vec<StickyEvent>, SqlError> {
        let now = self.host.now();
        if head.sticky <= now { Ok(Vec::new()) } else { self.store().sticky_since(from, now) }
    }

    /// Drops what has expired, once all has.
    pub(crate) fn expire_sticky(&self, now: Millis) -> Result<(), SqlError> {
        let Some(head) = self.head()?.filter(|head| head.sticky > Millis(0) && head.sticky <= now) else {
            return Ok(());
        };
        let none = Head { sticky: Millis(0), ..Head::clone(&head) };
        self.host.sql().transaction(|| {
            self.store().drop_expired(now)?;
            self.store().write_head(&none)
        })?;
        self.adopt(none);
        Ok(())
    }
}
