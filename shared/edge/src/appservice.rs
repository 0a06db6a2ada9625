//! What application services ask of this server (Application Service API, "Client-Server API extensions"), run in the proxy.

use ruma::{OwnedUserId, UserId};
use serde::Serialize;
use serde_json::json;
use tern_auth::{
    appservice::{check_user, outside, owns_user, sender},
    login::LoginBody,
    username,
};
use tern_model::{Caller, Config, MatrixError, appservice::Appservice};
use tern_ports::{
    Clock, Entropy, Outbound, Transport, ask_storage, ask_user,
    outbound::{Bounds, HttpError, HttpRequest, fetch},
    wire::{
        storage::{LoadUser, UserRow},
        user::{ListDevices, SessionRef},
    },
};
use url::Url;

use crate::{
    register::{Made, RegisterBody, create_user},
    session::{SignedIn, check_device_id, sign_in},
};

/// A service answers soon, and shortly.
const BOUNDS: Bounds = Bounds { timeout_ms: 10_000, max_bytes: 16 << 10, cut: true, redirects: 0, plain: true };

/// The user that a service acts as.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The user, and the device if it named one.
    pub caller: Caller,
    /// The user is suspended.
    pub suspended: bool,
}

/// Establishes whom a service acts as: the user it names, or its own.
///
/// # Errors
/// `M_FORBIDDEN` for a user outside of its namespaces or one that is not there, `M_USER_LOCKED`, `M_UNKNOWN_DEVICE`.
pub async fn actor<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    service: &Appservice,
    user_id: Option<&str>,
    device_id: Option<&str>,
) -> Result<Actor, MatrixError> {
    let own = sender(config, service).ok_or_else(MatrixError::internal)?;
    let user_id = match user_id {
        Some(text) => UserId::parse(text).map_err(|_| MatrixError::invalid_param("user_id is not a user id"))?,
        None => own.clone(),
    };
    if !owns_user(config, service, &user_id) {
        return Err(MatrixError::forbidden("The application service cannot act as this user"));
    }
    let row = match ask_storage(edge, LoadUser { user_id: user_id.clone() }).await? {
        None if user_id == own => made(edge, config, &own).await?,
        row => row,
    };
    let row = row.filter(|row| !row.deactivated);
    let row = row.ok_or_else(|| MatrixError::forbidden("The application service has not registered this user"))?;
    if row.locked {
        let locked = MatrixError::new(401, "M_USER_LOCKED", "This account has been locked");
        return Err(MatrixError { soft_logout: Some(true), ..locked });
    }
    let device_id = device_id.unwrap_or_default();
    if !device_id.is_empty() {
        let ask = ListDevices { session: SessionRef::of_service(device_id.into()) };
        if !ask_user(edge, &user_id, ask).await?.iter().any(|device| device.device_id.as_str() == device_id) {
            return Err(MatrixError::new(400, "M_UNKNOWN_DEVICE", "The user has no such device"));
        }
    }
    Ok(Actor { caller: Caller { user_id, device_id: device_id.into() }, suspended: row.suspended })
}

/// A service's own user is there from its first request on.
async fn made<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    own: &UserId,
) -> Result<Option<UserRow>, MatrixError> {
    match create_user(edge, config, own, None, Made::default()).await {
        Ok(()) => {}
        Err(error) if error.errcode == "M_USER_IN_USE" => {}
        Err(error) => return Err(error),
    }
    ask_storage(edge, LoadUser { user_id: own.to_owned() }).await
}

/// `POST /register` of a service: a user of its namespaces, without a password.
///
/// # Errors
/// `M_EXCLUSIVE` for a user outside of them, `M_USER_IN_USE`.
pub async fn register<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    service: &Appservice,
    body: RegisterBody,
    ip: Option<String>,
) -> Result<SignedIn, MatrixError> {
    check_device_id(body.device.device_id.as_ref())?;
    let name = body.username.as_deref().ok_or_else(|| MatrixError::missing_param("username is missing"))?;
    let user_id = username::for_registration(name, &config.server_name)?;
    if !owns_user(config, service, &user_id) {
        return Err(outside("This name is not of the application service"));
    }
    check_user(config, Some(service), &user_id)?;
    create_user(edge, config, &user_id, None, Made::default()).await?;
    if body.inhibit_login {
        return Ok(SignedIn { user_id, tokens: None });
    }
    sign_in(edge, config, user_id, body.device, ip).await
}

/// `POST /login` of a service, as one of its users.
///
/// # Errors
/// `M_EXCLUSIVE` for a user outside of its namespaces, `M_FORBIDDEN` for one that is not there.
pub async fn login<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    service: &Appservice,
    body: LoginBody,
    ip: Option<String>,
) -> Result<SignedIn, MatrixError> {
    check_device_id(body.device.device_id.as_ref())?;
    let named: Option<OwnedUserId> = username::for_login(body.credentials.user()?, &config.server_name);
    let user_id = named.filter(|user_id| owns_user(config, service, user_id));
    let user_id = user_id.ok_or_else(|| outside("This user is not of the application service"))?;
    let user_id = actor(edge, config, service, Some(user_id.as_str()), None).await?.caller.user_id;
    sign_in(edge, config, user_id, body.device, ip).await
}

/// The answer to a ping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pong {
    /// How long the service took.
    pub duration_ms: u64,
}

/// `POST /appservice/{appserviceId}/ping`: asks the service whether it is there.
///
/// # Errors
/// `M_URL_NOT_SET`, `M_BAD_STATUS`, `M_CONNECTION_TIMEOUT`, `M_CONNECTION_FAILED`.
pub async fn ping<E: Outbound + Clock>(
    edge: &E,
    service: &Appservice,
    transaction_id: Option<&str>,
) -> Result<Pong, MatrixError> {
    let url = service.url.as_deref().filter(|url| !url.is_empty());
    let url = url.ok_or_else(|| MatrixError::new(400, "M_URL_NOT_SET", "The application service has no URL"))?;
    let url = Url::parse(&format!("{}/_matrix/app/v1/ping", url.trim_end_matches('/')));
    let url = url.map_err(|_| MatrixError::new(400, "M_URL_NOT_SET", "The application service has no URL"))?;
    let body = transaction_id.map_or_else(|| json!({}), |id| json!({ "transaction_id": id }));
    let request = HttpRequest::post(url, "application/json", body.to_string().into_bytes());
    let request = request.with_header("authorization", format!("Bearer {}", service.hs_token));
    let begun = edge.now();
    match fetch(edge, request, BOUNDS).await {
        Ok(answer) if answer.status == 200 => Ok(Pong { duration_ms: edge.now().since(begun) }),
        Ok(answer) => {
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            let fields = [("status".to_owned(), answer.status.into()), ("body".to_owned(), body.into())];
            let error = MatrixError::new(502, "M_BAD_STATUS", "The application service refused the ping");
            Err(MatrixError { body: Some(fields.into_iter().collect()), ..error })
        }
        Err(HttpError::Late) => {
            Err(MatrixError::new(504, "M_CONNECTION_TIMEOUT", "The application service did not answer in time"))
        }
        Err(_) => Err(MatrixError::new(502, "M_CONNECTION_FAILED", "The application service cannot be reached")),
    }
}
