//! Following threads (MSC4306), run in the proxy: the room knows the thread, the user's hub who follows it.

use ruma::{OwnedEventId, OwnedRoomId};
use tern_model::{Caller, MatrixError};
use tern_ports::{
    Transport, ask_room, ask_user,
    wire::{
        threads::{FindThread, SubscribeThread, UnsubscribeThread},
        user::SessionRef,
    },
};

pub use tern_room::thread::MAIN;

/// A thread of which the caller speaks.
#[derive(Clone, Debug)]
pub struct Thread {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Its root.
    pub root: OwnedEventId,
}

/// `PUT …/subscription`: by the person, or by a client because of the event `cause`.
///
/// # Errors
/// `M_NOT_FOUND` when the caller sees no such thread, `IO.ELEMENT.MSC4306.M_NOT_IN_THREAD` when the cause is not in it,
/// `IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION` when the caller left the thread after the cause.
pub async fn subscribe(
    edge: &impl Transport,
    caller: &Caller,
    session: SessionRef,
    thread: Thread,
    cause: Option<OwnedEventId>,
) -> Result<(), MatrixError> {
    let Thread { room_id, root } = thread;
    let find = FindThread { caller: caller.user_id.clone(), root: root.clone(), cause };
    let automatic = ask_room(edge, &room_id, find).await?.cause;
    ask_user(edge, &caller.user_id, SubscribeThread { session, room_id, root, automatic }).await?;
    Ok(())
}

/// `DELETE …/subscription`
///
/// # Errors
/// `M_NOT_FOUND` when the caller sees no such thread.
pub async fn unsubscribe(
    edge: &impl Transport,
    caller: &Caller,
    session: SessionRef,
    thread: Thread,
) -> Result<(), MatrixError> {
    let Thread { room_id, root } = thread;
    let find = FindThread { caller: caller.user_id.clone(), root: root.clone(), cause: None };
    let newest = ask_room(edge, &room_id, find).await?.newest;
    ask_user(edge, &caller.user_id, UnsubscribeThread { session, room_id, root, newest }).await?;
    Ok(())
}
