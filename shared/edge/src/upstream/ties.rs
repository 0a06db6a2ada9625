//! Which providers an account is tied to, and the end of such a tie.

use ruma::UserId;
use tern_auth::upstream as rules;
use tern_model::{Config, MatrixError, upstream::Provider};
use tern_ports::{
    Transport, ask_storage,
    wire::threepid::{ListThreepids, RemoveSignIn},
};

/// The ids of the providers that an account is tied to.
///
/// # Errors
/// 503.
pub async fn tied<E: Transport>(edge: &E, config: &Config, user_id: &UserId) -> Result<Vec<String>, MatrixError> {
    if config.accounts.upstream.is_empty() {
        return Ok(Vec::new());
    }
    let all = ask_storage(edge, ListThreepids { user_id: user_id.to_owned() }).await?;
    let is_tied = |provider: &&Provider| all.iter().any(|one| one.medium == rules::medium(provider));
    Ok(config.accounts.upstream.iter().filter(is_tied).map(|provider| provider.id.clone()).collect())
}

/// Unties an account from a provider; `false` when there was nothing to untie, or nothing else would let its owner in.
///
/// # Errors
/// `M_NOT_FOUND` for a provider that is not there, 503.
pub async fn unlink<E: Transport>(
    edge: &E,
    config: &Config,
    user_id: &UserId,
    provider: &str,
) -> Result<bool, MatrixError> {
    let provider = rules::find(config, provider).ok_or_else(|| MatrixError::not_found("No such provider"))?;
    let providers = config.accounts.upstream.iter().map(rules::medium).collect();
    let ask = RemoveSignIn { user_id: user_id.to_owned(), medium: rules::medium(provider), providers };
    ask_storage(edge, ask).await
}
