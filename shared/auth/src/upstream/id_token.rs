//! What a provider says of somebody, and when that is believed (OpenID Connect Core, 2 and 3.1.3.7).

use serde::Deserialize;
use serde_json::{Map, Value};
use tern_model::{Algorithm, Config, Jwk, Millis, upstream::Provider};

use super::{Refused, attempt};
use crate::secret::{from_base64, same};

/// How far the clock of a provider may be off, in seconds.
const SKEW: u64 = 60;
/// Longest id token, in bytes.
const MAX_TOKEN: usize = 16 << 10;
/// Longest `sub` (OpenID Connect Core, 2).
const MAX_SUBJECT: usize = 255;

/// An id token that nobody has vouched for yet.
#[derive(Clone, Debug)]
pub struct IdToken {
    /// How it is signed: one of those that are known, whatever it says.
    pub algorithm: Algorithm,
    kid: Option<String>,
    /// What is signed.
    pub signed: String,
    /// The signature.
    pub signature: Vec<u8>,
    claims: Map<String, Value>,
}

/// Who somebody is at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// `sub`.
    pub sub: String,
    /// All claims.
    pub claims: Map<String, Value>,
}

impl IdToken {
    /// Takes a token apart.
    ///
    /// # Errors
    /// When it is none, or signed in a way that is not allowed.
    pub fn read(token: &str) -> Result<Self, Refused> {
        #[derive(Deserialize)]
        struct Header {
            alg: String,
            kid: Option<String>,
            crit: Option<Value>,
        }
        let malformed = || Refused("The id token is malformed");
        let (signed, signature) = token.rsplit_once('.').filter(|_| token.len() <= MAX_TOKEN).ok_or_else(malformed)?;
        let (header, claims) = signed.split_once('.').ok_or_else(malformed)?;
        let json = |part: &str| from_base64(part).ok_or_else(malformed);
        let header: Header = serde_json::from_slice(&json(header)?).map_err(|_| malformed())?;
        let algorithm = Algorithm::named(&header.alg).filter(|_| header.crit.is_none());
        Ok(Self {
            algorithm: algorithm.ok_or(Refused("The id token is signed in a way that is not allowed"))?,
            kid: header.kid,
            signed: signed.to_owned(),
            signature: json(signature)?,
            claims: serde_json::from_slice(&json(claims)?).map_err(|_| malformed())?,
        })
    }

    /// The key it must be signed with: the one it names, or the only one there is.
    pub fn key<'a>(&self, keys: &'a [Jwk]) -> Option<&'a Jwk> {
        let text = |key: &'a Jwk, name: &str| key.get(name).and_then(Value::as_str);
        let mut fitting = keys.iter().filter(|key| {
            let kind = match self.algorithm {
                Algorithm::Rs256 => text(key, "kty") == Some("RSA"),
                Algorithm::Es256 => text(key, "kty") == Some("EC") && text(key, "crv") == Some("P-256"),
            };
            kind && text(key, "use").is_none_or(|purpose| purpose == "sig")
                && text(key, "alg").is_none_or(|name| name == self.algorithm.name())
                && self.kid.as_deref().is_none_or(|kid| text(key, "kid") == Some(kid))
        });
        let key = fitting.next()?;
        fitting.next().is_none().then_some(key)
    }

    /// Believes what it says, once its signature was checked (OpenID Connect Core, 3.1.3.7).
    ///
    /// # Errors
    /// When it is not for us, not of now, or not for this attempt.
    pub fn believe(self, config: &Config, provider: &Provider, state: &str, now: Millis) -> Result<Subject, Refused> {
        self.check_audience(provider)?;
        self.check_time(now)?;
        let text = |name: &str| self.claims.get(name).and_then(Value::as_str);
        if !text("nonce").is_some_and(|nonce| same(&attempt(config, state).nonce, nonce)) {
            return Err(Refused("The id token is for another attempt"));
        }
        let sub = text("sub").filter(|sub| !sub.is_empty() && sub.len() <= MAX_SUBJECT);
        let sub = sub.ok_or(Refused("The id token says nothing of anybody"))?.to_owned();
        Ok(Subject { sub, claims: self.claims })
    }

    /// It must be of this provider and for this server.
    fn check_audience(&self, provider: &Provider) -> Result<(), Refused> {
        let text = |name: &str| self.claims.get(name).and_then(Value::as_str);
        if text("iss") != Some(provider.issuer.as_str()) {
            return Err(Refused("The id token is of another provider"));
        }
        let me = Some(provider.client_id.as_str());
        let (mine, others) = match self.claims.get("aud") {
            Some(Value::String(one)) => (me == Some(one.as_str()), false),
            Some(Value::Array(all)) => (all.iter().any(|one| one.as_str() == me), all.len() > 1),
            _ => (false, false),
        };
        let party = text("azp");
        if !mine || (others && party.is_none()) || (party.is_some() && party != me) {
            return Err(Refused("The id token is for another client"));
        }
        Ok(())
    }

    fn check_time(&self, now: Millis) -> Result<(), Refused> {
        let time = |name: &str| self.claims.get(name).and_then(Value::as_f64);
        let (now, skew) = (whole_seconds(now), whole_seconds(Millis(SKEW * 1000)));
        if time("exp").is_none_or(|end| end <= now - skew) {
            return Err(Refused("The id token has expired"));
        }
        if time("iat").is_none_or(|issued| issued > now + skew) || time("nbf").is_some_and(|start| start > now + skew) {
            return Err(Refused("The id token is of the future"));
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds stay below 2^53")]
fn whole_seconds(at: Millis) -> f64 {
    (at.0 / 1000) as f64
}

impl Subject {
    /// The name for a new user that a template makes of the claims, in the letters that names have; `None` when a claim is
    /// missing.
    pub fn localpart(&self, template: &str) -> Option<String> {
        let filled = self.fill(template)?.to_lowercase();
        // Of a mail address, what is before the sign.
        let filled = filled.split('@').next()?;
        let letter =
            |letter: char| if letter.is_ascii_alphanumeric() || "._=-/+".contains(letter) { letter } else { '_' };
        let name: String = filled.chars().take(64).map(letter).collect();
        Some(name).filter(|name| name.bytes().any(|byte| byte.is_ascii_alphanumeric()))
    }

    /// A template with its claims filled in; `None` when one is missing.
    pub fn fill(&self, template: &str) -> Option<String> {
        let mut filled = String::new();
        let mut rest = template;
        while let Some((before, from_brace)) = rest.split_once('{') {
            let (name, after) = from_brace.split_once('}')?;
            filled.push_str(before);
            filled.push_str(self.claims.get(name)?.as_str().filter(|value| !value.is_empty())?);
            rest = after;
        }
        filled.push_str(rest);
        Some(filled)
    }
}
