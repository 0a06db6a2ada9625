//! Signing up (Client-Server API, "Account registration"), run in the proxy.

use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use tern_auth::{
    appservice,
    login::NewDevice,
    password,
    uia::{Auth, Flow, Parameters, Purpose, registration_flows},
    username,
};
use tern_model::{Class, Config, MatrixError};
use tern_ports::{
    Clock, Entropy, Transport, ask_storage,
    wire::{
        storage::{CreateUser, LoadUser},
        threepid::Threepid,
    },
};

use crate::{
    limit,
    random::random,
    session::{SignedIn, check_device_id, sign_in},
    threepid,
    uia::{self, UiaOperation},
};

/// The body of `POST /register`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RegisterBody {
    /// `type`, of application services only.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// User-interactive authentication.
    pub auth: Option<Auth>,
    /// The localpart; without one the server makes one up.
    pub username: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The device that is signed in.
    #[serde(flatten)]
    pub device: NewDevice,
    /// Only register, do not sign in.
    #[serde(default)]
    pub inhibit_login: bool,
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
    let flows = open_flows(config)?;
    let wanted = body.username.as_deref();
    let wanted = wanted.map(|name| username::for_registration(name, &config.server_name)).transpose()?;
    if let Some(user_id) = &wanted {
        appservice::check_user(config, None, user_id)?;
    }
    check_device_id(body.device.device_id.as_ref())?;
    // The specification wants to hear of a taken name before the challenge.
    if let Some(user_id) = &wanted {
        check_free(edge, user_id).await?;
    }
    let purpose = Purpose { operation: "register", user_id: None, parameters: Parameters::default() };
    let operation = UiaOperation { purpose, flows: &flows, ip: ip.as_deref() };
    let progress = uia::authorise(edge, config, operation, body.auth.as_ref()).await?;
    limit::by_address(edge, config, Class::Register, ip.as_deref()).await?;
    let secret = body.password.as_deref().ok_or_else(|| MatrixError::missing_param("The password is missing"))?;
    let user_id = wanted.map_or_else(|| made_up_name(edge, config), Ok)?;
    appservice::check_user(config, None, &user_id)?;
    let token = progress.registration_token().filter(|token| !uia::is_operators(config, token));
    let identifiers = progress.proof().map(|proof| threepid::of(proof, edge)).into_iter().collect();
    create_user(edge, config, &user_id, Some(secret), Made { admin: false, registration_token: token, identifiers })
        .await?;
    if body.inhibit_login {
        return Ok(SignedIn { user_id, tokens: None });
    }
    sign_in(edge, config, user_id, body.device, ip).await
}

/// `GET /register/available`.
///
/// # Errors
/// As [`register`], before any authentication.
pub async fn check_available<E: Transport>(edge: &E, config: &Config, name: &str) -> Result<(), MatrixError> {
    open_flows(config)?;
    let user_id = username::for_registration(name, &config.server_name)?;
    appservice::check_user(config, None, &user_id)?;
    check_free(edge, &user_id).await
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
    create_user(edge, config, &user_id, Some(secret), Made { admin, ..Made::default() }).await?;
    Ok(user_id)
}

pub(crate) fn open_flows(config: &Config) -> Result<Vec<Flow>, MatrixError> {
    let flows = registration_flows(config);
    if flows.is_empty() { Err(MatrixError::forbidden("Registration is closed")) } else { Ok(flows) }
}

/// Refuses a new account to whoever has not agreed to the terms, where there are some.
pub(crate) fn check_terms(config: &Config, agreed: bool) -> Result<(), MatrixError> {
    let missing = || MatrixError::new(403, "M_TERMS_NOT_SIGNED", "The terms were not agreed to");
    if agreed || config.accounts.terms.is_empty() { Ok(()) } else { Err(missing()) }
}

fn made_up_name(entropy: &impl Entropy, config: &Config) -> Result<OwnedUserId, MatrixError> {
    let letters = random::<12>(entropy).map(|byte| char::from(b'a' + byte % 26));
    username::for_registration(&letters.iter().collect::<String>(), &config.server_name)
}

pub(crate) async fn check_free(edge: &impl Transport, user_id: &UserId) -> Result<(), MatrixError> {
    match ask_storage(edge, LoadUser { user_id: user_id.to_owned() }).await? {
        None => Ok(()),
        Some(_) => Err(MatrixError::new(400, "M_USER_IN_USE", "User ID already taken")),
    }
}

/// How a user comes to be.
#[derive(Default)]
pub(crate) struct Made {
    pub(crate) admin: bool,
    pub(crate) registration_token: Option<String>,
    pub(crate) identifiers: Vec<Threepid>,
}

pub(crate) async fn create_user<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    user_id: &UserId,
    secret: Option<&str>,
    made: Made,
) -> Result<(), MatrixError> {
    let hash = |secret| password::hash(&config.accounts, secret, &random(edge));
    let password_hash = secret.map(hash).transpose()?;
    let Made { admin, registration_token, identifiers } = made;
    let (user_id, ts) = (user_id.to_owned(), edge.now());
    let create = CreateUser { user_id, password_hash, admin, ts, registration_token, identifiers };
    ask_storage(edge, create).await?;
    Ok(())
}
