//! Account management (MSC4191, MSC4312): profile, sessions, password, a new identity, the end of the account.

use askama::Template;
use serde_json::json;
use tern_flows::browser::{self as flow, Signed};
use tern_model::{MatrixError, Millis, RawJson};
use tern_ports::{
    ask_user,
    wire::{
        grant::{AllowReset, SignedInDevice},
        user::{CloseSessions, WriteProfile},
    },
};

use super::visit::{Page, Visit, encoded, page};
use crate::{
    cf::ambient::http_date, edge::Edge, request::Incoming, respond::Answer, router::Route,
    routes::client::session::end_tokens, routes::routes,
};

pub(crate) const ROUTES: &[Route] = routes! {
    Open Get "/account" => overview;
    Open Post "/account/profile" => write_profile;
    Open Get "/account/session" => session;
    Open Post "/account/session" => end_session;
    Open Get "/account/password" => show_password;
    Open Post "/account/password" => change_password;
    Open Get "/account/reset" => show_reset;
    Open Post "/account/reset" => allow_reset;
    Open Get "/account/deactivate" => show_deactivate;
    Open Post "/account/deactivate" => deactivate;
};

/// Shortest password that the page takes, in characters.
const SHORTEST_PASSWORD: usize = 8;

struct Session {
    name: String,
    client: Option<String>,
    device_id: String,
    device_encoded: String,
    seen: Option<String>,
}

#[derive(Template)]
#[template(path = "account.html")]
struct Overview<'a> {
    page: Page<'a>,
    user_id: &'a str,
    notice: Option<&'a str>,
    display_name: &'a str,
    sessions: Vec<Session>,
}

#[derive(Template)]
#[template(path = "session.html")]
struct OneSession<'a> {
    page: Page<'a>,
    session: Session,
}

#[derive(Template)]
#[template(path = "password.html")]
struct Password<'a> {
    page: Page<'a>,
    alert: Option<&'a str>,
    user_id: &'a str,
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct Confirm<'a> {
    page: Page<'a>,
    lead: &'a str,
    alert: Option<&'a str>,
    action: &'a str,
    button: &'a str,
    with_password: bool,
    user_id: &'a str,
}

/// Runs a page for somebody who is signed in; everybody else signs in first.
async fn own<'a>(
    edge: &'a Edge,
    request: &'a Incoming,
    work: impl AsyncFnOnce(&Visit<'a>, Signed) -> Result<Answer, MatrixError>,
) -> Result<Answer, MatrixError> {
    page(edge, request, async |visit| match visit.must_sign_in().await? {
        Ok(signed) => work(visit, signed).await,
        Err(answer) => Ok(answer),
    })
    .await
}

async fn overview(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let device = encoded(request.query("device_id").unwrap_or_default());
    // The names of MSC4191 before it was stable, too.
    let elsewhere = match request.query("action").unwrap_or_default() {
        "org.matrix.device_view"
        | "org.matrix.session_view"
        | "org.matrix.device_delete"
        | "org.matrix.session_end"
            if !device.is_empty() =>
        {
            Some(format!("/account/session?device_id={device}"))
        }
        "org.matrix.account_deactivate" => Some("/account/deactivate".to_owned()),
        "org.matrix.cross_signing_reset" => Some("/account/reset".to_owned()),
        _ => None,
    };
    own(edge, request, async |visit, Signed { user_id, view }| {
        if let Some(elsewhere) = elsewhere {
            return Ok(visit.go(&elsewhere));
        }
        let notice = match request.query("done") {
            Some("saved") => Some(visit.text.saved),
            Some("ended") => Some(visit.text.session_ended),
            Some("password") => Some(visit.text.password_changed),
            _ => None,
        };
        visit.show(&Overview {
            page: visit.page(visit.text.your_account),
            user_id: user_id.as_str(),
            notice,
            display_name: view.display_name.as_deref().unwrap_or_default(),
            sessions: view.sessions.into_iter().map(shown).collect(),
        })
    })
    .await
}

async fn write_profile(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    own(edge, request, async |visit, signed| {
        let form = visit.form()?;
        let name = form.text("name").trim();
        let value = (!name.is_empty()).then(|| RawJson::parse(json!(name).to_string())).transpose();
        let value = value.map_err(|_| MatrixError::internal())?;
        ask_user(edge, &signed.user_id, WriteProfile { session: None, field: "displayname".to_owned(), value }).await?;
        Ok(visit.go("/account?done=saved"))
    })
    .await
}

async fn session(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    own(edge, request, async |visit, signed| {
        let wanted = request.query("device_id").unwrap_or_default();
        let mut sessions = signed.view.sessions.into_iter();
        match sessions.find(|session| session.device.device_id.as_str() == wanted) {
            Some(session) => visit.show(&OneSession { page: visit.page(visit.text.sessions), session: shown(session) }),
            None => Ok(visit.go("/account?done=ended")),
        }
    })
    .await
}

async fn end_session(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    own(edge, request, async |visit, signed| {
        let form = visit.form()?;
        let devices = vec![form.text("device_id").into()];
        end_tokens(edge, &signed.user_id, Some(&devices));
        let close = CloseSessions { session: None, devices: Some(devices), except: None };
        ask_user(edge, &signed.user_id, close).await?;
        Ok(visit.go("/account?done=ended"))
    })
    .await
}

async fn show_password(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    own(edge, request, async |visit, signed| password_page(visit, &signed, None)).await
}

fn password_page(visit: &Visit<'_>, signed: &Signed, alert: Option<&str>) -> Result<Answer, MatrixError> {
    visit.show(&Password { page: visit.page(visit.text.change_password), alert, user_id: signed.user_id.as_str() })
}

async fn change_password(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    own(edge, request, async |visit, signed| {
        let form = visit.form()?;
        let new = form.text("password");
        let mistake = if new.chars().count() < SHORTEST_PASSWORD {
            Some(visit.text.password_short)
        } else {
            (new != form.text("repeat")).then_some(visit.text.passwords_differ)
        };
        if mistake.is_some() {
            return Ok(password_page(visit, &signed, mistake)?.with_status(400));
        }
        let everywhere = form.get("everywhere").is_some();
        match flow::change_password(edge, &edge.config, &signed.user_id, form.text("old"), new, everywhere).await {
            Ok(()) if everywhere => {
                end_tokens(edge, &signed.user_id, None);
                Ok(visit.signed_out_now("/account/sign-in"))
            }
            Ok(()) => Ok(visit.go("/account?done=password")),
            Err(error) => match visit.say(&error) {
                Some(alert) => Ok(password_page(visit, &signed, Some(alert))?.with_status(error.status)),
                None => Err(error),
            },
        }
    })
    .await
}

async fn show_reset(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    own(edge, request, async |visit, signed| {
        visit.show(&Confirm {
            page: visit.page(visit.text.identity),
            lead: visit.text.reset_lead,
            alert: None,
            action: "/account/reset",
            button: visit.text.reset_allow,
            with_password: false,
            user_id: signed.user_id.as_str(),
        })
    })
    .await
}

#[derive(Template)]
#[template(path = "done.html")]
struct Done<'a> {
    page: Page<'a>,
    message: &'a str,
}

async fn allow_reset(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    own(edge, request, async |visit, signed| {
        visit.form()?;
        ask_user(edge, &signed.user_id, AllowReset { cookie: visit.cookie().to_owned() }).await?;
        visit.show(&Done { page: visit.page(visit.text.identity), message: visit.text.reset_allowed })
    })
    .await
}

async fn show_deactivate(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    own(edge, request, async |visit, signed| deactivate_page(visit, &signed, None)).await
}

fn deactivate_page(visit: &Visit<'_>, signed: &Signed, alert: Option<&str>) -> Result<Answer, MatrixError> {
    visit.show(&Confirm {
        page: visit.page(visit.text.deactivate),
        lead: visit.text.deactivate_lead,
        alert,
        action: "/account/deactivate",
        button: visit.text.deactivate,
        with_password: true,
        user_id: signed.user_id.as_str(),
    })
}

async fn deactivate(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    own(edge, request, async |visit, signed| {
        let form = visit.form()?;
        match flow::deactivate(edge, &edge.config, &signed.user_id, form.text("password")).await {
            Ok(()) => {
                end_tokens(edge, &signed.user_id, None);
                Ok(visit.signed_out_now("/account/sign-in"))
            }
            Err(error) => match visit.say(&error) {
                Some(alert) => Ok(deactivate_page(visit, &signed, Some(alert))?.with_status(error.status)),
                None => Err(error),
            },
        }
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
        seen: device.last_seen_ts.filter(|at| *at > Millis(0)).map(http_date),
    }
}
