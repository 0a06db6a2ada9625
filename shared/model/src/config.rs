//! What an operator sets, as plain values.

use std::collections::{BTreeMap, BTreeSet};

use ruma::OwnedServerName;
use serde::{Deserialize, Serialize};

use crate::{Limits, Mail, Millis, Support, appservice::Appservice, upstream::Provider};

/// Configuration of one deployment, read once per isolate.
#[derive(Clone, Debug)]
pub struct Config {
    /// The part after the colon of every local identifier.
    pub server_name: OwnedServerName,
    /// Where clients reach this server, without a trailing slash; `None` means `https://{server_name}`.
    pub public_url: Option<String>,
    /// `ed25519:…` id of the signing key.
    pub signing_key_id: String,
    /// The Ed25519 seed, 32 bytes.
    pub signing_key: Vec<u8>,
    /// Secret that signs access tokens, at least 32 bytes.
    pub token_key: Vec<u8>,
    /// Bearer token of the administration interface; `None` closes it.
    pub admin_token: Option<String>,
    /// Anybody may register with `m.login.dummy`.
    pub open_registration: bool,
    /// Registration with this token is allowed when registration is not open.
    pub registration_token: Option<String>,
    /// Rate limits are off.
    pub unlimited: bool,
    /// The rates, where they are on.
    pub limits: Limits,
    /// How accounts are kept and come to be.
    pub accounts: Accounts,
    /// Servers on private networks and on this machine may be asked, over HTTP as well: for tests on one machine.
    pub outbound_private: bool,
    /// The version of rooms whose creators name none; `None` for the one that the specification recommends.
    pub default_room_version: Option<String>,
    /// Whom people turn to when something is wrong with this server.
    pub support: Option<Support>,
    /// How other servers are met.
    pub federation: Federation,
}

/// How other servers are met; every part is optional.
#[derive(Clone, Debug, Default)]
pub struct Federation {
    /// Signing keys that this server had before, by their ids.
    pub old_keys: BTreeMap<String, OldSigningKey>,
    /// Servers that are asked for the keys of those that cannot be reached, in this order.
    pub notaries: Vec<OwnedServerName>,
    /// A resolver that answers DNS over HTTPS in JSON; `None` for the default one.
    pub resolver: Option<String>,
    /// No other server is met at all.
    pub closed: bool,
    /// The only servers that are met, in small letters; `None` for all.
    pub allowed: Option<BTreeSet<OwnedServerName>>,
    /// Servers that are not met, in small letters.
    pub denied: BTreeSet<OwnedServerName>,
}

impl Federation {
    /// Whether a server of this name, however it is written, is met: asked, answered and sent events.
    pub fn meets(&self, server: &str) -> bool {
        let name = server.to_ascii_lowercase();
        let within = |names: &BTreeSet<OwnedServerName>| names.iter().any(|listed| listed.as_str() == name);
        !self.closed && self.allowed.as_ref().is_none_or(within) && !within(&self.denied)
    }
}

/// A signing key that this server had before (Server-Server API, "Publishing Keys", `old_verify_keys`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OldSigningKey {
    /// The public half, in base64.
    pub key: String,
    /// When it was last used.
    pub expired_ts: Millis,
}

/// How accounts are kept and come to be; every part is optional.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    /// Searches for users find everybody, not only those with whom the searcher shares a room.
    pub everybody_is_found: bool,
    /// Who is there is told to those who share a room.
    pub presence: bool,
    /// A secret that goes into every new password hash, so that a stolen database alone does not allow guessing.
    pub password_pepper: Option<Vec<u8>>,
    /// Administrators may make registration tokens, so that the stage is offered.
    pub registration_tokens: bool,
    /// What people have to agree to when they register, by name, in the shape of the `m.login.terms` stage; empty for
    /// nothing.
    pub terms: serde_json::Map<String, serde_json::Value>,
    /// How mail leaves; without it there are no mail addresses.
    pub mail: Option<Mail>,
    /// Other places whose accounts people may sign in with.
    pub upstream: Vec<Provider>,
    /// Apps that are signed in by the browser without being asked for, by an address of theirs.
    pub sso_clients: Vec<String>,
    /// Application services.
    pub appservices: Vec<Appservice>,
}

impl Config {
    /// Where clients reach this server, without a trailing slash.
    pub fn base_url(&self) -> String {
        self.public_url.clone().unwrap_or_else(|| format!("https://{}", self.server_name))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Federation;

    #[test]
    fn whom_the_operator_keeps_out_is_not_met_however_it_is_written() {
        let names =
            |names: &[&str]| -> BTreeSet<_> { names.iter().filter_map(|name| (*name).try_into().ok()).collect() };
        let met =
            |federation: &Federation| ["a.org", "A.org", "b.org", "a.org:8448"].map(|name| federation.meets(name));
        let all = Federation::default();
        assert_eq!(met(&all), [true, true, true, true]);
        assert_eq!(met(&Federation { denied: names(&["a.org"]), ..all.clone() }), [false, false, true, true]);
        assert_eq!(met(&Federation { allowed: Some(names(&["a.org"])), ..all.clone() }), [true, true, false, false]);
        let both = Federation { allowed: Some(names(&["a.org", "b.org"])), denied: names(&["b.org"]), ..all.clone() };
        assert_eq!(met(&both), [true, true, false, false]);
        assert_eq!(met(&Federation { closed: true, ..all }), [false; 4]);
    }
}
