//! Signing up, in and out.

use serde::Deserialize;
use serde_json::{Value, json};
use tern_auth::{
    appservice::{APPLICATION_SERVICE, by_token},
    login::{LoginBody, PASSWORD, TOKEN},
    sso::SSO,
};
use tern_edge::{
    appservice, limit,
    register::{self, RegisterBody},
    session, uia,
};
use tern_model::{Class, MatrixError, appservice::Appservice};

use crate::{
    edge::Edge,
    identity::{bearer, end_tokens},
    limits,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Open Get "/_matrix/client/v3/login" => login_types;
    Open Post "/_matrix/client/v3/login" => login;
    Open Post "/_matrix/client/v3/register" => register;
    Open Get "/_matrix/client/v3/register/available" => available;
    Open Get "/_matrix/client/v1/register/m.login.registration_token/validity" => token_validity;
    Open (Refresh) Post "/_matrix/client/v3/refresh" => refresh;
    Hub Post "/_matrix/client/v3/logout" => logout;
    Hub Post "/_matrix/client/v3/logout/all" => logout_all;
    Token Get "/_matrix/client/v3/account/whoami" => whoami;
};

/// `GET /login`
async fn login_types(edge: &Edge, _: &Incoming) -> Result<Answer, MatrixError> {
    let providers = edge.config.accounts.upstream.iter();
    let providers: Vec<Value> = providers.map(|one| json!({ "id": one.id, "name": one.name })).collect();
    // The pages are those of OAuth (MSC3824, whose older name is asked for as well).
    let mut sso = json!({
        "type": SSO,
        "oauth_aware_preferred": true,
        "org.matrix.msc3824.delegated_oidc_compatibility": true,
    });
    if let (Some(sso), false) = (sso.as_object_mut(), providers.is_empty()) {
        sso.insert("identity_providers".to_owned(), providers.into());
    }
    let token = json!({ "type": TOKEN, "get_login_token": true });
    let mut flows = vec![json!({ "type": PASSWORD }), token, sso];
    if !edge.config.accounts.appservices.is_empty() {
        flows.push(json!({ "type": APPLICATION_SERVICE }));
    }
    Answer::json(&json!({ "flows": flows }))
}

/// `POST /login`
async fn login(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let body: LoginBody = request.json()?;
    let signed_in = if body.kind == APPLICATION_SERVICE && !edge.config.accounts.appservices.is_empty() {
        appservice::login(edge, &edge.config, service(edge, request)?, body, request.ip.clone()).await?
    } else {
        session::login(edge, &edge.config, body, request.ip.clone()).await?
    };
    if let Some(tokens) = &signed_in.tokens {
        // Whoever had this device's token before is signed out.
        end_tokens(edge, &signed_in.user_id, Some(std::slice::from_ref(&tokens.device_id)));
    }
    Answer::json(&signed_in)
}

/// `POST /register`
async fn register(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    match request.query("kind") {
        None | Some("user") => {}
        Some("guest") => return Err(MatrixError::forbidden("There are no guest accounts")),
        Some(_) => return Err(MatrixError::invalid_param("kind is neither user nor guest")),
    }
    let body: RegisterBody = request.json()?;
    if body.kind.as_deref() == Some(APPLICATION_SERVICE) {
        let service = service(edge, request)?;
        return Answer::json(&appservice::register(edge, &edge.config, service, body, request.ip.clone()).await?);
    }
    Answer::json(&register::register(edge, &edge.config, body, request.ip.clone()).await?)
}

/// The application service that shows its token.
fn service<'a>(edge: &'a Edge, request: &Incoming) -> Result<&'a Appservice, MatrixError> {
    let token = bearer(&request.headers).ok_or_else(MatrixError::missing_token)?;
    by_token(&edge.config, &token).ok_or_else(|| MatrixError::unknown_token(false))
}

/// `GET /register/available`
async fn available(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let name = request.query("username").ok_or_else(|| MatrixError::missing_param("username is missing"))?;
    register::check_available(edge, &edge.config, name).await?;
    Answer::json(&json!({ "available": true }))
}

/// `GET /register/m.login.registration_token/validity`
async fn token_validity(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let token = request.query("token").ok_or_else(|| MatrixError::missing_param("token is missing"))?;
    limit::by_address(edge, &edge.config, Class::Login, request.ip.as_deref()).await?;
    let valid = uia::is_registration_token(edge, &edge.config, token).await?;
    Answer::json(&json!({ "valid": valid }))
}

/// `POST /refresh`
async fn refresh(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        refresh_token: String,
    }
    let body: Result<Body, MatrixError> = request.json();
    let token = body.as_ref().ok().map(|body| body.refresh_token.as_str());
    limits::admit_refresh(edge, token, request.ip.as_deref())?;
    let body = body?;
    Answer::json(&session::refresh(edge, &edge.config, body.refresh_token).await?)
}

/// `POST /logout`
async fn logout(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let caller = request.caller()?;
    session::logout(edge, &caller.user_id, request.session()?).await?;
    end_tokens(edge, &caller.user_id, Some(std::slice::from_ref(&caller.device_id)));
    Ok(Answer::empty())
}

/// `POST /logout/all`
async fn logout_all(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let user_id = &request.caller()?.user_id;
    session::logout_all(edge, user_id, request.session()?).await?;
    end_tokens(edge, user_id, None);
    Ok(Answer::empty())
}

/// `GET /account/whoami`
async fn whoami(_: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let caller = request.caller()?;
    let mut answer = json!({ "user_id": caller.user_id, "is_guest": false });
    // An application service need not be a device.
    if let (Some(answer), false) = (answer.as_object_mut(), caller.device_id.as_str().is_empty()) {
        answer.insert("device_id".to_owned(), caller.device_id.as_str().into());
    }
    Answer::json(&answer)
}
