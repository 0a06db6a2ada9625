//! What the provider says of itself (RFC 8414; OpenID Connect Discovery; Client-Server API, "Server metadata discovery").

use serde_json::{Value, json};
use tern_model::{Algorithm, Config};

use super::{client::GRANT_TYPES, management::Action, request::issuer};

/// What is told of somebody: in id tokens, and by the userinfo endpoint.
const CLAIMS: [&str; 10] =
    ["iss", "sub", "aud", "iat", "exp", "auth_time", "nonce", "at_hash", "name", "preferred_username"];

/// The metadata document.
pub fn metadata(config: &Config) -> Value {
    let base = config.base_url();
    let at = |path: &str| format!("{base}{path}");
    let may_register = !crate::uia::registration_flows(config).is_empty();
    let create = may_register.then_some("create");
    let prompts: Vec<&str> = ["none", "login", "consent"].into_iter().chain(create).collect();
    json!({
        "issuer": issuer(config),
        "authorization_endpoint": at("/oauth2/authorize"),
        "token_endpoint": at("/oauth2/token"),
        "revocation_endpoint": at("/oauth2/revoke"),
        "introspection_endpoint": at("/oauth2/introspect"),
        "registration_endpoint": at("/oauth2/register"),
        "device_authorization_endpoint": at("/oauth2/device"),
        "userinfo_endpoint": at("/oauth2/userinfo"),
        "jwks_uri": at("/oauth2/keys"),
        "scopes_supported": ["openid", "urn:matrix:client:api:*"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "fragment"],
        "grant_types_supported": GRANT_TYPES,
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic"],
        "authorization_response_iss_parameter_supported": true,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": Algorithm::ALL.map(Algorithm::name),
        "claim_types_supported": ["normal"],
        "claims_supported": CLAIMS,
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "prompt_values_supported": prompts,
        "account_management_uri": at("/account"),
        "account_management_actions_supported": Action::ALL.map(Action::name),
    })
}
