//! Profiles, as read by others and as carried into member events.

use ruma::UserId;
use serde_json::json;
use tern_model::{Config, MatrixError, RawJson};
use tern_ports::{
    Transport, ask_storage, ask_user,
    wire::{
        storage::LoadUser,
        user::{Profile, ReadInvitee, ReadProfile, WriteProfile},
    },
};

/// Longest display name that is given to a new user, in characters.
const LONGEST_NAME: usize = 256;

/// The profile of a local user.
///
/// # Errors
/// `M_NOT_FOUND` for somebody who is not there.
pub async fn read<E: Transport>(edge: &E, config: &Config, user_id: &UserId) -> Result<Profile, MatrixError> {
    let unknown = || MatrixError::not_found("Unknown user");
    if user_id.server_name() != config.server_name {
        return Err(unknown());
    }
    match ask_user(edge, user_id, ReadProfile {}).await {
        Err(error) if error.status == 404 => {}
        answered => return answered,
    }
    // Somebody who was made but never signed in has no hub yet.
    let row = ask_storage(edge, LoadUser { user_id: user_id.to_owned() }).await?;
    row.filter(|row| !row.deactivated).map(|_| Profile::new()).ok_or_else(unknown)
}

/// Gives a new user, who has signed in, a display name.
pub(crate) async fn set_display_name(edge: &impl Transport, user_id: &UserId, name: &str) -> Result<(), MatrixError> {
    let name: String = name.chars().take(LONGEST_NAME).collect();
    let value = RawJson::parse(json!(name).to_string()).map_err(|_| MatrixError::internal())?;
    ask_user(edge, user_id, WriteProfile { session: None, field: "displayname".to_owned(), value: Some(value) })
        .await?;
    Ok(())
}

/// Name and avatar for a member event; empty for somebody who has none or is not there.
pub(crate) async fn in_rooms(edge: &impl Transport, user_id: &UserId) -> Result<tern_room::Profile, MatrixError> {
    carried(ask_user(edge, user_id, ReadProfile {}).await)
}

/// The same for somebody who is about to be invited.
///
/// # Errors
/// `M_INVITE_BLOCKED` when they do not let `inviter` invite them.
pub async fn of_invitee(
    edge: &impl Transport,
    user_id: &UserId,
    inviter: &UserId,
) -> Result<tern_room::Profile, MatrixError> {
    carried(ask_user(edge, user_id, ReadInvitee { inviter: inviter.to_owned() }).await)
}

fn carried(answer: Result<Profile, MatrixError>) -> Result<tern_room::Profile, MatrixError> {
    let profile = match answer {
        Ok(profile) => profile,
        Err(error) if error.status == 404 => Profile::new(),
        Err(error) => return Err(error),
    };
    let text = |field: &str| profile.get(field).and_then(|value: &RawJson| value.read::<String>().ok());
    Ok(tern_room::Profile { displayname: text("displayname"), avatar_url: text("avatar_url") })
}
