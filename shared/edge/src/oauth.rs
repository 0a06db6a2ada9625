//! The provider's cold paths: registering clients, exchanging what they were granted. Run in the proxy: clients are in the
//! storage worker, grants in their users' hubs, device authorizations in objects of their own, and only the proxy makes
//! access tokens.

use ruma::{OwnedUserId, UserId};
use serde::Serialize;
use serde_json::{Map, Value};
use tern_auth::{
    oauth::{
        OAuthError,
        client::{Client, DEVICE_CODE},
        id_token::Subject,
        request::only,
        scope::Scope,
        ticket::{Ticket, hash},
    },
    refresh,
    secret::base64,
    token::{LIFETIME, Minted, mint_granted, verify, verify_ended},
};
use tern_model::{Caller, Config, MatrixError};
use tern_ports::{
    Clock, Crypto, Entropy, Transport, ask_device_sign_in, ask_storage, ask_user,
    wire::{
        device_sign_in::{
            DEVICE_INTERVAL_MS, DecideDeviceGrant, DeviceRequest, OpenDeviceGrant, PollDeviceGrant, ReadDeviceGrant,
        },
        grant::{
            Grant, Granted, InspectGrant, Inspected, Inspection, IssueGrant, RedeemGrant, RefreshGrant, RevokeGrant,
        },
        storage::{LoadClient, SaveClient, UseClient},
        user::{CloseSessions, SessionRef},
    },
};

use crate::{
    random::random,
    signing::{Keyrings, id_token},
};

/// How long a device authorization lasts, in milliseconds.
pub const DEVICE_GRANT_FOR: u64 = 15 * 60 * 1000;
/// Letters of user codes: no vowels, so that they spell nothing, and none that look alike (RFC 8628, 6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Letters of a user code.
const USER_CODE: usize = 8;

/// The answer of the token endpoint (RFC 6749, 5.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenAnswer {
    /// The access token.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: &'static str,
    /// Seconds.
    pub expires_in: u64,
    /// The refresh token; none for a client that only learns who the user is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// Who signed in, for a client that asked with the scope `openid`; none after a refresh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
    /// The scope that was granted.
    pub scope: String,
}

/// The answer of the device authorization endpoint (RFC 8628, 3.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceAnswer {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: String,
    expires_in: u64,
    interval: u64,
}

/// What a revoked token belonged to: the tokens of this device are refused from now on. A client that only learns who the
/// user is has none, and its one token is over.
pub type Revoked = Option<(OwnedUserId, ruma::OwnedDeviceId)>;

/// Registers a client (RFC 7591); answers with what was registered. One storage call.
///
/// # Errors
/// What is wrong with the metadata.
pub async fn register<E: Transport + Clock>(edge: &E, metadata: &Map<String, Value>) -> Result<Value, MatrixError> {
    let client = Client::register(metadata)?;
    let client_id = client.id();
    let mut answer = serde_json::to_value(&client).map_err(|_| MatrixError::internal())?;
    let save =
        SaveClient { client_id: client_id.clone(), metadata: answer.to_string(), secret_hash: None, ts: edge.now() };
    ask_storage(edge, save).await?;
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("client_id".to_owned(), client_id.into());
        answer.insert("client_id_issued_at".to_owned(), (edge.now().0 / 1000).into());
    }
    Ok(answer)
}

/// A registered client. One storage call.
///
/// # Errors
/// `invalid_client`.
pub async fn client<E: Transport>(edge: &E, client_id: &str) -> Result<Client, MatrixError> {
    if client_id.is_empty() || client_id.len() > 64 {
        return Err(OAuthError::InvalidClient.into());
    }
    let row = ask_storage(edge, LoadClient { client_id: client_id.to_owned() }).await?;
    let client = row.and_then(|row| serde_json::from_str(&row.metadata).ok());
    client.ok_or_else(|| OAuthError::InvalidClient.into())
}

/// The user says yes: an authorization code. One hop and one storage call.
///
/// # Errors
/// When the browser is not signed in any more.
pub async fn grant<E: Transport>(
    edge: &E,
    user_id: &UserId,
    cookie: &str,
    grant: Grant,
) -> Result<String, MatrixError> {
    ask_storage(edge, UseClient { client_id: grant.client_id.clone() }).await?;
    ask_user(edge, user_id, IssueGrant { cookie: cookie.to_owned(), grant }).await
}

/// `POST /oauth2/token`. One hop, two for a device; one or two storage calls for an id token.
///
/// # Errors
/// As RFC 6749, 5.2 and RFC 8628, 3.5 say.
pub async fn token<E: Transport + Clock + Crypto>(
    edge: &E,
    config: &Config,
    keyrings: &Keyrings,
    params: &[(String, String)],
    ip: Option<String>,
) -> Result<TokenAnswer, MatrixError> {
    let need = |name: &'static str| only(params, name)?.ok_or(OAuthError::InvalidRequest("A parameter is missing"));
    let client_id = need("client_id")?.to_owned();
    let (user_id, granted) = match need("grant_type")? {
        "authorization_code" => {
            let (redirect_uri, verifier) =
                (Some(need("redirect_uri")?.to_owned()), Some(need("code_verifier")?.to_owned()));
            let code = need("code")?.to_owned();
            redeem(edge, config, RedeemGrant { code, client_id, redirect_uri, verifier, ip }).await?
        }
        "refresh_token" => {
            let refresh_token = need("refresh_token")?.to_owned();
            let user_id = refresh::read(config, &refresh_token).ok_or(OAuthError::InvalidGrant)?.user_id;
            let granted = ask_user(edge, &user_id, RefreshGrant { refresh_token, client_id }).await?;
            (user_id, granted)
        }
        DEVICE_CODE => {
            let device_code = need("device_code")?.to_owned();
            let name = device_name(user_code_of(&device_code).ok_or(OAuthError::InvalidGrant)?);
            let poll = PollDeviceGrant { device_code, client_id: client_id.clone() };
            let code = ask_device_sign_in(edge, &name, poll).await?;
            redeem(edge, config, RedeemGrant { code, client_id, redirect_uri: None, verifier: None, ip }).await?
        }
        _ => return Err(OAuthError::UnsupportedGrantType.into()),
    };
    let nonce = granted.nonce.clone();
    let (client_id, auth_time) = (granted.client_id.clone(), granted.auth_time);
    let mut answer = answer(edge, config, &user_id, granted)?;
    // A refresh does not know when the user gave the password, and gets none (OpenID Connect Core, 12.2).
    if auth_time.is_some() && Scope::parse(&answer.scope)?.openid {
        let algorithm = client(edge, &client_id).await?.signed();
        let (nonce, access_token) = (nonce.as_deref(), answer.access_token.as_str());
        let subject = Subject { user_id: user_id.as_str(), client_id: &client_id, auth_time, nonce, access_token };
        answer.id_token = Some(id_token(edge, config, keyrings, algorithm, subject).await?);
    }
    Ok(answer)
}

async fn redeem<E: Transport>(
    edge: &E,
    config: &Config,
    command: RedeemGrant,
) -> Result<(OwnedUserId, Granted), MatrixError> {
    let user_id = Ticket::Code.user_of(&command.code, &config.server_name).ok_or(OAuthError::InvalidGrant)?;
    let granted = ask_user(edge, &user_id, command).await?;
    Ok((user_id, granted))
}

fn answer(clock: &impl Clock, config: &Config, user_id: &UserId, granted: Granted) -> Result<TokenAnswer, MatrixError> {
    let Granted { session, scope, issued, .. } = granted;
    let rights = Scope::parse(&scope)?.rights();
    // Follows from what the client gets anyway, so that a repeated refresh gets the same access token too.
    let seed = hash(session.refresh_token.as_deref().unwrap_or(&session.session_id));
    let nonce = [0, 1, 2, 3, 4, 5].map(|at: usize| seed.get(at).copied().unwrap_or_default());
    let caller = Caller { user_id: user_id.to_owned(), device_id: session.device_id };
    let Minted { access_token, .. } = mint_granted(config, &caller, &session.session_id, rights, issued, nonce)
        .map_err(|_| MatrixError::internal())?;
    // A repeated refresh gets what was given out a moment ago.
    let expires_in = LIFETIME.saturating_sub(clock.now().since(issued)) / 1000;
    let refresh_token = session.refresh_token;
    Ok(TokenAnswer { access_token, token_type: "Bearer", expires_in, refresh_token, id_token: None, scope })
}

/// `POST /oauth2/device`. One storage call and one hop.
///
/// # Errors
/// As RFC 6749, 5.2 says.
pub async fn device<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    params: &[(String, String)],
) -> Result<DeviceAnswer, MatrixError> {
    let client_id = only(params, "client_id")?.ok_or(OAuthError::InvalidRequest("client_id is missing"))?;
    if !client(edge, client_id).await?.may(DEVICE_CODE) {
        return Err(OAuthError::UnauthorizedClient("The client did not register for this grant").into());
    }
    let scope = Scope::parse(only(params, "scope")?.unwrap_or_default())?;
    let request = DeviceRequest { client_id: client_id.to_owned(), scope: scope.text, device_id: scope.device_id };
    let expires = edge.now().plus(DEVICE_GRANT_FOR);
    // A code that is in use is hardly ever met, and never twice.
    for _ in 0..3 {
        let letters = random::<USER_CODE>(edge)
            .map(|byte| LETTERS.get(usize::from(byte) % 20).map_or('B', |&letter| char::from(letter)));
        let user_code: String = letters.iter().collect();
        let device_code = format!("tern_d_{user_code}.{}", base64(&random::<32>(edge)));
        let open = OpenDeviceGrant { device_code: device_code.clone(), request: request.clone(), expires };
        if ask_device_sign_in(edge, &device_name(&user_code), open).await? {
            return Ok(device_answer(config, device_code, &user_code));
        }
    }
    Err(MatrixError::unavailable())
}

fn device_answer(config: &Config, device_code: String, user_code: &str) -> DeviceAnswer {
    let (left, right) = user_code.split_at_checked(USER_CODE / 2).unwrap_or((user_code, ""));
    let user_code = format!("{left}-{right}");
    let verification_uri = format!("{}/device", config.base_url());
    DeviceAnswer {
        device_code,
        verification_uri_complete: format!("{verification_uri}?user_code={user_code}"),
        user_code,
        verification_uri,
        expires_in: DEVICE_GRANT_FOR / 1000,
        interval: DEVICE_INTERVAL_MS / 1000,
    }
}

/// What a user code stands for, while nobody has decided. One hop.
///
/// # Errors
/// When the object cannot be asked.
pub async fn device_request<E: Transport>(edge: &E, user_code: &str) -> Result<Option<DeviceRequest>, MatrixError> {
    match normal_user_code(user_code) {
        Some(user_code) => ask_device_sign_in(edge, &device_name(&user_code), ReadDeviceGrant {}).await,
        None => Ok(None),
    }
}

/// The user decides on a device: a code, or a no. `false` when it is too late. One hop.
///
/// # Errors
/// When the object cannot be asked.
pub async fn decide_device<E: Transport>(edge: &E, user_code: &str, code: Option<String>) -> Result<bool, MatrixError> {
    match normal_user_code(user_code) {
        Some(user_code) => ask_device_sign_in(edge, &device_name(&user_code), DecideDeviceGrant { code }).await,
        None => Ok(false),
    }
}

/// A user code as somebody may write it, in its one form.
fn normal_user_code(text: &str) -> Option<String> {
    let letters: String =
        text.chars().filter(char::is_ascii_alphanumeric).map(|char| char.to_ascii_uppercase()).collect();
    (text.len() <= 32 && letters.len() == USER_CODE && letters.bytes().all(|byte| LETTERS.contains(&byte)))
        .then_some(letters)
}

fn user_code_of(device_code: &str) -> Option<&str> {
    let (user_code, secret) = device_code.strip_prefix("tern_d_")?.split_once('.')?;
    let fits =
        user_code.len() == USER_CODE && user_code.bytes().all(|byte| LETTERS.contains(&byte)) && secret.len() == 43;
    fits.then_some(user_code)
}

fn device_name(user_code: &str) -> String {
    format!("device:{user_code}")
}

/// `POST /oauth2/revoke` (RFC 7009): ends the session of an access or refresh token, whoever asks. One hop.
///
/// # Errors
/// Only when the hub cannot be asked: a token that is not good is revoked already.
pub async fn revoke<E: Transport + Clock>(edge: &E, config: &Config, token: &str) -> Result<Revoked, MatrixError> {
    if let Some(user_id) = refresh::read(config, token).map(|claim| claim.user_id) {
        let revoked = ask_user(edge, &user_id, RevokeGrant { refresh_token: token.to_owned() }).await;
        return Ok(unless_refused(revoked)?.flatten().map(|device_id| (user_id, device_id)));
    }
    // An expired token still says which session is meant.
    let Ok(verified) = verify_ended(config, token) else { return Ok(None) };
    let Caller { user_id, device_id } = verified.caller;
    let session = SessionRef { device_id: device_id.clone(), session_id: verified.session_id };
    let close = CloseSessions { session: Some(session), devices: Some(vec![device_id.clone()]), except: None };
    Ok(unless_refused(ask_user(edge, &user_id, close).await)?.map(|_| (user_id, device_id)))
}

/// `POST /oauth2/introspect` (RFC 7662). One hop.
///
/// # Errors
/// Only when the hub cannot be asked.
pub async fn introspect<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    token: &str,
) -> Result<Option<(OwnedUserId, Inspection, Option<u64>)>, MatrixError> {
    let (user_id, of, expires) = if let Some(user_id) = refresh::read(config, token).map(|claim| claim.user_id) {
        (user_id, Inspected::Refresh(token.to_owned()), None)
    } else if let Ok(verified) = verify(config, token, edge.now()) {
        let Caller { user_id, device_id } = verified.caller;
        let session = SessionRef { device_id, session_id: verified.session_id };
        (user_id, Inspected::Session(session), verified.expires.map(|end| end.0 / 1000))
    } else {
        return Ok(None);
    };
    let inspected = ask_user(edge, &user_id, InspectGrant { of }).await;
    Ok(unless_refused(inspected)?.flatten().map(|inspection| (user_id, inspection, expires)))
}

/// A client that the operator trusts, by its secret. One storage call.
///
/// # Errors
/// `invalid_client`.
pub async fn trusted<E: Transport>(edge: &E, client_id: &str, secret: &str) -> Result<(), MatrixError> {
    let row = ask_storage(edge, LoadClient { client_id: client_id.chars().take(64).collect() }).await?;
    let expected = row.and_then(|row| row.secret_hash).unwrap_or_default();
    let claimed = base64(&hash(secret));
    let same = tern_auth::secret::same(&expected, &claimed);
    if same && !expected.is_empty() { Ok(()) } else { Err(OAuthError::InvalidClient.into()) }
}

/// Makes a client that may introspect; answers with its id and secret. One storage call.
///
/// # Errors
/// When the storage worker cannot be asked.
pub async fn trust<E: Transport + Clock + Entropy>(edge: &E, name: &str) -> Result<(String, String), MatrixError> {
    let (client_id, secret) = (format!("trusted-{}", base64(&random::<9>(edge))), base64(&random::<32>(edge)));
    let metadata = serde_json::json!({ "client_name": name }).to_string();
    let secret_hash = Some(base64(&hash(&secret)));
    ask_storage(edge, SaveClient { client_id: client_id.clone(), metadata, secret_hash, ts: edge.now() }).await?;
    Ok((client_id, secret))
}

/// What the hub said, nothing when it refused.
fn unless_refused<T>(answer: Result<T, MatrixError>) -> Result<Option<T>, MatrixError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.status < 500 => Ok(None),
        Err(error) => Err(error),
    }
}
