//! The hub's inner figures, for administration and tests.

use tern_model::MatrixError;
use tern_ports::{ObjectHost, WaitingPolls, wire::user::UserProbe};

use super::{UserActor, store::hub};

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// The constructor's count is otherwise written with the next change, so here it is made to last.
    pub(super) fn probe(&self) -> Result<UserProbe, MatrixError> {
        let now = self.hub.get();
        if hub::read(self.host.sql())?.constructed != now.constructed {
            self.write_hub(self.host.sql(), &now)?;
        }
        Ok(UserProbe {
            constructed: now.constructed,
            waiting_polls: self.host.waiting_polls(),
            position: now.position.0,
        })
    }
}
