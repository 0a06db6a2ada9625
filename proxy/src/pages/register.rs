//! New accounts.

use askama::Template;
use tern_auth::{
    mail::{Creds, Occasion},
    uia::registration_flows,
};
use tern_edge::browser::{self as flow, NewAccount};
use tern_model::MatrixError;

use super::{
    address::{encoded, target},
    mail::{Mailed, address_page, proof_text},
    page_request::{Page, PageRequest, page},
    policy::{PROOF_SCRIPT, SHOW_SCRIPT},
    security::password_mistake,
    sign_in::client_info,
    terms::{Policy, agreed, policies},
};
use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Open Get "/account/register" => show_register;
    Open Post "/account/register" => register;
};

#[derive(Template)]
#[template(path = "register.html")]
struct Register<'a> {
    page: Page<'a>,
    alert: Option<&'a str>,
    target: &'a str,
    target_encoded: String,
    username: &'a str,
    /// The field to write in first.
    focus: &'static str,
    /// The field that something is wrong with; empty when it is none.
    wrong: &'static str,
    token: &'a str,
    needs_token: bool,
    /// The id of the proof of a mail address, and what stands behind the `#` of the mail's link.
    sid: Option<&'a str>,
    proof: String,
    policies: Vec<Policy>,
}

/// Why there is no account yet.
struct Mistake {
    /// In words.
    alert: &'static str,
    /// The field that something is wrong with; empty when it is none.
    field: &'static str,
}

/// The field that an error is about; empty when it is none.
fn wrong_field(errcode: &str) -> &'static str {
    match errcode {
        "M_USER_IN_USE" | "M_INVALID_USERNAME" | "M_EXCLUSIVE" => "username",
        "M_WEAK_PASSWORD" => "password",
        "M_UNAUTHORIZED" => "token",
        _ => "",
    }
}

/// The field to write in first, and the one that something is wrong with. What was typed is still there, but for passwords:
/// browsers are not told them again.
fn focus(mistake: Option<&Mistake>) -> (&'static str, &'static str) {
    match mistake.map(|mistake| mistake.field) {
        None => ("username", ""),
        Some("") => ("password", ""),
        Some(field) => (field, field),
    }
}

async fn show_register(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    page(edge, request, async |page_request| {
        let target = target(request.query("continue"));
        let query = |name| request.query(name).unwrap_or_default();
        let creds = Creds { sid: query("sid").to_owned(), client_secret: String::new() };
        let mail = (!creds.sid.is_empty()).then_some((&creds, ""));
        let wants_mail = edge.config.accounts.mail.as_ref().is_some_and(|mail| mail.required);
        if wants_mail && mail.is_none() && !registration_flows(&edge.config).is_empty() {
            return address_page(page_request, Occasion::Register, target, "", None);
        }
        let token = if mail.is_none() { request.query("token") } else { None };
        let account = NewAccount { token, mail, ..NewAccount::default() };
        register_page(page_request, target, &account, None)
    })
    .await
}

async fn register(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    page(edge, request, async |page_request| {
        let form = page_request.form()?;
        let target = target(form.get("continue"));
        let Mailed { token: mail_token, client_secret } = Mailed::read(&form);
        let creds = Creds { sid: form.text("sid").to_owned(), client_secret };
        let account = NewAccount {
            name: form.text("username").trim(),
            password: form.text("password"),
            token: form.get("token"),
            mail: (!creds.sid.is_empty()).then_some((&creds, mail_token.as_str())),
            agreed: agreed(&form),
        };
        let mistake = password_mistake(page_request, &form, account.password);
        if let Some(alert) = mistake {
            let mistake = Mistake { alert, field: "password" };
            return Ok(register_page(page_request, target, &account, Some(&mistake))?.with_status(400));
        }
        match flow::register(edge, &edge.config, account.clone(), client_info(request)).await {
            Ok(cookie) => Ok(page_request.signed_in_now(&cookie, target).await),
            Err(error) => match page_request.say(&error) {
                Some(alert) => {
                    let mistake = Mistake { alert, field: wrong_field(&error.errcode) };
                    Ok(register_page(page_request, target, &account, Some(&mistake))?.with_status(error.status))
                }
                None => Err(error),
            },
        }
    })
    .await
}

fn register_page(
    page_request: &PageRequest<'_>,
    target: &str,
    account: &NewAccount<'_>,
    mistake: Option<&Mistake>,
) -> Result<Answer, MatrixError> {
    let config = &page_request.edge.config;
    let closed = registration_flows(config).is_empty();
    let page = page_request.page(page_request.text.create_account);
    let alert = mistake.map(|mistake| mistake.alert);
    let (focus, wrong) = focus(mistake);
    let register = Register {
        page,
        alert: if closed { Some(page_request.text.registration_closed) } else { alert },
        target,
        target_encoded: encoded(target),
        username: account.name,
        focus,
        wrong,
        token: account.token.unwrap_or_default(),
        needs_token: !config.open_registration && !closed,
        sid: account.mail.map(|(creds, _)| creds.sid.as_str()),
        proof: account.mail.map(|(creds, token)| proof_text(token, &creds.client_secret)).unwrap_or_default(),
        policies: policies(page_request),
    };
    let scripts = if account.mail.is_some() { &[PROOF_SCRIPT, SHOW_SCRIPT][..] } else { &[SHOW_SCRIPT] };
    let answer = page_request.show_scripted(&register, scripts)?;
    Ok(if closed { answer.with_status(403) } else { answer })
}

#[cfg(test)]
mod tests {
    use super::{Mistake, focus, wrong_field};

    #[test]
    fn the_field_that_is_wrong_has_the_focus() {
        let told = |errcode| focus(Some(&Mistake { alert: "", field: wrong_field(errcode) }));
        assert_eq!(focus(None), ("username", ""));
        assert_eq!(told("M_USER_IN_USE"), ("username", "username"));
        assert_eq!(told("M_INVALID_USERNAME"), ("username", "username"));
        assert_eq!(told("M_WEAK_PASSWORD"), ("password", "password"));
        assert_eq!(told("M_UNAUTHORIZED"), ("token", "token"));
        // Passwords are to be typed again in any case.
        assert_eq!(told("M_LIMIT_EXCEEDED"), ("password", ""));
    }
}
