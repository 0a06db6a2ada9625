//! Metadata, registration, tokens, revocation, introspection, userinfo.

use base64::{Engine, engine::general_purpose::STANDARD};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tern_auth::oauth::{OAuthError, metadata::metadata, request::only};
use tern_edge::{
    admin::{self, Actor},
    oauth,
};
use tern_model::MatrixError;

use crate::{
    edge::Edge,
    form::Form,
    identity::end_tokens,
    limits,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Fixed Get "/_matrix/client/v1/auth_metadata" => discover;
    Fixed Get "/_matrix/client/unstable/org.matrix.msc2965/auth_metadata" => discover;
    Fixed Get "/.well-known/oauth-authorization-server" => discover;
    Fixed Get "/.well-known/openid-configuration" => discover;
    Open Get "/oauth2/keys" => keys;
    Open(RegisterClient) Post "/oauth2/register" => register;
    Open (Refresh) Post "/oauth2/token" => token;
    Open Post "/oauth2/device" => device;
    Open Post "/oauth2/revoke" => revoke;
    Open Post "/oauth2/introspect" => introspect;
    AnyToken Get "/oauth2/userinfo" => userinfo;
    AnyToken Post "/oauth2/userinfo" => userinfo;
    Admin Post "/_tern/admin/v1/oauth/clients" => trust;
    Admin Post "/_tern/admin/v1/oauth/keys" => rotate_keys;
};

/// Longest registration, in bytes; those of known clients have about one thousand.
const MAX_REGISTRATION: usize = 8 << 10;

/// `GET /auth_metadata` and the well-known documents.
async fn discover(edge: &Edge, _: &Incoming) -> Result<Answer, MatrixError> {
    Ok(Answer::json(&metadata(&edge.config))?.with_header("cache-control", "public, max-age=3600"))
}

/// The keys of id tokens (RFC 7517). Remembered for less than the time between two rotations.
async fn keys(edge: &Edge, _: &Incoming) -> Result<Answer, MatrixError> {
    let keyring = edge.keyrings.get(edge, &edge.config).await?;
    Ok(Answer::json(&keyring.published())?.with_header("cache-control", "public, max-age=3000"))
}

/// Rotates the keys of id tokens.
async fn rotate_keys(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        anew: bool,
    }
    let body: Body = request.json_or_empty()?;
    admin::record(edge, &Actor::Operator, "turn_signing_keys", if body.anew { "anew" } else { "next" }).await?;
    let keyring = edge.keyrings.rotate(edge, &edge.config, body.anew).await?;
    Answer::json(&keyring.published())
}

/// RFC 7591
async fn register(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let malformed = || MatrixError::from(OAuthError::InvalidClientMetadata("The metadata is not a JSON object"));
    if request.body.len() > MAX_REGISTRATION {
        return Err(OAuthError::InvalidClientMetadata("The metadata is too long").into());
    }
    let metadata: Map<String, Value> = serde_json::from_slice(&request.body).map_err(|_| malformed())?;
    let registered = oauth::register(edge, &metadata).await?;
    Ok(unstored(Answer::json(&registered)?.with_status(201)))
}

/// RFC 6749, 3.2
async fn token(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let form = form(request);
    let refreshed = form.as_ref().ok().filter(|form| form.get("grant_type") == Some("refresh_token"));
    let refreshed = refreshed.and_then(|form| form.get("refresh_token"));
    limits::admit_refresh(edge, refreshed, request.ip.as_deref())?;
    let form = form?;
    let answer = oauth::token(edge, &edge.config, &edge.keyrings, form.pairs(), request.ip.clone()).await?;
    Ok(unstored(Answer::json(&answer)?))
}

/// RFC 8628, 3.1
async fn device(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let form = form(request)?;
    Ok(unstored(Answer::json(&oauth::device(edge, &edge.config, form.pairs()).await?)?))
}

/// RFC 7009
async fn revoke(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let form = form(request)?;
    let token = only(form.pairs(), "token")?.ok_or(OAuthError::InvalidRequest("token is missing"))?;
    match oauth::revoke(edge, &edge.config, token).await? {
        Some((_, device_id)) if device_id.as_str().is_empty() => edge.tokens.borrow_mut().end(token),
        Some((user_id, device_id)) => end_tokens(edge, &user_id, Some(std::slice::from_ref(&device_id))),
        None => {}
    }
    Ok(unstored(Answer::empty()))
}

/// RFC 7662
async fn introspect(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let admitted = match basic(request) {
        Some((client_id, secret)) => oauth::trusted(edge, &client_id, &secret).await,
        None => Err(OAuthError::InvalidClient.into()),
    };
    match admitted {
        // RFC 6749, 5.2
        Err(error) if error.status == 401 => return Ok(Answer::challenge(&error, "Basic realm=\"introspection\"")),
        admitted => admitted?,
    }
    let form = form(request)?;
    let token = only(form.pairs(), "token")?.ok_or(OAuthError::InvalidRequest("token is missing"))?;
    let answer = match oauth::introspect(edge, &edge.config, token).await? {
        None => json!({ "active": false }),
        Some((user_id, inspection, expires)) => {
            let mut answer = json!({
                "active": true,
                "sub": user_id,
                "username": user_id.localpart(),
                "token_type": if expires.is_some() { "access_token" } else { "refresh_token" },
                "device_id": inspection.device_id,
            });
            let rest = [
                ("exp", expires.map(Value::from)),
                ("client_id", inspection.client_id.map(Value::from)),
                ("scope", inspection.scope.map(Value::from)),
            ];
            if let Some(answer) = answer.as_object_mut() {
                answer.extend(rest.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
            }
            answer
        }
    };
    Ok(unstored(Answer::json(&answer)?))
}

/// OpenID Connect Core, 5.3
async fn userinfo(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let identity = request.identity()?;
    if !identity.rights.openid {
        let error = MatrixError::forbidden("This access token has not the scope openid");
        return Ok(Answer::challenge(&error, "Bearer error=\"insufficient_scope\", scope=\"openid\""));
    }
    let profile = tern_ports::ask_user(edge, &identity.caller.user_id, tern_ports::wire::user::ReadProfile {}).await;
    let name = profile.ok().and_then(|profile| profile.get("displayname").cloned());
    let user_id = &identity.caller.user_id;
    let mut answer = json!({ "sub": user_id, "preferred_username": user_id.localpart() });
    if let (Some(name), Some(answer)) =
        (name.and_then(|name| serde_json::from_str(name.text()).ok()), answer.as_object_mut())
    {
        answer.insert("name".to_owned(), name);
    }
    Ok(unstored(Answer::json(&answer)?))
}

/// Makes a client that may introspect.
async fn trust(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        name: String,
    }
    let body: Body = request.json()?;
    let (client_id, client_secret) = oauth::trust(edge, &body.name).await?;
    Ok(unstored(Answer::json(&json!({ "client_id": client_id, "client_secret": client_secret }))?))
}

/// The form in the body.
fn form(request: &Incoming) -> Result<Form, MatrixError> {
    let kind = request.header("content-type").unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Err(OAuthError::InvalidRequest("The body must be application/x-www-form-urlencoded").into());
    }
    Form::read(&request.body).map_err(|_| OAuthError::InvalidRequest("The body cannot be read").into())
}

/// Client id and secret of HTTP Basic authentication (RFC 6749, 2.3.1).
fn basic(request: &Incoming) -> Option<(String, String)> {
    let header = request.header("authorization")?;
    let (scheme, credentials) = header.split_once(' ')?;
    let decoded = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(credentials.trim()).ok()).flatten()?;
    let text = String::from_utf8(decoded).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decode =
        |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8().ok().map(std::borrow::Cow::into_owned);
    Some((decode(id)?, decode(secret)?))
}

/// An answer with a secret in it is nobody's to keep (RFC 6749, 5.1).
fn unstored(answer: Answer) -> Answer {
    answer.with_header("cache-control", "no-store").with_header("pragma", "no-cache")
}
