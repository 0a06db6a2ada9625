//! Accounts and their administration: what the storage worker and a user's hub can be asked about them.

use ruma::{OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};
use tern_model::Millis;

/// Users in order of their ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListUsers {
    /// Only those after this one.
    pub after: Option<OwnedUserId>,
    /// Only those whose id contains this.
    pub search: Option<String>,
    /// At most this many.
    pub limit: u32,
}

/// A user as an administrator sees one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserEntry {
    /// The user.
    pub user_id: OwnedUserId,
    /// May administrate the server.
    pub admin: bool,
    /// Cannot use the account for the time being.
    pub locked: bool,
    /// May only read for the time being.
    pub suspended: bool,
    /// Gone for ever.
    pub deactivated: bool,
    /// When it was made.
    pub created: Millis,
}

/// Changes what the registry says of a user; 404 when there is none, or a deactivated one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeUser {
    /// The user.
    pub user_id: OwnedUserId,
    /// `None` leaves it.
    pub admin: Option<bool>,
    /// `None` leaves it.
    pub locked: Option<bool>,
    /// `None` leaves it.
    pub suspended: Option<bool>,
}

/// A token with which people may register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationToken {
    /// The token itself: `[A-Za-z0-9._~-]{1,64}`.
    pub token: String,
    /// How many may use it; `None` is any number.
    pub uses_allowed: Option<u64>,
    /// How many did.
    pub completed: u64,
    /// When it ends.
    pub expires: Option<Millis>,
    /// When it was made.
    pub created: Millis,
}

/// Whether somebody may register with this token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRegistrationToken {
    /// The token.
    pub token: String,
    /// Now.
    pub now: Millis,
}

/// Makes a token; 400 `M_INVALID_PARAM` when there is one like it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateRegistrationToken {
    /// The token; `completed` is not looked at.
    pub token: RegistrationToken,
}

/// Every token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListRegistrationTokens {}

/// Takes a token away; 404 when there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteRegistrationToken {
    /// The token.
    pub token: String,
}

/// Something that an administrator set out to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When.
    pub ts: Millis,
    /// Who: a user id, or `operator` for the holder of the administration token.
    pub actor: String,
    /// What, such as `lock`.
    pub action: String,
    /// To whom or what.
    pub target: String,
}

/// Puts an entry on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordAudit {
    /// The entry.
    pub entry: AuditEntry,
}

/// The record, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadAudit {
    /// Only entries before this number.
    pub before: Option<u64>,
    /// At most this many.
    pub limit: u32,
}

/// An entry and its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberedEntry {
    /// The number.
    pub id: u64,
    /// The entry.
    #[serde(flatten)]
    pub entry: AuditEntry,
}

/// Tells a hub how its user stands; it then refuses what such a user may not do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetStanding {
    /// `None` leaves it.
    pub locked: Option<bool>,
    /// `None` leaves it.
    pub suspended: Option<bool>,
}

/// Ends everything that a deactivated user had here: sessions for ever, and with `erase` profile and account data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retire {
    /// Forget as much as possible.
    pub erase: bool,
}

/// The answer to [`Retire`]: rooms that the user is still in, invited to or knocking at.
pub type Retired = Vec<OwnedRoomId>;
