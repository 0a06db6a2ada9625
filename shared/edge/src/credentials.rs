//! Whom credentials name, and whether the password is right.

use ruma::{OwnedUserId, UserId};
use tern_auth::{
    login::{self, Credentials},
    mail,
    oauth::ticket::hash,
    password,
    secret::base64,
    username,
};
use tern_model::{Config, MatrixError};
use tern_ports::{Transport, ask_storage, wire::storage::LoadUser};

use crate::{
    limit::{self, Guess},
    threepid,
};

/// The local user whom credentials name. An address that belongs to nobody names somebody who is not there, so that it is
/// refused as slowly, and counted, as one that does.
pub(crate) async fn named<E: Transport>(
    edge: &E,
    config: &Config,
    credentials: &Credentials,
) -> Result<Option<OwnedUserId>, MatrixError> {
    match credentials.mail() {
        Some(address) => by_mail(edge, config, address).await,
        None => Ok(username::for_login(credentials.user()?, &config.server_name)),
    }
}

/// The same for a mail address.
pub(crate) async fn by_mail<E: Transport>(
    edge: &E,
    config: &Config,
    address: &str,
) -> Result<Option<OwnedUserId>, MatrixError> {
    let Ok(address) = mail::address(address) else { return Ok(None) };
    let nobody = || {
        let name = base64(&hash(&address)).to_ascii_lowercase();
        UserId::parse(format!("@mail/{name}:{}", config.server_name)).ok()
    };
    Ok(threepid::owner(edge, &address).await?.or_else(nobody))
}

/// The user, if the password is right. Takes as long when there is no such user, and counts as a guess before anything is
/// looked at: of many guesses at once, no more are heard than one after the other. What was right does not count.
pub(crate) async fn check_password(
    edge: &impl Transport,
    config: &Config,
    user_id: Option<OwnedUserId>,
    secret: &str,
    guess: Guess<'_>,
) -> Result<OwnedUserId, MatrixError> {
    let row = match &user_id {
        Some(user_id) => {
            limit::guess(edge, config, guess, user_id).await?;
            ask_storage(edge, LoadUser { user_id: user_id.clone() }).await?
        }
        None => None,
    };
    let hash = row.as_ref().and_then(|row| row.password_hash.as_deref());
    let same = password::matches(&config.accounts, secret, hash);
    let user_id = user_id.filter(|_| same).ok_or_else(login::refused)?;
    limit::right(edge, config, guess, &user_id).await;
    Ok(user_id)
}
