//! What the current state weighs: a figure of the head that each change moves, counted once in a room of an earlier build.

use tern_model::Pdu;
use tern_object_kit::schema::Step;
use tern_ports::{Sql, SqlError};
use tern_room::{
    RoomView,
    state_budget::{self, StateTooLarge, weight_of},
};

use crate::timeline::{store::Store, view::Transaction};

/// NULL until they are counted.
pub(crate) const COLUMNS: Step =
    &["ALTER TABLE head ADD COLUMN state_bytes INTEGER", "ALTER TABLE head ADD COLUMN tail_bytes INTEGER"];

impl<S: Sql> Store<'_, S> {
    /// What the current state weighs, from its events: by type, since types weigh differently, and so for each event.
    fn weigh_state(self) -> Result<u64, SqlError> {
        let rows = self
            .0
            .query("SELECT s.kind, length(CAST(e.pdu AS BLOB)) FROM state s JOIN events e ON e.seq = s.seq", &[])?;
        let weight = |row: &tern_ports::Row| {
            let bytes = row.int(1).and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or_default();
            state_budget::weight(row.text(0).unwrap_or_default(), bytes)
        };
        Ok(rows.iter().map(weight).sum())
    }
}

impl<S: Sql> Transaction<'_, S> {
    /// Refuses an event that would make the current state too large; nothing else is checked.
    pub(crate) fn check_state_bytes(&self, pdu: &Pdu) -> Result<Result<(), StateTooLarge>, SqlError> {
        let Some(state_key) = pdu.key() else { return Ok(Ok(())) };
        if state_budget::surely_fits(self.state_bytes()?, 1) {
            return Ok(Ok(()));
        }
        let kind = pdu.kind().to_string().into();
        let previous = self.state(&kind, state_key).map_err(|unreadable| SqlError(unreadable.0))?;
        Ok(state_budget::check(self.state_bytes()?, &[(previous, Some(pdu.clone()))]))
    }

    /// What the current state weighs.
    pub(crate) fn state_bytes(&self) -> Result<u64, SqlError> {
        if let Some(bytes) = self.head().state_bytes {
            return Ok(bytes);
        }
        let bytes = self.store().weigh_state()?;
        self.head_mut().state_bytes = Some(bytes);
        Ok(bytes)
    }

    /// The current state has `after` where it had `before`.
    pub(crate) fn move_state_bytes(&self, before: Option<&Pdu>, after: Option<&Pdu>) {
        let mut head = self.head_mut();
        let Some(bytes) = head.state_bytes else { return };
        let bytes = bytes.saturating_add(after.map_or(0, weight_of)).saturating_sub(before.map_or(0, weight_of));
        head.state_bytes = Some(bytes);
    }
}
