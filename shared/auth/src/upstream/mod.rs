//! Signing in with an account of another OpenID provider (OpenID Connect Core 1.0 and Discovery 1.0; RFC 9700): what is
//! sent there, and which id tokens are believed.

mod id_token;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tern_model::{Config, upstream::Provider};
use url::{Url, form_urlencoded::Serializer};

pub use self::id_token::{IdToken, Subject};
use crate::secret::{base64, derived, same};

/// The page that providers send people back to.
pub const CALLBACK: &str = "/account/upstream/callback";

/// Why somebody is not signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub &'static str);

/// What a provider says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Discovery {
    issuer: String,
    authorization_endpoint: String,
    /// Where codes are exchanged.
    pub token_endpoint: String,
    /// Where its keys are.
    pub jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    /// It says in each answer who it is (RFC 9207).
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// Where a provider says it (OpenID Connect Discovery, 4.1).
pub fn discovery_url(provider: &Provider) -> String {
    format!("{}/.well-known/openid-configuration", provider.issuer.trim_end_matches('/'))
}

/// What is wrong with a configuration of providers.
///
/// # Errors
/// The provider that cannot be told apart from another, or whose id needs more than the letters of an address.
pub fn check(providers: &[Provider]) -> Result<(), String> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    for (place, provider) in providers.iter().enumerate() {
        let id = provider.id.as_str();
        if id.is_empty() || id.len() > 64 || !id.bytes().all(letter) {
            return Err(format!("{id:?} is not an id of a provider"));
        }
        if providers.iter().take(place).any(|other| other.id == id) {
            return Err(format!("{id}: there are two providers of this id"));
        }
    }
    Ok(())
}

/// The provider of a configuration by its id.
pub fn find<'a>(config: &'a Config, id: &str) -> Option<&'a Provider> {
    config.accounts.upstream.iter().find(|provider| provider.id == id)
}

/// The medium under which accounts of a provider are kept.
pub fn medium(provider: &Provider) -> String {
    format!("oidc:{}", provider.id)
}

/// What belongs to one attempt, made of its `state`.
struct Attempt {
    nonce: String,
    verifier: String,
}

fn attempt(config: &Config, state: &str) -> Attempt {
    let part = |name: &str| base64(&derived(&config.token_key, format!("upstream {name}\0{state}")));
    Attempt { nonce: part("nonce"), verifier: part("verifier") }
}

/// A fresh `state`. It is signed, so that nothing has to be looked up for one that nobody was given.
pub fn new_state(config: &Config, random: [u8; 16]) -> String {
    let named = base64(&random);
    format!("{named}.{}", signature(config, &named))
}

/// Whether this server made a `state`.
pub fn is_state(config: &Config, state: &str) -> bool {
    state.len() <= 128 && state.split_once('.').is_some_and(|(named, claimed)| same(&signature(config, named), claimed))
}

fn signature(config: &Config, named: &str) -> String {
    base64(derived(&config.token_key, format!("upstream state\0{named}")).get(..12).unwrap_or_default())
}

impl Discovery {
    /// Whether this is what the provider says of itself, and not another (OpenID Connect Discovery, 4.3).
    pub fn is_of(&self, provider: &Provider) -> bool {
        self.issuer == provider.issuer
    }

    /// Whether an answer that names this issuer is the provider's. One that always names itself does so here too, so that
    /// no other provider can pass off its answers (RFC 9207, 2.4).
    pub fn answers_as(&self, issuer: Option<&str>) -> bool {
        issuer.map_or(!self.authorization_response_iss_parameter_supported, |issuer| issuer == self.issuer)
    }

    /// Where a browser is sent.
    ///
    /// # Errors
    /// When the provider names no address.
    pub fn authorization_url(&self, config: &Config, provider: &Provider, state: &str) -> Result<String, Refused> {
        let mut url = Url::parse(&self.authorization_endpoint).map_err(|_| Refused("The provider has no address"))?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(Refused("The provider has no address"));
        }
        let Attempt { nonce, verifier } = attempt(config, state);
        url.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", &provider.client_id),
            ("redirect_uri", &callback(config)),
            ("scope", &provider.scope),
            ("state", state),
            ("nonce", &nonce),
            ("code_challenge", &base64(&Sha256::digest(verifier))),
            ("code_challenge_method", "S256"),
        ]);
        Ok(url.into())
    }

    /// The body that exchanges a code, and the `authorization` header that goes with it.
    pub fn exchange(&self, config: &Config, provider: &Provider, state: &str, code: &str) -> (String, Option<String>) {
        let basic = self.token_endpoint_auth_methods_supported.is_empty()
            || self.token_endpoint_auth_methods_supported.iter().any(|method| method == "client_secret_basic");
        // A space as %20, which those who decode forms read as well as those who decode URIs.
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let (callback, attempt) = (callback(config), attempt(config, state));
        let mut pairs = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &callback),
            ("code_verifier", &attempt.verifier),
            ("client_id", &provider.client_id),
        ];
        let secret = Some(provider.secret.as_str()).filter(|secret| !secret.is_empty());
        // RFC 6749, 2.3.1.
        let header = secret.filter(|_| basic).map(|secret| {
            use base64::{Engine, engine::general_purpose::STANDARD};
            format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(&provider.client_id), encoded(secret))))
        });
        pairs.extend(secret.filter(|_| !basic).map(|secret| ("client_secret", secret)));
        (Serializer::new(String::new()).extend_pairs(pairs).finish(), header)
    }
}

fn callback(config: &Config) -> String {
    format!("{}{CALLBACK}", config.base_url())
}
