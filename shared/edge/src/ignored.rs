//! Ignored users in what is read of rooms themselves (Client-Server API, "Ignoring Users"). A room's hub does not know
//! whom its readers ignore, so the reader's own hub is asked beside it. Only where somebody is ignored, and the answer tells
//! of threads or references, is the room asked once more, with their names: "servers must not consider child events from
//! ignored users" ("Aggregations of child events").

use std::collections::BTreeSet;

use futures::try_join;
use ruma::{OwnedUserId, RoomId, UserId};
use serde::Deserialize;
use tern_model::{MatrixError, RawJson};
use tern_ports::{
    Transport, ask_room, ask_user,
    wire::{
        RoomRequest,
        relations::{EventContext, ReadContext, ReadRelations, ReadThreads, RelationPage},
        room::{Messages, ReadEvent, ReadMessages},
        user::{ListIgnored, SessionRef},
    },
};

/// The users somebody ignores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignored(BTreeSet<OwnedUserId>);

impl Ignored {
    /// Whom `user_id` ignores.
    ///
    /// # Errors
    /// `M_UNKNOWN_TOKEN` when the session has ended; 503 when the user's hub cannot be reached.
    pub async fn of(edge: &impl Transport, user_id: &UserId, session: SessionRef) -> Result<Self, MatrixError> {
        let ignored = ask_user(edge, user_id, ListIgnored { session }).await?;
        Ok(Self(ignored.into_iter().collect()))
    }

    /// Their names.
    pub(crate) const fn users(&self) -> &BTreeSet<OwnedUserId> {
        &self.0
    }

    /// Whether the event, in client form, is kept from the reader: state never is.
    pub fn hides(&self, event: &RawJson) -> bool {
        #[derive(Deserialize)]
        struct Said {
            sender: String,
            state_key: Option<String>,
        }
        !self.0.is_empty()
            && event.read::<Said>().is_ok_and(|said| self.hides_what(&said.sender, said.state_key.as_deref()))
    }

    /// Whether an event of this sender and state key is kept from the reader.
    pub(crate) fn hides_what(&self, sender: &str, state_key: Option<&str>) -> bool {
        state_key.is_none() && self.0.iter().any(|user_id| user_id == sender)
    }

    /// The events that the reader is shown.
    pub fn sift(&self, mut events: Vec<RawJson>) -> Vec<RawJson> {
        events.retain(|event| !self.hides(event));
        events
    }

    /// The event itself, as if it were not there when it is hidden.
    ///
    /// # Errors
    /// `M_NOT_FOUND`.
    pub fn show(&self, event: RawJson) -> Result<RawJson, MatrixError> {
        if self.hides(&event) { Err(MatrixError::not_found("Event not found")) } else { Ok(event) }
    }
}

/// A read whose answer has aggregations.
pub trait Aggregating: RoomRequest + Clone {
    /// Whom the reader ignores.
    fn ignored(&mut self) -> &mut BTreeSet<OwnedUserId>;

    /// The answer may be another for somebody who ignores users.
    fn depends(reply: &Self::Reply) -> bool;
}

/// Asks the room, and at the same time whom the reader ignores, who are not considered in the answer's aggregations.
///
/// # Errors
/// The room's, and those of [`Ignored::of`].
pub async fn read<R: Aggregating>(
    edge: &impl Transport,
    user_id: &UserId,
    session: SessionRef,
    room_id: &RoomId,
    ask: R,
) -> Result<(R::Reply, Ignored), MatrixError> {
    let (reply, ignored) = try_join!(ask_room(edge, room_id, ask.clone()), Ignored::of(edge, user_id, session))?;
    Ok((again(edge, room_id, ask, reply, &ignored).await?, ignored))
}

/// The answer, or where it depends on the ignored users another.
///
/// # Errors
/// The room's.
pub(crate) async fn again<R: Aggregating>(
    edge: &impl Transport,
    room_id: &RoomId,
    mut ask: R,
    reply: R::Reply,
    ignored: &Ignored,
) -> Result<R::Reply, MatrixError> {
    if ignored.0.is_empty() || !R::depends(&reply) {
        return Ok(reply);
    }
    ask.ignored().clone_from(&ignored.0);
    ask_room(edge, room_id, ask).await
}

/// The event, in client form, is told with a thread or with references.
fn aggregates(event: &RawJson) -> bool {
    ["\"m.thread\":{", "\"m.reference\":{"].iter().any(|name| event.text().contains(name))
}

impl Aggregating for ReadMessages {
    fn ignored(&mut self) -> &mut BTreeSet<OwnedUserId> {
        &mut self.ignored
    }

    fn depends(page: &Messages) -> bool {
        page.chunk.iter().any(aggregates)
    }
}

impl Aggregating for ReadEvent {
    fn ignored(&mut self) -> &mut BTreeSet<OwnedUserId> {
        &mut self.ignored
    }

    fn depends(event: &RawJson) -> bool {
        aggregates(event)
    }
}

impl Aggregating for ReadContext {
    fn ignored(&mut self) -> &mut BTreeSet<OwnedUserId> {
        &mut self.ignored
    }

    fn depends(context: &EventContext) -> bool {
        context.before.iter().chain([&context.event]).chain(&context.after).any(aggregates)
    }
}

impl Aggregating for ReadRelations {
    fn ignored(&mut self) -> &mut BTreeSet<OwnedUserId> {
        &mut self.ignored
    }

    fn depends(page: &RelationPage) -> bool {
        page.chunk.iter().any(aggregates)
    }
}

impl Aggregating for ReadThreads {
    fn ignored(&mut self) -> &mut BTreeSet<OwnedUserId> {
        &mut self.ignored
    }

    /// Which threads there are, and in which order, may be another.
    fn depends(page: &RelationPage) -> bool {
        !page.chunk.is_empty() || page.next.is_some()
    }
}
