//! Reports of rooms, events and users, run in the proxy. They are kept for the server's administrators.

use std::collections::BTreeSet;

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, UserId};
use tern_model::{Caller, Config, MatrixError};
use tern_ports::{
    Clock, Transport, ask_room, ask_storage,
    wire::{
        directory::{FileReport, IsListed},
        room::ReadEvent,
    },
};

use crate::profile;

/// Longest reason, in bytes.
const LONGEST_REASON: usize = 4_096;

/// `POST /rooms/{roomId}/report`: anybody may report a room that exists.
///
/// # Errors
/// 404 for a room that does not.
pub async fn room<E: Transport + Clock>(
    edge: &E,
    reporter: &UserId,
    room_id: OwnedRoomId,
    reason: String,
) -> Result<(), MatrixError> {
    let known = ask_storage(edge, IsListed { room_id: room_id.clone() }).await?;
    known.ok_or_else(|| MatrixError::not_found("There is no such room"))?;
    file(edge, reporter, Some(room_id), None, None, reason).await
}

/// `POST /rooms/{roomId}/report/{eventId}`: for those who may see the event.
///
/// # Errors
/// 404 for others.
pub async fn event<E: Transport + Clock>(
    edge: &E,
    reporter: &Caller,
    room_id: OwnedRoomId,
    event_id: OwnedEventId,
    reason: String,
) -> Result<(), MatrixError> {
    let ask = ReadEvent { caller: reporter.clone(), event_id: event_id.clone(), ignored: BTreeSet::new() };
    ask_room(edge, &room_id, ask).await?;
    file(edge, &reporter.user_id, Some(room_id), Some(event_id), None, reason).await
}

/// `POST /users/{userId}/report`.
///
/// # Errors
/// 404 for somebody who is not there.
pub async fn user<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    reporter: &UserId,
    user_id: OwnedUserId,
    reason: String,
) -> Result<(), MatrixError> {
    profile::read(edge, config, &user_id).await?;
    file(edge, reporter, None, None, Some(user_id), reason).await
}

async fn file<E: Transport + Clock>(
    edge: &E,
    reporter: &UserId,
    room_id: Option<OwnedRoomId>,
    event_id: Option<OwnedEventId>,
    user_id: Option<OwnedUserId>,
    reason: String,
) -> Result<(), MatrixError> {
    if reason.len() > LONGEST_REASON {
        return Err(MatrixError::invalid_param("The reason is too long"));
    }
    let report = FileReport { reporter: reporter.to_owned(), room_id, event_id, user_id, reason, ts: edge.now() };
    ask_storage(edge, report).await?;
    Ok(())
}
