//! Signing in on the pages. Run in the proxy: users are in the storage worker, browsers in their users' hubs.

use ruma::{OwnedUserId, UserId};
use tern_auth::{
    appservice, login,
    mail::{Creds, Occasion},
    oauth::ticket::Ticket,
    password, username,
};
use tern_model::{Class, Config, MatrixError};
use tern_ports::{
    Clock, Entropy, Transport, ask_storage, ask_user,
    wire::{
        grant::{BrowserView, CloseBrowser, OpenBrowser, ReadBrowser},
        storage::{LoadUser, SetPassword},
        threepid::Threepid,
        user::CloseSessions,
    },
};

use crate::{
    account, admin,
    credentials::{by_mail, check_password},
    limit::{self, Guess},
    profile::set_display_name,
    random::random,
    register::{Made, check_free, check_terms, create_user, open_flows},
    threepid, uia,
};

/// Where a visitor comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// The address.
    pub ip: Option<String>,
    /// The browser, as it names itself.
    pub agent: Option<String>,
}

/// Somebody who is signed in on the pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Who.
    pub user_id: OwnedUserId,
    /// What their hub says.
    pub view: BrowserView,
}

/// What somebody wrote who wants an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewAccount<'a> {
    /// The name.
    pub name: &'a str,
    /// The password.
    pub password: &'a str,
    /// The registration token.
    pub token: Option<&'a str>,
    /// The address that was proven, with the token of the mail.
    pub mail: Option<(&'a Creds, &'a str)>,
    /// They agree to the terms.
    pub agreed: bool,
}

/// Signs a browser in; answers with its cookie.
///
/// # Errors
/// `M_FORBIDDEN` for a wrong name or password alike.
pub async fn sign_in<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    name: &str,
    password: &str,
    client_info: ClientInfo,
) -> Result<String, MatrixError> {
    limit::by_address(edge, config, Class::Login, client_info.ip.as_deref()).await?;
    let named = if name.contains('@') && !name.starts_with('@') {
        by_mail(edge, config, name).await?
    } else {
        username::for_login(name, &config.server_name)
    };
    let guess = Guess::SignIn(client_info.ip.as_deref());
    let user_id = check_password(edge, config, named, password, guess).await?;
    open(edge, user_id, client_info).await
}

/// Makes an account and signs the browser in; answers with its cookie.
///
/// # Errors
/// `M_FORBIDDEN` when registration is closed, `M_TERMS_NOT_SIGNED`, `M_UNAUTHORIZED` for a wrong registration token,
/// `M_INVALID_USERNAME`, `M_USER_IN_USE`, a password that cannot be used.
pub async fn register<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    account: NewAccount<'_>,
    client_info: ClientInfo,
) -> Result<String, MatrixError> {
    limit::by_address(edge, config, Class::Register, client_info.ip.as_deref()).await?;
    let token = account.token.map(str::trim).filter(|token| !token.is_empty());
    open_flows(config)?;
    check_terms(config, account.agreed)?;
    if !config.open_registration && !uia::is_registration_token(edge, config, token.unwrap_or_default()).await? {
        return Err(MatrixError::new(403, "M_UNAUTHORIZED", "Invalid registration token"));
    }
    let used = token.filter(|token| !uia::is_operators(config, token)).map(str::to_owned);
    let user_id = username::for_registration(account.name, &config.server_name)?;
    appservice::check_user(config, None, &user_id)?;
    let identifiers = proven(edge, config, &user_id, &account).await?;
    create_user(
        edge,
        config,
        &user_id,
        Some(account.password),
        Made { admin: false, registration_token: used, identifiers },
    )
    .await?;
    let cookie = open(edge, user_id.clone(), client_info).await?;
    // As they wrote it, capitals and all. The account is there without it, so they are let in in any case.
    let _ = set_display_name(edge, &user_id, account.name).await;
    Ok(cookie)
}

/// The address that somebody who wants an account has proven. It is used up by that, so what else can go wrong is looked
/// at before.
async fn proven<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    user_id: &UserId,
    account: &NewAccount<'_>,
) -> Result<Vec<Threepid>, MatrixError> {
    let Some((creds, token)) = account.mail else {
        let required = config.accounts.mail.as_ref().is_some_and(|mail| mail.required);
        let missing = || MatrixError::new(403, "M_THREEPID_AUTH_FAILED", "A mail address is needed");
        return if required { Err(missing()) } else { Ok(Vec::new()) };
    };
    password::check(account.password)?;
    check_free(edge, user_id).await?;
    threepid::confirm(edge, config, &creds.sid, token).await?;
    let proof = threepid::spend(edge, config, Occasion::Register, creds).await?;
    Ok(vec![threepid::of(proof, edge)])
}

/// Sets a new password for whoever reads the account's mail, and signs out every device and browser.
///
/// # Errors
/// `M_THREEPID_AUTH_FAILED` for a link that is worth nothing, a password that cannot be used.
pub async fn recover<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    creds: &Creds,
    token: &str,
    new: &str,
) -> Result<OwnedUserId, MatrixError> {
    password::check(new)?;
    threepid::confirm(edge, config, &creds.sid, token).await?;
    let proof = threepid::spend(edge, config, Occasion::Password, creds).await?;
    account::replace_password(edge, config, &proof, new, true).await
}

/// Who a browser belongs to; nobody when it is not, or no longer, signed in.
///
/// # Errors
/// When the hub cannot be asked.
pub async fn read<E: Transport>(edge: &E, config: &Config, cookie: &str) -> Result<Option<Signed>, MatrixError> {
    let Some(user_id) = Ticket::Browser.user_of(cookie, &config.server_name) else { return Ok(None) };
    match ask_user(edge, &user_id, ReadBrowser { cookie: cookie.to_owned() }).await {
        Ok(view) => Ok(Some(Signed { user_id, view })),
        Err(error) if error.status == 401 => Ok(None),
        Err(error) => Err(error),
    }
}

/// Signs a browser out.
///
/// # Errors
/// When the hub cannot be asked.
pub async fn sign_out<E: Transport>(edge: &E, user_id: &UserId, cookie: &str) -> Result<(), MatrixError> {
    match ask_user(edge, user_id, CloseBrowser { cookie: cookie.to_owned() }).await {
        Err(error) if error.status != 401 => Err(error),
        _ => Ok(()),
    }
}

pub(crate) async fn open<E: Transport>(
    edge: &E,
    user_id: OwnedUserId,
    client_info: ClientInfo,
) -> Result<String, MatrixError> {
    let ClientInfo { ip, agent } = client_info;
    let of = user_id.clone();
    ask_user(edge, &of, OpenBrowser { user_id, ip, agent }).await
}

/// Whether an account has a password. Whoever comes in by another provider alone has none.
///
/// # Errors
/// 503.
pub async fn has_password<E: Transport>(edge: &E, user_id: &UserId) -> Result<bool, MatrixError> {
    let row = ask_storage(edge, LoadUser { user_id: user_id.to_owned() }).await?;
    Ok(row.is_some_and(|row| row.password_hash.is_some()))
}

/// How somebody shows, before something sensitive, that the account is theirs.
#[derive(Clone, Copy, Debug)]
pub enum AccountProof<'a> {
    /// The password.
    Password(&'a str),
    /// They have signed in a short time ago, which is all that can be asked of whoever has no password.
    SignedInLately,
}

async fn check<E: Transport>(
    edge: &E,
    config: &Config,
    user_id: &UserId,
    account_proof: AccountProof<'_>,
) -> Result<(), MatrixError> {
    match account_proof {
        AccountProof::Password(password) => {
            check_password(edge, config, Some(user_id.to_owned()), password, Guess::Proof).await.map(drop)
        }
        AccountProof::SignedInLately if has_password(edge, user_id).await? => Err(login::refused()),
        AccountProof::SignedInLately => Ok(()),
    }
}

/// Changes a password, and signs out every device and browser when asked to.
///
/// # Errors
/// `M_FORBIDDEN` for a wrong password, a new one that cannot be used.
pub async fn change_password<E: Transport + Entropy>(
    edge: &E,
    config: &Config,
    user_id: &UserId,
    account_proof: AccountProof<'_>,
    new: &str,
    everywhere: bool,
) -> Result<(), MatrixError> {
    check(edge, config, user_id, account_proof).await?;
    let password_hash = password::hash(&config.accounts, new, &random(edge))?;
    ask_storage(edge, SetPassword { user_id: user_id.to_owned(), password_hash }).await?;
    if everywhere { end_all(edge, user_id).await } else { Ok(()) }
}

/// Ends an account for ever: no password, no device, no browser, no room; with `erase`, no profile and account data.
///
/// # Errors
/// `M_FORBIDDEN` for a wrong password.
pub async fn deactivate<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    user_id: &UserId,
    account_proof: AccountProof<'_>,
    erase: bool,
) -> Result<(), MatrixError> {
    check(edge, config, user_id, account_proof).await?;
    admin::deactivate(edge, config, user_id, erase).await
}

async fn end_all(edge: &impl Transport, user_id: &UserId) -> Result<(), MatrixError> {
    ask_user(edge, user_id, CloseSessions { session: None, devices: None, except: None }).await?;
    Ok(())
}
