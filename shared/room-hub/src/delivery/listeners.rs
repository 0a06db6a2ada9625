//! Large rooms tell only those who listen.
//!
//! A room that ever grew beyond its limit, which is lower where an application service takes part, keeps a table of listeners, at first all local members. A hub with which no
//! client is connected says so when it is told something, and is struck off; when a client comes back, the hub
//! subscribes: it asks for what it missed and is told again from then on. So an event costs a hop for each of those who
//! are there, and an absence costs two more, whatever happens meanwhile. Their own membership is told to all.
//!
//! What a sleeping hub missed cannot be lost: it remembers, in the transaction in which it took the last notice, that it
//! has to ask. The other way round, a hub that is struck off in vain, because it subscribes while it is being told of
//! something earlier, would never be told again; hence `DeliveryQueue::subscribed`.

use std::rc::Rc;

use ruma::{OwnedUserId, UserId};
use tern_model::{CLOCK_SKEW_MS, EphemeralNotice, MatrixError, Millis, Notice, Receipt, RoomSeq};
use tern_ports::{ObjectHost, Sql, SqlError, wire::room::SubscribeRoom};
use tern_room::Audience;

use crate::{
    RoomActor,
    delivery::notice_batch::MOST_RECEIPTS,
    graph::resolution_changes::ResolutionChanges,
    timeline::{head::Head, state::member_of, store::Store},
};

/// Members whose hubs are told at once, in a large room.
pub(crate) const TABLE: tern_object_kit::schema::Step = &[
    "CREATE TABLE listeners (user_id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
    "ALTER TABLE head ADD COLUMN large INTEGER NOT NULL DEFAULT 0",
];

/// A room of more members that concerns an application service is large: most of them are the service's, which is told by
/// itself, and nobody listens as them.
const WITH_SERVICE: u64 = 20;

/// So many missed events are told as a whole: as many as a hub keeps.
const WHOLE: u32 = 50;
/// Of more, the newest: a screen of a phone, each of which is a row in the hub.
const NEWEST: u32 = 20;
impl<H: ObjectHost> RoomActor<H> {
    /// Whom to tell of what happens, with the positions of their member events.
    pub(crate) fn audience(&self, head: &Head) -> Result<Vec<(OwnedUserId, RoomSeq)>, SqlError> {
        if head.large { self.store().listeners() } else { self.store().joined(None) }
    }

    /// From now on the room tells only those who listen, if it has become too large to tell all.
    pub(crate) fn grow(&self, head: &Rc<Head>) -> Result<Rc<Head>, SqlError> {
        if head.large || head.joined <= self.config.limits.large_room.min(WITH_SERVICE) {
            return Ok(Rc::clone(head));
        }
        if head.joined <= self.config.limits.large_room && !self.concerns_services(head)? {
            return Ok(Rc::clone(head));
        }
        let large = Rc::new(Head { large: true, ..Head::clone(head) });
        let members = self.store().joined(None)?;
        self.host.sql().transaction(|| {
            for (user_id, _) in members.iter().filter(|(user_id, _)| self.is_local(user_id)) {
                self.store().add_listener(user_id)?;
            }
            self.store().write_head(&large)
        })?;
        self.adopt(Head::clone(&large));
        Ok(large)
    }

    /// Who comes listens until their hub says otherwise; who goes is told of that, and of nothing after it.
    pub(crate) fn follow_listeners(
        &self,
        audience: &Audience,
        resolutions: &ResolutionChanges,
    ) -> Result<(), SqlError> {
        let moved =
            audience.changed().map(|(user_id, _)| user_id).chain(resolutions.members.keys().map(|user_id| &**user_id));
        for user_id in moved.filter(|user_id| self.is_local(user_id)) {
            let membership = self.store().membership(user_id.as_str())?;
            if membership.is_some_and(|(_, membership)| membership == "join") {
                self.store().add_listener(user_id)?;
            } else {
                self.store().drop_listener(user_id)?;
            }
        }
        Ok(())
    }

    /// A hub listens again, and hears what it has missed.
    pub(crate) fn subscribe(&self, request: &SubscribeRoom) -> Result<Option<Notice>, MatrixError> {
        let head = self.room()?;
        let user_id = &request.user_id;
        let membership = self.store().membership(user_id.as_str())?;
        let joined = membership.as_ref().is_some_and(|(_, membership)| membership == "join");
        if joined && head.large {
            self.store().add_listener(user_id)?;
            self.announcer.subscribed(user_id);
        }
        let ephemeral = if joined { self.ephemeral_since(request.since)? } else { Vec::new() };
        let missed = head.newest.0.saturating_sub(request.after.0);
        let most = if missed <= u64::from(WHOLE) { WHOLE } else { NEWEST };
        let summary_changed = self.announcer.summary_changed().unwrap_or(head.newest);
        let batch =
            (missed > 0).then(|| self.make_batch(&head, request.after.next(), summary_changed, most)).transpose()?;
        Ok(self.notice(&head, user_id, membership, batch.as_ref(), ephemeral)?)
    }

    fn ephemeral_since(&self, since: Millis) -> Result<Vec<EphemeralNotice>, SqlError> {
        let mut news = vec![EphemeralNotice::Typing(self.typing_now())];
        if let Some(EphemeralNotice::Receipts(mut receipts)) = self.current_receipts(MOST_RECEIPTS)? {
            receipts.retain(|receipt: &Receipt| receipt.ts.plus(CLOCK_SKEW_MS) >= since);
            if !receipts.is_empty() {
                news.push(EphemeralNotice::Receipts(receipts));
            }
        }
        Ok(news)
    }
}

impl<S: Sql> Store<'_, S> {
    /// Members who listen, with the positions of their member events.
    fn listeners(self) -> Result<Vec<(OwnedUserId, RoomSeq)>, SqlError> {
        let rows = self.0.query(
            "SELECT l.user_id, coalesce(s.since, s.seq) FROM listeners l CROSS JOIN state s
             ON s.kind = 'm.room.member' AND s.state_key = l.user_id WHERE s.membership = 'join'",
            &[],
        )?;
        Ok(rows.iter().filter_map(member_of).collect())
    }

    fn add_listener(self, user_id: &UserId) -> Result<(), SqlError> {
        self.0.query("INSERT INTO listeners VALUES (?) ON CONFLICT DO NOTHING", &[user_id.as_str().into()])?;
        Ok(())
    }

    pub(crate) fn drop_listener(self, user_id: &UserId) -> Result<(), SqlError> {
        self.0.query("DELETE FROM listeners WHERE user_id = ?", &[user_id.as_str().into()])?;
        Ok(())
    }

    /// A membership may have changed at one of these positions, even if it has changed again since.
    pub(crate) fn members_moved(self, from: RoomSeq, before: RoomSeq) -> Result<bool, SqlError> {
        // What was trimmed of the state is in `past`, as far back as that is known.
        let rows = self.0.query(
            "WITH gap (first, next) AS (VALUES (?, ?))
             SELECT 1 FROM gap WHERE (SELECT known_from FROM head) >= first
             OR EXISTS (SELECT 1 FROM events WHERE seq >= first AND seq < next AND kind = 'm.room.member')
             OR EXISTS (SELECT 1 FROM past WHERE seq >= first AND seq < next AND kind = 'm.room.member')",
            &[from.0.into(), before.0.into()],
        )?;
        Ok(!rows.is_empty())
    }
}
