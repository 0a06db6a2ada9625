//! Signing an older app in by the browser (Client-Server API, "SSO client login/authentication"), and with an account of
//! another provider.

use askama::Template;
use tern_auth::{
    oauth::{browser::own_page, request::source},
    sso::{is_known, redirect_url, shown, with_token},
    upstream,
};
use tern_edge::{
    account::make_login_token,
    browser::Signed,
    upstream::{self as flow, Callback, Chosen, LoginAttempt, Outcome},
};
use tern_model::MatrixError;
use worker::Url;

use super::{
    address::{encoded, target},
    owner::{is_recent, own_lately},
    page_request::{Page, PageRequest, page},
    sign_in::client_info,
    terms::{Policy, agreed, policies},
};
use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Open Get "/_matrix/client/v3/login/sso/redirect" => redirect;
    Open Get "/_matrix/client/v3/login/sso/redirect/{idpId}" => redirect_to;
    Open Get "/account/sso" => show;
    Open Post "/account/sso" => redirect_with_login_token;
    Open Get "/account/upstream" => begin;
    Open Post "/account/upstream/link" => link;
    Open Post "/account/upstream/unlink" => unlink;
    Open Get "/account/upstream/callback" => callback;
    Open Post "/account/upstream/name" => choose_name;
};

#[derive(Template)]
#[template(path = "sso.html")]
struct Confirm<'a> {
    page: Page<'a>,
    app: String,
    user_id: &'a str,
    redirect_url: &'a str,
    here: &'a str,
}

#[derive(Template)]
#[template(path = "choose_name.html")]
struct ChooseName<'a> {
    page: Page<'a>,
    alert: Option<&'a str>,
    state: &'a str,
    username: &'a str,
    policies: Vec<Policy>,
}

/// `GET /login/sso/redirect`
async fn redirect(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let here = sso_address(request)?;
    // Whoever wants an account makes one first.
    let register = request.query("action") == Some("register");
    let target = if register { format!("/account/register?continue={}", encoded(&here)) } else { here };
    Ok(found(edge, &target))
}

/// `GET /login/sso/redirect/{idpId}`
async fn redirect_to(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let here = sso_address(request)?;
    let provider = upstream::find(&edge.config, request.param("idpId"));
    let provider = provider.ok_or_else(|| MatrixError::not_found("There is no such identity provider"))?;
    Ok(found(edge, &format!("/account/upstream?provider={}&continue={}", encoded(&provider.id), encoded(&here))))
}

fn sso_address(request: &Incoming) -> Result<String, MatrixError> {
    let wanted = request.query("redirectUrl").ok_or_else(|| MatrixError::missing_param("redirectUrl is missing"))?;
    redirect_url(wanted)?;
    Ok(format!("/account/sso?redirectUrl={}", encoded(wanted)))
}

fn found(edge: &Edge, target: &str) -> Answer {
    Answer::bare(302).with_header("location", format!("{}{target}", edge.config.base_url()))
}

/// Asks whether the app may be signed in, unless the operator knows it: anybody can send a browser here.
async fn show(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    page(edge, request, async |page_request| {
        let wanted = request.query("redirectUrl").unwrap_or_default();
        let url = redirect_url(wanted)?;
        let signed = match page_request.must_sign_in().await? {
            Ok(signed) => signed,
            Err(answer) => return Ok(answer),
        };
        if is_known(&url, &edge.config.accounts.sso_clients) {
            return send_token(page_request, &signed, &url).await;
        }
        let confirm = Confirm {
            page: page_request.page(page_request.text.allow_title),
            app: shown(&url),
            user_id: signed.user_id.as_str(),
            redirect_url: wanted,
            here: &request.address,
        };
        page_request.show_towards(&confirm, &source(url.as_str()))
    })
    .await
}

async fn redirect_with_login_token(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    page(edge, request, async |page_request| {
        let form = page_request.form()?;
        let url = redirect_url(form.text("redirect_url"))?;
        match page_request.must_sign_in().await? {
            Ok(signed) => send_token(page_request, &signed, &url).await,
            Err(answer) => Ok(answer),
        }
    })
    .await
}

async fn send_token(page_request: &PageRequest<'_>, signed: &Signed, url: &Url) -> Result<Answer, MatrixError> {
    let token = make_login_token(page_request.edge, &page_request.edge.config, &signed.user_id).await?;
    Ok(page_request.go(&with_token(url, &token)))
}

async fn begin(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    page(edge, request, async |page_request| {
        let login =
            LoginAttempt { cookie: page_request.cookie(), target: target(request.query("continue")), link: None };
        let provider = request.query("provider").unwrap_or_default();
        let url = flow::begin(edge, &edge.config, &edge.providers, provider, login, request.ip.as_deref()).await?;
        Ok(page_request.go(&url))
    })
    .await
}

/// Ties the account to one at a provider. The form leads to the provider.
async fn link(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    page(edge, request, async |page_request| {
        let form = page_request.form()?;
        let signed = match page_request.must_sign_in().await? {
            Ok(signed) => signed,
            Err(answer) => return Ok(answer),
        };
        // It is a new way into the account, for as long as there is one.
        if !is_recent(edge, &signed) {
            return Ok(page_request.sign_in_again("/account", signed.user_id.localpart()));
        }
        let login = LoginAttempt { cookie: page_request.cookie(), target: "/account", link: Some(signed.user_id) };
        let ip = request.ip.as_deref();
        let url = flow::begin(edge, &edge.config, &edge.providers, form.text("provider"), login, ip).await?;
        Ok(page_request.go(&url))
    })
    .await
}

/// Unties the account from a provider.
async fn unlink(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    own_lately(edge, request, async |page_request, signed| {
        let form = page_request.form()?;
        let untied = flow::unlink(edge, &edge.config, &signed.user_id, form.text("provider")).await?;
        Ok(page_request.go(if untied { "/account?done=untied" } else { "/account?done=last-way" }))
    })
    .await
}

async fn callback(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    page(edge, request, async |page_request| {
        let callback = Callback {
            state: request.query("state").unwrap_or_default(),
            code: request.query("code"),
            issuer: request.query("iss"),
        };
        let outcome =
            flow::finish(edge, &edge.config, &edge.providers, page_request.cookie(), callback, client_info(request))
                .await?;
        match outcome {
            Outcome::SignedIn { cookie, target } => Ok(page_request.signed_in_now(&cookie, onwards(&target)).await),
            Outcome::Linked { target } => Ok(page_request.go(onwards(&target))),
            Outcome::NeedsName { state, suggestion } => name_page(page_request, &state, &suggestion, None),
        }
    })
    .await
}

fn onwards(target: &str) -> &str {
    own_page(target).unwrap_or("/account")
}

fn name_page(
    page_request: &PageRequest<'_>,
    state: &str,
    username: &str,
    alert: Option<&str>,
) -> Result<Answer, MatrixError> {
    let (page, policies) = (page_request.page(page_request.text.choose_name), policies(page_request));
    page_request.show_entry(&ChooseName { page, alert, state, username, policies })
}

async fn choose_name(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    page(edge, request, async |page_request| {
        let form = page_request.form()?;
        let (state, name) = (form.text("state"), form.text("username").trim());
        let chosen = Chosen { name, agreed: agreed(&form) };
        match flow::choose_name(edge, &edge.config, page_request.cookie(), state, chosen, client_info(request)).await {
            Ok((cookie, target)) => Ok(page_request.signed_in_now(&cookie, onwards(&target)).await),
            Err(error) => match page_request.say(&error) {
                Some(alert) => Ok(name_page(page_request, state, name, Some(alert))?.with_status(error.status)),
                None => Err(error),
            },
        }
    })
    .await
}
