//! Large rooms tell only hubs that somebody listens to (`room::listeners`).
//!
//! Somebody listens while a poll waits, and for a while after one. A hub that is told something by such a room while
//! nobody does says so, and notes in the same transaction that it no longer hears of the room. Before the next answer
//! to any client it subscribes again, with the newest position it knows as the cursor, so that lists are in order and
//! counts exact from the first answer on. What it cannot get then it gets later: that is news like any other.

use std::{cell::Cell, rc::Rc};

use futures::{StreamExt, stream};
use ruma::OwnedRoomId;
use tern_model::{MatrixError, Millis, Notice, RoomSeq, news};
use tern_object_kit::duties::Outcome;
use tern_ports::{ObjectHost, WaitingPolls, ask_room, wire::room::SubscribeRoom};
use tern_sync::Membership;

use super::{
    UserActor,
    alarm::Duty,
    store::{
        rooms::RoomRow,
        subscription::{self, Unsubscribed},
        unread,
    },
    transaction::Transaction,
};

/// So long after its last poll a client is expected to come back with the next one.
const RECENT_MS: u64 = 60_000;
/// Rooms asked at a time: as many as an object may have connections.
const AT_A_TIME: usize = 6;
/// Rooms of which what was missed is in memory at once.
const HELD: usize = 60;
/// Pages of missed events that are counted before the answer; what is left is counted after it.
const PAGES_BEFORE: usize = 10;

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// A client is there, or was just now, or is woken by a pusher.
    pub(super) fn is_active(&self) -> bool {
        let recent = || self.polled.get().is_some_and(|polled| self.host.now().since(polled) < RECENT_MS);
        self.subscribing.get() > 0 || self.pushes() || recent() || self.host.waiting_polls() > 0
    }

    /// A poll has come, or has ended.
    pub fn note_poll(&self) {
        self.polled.set(Some(self.host.now()));
    }

    /// Notes that a room which tells only those who listen need not tell this hub, or that it does not matter any more.
    pub(super) fn unsubscribe(
        &self,
        tx: &Transaction<'_, H::Sql>,
        row: &RoomRow,
        notice: &Notice,
    ) -> Result<(), MatrixError> {
        if row.membership != Membership::Join {
            if self.has_unsubscribed.get() {
                subscription::subscribe(tx.sql, &row.room_id)?;
            }
        } else if notice.selective && !self.is_active() {
            subscription::unsubscribe(tx.sql, &row.room_id, self.host.now())?;
            self.has_unsubscribed.set(true);
        }
        Ok(())
    }

    /// Subscribes to all rooms that the hub does not hear of, while somebody listens. What could not be written down is tried
    /// again, as is a room that could not be reached.
    pub(super) async fn subscribe_if_active(self: &Rc<Self>) -> Outcome {
        if !(self.has_unsubscribed.get() && self.is_active()) {
            return Outcome::Done;
        }
        match self.subscribe().await {
            Ok(true) => Outcome::Done,
            Ok(false) | Err(_) => Outcome::Failed,
        }
    }

    /// Subscribes to all rooms that the hub does not hear of. False when one could not be reached.
    async fn subscribe(self: &Rc<Self>) -> Result<bool, MatrixError> {
        let _guard = Subscribing::new(&self.subscribing);
        let rooms = subscription::unsubscribed(self.host.sql())?;
        let (mut all, mut taken) = (true, Vec::new());
        for some in rooms.chunks(HELD) {
            all &= self.subscribe_some(some, &mut taken).await;
        }
        if rooms.len() > HELD {
            self.put_in_order(taken)?;
        }
        self.has_unsubscribed.set(subscription::any(self.host.sql())?);
        if self.behind.take() {
            let counted = self.count_missed(PAGES_BEFORE).await;
            self.end(Duty::Missed, counted).await;
            if unread::missed(self.host.sql())?.is_some() {
                self.host.spawn(Box::pin(Rc::clone(self).see_to(Duty::Missed)));
            }
        }
        self.after_push().await;
        self.answer_waiting();
        Ok(all)
    }

    /// False when a room could not be reached, or what it says could not be written.
    async fn subscribe_some(self: &Rc<Self>, rooms: &[Unsubscribed], taken: &mut Vec<Taken>) -> bool {
        let asked = rooms.iter().map(|room| self.ask_missed(room));
        let mut missed: Vec<_> = stream::iter(asked).buffer_unordered(AT_A_TIME).collect().await;
        // Lists are in the order in which rooms are taken over, whichever of them answered first.
        missed.sort_by_key(|(_, notice)| notice.as_ref().ok()?.as_ref()?.events.last().map(|event| event.ts));
        let mut all = true;
        for (room, notice) in &missed {
            let heard = |tx: &Transaction<'_, H::Sql>| Ok(subscription::subscribe(tx.sql, &room.room_id)?);
            all &= notice.as_ref().is_ok_and(|notice| self.take_notices(notice.as_slice(), heard).is_ok());
            let newest = notice.as_ref().ok().and_then(|notice| notice.as_ref()?.events.last());
            let newest = newest.map(|event| Taken { room_id: room.room_id.clone(), seq: event.seq, ts: event.ts });
            taken.extend(newest);
        }
        all
    }

    /// Rooms of which more were missed than are held at once have been taken over sixty by sixty. Here all of them get
    /// their places by their newest events; where something came since, that is newer than what was missed anywhere.
    fn put_in_order(&self, taken: Vec<Taken>) -> Result<(), MatrixError> {
        self.change(|tx| {
            let mut rows = Vec::new();
            for Taken { room_id, seq, ts } in taken {
                if let Some(row) = self.room_row(&room_id)? {
                    let since = (row.newest > seq).then_some(row.activity);
                    rows.push(((since, ts), row));
                }
            }
            rows.sort_by_key(|(place, _)| *place);
            for (_, mut row) in rows {
                let pos = tx.advance_quietly(news::ROOMS);
                (row.pos, row.activity) = (pos, pos);
                self.write_room(tx, &row)?;
                self.rooms.borrow_mut().changed(&row.room_id);
            }
            Ok(())
        })
    }

    async fn ask_missed<'a>(&self, room: &'a Unsubscribed) -> (&'a Unsubscribed, Result<Option<Notice>, MatrixError>) {
        let after = self.room_row(&room.room_id).ok().flatten().map_or(RoomSeq(0), |row| row.newest);
        let ask = SubscribeRoom { user_id: self.user_id.clone(), after, since: room.since };
        let notice = match ask_room(&*self.host, &room.room_id, ask).await {
            // There is nothing to be heard there.
            Err(error) if error.status < 500 => Ok(None),
            reply => reply,
        };
        (room, notice)
    }
}

/// A room that was taken over, as far as its newest event.
struct Taken {
    room_id: OwnedRoomId,
    seq: RoomSeq,
    ts: Millis,
}

/// As long as it lives, the hub listens.
struct Subscribing<'a>(&'a Cell<u32>);

impl<'a> Subscribing<'a> {
    fn new(subscribing: &'a Cell<u32>) -> Self {
        subscribing.set(subscribing.get() + 1);
        Self(subscribing)
    }
}

impl Drop for Subscribing<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}
