//! The sessions of an account: what they are, and their end.

use std::cmp::Reverse;

use askama::Template;
use tern_edge::browser::Signed;
use tern_model::{MatrixError, Millis};
use tern_ports::{
    Clock, ask_user,
    wire::{grant::SignedInDevice, user::CloseSessions},
};

use super::{
    address::encoded,
    owner::{own, own_lately},
    page_request::{Page, PageRequest},
};
use crate::{
    edge::Edge,
    identity::end_tokens,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
    text::{Moment, Text},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Open Get "/account/session" => session;
    Open Get "/account/session/end" => ask_to_end;
    Open Post "/account/session/end" => end_session;
};

/// A session as it is shown.
pub(super) struct Session {
    pub(super) name: String,
    pub(super) client: Option<String>,
    pub(super) device_id: String,
    pub(super) device_encoded: String,
    /// When it was seen last.
    pub(super) seen: Option<Moment>,
    /// Where from.
    pub(super) address: Option<String>,
}

impl Session {
    fn of(text: &Text, session: SignedInDevice, now: Millis) -> Self {
        let SignedInDevice { device, client_name } = session;
        let device_id = device.device_id.to_string();
        let name = device.display_name.or_else(|| client_name.clone()).unwrap_or_else(|| device_id.clone());
        Self {
            name,
            client: client_name,
            device_encoded: encoded(&device_id),
            device_id,
            address: device.last_seen_ip,
            seen: device.last_seen_ts.filter(|at| *at > Millis(0)).map(|at| Moment::of(text, at, now)),
        }
    }

    /// The client, when the name does not say it.
    pub(super) fn other_client(&self) -> Option<&str> {
        self.client.as_deref().filter(|client| !self.name.contains(client))
    }
}

#[derive(Template)]
#[template(path = "session.html")]
struct OneSession<'a> {
    page: Page<'a>,
    session: Session,
    /// It is about to be signed out.
    ending: bool,
}

/// All sessions, the one that was seen last first.
pub(super) fn all(page_request: &PageRequest<'_>, mut sessions: Vec<SignedInDevice>) -> Vec<Session> {
    sessions.sort_by_key(|session| Reverse(session.device.last_seen_ts));
    let now = page_request.edge.now();
    sessions.into_iter().map(|session| Session::of(page_request.text, session, now)).collect()
}

async fn session(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    own(edge, request, async |page_request, signed| one_session(page_request, signed, false)).await
}

async fn ask_to_end(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    own_lately(edge, request, async |page_request, signed| one_session(page_request, signed, true)).await
}

fn one_session(page_request: &PageRequest<'_>, signed: Signed, ending: bool) -> Result<Answer, MatrixError> {
    match named_session(page_request, signed) {
        Some(session) => {
            page_request.show(&OneSession { page: page_request.page(page_request.text.sessions), session, ending })
        }
        None => Ok(page_request.go("/account?done=gone")),
    }
}

/// The session that the address names.
pub(super) fn named_session(page_request: &PageRequest<'_>, signed: Signed) -> Option<Session> {
    let wanted = page_request.request.query("device_id")?;
    let mut sessions = signed.view.sessions.into_iter();
    let found = sessions.find(|session| session.device.device_id.as_str() == wanted)?;
    Some(Session::of(page_request.text, found, page_request.edge.now()))
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
