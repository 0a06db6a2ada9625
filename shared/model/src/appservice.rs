//! Application services, as an operator registers them (Application Service API, "Registration"): the same content as the
//! specification's YAML file, as JSON.

use regex_lite::Regex;
use ruma::ServerName;
use serde::{Deserialize, Deserializer};

/// One registration. Whatever else is in it is ignored.
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
    /// Third-party networks that it is a bridge to.
    #[serde(default, deserialize_with = "or_default")]
    pub protocols: Vec<String>,
    /// It is sent typing, receipts and presence.
    #[serde(default, deserialize_with = "or_default")]
    pub receive_ephemeral: bool,
    /// The same, by the name of before (MSC2409).
    #[serde(default, rename = "de.sorunome.msc2409.push_ephemeral", deserialize_with = "or_default")]
    pub push_ephemeral: bool,
    /// It is sent device lists and counts of one-time keys (MSC3202).
    #[serde(default, rename = "org.matrix.msc3202", deserialize_with = "or_default")]
    pub encrypts: bool,
}

/// What belongs to a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Namespaces {
    /// Users.
    #[serde(default, deserialize_with = "or_default")]
    pub users: Vec<Namespace>,
    /// Room aliases.
    #[serde(default, deserialize_with = "or_default")]
    pub aliases: Vec<Namespace>,
    /// Rooms, by their ids.
    #[serde(default, deserialize_with = "or_default")]
    pub rooms: Vec<Namespace>,
}

/// Identifiers that begin as a regular expression says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Namespace {
    /// Nobody else may make such an identifier.
    #[serde(default)]
    pub exclusive: bool,
    /// The expression, from the beginning of the identifier on.
    pub regex: Pattern,
}

/// What the registrations say of who is concerned by what, as one number: with another, that is another.
pub fn fingerprint(services: &[Appservice]) -> u64 {
    let namespaces = |of: &Namespaces| {
        let kinds = [&of.users, &of.aliases, &of.rooms];
        kinds.map(|kind| kind.iter().map(|namespace| namespace.regex.text()).collect::<Vec<_>>().join("\n"))
    };
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for service in services.iter().filter(|service| service.address().is_some()) {
        let [users, aliases, rooms] = namespaces(&service.namespaces);
        for text in [&service.id, &service.sender_localpart, &users, &aliases, &rooms] {
            // FNV-1a, with an end to each text. The platform binds 53 bits.
            for byte in text.bytes().chain([0xff]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
    hash >> 11
}

/// A regular expression as it was written, and compiled, once; one that cannot be matches nothing.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    compiled: Option<Regex>,
}

impl Appservice {
    /// The user, of this server, is the service's: in its namespaces, or the one that it is when it names no other.
    pub fn has_user(&self, server_name: &ServerName, user_id: &str) -> bool {
        let local = user_id.strip_prefix('@').and_then(|rest| rest.split_once(':'));
        let local = local.filter(|(_, server)| *server == server_name.as_str());
        local
            .is_some_and(|(localpart, _)| localpart == self.sender_localpart || within(&self.namespaces.users, user_id))
    }

    /// Where it is reached.
    pub fn address(&self) -> Option<&str> {
        self.url.as_deref().map(|url| url.trim_end_matches('/')).filter(|url| !url.is_empty())
    }
}

/// Whether an identifier is in one of the namespaces.
pub fn within(namespaces: &[Namespace], id: &str) -> bool {
    namespaces.iter().any(|namespace| namespace.regex.matches(id))
}

impl Pattern {
    /// Reads an expression.
    pub fn new(text: String) -> Self {
        let compiled = Self::compile(&text).ok();
        Self { text, compiled }
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the identifier begins so.
    pub fn matches(&self, id: &str) -> bool {
        self.compiled.as_ref().is_some_and(|compiled| compiled.is_match(id))
    }

    /// What is wrong with it.
    ///
    /// # Errors
    /// The parser's.
    pub fn check(&self) -> Result<(), regex_lite::Error> {
        Self::compile(&self.text).map(|_| ())
    }

    fn compile(text: &str) -> Result<Regex, regex_lite::Error> {
        Regex::new(&format!("^(?:{text})"))
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// YAML files have keys without a value.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

const fn yes() -> bool {
    true
}
