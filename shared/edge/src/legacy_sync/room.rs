//! `GET /rooms/{roomId}/initialSync`.

use std::collections::BTreeSet;

use futures::{join, try_join};
use ruma::{OwnedRoomId, RoomId};
use tern_model::{Caller, MatrixError, RawJson};
use tern_ports::{
    Transport, ask_room, ask_user,
    wire::{
        places::{Beside, ReadBeside},
        room::{Messages, ReadMessages, ReadState},
        user::SessionRef,
    },
};

use super::answer::{Snapshot, Timeline};
use crate::{directory, ignored};

/// A room as it is now, for those who may read it: members, those who were, and everybody where history is world-readable.
///
/// # Errors
/// 403 for others, and for a room that does not exist.
pub async fn room(
    edge: &impl Transport,
    caller: &Caller,
    session: SessionRef,
    room_id: OwnedRoomId,
    limit: u32,
) -> Result<Snapshot, MatrixError> {
    let (shown, visibility) = join!(read(edge, caller, session, &room_id, limit), visibility(edge, &room_id));
    let (messages, state, beside) = shown?;
    let oldest = messages.end.unwrap_or_else(|| "t0".to_owned());
    let chunk = messages.chunk.into_iter().rev().collect();
    Ok(Snapshot {
        membership: beside.membership.filter(|membership| membership != "knock"),
        messages: Some(Timeline { start: Some(oldest), end: messages.start, chunk }),
        state,
        visibility,
        account_data: beside.account_data,
        ..Snapshot::of(room_id)
    })
}

/// The newest messages, newest first, the state, and what the user keeps of the room.
async fn read(
    edge: &impl Transport,
    caller: &Caller,
    session: SessionRef,
    room_id: &RoomId,
    limit: u32,
) -> Result<(Messages, Vec<RawJson>, Beside), MatrixError> {
    let ask = ReadMessages {
        caller: caller.clone(),
        from: None,
        to: None,
        backwards: true,
        limit,
        filter: None,
        ignored: BTreeSet::new(),
    };
    let beside = ReadBeside { session: session.clone(), rooms: vec![room_id.to_owned()] };
    let ((mut messages, ignored), state, mut beside) = try_join!(
        ignored::read(edge, &caller.user_id, session, room_id, ask),
        ask_room(edge, room_id, ReadState { caller: caller.user_id.clone() }),
        ask_user(edge, &caller.user_id, beside),
    )?;
    messages.chunk = ignored.sift(messages.chunk);
    Ok((messages, state, beside.pop().unwrap_or_default()))
}

/// Whether the room is in the directory; nothing where that cannot be said: a snapshot is good without it.
async fn visibility(edge: &impl Transport, room_id: &RoomId) -> Option<&'static str> {
    match directory::is_listed(edge, room_id.to_owned()).await {
        Ok(listed) => Some(if listed { "public" } else { "private" }),
        // It is too young to be in the directory.
        Err(error) => (error.status == 404).then_some("private"),
    }
}
