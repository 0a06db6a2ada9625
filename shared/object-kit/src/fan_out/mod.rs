//! Telling many hubs the same: one by one, or a shard of them by a relay.

pub mod tree;

use std::pin::pin;

use futures::future::{Either, select};
use ruma::{OwnedUserId, UserId};
use tern_model::RawJson;
use tern_ports::{
    Spawn, Target, Transport, ask_relay,
    wire::{
        frame,
        relay::{DeliveryOutcome, PassOn, PassedOn},
        user::Delivered,
    },
};

/// Whoever waits for a relay has so much more patience than the relay: the way there and back, and its start.
const MARGIN_MS: u64 = 1_000;

/// Has a relay tell `users`, and waits no longer than `patience_ms`. What came of it for each of them, in their order.
pub async fn hand_over(
    host: &(impl Spawn + Transport),
    relay: &str,
    users: Vec<OwnedUserId>,
    notice: &RawJson,
    patience_ms: u64,
) -> Vec<DeliveryOutcome> {
    let count = users.len();
    let ask = PassOn { users, notice: notice.clone(), patience_ms: patience_ms.saturating_sub(MARGIN_MS) };
    match select(pin!(ask_relay(host, relay, ask)), pin!(host.sleep(patience_ms))).await {
        Either::Left((Ok(PassedOn { outcomes }), _)) if outcomes.len() == count => outcomes,
        _ => vec![DeliveryOutcome::Missed; count],
    }
}

/// Tells one hub.
pub async fn tell_hub(host: &impl Transport, user_id: &UserId, frame: Vec<u8>) -> DeliveryOutcome {
    let reply = host.exchange(&Target::User(user_id.to_owned()), frame).await;
    match reply.map(|reply| frame::read_reply::<Delivered>(&reply)) {
        Ok(Ok(Delivered { idle: false })) => DeliveryOutcome::Heard,
        Ok(Ok(Delivered { idle: true })) => DeliveryOutcome::Idle,
        _ => DeliveryOutcome::Missed,
    }
}
