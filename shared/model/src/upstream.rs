//! Other places where people have accounts, as an operator sets them.

use serde::Deserialize;

/// An OpenID provider that people may sign in with.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// What this server calls it, for ever: accounts are tied to it.
    pub id: String,
    /// What people are shown.
    pub name: String,
    /// Its issuer identifier, below which its configuration is found.
    pub issuer: String,
    /// What it calls this server.
    pub client_id: String,
    /// What is asked for.
    #[serde(default = "scope")]
    pub scope: String,
    /// The name of a new user: a template with claims, `{preferred_username}`. Without one people choose.
    pub localpart: Option<String>,
    /// The display name of a new user, likewise.
    pub display_name: Option<String>,
    /// People without an account get one. Otherwise only those who have tied theirs come in.
    #[serde(default = "yes")]
    pub register: bool,
    /// What the provider knows this server by; a secret, and therefore set apart. Empty for a public client.
    #[serde(skip)]
    pub secret: String,
}

fn scope() -> String {
    "openid profile email".to_owned()
}

const fn yes() -> bool {
    true
}
