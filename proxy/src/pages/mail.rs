//! What mails lead to: an address that is confirmed, a new password.

use askama::Template;
use tern_auth::{
    mail::{Creds, Occasion},
    secret,
};
use tern_edge::{
    browser as flow,
    threepid::{self, ValidationRequest},
};
use tern_model::MatrixError;
use tern_ports::Entropy;

use super::{
    address::{encoded, target},
    page_request::{Page, PageRequest, page},
    policy::{PROOF_SCRIPT, SHOW_SCRIPT},
    security::password_mistake,
};
use crate::{
    edge::Edge,
    form::Form,
    identity::end_tokens,
    query::parse_query,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Open Get "/account/mail" => show_confirm;
    Open Post "/account/mail" => confirm;
    Open Get "/account/recover" => show_recover;
    Open Post "/account/recover" => recover;
    Open Post "/account/recover/password" => set_password;
    Open Post "/account/register/mail" => register;
};

#[derive(Template)]
#[template(path = "mail.html")]
struct AskAddress<'a> {
    page: Page<'a>,
    lead: &'a str,
    alert: Option<&'a str>,
    action: &'a str,
    target: &'a str,
    email: &'a str,
}

#[derive(Template)]
#[template(path = "mail_confirm.html")]
struct Confirm<'a> {
    page: Page<'a>,
    alert: Option<&'a str>,
    sid: &'a str,
    proof: &'a str,
}

#[derive(Template)]
#[template(path = "recover.html")]
struct NewPassword<'a> {
    page: Page<'a>,
    alert: Option<&'a str>,
    sid: &'a str,
    proof: String,
}

/// What stands behind the `#` of a mail's link.
#[derive(Default)]
pub(super) struct Mailed {
    pub(super) token: String,
    pub(super) client_secret: String,
}

impl Mailed {
    /// From the form, into which the page's script has put it, or somebody the whole link.
    pub(super) fn read(form: &Form) -> Self {
        let text = form.text("proof").trim();
        let fields = parse_query(text.split_once('#').map_or(text, |(_, behind)| behind));
        let field = |name: &str| {
            let found = fields.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        Self { token: field("token"), client_secret: field("client_secret") }
    }
}

/// As it stands in a form that is shown again.
pub(super) fn proof_text(token: &str, client_secret: &str) -> String {
    if token.is_empty() {
        return String::new();
    }
    format!("token={}&client_secret={}", encoded(token), encoded(client_secret))
}

/// The link of a mail. Programs that look at mails follow links, so only the button does anything.
async fn show_confirm(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let query = |name| request.query(name).unwrap_or_default();
    page(edge, request, async |page_request| {
        let page = page_request.page(page_request.text.mail_title);
        let confirm = Confirm { page, alert: None, sid: query("sid"), proof: "" };
        page_request.show_scripted(&confirm, &[PROOF_SCRIPT])
    })
    .await
}

async fn confirm(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    page(edge, request, async |page_request| {
        let form = page_request.form()?;
        threepid::confirm(edge, &edge.config, form.text("sid"), &Mailed::read(&form).token).await?;
        page_request.done(page_request.text.email, page_request.text.mail_confirmed)
    })
    .await
}

async fn show_recover(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    page(edge, request, async |page_request| match request.query("sid") {
        Some(sid) => password_page(page_request, sid, &Mailed::default(), None),
        None => address_page(page_request, Occasion::Password, target(request.query("continue")), "", None),
    })
    .await
}

fn password_page(
    page_request: &PageRequest<'_>,
    sid: &str,
    mailed: &Mailed,
    alert: Option<&str>,
) -> Result<Answer, MatrixError> {
    let page = page_request.page(page_request.text.recover);
    let proof = proof_text(&mailed.token, &mailed.client_secret);
    page_request.show_scripted(&NewPassword { page, alert, sid, proof }, &[PROOF_SCRIPT, SHOW_SCRIPT])
}

/// Asks for a mail address, for one of the two things that begin with one.
pub(super) fn address_page(
    page_request: &PageRequest<'_>,
    occasion: Occasion,
    target: &str,
    email: &str,
    alert: Option<&str>,
) -> Result<Answer, MatrixError> {
    let text = page_request.text;
    let (title, lead, action) = match occasion {
        Occasion::Password => (text.recover, text.recover_lead, "/account/recover"),
        Occasion::Register | Occasion::Add => (text.create_account, text.register_mail_lead, "/account/register/mail"),
    };
    page_request.show(&AskAddress { page: page_request.page(title), lead, alert, action, target, email })
}

async fn recover(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    send(edge, request, Occasion::Password, "/account/recover").await
}

async fn register(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    send(edge, request, Occasion::Register, "/account/register").await
}

async fn send(
    edge: &Edge,
    request: &Incoming,
    occasion: Occasion,
    leads_to: &'static str,
) -> Result<Answer, MatrixError> {
    page(edge, request, async |page_request| {
        let form = page_request.form()?;
        let email = form.text("email");
        let mut random = [0; 24];
        edge.fill(&mut random);
        let client_secret = secret::base64(&random);
        let ip = request.ip.as_deref();
        let validation =
            ValidationRequest { occasion, email, client_secret: &client_secret, attempt: 1, ip, page: leads_to };
        match threepid::request(edge, &edge.config, validation, &|news| page_request.text.letter(&edge.config, news))
            .await
        {
            Ok(_) => page_request.done(page_request.text.email, page_request.text.mail_sent),
            Err(error) => match page_request.say(&error) {
                Some(alert) => {
                    let target = target(form.get("continue"));
                    Ok(address_page(page_request, occasion, target, email, Some(alert))?.with_status(error.status))
                }
                None => Err(error),
            },
        }
    })
    .await
}

async fn set_password(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    page(edge, request, async |page_request| {
        let form = page_request.form()?;
        let (sid, mailed) = (form.text("sid"), Mailed::read(&form));
        let mistake = password_mistake(page_request, &form, form.text("password"));
        if mistake.is_some() {
            return Ok(password_page(page_request, sid, &mailed, mistake)?.with_status(400));
        }
        let new = form.text("password");
        let creds = Creds { sid: sid.to_owned(), client_secret: mailed.client_secret };
        let user_id = flow::recover(edge, &edge.config, &creds, &mailed.token, new).await?;
        end_tokens(edge, &user_id, None);
        Ok(page_request.signed_out_now("/account/sign-in"))
    })
    .await
}
