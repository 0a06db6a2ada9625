//! Relays: a tree of objects that tell the hubs of a large room's listeners all the same.
//!
//! An object may have six connections, so a room with twenty thousand listeners would tell them in thousands of rounds,
//! one after the other. It hands shards of them to relays instead ([`hand_over`], `delivery/shards.rs` of the room's
//! hub). A relay tells as many hubs as one object should ([`tern_model::Limits`], `relay_above`), six at a time; what
//! is more it splits among further relays ([`tree`]). Their names are the room's id and the branches that lead to them.
//!
//! Nothing is stored here. A relay that fails, or that takes longer than its asker waits, leaves the outcome of its users
//! unknown, which is [`DeliveryOutcome::Missed`]: the room tells them again, and hubs drop what they have heard.

use std::{cell::RefCell, pin::pin, rc::Rc};

use futures::{StreamExt, future::select, stream};
use tern_model::MatrixError;
use tern_object_kit::fan_out::{hand_over, tell_hub, tree};
use tern_ports::{
    Spawn, Transport,
    wire::{
        RelayCommand, frame,
        relay::{DeliveryOutcome, MOST_USERS, PassOn, PassedOn},
    },
};

/// Hubs told at once; the platform allows six connections.
const AT_ONCE: usize = 6;

/// The actor in a relay.
pub struct RelayActor<H> {
    host: Rc<H>,
    name: String,
    /// Hubs that it tells by itself.
    own: usize,
}

impl<H: Spawn + Transport> RelayActor<H> {
    /// The relay of this name, which tells `own` hubs by itself and leaves more to others.
    pub fn new(host: Rc<H>, name: String, own: u64) -> Self {
        Self { host, name, own: usize::try_from(own).unwrap_or(usize::MAX) }
    }

    /// Handles one command; answers with a reply frame.
    pub async fn handle(&self, command: RelayCommand) -> Vec<u8> {
        match command {
            RelayCommand::PassOn(request) => frame::write_reply(&self.pass_on(*request).await),
        }
    }

    async fn pass_on(&self, request: PassOn) -> Result<PassedOn, MatrixError> {
        if request.users.len() > MOST_USERS {
            return Err(MatrixError::invalid_param("More users than a relay takes"));
        }
        let outcomes = match tree::branches(request.users.len(), self.own) {
            0 => self.tell(request).await,
            branches => self.split(&request, branches).await,
        };
        Ok(PassedOn { outcomes })
    }

    /// Tells the hubs. Whoever has not answered when patience ends has missed it, and so has whoever was to come after.
    async fn tell(&self, request: PassOn) -> Vec<DeliveryOutcome> {
        let frame = request.frame();
        let PassOn { users, notice, patience_ms } = request;
        // It is in the frame now, and may be long.
        drop(notice);
        let outcomes = RefCell::new(vec![DeliveryOutcome::Missed; users.len()]);
        let work = stream::iter(users.iter().enumerate()).for_each_concurrent(AT_ONCE, async |(place, user_id)| {
            let outcome = tell_hub(&*self.host, user_id, frame.clone()).await;
            if let Some(slot) = outcomes.borrow_mut().get_mut(place) {
                *slot = outcome;
            }
            // Answers that have come in are taken before the next are asked for.
            self.host.yield_now().await;
        });
        select(pin!(work), pin!(self.host.sleep(patience_ms))).await;
        outcomes.take()
    }

    async fn split(&self, request: &PassOn, branches: usize) -> Vec<DeliveryOutcome> {
        let shards = tree::split(&request.users, branches).enumerate();
        let outcomes = stream::iter(shards).map(async |(branch, users)| {
            let name = format!("{}/{branch}", self.name);
            hand_over(&*self.host, &name, users.to_vec(), &request.notice, request.patience_ms).await
        });
        outcomes.buffered(AT_ONCE).concat().await
    }
}
