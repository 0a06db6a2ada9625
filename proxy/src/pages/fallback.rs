//! Stages of interactive authentication that an app cannot show itself (Client-Server API, "Fallback").

use askama::Template;
use tern_auth::uia::Stage;
use tern_edge::{
    browser::Signed,
    uia::{self as flow, FallbackProof},
};
use tern_model::MatrixError;

use super::{
    address::{encoded, sign_in_address},
    owner::is_recent,
    page_request::{Page, PageRequest, page},
    terms::{Policy, policies},
};
use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Open Get "/_matrix/client/v3/auth/{authType}/fallback/web" => show;
    Open Post "/_matrix/client/v3/auth/{authType}/fallback/web" => complete;
};

/// Tells the app that opened the page, in the words of the specification.
const DONE: &str =
    "if(window.onAuthDone)window.onAuthDone();else if(window.opener)window.opener.postMessage('authDone','*')";

#[derive(Template)]
#[template(path = "fallback.html")]
struct Fallback<'a> {
    page: Page<'a>,
    alert: Option<&'a str>,
    session: &'a str,
    action: String,
    policies: Vec<Policy>,
    user_id: Option<&'a str>,
    wants_token: bool,
}

#[derive(Template)]
#[template(path = "fallback_done.html")]
struct Done<'a> {
    page: Page<'a>,
    script: &'a str,
}

/// The stage of a page; those that every app can show have none.
fn stage(request: &Incoming) -> Result<Stage, MatrixError> {
    match request.param("authType") {
        "m.login.sso" => Ok(Stage::Sso),
        "m.login.terms" => Ok(Stage::Terms),
        "m.login.registration_token" => Ok(Stage::RegistrationToken),
        _ => Err(MatrixError::new(404, "M_UNRECOGNIZED", "There is no page for this stage")),
    }
}

async fn show(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    page(edge, request, async |page_request| {
        let stage = stage(request)?;
        flow::check_session(edge, &edge.config, request.query("session").unwrap_or_default())?;
        form_page(page_request, stage, request.query("session").unwrap_or_default(), None).await
    })
    .await
}

async fn form_page(
    page_request: &PageRequest<'_>,
    stage: Stage,
    session: &str,
    alert: Option<&str>,
) -> Result<Answer, MatrixError> {
    let signed = match stage {
        Stage::Sso => match signed_in_lately(page_request, session).await? {
            Ok(signed) => Some(signed),
            Err(answer) => return Ok(answer),
        },
        _ => None,
    };
    let policies = if stage == Stage::Terms { policies(page_request) } else { Vec::new() };
    page_request.show(&Fallback {
        page: page_request.page(page_request.text.prove),
        alert,
        session,
        action: action(stage),
        policies,
        user_id: signed.as_ref().map(|signed| signed.user_id.as_str()),
        wants_token: stage == Stage::RegistrationToken,
    })
}

/// Who is signed in and was there a short time ago, as the password would show; or the way to sign in and back.
async fn signed_in_lately(
    page_request: &PageRequest<'_>,
    session: &str,
) -> Result<Result<Signed, Answer>, MatrixError> {
    let here = format!("{}?session={}", action(Stage::Sso), encoded(session));
    match page_request.signed_in().await? {
        Some(signed) if is_recent(page_request.edge, &signed) => Ok(Ok(signed)),
        Some(signed) => Ok(Err(page_request.sign_in_again(&here, signed.user_id.localpart()))),
        None => Ok(Err(page_request.go(&sign_in_address(&here, "")))),
    }
}

fn action(stage: Stage) -> String {
    format!("/_matrix/client/v3/auth/{}/fallback/web", stage.name())
}

async fn complete(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    page(edge, request, async |page_request| {
        let stage = stage(request)?;
        let form = page_request.form()?;
        let session = form.text("session");
        let proof = match stage {
            Stage::Sso => match signed_in_lately(page_request, session).await? {
                Ok(signed) => FallbackProof::SignedIn(signed.user_id),
                Err(answer) => return Ok(answer),
            },
            Stage::RegistrationToken => FallbackProof::Token(form.text("token").trim().to_owned()),
            _ => FallbackProof::Agreed,
        };
        match flow::complete_fallback(edge, &edge.config, session, proof, request.ip.as_deref()).await {
            Ok(()) => {
                let done = Done { page: page_request.page(page_request.text.prove), script: DONE };
                page_request.show_scripted(&done, &[DONE])
            }
            Err(error) => match page_request.say(&error) {
                Some(alert) => {
                    Ok(form_page(page_request, stage, session, Some(alert)).await?.with_status(error.status))
                }
                None => Err(error),
            },
        }
    })
    .await
}
