//! Account management (Client-Server API, "Account management"): profile and sessions. What is sensitive is in
//! `security`.

use askama::Template;
use serde_json::json;
use tern_auth::oauth::{management::Action, request::source};
use tern_edge::{browser::Signed, upstream};
use tern_model::{MatrixError, Millis, RawJson};
use tern_ports::{
    Clock, ask_user,
    wire::{
        grant::SignedInDevice,
        user::{CloseSessions, WriteProfile},
    },
};

use super::{
    address::encoded,
    page_request::{Page, PageRequest, page},
};
use crate::{
    cf::ambient::http_date,
    edge::Edge,
    identity::end_tokens,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Open Get "/account" => overview;
    Open Post "/account/profile" => write_profile;
    Open Get "/account/session" => session;
    Open Get "/account/session/end" => ask_to_end;
    Open Post "/account/session/end" => end_session;
};

/// A session as it is shown.
pub(super) struct Session {
    pub(super) name: String,
    client: Option<String>,
    pub(super) device_id: String,
    device_encoded: String,
    seen: Option<String>,
    /// Where from it was seen last.
    address: Option<String>,
}

#[derive(Template)]
#[template(path = "account.html")]
struct Overview<'a> {
    page: Page<'a>,
    user_id: &'a str,
    notice: Option<&'a str>,
    display_name: &'a str,
    sessions: Vec<Session>,
    alert: Option<&'a str>,
    providers: Vec<Connection<'a>>,
}

/// A provider that the account is, or can be, tied to.
struct Connection<'a> {
    id: &'a str,
    name: &'a str,
    tied: bool,
}

#[derive(Template)]
#[template(path = "session.html")]
struct OneSession<'a> {
    page: Page<'a>,
    session: Session,
    /// It is about to be signed out.
    ending: bool,
}

/// How long after signing in somebody may do what cannot be undone, in milliseconds.
const SENSITIVE_FOR: u64 = 15 * 60 * 1000;

/// Whether somebody has signed in a short time ago.
pub(super) fn is_recent(edge: &Edge, signed: &Signed) -> bool {
    edge.now().since(signed.view.since) < SENSITIVE_FOR
}

/// Runs a page for somebody who is signed in; everybody else signs in first.
pub(super) async fn own<'a>(
    edge: &'a Edge,
    request: &'a Incoming,
    work: impl AsyncFnOnce(&PageRequest<'a>, Signed) -> Result<Answer, MatrixError>,
) -> Result<Answer, MatrixError> {
    page(edge, request, async |page_request| match page_request.must_sign_in().await? {
        Ok(signed) => work(page_request, signed).await,
        Err(answer) => Ok(answer),
    })
    .await
}

/// As [`own`], for what cannot be undone: whoever signed in a while ago does so again (MSC4191, "Security considerations").
pub(super) async fn own_lately<'a>(
    edge: &'a Edge,
    request: &'a Incoming,
    work: impl AsyncFnOnce(&PageRequest<'a>, Signed) -> Result<Answer, MatrixError>,
) -> Result<Answer, MatrixError> {
    own(edge, request, async |page_request, signed| {
        if is_recent(edge, &signed) {
            return work(page_request, signed).await;
        }
        Ok(page_request.sign_in_again(&request.address, signed.user_id.localpart()))
    })
    .await
}

async fn overview(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let elsewhere = elsewhere(request);
    own(edge, request, async |page_request, Signed { user_id, view }| {
        if let Some(elsewhere) = elsewhere {
            return Ok(page_request.go(&elsewhere));
        }
        let (text, done) = (page_request.text, request.query("done"));
        let notice = match done {
            Some("saved") => Some(text.saved),
            Some("gone") => Some(text.session_gone),
            Some("ended") => Some(text.session_ended),
            Some("password") => Some(text.password_changed),
            Some("untied") => Some(text.untied),
            _ => None,
        };
        let tied = upstream::tied(edge, &edge.config, &user_id).await?;
        let connection = |(id, name)| Connection { id, name, tied: tied.iter().any(|one| one == id) };
        // The form that ties the account to a provider leads there.
        let sources = edge.config.accounts.upstream.iter().map(|provider| source(&provider.issuer));
        let sources: Vec<_> = sources.collect();
        let overview = Overview {
            page: page_request.page(page_request.text.your_account),
            user_id: user_id.as_str(),
            notice,
            alert: (done == Some("last-way")).then_some(text.last_way),
            display_name: view.display_name.as_deref().unwrap_or_default(),
            sessions: view.sessions.into_iter().map(shown).collect(),
            providers: page_request.providers().into_iter().map(connection).collect(),
        };
        page_request.show_towards(&overview, &sources.join(" "))
    })
    .await
}

/// The page that an action is about.
fn elsewhere(request: &Incoming) -> Option<String> {
    let device = encoded(request.query("device_id").unwrap_or_default());
    match Action::named(request.query("action")?)? {
        Action::Profile => None,
        Action::DevicesList => Some("/account#sessions".to_owned()),
        Action::DeviceView | Action::DeviceDelete if device.is_empty() => Some("/account#sessions".to_owned()),
        Action::DeviceView => Some(format!("/account/session?device_id={device}")),
        Action::DeviceDelete => Some(format!("/account/session/end?device_id={device}")),
        Action::AccountDeactivate => Some("/account/deactivate".to_owned()),
        Action::CrossSigningReset => Some(format!("/account/reset?device_id={device}")),
    }
}

async fn write_profile(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    own(edge, request, async |page_request, signed| {
        let form = page_request.form()?;
        let name = form.text("name").trim();
        let value = (!name.is_empty()).then(|| RawJson::parse(json!(name).to_string())).transpose();
        let value = value.map_err(|_| MatrixError::internal())?;
        ask_user(edge, &signed.user_id, WriteProfile { session: None, field: "displayname".to_owned(), value }).await?;
        Ok(page_request.go("/account?done=saved"))
    })
    .await
}

async fn session(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    own(edge, request, async |page_request, signed| one_session(page_request, signed, false)).await
}

async fn ask_to_end(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    own_lately(edge, request, async |page_request, signed| one_session(page_request, signed, true)).await
}

fn one_session(page_request: &PageRequest<'_>, signed: Signed, ending: bool) -> Result<Answer, MatrixError> {
    match named_session(page_request.request, signed) {
        Some(session) => {
            page_request.show(&OneSession { page: page_request.page(page_request.text.sessions), session, ending })
        }
        None => Ok(page_request.go("/account?done=gone")),
    }
}

/// The session that the address names.
pub(super) fn named_session(request: &Incoming, signed: Signed) -> Option<Session> {
    let wanted = request.query("device_id")?;
    let mut sessions = signed.view.sessions.into_iter();
    sessions.find(|session| session.device.device_id.as_str() == wanted).map(shown)
}

async fn end_session(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    own_lately(edge, request, async |page_request, signed| {
        let form = page_request.form()?;
        let devices = vec![form.text("device_id").into()];
        end_tokens(edge, &signed.user_id, Some(&devices));
        let close = CloseSessions { session: None, devices: Some(devices), except: None };
        ask_user(edge, &signed.user_id, close).await?;
        Ok(page_request.go("/account?done=ended"))
    })
    .await
}

fn shown(session: SignedInDevice) -> Session {
    let SignedInDevice { device, client_name } = session;
    let device_id = device.device_id.to_string();
    let name = device.display_name.or_else(|| client_name.clone()).unwrap_or_else(|| device_id.clone());
    Session {
        name,
        client: client_name,
        device_encoded: encoded(&device_id),
        device_id,
        address: device.last_seen_ip,
        seen: device.last_seen_ts.filter(|at| *at > Millis(0)).map(http_date),
    }
}
