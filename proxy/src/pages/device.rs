//! Where the user says yes or no to a device that cannot show pages (RFC 8628, 3.3).

use askama::Template;
use tern_auth::oauth::scope::Scope;
use tern_edge::oauth;
use tern_model::MatrixError;
use tern_ports::wire::grant::Grant;

use super::{
    consent::{Consent, shown},
    page_request::{Page, PageRequest, page},
};
use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Open Get "/device" => device;
    Open Post "/device" => decide_device;
};

#[derive(Template)]
#[template(path = "device.html")]
struct EnterCode<'a> {
    page: Page<'a>,
    alert: Option<&'a str>,
    user_code: &'a str,
}

async fn device(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    page(edge, request, async |page_request| {
        let signed = match page_request.must_sign_in().await? {
            Ok(signed) => signed,
            Err(answer) => return Ok(answer),
        };
        let Some(user_code) = request.query("user_code").filter(|code| !code.is_empty()) else {
            return enter_code(page_request, "", None);
        };
        let Some(asked) = oauth::device_request(edge, user_code).await? else {
            return Ok(enter_code(page_request, user_code, Some(page_request.text.wrong_code))?.with_status(404));
        };
        let client = oauth::client(edge, &asked.client_id).await.map_err(|error| shown(error, 400))?;
        let scope = Scope::parse(&asked.scope)?;
        page_request.show(&Consent {
            page: page_request.page(page_request.text.allow_title),
            client: &client,
            user_id: signed.user_id.as_str(),
            api: scope.device_id.is_some(),
            openid: scope.openid,
            user_code: Some(user_code),
            action: "/device",
            request: user_code,
            here: &request.address,
        })
    })
    .await
}

async fn decide_device(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    page(edge, request, async |page_request| {
        let form = page_request.form()?;
        let user_code = form.text("request");
        let user_id = page_request.claimed_user().ok_or_else(|| MatrixError::unknown_token(false))?;
        let Some(asked) = oauth::device_request(edge, user_code).await? else {
            return Ok(enter_code(page_request, user_code, Some(page_request.text.wrong_code))?.with_status(404));
        };
        let allowed = form.get("decision") == Some("allow");
        let code = if allowed {
            let client = oauth::client(edge, &asked.client_id).await.map_err(|error| shown(error, 400))?;
            let grant = Grant {
                client_id: asked.client_id,
                client_name: Some(client.name().to_owned()),
                redirect_uri: None,
                scope: asked.scope,
                device_id: asked.device_id,
                challenge: None,
                nonce: None,
            };
            Some(oauth::grant(edge, &user_id, page_request.cookie(), grant).await?)
        } else if page_request.signed_in().await?.is_none() {
            return Err(MatrixError::unknown_token(false));
        } else {
            None
        };
        if !oauth::decide_device(edge, user_code, code).await? {
            return Ok(enter_code(page_request, user_code, Some(page_request.text.wrong_code))?.with_status(404));
        }
        let message = if allowed { page_request.text.device_allowed } else { page_request.text.device_denied };
        page_request.done(page_request.text.device_title, message)
    })
    .await
}

fn enter_code(page_request: &PageRequest<'_>, user_code: &str, alert: Option<&str>) -> Result<Answer, MatrixError> {
    page_request.show(&EnterCode { page: page_request.page(page_request.text.device_title), alert, user_code })
}
