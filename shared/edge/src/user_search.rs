//! Finding users, run in the proxy.

use std::collections::BTreeSet;

use ruma::{OwnedRoomId, UserId};
use tern_model::{Config, MatrixError, Name};
use tern_ports::{
    Transport, ask_storage, ask_user,
    wire::{
        directory::{FoundUser, SearchUsers},
        user::{ListMemberships, ListSharedUsers, SessionRef},
    },
};

/// Users in one answer: unless the client says, and at most.
const PAGE: (u64, u64) = (10, 50);

/// Longest search term, in bytes.
const LONGEST_TERM: usize = 255;

/// Users that were found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The users, those whose name begins with the term first.
    pub users: Vec<FoundUser>,
    /// There are more.
    pub limited: bool,
}

/// `POST /user_directory/search`: the users of this server whose id or name contains the term. Unless the operator wants
/// everybody to be found, only those with whom a room is shared, and who is named in full.
///
/// Of those, the user's hub tells at most 500, those first whose id contains the term. So somebody who shares rooms with
/// more people than that may not find one of them by the display name, and finds them by the id. Of large rooms that are
/// not encrypted no hub keeps who is in them: their members are found by their whole id.
///
/// # Errors
/// 503 when they cannot be looked up.
pub async fn search<E: Transport>(
    edge: &E,
    config: &Config,
    (caller, session): (&UserId, SessionRef),
    term: &str,
    limit: Option<u64>,
) -> Result<Found, MatrixError> {
    let term = term.trim().to_lowercase();
    let limit = usize::try_from(limit.unwrap_or(PAGE.0).min(PAGE.1)).unwrap_or(0);
    if term.is_empty() || term.len() > LONGEST_TERM || limit == 0 {
        return Ok(Found::default());
    }
    let more = u32::try_from(limit + 1).unwrap_or(u32::MAX);
    let among = if config.accounts.everybody_is_found {
        None
    } else {
        let named = Name::new(term.as_str()).map_err(|_| MatrixError::invalid_param("The term is too long"))?;
        Some(ask_user(edge, caller, ListSharedUsers { session, term: named }).await?)
    };
    let mut users = ask_storage(edge, SearchUsers { term, except: caller.to_owned(), among, limit: more }).await?;
    let limited = users.len() > limit;
    users.truncate(limit);
    Ok(Found { users, limited })
}

/// `GET /mutual_rooms`: rooms that both are joined to, in order of id.
///
/// # Errors
/// 400 when asking about oneself.
pub async fn mutual_rooms<E: Transport>(
    edge: &E,
    config: &Config,
    caller: &UserId,
    session: SessionRef,
    other: &UserId,
) -> Result<Vec<OwnedRoomId>, MatrixError> {
    if caller == other {
        return Err(MatrixError::invalid_param("You share every room with yourself"));
    }
    let own = joined(ask_user(edge, caller, ListMemberships { session: Some(session) }).await?);
    if other.server_name() != config.server_name {
        return Ok(Vec::new());
    }
    let others = match ask_user(edge, other, ListMemberships { session: None }).await {
        Ok(memberships) => joined(memberships),
        // Nobody there, nothing shared.
        Err(error) if error.status < 500 => BTreeSet::new(),
        Err(error) => return Err(error),
    };
    Ok(own.intersection(&others).cloned().collect())
}

fn joined(memberships: std::collections::BTreeMap<OwnedRoomId, String>) -> BTreeSet<OwnedRoomId> {
    let joined = memberships.into_iter().filter(|(_, membership)| membership == "join");
    joined.map(|(room_id, _)| room_id).collect()
}
