//! Device authorization (RFC 8628): a device without a browser shows a code that its user enters elsewhere.

use serde::Serialize;
use tern_auth::{
    oauth::{OAuthError, client::DEVICE_CODE, request::only, scope::Scope},
    secret::base64,
};
use tern_model::{Config, MatrixError};
use tern_ports::{
    Clock, Entropy, Transport, ask_device_sign_in,
    wire::device_sign_in::{DEVICE_INTERVAL_MS, DecideDeviceGrant, DeviceRequest, OpenDeviceGrant, ReadDeviceGrant},
};

use crate::{oauth::clients::client, random::random};

/// How long a device authorization lasts, in milliseconds.
pub const DEVICE_GRANT_FOR: u64 = 15 * 60 * 1000;
/// Letters of user codes: no vowels, so that they spell nothing, and none that look alike (RFC 8628, 6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Letters of a user code.
const USER_CODE: usize = 8;

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

pub(crate) fn user_code_of(device_code: &str) -> Option<&str> {
    let (user_code, secret) = device_code.strip_prefix("tern_d_")?.split_once('.')?;
    let fits =
        user_code.len() == USER_CODE && user_code.bytes().all(|byte| LETTERS.contains(&byte)) && secret.len() == 43;
    fits.then_some(user_code)
}

pub(crate) fn device_name(user_code: &str) -> String {
    format!("device:{user_code}")
}
