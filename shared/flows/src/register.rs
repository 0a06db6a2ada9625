//! Signing up (Client-Server API, "Account registration"), run in the proxy.

use ruma::{OwnedDeviceId, OwnedUserId, UserId};
use serde::Deserialize;
use tern_auth::{
    password,
    uia::{Auth, Challenge, Stage, registration_stages},
    username,
};
use tern_model::{Class, Config, MatrixError};
use tern_ports::{
    Clock, Entropy, Transport, ask_storage,
    wire::{
        storage::{CreateUser, LoadUser},
        user::OpenSession,
    },
};

use crate::{
    limit,
    session::{SignedIn, challenge_id, check_device_id, random, sign_in},
};

/// The body of `POST /register`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RegisterBody {
    /// User-interactive authentication.
    pub auth: Option<Auth>,
    /// The localpart; without one the server makes one up.
    pub username: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The device the client wants to be.
    pub device_id: Option<OwnedDeviceId>,
    /// The name of the device.
    pub initial_device_display_name: Option<String>,
    /// Only register, do not sign in.
    #[serde(default)]
    pub inhibit_login: bool,
    /// The client can refresh.
    #[serde(default)]
    pub refresh_token: bool,
}

/// `POST /register`.
///
/// # Errors
/// `M_FORBIDDEN` when registration is closed, the challenge of user-interactive authentication, `M_INVALID_USERNAME`,
/// `M_USER_IN_USE`.
pub async fn register<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    body: RegisterBody,
    ip: Option<String>,
) -> Result<SignedIn, MatrixError> {
    let stages = open_stages(config)?;
    let wanted = body.username.as_deref().filter(|name| !name.is_empty());
    let wanted = wanted.map(|name| username::for_registration(name, &config.server_name)).transpose()?;
    check_device_id(body.device_id.as_ref())?;
    if let Err(challenge) = pass_registration(edge, config, &stages, body.auth.as_ref()) {
        // The specification wants to hear of a taken name before the challenge.
        if let Some(user_id) = &wanted {
            check_free(edge, user_id).await?;
        }
        return Err(challenge);
    }
    limit::by_address(edge, config, Class::Register, ip.as_deref()).await?;
    let secret = body.password.as_deref().ok_or_else(|| MatrixError::missing_param("The password is missing"))?;
    let user_id = wanted.map_or_else(|| made_up_name(edge, config), Ok)?;
    create_user(edge, config, &user_id, secret, false).await?;
    if body.inhibit_login {
        return Ok(SignedIn { user_id, tokens: None });
    }
    let open = OpenSession {
        device_id: body.device_id,
        display_name: body.initial_device_display_name,
        refresh: body.refresh_token,
        ip,
        user_id,
    };
    sign_in(edge, config, open).await
}

/// `GET /register/available`.
///
/// # Errors
/// As [`register`], before any authentication.
pub async fn check_available<E: Transport>(edge: &E, config: &Config, name: &str) -> Result<(), MatrixError> {
    open_stages(config)?;
    check_free(edge, &username::for_registration(name, &config.server_name)?).await
}

/// Makes a user, as an administrator.
///
/// # Errors
/// `M_INVALID_USERNAME`, `M_USER_IN_USE`, a password that cannot be used.
pub async fn add_user<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    name: &str,
    secret: &str,
    admin: bool,
) -> Result<OwnedUserId, MatrixError> {
    let user_id = username::for_registration(name, &config.server_name)?;
    create_user(edge, config, &user_id, secret, admin).await?;
    Ok(user_id)
}

pub(crate) fn open_stages(config: &Config) -> Result<Vec<Stage>, MatrixError> {
    let stages = registration_stages(config);
    if stages.is_empty() { Err(MatrixError::forbidden("Registration is closed")) } else { Ok(stages) }
}

fn pass_registration(
    entropy: &impl Entropy,
    config: &Config,
    stages: &[Stage],
    auth: Option<&Auth>,
) -> Result<(), MatrixError> {
    let id = challenge_id(entropy, auth);
    let challenge = Challenge { stages, session: &id };
    match challenge.attempted(auth)? {
        (Stage::Dummy, _) => Ok(()),
        (Stage::RegistrationToken, auth) => challenge.check_registration_token(config, auth),
        (Stage::Password, _) => Err(challenge.refuse("This stage is not offered")),
    }
}

fn made_up_name(entropy: &impl Entropy, config: &Config) -> Result<OwnedUserId, MatrixError> {
    let letters = random::<12>(entropy).map(|byte| char::from(b'a' + byte % 26));
    username::for_registration(&letters.iter().collect::<String>(), &config.server_name)
}

async fn check_free(edge: &impl Transport, user_id: &UserId) -> Result<(), MatrixError> {
    match ask_storage(edge, LoadUser { user_id: user_id.to_owned() }).await? {
        None => Ok(()),
        Some(_) => Err(MatrixError::new(400, "M_USER_IN_USE", "User ID already taken")),
    }
}

pub(crate) async fn create_user<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    user_id: &UserId,
    secret: &str,
    admin: bool,
) -> Result<(), MatrixError> {
    let password_hash = Some(password::hash(&config.accounts, secret, &random(edge))?);
    let create = CreateUser { user_id: user_id.to_owned(), password_hash, admin, ts: edge.now() };
    ask_storage(edge, create).await?;
    Ok(())
}
