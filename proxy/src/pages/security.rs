//! What is sensitive: the password, leave to replace the encryption identity (MSC4312), the end of the account.

use askama::Template;
use tern_edge::browser::{self as flow, AccountProof, Signed};
use tern_model::MatrixError;
use tern_ports::{ask_user, wire::grant::AllowReset};

use super::{
    owner::{is_recent, own, own_lately},
    page_request::{Page, PageRequest, page},
    policy::SHOW_SCRIPT,
    sessions::{Session, named_session},
};
use crate::{
    edge::Edge,
    form::Form,
    identity::end_tokens,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Open Get "/account/password" => show_password;
    Open Post "/account/password" => change_password;
    Open Get "/account/reset" => show_reset;
    Open Post "/account/reset" => allow_reset;
    Open Get "/account/deactivate" => show_deactivate;
    Open Post "/account/deactivate" => deactivate;
    Open Get "/account/ended" => ended;
};

/// Shortest password that the pages take, in characters.
const SHORTEST_PASSWORD: usize = 8;

#[derive(Template)]
#[template(path = "password.html")]
struct Password<'a> {
    page: Page<'a>,
    alert: Option<&'a str>,
    user_id: &'a str,
    /// There is one to be changed.
    known: bool,
}

#[derive(Template)]
#[template(path = "reset.html")]
struct Reset<'a> {
    page: Page<'a>,
    session: Option<Session>,
}

#[derive(Template)]
#[template(path = "deactivate.html")]
struct Deactivate<'a> {
    page: Page<'a>,
    alert: Option<&'a str>,
    user_id: &'a str,
    /// There is a password to ask for.
    known: bool,
}

/// Runs a page for the owner of an account, telling it whether there is a password. Whoever has none has signed in a short
/// time ago, or does so again.
async fn own_surely<'a>(
    edge: &'a Edge,
    request: &'a Incoming,
    work: impl AsyncFnOnce(&PageRequest<'a>, Signed, bool) -> Result<Answer, MatrixError>,
) -> Result<Answer, MatrixError> {
    own(edge, request, async |page_request, signed| {
        let known = flow::has_password(edge, &signed.user_id).await?;
        if known || is_recent(edge, &signed) {
            return work(page_request, signed, known).await;
        }
        Ok(page_request.sign_in_again(&request.address, signed.user_id.localpart()))
    })
    .await
}

/// What a form shows of its sender.
fn account_proof<'a>(form: &'a Form, field: &str, known: bool) -> AccountProof<'a> {
    if known { AccountProof::Password(form.text(field)) } else { AccountProof::SignedInLately }
}

async fn show_password(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    own_surely(edge, request, async |page_request, signed, known| password_page(page_request, &signed, known, None))
        .await
}

fn password_page(
    page_request: &PageRequest<'_>,
    signed: &Signed,
    known: bool,
    alert: Option<&str>,
) -> Result<Answer, MatrixError> {
    let title = if known { page_request.text.change_password } else { page_request.text.recover };
    let page = page_request.page(title);
    let password = Password { page, alert, user_id: signed.user_id.as_str(), known };
    page_request.show_scripted(&password, &[SHOW_SCRIPT])
}

/// What is wrong with a new password, as it was typed twice.
pub(super) fn password_mistake(page_request: &PageRequest<'_>, form: &Form, password: &str) -> Option<&'static str> {
    if password.chars().count() < SHORTEST_PASSWORD {
        return Some(page_request.text.password_short);
    }
    (password != form.text("repeat")).then_some(page_request.text.passwords_differ)
}

async fn change_password(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    own_surely(edge, request, async |page_request, signed, known| {
        let form = page_request.form()?;
        let (old, new) = (account_proof(&form, "old", known), form.text("password"));
        let mistake = password_mistake(page_request, &form, new);
        if mistake.is_some() {
            return Ok(password_page(page_request, &signed, known, mistake)?.with_status(400));
        }
        let everywhere = form.get("everywhere").is_some();
        match flow::change_password(edge, &edge.config, &signed.user_id, old, new, everywhere).await {
            Ok(()) if everywhere => {
                end_tokens(edge, &signed.user_id, None);
                Ok(page_request.signed_out_now("/account/sign-in"))
            }
            Ok(()) => Ok(page_request.go("/account?done=password")),
            Err(error) => match page_request.say(&error) {
                Some(alert) => Ok(password_page(page_request, &signed, known, Some(alert))?.with_status(error.status)),
                None => Err(error),
            },
        }
    })
    .await
}

async fn show_reset(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    own_lately(edge, request, async |page_request, signed| {
        page_request.show(&Reset {
            page: page_request.page(page_request.text.identity),
            session: named_session(page_request, signed),
        })
    })
    .await
}

async fn allow_reset(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    own_lately(edge, request, async |page_request, signed| {
        let form = page_request.form()?;
        let device_id = form.get("device_id").filter(|device_id| !device_id.is_empty());
        if device_id.is_some_and(|wanted| !signed.view.sessions.iter().any(|one| one.device.device_id == *wanted)) {
            return Ok(page_request.go("/account?done=gone"));
        }
        let allow = AllowReset { cookie: page_request.cookie().to_owned(), device_id: device_id.map(Into::into) };
        ask_user(edge, &signed.user_id, allow).await?;
        page_request.done(page_request.text.identity, page_request.text.reset_allowed)
    })
    .await
}

async fn show_deactivate(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    own_surely(edge, request, async |page_request, signed, known| deactivate_page(page_request, &signed, known, None))
        .await
}

fn deactivate_page(
    page_request: &PageRequest<'_>,
    signed: &Signed,
    known: bool,
    alert: Option<&str>,
) -> Result<Answer, MatrixError> {
    let page = page_request.page(page_request.text.deactivate);
    page_request.show(&Deactivate { page, alert, user_id: signed.user_id.as_str(), known })
}

async fn deactivate(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    own_surely(edge, request, async |page_request, signed, known| {
        let form = page_request.form()?;
        let (proof, erase) = (account_proof(&form, "password", known), form.get("erase").is_some());
        let ended = flow::deactivate(edge, &edge.config, &signed.user_id, proof, erase).await;
        match ended {
            Ok(()) => {
                end_tokens(edge, &signed.user_id, None);
                Ok(page_request.signed_out_now("/account/ended"))
            }
            Err(error) => match page_request.say(&error) {
                Some(alert) => {
                    Ok(deactivate_page(page_request, &signed, known, Some(alert))?.with_status(error.status))
                }
                None => Err(error),
            },
        }
    })
    .await
}

async fn ended(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    page(edge, request, async |page_request| {
        page_request.done(page_request.text.goodbye, page_request.text.deactivated)
    })
    .await
}
