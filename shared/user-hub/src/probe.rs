//! The hub's inner figures, for administration and tests.

use tern_model::MatrixError;
use tern_ports::{ObjectHost, Parking, wire::user::UserProbe};

use super::{UserActor, store::hub};

impl<H: ObjectHost + Parking> UserActor<H> {
    /// The constructor's count is otherwise written with the next change, so here it is made to last.
    pub(super) fn probe(&self) -> Result<UserProbe, MatrixError> {
        let now = self.hub.get();
        if hub::read(self.host.sql())?.constructed != now.constructed {
            hub::write(self.host.sql(), &now)?;
        }
        Ok(UserProbe { constructed: now.constructed, parked: self.host.parked(), position: now.position.0 })
    }
}
