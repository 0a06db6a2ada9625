//! One step of `GET /sync` (Client-Server API, "Syncing"). What a device was told follows from its token, so nothing is
//! stored for it.

use tern_model::{MatrixError, RawJson};
use tern_ports::{ObjectHost, WaitingPolls, wire::user::ClassicSync};
use tern_sync::{ClassicRequest, Slices, UserView as _, classic_answer, classic_plan};

use super::{
    UserActor,
    slices::{Bounds, Over},
    store::filters,
    sync::{Look, MOST_ROUNDS, refuse_failed},
    view::View,
};

/// Rooms' hubs asked for one answer, and bytes of rooms, which must all be in it: with more the hub would not outlive it. Two
/// rooms with the largest state there may be fit.
const BOUNDS: Bounds = Bounds { hubs: 900, bytes: 12 << 20, over: Over::Refused };

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    pub(super) async fn classic_sync(&self, command: ClassicSync) -> Result<Look, MatrixError> {
        self.admit(&command.session)?;
        self.show_up(&command.session.device_id, command.presence)?;
        if command.since.is_none() || command.full_state {
            self.look_around();
        }
        let filter = command.filter.as_deref().map(|filter| self.find_filter(filter)).transpose()?;
        let since = command.since.as_deref();
        let request = ClassicRequest::parse(since, filter.as_ref(), command.full_state, command.state_after)?;
        let request = if command.rooms_alone { request.of_rooms_alone() } else { request };
        if let Some(through) = request.to_device_ack() {
            self.acknowledge(&command.session.device_id, through)?;
        }
        for _ in 0..MOST_ROUNDS {
            if let Some(look) = self.classic_round(&command, &request).await? {
                return Ok(look);
            }
        }
        Err(MatrixError::unavailable())
    }

    /// `None` when something came while slices were loaded and nothing else is to be told.
    async fn classic_round(
        &self,
        command: &ClassicSync,
        request: &ClassicRequest,
    ) -> Result<Option<Look>, MatrixError> {
        let view = View::new(self, &command.session.device_id);
        let plan = classic_plan(&view, request);
        refuse_failed(&view)?;
        let asks = plan.asks();
        let slices = if asks.is_empty() {
            Slices::new()
        } else {
            let slices = self.load_slices(asks, BOUNDS, |slices| plan.unmet(slices)).await?;
            self.admit(&command.session)?;
            slices
        };
        // From here on nothing is awaited.
        let outcome = classic_answer(&view, request, &plan, &slices)?;
        refuse_failed(&view)?;
        if outcome.quiet && command.may_wait {
            let missed = self.hub.get().position > view.position();
            return Ok((!missed).then_some(Look::Hold { kinds: request.interest(), timeout_response: outcome.body }));
        }
        Ok(Some(Look::Answer(outcome.body)))
    }

    /// A filter, or the id of one (Client-Server API, "Filtering").
    fn find_filter(&self, filter: &str) -> Result<RawJson, MatrixError> {
        if filter.starts_with('{') {
            let parsed = RawJson::parse(filter.to_owned());
            return parsed.map_err(|_| MatrixError::invalid_param("The filter is not JSON"));
        }
        filters::read(self.host.sql(), filter)?.ok_or_else(|| MatrixError::invalid_param("Unknown filter"))
    }
}
