//! Tokens of a sync as places in a room, found before the room is asked. Only the reader's own hub knows where a room was at
//! a position of the reader's stream, so a request with such a token is one question more; others are not.

use ruma::{RoomId, UserId};
use tern_model::MatrixError;
use tern_ports::{
    Transport, ask_user,
    wire::{places::FindPlaces, user::SessionRef},
};
pub use tern_sync::stream_position;

/// Which way to err when the hub does not remember exactly: a client would rather see something twice than never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The page has what is after the place.
    After,
    /// The page has what is before the place.
    Before,
}

/// The sides of `from` and `to` of a page.
pub const fn sides(backwards: bool) -> (Side, Side) {
    if backwards { (Side::Before, Side::After) } else { (Side::After, Side::Before) }
}

/// The tokens as the room takes them: those of a sync replaced, others as they are. A token of another user, or one made up,
/// is a place as well; what may be read from there the room decides.
///
/// # Errors
/// `M_UNKNOWN_TOKEN` when the session has ended; 503 when the user's hub cannot be reached.
pub async fn in_room<const N: usize>(
    edge: &impl Transport,
    caller: &UserId,
    session: SessionRef,
    room_id: &RoomId,
    tokens: [(Option<&str>, Side); N],
) -> Result<[Option<String>; N], MatrixError> {
    let at: Vec<_> = tokens.iter().filter_map(|(token, _)| stream_position((*token)?)).collect();
    let mut places = Vec::new().into_iter();
    if !at.is_empty() {
        places = ask_user(edge, caller, FindPlaces { session, room_id: room_id.to_owned(), at }).await?.into_iter();
    }
    Ok(tokens.map(|(token, side)| {
        let token = token?;
        if stream_position(token).is_none() {
            return Some(token.to_owned());
        }
        let place = places.next()?;
        let seq = if side == Side::After { Some(place.earliest) } else { place.latest };
        // Of a room that the hub does not know, the end is now.
        seq.map(|seq| format!("t{}", seq.0))
    }))
}
