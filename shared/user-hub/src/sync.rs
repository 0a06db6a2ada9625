//! One step of sliding sync (MSC4186): look, load what is missing, answer and store, or say that there is nothing yet.
//!
//! Everything between the last look and the end of the step happens in one turn. After an await the step looks again
//! whether its session, its connection and the stream are still those it started from; if not, it starts over.

use tern_model::{MatrixError, Millis, RawJson, StreamPos};
use tern_ports::{ObjectHost, Sql, WaitingPolls, wire::user::SlidingSync};
use tern_sync::{Begin, Connection, Outcome, Parts, Request, Shape, answer, plan};

use super::{
    UserActor,
    slices::{Bounds, Over},
    store::connections::{self, Key},
    view::View,
};

/// How long a connection that nobody uses is kept, in milliseconds.
const UNUSED_MS: u64 = 30 * DAY_MS;
/// How old the note of a connection's last use may get.
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// Connections of one device.
const MOST_CONNECTIONS: usize = 16;
/// How often a step starts over before the client is asked to come again.
pub(super) const MOST_ROUNDS: usize = 5;
/// Rooms' hubs asked for one answer, and bytes after which no more is loaded for it; what is left over is owed to the next.
const BOUNDS: Bounds = Bounds { hubs: 60, bytes: 4 << 20, over: Over::Owed };

/// What a look brought.
pub(super) enum Look {
    /// The response body.
    Answer(RawJson),
    /// Nothing yet: the poll may wait.
    Hold {
        /// What wakes it.
        kinds: u32,
        /// The answer if nothing comes in time.
        timeout_response: RawJson,
    },
    /// Nothing yet, but something that could not be read just now: no wake tells when it can, so ask again soon.
    AskAgain {
        /// What would wake it.
        kinds: u32,
    },
}

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    pub(super) async fn sliding_sync(&self, command: SlidingSync) -> Result<Look, MatrixError> {
        self.admit(&command.session)?;
        self.show_up(&command.session.device_id, command.presence)?;
        let shape = if command.stable { Shape::Stable } else { Shape::Unstable };
        let request = Request::parse(&command.body, command.pos.as_deref(), shape, &self.user_id)?;
        if let Some(through) = request.to_device_ack() {
            self.acknowledge(&command.session.device_id, through)?;
        }
        if request.extensions.threads.is_some() {
            self.learn_of_threads()?;
        }
        for _ in 0..MOST_ROUNDS {
            if let Some(step) = self.sliding_round(&command, &request).await? {
                return Ok(step);
            }
        }
        Err(MatrixError::unavailable())
    }

    /// `None` when things moved while slices were loaded.
    async fn sliding_round(&self, command: &SlidingSync, request: &Request) -> Result<Option<Look>, MatrixError> {
        let device_id = &*command.session.device_id;
        let key = Key { device_id, conn_id: &request.conn_id };
        let (revision, stored) = self.stored_connection(key)?;
        let began = self.hub.get().position;
        let parts = StoredParts { sql: self.host.sql(), key };
        let conn = match Connection::begin(stored, &parts, request, began, device_id)? {
            Begin::Replay(body) => return Ok(Some(Look::Answer(body))),
            Begin::Step(conn) => *conn,
        };
        let view = View::new(self, device_id);
        let plan = plan(&view, &parts, &conn, request);
        refuse_failed(&view)?;
        let asks = plan.asks();
        let slices = if asks.is_empty() {
            tern_sync::Slices::new()
        } else {
            let slices = self.load_slices(asks, BOUNDS, |slices| plan.unmet(slices)).await?;
            self.admit(&command.session)?;
            if connections::revision(self.host.sql(), key)? != revision {
                return Ok(None);
            }
            slices
        };
        // From here on nothing is awaited.
        let outcome = answer(&view, &parts, conn, request, plan, &slices);
        refuse_failed(&view)?;
        self.conclude(key, revision, began, command.may_wait, request.interest(), outcome)
    }

    /// Stores the connection, then answers or says what to wait for.
    fn conclude(
        &self,
        key: Key<'_>,
        revision: u64,
        began: StreamPos,
        may_wait: bool,
        kinds: u32,
        outcome: Outcome,
    ) -> Result<Option<Look>, MatrixError> {
        let waits = outcome.quiet && may_wait;
        if let Some(save) = outcome.save {
            let now = self.host.now();
            self.host.sql().transaction(|| {
                if revision == 0 {
                    let expired = Millis(now.0.saturating_sub(UNUSED_MS));
                    connections::make_room(self.host.sql(), key.device_id, MOST_CONNECTIONS - 1, expired)?;
                }
                for (number, text) in &save.parts {
                    connections::set_part(self.host.sql(), key, *number, text)?;
                }
                connections::write(self.host.sql(), key, now, revision + 1, &save)
            })?;
        }
        if !waits {
            return Ok(Some(Look::Answer(outcome.body)));
        }
        if outcome.owed {
            return Ok(Some(Look::AskAgain { kinds }));
        }
        // What came while slices were loaded has woken nobody.
        let missed = self.hub.get().position > began;
        Ok((!missed).then_some(Look::Hold { kinds, timeout_response: outcome.body }))
    }

    /// The stored connection with its revision; zero and nothing when there is none or it has expired.
    fn stored_connection(&self, key: Key<'_>) -> Result<(u64, Option<Connection>), MatrixError> {
        let sql = self.host.sql();
        let Some(row) = connections::load(sql, key)? else { return Ok((0, None)) };
        let now = self.host.now();
        let unused = now.since(row.used);
        if unused > UNUSED_MS {
            connections::delete(sql, key)?;
            return Ok((0, None));
        }
        if unused > DAY_MS {
            connections::touch(sql, key, now)?;
        }
        Ok((row.revision, Connection::load(&row.text)))
    }
}

/// The database refused something that an answer would rest on.
pub(super) fn refuse_failed<H: ObjectHost + WaitingPolls>(view: &View<'_, H>) -> Result<(), MatrixError> {
    if view.failed() { Err(MatrixError::internal()) } else { Ok(()) }
}

struct StoredParts<'a, S> {
    sql: &'a S,
    key: Key<'a>,
}

impl<S: Sql> Parts for StoredParts<'_, S> {
    /// What cannot be read makes its rooms unknown: they are sent again from scratch, which is safe.
    fn rooms(&self) -> Option<String> {
        connections::rooms(self.sql, self.key).ok().flatten()
    }

    fn part(&self, number: u8) -> Option<String> {
        connections::part(self.sql, self.key, number).ok().flatten()
    }

    fn body(&self, place: u8) -> Option<RawJson> {
        connections::body(self.sql, self.key, place).ok().flatten()
    }
}
