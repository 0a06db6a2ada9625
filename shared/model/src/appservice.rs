//! Application services, as an operator registers them (Application Service API, "Registration"): the same content as the
//! specification's YAML file, as JSON.

use serde::Deserialize;

/// One registration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Appservice {
    /// What the registration is called.
    pub id: String,
    /// Where the service is reached; without one it is never asked anything.
    pub url: Option<String>,
    /// What the service shows.
    pub as_token: String,
    /// What it is shown.
    pub hs_token: String,
    /// The user that it is when it names no other.
    pub sender_localpart: String,
    /// Its requests are counted as those of others.
    #[serde(default = "yes")]
    pub rate_limited: bool,
    /// What belongs to it.
    #[serde(default)]
    pub namespaces: Namespaces,
}

/// What belongs to a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Namespaces {
    /// Users.
    #[serde(default)]
    pub users: Vec<Namespace>,
    /// Room aliases.
    #[serde(default)]
    pub aliases: Vec<Namespace>,
}

/// Identifiers that begin as a regular expression says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Namespace {
    /// Nobody else may make such an identifier.
    pub exclusive: bool,
    /// The expression, from the beginning of the identifier on.
    pub regex: String,
}

const fn yes() -> bool {
    true
}
