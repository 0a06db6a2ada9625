//! Reading push rules (Client-Server API, "Push rules"). Changes go to the user's hub as they are.

use ruma::UserId;
use tern_model::{MatrixError, RawJson};
use tern_ports::{
    Transport, ask_user,
    wire::user::{ReadAccountData, SessionRef},
};
use tern_push::PushRules;

pub use tern_push::View;

/// The part of a user's rules at a path under `pushrules/`.
///
/// # Errors
/// `M_NOT_FOUND` for an unknown kind or rule.
pub async fn read<E: Transport>(
    edge: &E,
    user_id: &UserId,
    session: SessionRef,
    view: View<'_>,
) -> Result<RawJson, MatrixError> {
    let ask = ReadAccountData { session, room_id: None, kind: "m.push_rules".to_owned() };
    let rules = match ask_user(edge, user_id, ask).await? {
        Some(content) => PushRules::from_content(user_id, &content).map_err(|_| MatrixError::internal())?,
        None => PushRules::server_default(user_id),
    };
    Ok(rules.view(view)?)
}
