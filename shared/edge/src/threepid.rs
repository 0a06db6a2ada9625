//! Mail addresses of accounts (Client-Server API, "Adding Account Administrative Contact Information"), run in the proxy.
//!
//! Nobody learns from an answer whether an address belongs to an account: a mail is sent in every case, and only whoever
//! reads it is told.

use ruma::{OwnedUserId, UserId};
use tern_auth::{
    mail::{self as rules, Creds, LIFETIME, Letter, Occasion},
    oauth::ticket::hash,
    secret::base64,
};
use tern_model::{Class, Config, Mail, MatrixError};
use tern_ports::{
    Clock, Entropy, Outbound, Transport, ask_one_time_store, ask_storage,
    wire::{
        one_time_store::{ConfirmProof, DropProof, OpenProof, Proof, SpendProof},
        threepid::{AddThreepid, FindThreepid, ListThreepids, RemoveThreepid, Threepid},
    },
};

use crate::{limit, mail, random::random};

/// The only medium there is.
pub const EMAIL: &str = "email";

/// Somebody wants an address proven.
#[derive(Clone, Copy, Debug)]
pub struct ValidationRequest<'a> {
    /// What for.
    pub occasion: Occasion,
    /// The address, as it was typed.
    pub email: &'a str,
    /// The secret that the client made up.
    pub client_secret: &'a str,
    /// `send_attempt`.
    pub attempt: u64,
    /// Where the request came from.
    pub ip: Option<&'a str>,
    /// The page that the mail leads to.
    pub page: &'static str,
}

/// What a mail says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News<'a> {
    /// Follow this link.
    Link(Occasion, &'a str),
    /// The address belongs to an account already.
    Known,
    /// The address belongs to no account.
    Unknown,
}

/// Writes a mail: subject and text, in the language of whoever asked.
pub type Words<'a> = &'a dyn Fn(News<'_>) -> (String, String);

/// `…/requestToken`: sends a mail, once for each attempt; answers with the id of the proof.
///
/// # Errors
/// `M_THREEPID_DENIED` without a way to send mail, `M_INVALID_EMAIL`, `M_INVALID_PARAM`, `M_LIMIT_EXCEEDED`, 503.
pub async fn request<E: Transport + Outbound + Clock + Entropy>(
    edge: &E,
    config: &Config,
    validation: ValidationRequest<'_>,
    words: Words<'_>,
) -> Result<String, MatrixError> {
    let mailer = mailer(config)?;
    rules::check_client_secret(validation.client_secret)?;
    let address = rules::address(validation.email)?;
    limit::by_address(edge, config, Class::Mail, validation.ip).await?;
    limit::by_mailbox(edge, config, Class::Mail, &address).await?;
    let sid = rules::id(config, validation.occasion, &address, validation.client_secret);
    let token = base64(&random::<24>(edge));
    let open = OpenProof {
        address: address.clone(),
        secret: digest(validation.client_secret),
        attempt: validation.attempt,
        token: digest(&token),
        until: edge.now().plus(LIFETIME),
    };
    if !ask_one_time_store(edge, &store_name(&sid), open).await? {
        return Ok(sid);
    }
    let link = link(config, &validation, &sid, &token);
    let sent = deliver(edge, mailer, address, validation.occasion, &link, words).await;
    if sent.is_err() {
        ask_one_time_store(edge, &store_name(&sid), DropProof {}).await?;
    }
    sent.map(|()| sid)
}

async fn deliver<E: Transport + Outbound>(
    edge: &E,
    mailer: &Mail,
    address: String,
    occasion: Occasion,
    link: &str,
    words: Words<'_>,
) -> Result<(), MatrixError> {
    let known = owner(edge, &address).await?.is_some();
    let news = match (occasion, known) {
        (Occasion::Password, true) | (Occasion::Register | Occasion::Add, false) => News::Link(occasion, link),
        (Occasion::Password, false) => News::Unknown,
        (Occasion::Register | Occasion::Add, true) => News::Known,
    };
    let (subject, text) = words(news);
    mail::send(edge, mailer, &Letter { to: address, subject, text }).await
}

/// The client's secret goes along only to pages of ours, which have nowhere else to keep it. What is secret stands behind the
/// `#`: browsers keep that to themselves, so it is in no log of requests.
fn link(config: &Config, validation: &ValidationRequest<'_>, sid: &str, token: &str) -> String {
    let ValidationRequest { page, client_secret, .. } = validation;
    let link = format!("{}{page}?sid={sid}#token={token}", config.base_url());
    if *page == CONFIRM_PAGE { link } else { format!("{link}&client_secret={client_secret}") }
}

/// The page on which somebody says that a mail has come.
pub const CONFIRM_PAGE: &str = "/account/mail";

/// Whoever has the mail says so.
///
/// # Errors
/// `M_THREEPID_AUTH_FAILED` for a link that is worth nothing any more.
pub async fn confirm<E: Transport>(edge: &E, config: &Config, sid: &str, token: &str) -> Result<(), MatrixError> {
    let known = rules::is_id(config, sid)
        && ask_one_time_store(edge, &store_name(sid), ConfirmProof { token: digest(token) }).await?;
    if known { Ok(()) } else { Err(failed()) }
}

/// Takes a proof, which is worth nothing afterwards.
///
/// # Errors
/// `M_THREEPID_AUTH_FAILED` when there is none for this occasion, or it was not confirmed.
pub async fn spend<E: Transport>(
    edge: &E,
    config: &Config,
    occasion: Occasion,
    creds: &Creds,
) -> Result<Proof, MatrixError> {
    if !rules::is_id(config, &creds.sid) || rules::check_client_secret(&creds.client_secret).is_err() {
        return Err(failed());
    }
    let spend = SpendProof { secret: digest(&creds.client_secret) };
    let proof = ask_one_time_store(edge, &store_name(&creds.sid), spend).await?;
    let meant = |proof: &Proof| rules::id(config, occasion, &proof.address, &creds.client_secret) == creds.sid;
    proof.filter(meant).ok_or_else(failed)
}

/// `POST /account/3pid/add`, after interactive authentication.
///
/// # Errors
/// As [`spend`]; `M_THREEPID_IN_USE`.
pub async fn add<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    user_id: &UserId,
    creds: &Creds,
) -> Result<(), MatrixError> {
    mailer(config)?;
    let proof = spend(edge, config, Occasion::Add, creds).await?;
    let threepid = of(proof, edge);
    ask_storage(edge, AddThreepid { user_id: user_id.to_owned(), threepid }).await?;
    Ok(())
}

/// A proven address as one of an account.
pub(crate) fn of(proof: Proof, clock: &impl Clock) -> Threepid {
    Threepid { medium: EMAIL.to_owned(), address: proof.address, validated_at: proof.confirmed, added_at: clock.now() }
}

/// `GET /account/3pid`.
///
/// # Errors
/// 503.
pub async fn list<E: Transport>(edge: &E, user_id: &UserId) -> Result<Vec<Threepid>, MatrixError> {
    let mut all = ask_storage(edge, ListThreepids { user_id: user_id.to_owned() }).await?;
    // Accounts elsewhere that one signs in with are kept in the same place.
    all.retain(|threepid| threepid.medium == EMAIL);
    Ok(all)
}

/// `POST /account/3pid/delete`.
///
/// # Errors
/// 503.
pub async fn remove<E: Transport>(edge: &E, user_id: &UserId, medium: &str, address: &str) -> Result<(), MatrixError> {
    if medium != EMAIL {
        return Err(MatrixError::new(400, "M_THREEPID_MEDIUM_NOT_SUPPORTED", "There are only mail addresses here"));
    }
    let address = rules::address(address)?;
    ask_storage(edge, RemoveThreepid { user_id: user_id.to_owned(), medium: medium.to_owned(), address }).await?;
    Ok(())
}

/// Whose a mail address is.
///
/// # Errors
/// 503.
pub async fn owner<E: Transport>(edge: &E, address: &str) -> Result<Option<OwnedUserId>, MatrixError> {
    ask_storage(edge, FindThreepid { medium: EMAIL.to_owned(), address: address.to_owned() }).await
}

fn mailer(config: &Config) -> Result<&Mail, MatrixError> {
    let denied = || MatrixError::new(403, "M_THREEPID_DENIED", "This server sends no mail");
    config.accounts.mail.as_ref().ok_or_else(denied)
}

fn failed() -> MatrixError {
    MatrixError::new(403, "M_THREEPID_AUTH_FAILED", "The address was not proven")
}

fn digest(secret: &str) -> String {
    base64(&hash(secret))
}

fn store_name(sid: &str) -> String {
    format!("mail/{sid}")
}
