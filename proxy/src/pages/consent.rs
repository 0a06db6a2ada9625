//! Where the user says yes or no to a client (RFC 6749, 4.1.1).
//!
//! Nothing is remembered between the question and the answer: the form carries the request, which is checked again.

use askama::Template;
use ruma::UserId;
use tern_auth::oauth::{
    OAuthError,
    browser::own_page,
    client::Client,
    request::{AuthorizeRequest, Fault, Prompt, ReplyTo, only},
    silent,
};
use tern_edge::{browser::Signed, oauth};
use tern_model::MatrixError;
use tern_ports::{Clock, wire::grant::Grant};

use super::{
    address::{encoded, sign_in_address},
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
    Open Get "/oauth2/authorize" => authorize;
    Open Post "/oauth2/authorize" => decide;
};

#[derive(Template)]
#[template(path = "consent.html")]
pub(super) struct Consent<'a> {
    pub(super) page: Page<'a>,
    pub(super) client: &'a Client,
    pub(super) user_id: &'a str,
    pub(super) api: bool,
    pub(super) openid: bool,
    /// What the other device shows that asks.
    pub(super) user_code: Option<&'a str>,
    pub(super) action: &'a str,
    pub(super) request: &'a str,
    pub(super) here: &'a str,
}

#[derive(Template)]
#[template(path = "told.html")]
struct Told<'a> {
    page: Page<'a>,
    detail: String,
    back: String,
}

/// A request with the client that makes it, or what is shown in its stead.
type Asked = Result<(Client, String, AuthorizeRequest), Answer>;

async fn authorize(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    page(edge, request, async |page_request| {
        let (client, client_id, asked) = match read(page_request, &request.query).await? {
            Ok(asked) => asked,
            Err(answer) => return Ok(answer),
        };
        let signed = match admit(page_request, (&client, &client_id, &asked)).await? {
            Ok(signed) => signed,
            Err(answer) => return Ok(answer),
        };
        let query = request.address.split_once('?').map_or("", |(_, query)| query);
        let consent = Consent {
            page: page_request.page(page_request.text.allow_title),
            client: &client,
            user_id: signed.user_id.as_str(),
            api: asked.scope.device_id.is_some(),
            openid: asked.scope.openid,
            user_code: None,
            action: "/oauth2/authorize",
            request: query,
            here: &request.address,
        };
        page_request.show_towards(&consent, &asked.reply.source())
    })
    .await
}

async fn decide(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    page(edge, request, async |page_request| {
        if let Some(address) = posted_request(request) {
            return Ok(page_request.go(&address));
        }
        let form = page_request.form()?;
        let (client, client_id, asked) = match read(page_request, &parse_query(form.text("request"))).await? {
            Ok(asked) => asked,
            Err(answer) => return Ok(answer),
        };
        if form.get("decision") != Some("allow") {
            return Ok(page_request.go(&asked.reply.error_response(&edge.config, OAuthError::AccessDenied)));
        }
        let user_id = page_request.claimed_user().ok_or_else(|| MatrixError::unknown_token(false))?;
        send_code(page_request, &user_id, (&client, &client_id, &asked)).await
    })
    .await
}

/// A client may also send its request as a form (OpenID Connect Core, 3.1.2.1): the address that asks the same.
fn posted_request(request: &Incoming) -> Option<String> {
    let body = std::str::from_utf8(&request.body).ok()?;
    let fields = parse_query(body);
    let has = |name: &str| fields.iter().any(|(key, _)| key == name);
    let address = (has("client_id") && !has("form_token")).then(|| format!("/oauth2/authorize?{body}"))?;
    own_page(&address).map(str::to_owned)
}

/// Reads a request. Whoever is at the browser is told what is wrong with it, and may go back to the client; they are not
/// sent there unasked, since anybody can register a client (RFC 9700, 4.11.2).
async fn read(page_request: &PageRequest<'_>, params: &[(String, String)]) -> Result<Asked, MatrixError> {
    let client_id = only(params, "client_id")?.unwrap_or_default().to_owned();
    let client = oauth::client(page_request.edge, &client_id).await.map_err(|error| shown(error, 400))?;
    match AuthorizeRequest::read(params, &client) {
        Ok(request) => Ok(Ok((client, client_id, request))),
        Err(Fault::Shown(error)) => Err(error.into()),
        Err(Fault::Told(reply, error)) => told(page_request, &reply, error).map(Err),
    }
}

/// An error of the flow as the page is answered with it.
pub(super) fn shown(error: MatrixError, status: u16) -> MatrixError {
    if error.status < 500 { MatrixError { status, ..error } } else { error }
}

fn told(page_request: &PageRequest<'_>, reply: &ReplyTo, error: OAuthError) -> Result<Answer, MatrixError> {
    let back = reply.error_response(&page_request.edge.config, error);
    let told =
        Told { page: page_request.page(page_request.text.problem), detail: format!("{}: {error}", error.code()), back };
    Ok(page_request.show(&told)?.with_status(400))
}

/// The user who is to be asked, or where they go first.
async fn admit(
    page_request: &PageRequest<'_>,
    (client, client_id, asked): (&Client, &str, &AuthorizeRequest),
) -> Result<Result<Signed, Answer>, MatrixError> {
    let (address, hint) = (&page_request.request.address, asked.login_hint.as_deref().unwrap_or_default());
    match (page_request.signed_in().await?, asked.prompt) {
        (signed, Prompt::None) => answer_silently(page_request, signed, (client, client_id, asked)).await.map(Err),
        (None, Prompt::Create) => Ok(Err(page_request.go(&format!("/account/register?continue={}", encoded(address))))),
        (None, Prompt::Any) => Ok(Err(page_request.go(&sign_in_address(address, hint)))),
        (Some(signed), _) => {
            let age_s = page_request.edge.now().since(signed.view.since) / 1000;
            if asked.max_age.is_none_or(|most| age_s <= most) {
                return Ok(Ok(signed));
            }
            Ok(Err(page_request.sign_in_again(address, hint)))
        }
    }
}

/// `prompt=none`: who is signed in, and has let the client in before, is sent back at once with a code or a reason, and so is
/// who is not signed in. Whom a client knows nothing of is shown the reason, and may go back: it does not learn that somebody
/// is signed in here.
async fn answer_silently(
    page_request: &PageRequest<'_>,
    signed: Option<Signed>,
    (client, client_id, asked): (&Client, &str, &AuthorizeRequest),
) -> Result<Answer, MatrixError> {
    let Some(Signed { user_id, view }) = signed else {
        return Ok(page_request.go(&asked.reply.error_response(&page_request.edge.config, OAuthError::LoginRequired)));
    };
    let age_s = page_request.edge.now().since(view.since) / 1000;
    let granted = view.clients.iter().filter(|known| known.client_id == client_id);
    let granted: Vec<&str> = granted.map(|known| known.scope.as_str()).collect();
    match silent::decide(asked, &granted, age_s) {
        None => told(page_request, &asked.reply, OAuthError::ConsentRequired),
        Some(Err(error)) => Ok(page_request.go(&asked.reply.error_response(&page_request.edge.config, error))),
        Some(Ok(())) => send_code(page_request, &user_id, (client, client_id, asked)).await,
    }
}

/// Sends the browser back to the client with an authorization code.
async fn send_code(
    page_request: &PageRequest<'_>,
    user_id: &UserId,
    (client, client_id, asked): (&Client, &str, &AuthorizeRequest),
) -> Result<Answer, MatrixError> {
    let grant = Grant {
        client_id: client_id.to_owned(),
        client_name: Some(client.name().to_owned()),
        redirect_uri: Some(asked.reply.redirect_uri.clone()),
        scope: asked.scope.text.clone(),
        device_id: asked.scope.device_id.clone(),
        challenge: Some(asked.challenge.clone()),
        nonce: asked.nonce.clone(),
    };
    let code = oauth::grant(page_request.edge, user_id, page_request.cookie(), grant).await?;
    Ok(page_request.go(&asked.reply.address(&page_request.edge.config, &[("code", &code)])))
}
