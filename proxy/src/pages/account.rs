//! Account management (Client-Server API, "Account management"): where everything of an account is found, and the profile.

use askama::Template;
use serde_json::json;
use tern_auth::oauth::{management::Action, request::source};
use tern_edge::{browser::Signed, upstream};
use tern_model::{MatrixError, RawJson};
use tern_ports::{Clock, ask_user, wire::user::WriteProfile};

use super::{
    address::encoded,
    owner::own,
    page_request::Page,
    sessions::{Session, all},
};
use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
    text::Moment,
};

pub(crate) const ROUTES: &[Route] = routes! {
    Open Get "/account" => overview;
    Open Post "/account/profile" => write_profile;
};

#[derive(Template)]
#[template(path = "account.html")]
struct Overview<'a> {
    page: Page<'a>,
    user_id: &'a str,
    notice: Option<&'a str>,
    display_name: &'a str,
    /// When this browser signed in.
    since: Moment,
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
            since: Moment::of(text, view.since, edge.now()),
            sessions: all(page_request, view.sessions),
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
