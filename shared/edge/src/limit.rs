//! Limits that are counted exactly, whatever the number of isolates: attempts to sign in and to sign up.
//!
//! They fail closed: when the gate cannot be reached the attempt is refused with 503. A guess that nobody counts is a free
//! guess, and while objects cannot be reached nobody could be signed in anyway, since sessions are opened in one.

use ruma::UserId;
use tern_auth::limit;
use tern_model::{Class, Config, MatrixError};
use tern_ports::{Transport, ask_gate, wire::gate::TakeTurn};

/// Counts something done from where the request came from.
///
/// # Errors
/// `M_LIMIT_EXCEEDED`.
pub async fn by_address<E: Transport>(
    edge: &E,
    config: &Config,
    class: Class,
    ip: Option<&str>,
) -> Result<(), MatrixError> {
    take(edge, config, class, &limit::address(ip)).await
}

/// Counts something done to an account, whoever does it.
///
/// # Errors
/// `M_LIMIT_EXCEEDED`.
pub async fn by_account<E: Transport>(
    edge: &E,
    config: &Config,
    class: Class,
    user_id: &UserId,
) -> Result<(), MatrixError> {
    take(edge, config, class, user_id.as_str()).await
}

/// Counts something done to a mailbox, whoever does it.
///
/// # Errors
/// `M_LIMIT_EXCEEDED`.
pub async fn by_mailbox<E: Transport>(
    edge: &E,
    config: &Config,
    class: Class,
    address: &str,
) -> Result<(), MatrixError> {
    take(edge, config, class, address).await
}

async fn take<E: Transport>(edge: &E, config: &Config, class: Class, subject: &str) -> Result<(), MatrixError> {
    if config.unlimited {
        return Ok(());
    }
    let rate = config.limits.of(class);
    let turn = TakeTurn { burst: rate.burst, per_hour: rate.per_hour };
    let turn = ask_gate(edge, &limit::gate(class, subject), turn).await?;
    turn.retry_after_ms.map_or(Ok(()), |wait| Err(MatrixError::limit_exceeded(wait)))
}
