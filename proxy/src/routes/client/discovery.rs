//! What this server is and can do.

use serde_json::{Map, Value, json};
use tern_edge::{admin::is_admin, create::room_versions};
use tern_model::MatrixError;

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Fixed Get "/_matrix/client/versions" => versions;
    Fixed Get "/.well-known/matrix/client" => well_known_client;
    Fixed Get "/.well-known/matrix/server" => well_known_server;
    Fixed Get "/.well-known/matrix/support" => well_known_support;
    Token Get "/_matrix/client/v3/capabilities" => capabilities;
};

/// Versions of the specification; `wrangler/e2e/VERSIONS.md` says what shows them. What is of later ones and there is
/// announced as a feature.
const VERSIONS: [&str; 19] = [
    "v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8", "v1.9", "v1.10", "v1.11", "v1.12", "v1.13",
    "v1.14", "v1.15", "v1.16", "v1.17", "v1.18", "v1.19",
];

/// Simplified sliding sync (MSC4186, under the name that clients ask for), `state_after` (MSC4222), profile fields on
/// their stable and unstable paths (MSC4133), dehydrated devices (MSC3814), delayed events (MSC4140), room summaries
/// (MSC3266), QR-code sign-in (MSC4108, MSC4388), thread subscriptions
/// (MSC4306, MSC4308), transports of calls (MSC4143), sticky events (MSC4354), account data that is deleted (MSC3391),
/// also with its device (MSC3890), filters by relation (MSC3874), pushers
/// that are disabled (MSC3881), who may invite (MSC4155, MSC4380).
const FEATURES: [&str; 20] = [
    "org.matrix.simplified_msc3575",
    "org.matrix.msc4222",
    "uk.tcpip.msc4133.stable",
    "uk.tcpip.msc4133",
    "org.matrix.msc3814",
    "org.matrix.msc4140",
    "im.nheko.summary",
    "org.matrix.msc4108",
    "io.element.msc4388",
    "org.matrix.msc4306",
    "org.matrix.msc4308",
    "org.matrix.msc4143",
    "org.matrix.msc4354",
    "org.matrix.msc3391",
    "org.matrix.msc3890",
    "org.matrix.msc3874",
    "org.matrix.msc3881",
    "org.matrix.msc4155",
    "org.matrix.msc4380",
    "org.matrix.msc4380.stable",
];

/// `GET /versions`
async fn versions(_: &Edge, _: &Incoming) -> Result<Answer, MatrixError> {
    let features: Map<String, Value> = FEATURES.map(|name| (name.to_owned(), true.into())).into_iter().collect();
    Answer::json(&json!({ "versions": VERSIONS, "unstable_features": features }))
}

/// `GET /.well-known/matrix/client`
async fn well_known_client(edge: &Edge, _: &Incoming) -> Result<Answer, MatrixError> {
    let mut answer = json!({ "m.homeserver": { "base_url": edge.config.base_url() } });
    if let Some(answer) = answer.as_object_mut().filter(|_| !edge.transports.is_empty()) {
        // Where clients looked for transports before there was `rtc/transports`.
        answer.insert("org.matrix.msc4143.rtc_foci".to_owned(), json!(edge.transports));
    }
    Answer::json(&answer)
}

/// `GET /.well-known/matrix/server`
async fn well_known_server(edge: &Edge, _: &Incoming) -> Result<Answer, MatrixError> {
    Answer::json(&json!({ "m.server": host_and_port(&edge.config.base_url()) }))
}

/// `GET /.well-known/matrix/support`
async fn well_known_support(edge: &Edge, _: &Incoming) -> Result<Answer, MatrixError> {
    let support = edge.config.support.as_ref();
    Answer::json(support.ok_or_else(|| MatrixError::not_found("The operator has not said whom to turn to"))?)
}

/// `GET /capabilities`
async fn capabilities(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let (default, all) = room_versions(&edge.config);
    let available: Map<String, Value> = all.map(|version| (version.to_owned(), "stable".into())).collect();
    let enabled = json!({ "enabled": true });
    let disabled = json!({ "enabled": false });
    let mut capabilities = json!({
        "m.room_versions": { "default": default, "available": available },
        "m.change_password": enabled,
        "m.set_displayname": enabled,
        "m.set_avatar_url": enabled,
        "m.profile_fields": enabled,
        "m.3pid_changes": if edge.config.accounts.mail.is_some() { &enabled } else { &disabled },
        "m.get_login_token": enabled,
        "m.forget_forced_upon_leave": disabled,
    });
    if is_admin(edge, &request.caller()?.user_id).await? {
        let moderation = json!({ "lock": true, "suspend": true });
        capabilities.as_object_mut().and_then(|all| all.insert("m.account_moderation".to_owned(), moderation));
    }
    Answer::json(&json!({ "capabilities": capabilities }))
}

/// The authority of a URL, with a port, as servers want it.
fn host_and_port(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let authority = rest.split_once('/').map_or(rest, |(authority, _)| authority);
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    match (has_port, scheme) {
        (true, _) => authority.to_owned(),
        (false, "http") => format!("{authority}:80"),
        (false, _) => format!("{authority}:443"),
    }
}

#[cfg(test)]
mod tests {
    use super::host_and_port;

    #[test]
    fn a_server_is_named_with_its_port() {
        for (url, server) in [
            ("https://matrix.example.org", "matrix.example.org:443"),
            ("http://127.0.0.1:8787", "127.0.0.1:8787"),
            ("http://localhost/x", "localhost:80"),
            ("https://[::1]", "[::1]:443"),
            ("https://[::1]:8448", "[::1]:8448"),
        ] {
            assert_eq!(host_and_port(url), server);
        }
    }
}
