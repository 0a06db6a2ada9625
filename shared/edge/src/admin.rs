//! What administrators do to accounts, run in the proxy. Whatever is set out to be done is put on record first, so that
//! what failed half-way is on record, too.

use futures::{StreamExt, stream};
use ruma::{OwnedUserId, RoomId, UserId};
use tern_auth::password;
use tern_model::{Config, MatrixError};
use tern_ports::{
    Clock, Entropy, Transport, ask_storage, ask_user,
    wire::{
        accounts::{AuditEntry, ChangeUser, RecordAudit, Retire, SetStanding},
        backup::DropBackups,
        room::MembershipAction,
        storage::{DeactivateUser, LoadUser, SetPassword, UserRow},
        user::CloseSessions,
    },
};

use crate::{
    join::{self, MembershipChange},
    random::random,
};

/// Rooms that are left at a time.
const ROOMS_AT_ONCE: usize = 5;

/// Who acts.
#[derive(Clone, Debug)]
pub enum Actor {
    /// Whoever holds the administration token.
    Operator,
    /// A user who may administrate the server.
    Admin(OwnedUserId),
}

impl Actor {
    /// The user, once it is established that he may.
    ///
    /// # Errors
    /// `M_FORBIDDEN` for anybody else.
    pub async fn admin<E: Transport>(edge: &E, user_id: &UserId) -> Result<Self, MatrixError> {
        if is_admin(edge, user_id).await? {
            return Ok(Self::Admin(user_id.to_owned()));
        }
        Err(MatrixError::forbidden("You are not a server administrator"))
    }

    fn name(&self) -> &str {
        match self {
            Self::Operator => "operator",
            Self::Admin(user_id) => user_id.as_str(),
        }
    }
}

/// Whether this user may administrate the server.
///
/// # Errors
/// 503.
pub async fn is_admin<E: Transport>(edge: &E, user_id: &UserId) -> Result<bool, MatrixError> {
    let row = ask_storage(edge, LoadUser { user_id: user_id.to_owned() }).await?;
    Ok(row.is_some_and(|row| row.admin && !row.deactivated))
}

/// A local user who is there.
///
/// # Errors
/// `M_INVALID_PARAM` for one of another server, `M_NOT_FOUND`.
pub async fn load<E: Transport>(edge: &E, config: &Config, user_id: &UserId) -> Result<UserRow, MatrixError> {
    if user_id.server_name() != config.server_name {
        return Err(MatrixError::invalid_param("Not a user of this server"));
    }
    let row = ask_storage(edge, LoadUser { user_id: user_id.to_owned() }).await?;
    row.filter(|row| !row.deactivated).ok_or_else(|| MatrixError::not_found("No such user"))
}

/// Puts on record what is about to be done.
///
/// # Errors
/// 503, and then it must not be done.
pub async fn record<E: Transport + Clock>(
    edge: &E,
    actor: &Actor,
    action: &str,
    target: &str,
) -> Result<(), MatrixError> {
    let (actor, action, target) = (actor.name().to_owned(), action.to_owned(), target.to_owned());
    ask_storage(edge, RecordAudit { entry: AuditEntry { ts: edge.now(), actor, action, target } }).await?;
    Ok(())
}

/// Locks or suspends a user, or lets go. The hub hears first: from its answer on the account is held.
///
/// # Errors
/// As [`load`]; `M_FORBIDDEN` when an administrator would act on one, himself included.
pub async fn set_standing<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    actor: &Actor,
    user_id: &UserId,
    standing: SetStanding,
) -> Result<(), MatrixError> {
    let row = load(edge, config, user_id).await?;
    if matches!(actor, Actor::Admin(_)) && row.admin {
        return Err(MatrixError::forbidden("You cannot act on an administrator"));
    }
    let named = [(standing.locked, "lock", "unlock"), (standing.suspended, "suspend", "unsuspend")];
    for (wanted, on, off) in named {
        if let Some(wanted) = wanted {
            record(edge, actor, if wanted { on } else { off }, user_id.as_str()).await?;
        }
    }
    ask_user(edge, user_id, standing).await?;
    let SetStanding { locked, suspended } = standing;
    ask_storage(edge, ChangeUser { user_id: user_id.to_owned(), admin: None, locked, suspended }).await?;
    Ok(())
}

/// Gives a user a new password, and signs out every device unless told not to.
///
/// # Errors
/// As [`load`]; a password that cannot be used.
pub async fn reset_password<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    user_id: &UserId,
    secret: &str,
    sign_out: bool,
) -> Result<(), MatrixError> {
    load(edge, config, user_id).await?;
    record(edge, &Actor::Operator, "reset_password", user_id.as_str()).await?;
    set_password(edge, config, user_id, secret).await?;
    if sign_out {
        ask_user(edge, user_id, CloseSessions { session: None, devices: None, except: None }).await?;
    }
    Ok(())
}

pub(crate) async fn set_password<E: Transport + Entropy>(
    edge: &E,
    config: &Config,
    user_id: &UserId,
    secret: &str,
) -> Result<(), MatrixError> {
    let password_hash = password::hash(&config.accounts, secret, &random(edge))?;
    ask_storage(edge, SetPassword { user_id: user_id.to_owned(), password_hash }).await?;
    Ok(())
}

/// Deactivates a user for ever: the name stays taken, sessions end with all keys, rooms are left, backups of keys are
/// deleted. May be repeated, and then does what was left undone.
///
/// # Errors
/// `M_NOT_FOUND`, 503.
pub async fn deactivate<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    user_id: &UserId,
    erase: bool,
) -> Result<(), MatrixError> {
    ask_storage(edge, DeactivateUser { user_id: user_id.to_owned() }).await?;
    let rooms = ask_user(edge, user_id, Retire { erase }).await?;
    let leaving = rooms.iter().map(|room_id| leave(edge, config, room_id, user_id));
    let left: Vec<_> = stream::iter(leaving).buffer_unordered(ROOMS_AT_ONCE).collect().await;
    ask_storage(edge, DropBackups { user_id: user_id.to_owned() }).await?;
    // A room that refuses has no such member; one that is out of reach is left at the next attempt.
    left.into_iter().find(|left| left.as_ref().is_err_and(|error| error.status >= 500)).unwrap_or(Ok(()))
}

async fn leave<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    room_id: &RoomId,
    user_id: &UserId,
) -> Result<(), MatrixError> {
    let membership_change =
        MembershipChange { caller: user_id, action: MembershipAction::Leave, target: user_id, reason: None };
    join::change(edge, config, room_id, membership_change).await
}
