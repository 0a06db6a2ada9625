//! Thread subscriptions (MSC4306, MSC4308).
//!
//! Push rules ask for them only once a client of the user's has shown that it knows of them, by following a thread or by
//! asking for the sliding sync extension: until then every thread notifies as it always did.

use ruma::RoomId;
use tern_model::{MatrixError, RawJson, RoomSeq, StreamPos, news};
use tern_ports::{
    ObjectHost, SqlError, WaitingPolls,
    wire::{
        Done,
        threads::{ListThreadSubscriptions, ReadThreadSubscription, SubscribeThread, UnsubscribeThread},
    },
};
use tern_sync::{ThreadRange, thread_page};

use super::{
    UserActor,
    store::{
        Span,
        threads::{self, State, ThreadRow},
    },
};

/// Most threads of which something is kept.
const MOST_THREADS: u64 = 10_000;
/// Most changes of one page.
const MOST_CHANGES: u64 = 200;

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// A client knows of subscriptions: from now on threads that are not followed are quiet.
    pub(super) fn learn_of_threads(&self) -> Result<(), MatrixError> {
        if self.hub.get().threads > StreamPos(0) {
            return Ok(());
        }
        self.change(|tx| {
            tx.advance_quietly(news::THREADS);
            Ok(())
        })
    }

    pub(super) fn subscribe_thread(&self, command: &SubscribeThread) -> Result<Done, MatrixError> {
        let (room_id, root) = (&*command.room_id, &*command.root);
        self.change(|tx| {
            let before = threads::read(tx.sql, room_id, root)?;
            let state = follow(before.as_ref(), command.automatic)?;
            if before.as_ref().is_some_and(|before| before.state == state) {
                return Ok(Done {});
            }
            if before.is_none() && threads::count(tx.sql)? >= MOST_THREADS {
                return Err(MatrixError::new(403, "M_RESOURCE_LIMIT_EXCEEDED", "Too many thread subscriptions"));
            }
            let left = before.map_or(RoomSeq(0), |before| before.left);
            threads::write(tx.sql, room_id, root, &ThreadRow { state, left, at: tx.advance(news::THREADS) })?;
            Ok(Done {})
        })
    }

    pub(super) fn unsubscribe_thread(&self, command: &UnsubscribeThread) -> Result<Done, MatrixError> {
        let (room_id, root) = (&*command.room_id, &*command.root);
        self.change(|tx| {
            let before = threads::read(tx.sql, room_id, root)?;
            if before.is_none_or(|before| before.state == State::Left) {
                return Ok(Done {});
            }
            let at = tx.advance(news::THREADS);
            threads::write(tx.sql, room_id, root, &ThreadRow { state: State::Left, left: command.newest, at })?;
            Ok(Done {})
        })
    }

    pub(super) fn read_thread_subscription(
        &self,
        command: &ReadThreadSubscription,
    ) -> Result<Option<bool>, MatrixError> {
        let row = threads::read(self.host.sql(), &command.room_id, &command.root)?;
        Ok(row.and_then(|row| row.state.automatic()))
    }

    pub(super) fn list_thread_subscriptions(&self, command: &ListThreadSubscriptions) -> Result<RawJson, MatrixError> {
        let range = match command.from.as_deref() {
            Some(token) => ThreadRange::parse(token).ok_or_else(|| MatrixError::invalid_param("Unknown token"))?,
            None => ThreadRange { after: StreamPos(0), until: self.hub.get().position },
        };
        let span = Span { after: range.after, until: range.until };
        let limit = command.limit.clamp(1, MOST_CHANGES);
        let changes = threads::changed(self.host.sql(), span, limit + 1)?;
        Ok(thread_page(changes, range.after, usize::try_from(limit).unwrap_or(1)))
    }

    /// Whether the user follows the thread, for the push rules; `None` outside of threads, and while no client of the
    /// user's knows of subscriptions.
    pub(super) fn follows(&self, room_id: &RoomId, root: Option<&str>) -> Result<Option<bool>, SqlError> {
        let Some(root) = root.filter(|_| self.hub.get().threads > StreamPos(0)) else { return Ok(None) };
        let row = threads::read_by_text(self.host.sql(), room_id, root)?;
        Ok(Some(row.is_some_and(|row| row.state != State::Left)))
    }
}

/// What a subscription makes of the state before (MSC4306): what the person decided outweighs what a client does of
/// itself, and only what comes after leaving brings a client back.
fn follow(before: Option<&ThreadRow>, automatic: Option<RoomSeq>) -> Result<State, MatrixError> {
    match (before.map(|before| before.state), automatic) {
        (_, None) | (Some(State::Manual), _) => Ok(State::Manual),
        (Some(State::Left), Some(cause)) if before.is_some_and(|before| cause <= before.left) => Err(MatrixError::new(
            409,
            "IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION",
            "The thread was unsubscribed from after that event",
        )),
        _ => Ok(State::Automatic),
    }
}
