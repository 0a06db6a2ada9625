//! Signing in, signing out, and new accounts.

use askama::Template;
use tern_auth::{
    mail::{Creds, Occasion},
    uia::registration_flows,
};
use tern_edge::browser::{self as flow, ClientInfo, NewAccount};
use tern_model::MatrixError;

use super::{
    address::{encoded, target},
    mail::{Mailed, address_page, proof_text},
    page_request::{Page, PageRequest, page},
    security::password_mistake,
    terms::{Policy, agreed, policies},
};
use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Open Get "/account/sign-in" => show_sign_in;
    Open Post "/account/sign-in" => sign_in;
    Open Get "/account/register" => show_register;
    Open Post "/account/register" => register;
    Open Post "/account/sign-out" => sign_out;
};

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn<'a> {
    page: Page<'a>,
    alert: Option<&'a str>,
    target: &'a str,
    target_encoded: String,
    username: &'a str,
    may_register: bool,
    may_recover: bool,
    providers: Vec<(&'a str, &'a str)>,
}

#[derive(Template)]
#[template(path = "register.html")]
struct Register<'a> {
    page: Page<'a>,
    alert: Option<&'a str>,
    target: &'a str,
    target_encoded: String,
    username: &'a str,
    token: &'a str,
    needs_token: bool,
    /// The id of the proof of a mail address, and what stands behind the `#` of the mail's link.
    sid: Option<&'a str>,
    proof: String,
    policies: Vec<Policy>,
}

async fn show_sign_in(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    page(edge, request, async |page_request| {
        let target = target(request.query("continue"));
        if !request.query_flag("anew")? && page_request.signed_in().await?.is_some() {
            return Ok(page_request.go(target));
        }
        sign_in_page(page_request, target, request.query("username").unwrap_or_default(), None)
    })
    .await
}

async fn sign_in(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    page(edge, request, async |page_request| {
        let form = page_request.form()?;
        let (target, name) = (target(form.get("continue")), form.text("username").trim());
        match flow::sign_in(edge, &edge.config, name, form.text("password"), client_info(request)).await {
            Ok(cookie) => Ok(page_request.signed_in_now(&cookie, target).await),
            Err(error) => match page_request.say(&error) {
                Some(alert) => Ok(sign_in_page(page_request, target, name, Some(alert))?.with_status(error.status)),
                None => Err(error),
            },
        }
    })
    .await
}

async fn show_register(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    page(edge, request, async |page_request| {
        let target = target(request.query("continue"));
        let query = |name| request.query(name).unwrap_or_default();
        let creds = Creds { sid: query("sid").to_owned(), client_secret: String::new() };
        let mail = (!creds.sid.is_empty()).then_some((&creds, ""));
        let wants_mail = edge.config.accounts.mail.as_ref().is_some_and(|mail| mail.required);
        if wants_mail && mail.is_none() && !registration_flows(&edge.config).is_empty() {
            return address_page(page_request, Occasion::Register, target, "", None);
        }
        let token = if mail.is_none() { request.query("token") } else { None };
        register_page(page_request, target, &NewAccount { token, mail, ..NewAccount::default() }, None)
    })
    .await
}

async fn register(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    page(edge, request, async |page_request| {
        let form = page_request.form()?;
        let target = target(form.get("continue"));
        let Mailed { token: mail_token, client_secret } = Mailed::read(&form);
        let creds = Creds { sid: form.text("sid").to_owned(), client_secret };
        let account = NewAccount {
            name: form.text("username").trim(),
            password: form.text("password"),
            token: form.get("token"),
            mail: (!creds.sid.is_empty()).then_some((&creds, mail_token.as_str())),
            agreed: agreed(&form),
        };
        let mistake = password_mistake(page_request, &form, account.password);
        if mistake.is_some() {
            return Ok(register_page(page_request, target, &account, mistake)?.with_status(400));
        }
        match flow::register(edge, &edge.config, account.clone(), client_info(request)).await {
            Ok(cookie) => Ok(page_request.signed_in_now(&cookie, target).await),
            Err(error) => match page_request.say(&error) {
                Some(alert) => {
                    Ok(register_page(page_request, target, &account, Some(alert))?.with_status(error.status))
                }
                None => Err(error),
            },
        }
    })
    .await
}

async fn sign_out(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    page(edge, request, async |page_request| {
        let form = page_request.form()?;
        if let Some(user_id) = page_request.claimed_user() {
            flow::sign_out(edge, &user_id, page_request.cookie()).await?;
        }
        Ok(page_request.signed_out_now(&format!("/account/sign-in?continue={}", encoded(target(form.get("continue"))))))
    })
    .await
}

fn sign_in_page(
    page_request: &PageRequest<'_>,
    target: &str,
    username: &str,
    alert: Option<&str>,
) -> Result<Answer, MatrixError> {
    page_request.show_entry(&SignIn {
        page: page_request.page(page_request.text.sign_in),
        alert,
        target,
        target_encoded: encoded(target),
        username,
        may_register: !registration_flows(&page_request.edge.config).is_empty(),
        may_recover: page_request.edge.config.accounts.mail.is_some(),
        providers: page_request.providers(),
    })
}

fn register_page(
    page_request: &PageRequest<'_>,
    target: &str,
    account: &NewAccount<'_>,
    alert: Option<&str>,
) -> Result<Answer, MatrixError> {
    let config = &page_request.edge.config;
    let closed = registration_flows(config).is_empty();
    let page = page_request.page(page_request.text.create_account);
    let register = Register {
        page,
        alert: if closed { Some(page_request.text.registration_closed) } else { alert },
        target,
        target_encoded: encoded(target),
        username: account.name,
        token: account.token.unwrap_or_default(),
        needs_token: !config.open_registration && !closed,
        sid: account.mail.map(|(creds, _)| creds.sid.as_str()),
        proof: account.mail.map(|(creds, token)| proof_text(token, &creds.client_secret)).unwrap_or_default(),
        policies: policies(page_request),
    };
    let answer =
        if account.mail.is_some() { page_request.show_mailed(&register) } else { page_request.show_entry(&register) }?;
    Ok(if closed { answer.with_status(403) } else { answer })
}

pub(super) fn client_info(request: &Incoming) -> ClientInfo {
    ClientInfo { ip: request.ip.clone(), agent: request.header("user-agent") }
}
