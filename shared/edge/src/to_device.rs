//! Sending to-device messages (Client-Server API, "Send-to-Device messaging"), run in the proxy: each addressed user's hub
//! queues for its own devices.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use ruma::OwnedUserId;
use tern_model::{Caller, Config, MatrixError, RawJson};
use tern_ports::{Transport, ask_user, wire::user::DeliverToDevice};

use crate::keys::{AT_A_TIME, MOST_USERS};

/// `PUT /sendToDevice/{eventType}/{txnId}`. Hubs know transactions, so a request that failed half-way may be repeated.
///
/// # Errors
/// `M_TOO_LARGE`, `M_BAD_JSON` for a message that is no object; 503 when a hub cannot be reached.
pub async fn send<E: Transport>(
    edge: &E,
    config: &Config,
    sender: &Caller,
    kind: &str,
    txn_id: &str,
    messages: BTreeMap<OwnedUserId, BTreeMap<String, RawJson>>,
) -> Result<(), MatrixError> {
    if messages.len() > MOST_USERS {
        return Err(MatrixError::too_large("Too many users"));
    }
    if messages.values().flat_map(BTreeMap::values).any(|content| !content.text().starts_with('{')) {
        return Err(MatrixError::bad_json("A message must be an object"));
    }
    let local = messages.into_iter().filter(|(user_id, _)| user_id.server_name() == config.server_name);
    let deliveries = local.map(|(user_id, messages)| {
        let (sender, kind, txn_id) = (sender.clone(), kind.to_owned(), txn_id.to_owned());
        let delivery = DeliverToDevice { sender, kind, txn_id, messages };
        async move { ask_user(edge, &user_id, delivery).await }
    });
    let delivered: Vec<_> = stream::iter(deliveries).buffer_unordered(AT_A_TIME).collect().await;
    // Nobody is there to read what is sent to somebody unknown.
    delivered
        .into_iter()
        .find(|sent| sent.as_ref().is_err_and(|error| error.status != 404))
        .map_or(Ok(()), |sent| sent.map(|_| ()))
}
