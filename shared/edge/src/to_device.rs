//! Sending to-device messages (Client-Server API, "Send-to-Device messaging"), run in the proxy: each addressed user's hub
//! queues for its own devices, and the object of another server for its users.

use std::collections::BTreeMap;

use futures::{StreamExt, future::join, stream};
use ruma::OwnedUserId;
use serde_json::json;
use sha2::{Digest, Sha256};
use tern_auth::secret::base64;
use tern_model::{Bounded, BoundedJson, Caller, Config, MatrixError, Name, RawJson};
use tern_ports::{
    Transport, ask_destination, ask_user,
    wire::{destination::SendToDevice, user::DeliverToDevice},
};

use crate::keys::{AT_A_TIME, MOST_USERS, by_server};

/// Contents by user and device.
type Messages = BTreeMap<OwnedUserId, BTreeMap<String, RawJson>>;

/// `PUT /sendToDevice/{eventType}/{txnId}`. Hubs know transactions, so a request that failed half-way may be repeated.
///
/// # Errors
/// `M_TOO_LARGE`, `M_BAD_JSON` for a message that is no object; 503 when a hub cannot be reached; 429 `M_LIMIT_EXCEEDED` while too
/// much waits for another server, 502 `M_UNREACHABLE` for one that was never met.
pub async fn send<E: Transport>(
    edge: &E,
    config: &Config,
    sender: &Caller,
    kind: &str,
    txn_id: &str,
    mut messages: Messages,
) -> Result<(), MatrixError> {
    if messages.len() > MOST_USERS {
        return Err(MatrixError::too_large("Too many users"));
    }
    if messages.values().flat_map(BTreeMap::values).any(|content| !content.text().starts_with('{')) {
        return Err(MatrixError::bad_json("A message must be an object"));
    }
    let elsewhere: Messages =
        messages.extract_if(.., |user_id, _| user_id.server_name() != config.server_name).collect();
    let deliveries = messages.into_iter().map(|(user_id, messages)| {
        let (sender, kind, txn_id) = (sender.clone(), kind.to_owned(), txn_id.to_owned());
        let delivery = DeliverToDevice { sender, kind, txn_id, messages };
        async move { ask_user(edge, &user_id, delivery).await }
    });
    let deliveries = stream::iter(deliveries).buffer_unordered(AT_A_TIME).collect();
    let (delivered, sent): (Vec<_>, _) = join(deliveries, send_elsewhere(edge, sender, kind, txn_id, elsewhere)).await;
    // Nobody is there to read what is sent to somebody unknown.
    let failed = delivered.into_iter().find(|sent| sent.as_ref().is_err_and(|error| error.status != 404));
    failed.map_or(sent, |failed| failed.map(|_| ()))
}

/// Hands messages for users of other servers to the objects of their servers.
async fn send_elsewhere<E: Transport>(
    edge: &E,
    sender: &Caller,
    kind: &str,
    txn_id: &str,
    messages: Messages,
) -> Result<(), MatrixError> {
    if messages.is_empty() {
        return Ok(());
    }
    let message_id = Bounded::cut(message_id(sender, kind, txn_id));
    let kind = Name::new(kind)?;
    let asks = by_server(messages, |(user_id, _)| user_id).into_iter().map(async |(server, messages)| {
        let messages: Messages = messages.into_iter().collect();
        let messages = RawJson::from_value(&messages).map_err(|_| MatrixError::internal())?;
        let (sender, kind, message_id) = (sender.user_id.clone(), kind.clone(), message_id.clone());
        let ask = SendToDevice { sender, kind, message_id, messages: BoundedJson::new(messages)? };
        ask_destination(edge, &server, ask).await
    });
    let sent: Vec<Result<_, MatrixError>> = stream::iter(asks).buffer_unordered(AT_A_TIME).collect().await;
    sent.into_iter().try_for_each(|sent| sent.map(|_| ()))
}

/// What the ids of the messages of a request begin with: the same when it is repeated.
fn message_id(sender: &Caller, kind: &str, txn_id: &str) -> String {
    let Caller { user_id, device_id } = sender;
    let request = json!([user_id, device_id, kind, txn_id]).to_string();
    base64(&Sha256::digest(request))
}
