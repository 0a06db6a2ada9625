//! Clients and their registration (RFC 7591; Client-Server API, "Client registration"; RFC 8252 for native ones).
//!
//! A client's id is the hash of what it registered, so the same client registers many times and is stored once.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tern_model::Algorithm;

use super::{
    OAuthError,
    redirect::{check_redirect, https, is_other_port, is_within},
};
use crate::secret::base64;

/// The grant types there are.
pub const GRANT_TYPES: [&str; 3] =
    ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"];
/// The grant of devices.
pub const DEVICE_CODE: &str = GRANT_TYPES[2];
/// Most redirect URIs of a client.
const MOST_REDIRECTS: usize = 20;
/// Longest name, in characters; a longer one is cut.
const MAX_NAME: usize = 100;

/// What a client registered, as far as we keep it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// `client_name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// `client_uri`: its home page, which vouches for its redirect URIs.
    pub client_uri: String,
    /// `logo_uri`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<String>,
    /// `tos_uri`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<String>,
    /// `policy_uri`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<String>,
    /// `redirect_uris`.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    /// `grant_types`.
    pub grant_types: Vec<String>,
    /// `response_types`.
    pub response_types: Vec<String>,
    /// `application_type`: `web` or `native`.
    pub application_type: String,
    /// `token_endpoint_auth_method`: always `none`, since nobody can keep a secret that was given to everybody.
    pub token_endpoint_auth_method: String,
    /// `id_token_signed_response_alg`; the first of [`Algorithm::ALL`] when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token_signed_response_alg: Option<Algorithm>,
}

impl Client {
    /// Reads and checks a registration.
    ///
    /// # Errors
    /// `invalid_redirect_uri`, `invalid_client_metadata`.
    pub fn register(metadata: &Map<String, Value>) -> Result<Self, OAuthError> {
        let text = |name: &str| metadata.get(name).and_then(Value::as_str);
        let home = text("client_uri").ok_or(OAuthError::InvalidClientMetadata("client_uri is missing"))?;
        let home_url = https(home).ok_or(OAuthError::InvalidClientMetadata("client_uri is not an https URL"))?;
        let home_host = home_url.host_str().unwrap_or_default();
        let is_native = match text("application_type") {
            None | Some("web") => false,
            Some("native") => true,
            Some(_) => return Err(OAuthError::InvalidClientMetadata("application_type is neither web nor native")),
        };
        let grant_types = known(metadata, "grant_types", &GRANT_TYPES, &GRANT_TYPES[..1])?;
        let redirect_uris = list(metadata, "redirect_uris")?.unwrap_or_default();
        let redirects = grant_types.iter().any(|grant| grant == GRANT_TYPES[0]);
        if redirect_uris.len() > MOST_REDIRECTS || redirects && redirect_uris.is_empty() {
            return Err(OAuthError::InvalidRedirectUri("There must be one redirect URI at least, and twenty at most"));
        }
        for uri in &redirect_uris {
            check_redirect(uri, home_host, is_native)?;
        }
        let response_types =
            if redirects { known(metadata, "response_types", &["code"], &["code"])? } else { Vec::new() };
        let signed = text("id_token_signed_response_alg").map(|name| {
            let unknown = OAuthError::InvalidClientMetadata("id_token_signed_response_alg is neither RS256 nor ES256");
            Algorithm::named(name).ok_or(unknown)
        });
        // What is only shown is left out when it is not the client's own.
        let own = |name: &str| text(name).filter(|uri| https(uri).is_some_and(|url| is_within(&url, home_host)));
        Ok(Self {
            client_name: text("client_name").map(shown).filter(|name| !name.is_empty()),
            client_uri: home.to_owned(),
            logo_uri: own("logo_uri").map(str::to_owned),
            tos_uri: own("tos_uri").map(str::to_owned),
            policy_uri: own("policy_uri").map(str::to_owned),
            redirect_uris,
            grant_types,
            response_types,
            application_type: if is_native { "native" } else { "web" }.to_owned(),
            token_endpoint_auth_method: "none".to_owned(),
            id_token_signed_response_alg: signed.transpose()?,
        })
    }

    /// Its id.
    pub fn id(&self) -> String {
        // Our own types always serialise.
        let digest = Sha256::digest(serde_json::to_string(self).unwrap_or_default());
        base64(digest.get(..18).unwrap_or_default())
    }

    /// The name to show, which is only what the client says of itself.
    pub fn name(&self) -> &str {
        self.client_name.as_deref().unwrap_or_else(|| self.host())
    }

    /// The host of its home page.
    pub fn host(&self) -> &str {
        let rest = self.client_uri.split_once("://").map_or("", |(_, rest)| rest);
        rest.split(['/', '?', '#']).next().unwrap_or_default()
    }

    /// How its id tokens are signed.
    pub fn signed(&self) -> Algorithm {
        self.id_token_signed_response_alg.unwrap_or(Algorithm::Rs256)
    }

    /// Whether it registered for a grant type.
    pub fn may(&self, grant_type: &str) -> bool {
        self.grant_types.iter().any(|known| known == grant_type)
    }

    /// Whether it may be answered at this URI: exactly one it registered, but any port of the loopback interface
    /// (RFC 8252, 7.3).
    pub fn redirects_to(&self, uri: &str) -> bool {
        self.redirect_uris.iter().any(|known| known == uri || is_other_port(known, uri))
    }
}

/// A name fit to be shown: no control or direction characters, not too long.
fn shown(name: &str) -> String {
    let fit = |char: &char| {
        !char.is_control()
            && !matches!(char, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    name.chars().filter(fit).take(MAX_NAME).collect::<String>().trim().to_owned()
}

fn list(metadata: &Map<String, Value>, name: &str) -> Result<Option<Vec<String>>, OAuthError> {
    let malformed = OAuthError::InvalidClientMetadata("A list of strings is malformed");
    let Some(value) = metadata.get(name) else { return Ok(None) };
    let values = value.as_array().filter(|values| values.len() <= 64).ok_or(malformed)?;
    values.iter().map(|value| value.as_str().map(str::to_owned).ok_or(malformed)).collect::<Result<_, _>>().map(Some)
}

/// The known ones of a list, in our order; what we do not know is not registered (RFC 7591, 2).
fn known(metadata: &Map<String, Value>, name: &str, all: &[&str], default: &[&str]) -> Result<Vec<String>, OAuthError> {
    let Some(asked) = list(metadata, name)? else { return Ok(default.iter().map(|&one| one.to_owned()).collect()) };
    let known: Vec<String> =
        all.iter().filter(|one| asked.iter().any(|asked| asked == *one)).map(|&one| one.to_owned()).collect();
    if known.is_empty() {
        Err(OAuthError::InvalidClientMetadata("None of these types is supported"))
    } else {
        Ok(known)
    }
}
