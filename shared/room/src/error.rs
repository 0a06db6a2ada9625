//! How each operation can fail, and what the client is told.

use std::borrow::Cow;

use ruma::{OwnedEventId, OwnedUserId};
use tern_model::MatrixError;

/// The room's state could not be read. Never a reason to allow anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("room state is unreadable: {0}")]
pub struct Unreadable(pub String);

impl From<Unreadable> for MatrixError {
    fn from(_: Unreadable) -> Self {
        Self::internal()
    }
}

/// A draft cannot become an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The content is not an object of canonical JSON (Appendices, "Canonical JSON").
    #[error("{0}")]
    BadJson(Cow<'static, str>),
    /// The event is over 65,536 bytes (Client-Server API, "Size limits").
    #[error("The event is larger than 65536 bytes")]
    TooLarge,
    /// A field is over 255 bytes.
    #[error("`{0}` is longer than 255 bytes")]
    FieldTooLong(&'static str),
    /// The event would be sticky for longer than an hour (MSC4354).
    #[error("An event is sticky for 0 to 3600000 ms")]
    StickyTooLong,
    /// The sender belongs to another server, so this server cannot sign for it.
    #[error("The sender is not a user of this server")]
    ForeignSender,
    /// State could not be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// Hashing or signing failed: ours.
    #[error("cannot seal the event: {0}")]
    Seal(String),
}

impl From<BuildError> for MatrixError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::BadJson(message) => Self::bad_json(message),
            BuildError::TooLarge | BuildError::FieldTooLong(_) => Self::too_large(error.to_string()),
            BuildError::StickyTooLong => Self::invalid_param(error.to_string()),
            BuildError::ForeignSender => Self::forbidden(error.to_string()),
            BuildError::Unreadable(_) | BuildError::Seal(_) => Self::internal(),
        }
    }
}

/// An event is not authorised.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// A rule of the room version refuses it.
    #[error("{0}")]
    Forbidden(String),
    /// State could not be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

impl From<AuthError> for MatrixError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Forbidden(rule) => Self::forbidden(rule),
            AuthError::Unreadable(cause) => cause.into(),
        }
    }
}

/// A draft was not made into an authorised event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Its content is not that of its type, whoever sends it.
    #[error("{0}")]
    Content(String),
    /// The room has its create event.
    #[error("The room has been created already")]
    Exists,
    /// It is not allowed.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The room uses a policy server, which has to be asked first and cannot be.
    #[error("The room's policy server cannot be asked")]
    Unapproved,
}

impl SendError {
    /// The same failure while a room is being created: what the request implies is not a possible state, which is
    /// `M_INVALID_ROOM_STATE` rather than `M_FORBIDDEN` (`POST /createRoom`).
    pub fn while_creating(self) -> MatrixError {
        match self {
            Self::Auth(AuthError::Forbidden(_)) | Self::Content(_) | Self::Exists => {
                MatrixError::new(400, "M_INVALID_ROOM_STATE", self.to_string())
            }
            other => other.into(),
        }
    }
}

impl From<Unreadable> for SendError {
    fn from(cause: Unreadable) -> Self {
        Self::Build(cause.into())
    }
}

impl From<SendError> for MatrixError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Build(cause) => cause.into(),
            SendError::Content(message) => Self::bad_json(message),
            SendError::Exists => Self::new(400, "M_BAD_STATE", error.to_string()),
            SendError::Auth(cause) => cause.into(),
            SendError::Unapproved => Self::forbidden(error.to_string()),
        }
    }
}

/// A room cannot be planned (`POST /createRoom`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    /// The room version is not one this server makes.
    #[error("Room version `{0}` is not supported")]
    UnsupportedVersion(String),
    /// Inviting by e-mail address or telephone number needs an identity server, which is not supported.
    #[error("Invites by third-party identifier are not supported")]
    ThirdPartyInvite,
    /// A parameter has a value that cannot be used.
    #[error("{0}")]
    InvalidParam(Cow<'static, str>),
    /// A parameter has the wrong shape.
    #[error("{0}")]
    BadJson(Cow<'static, str>),
    /// The parameters contradict each other.
    #[error("{0}")]
    InvalidState(Cow<'static, str>),
    /// The create event itself cannot be made.
    #[error(transparent)]
    Send(#[from] SendError),
}

impl From<BuildError> for CreateError {
    fn from(cause: BuildError) -> Self {
        Self::Send(cause.into())
    }
}

impl From<CreateError> for MatrixError {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::UnsupportedVersion(_) => Self::new(400, "M_UNSUPPORTED_ROOM_VERSION", error.to_string()),
            CreateError::ThirdPartyInvite => Self::new(403, "M_THREEPID_DENIED", error.to_string()),
            CreateError::InvalidParam(message) => Self::invalid_param(message),
            CreateError::BadJson(message) => Self::bad_json(message),
            CreateError::InvalidState(message) => Self::new(400, "M_INVALID_ROOM_STATE", message),
            CreateError::Send(cause) => cause.while_creating(),
        }
    }
}

/// A membership cannot be changed this way (Client-Server API, "Room membership").
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// Joining, knocking or inviting while a ban stands.
    #[error("{0} is banned from the room")]
    Banned(OwnedUserId),
    /// Inviting somebody who is in the room, or knocking while in it.
    #[error("{0} is already in the room")]
    AlreadyIn(OwnedUserId),
    /// Kicking or leaving without being in the room.
    #[error("{0} is not in the room")]
    NotIn(OwnedUserId),
    /// Unbanning somebody who is not banned.
    #[error("{0} is not banned from the room")]
    NotBanned(OwnedUserId),
    /// The join rule does not let the user in.
    #[error("{0}")]
    NotAllowed(&'static str),
    /// The room lets in who is in another one, and the user is in none of those.
    #[error("You are in none of the rooms whose members may join this one")]
    InNoAllowedRoom,
    /// The room lets the user in, and no user of this server may say so.
    #[error("Nobody of this server in the room may let you in")]
    NobodyMayGrant,
    /// Acting on oneself where only others can be meant, or on others where only oneself can.
    #[error("{0}")]
    WrongTarget(&'static str),
    /// The further content is not an object.
    #[error("The content of a membership event must be an object")]
    BadContent,
    /// State could not be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

impl From<MembershipError> for MatrixError {
    fn from(error: MembershipError) -> Self {
        match error {
            MembershipError::Unreadable(cause) => cause.into(),
            MembershipError::BadContent => Self::bad_json(error.to_string()),
            other => Self::forbidden(other.to_string()),
        }
    }
}

/// An event may not be redacted (Client-Server API, "Redactions").
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedactError {
    /// Neither the own event nor enough power.
    #[error("You may not redact this event")]
    Forbidden,
    /// Events that a room cannot do without.
    #[error("Events of type `{0}` cannot be redacted")]
    Protected(&'static str),
    /// The stored event is damaged: ours.
    #[error("cannot redact: {0}")]
    Damaged(String),
    /// State could not be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

impl From<RedactError> for MatrixError {
    fn from(error: RedactError) -> Self {
        match error {
            RedactError::Forbidden | RedactError::Protected(_) => Self::forbidden(error.to_string()),
            RedactError::Damaged(_) | RedactError::Unreadable(_) => Self::internal(),
        }
    }
}

/// An event cannot be checked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthoriseError {
    /// These events must be fetched first.
    #[error("{} events before this one are missing", .0.len())]
    Missing(Vec<OwnedEventId>),
    /// State could not be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}
