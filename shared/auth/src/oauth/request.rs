//! Authorization requests (RFC 6749, 4.1.1; RFC 7636, 4.3; OpenID Connect Core, 3.1.2.1) and where they are answered
//! (RFC 9207).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tern_model::Config;

use super::{
    OAuthError,
    client::{Client, GRANT_TYPES},
    code::is_challenge,
    scope::Scope,
};

/// Longest `state` or `nonce`, in bytes.
const MAX_OPAQUE: usize = 2_048;
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An authorization request that can be put before the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizeRequest {
    /// Where it is answered.
    pub reply: ReplyTo,
    /// The scope to be granted.
    pub scope: Scope,
    /// `code_challenge`.
    pub challenge: String,
    /// `nonce`.
    pub nonce: Option<String>,
    /// `prompt`.
    pub prompt: Prompt,
    /// How old the sign-in may be, in seconds: `max_age`, or hardly any age with `prompt=login`.
    pub max_age: Option<u64>,
    /// `login_hint`.
    pub login_hint: Option<String>,
}

/// What the client wants the user to be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prompt {
    /// What is needed.
    #[default]
    Any,
    /// Nothing: answer at once.
    None,
    /// To make an account (Initiating User Registration via OpenID Connect).
    Create,
}

/// Where a request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    /// One that the client registered.
    pub redirect_uri: String,
    /// `response_mode=fragment`.
    pub in_fragment: bool,
    /// `state`.
    pub state: Option<String>,
}

/// Why a request is not put before the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The client or its redirect URI is not to be trusted: only the person in front of the browser is told.
    Shown(OAuthError),
    /// The client is told.
    Told(ReplyTo, OAuthError),
}

/// A prompt for a new sign-in is met by one that is this old, in seconds: the way there and back takes its time.
const JUST_NOW: u64 = 60;

/// The values of `prompt` that are understood. Consent is always asked for, whatever account is chosen.
const PROMPTS: [&str; 5] = ["none", "login", "consent", "select_account", "create"];

impl AuthorizeRequest {
    /// Reads the parameters of a request by `client`.
    ///
    /// # Errors
    /// A [`Fault`].
    pub fn read(params: &[(String, String)], client: &Client) -> Result<Self, Fault> {
        let reply = ReplyTo::read(params, client).map_err(Fault::Shown)?;
        Self::read_rest(params, client, reply.clone()).map_err(|error| Fault::Told(reply, error))
    }

    fn read_rest(params: &[(String, String)], client: &Client, reply: ReplyTo) -> Result<Self, OAuthError> {
        let get = |name: &'static str| only(params, name);
        if get("request")?.is_some() || get("request_uri")?.is_some() {
            return Err(OAuthError::InvalidRequest("Request objects are not supported"));
        }
        match get("response_mode")? {
            None | Some("query" | "fragment") => {}
            Some(_) => return Err(OAuthError::InvalidRequest("response_mode is neither query nor fragment")),
        }
        match get("response_type")? {
            Some("code") if client.may(GRANT_TYPES[0]) => {}
            Some("code") => return Err(OAuthError::UnauthorizedClient("The client did not register for this grant")),
            Some(_) => return Err(OAuthError::UnsupportedResponseType),
            None => return Err(OAuthError::InvalidRequest("response_type is missing")),
        }
        if get("code_challenge_method")? != Some("S256") {
            return Err(OAuthError::InvalidRequest("code_challenge_method must be S256"));
        }
        let challenge = get("code_challenge")?.filter(|challenge| is_challenge(challenge));
        let challenge =
            challenge.ok_or(OAuthError::InvalidRequest("code_challenge is missing or malformed"))?.to_owned();
        let scope = Scope::parse(get("scope")?.unwrap_or_default())?;
        let nonce = get("nonce")?.map(str::to_owned);
        if nonce.as_ref().is_some_and(|nonce| nonce.len() > MAX_OPAQUE) {
            return Err(OAuthError::InvalidRequest("nonce is too long"));
        }
        let (prompt, anew) = read_prompt(get("prompt")?.unwrap_or_default())?;
        let max_age = get("max_age")?.map(str::parse::<u64>).transpose();
        let max_age = max_age.map_err(|_| OAuthError::InvalidRequest("max_age is not a number"))?;
        let max_age = if anew { Some(JUST_NOW) } else { max_age.map(|age| age.max(JUST_NOW)) };
        let login_hint = get("login_hint")?.map(|hint| hint.strip_prefix("mxid:").unwrap_or(hint).to_owned());
        Ok(Self { reply, scope, challenge, nonce, prompt, max_age, login_hint })
    }
}

/// Reads `prompt`, a list; also whether the user has to sign in anew.
fn read_prompt(text: &str) -> Result<(Prompt, bool), OAuthError> {
    let values: Vec<&str> = text.split(' ').filter(|value| !value.is_empty()).collect();
    if values.iter().any(|value| !PROMPTS.contains(value)) {
        return Err(OAuthError::InvalidRequest("This prompt is not supported"));
    }
    let prompt = match values.as_slice() {
        ["none"] => Prompt::None,
        values if values.contains(&"none") => {
            return Err(OAuthError::InvalidRequest("Nothing goes with prompt=none"));
        }
        values if values.contains(&"create") => Prompt::Create,
        _ => Prompt::Any,
    };
    Ok((prompt, values.contains(&"login")))
}

impl ReplyTo {
    fn read(params: &[(String, String)], client: &Client) -> Result<Self, OAuthError> {
        let redirect_uri =
            only(params, "redirect_uri")?.ok_or(OAuthError::InvalidRequest("redirect_uri is missing"))?;
        if !client.redirects_to(redirect_uri) {
            return Err(OAuthError::InvalidRequest("This client has not registered this redirect_uri"));
        }
        let state = only(params, "state")?.map(str::to_owned);
        if state.as_ref().is_some_and(|state| state.len() > MAX_OPAQUE) {
            return Err(OAuthError::InvalidRequest("state is too long"));
        }
        let in_fragment = only(params, "response_mode")? == Some("fragment");
        Ok(Self { redirect_uri: redirect_uri.to_owned(), in_fragment, state })
    }

    /// The address that carries the answer back.
    pub fn address(&self, config: &Config, answer: &[(&str, &str)]) -> String {
        let issuer = issuer(config);
        let common = [("state", self.state.as_deref()), ("iss", Some(issuer.as_str()))];
        let common = common.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let pairs = answer.iter().copied().chain(common);
        let query: Vec<String> =
            pairs.map(|(key, value)| format!("{key}={}", utf8_percent_encode(value, VALUE))).collect();
        let separator = match (self.in_fragment, self.redirect_uri.contains('?')) {
            (true, _) => '#',
            (false, true) => '&',
            (false, false) => '?',
        };
        format!("{}{separator}{}", self.redirect_uri, query.join("&"))
    }

    /// The address that carries an error back.
    pub fn error_response(&self, config: &Config, error: OAuthError) -> String {
        self.address(config, &[("error", error.code()), ("error_description", &error.to_string())])
    }

    /// The place a browser is sent to, as [`source`] writes it.
    pub fn source(&self) -> String {
        source(&self.redirect_uri)
    }
}

/// The place a browser is sent to, as a source of a content security policy. What could mean anything else there is left
/// out.
pub fn source(uri: &str) -> String {
    let (scheme, rest) = uri.split_once(':').unwrap_or_default();
    let authority = rest.strip_prefix("//").and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    // An IPv6 address, for one, cannot be written there.
    let plain = authority.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte));
    if !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
        String::new()
    } else if scheme.starts_with("http") && plain && !authority.is_empty() {
        format!("{scheme}://{authority}")
    } else {
        format!("{scheme}:")
    }
}

/// The issuer identifier (RFC 8414, 2).
pub fn issuer(config: &Config) -> String {
    format!("{}/", config.base_url())
}

/// A parameter that must not be repeated (RFC 6749, 3.1). An empty one counts as absent.
///
/// # Errors
/// `invalid_request` when it is there twice.
pub fn only<'a>(params: &'a [(String, String)], name: &'static str) -> Result<Option<&'a str>, OAuthError> {
    let mut values = params.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let first = values.next().filter(|value| !value.is_empty());
    if values.next().is_some() { Err(OAuthError::InvalidRequest("A parameter is repeated")) } else { Ok(first) }
}

#[cfg(test)]
mod tests {
    use super::{Prompt, read_prompt, source};

    #[test]
    fn a_source_is_one_source_and_no_directive() {
        for (uri, expected) in [
            ("https://app.example.org:8443/x?y", "https://app.example.org:8443"),
            ("http://[::1]/", "http:"),
            ("org.example.app:/cb", "org.example.app:"),
            ("https://app.example.org;script-src", "https:"),
            ("https://*.example.org/", "https:"),
            ("x;script-src *:/", ""),
        ] {
            assert_eq!(source(uri), expected, "{uri}");
        }
    }

    #[test]
    fn prompts_are_a_list() {
        for (text, expected) in [
            ("", Some((Prompt::Any, false))),
            ("consent select_account", Some((Prompt::Any, false))),
            ("login consent", Some((Prompt::Any, true))),
            ("none", Some((Prompt::None, false))),
            ("create", Some((Prompt::Create, false))),
            ("none login", None),
            ("none none", None),
            ("register", None),
        ] {
            assert_eq!(read_prompt(text).ok(), expected, "{text}");
        }
    }
}
