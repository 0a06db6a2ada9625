//! Who asks.

use ruma::{OwnedDeviceId, OwnedUserId};
use serde::{Deserialize, Serialize};

/// An authenticated local user on one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The user.
    pub user_id: OwnedUserId,
    /// The device whose token was used.
    pub device_id: OwnedDeviceId,
}

/// The transaction that made an event: echoed as `unsigned.transaction_id` to the device that sent it, and the key under
/// which a repeated request finds the first answer (Client-Server API, "Transaction identifiers").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxnRef {
    /// The sender's device.
    pub device_id: OwnedDeviceId,
    /// The client's transaction id.
    pub txn_id: String,
}
