//! Mail addresses of the caller's account, and mails that prove one.

use serde::Deserialize;
use serde_json::json;
use tern_auth::{
    mail::{Creds, Occasion},
    uia::Auth,
};
use tern_edge::threepid::{self, CONFIRM_PAGE, ValidationRequest};
use tern_model::MatrixError;

use super::account_management::prove;
use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
    text,
};

pub(crate) const ROUTES: &[Route] = routes! {
    Open Post "/_matrix/client/v3/register/email/requestToken" => for_registration;
    Open Post "/_matrix/client/v3/register/msisdn/requestToken" => by_phone;
    Open Post "/_matrix/client/v3/account/password/email/requestToken" => for_password;
    Open Post "/_matrix/client/v3/account/password/msisdn/requestToken" => by_phone;
    Open Post "/_matrix/client/v3/account/3pid/email/requestToken" => for_account;
    Open Post "/_matrix/client/v3/account/3pid/msisdn/requestToken" => by_phone;
    Token Get "/_matrix/client/v3/account/3pid" => list;
    Token Post "/_matrix/client/v3/account/3pid" => add_old;
    Token Post "/_matrix/client/v3/account/3pid/add" => add;
    Token Post "/_matrix/client/v3/account/3pid/bind" => bind;
    Token Post "/_matrix/client/v3/account/3pid/delete" => remove;
    Token Post "/_matrix/client/v3/account/3pid/unbind" => unbind;
};

/// `POST /register/email/requestToken`
async fn for_registration(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    request_token(edge, request, Occasion::Register).await
}

/// `POST /account/password/email/requestToken`
async fn for_password(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    request_token(edge, request, Occasion::Password).await
}

/// `POST /account/3pid/email/requestToken`
async fn for_account(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    request_token(edge, request, Occasion::Add).await
}

/// The link in the mail leads to a page that asks before it does anything, and then nowhere: `next_link` may be ignored
/// by those who ask (Identity Service API, `POST /validate/email/submitToken`).
async fn request_token(edge: &Edge, request: &Incoming, occasion: Occasion) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        client_secret: String,
        email: String,
        send_attempt: u64,
        #[serde(rename = "next_link")]
        _next_link: Option<String>,
    }
    let body: Body = request.json()?;
    let validation = ValidationRequest {
        occasion,
        email: &body.email,
        client_secret: &body.client_secret,
        attempt: body.send_attempt,
        ip: request.ip.as_deref(),
        page: CONFIRM_PAGE,
    };
    let text = text::choose(request.header("accept-language").as_deref());
    let sid = threepid::request(edge, &edge.config, validation, &|news| text.letter(&edge.config, news)).await?;
    Answer::json(&json!({ "sid": sid }))
}

/// `POST …/msisdn/requestToken`: this server sends no text messages.
async fn by_phone(_: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(rename = "client_secret")]
        _client_secret: String,
        #[serde(rename = "country")]
        _country: String,
        #[serde(rename = "phone_number")]
        _phone_number: String,
        #[serde(rename = "send_attempt")]
        _send_attempt: u64,
    }
    let Body { .. } = request.json()?;
    Err(MatrixError::new(403, "M_THREEPID_DENIED", "Phone numbers cannot be used here"))
}

/// `GET /account/3pid`
async fn list(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let threepids = threepid::list(edge, &request.caller()?.user_id).await?;
    Answer::json(&json!({ "threepids": threepids }))
}

/// `POST /account/3pid`: deprecated, and without the proof of identity that an address is worth, since its owner can set
/// a new password. Clients have `…/add`.
async fn add_old(_: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(rename = "three_pid_creds")]
        _creds: Creds,
    }
    let Body { .. } = request.json()?;
    Err(MatrixError::new(403, "M_THREEPID_AUTH_FAILED", "Addresses are added with /account/3pid/add"))
}

/// `POST /account/3pid/add`
async fn add(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        auth: Option<Auth>,
        #[serde(flatten)]
        creds: Creds,
    }
    let body: Body = request.json()?;
    prove(edge, request, "add_threepid", body.auth.as_ref()).await?;
    threepid::add(edge, &edge.config, &request.caller()?.user_id, &body.creds).await?;
    Ok(Answer::empty())
}

/// `POST /account/3pid/bind`
async fn bind(_: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(rename = "id_server")]
        _id_server: String,
        #[serde(rename = "id_access_token")]
        _id_access_token: String,
        #[serde(flatten)]
        _creds: Creds,
    }
    let Body { .. } = request.json()?;
    Err(MatrixError::new(400, "M_SERVER_NOT_TRUSTED", "This server asks no identity servers"))
}

#[derive(Deserialize)]
struct Named {
    medium: String,
    address: String,
}

/// `POST /account/3pid/delete`
async fn remove(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let Named { medium, address } = request.json()?;
    threepid::remove(edge, &request.caller()?.user_id, &medium, &address).await?;
    no_support()
}

/// `POST /account/3pid/unbind`
async fn unbind(_: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let Named { .. } = request.json()?;
    no_support()
}

/// Nothing was bound, since no identity server is ever asked.
fn no_support() -> Result<Answer, MatrixError> {
    Answer::json(&json!({ "id_server_unbind_result": "no-support" }))
}
