//! User names (Appendices, "User Identifiers").

use ruma::{OwnedUserId, ServerName, UserId};
use tern_model::MatrixError;

/// The user id for a name that somebody wants to register. Capitals become small letters, as clients expect; beyond that
/// only the grammar for new names is allowed.
///
/// # Errors
/// `M_INVALID_USERNAME`.
pub fn for_registration(name: &str, server_name: &ServerName) -> Result<OwnedUserId, MatrixError> {
    let name = name.to_ascii_lowercase();
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'=' | b'-' | b'/' | b'+');
    let fine = !name.is_empty() && name.bytes().all(allowed);
    // The whole id must not be longer than 255 bytes, which the parser checks.
    fine.then(|| UserId::parse(format!("@{name}:{server_name}")).ok())
        .flatten()
        .ok_or_else(|| MatrixError::new(400, "M_INVALID_USERNAME", "This user name is not allowed"))
}

/// The local user that somebody wants to sign in as, by localpart or full id, in the grammar for new or old names.
pub fn for_login(name: &str, server_name: &ServerName) -> Option<OwnedUserId> {
    let user_id = if name.starts_with('@') {
        UserId::parse(name).ok()?
    } else {
        UserId::parse(format!("@{name}:{server_name}")).ok().filter(|user_id| user_id.localpart() == name)?
    };
    if user_id.server_name() != server_name || user_id.localpart().is_empty() {
        return None;
    }
    // Registered names are small; people write them as they like.
    UserId::parse(format!("@{}:{server_name}", user_id.localpart().to_ascii_lowercase())).ok()
}
