//! `GET /events?room_id=…`: what happens in one room, for whoever may read it. A room tells only its members' hubs, so the
//! room is asked again and again, more slowly while nothing happens: a look in passing is not worth a list of who looks.

use std::collections::BTreeSet;

use ruma::OwnedRoomId;
use tern_model::{Caller, MatrixError};
use tern_ports::{
    Clock, Polls, Transport, ask_room,
    wire::{room::ReadMessages, user::SessionRef},
};

use super::Events;
use crate::{
    ignored::{self, Ignored},
    places::{self, Side},
    poll::LONGEST_WAIT_MS,
};

/// Events of one answer.
const MOST_EVENTS: u32 = 100;
/// The first pause between two looks; each is half as long again as the last.
const FIRST_PAUSE_MS: u64 = 1_000;
/// The longest.
const LONGEST_PAUSE_MS: u64 = 5_000;

/// Events after `from`, or from now on; waits for one for up to `timeout_ms`.
///
/// # Errors
/// 403 for somebody who may not read the room, 400 for a token that is none.
pub async fn peek<E: Transport + Clock>(
    polls: &impl Polls,
    edge: &E,
    caller: &Caller,
    session: SessionRef,
    room_id: OwnedRoomId,
    (from, timeout_ms): (Option<&str>, u64),
) -> Result<Events, MatrixError> {
    let deadline = edge.now().plus(timeout_ms.min(LONGEST_WAIT_MS));
    let [from] = places::in_room(edge, &caller.user_id, session.clone(), &room_id, [(from, Side::After)]).await?;
    let start = match from {
        Some(from) => from,
        None => ask_room(edge, &room_id, look(caller, None)).await?.start,
    };
    let mut pause = FIRST_PAUSE_MS;
    loop {
        let page = ask_room(edge, &room_id, look(caller, Some(&start))).await?;
        let left = deadline.since(edge.now());
        if !page.chunk.is_empty() || left == 0 {
            let ignored = Ignored::of(edge, &caller.user_id, session).await?;
            let page = ignored::again(edge, &room_id, look(caller, Some(&start)), page, &ignored).await?;
            let end = page.end.unwrap_or_else(|| start.clone());
            return Ok(Events { start, end, chunk: ignored.sift(page.chunk) });
        }
        polls.sleep(pause.min(left)).await;
        pause = (pause + pause / 2).min(LONGEST_PAUSE_MS);
    }
}

/// A page forwards from a token, or the newest event and where it ends.
fn look(caller: &Caller, from: Option<&str>) -> ReadMessages {
    ReadMessages {
        caller: caller.clone(),
        from: from.map(str::to_owned),
        to: None,
        backwards: from.is_none(),
        limit: if from.is_none() { 1 } else { MOST_EVENTS },
        filter: None,
        ignored: BTreeSet::new(),
    }
}
