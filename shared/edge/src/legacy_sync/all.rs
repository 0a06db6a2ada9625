//! `GET /initialSync` and `GET /events`, of all rooms: answers of classic sync in another form.

use std::collections::BTreeMap;

use ruma::{OwnedRoomId, UserId};
use serde::Serialize;
use serde_json::{Value, json};
use tern_model::{Caller, MatrixError, RawJson, StateAfter};
use tern_ports::{
    Clock, Polls, Transport, ask_user,
    wire::{
        places::{Beside, ReadBeside},
        user::{ClassicSync, SessionRef},
    },
};

use super::{
    Events,
    answer::{List, Room, Rooms, Snapshot, Synced, Timeline, all_placed},
    placed,
};
use crate::poll::{Polled, long_poll};

/// Events of a room in one answer.
const MOST_EVENTS: u64 = 100;

/// The answer to `GET /initialSync`.
#[derive(Clone, Debug, Serialize)]
pub struct InitialSync {
    /// Where `GET /events` and `GET /sync` go on.
    pub end: String,
    /// Presence of others.
    pub presence: Vec<RawJson>,
    /// Rooms.
    pub rooms: Vec<Snapshot>,
    /// Global account data.
    pub account_data: Vec<RawJson>,
}

/// What one user's syncs of old ask for.
struct Question {
    session: SessionRef,
    since: Option<String>,
    filter: Value,
    /// State as it is after the timeline.
    snapshot: bool,
}

impl Question {
    async fn ask<P: Polls>(
        &self,
        polls: &P,
        clock: &impl Clock,
        user_id: &UserId,
        timeout_ms: u64,
    ) -> Result<Synced, MatrixError> {
        let command = |may_wait| ClassicSync {
            session: self.session.clone(),
            since: self.since.clone(),
            filter: Some(self.filter.to_string()),
            full_state: false,
            state_after: self.snapshot.then_some(StateAfter::Stable),
            may_wait,
            presence: None,
            rooms_alone: true,
        };
        let Polled { body, .. } =
            long_poll(polls, clock, user_id, |may_wait| command(may_wait).into(), timeout_ms).await?;
        Synced::read(&body)
    }
}

/// All rooms as they are now, with `limit` messages each; with `archived` also those that were left.
///
/// # Errors
/// 503 when the user's hub cannot be reached.
pub async fn initial_sync<E: Transport + Clock, P: Polls>(
    polls: &P,
    edge: &E,
    caller: &Caller,
    session: SessionRef,
    (limit, archived): (u64, bool),
) -> Result<InitialSync, MatrixError> {
    let timeline = json!({ "limit": limit.min(MOST_EVENTS) });
    let filter = json!({ "room": { "timeline": timeline, "include_leave": archived, "ephemeral": { "types": [] } } });
    let question = Question { session: session.clone(), since: None, filter, snapshot: true };
    let synced = question.ask(polls, edge, &caller.user_id, 0).await?;
    let outside = synced.rooms.invited().chain(synced.rooms.leave.keys()).cloned().collect();
    let beside = beside(edge, &caller.user_id, session, outside).await?;
    let (end, List { events: presence }) = (synced.next_batch, synced.presence);
    let rooms = snapshots(synced.rooms, beside, &end)?;
    Ok(InitialSync { end, presence, rooms, account_data: synced.account_data.events })
}

/// The rooms of an answer; of invites there is only what the hub keeps beside them.
fn snapshots(rooms: Rooms, mut beside: BTreeMap<OwnedRoomId, Beside>, end: &str) -> Result<Vec<Snapshot>, MatrixError> {
    let mut snapshots = Vec::new();
    for (room_id, room) in rooms.join {
        snapshots.push(snapshot(room_id, room, "join".to_owned(), end)?);
    }
    for (room_id, room) in rooms.leave {
        let membership = beside.remove(&room_id).and_then(|beside| beside.membership);
        snapshots.push(snapshot(room_id, room, membership.unwrap_or_else(|| "leave".to_owned()), end)?);
    }
    for (room_id, beside) in beside {
        let invite = beside.member.map(|member| placed(&member, room_id.as_str())).transpose()?;
        snapshots.push(Snapshot { membership: beside.membership, invite, ..Snapshot::of(room_id) });
    }
    Ok(snapshots)
}

fn snapshot(room_id: OwnedRoomId, room: Room, membership: String, end: &str) -> Result<Snapshot, MatrixError> {
    let chunk = all_placed(&room.timeline.events, &room_id)?;
    let messages = Timeline { start: room.timeline.prev_batch, end: end.to_owned(), chunk };
    Ok(Snapshot {
        membership: Some(membership),
        messages: Some(messages),
        state: all_placed(&room.state.events, &room_id)?,
        account_data: room.account_data.events,
        ..Snapshot::of(room_id)
    })
}

/// Events of all rooms after `from`, or from now on; waits for one for up to `timeout_ms`.
///
/// # Errors
/// 400 for a token that is none, 503 when the user's hub cannot be reached.
pub async fn events<E: Transport + Clock, P: Polls>(
    polls: &P,
    edge: &E,
    caller: &Caller,
    session: SessionRef,
    (from, timeout_ms): (Option<&str>, u64),
) -> Result<Events, MatrixError> {
    let question = |since, filter| Question { session: session.clone(), since, filter, snapshot: false };
    let start = match from {
        Some(from) => from.to_owned(),
        None => question(None, timelines(&json!([]))).ask(polls, edge, &caller.user_id, 0).await?.next_batch,
    };
    let question = question(Some(start.clone()), timelines(&Value::Null));
    let synced = question.ask(polls, edge, &caller.user_id, timeout_ms).await?;
    let invited = synced.rooms.invited().cloned().collect();
    let mut chunk = Vec::new();
    for (room_id, room) in synced.rooms.join.iter().chain(&synced.rooms.leave) {
        chunk.extend(all_placed(&room.state.events, room_id)?);
        chunk.extend(all_placed(&room.timeline.events, room_id)?);
    }
    for (room_id, beside) in beside(edge, &caller.user_id, session.clone(), invited).await? {
        chunk.extend(beside.member.map(|member| placed(&member, room_id.as_str())).transpose()?);
    }
    Ok(Events { start, end: synced.next_batch, chunk })
}

/// The filter for nothing but the timelines of `rooms`; `null` is all.
fn timelines(rooms: &Value) -> Value {
    let nothing = json!({ "types": [] });
    let room = json!({
        "rooms": rooms, "account_data": nothing, "ephemeral": nothing, "timeline": { "limit": MOST_EVENTS },
    });
    json!({ "presence": nothing, "account_data": nothing, "room": room })
}

/// What the user's hub keeps beside these rooms; nobody is asked about none.
async fn beside(
    edge: &impl Transport,
    user_id: &UserId,
    session: SessionRef,
    rooms: Vec<OwnedRoomId>,
) -> Result<BTreeMap<OwnedRoomId, Beside>, MatrixError> {
    if rooms.is_empty() {
        return Ok(BTreeMap::new());
    }
    let found = ask_user(edge, user_id, ReadBeside { session, rooms: rooms.clone() }).await?;
    Ok(rooms.into_iter().zip(found).collect())
}
