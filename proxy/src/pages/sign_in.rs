//! Signing in and signing out.

use askama::Template;
use tern_auth::uia::registration_flows;
use tern_edge::{
    browser::{self as flow, ClientInfo},
    oauth,
};
use tern_model::MatrixError;

use super::{
    address::{encoded, target},
    page_request::{Page, PageRequest, page},
};
use crate::{
    edge::Edge,
    query::parse_query,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Open Get "/account/sign-in" => show_sign_in;
    Open Post "/account/sign-in" => sign_in;
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
    /// The client that somebody signs in for.
    client: Option<Asking>,
    /// Whoever is signed in does so again.
    again: bool,
    may_register: bool,
    may_recover: bool,
    providers: Vec<(&'a str, &'a str)>,
}

/// What leads to the sign-in page.
struct Entry<'a> {
    /// The page after it.
    target: &'a str,
    username: &'a str,
    /// Somebody who is signed in is asked again.
    again: bool,
}

/// A client that waits for somebody to sign in.
struct Asking {
    name: String,
    /// What is said of it.
    words: &'static str,
}

async fn show_sign_in(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    page(edge, request, async |page_request| {
        let target = target(request.query("continue"));
        let again = request.query_flag("anew")?;
        if !again && page_request.signed_in().await?.is_some() {
            return Ok(page_request.go(target));
        }
        let entry = Entry { target, username: request.query("username").unwrap_or_default(), again };
        sign_in_page(page_request, entry, None).await
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
                Some(alert) => {
                    let entry = Entry { target, username: name, again: form.get("anew").is_some() };
                    Ok(sign_in_page(page_request, entry, Some(alert)).await?.with_status(error.status))
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

/// The client whose request leads to the sign-in page. Without one the page is as good, so no error is told.
async fn asking(page_request: &PageRequest<'_>, target: &str, again: bool) -> Option<Asking> {
    let query = parse_query(target.strip_prefix("/oauth2/authorize?")?);
    let (_, client_id) = query.iter().find(|(name, _)| name == "client_id")?;
    let client = oauth::client(page_request.edge, client_id).await.ok()?;
    let text = page_request.text;
    let words = if again { text.again_client } else { text.sign_in_for };
    Some(Asking { name: client.name().to_owned(), words })
}

async fn sign_in_page(
    page_request: &PageRequest<'_>,
    entry: Entry<'_>,
    alert: Option<&str>,
) -> Result<Answer, MatrixError> {
    let Entry { target, username, again } = entry;
    let client = asking(page_request, target, again).await;
    page_request.show_entry(&SignIn {
        page: page_request.page(page_request.text.sign_in),
        alert,
        target,
        target_encoded: encoded(target),
        username,
        client,
        again,
        may_register: !registration_flows(&page_request.edge.config).is_empty(),
        may_recover: page_request.edge.config.accounts.mail.is_some(),
        providers: page_request.providers(),
    })
}

pub(super) fn client_info(request: &Incoming) -> ClientInfo {
    ClientInfo { ip: request.ip.clone(), agent: request.header("user-agent") }
}
