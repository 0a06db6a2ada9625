//! Shards of a long queue, which relays tell (`small-objects/relay.rs`).
//!
//! When more users wait than one object should tell by itself, those for whom the same is pending, and who are told it
//! in the same words, are handed over together. All of a shard are in flight until its answer: nobody is told anything
//! else meanwhile, so each hears of things in their order. The room itself tells who gets a notice of their own, whom a
//! request waits for, and failed recipients, unless there are so many of them that it was rather a shard that got lost.

use std::collections::BTreeSet;

use ruma::{OwnedUserId, UserId};
use tern_model::{RawJson, RoomSeq};
use tern_ports::{
    ObjectHost, Sql, SqlError, Value,
    wire::relay::{DeliveryOutcome, MOST_USERS},
};

use crate::{
    RoomActor,
    delivery::{delivery_queue::DeliveryQueue, pending::Pending},
    timeline::{
        head::Head,
        state::member_of,
        store::{Store, damaged},
    },
};
use tern_object_kit::fan_out::hand_over;

/// So long the room waits for the answer to a shard. Each level of relays waits a second less than the one above it, so
/// that the hubs have some seconds to answer, and one that does not answer delays those in its shard no longer than
/// this.
const PATIENCE_MS: u64 = 10_000;

/// A shard is worth a relay when it is more than this part of what the room tells by itself.
const LEAST: usize = 8;

/// A longer notice the room tells by itself: a relay has one for each of the six hubs that it tells at once, and there are
/// more than a hundred relays, which may have to share the memory of an isolate.
const MOST_BYTES: usize = 128 * 1024;

/// User ids in one parameter of a statement, which may have two megabytes.
const LIST: usize = 5_000;

/// Users who are told the same by a relay.
pub(crate) struct RelayShard {
    /// Which of the room's relays has it.
    relay: usize,
    users: Vec<OwnedUserId>,
    pending: Pending,
    notice: RawJson,
}

impl DeliveryQueue {
    /// The next users for whom the same is pending, at most so many as a free relay should get, and that relay.
    fn candidates(&self, most_by_itself: usize) -> Option<(usize, Vec<OwnedUserId>, Pending)> {
        let free = self.relays.iter().filter(|busy| !**busy).count();
        let relay = self.relays.iter().position(|busy| !busy)?;
        let lost_a_shard = self.failed_recipients.len() > most_by_itself;
        let apart = |user_id: &UserId| {
            !lost_a_shard && self.failed_recipients.contains_key(user_id) || self.is_awaited(user_id)
        };
        let most = self.order.len().div_ceil(free).min(MOST_USERS);
        let mut alike = None;
        let mut users = Vec::new();
        for user_id in &self.order {
            let Some(pending) = self.pending.get(user_id).filter(|_| !apart(user_id)) else { continue };
            if alike.get_or_insert(pending).is_like(pending) {
                users.push(user_id.clone());
            }
            if users.len() == most {
                break;
            }
        }
        Some((relay, users, alike?.clone()))
    }

    fn take_shard(&mut self, shard: &RelayShard) {
        if let Some(busy) = self.relays.get_mut(shard.relay) {
            *busy = true;
        }
        for user_id in &shard.users {
            self.pending.remove(user_id);
            self.in_flight.insert(user_id.clone(), shard.pending.from);
        }
        let in_flight = &self.in_flight;
        self.order.retain(|user_id| !in_flight.contains_key(user_id));
    }

    /// The shard came to nothing.
    pub(crate) fn put_back_shard(&mut self, shard: &RelayShard) {
        self.free(shard);
        for user_id in &shard.users {
            self.put_back(user_id, shard.pending.clone());
        }
    }

    /// The shard's relay has none any more, and who was in it may be worth another one.
    fn free(&mut self, shard: &RelayShard) {
        if let Some(busy) = self.relays.get_mut(shard.relay) {
            *busy = false;
        }
        self.singly = 0;
    }
}

impl<H: ObjectHost> RoomActor<H> {
    /// A shard for a relay, if so many wait that it is worth one.
    pub(crate) fn take_shard(&self, head: &Head) -> Result<Option<RelayShard>, SqlError> {
        let most_by_itself = usize::try_from(self.config.limits.relay_above).unwrap_or(usize::MAX);
        let candidates = {
            let queue = &mut *self.announcer.0.borrow_mut();
            let long = queue.order.len() > most_by_itself;
            if !long {
                queue.singly = 0;
            }
            let awaited = queue.order.front().is_some_and(|first| queue.is_awaited(first));
            if !long || awaited || queue.singly > 0 || !queue.relays.contains(&false) {
                return Ok(None);
            }
            // Until it is known that there is one.
            queue.singly = most_by_itself;
            queue.candidates(most_by_itself)
        };
        let Some((relay, users, pending)) = candidates else { return Ok(None) };
        let shard = self.make_shard(head, relay, users, pending)?;
        if shard.users.len() * LEAST <= most_by_itself || shard.notice.text().len() > MOST_BYTES {
            return Ok(None);
        }
        let queue = &mut *self.announcer.0.borrow_mut();
        queue.singly = 0;
        queue.take_shard(&shard);
        Ok(Some(shard))
    }

    fn make_shard(
        &self,
        head: &Head,
        relay: usize,
        mut users: Vec<OwnedUserId>,
        pending: Pending,
    ) -> Result<RelayShard, SqlError> {
        let batch = pending.from.map(|from| self.batch(head, from)).transpose()?;
        let plain: BTreeSet<OwnedUserId> = self
            .store()
            .joined_of(&users)?
            .into_iter()
            .filter(|(user_id, since)| batch.as_ref().is_none_or(|batch| batch.is_plain_for(user_id, *since)))
            .map(|(user_id, _)| user_id)
            .collect();
        users.retain(|user_id| plain.contains(user_id));
        let notice = RawJson::from_value(&self.plain_notice(head, &pending, batch.as_deref())).map_err(damaged)?;
        Ok(RelayShard { relay, users, pending, notice })
    }

    /// Has a relay tell a shard.
    pub(crate) async fn deliver_shard(&self, shard: &RelayShard) -> Vec<DeliveryOutcome> {
        let name = format!("{}/{}", self.room_id, shard.relay);
        hand_over(&*self.host, &name, shard.users.clone(), &shard.notice, PATIENCE_MS).await
    }

    /// Keeps the books after a shard was told, all of them in one transaction.
    pub(crate) fn finish_shard(&self, shard: &RelayShard, outcomes: &[DeliveryOutcome]) -> Result<(), SqlError> {
        let queue = &mut *self.announcer.0.borrow_mut();
        let outcome = Outcome::of(shard, outcomes, queue);
        self.host.sql().transaction(|| self.store().note(&outcome, shard.pending.from))?;
        if let Some(from) = shard.pending.from {
            for user_id in &outcome.caught_up {
                queue.failed_recipients.remove(user_id);
            }
            for user_id in &outcome.late {
                queue.lag(user_id, from);
            }
            if outcomes.iter().any(|outcome| *outcome != DeliveryOutcome::Missed) {
                queue.failures = 0;
            }
            if outcomes.contains(&DeliveryOutcome::Missed) {
                self.retry_later(queue);
            }
        }
        queue.free(shard);
        for user_id in &shard.users {
            queue.delivered = queue.delivered.saturating_add(1);
            queue.land(user_id);
        }
        Ok(())
    }
}

/// What of a shard is to be noted.
struct Outcome {
    /// They need not be told any more.
    idle: Vec<OwnedUserId>,
    /// Failed recipients until now.
    caught_up: Vec<OwnedUserId>,
    /// Failed recipients from now on.
    late: Vec<OwnedUserId>,
}

impl Outcome {
    fn of(shard: &RelayShard, outcomes: &[DeliveryOutcome], queue: &DeliveryQueue) -> Self {
        let of = |wanted: &dyn Fn(&OwnedUserId, DeliveryOutcome) -> bool| {
            let wanted = shard.users.iter().zip(outcomes).filter(|(user_id, outcome)| wanted(user_id, **outcome));
            wanted.map(|(user_id, _)| user_id.clone()).collect()
        };
        let from = shard.pending.from;
        Self {
            idle: of(&|user_id, outcome| outcome == DeliveryOutcome::Idle && !queue.subscribed.contains(user_id)),
            caught_up: of(&|user_id, outcome| {
                outcome != DeliveryOutcome::Missed && from.is_some() && queue.failed_recipients.contains_key(user_id)
            }),
            late: of(&|user_id, outcome| {
                outcome == DeliveryOutcome::Missed
                    && from.is_some()
                    && queue.failed_recipients.get(user_id).copied() != from
            }),
        }
    }
}

impl<S: Sql> Store<'_, S> {
    /// Those of `users` who are in the room, with the positions since which they are.
    fn joined_of(self, users: &[OwnedUserId]) -> Result<Vec<(OwnedUserId, RoomSeq)>, SqlError> {
        let mut joined = Vec::new();
        for list in users.chunks(LIST) {
            let rows = self.0.query(
                "SELECT state_key, coalesce(since, seq) FROM json_each(?) CROSS JOIN state
                 ON kind = 'm.room.member' AND state_key = value WHERE membership = 'join'",
                &[as_parameter(list)],
            )?;
            joined.extend(rows.iter().filter_map(member_of));
        }
        Ok(joined)
    }

    fn note(self, outcome: &Outcome, from: Option<RoomSeq>) -> Result<(), SqlError> {
        for list in outcome.idle.chunks(LIST) {
            let sql = "DELETE FROM listeners WHERE user_id IN (SELECT value FROM json_each(?))";
            self.0.query(sql, &[as_parameter(list)])?;
        }
        for list in outcome.caught_up.chunks(LIST) {
            let sql = "DELETE FROM laggards WHERE user_id IN (SELECT value FROM json_each(?))";
            self.0.query(sql, &[as_parameter(list)])?;
        }
        for list in outcome.late.chunks(LIST) {
            let sql = "INSERT OR REPLACE INTO laggards SELECT value, ? FROM json_each(?)";
            self.0.query(sql, &[from.map(|from| from.0).into(), as_parameter(list)])?;
        }
        Ok(())
    }
}

/// User ids as a parameter for `json_each`.
fn as_parameter(users: &[OwnedUserId]) -> Value {
    // A list of texts always serialises.
    serde_json::to_string(users).unwrap_or_default().into()
}
