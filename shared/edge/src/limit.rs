//! Limits that are counted exactly, whatever the number of isolates: attempts to sign in and to sign up.
//!
//! They fail closed: when the one-time store cannot be reached the attempt is refused with 503. A guess that nobody
//! counts is a free guess, and while objects cannot be reached nobody could be signed in anyway, since sessions are
//! opened in one.

use ruma::UserId;
use tern_auth::limit;
use tern_model::{Class, Config, MatrixError};
use tern_ports::{
    Transport, ask_one_time_store,
    wire::{
        one_time_store::{AcquirePermit, ReturnPermit},
        room::Draft,
    },
};

/// What somebody does who sends this event, now or later, whatever endpoint it comes by. Who is in a room already changes
/// their profile there by joining again; whether they are only the room knows.
pub fn class_of(draft: &Draft) -> Class {
    if draft.kind == "m.room.redaction" {
        return Class::Redact;
    }
    let Some(target) = draft.state_key.as_deref().filter(|_| draft.kind == "m.room.member") else {
        return Class::Message;
    };
    let own = target == draft.sender.as_str();
    match draft.membership().as_deref() {
        Some("join") => Class::Profile,
        Some("knock") => Class::Join,
        Some("leave") if own => Class::Message,
        Some("invite" | "ban" | "leave") => Class::Invite,
        _ => Class::Message,
    }
}

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
    take(edge, config, class, &limit::store_name(class, &limit::address(ip)), None).await
}

/// A password that is about to be looked at.
#[derive(Clone, Copy, Debug)]
pub enum Guess<'a> {
    /// By whoever wants to sign in, from this address.
    SignIn(Option<&'a str>),
    /// By somebody who is signed in: strangers cannot use up these.
    Proof,
}

impl Guess<'_> {
    fn store_name(self, user_id: &UserId) -> String {
        match self {
            Self::SignIn(_) => limit::store_name(Class::Password, user_id.as_str()),
            Self::Proof => limit::store_name(Class::Password, &format!("proof/{user_id}")),
        }
    }

    fn from(self) -> Option<String> {
        match self {
            Self::SignIn(ip) => Some(limit::address(ip)).filter(|_| ip.is_some()),
            Self::Proof => None,
        }
    }
}

/// Counts a guess at the password of an account, before it is heard.
///
/// # Errors
/// `M_LIMIT_EXCEEDED`.
pub async fn guess<E: Transport>(
    edge: &E,
    config: &Config,
    guess: Guess<'_>,
    user_id: &UserId,
) -> Result<(), MatrixError> {
    take(edge, config, Class::Password, &guess.store_name(user_id), guess.from()).await
}

/// The guess was right: it does not count, and where it came from is known for a while. Of no consequence when the
/// one-time store cannot be reached.
pub async fn right<E: Transport>(edge: &E, config: &Config, guess: Guess<'_>, user_id: &UserId) {
    if !config.unlimited {
        let ask = ReturnPermit { per_hour: config.limits.of(Class::Password).per_hour, from: guess.from() };
        let _ = ask_one_time_store(edge, &guess.store_name(user_id), ask).await;
    }
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
    take(edge, config, class, &limit::store_name(class, address), None).await
}

async fn take<E: Transport>(
    edge: &E,
    config: &Config,
    class: Class,
    gate: &str,
    from: Option<String>,
) -> Result<(), MatrixError> {
    if config.unlimited {
        return Ok(());
    }
    let rate = config.limits.of(class);
    let permit = AcquirePermit { burst: rate.burst, per_hour: rate.per_hour, from };
    let permit = ask_one_time_store(edge, gate, permit).await?;
    permit.retry_after_ms.map_or(Ok(()), |wait| Err(MatrixError::limit_exceeded(wait)))
}
