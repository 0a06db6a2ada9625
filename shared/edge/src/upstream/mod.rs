//! Signing in with an account of another OpenID provider, run in the proxy.
//!
//! An attempt is an entry in a one-time store of its own, tied to the browser that began it and taken once: an answer
//! that comes again, or in another browser, finds nothing.

mod provider;
mod ties;

use self::provider::{ask_who, discover, refused};
pub use self::{
    provider::Known,
    ties::{tied, unlink},
};
use crate::{
    browser::{self, ClientInfo, open},
    limit,
    profile::set_display_name,
    random::random,
    register::{Made, check_terms, create_user},
};
use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};
use tern_auth::{
    appservice,
    oauth::ticket::hash,
    secret::{base64, same},
    upstream::{self as rules, Refused, Subject},
    username,
};
use tern_model::{Class, Config, MatrixError, RawJson, upstream::Provider};
use tern_ports::{
    Clock, Crypto, Entropy, Outbound, Transport, ask_one_time_store, ask_storage,
    wire::{
        one_time_store::{ReadEntries, StoreEntry, TakeEntries},
        threepid::{AddThreepid, FindThreepid, Threepid},
    },
};

/// How long somebody may take at the provider, and to choose a name afterwards, in milliseconds.
const ATTEMPT_FOR: u64 = 10 * 60_000;
const ENTRY: &str = "attempt";

/// Where somebody comes from and wants to go.
#[derive(Clone, Debug)]
pub struct LoginAttempt<'a> {
    /// The browser's cookie.
    pub cookie: &'a str,
    /// The page to go on with.
    pub target: &'a str,
    /// Whose account is to be tied to the one at the provider.
    pub link: Option<OwnedUserId>,
}

#[derive(Serialize, Deserialize)]
struct Attempt {
    provider: String,
    target: String,
    browser: String,
    link: Option<OwnedUserId>,
    /// Who it turned out to be, while a name is chosen.
    #[serde(default)]
    sub: Option<String>,
    #[serde(default)]
    display_name: Option<String>,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Signed in: the browser's new cookie.
    SignedIn {
        /// The cookie.
        cookie: String,
        /// The page to go on with.
        target: String,
    },
    /// The account is tied to the one at the provider.
    Linked {
        /// The page to go on with.
        target: String,
    },
    /// There is no account yet, and it needs a name.
    NeedsName {
        /// Names this attempt.
        state: String,
        /// A name to begin with.
        suggestion: String,
    },
}

/// Begins an attempt: the address at the provider to send the browser to.
///
/// # Errors
/// `M_NOT_FOUND` for a provider that is not there, 502 when it cannot be asked.
pub async fn begin<E: Transport + Outbound + Clock + Entropy>(
    edge: &E,
    config: &Config,
    known: &Known,
    provider: &str,
    login: LoginAttempt<'_>,
    ip: Option<&str>,
) -> Result<String, MatrixError> {
    let provider = rules::find(config, provider).ok_or_else(|| MatrixError::not_found("No such provider"))?;
    limit::by_address(edge, config, Class::Login, ip).await?;
    let discovery = discover(edge, known, provider).await?;
    let state = rules::new_state(config, random(edge));
    let attempt = Attempt {
        provider: provider.id.clone(),
        target: login.target.to_owned(),
        browser: digest(login.cookie),
        link: login.link,
        sub: None,
        display_name: None,
    };
    leave(edge, &state, &attempt).await?;
    discovery.authorization_url(config, provider, &state).map_err(refused)
}

/// What a provider sent along with the browser.
#[derive(Clone, Copy, Debug)]
pub struct Callback<'a> {
    /// `state`.
    pub state: &'a str,
    /// `code`.
    pub code: Option<&'a str>,
    /// `iss` (RFC 9207).
    pub issuer: Option<&'a str>,
}

/// Ends an attempt, once.
///
/// # Errors
/// 403 for an attempt that is over or of another browser, and for an id token that is not believed.
pub async fn finish<E: Transport + Outbound + Clock + Entropy + Crypto>(
    edge: &E,
    config: &Config,
    known: &Known,
    cookie: &str,
    callback: Callback<'_>,
    client_info: ClientInfo,
) -> Result<Outcome, MatrixError> {
    let mut attempt = take(edge, config, callback.state, cookie).await?;
    let provider = rules::find(config, &attempt.provider).ok_or_else(over)?;
    if !discover(edge, known, provider).await?.answers_as(callback.issuer) {
        return Err(refused(Refused("The answer is of another provider")));
    }
    let code = callback.code.ok_or_else(|| refused(Refused("The provider did not let you in")))?;
    let subject = ask_who(edge, config, known, provider, callback.state, code).await?;
    let medium = rules::medium(provider);
    if let Some(user_id) = attempt.link.take() {
        // Whoever was signed out in the meantime ties nothing any more.
        let signed = browser::read(edge, config, cookie).await?;
        signed.filter(|signed| signed.user_id == user_id).ok_or_else(over)?;
        let threepid = identifier(medium, &subject.sub, edge);
        ask_storage(edge, AddThreepid { user_id, threepid }).await?;
        return Ok(Outcome::Linked { target: attempt.target });
    }
    match ask_storage(edge, FindThreepid { medium, address: subject.sub.clone() }).await? {
        Some(user_id) => {
            let cookie = open(edge, user_id, client_info).await?;
            Ok(Outcome::SignedIn { cookie, target: attempt.target })
        }
        None if provider.register => sign_up(edge, config, provider, attempt, subject, client_info).await,
        None => Err(refused(Refused("No account here is tied to this one"))),
    }
}

/// Makes an account for somebody new, if the provider says under which name, that is free, and there are no terms to agree
/// to first.
async fn sign_up<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    provider: &Provider,
    attempt: Attempt,
    subject: Subject,
    client_info: ClientInfo,
) -> Result<Outcome, MatrixError> {
    let suggestion = provider.localpart.as_deref().and_then(|template| subject.localpart(template));
    let display_name = provider.display_name.as_deref().and_then(|template| subject.fill(template));
    let attempt = Attempt { display_name, sub: Some(subject.sub), ..attempt };
    if let Some(name) = suggestion.as_ref().filter(|_| config.accounts.terms.is_empty()) {
        match make(edge, config, &attempt, name, client_info).await {
            Ok(cookie) => return Ok(Outcome::SignedIn { cookie, target: attempt.target }),
            Err(error) if matches!(error.errcode.as_ref(), "M_USER_IN_USE" | "M_INVALID_USERNAME" | "M_EXCLUSIVE") => {}
            Err(error) => return Err(error),
        }
    }
    let state = rules::new_state(config, random(edge));
    leave(edge, &state, &attempt).await?;
    Ok(Outcome::NeedsName { state, suggestion: suggestion.unwrap_or_default() })
}

/// What somebody says on the way to a new account.
#[derive(Clone, Copy, Debug)]
pub struct Chosen<'a> {
    /// The name.
    pub name: &'a str,
    /// They agree to the terms.
    pub agreed: bool,
}

/// Makes the account under a name that was chosen; answers with the browser's cookie and the page to go on with.
///
/// # Errors
/// 403 for an attempt that is over, `M_TERMS_NOT_SIGNED`, `M_USER_IN_USE`, `M_INVALID_USERNAME`.
pub async fn choose_name<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    cookie: &str,
    state: &str,
    chosen: Chosen<'_>,
    client_info: ClientInfo,
) -> Result<(String, String), MatrixError> {
    let attempt = read(edge, config, state, cookie).await?;
    check_terms(config, chosen.agreed)?;
    let cookie = make(edge, config, &attempt, chosen.name, client_info).await?;
    // The account is tied to the one at the provider, so a second account cannot come of this.
    ask_one_time_store(edge, &store_name(state), TakeEntries {}).await?;
    Ok((cookie, attempt.target))
}

async fn make<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    attempt: &Attempt,
    name: &str,
    client_info: ClientInfo,
) -> Result<String, MatrixError> {
    let (provider, sub) = rules::find(config, &attempt.provider).zip(attempt.sub.as_deref()).ok_or_else(over)?;
    let user_id = username::for_registration(name, &config.server_name)?;
    appservice::check_user(config, None, &user_id)?;
    limit::by_address(edge, config, Class::Register, client_info.ip.as_deref()).await?;
    let identifiers = vec![identifier(rules::medium(provider), sub, edge)];
    create_user(edge, config, &user_id, None, Made { identifiers, ..Made::default() }).await?;
    let cookie = open(edge, user_id.clone(), client_info).await?;
    set_display_name(edge, &user_id, attempt.display_name.as_deref().unwrap_or(name)).await?;
    Ok(cookie)
}

fn identifier(medium: String, sub: &str, clock: &impl Clock) -> Threepid {
    let now = clock.now();
    Threepid { medium, address: sub.to_owned(), validated_at: now, added_at: now }
}

async fn leave<E: Transport + Clock>(edge: &E, state: &str, attempt: &Attempt) -> Result<(), MatrixError> {
    let value = RawJson::from_value(attempt).map_err(|_| MatrixError::internal())?;
    let until = edge.now().plus(ATTEMPT_FOR);
    ask_one_time_store(edge, &store_name(state), StoreEntry { name: ENTRY.to_owned(), value, until }).await?;
    Ok(())
}

async fn take<E: Transport>(edge: &E, config: &Config, state: &str, cookie: &str) -> Result<Attempt, MatrixError> {
    // Another browser takes nothing away.
    read(edge, config, state, cookie).await?;
    let entries = ask_one_time_store(edge, &store_name(state), TakeEntries {}).await?;
    entries.get(ENTRY).and_then(|note| note.read().ok()).ok_or_else(over)
}

async fn read<E: Transport>(edge: &E, config: &Config, state: &str, cookie: &str) -> Result<Attempt, MatrixError> {
    if !rules::is_state(config, state) {
        return Err(over());
    }
    let entries = ask_one_time_store(edge, &store_name(state), ReadEntries {}).await?;
    let attempt: Option<Attempt> = entries.get(ENTRY).and_then(|note| note.read().ok());
    attempt.filter(|attempt| same(&attempt.browser, &digest(cookie))).ok_or_else(over)
}

fn digest(text: &str) -> String {
    base64(&hash(text))
}

fn store_name(state: &str) -> String {
    format!("upstream/{}", digest(state))
}

fn over() -> MatrixError {
    refused(Refused("This attempt is over, or was begun in another browser"))
}
