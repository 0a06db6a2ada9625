//! Names and passwords for relays of calls (Client-Server API, "VoIP"; `draft-uberti-behave-turn-rest`): a name carries its
//! end, and the password is its signature, so that relays and this server need to share nothing but a secret.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use ruma::UserId;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use tern_model::Millis;

/// The relays, as an operator sets them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relays {
    /// Their addresses, `turn:turn.example.org?transport=udp`.
    pub uris: Vec<String>,
    /// How long a name is good, in seconds.
    #[serde(default = "a_day")]
    pub ttl: u64,
    /// What the relays know as `static-auth-secret`; a secret, and therefore set apart.
    #[serde(skip)]
    pub secret: String,
}

/// The answer to `GET /voip/turnServer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Credentials {
    /// End in seconds since the epoch, and user.
    pub username: String,
    /// Its signature.
    pub password: String,
    /// As configured.
    pub uris: Vec<String>,
    /// Seconds.
    pub ttl: u64,
}

const fn a_day() -> u64 {
    86_400
}

impl Relays {
    /// What opens the relays to a user; nothing without a secret.
    pub fn credentials(&self, user_id: &UserId, now: Millis) -> Option<Credentials> {
        let username = format!("{}:{user_id}", (now.0 / 1000).saturating_add(self.ttl));
        let mut signature = Hmac::<Sha1>::new_from_slice(self.secret.as_bytes()).ok()?;
        signature.update(username.as_bytes());
        let password = STANDARD.encode(signature.finalize().into_bytes());
        (!self.secret.is_empty()).then(|| Credentials { username, password, uris: self.uris.clone(), ttl: self.ttl })
    }
}

#[cfg(test)]
mod tests {
    use ruma::user_id;
    use tern_model::Millis;

    use super::Relays;

    #[test]
    fn a_name_carries_its_end_and_its_signature_is_the_password() {
        let relays = Relays { uris: vec!["turn:turn.example.org".to_owned()], ttl: 3_600, secret: "north".to_owned() };
        let alice = user_id!("@alice:example.org");
        let told = relays.credentials(alice, Millis(1_700_000_000_999));
        let told = told.map(|told| (told.username, told.password, told.uris, told.ttl));
        let (name, password) = ("1700003600:@alice:example.org", "6cEh1+OSEPFM5XsksE7KvMgzX1c=");
        assert_eq!(told, Some((name.to_owned(), password.to_owned(), relays.uris.clone(), 3_600)));
        assert_eq!(
            Relays { secret: String::new(), ..relays }.credentials(alice, Millis(0)),
            None,
            "anybody could sign"
        );
    }
}
