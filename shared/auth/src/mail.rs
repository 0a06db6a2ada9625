//! Proof that a mail address is somebody's (Client-Server API, "Adding Account Administrative Contact Information";
//! Identity Service API, "Establishing associations").
//!
//! The id of a proof is made of what it is for, the address and the client's secret, so that a repeated request finds the
//! same one; and it is signed, so that nothing has to be looked up for ids that nobody was given.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tern_model::{Config, Mail, MatrixError};

use crate::secret::{base64, derived, from_base64, same};

/// Longest address, in bytes (RFC 5321, 4.5.3.1).
const MAX_ADDRESS: usize = 254;
const MAX_LOCAL: usize = 64;
/// Bytes of an id: what names the proof, and its signature.
const NAME: usize = 12;
const SIGNATURE: usize = 8;

/// How long a proof is good, in milliseconds.
pub const LIFETIME: u64 = 60 * 60 * 1000;

/// What an address is to be proven for. A proof for one is none for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Occasion {
    /// A new account.
    Register,
    /// A forgotten password.
    Password,
    /// One more address of an account.
    Add,
}

impl Occasion {
    const fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Password => "password",
            Self::Add => "add",
        }
    }
}

/// What a client shows for an address that it had proven (`threepid_creds`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Creds {
    /// The id of the proof.
    pub sid: String,
    /// The secret that the client made up.
    pub client_secret: String,
}

/// The address as it is kept: in small letters, since nobody tells addresses apart by their case.
///
/// # Errors
/// `M_INVALID_EMAIL` for what is none.
pub fn address(text: &str) -> Result<String, MatrixError> {
    let invalid = || MatrixError::new(400, "M_INVALID_EMAIL", "Not a mail address");
    let (local, domain) = text.trim().rsplit_once('@').ok_or_else(invalid)?;
    let sign = |sign: char| sign.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(sign);
    let local_fits =
        local.len() <= MAX_LOCAL && local.split('.').all(|part| !part.is_empty() && part.chars().all(sign));
    let label = |label: &str| {
        let inner = |sign: char| sign.is_alphanumeric() || sign == '-';
        !label.is_empty() && label.len() <= 63 && label.chars().all(inner) && !label.starts_with('-')
    };
    let domain_fits = domain.contains('.') && domain.split('.').all(label);
    if !local_fits || !domain_fits || text.len() > MAX_ADDRESS {
        return Err(invalid());
    }
    Ok(format!("{local}@{domain}").to_lowercase())
}

/// Refuses a `client_secret` that is none (`[0-9a-zA-Z.=_-]{1,255}`).
///
/// # Errors
/// `M_INVALID_PARAM`.
pub fn check_client_secret(secret: &str) -> Result<(), MatrixError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".=_-".contains(&byte);
    if (1..=255).contains(&secret.len()) && secret.bytes().all(allowed) {
        return Ok(());
    }
    Err(MatrixError::invalid_param("This is not a client secret"))
}

/// The id of a proof.
pub fn id(config: &Config, occasion: Occasion, address: &str, client_secret: &str) -> String {
    let named = derived(&config.token_key, format!("mail proof\0{}\0{address}\0{client_secret}", occasion.name()));
    let named = named.get(..NAME).unwrap_or_default();
    base64(&[named, &signature(config, named)].concat())
}

/// Whether an id was given out by this server.
pub fn is_id(config: &Config, id: &str) -> bool {
    let bytes = if id.len() <= 64 { from_base64(id).unwrap_or_default() } else { Vec::new() };
    bytes
        .split_at_checked(NAME)
        .is_some_and(|(named, signed)| same(&base64(&signature(config, named)), &base64(signed)))
}

fn signature(config: &Config, named: &[u8]) -> Vec<u8> {
    let mut signature = derived(&config.token_key, format!("mail proof id\0{}", base64(named))).to_vec();
    signature.truncate(SIGNATURE);
    signature
}

/// A mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// To whom.
    pub to: String,
    /// What it is about.
    pub subject: String,
    /// What it says.
    pub text: String,
}

impl Letter {
    /// The body of the request that sends it.
    pub fn body(&self, mail: &Mail) -> Value {
        self.fill(mail, &mail.body)
    }

    fn fill(&self, mail: &Mail, template: &Value) -> Value {
        match template {
            Value::String(text) => self.replace(mail, text).into(),
            Value::Array(items) => items.iter().map(|item| self.fill(mail, item)).collect(),
            Value::Object(members) => members
                .iter()
                .map(|(name, value)| (name.clone(), self.fill(mail, value)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            other => other.clone(),
        }
    }

    /// Piece by piece, so that what is put in is not looked at again.
    fn replace(&self, mail: &Mail, template: &str) -> String {
        let fields = [("{from}", &mail.from), ("{to}", &self.to), ("{subject}", &self.subject), ("{text}", &self.text)];
        let mut filled = String::new();
        let mut rest = template;
        while let Some(at) = rest.find('{') {
            let (before, from_brace) = rest.split_at(at);
            filled.push_str(before);
            let field = fields.iter().find_map(|(name, value)| Some((*value, from_brace.strip_prefix(*name)?)));
            rest = if let Some((value, after)) = field {
                filled.push_str(value);
                after
            } else {
                filled.push('{');
                from_brace.strip_prefix('{').unwrap_or_default()
            };
        }
        filled + rest
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;
    use tern_model::Mail;

    use super::{Letter, address};

    #[test]
    fn an_address_is_kept_in_small_letters() {
        assert_eq!(address(" Anna.B+x@Example.ORG ").ok().as_deref(), Some("anna.b+x@example.org"));
        assert_eq!(address("Ännä@bücher.example").ok().as_deref(), Some("ännä@bücher.example"));
        let long = format!("{}@example.org", "a".repeat(65));
        for bad in [
            "",
            "a",
            "a@",
            "@example.org",
            "a@b",
            "a b@example.org",
            "a@example..org",
            ".a@example.org",
            "a@-x.org",
            "a\r\nBcc: b@example.org",
            "a<b@example.org>",
            "\"a\"@example.org",
            "a@example.org,b@example.org",
            "a@[127.0.0.1]",
            long.as_str(),
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_letter_fills_a_template_and_nothing_in_it_is_read_as_one() {
        let mail = Mail {
            url: String::new(),
            from: "Tern <tern@example.org>".to_owned(),
            headers: BTreeMap::new(),
            body: json!({ "personalizations": [{ "to": [{ "email": "{to}" }] }], "n": 1, "text": "{x{text} {subject}" }),
            required: false,
            secret: String::new(),
        };
        let text = "\"{to}\" {".to_owned();
        let letter = Letter { to: "a@example.org".to_owned(), subject: "{text}".to_owned(), text };
        assert_eq!(
            letter.body(&mail),
            json!({ "personalizations": [{ "to": [{ "email": "a@example.org" }] }], "n": 1, "text": "{x\"{to}\" { {text}" })
        );
    }
}
