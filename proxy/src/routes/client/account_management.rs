//! The caller's own account: its password, its end, a token for one more device.

use serde::Deserialize;
use serde_json::json;
use tern_auth::{login_token, uia::Auth};
use tern_edge::{account, admin};
use tern_model::MatrixError;

use crate::{
    edge::Edge,
    identity::end_tokens,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Optional Post "/_matrix/client/v3/account/password" => change_password;
    Token Post "/_matrix/client/v3/account/deactivate" => deactivate;
    Token Post "/_matrix/client/v1/login/get_token" => get_token;
};

/// Lets the owner of the account through.
pub(super) async fn prove(
    edge: &Edge,
    request: &Incoming,
    operation: &str,
    auth: Option<&Auth>,
) -> Result<(), MatrixError> {
    let user_id = &request.caller()?.user_id;
    let operation = (operation, request.parameters());
    account::prove(edge, &edge.config, user_id, operation, auth, request.ip.as_deref()).await
}

/// `POST /account/password`
async fn change_password(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        auth: Option<Auth>,
        new_password: Option<String>,
        #[serde(default = "yes")]
        logout_devices: bool,
    }
    let body: Body = request.json()?;
    if request.identity.is_none() {
        let secret = body.new_password.ok_or_else(|| MatrixError::missing_param("new_password is missing"))?;
        let (auth, ip) = (body.auth.as_ref(), request.ip.as_deref());
        let user_id = account::reset_password(edge, &edge.config, auth, &secret, body.logout_devices, ip).await?;
        if body.logout_devices {
            end_tokens(edge, &user_id, None);
        }
        return Ok(Answer::empty());
    }
    prove(edge, request, "password", body.auth.as_ref()).await?;
    let secret = body.new_password.ok_or_else(|| MatrixError::missing_param("new_password is missing"))?;
    let (user_id, session) = (&request.caller()?.user_id, request.session()?);
    account::change_password(edge, &edge.config, user_id, session, &secret, body.logout_devices).await?;
    if body.logout_devices {
        let own = &request.caller()?.device_id;
        edge.tokens
            .borrow_mut()
            .end_where(|verified| verified.caller.user_id == *user_id && verified.caller.device_id != *own);
    }
    Ok(Answer::empty())
}

const fn yes() -> bool {
    true
}

/// `POST /account/deactivate`
async fn deactivate(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        auth: Option<Auth>,
        #[serde(default)]
        erase: bool,
    }
    let body: Body = request.json_or_empty()?;
    // A service has no password to prove anything with.
    if request.identity()?.service.is_none() {
        prove(edge, request, "deactivate", body.auth.as_ref()).await?;
    }
    let user_id = &request.caller()?.user_id;
    let done = admin::deactivate(edge, &edge.config, user_id, body.erase).await;
    end_tokens(edge, user_id, None);
    done?;
    // No identifier of the user is bound anywhere, so that all are unbound.
    Answer::json(&json!({ "id_server_unbind_result": "success" }))
}

/// `POST /login/get_token`
async fn get_token(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        auth: Option<Auth>,
    }
    let body: Body = request.json_or_empty()?;
    prove(edge, request, "get_token", body.auth.as_ref()).await?;
    let login_token = account::make_login_token(edge, &edge.config, &request.caller()?.user_id).await?;
    Answer::json(&json!({ "login_token": login_token, "expires_in_ms": login_token::LIFETIME }))
}
