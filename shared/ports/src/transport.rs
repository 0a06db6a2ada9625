//! Carrying a request to another part of the server.

use std::future::Future;

use ruma::{OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, ServerName, UserId};
use tern_model::MatrixError;

use crate::wire::{
    DestinationRequest, DeviceSignInRequest, OneTimeStoreRequest, RelayRequest, RoomRequest, StorageRequest,
    UserRequest, frame,
    policy::{Cause, Standing},
};

/// A part of the server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The storage worker.
    Storage,
    /// A room's hub.
    Room(OwnedRoomId),
    /// A local user's hub.
    User(OwnedUserId),
    /// A one-time store, by its name (`tern_small_objects::one_time_store`).
    OneTimeStore(String),
    /// What two devices hand over to each other, by name.
    DeviceSignIn(String),
    /// Who tells many hubs the same, by its place in the tree (`tern_small_objects::relay`).
    Relay(String),
    /// What is known of the way to another server, by its name in small letters (`tern_small_objects::destination`).
    Destination(OwnedServerName),
    /// What an application service is sent, by the id of its registration (`tern_small_objects::destination`).
    Service(String),
}

/// The part did not answer: a network fault, an overloaded or resetting object. The request may or may not have taken
/// effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unreachable: {0}")]
pub struct Unreachable(pub String);

impl From<Unreachable> for MatrixError {
    fn from(_: Unreachable) -> Self {
        Self::unavailable()
    }
}

/// Carries frames between parts.
pub trait Transport {
    /// Delivers `frame` to `target` and brings its answer.
    fn exchange(&self, target: &Target, frame: Vec<u8>) -> impl Future<Output = Result<Vec<u8>, Unreachable>>;

    /// How whoever causes what is sent this way stands: what is closed to them is not sent.
    fn standing(&self) -> Standing;
}

/// Asks a room's hub.
///
/// # Errors
/// The hub's own error, 503 when it cannot be reached, or 403 `M_USER_SUSPENDED`.
pub async fn ask_room<R: RoomRequest>(
    via: &impl Transport,
    room_id: &RoomId,
    request: R,
) -> Result<R::Reply, MatrixError> {
    via.standing().admit(request.policy().suspended)?;
    let target = Target::Room(room_id.to_owned());
    frame::read_reply(&via.exchange(&target, frame::write(&request.into())).await?)
}

/// Asks a local user's hub, which itself judges what carries a session of its user.
///
/// # Errors
/// The hub's own error, 503 when it cannot be reached, or 403 `M_USER_SUSPENDED`.
pub async fn ask_user<R: UserRequest>(
    via: &impl Transport,
    user_id: &UserId,
    request: R,
) -> Result<R::Reply, MatrixError> {
    let policy = request.policy();
    if policy.cause == Cause::Server {
        via.standing().admit(policy.suspended)?;
    }
    let target = Target::User(user_id.to_owned());
    frame::read_reply(&via.exchange(&target, frame::write(&request.into())).await?)
}

/// Asks the object between two devices.
///
/// # Errors
/// The object's own error, or 503 when it cannot be reached.
pub async fn ask_device_sign_in<R: DeviceSignInRequest>(
    via: &impl Transport,
    name: &str,
    request: R,
) -> Result<R::Reply, MatrixError> {
    let target = Target::DeviceSignIn(name.to_owned());
    frame::read_reply(&via.exchange(&target, frame::write(&request.into())).await?)
}

/// Asks the storage worker.
///
/// # Errors
/// The worker's own error, 503 when it cannot be reached, or 403 `M_USER_SUSPENDED`.
pub async fn ask_storage<R: StorageRequest>(via: &impl Transport, request: R) -> Result<R::Reply, MatrixError> {
    via.standing().admit(request.policy().suspended)?;
    frame::read_reply(&via.exchange(&Target::Storage, frame::write(&request.into())).await?)
}

/// Asks a one-time store.
///
/// # Errors
/// The one-time store's own error, or 503 when it cannot be reached.
pub async fn ask_one_time_store<R: OneTimeStoreRequest>(
    via: &impl Transport,
    name: &str,
    request: R,
) -> Result<R::Reply, MatrixError> {
    let target = Target::OneTimeStore(name.to_owned());
    frame::read_reply(&via.exchange(&target, frame::write(&request.into())).await?)
}

/// Asks a relay.
///
/// # Errors
/// The relay's own error, or 503 when it cannot be reached.
pub async fn ask_relay<R: RelayRequest>(via: &impl Transport, name: &str, request: R) -> Result<R::Reply, MatrixError> {
    let target = Target::Relay(name.to_owned());
    frame::read_reply(&via.exchange(&target, frame::write(&request.into())).await?)
}

/// Asks the object of another server.
///
/// # Errors
/// The object's own error, or 503 when it cannot be reached.
pub async fn ask_destination<R: DestinationRequest>(
    via: &impl Transport,
    server: &ServerName,
    request: R,
) -> Result<R::Reply, MatrixError> {
    let target = Target::Destination(server.to_owned());
    frame::read_reply(&via.exchange(&target, frame::write(&request.into())).await?)
}

/// Asks the object of an application service.
///
/// # Errors
/// The object's own error, or 503 when it cannot be reached.
pub async fn ask_service<R: DestinationRequest>(
    via: &impl Transport,
    id: &str,
    request: R,
) -> Result<R::Reply, MatrixError> {
    let target = Target::Service(id.to_owned());
    frame::read_reply(&via.exchange(&target, frame::write(&request.into())).await?)
}
