//! The weight of a state that events from elsewhere lead to.
//!
//! What another server sends may neither fill this one nor be judged otherwise than everywhere else. So an event that
//! would make the present state too large gets no verdict at all: nothing is written, those that stand on it are missing
//! it, and it is tried again when it is sent again. The room stays behind as it would while the two servers cannot reach
//! each other, and catches up when its state has become smaller.

use ruma::OwnedEventId;
use tern_ports::{Sql, SqlError};
use tern_room::{
    History as _, RoomView as _, StateDelta, Unreadable,
    state_budget::{self, StateTooLarge},
};

use crate::{graph::known::Graph, timeline::view::Transaction};

impl<S: Sql> Transaction<'_, S> {
    /// Refuses changes of the present that would make the state too large.
    pub(crate) fn check_advance_bytes(
        &self,
        changes: &StateDelta,
        graph: &Graph<'_, S>,
    ) -> Result<Result<(), StateTooLarge>, SqlError> {
        let unreadable = |error: Unreadable| SqlError(error.0);
        let find = |event_id: &OwnedEventId| graph.event(event_id).map_err(unreadable);
        let change = |((kind, state_key), event_id): (&tern_room::Key, &Option<OwnedEventId>)| {
            let next = event_id.as_ref().map(find).transpose()?.flatten();
            Ok::<_, SqlError>((self.state(kind, state_key).map_err(unreadable)?, next))
        };
        if changes.is_empty() || state_budget::surely_fits(self.state_bytes()?, changes.len()) {
            return Ok(Ok(()));
        }
        let changes = changes.iter().map(change).collect::<Result<Vec<_>, _>>()?;
        Ok(state_budget::check(self.state_bytes()?, &changes))
    }
}
