//! What somebody does to the account he is signed in to, run in the proxy: a new password, the end of the account, a token
//! to sign in elsewhere. Each takes user-interactive authentication.

use ruma::{DeviceId, OwnedUserId, UserId};
use sha2::{Digest, Sha256};
use tern_auth::{
    login_token,
    oauth::management::Action,
    password,
    secret::base64,
    uia::{Auth, Parameters, Purpose, Stage, approval, is_open, open_session, own_account_flows},
};
use tern_model::{Config, MatrixError, RawJson};
use tern_ports::{
    Clock, Entropy, Transport, ask_one_time_store, ask_user,
    wire::{
        one_time_store::{Proof, StoreEntry, TakeEntries},
        user::{CloseSessions, SessionRef},
    },
};

use crate::{
    admin,
    random::random,
    threepid,
    uia::{UiaOperation, authorise},
};

/// The entry in a login token's one-time store.
const USER: &str = "user";

/// Lets the owner of the account through.
///
/// # Errors
/// The challenge of user-interactive authentication.
pub async fn prove<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    user_id: &UserId,
    (operation, parameters): (&str, Parameters),
    auth: Option<&Auth>,
    ip: Option<&str>,
) -> Result<(), MatrixError> {
    let purpose = Purpose { operation, user_id: Some(user_id), parameters };
    authorise(edge, config, UiaOperation { purpose, flows: &own_account_flows(config), ip }, auth).await?;
    Ok(())
}

/// The challenge for an operation that the account page allows (`m.oauth`): once that was done, the same request passes.
pub fn await_approval<E: Clock + Entropy>(
    edge: &E,
    config: &Config,
    user_id: &UserId,
    device_id: &DeviceId,
    (operation, parameters): (&str, Parameters),
    auth: Option<&Auth>,
) -> MatrixError {
    let purpose = Purpose { operation, user_id: Some(user_id), parameters };
    let given = auth.and_then(|auth| auth.session.as_deref());
    let known = given.filter(|session| is_open(config, &purpose, session, edge.now()));
    let session = known.map_or_else(|| open_session(config, &purpose, edge.now(), random(edge)), str::to_owned);
    approval(&session, &Action::CrossSigningReset.address(config, device_id))
}

/// Replaces the own password, and signs out all other devices unless told not to.
///
/// # Errors
/// A password that cannot be used; 503.
pub async fn change_password<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    user_id: &UserId,
    session: SessionRef,
    secret: &str,
    sign_out_others: bool,
) -> Result<(), MatrixError> {
    admin::set_password(edge, config, user_id, secret).await?;
    if sign_out_others {
        let except = Some(session.device_id.clone());
        ask_user(edge, user_id, CloseSessions { session: Some(session), devices: None, except }).await?;
    }
    Ok(())
}

/// Replaces a password that was forgotten: whoever reads the account's mail may. Signs out every device unless told not to.
///
/// # Errors
/// `M_MISSING_TOKEN` when there is no mail here, and nobody is signed in; the challenge of user-interactive
/// authentication; a password that cannot be used.
pub async fn reset_password<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    auth: Option<&Auth>,
    secret: &str,
    sign_out: bool,
    ip: Option<&str>,
) -> Result<OwnedUserId, MatrixError> {
    if config.accounts.mail.is_none() {
        return Err(MatrixError::missing_token());
    }
    password::check(secret)?;
    let purpose = Purpose { operation: "password", user_id: None, parameters: Parameters::default() };
    let progress = authorise(edge, config, UiaOperation { purpose, flows: &[vec![Stage::Email]], ip }, auth).await?;
    let proof = progress.proof().ok_or_else(MatrixError::internal)?;
    replace_password(edge, config, &proof, secret, sign_out).await
}

/// Replaces the password of the account that has the address.
pub(crate) async fn replace_password<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    proof: &Proof,
    secret: &str,
    sign_out: bool,
) -> Result<OwnedUserId, MatrixError> {
    let owner = threepid::owner(edge, &proof.address).await?;
    let user_id = owner.ok_or_else(|| MatrixError::new(400, "M_THREEPID_NOT_FOUND", "No account has this address"))?;
    admin::set_password(edge, config, &user_id, secret).await?;
    if sign_out {
        ask_user(edge, &user_id, CloseSessions { session: None, devices: None, except: None }).await?;
    }
    Ok(user_id)
}

/// Makes a token with which one new device can sign in as this user, once and soon.
///
/// # Errors
/// 503.
pub async fn make_login_token<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    user_id: &UserId,
) -> Result<String, MatrixError> {
    let (token, until) = login_token::make(config, edge.now(), random(edge));
    let value = RawJson::from_value(&user_id).map_err(|_| MatrixError::internal())?;
    ask_one_time_store(edge, &store_name(&token), StoreEntry { name: USER.to_owned(), value, until }).await?;
    Ok(token)
}

/// The user of a login token, which is worth nothing afterwards. Nobody is asked about one that was not given out.
///
/// # Errors
/// `M_FORBIDDEN` for a token that is unknown, used or over.
pub async fn redeem_login_token<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    token: &str,
) -> Result<OwnedUserId, MatrixError> {
    let refused = || MatrixError::forbidden("Invalid login token");
    if !login_token::is_open(config, token, edge.now()) {
        return Err(refused());
    }
    let entries = ask_one_time_store(edge, &store_name(token), TakeEntries {}).await?;
    entries.get(USER).and_then(|note| note.read().ok()).ok_or_else(refused)
}

/// Named by the token's digest, so that the token itself is written nowhere.
fn store_name(token: &str) -> String {
    format!("login/{}", base64(&Sha256::digest(token)))
}
