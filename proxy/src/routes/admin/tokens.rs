//! Registration tokens, with the token of the operator.

use serde::Deserialize;
use serde_json::json;
use tern_auth::secret::base64;
use tern_edge::admin::{self, Actor};
use tern_model::{MatrixError, Millis};
use tern_ports::{
    Clock, Entropy, ask_storage,
    wire::accounts::{CreateRegistrationToken, DeleteRegistrationToken, ListRegistrationTokens, RegistrationToken},
};

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Admin Get "/_tern/admin/v1/registration_tokens" => list;
    Admin Post "/_tern/admin/v1/registration_tokens" => create;
    Admin Delete "/_tern/admin/v1/registration_tokens/{token}" => delete;
};

/// Letters of a token, at most (Client-Server API, "Token-authenticated registration").
const LONGEST: usize = 64;

/// `GET /registration_tokens`
async fn list(edge: &Edge, _: &Incoming) -> Result<Answer, MatrixError> {
    Answer::json(&json!({ "registration_tokens": ask_storage(edge, ListRegistrationTokens {}).await? }))
}

/// `POST /registration_tokens`
async fn create(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        token: Option<String>,
        uses_allowed: Option<u64>,
        expires_in_s: Option<u64>,
    }
    let body: Body = request.json_or_empty()?;
    let token = body.token.unwrap_or_else(|| made_up(edge));
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    if token.is_empty() || token.len() > LONGEST || !token.bytes().all(fine) {
        return Err(MatrixError::invalid_param("A token is 1 to 64 of A-Z a-z 0-9 . _ ~ -"));
    }
    let now = edge.now();
    let expires = body.expires_in_s.map(|seconds| Millis(now.0.saturating_add(seconds.saturating_mul(1000))));
    let token = RegistrationToken { token, uses_allowed: body.uses_allowed, completed: 0, expires, created: now };
    // The token is a secret while it is good; the record names it by its beginning.
    let named: String = token.token.chars().take(4).collect();
    admin::record(edge, &Actor::Operator, "create_registration_token", &named).await?;
    ask_storage(edge, CreateRegistrationToken { token: token.clone() }).await?;
    Answer::json(&token)
}

/// `DELETE /registration_tokens/{token}`
async fn delete(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let token = request.param("token").to_owned();
    let named: String = token.chars().take(4).collect();
    admin::record(edge, &Actor::Operator, "delete_registration_token", &named).await?;
    ask_storage(edge, DeleteRegistrationToken { token }).await?;
    Ok(Answer::empty())
}

fn made_up(edge: &Edge) -> String {
    let mut bytes = [0; 12];
    edge.fill(&mut bytes);
    base64(&bytes)
}
