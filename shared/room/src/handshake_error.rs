//! How joining, leaving, knocking and inviting through a server that is in the room can fail.

use tern_model::MatrixError;

use crate::{
    error::{MembershipError, SendError, Unreadable},
    receipt::Dropped,
};

/// A user of another server cannot join, leave or knock through this one (Server-Server API, "Joining Rooms").
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// It is no event of the room.
    #[error(transparent)]
    Dropped(#[from] Dropped),
    /// The address names another event.
    #[error("The event has another id")]
    OtherId,
    /// It is not the event that is meant to be sent this way.
    #[error("Not an event by which its sender comes to `{0}`")]
    OtherEvent(&'static str),
    /// The user is one of another server than the one that asks.
    #[error("The user is one of another server")]
    OtherServer,
    /// Its content is not what its server made of it.
    #[error("The content is not what was hashed")]
    Altered,
    /// The membership cannot be changed this way.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// It cannot be built, or is not allowed.
    #[error(transparent)]
    Send(#[from] SendError),
}

impl From<Unreadable> for HandshakeError {
    fn from(cause: Unreadable) -> Self {
        Self::Membership(cause.into())
    }
}

impl From<HandshakeError> for MatrixError {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::Dropped(Dropped::Format(_)) => Self::bad_json(error.to_string()),
            HandshakeError::Dropped(Dropped::OtherRoom)
            | HandshakeError::OtherId
            | HandshakeError::OtherEvent(_)
            | HandshakeError::Altered => Self::invalid_param(error.to_string()),
            HandshakeError::Dropped(Dropped::Signature(_)) | HandshakeError::OtherServer => {
                Self::forbidden(error.to_string())
            }
            HandshakeError::Membership(MembershipError::NobodyMayGrant) => {
                Self::new(400, "M_UNABLE_TO_GRANT_JOIN", error.to_string())
            }
            HandshakeError::Membership(cause) => cause.into(),
            HandshakeError::Send(cause) => cause.into(),
        }
    }
}
