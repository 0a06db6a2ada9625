//! What mails lead to: an address that is confirmed, a new password.

use askama::Template;
use tern_auth::{
    mail::{Creds, Occasion},
    secret,
};
use tern_edge::{
    browser as flow,
    threepid::{self, Wish},
};
use tern_model::MatrixError;
use tern_ports::Entropy;

use super::{
    entry::target,
    security::password_mistake,
    visit::{Page, Visit, page},
};
use crate::{
    edge::Edge, request::Incoming, respond::Answer, router::Route, routes::client::session::end_tokens, routes::routes,
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
    token: &'a str,
}

#[derive(Template)]
#[template(path = "recover.html")]
struct NewPassword<'a> {
    page: Page<'a>,
    alert: Option<&'a str>,
    sid: &'a str,
    token: &'a str,
    client_secret: &'a str,
}

/// The link of a mail. Programs that look at mails follow links, so only the button does anything.
async fn show_confirm(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let query = |name| request.query(name).unwrap_or_default();
    page(edge, request, async |visit| {
        let page = visit.page(visit.text.mail_title);
        visit.show(&Confirm { page, alert: None, sid: query("sid"), token: query("token") })
    })
    .await
}

async fn confirm(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    page(edge, request, async |visit| {
        let form = visit.form()?;
        threepid::confirm(edge, &edge.config, form.text("sid"), form.text("token")).await?;
        visit.done(visit.text.email, visit.text.mail_confirmed)
    })
    .await
}

async fn show_recover(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    page(edge, request, async |visit| match request.query("sid") {
        Some(sid) => {
            let query = |name| request.query(name).unwrap_or_default();
            let creds = Creds { sid: sid.to_owned(), client_secret: query("client_secret").to_owned() };
            password_page(visit, &creds, query("token"), None)
        }
        None => address_page(visit, Occasion::Password, target(request.query("continue")), "", None),
    })
    .await
}

fn password_page(visit: &Visit<'_>, creds: &Creds, token: &str, alert: Option<&str>) -> Result<Answer, MatrixError> {
    let page = visit.page(visit.text.recover);
    visit.show(&NewPassword { page, alert, sid: &creds.sid, token, client_secret: &creds.client_secret })
}

/// Asks for a mail address, for one of the two things that begin with one.
pub(super) fn address_page(
    visit: &Visit<'_>,
    occasion: Occasion,
    target: &str,
    email: &str,
    alert: Option<&str>,
) -> Result<Answer, MatrixError> {
    let text = visit.text;
    let (title, lead, action) = match occasion {
        Occasion::Password => (text.recover, text.recover_lead, "/account/recover"),
        Occasion::Register | Occasion::Add => (text.create_account, text.register_mail_lead, "/account/register/mail"),
    };
    visit.show(&AskAddress { page: visit.page(title), lead, alert, action, target, email })
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
    page(edge, request, async |visit| {
        let form = visit.form()?;
        let email = form.text("email");
        let mut random = [0; 24];
        edge.fill(&mut random);
        let client_secret = secret::base64(&random);
        let ip = request.ip.as_deref();
        let wish = Wish { occasion, email, client_secret: &client_secret, attempt: 1, ip, page: leads_to };
        match threepid::request(edge, &edge.config, wish, &|news| visit.text.letter(&edge.config, news)).await {
            Ok(_) => visit.done(visit.text.email, visit.text.mail_sent),
            Err(error) => match visit.say(&error) {
                Some(alert) => {
                    let target = target(form.get("continue"));
                    Ok(address_page(visit, occasion, target, email, Some(alert))?.with_status(error.status))
                }
                None => Err(error),
            },
        }
    })
    .await
}

async fn set_password(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    page(edge, request, async |visit| {
        let form = visit.form()?;
        let creds = Creds { sid: form.text("sid").to_owned(), client_secret: form.text("client_secret").to_owned() };
        let mistake = password_mistake(visit, &form, form.text("password"));
        if mistake.is_some() {
            return Ok(password_page(visit, &creds, form.text("token"), mistake)?.with_status(400));
        }
        let new = form.text("password");
        let user_id = flow::recover(edge, &edge.config, &creds, form.text("token"), new).await?;
        end_tokens(edge, &user_id, None);
        Ok(visit.signed_out_now("/account/sign-in"))
    })
    .await
}
