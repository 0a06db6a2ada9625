//! What the provider says of itself (RFC 8414; OpenID Connect Discovery; Client-Server API, "Server metadata discovery").

use serde_json::{Value, json};
use tern_model::Config;

use super::{client::GRANT_TYPES, request::issuer};

/// What the account page can be opened for (MSC4191), stable names.
pub const ACTIONS: [&str; 6] = [
    "org.matrix.profile",
    "org.matrix.devices_list",
    "org.matrix.device_view",
    "org.matrix.device_delete",
    "org.matrix.account_deactivate",
    "org.matrix.cross_signing_reset",
];

/// The metadata document.
pub fn metadata(config: &Config) -> Value {
    let base = config.base_url();
    let at = |path: &str| format!("{base}{path}");
    let may_register = !crate::uia::registration_flows(config).is_empty();
    let prompts: &[&str] = if may_register { &["none", "login", "create"] } else { &["none", "login"] };
    json!({
        "issuer": issuer(config),
        "authorization_endpoint": at("/oauth2/authorize"),
        "token_endpoint": at("/oauth2/token"),
        "revocation_endpoint": at("/oauth2/revoke"),
        "introspection_endpoint": at("/oauth2/introspect"),
        "registration_endpoint": at("/oauth2/register"),
        "device_authorization_endpoint": at("/oauth2/device"),
        "userinfo_endpoint": at("/oauth2/userinfo"),
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
        "claims_supported": ["iss", "sub", "name"],
        "request_uri_parameter_supported": false,
        "prompt_values_supported": prompts,
        "account_management_uri": at("/account"),
        "account_management_actions_supported": ACTIONS,
    })
}
