//! Signing in and out (Client-Server API, "Legacy API"). Run in the proxy: users are in the storage worker, sessions in
//! their hubs, and only the proxy makes access tokens.

use ruma::{OwnedDeviceId, OwnedUserId, UserId};
use serde::Serialize;
use tern_auth::{
    login::{LoginBody, NewDevice, Proof},
    refresh,
    token::mint,
    uia::{Auth, Parameters},
};
use tern_model::{Caller, Class, Config, MatrixError};
use tern_ports::{
    Clock, Entropy, Transport, ask_user,
    wire::user::{CloseSessions, OpenSession, RefreshSession, Session, SessionRef},
};

use crate::{
    account,
    credentials::{check_password, named},
    limit::{self, Guess},
    random::random,
};

/// Longest device id, in bytes.
const MAX_DEVICE_ID: usize = 255;

/// The answer to `POST /register` and `POST /login`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignedIn {
    /// The user.
    pub user_id: OwnedUserId,
    /// Device and tokens, unless the client only registered.
    #[serde(flatten)]
    pub tokens: Option<Tokens>,
}

/// A device and its tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tokens {
    /// The device.
    pub device_id: OwnedDeviceId,
    /// The tokens.
    #[serde(flatten)]
    pub refreshed: Refreshed,
}

/// The answer to `POST /refresh`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refreshed {
    /// The access token.
    pub access_token: String,
    /// The refresh token, if the client asked for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// How long the access token lives, if not for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
}

/// `POST /login`.
///
/// # Errors
/// `M_FORBIDDEN` for a wrong name or password alike, and for a token that is worth nothing.
pub async fn login<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    body: LoginBody,
    ip: Option<String>,
) -> Result<SignedIn, MatrixError> {
    let proof = body.proof()?;
    check_device_id(body.device.device_id.as_ref())?;
    limit::by_address(edge, config, Class::Login, ip.as_deref()).await?;
    let user_id = match proof {
        Proof::Password(credentials) => {
            let user_id = named(edge, config, credentials).await?;
            check_password(edge, config, user_id, credentials.password()?, Guess::SignIn(ip.as_deref())).await?
        }
        Proof::Token(token) => account::redeem_login_token(edge, config, token).await?,
    };
    sign_in(edge, config, user_id, body.device, ip).await
}

/// `POST /refresh`.
///
/// # Errors
/// `M_UNKNOWN_TOKEN`.
pub async fn refresh<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    refresh_token: String,
) -> Result<Refreshed, MatrixError> {
    let unknown = || MatrixError::unknown_token(false);
    let user_id = refresh::read(config, &refresh_token).ok_or_else(unknown)?.user_id;
    let session = ask_user(edge, &user_id, RefreshSession { refresh_token }).await?;
    Ok(tokens(edge, config, &user_id, session)?.refreshed)
}

/// `POST /logout`.
///
/// # Errors
/// `M_UNKNOWN_TOKEN` when the session has ended before.
pub async fn logout<E: Transport>(edge: &E, user_id: &UserId, session: SessionRef) -> Result<(), MatrixError> {
    let devices = Some(vec![session.device_id.clone()]);
    close(edge, user_id, session, devices).await
}

/// `POST /logout/all`.
///
/// # Errors
/// `M_UNKNOWN_TOKEN` when the session has ended before.
pub async fn logout_all<E: Transport>(edge: &E, user_id: &UserId, session: SessionRef) -> Result<(), MatrixError> {
    close(edge, user_id, session, None).await
}

/// `POST /delete_devices` and `DELETE /devices/{deviceId}`: the password first, unless an application service asks (v1.17).
///
/// # Errors
/// The challenge of user-interactive authentication.
pub async fn delete_devices<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    user_id: &UserId,
    session: SessionRef,
    devices: Vec<OwnedDeviceId>,
    parameters: Parameters,
    auth: Option<&Auth>,
) -> Result<(), MatrixError> {
    if !session.is_of_service() {
        account::prove(edge, config, user_id, ("delete_devices", parameters), auth, None).await?;
    }
    close(edge, user_id, session, Some(devices)).await
}

pub(crate) fn check_device_id(device_id: Option<&OwnedDeviceId>) -> Result<(), MatrixError> {
    match device_id.map(|id| id.as_str().len()) {
        None | Some(1..=MAX_DEVICE_ID) => Ok(()),
        Some(_) => Err(MatrixError::invalid_param("The device id is empty or too long")),
    }
}

pub(crate) async fn sign_in<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    user_id: OwnedUserId,
    device: NewDevice,
    ip: Option<String>,
) -> Result<SignedIn, MatrixError> {
    let NewDevice { device_id, initial_device_display_name: display_name, refresh_token: refresh } = device;
    let open = OpenSession { device_id, display_name, refresh, ip, user_id: user_id.clone() };
    let session = ask_user(edge, &user_id, open).await?;
    let tokens = Some(tokens(edge, config, &user_id, session)?);
    Ok(SignedIn { user_id, tokens })
}

/// An access token for a session of the hub; short-lived if there is a refresh token.
fn tokens<E: Clock + Entropy>(
    edge: &E,
    config: &Config,
    user_id: &UserId,
    session: Session,
) -> Result<Tokens, MatrixError> {
    let caller = Caller { user_id: user_id.to_owned(), device_id: session.device_id.clone() };
    let refreshes = session.refresh_token.is_some();
    let minted = mint(config, &caller, &session.session_id, refreshes, edge.now(), random(edge))
        .map_err(|_| MatrixError::internal())?;
    let refreshed = Refreshed {
        access_token: minted.access_token,
        refresh_token: session.refresh_token,
        expires_in_ms: minted.expires_in_ms,
    };
    Ok(Tokens { device_id: session.device_id, refreshed })
}

async fn close(
    edge: &impl Transport,
    user_id: &UserId,
    session: SessionRef,
    devices: Option<Vec<OwnedDeviceId>>,
) -> Result<(), MatrixError> {
    ask_user(edge, user_id, CloseSessions { session: Some(session), devices, except: None }).await?;
    Ok(())
}
