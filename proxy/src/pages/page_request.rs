//! One request for a page: whose browser it is, which language they read, and whether a form is really theirs.

use askama::Template;
use ruma::OwnedUserId;
use tern_auth::oauth::{
    browser::{self, LIFETIME},
    request::source,
    ticket::Ticket,
};
use tern_edge::browser::{self as flow, Signed};
use tern_model::MatrixError;
use tern_ports::wire::policy::Standing;

use super::{
    address::sign_in_address,
    cookie,
    policy::{self, PROOF_SCRIPT, SHOW_SCRIPT, STYLE},
};
use crate::{
    edge::Edge,
    form::Form,
    request::Incoming,
    respond::Answer,
    text::{self, Text, around},
};

/// What every template needs.
pub(crate) struct Page<'a> {
    pub(crate) text: &'static Text,
    pub(crate) title: &'a str,
    /// The server's name.
    pub(crate) server: &'a str,
    /// Goes into every form as `form_token`.
    pub(crate) form_token: String,
}

impl Page<'_> {
    #[expect(clippy::unused_self, reason = "templates call methods")]
    pub(crate) const fn style(&self) -> &'static str {
        STYLE
    }

    #[expect(clippy::unused_self, reason = "templates call methods")]
    pub(crate) const fn proof_script(&self) -> &'static str {
        PROOF_SCRIPT
    }

    #[expect(clippy::unused_self, reason = "templates call methods")]
    pub(crate) const fn show_script(&self) -> &'static str {
        SHOW_SCRIPT
    }

    /// The words before and after the place that is filled in.
    #[expect(clippy::unused_self, reason = "templates call methods")]
    pub(crate) fn around<'b>(&self, words: &'b str) -> (&'b str, &'b str) {
        around(words)
    }
}

/// A request for a page.
pub(crate) struct PageRequest<'a> {
    pub(crate) edge: &'a Edge,
    pub(crate) request: &'a Incoming,
    pub(crate) text: &'static Text,
    cookie: String,
    /// The visitor came without a cookie and gets this one.
    is_new: bool,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct Problem<'a> {
    page: Page<'a>,
    message: &'a str,
    detail: &'a str,
}

/// Says that something is done.
#[derive(Template)]
#[template(path = "done.html")]
struct Done<'a> {
    page: Page<'a>,
    message: &'a str,
    signed_in: bool,
}

/// Runs a page. Errors become a page too.
pub(crate) async fn page<'a>(
    edge: &'a Edge,
    request: &'a Incoming,
    work: impl AsyncFnOnce(&PageRequest<'a>) -> Result<Answer, MatrixError>,
) -> Result<Answer, MatrixError> {
    let page_request = PageRequest::of(edge, request);
    match work(&page_request).await {
        Ok(answer) => Ok(answer),
        Err(error) => page_request.problem(&error),
    }
}

impl<'a> PageRequest<'a> {
    fn of(edge: &'a Edge, request: &'a Incoming) -> Self {
        let text = text::choose(request.header("accept-language").as_deref());
        let found = cookie::of(edge, request);
        let is_new = found.is_none();
        let cookie = found.unwrap_or_else(|| cookie::anonymous(edge));
        Self { edge, request, text, cookie, is_new }
    }

    /// Who is signed in here: one hop, none for a visitor without a session.
    pub(crate) async fn signed_in(&self) -> Result<Option<Signed>, MatrixError> {
        let signed = flow::read(self.edge, &self.edge.config, &self.cookie).await?;
        if signed.as_ref().is_some_and(|signed| signed.view.suspended) {
            self.edge.wire.stand(Standing::Suspended);
        }
        Ok(signed)
    }

    /// Who is signed in here, or the way to the sign-in page and back.
    pub(crate) async fn must_sign_in(&self) -> Result<Result<Signed, Answer>, MatrixError> {
        let here = browser::own_page(&self.request.address).unwrap_or("/account");
        Ok(self.signed_in().await?.ok_or_else(|| self.go(&sign_in_address(here, ""))))
    }

    /// The cookie of whoever is signed in here.
    pub(crate) fn cookie(&self) -> &str {
        &self.cookie
    }

    /// The form that was sent, if it is from a page that this visitor was shown.
    pub(crate) fn form(&self) -> Result<Form, MatrixError> {
        let form = Form::read(&self.request.body)?;
        // A browser says by itself when a form comes from elsewhere.
        let elsewhere =
            self.request.header("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none");
        let own = browser::is_own_form(&self.edge.config, &self.cookie, form.get("form_token").unwrap_or_default());
        if own && !elsewhere && !self.is_new { Ok(form) } else { Err(MatrixError::forbidden(STALE)) }
    }

    pub(crate) fn page<'b>(&'b self, title: &'b str) -> Page<'b> {
        let form_token = browser::form_token(&self.edge.config, &self.cookie);
        Page { text: self.text, title, server: self.edge.config.server_name.as_str(), form_token }
    }

    /// Shows a page whose forms lead to pages of ours.
    pub(crate) fn show(&self, template: &impl Template) -> Result<Answer, MatrixError> {
        self.show_towards(template, "")
    }

    /// Shows a page whose form leads on to whatever somebody came for: an app that the operator knows is reached by further
    /// redirects, to which browsers apply the same rule.
    pub(crate) fn show_entry(&self, template: &impl Template) -> Result<Answer, MatrixError> {
        self.show_towards(template, &self.entries())
    }

    fn entries(&self) -> String {
        let known = self.edge.config.accounts.sso_clients.iter().map(|url| source(url));
        known.collect::<Vec<_>>().join(" ")
    }

    /// As [`Self::show_entry`], for a page with scripts that save a step.
    pub(crate) fn show_scripted(&self, template: &impl Template, scripts: &[&str]) -> Result<Answer, MatrixError> {
        self.show_with(template, &self.entries(), scripts)
    }

    /// Shows a page whose form ends, by a redirect, at `target`: a source expression of the content security policy.
    pub(crate) fn show_towards(&self, template: &impl Template, target: &str) -> Result<Answer, MatrixError> {
        self.show_with(template, target, &[])
    }

    fn show_with(&self, template: &impl Template, target: &str, scripts: &[&str]) -> Result<Answer, MatrixError> {
        let html = template.render().map_err(|_| MatrixError::internal())?;
        let answer = policy::page(html, target, scripts).with_header("cache-control", "no-store");
        Ok(if self.is_new { cookie::set(self.edge, answer, &self.cookie, LIFETIME) } else { answer })
    }

    /// Shows that something is done.
    pub(crate) fn done(&self, title: &str, message: &str) -> Result<Answer, MatrixError> {
        self.show(&Done { page: self.page(title), message, signed_in: self.claimed_user().is_some() })
    }

    /// Asks for the password again, to go on at `address`. The session goes on until there is a new one: anybody can lead a
    /// browser here.
    pub(crate) fn sign_in_again(&self, address: &str, name: &str) -> Answer {
        self.go(&format!("{}&anew=true", sign_in_address(address, name)))
    }

    /// Sends the browser on to one of our pages.
    pub(crate) fn go(&self, target: &str) -> Answer {
        let answer = redirect(target);
        if self.is_new { cookie::set(self.edge, answer, &self.cookie, LIFETIME) } else { answer }
    }

    /// Sends a browser on that has just signed in. Its old cookie is worth nothing any more, whoever put it there.
    pub(crate) async fn signed_in_now(&self, cookie: &str, target: &str) -> Answer {
        if let Some(before) = self.claimed_user() {
            // Best effort: the browser has forgotten that session in any case.
            let _ = flow::sign_out(self.edge, &before, &self.cookie).await;
        }
        cookie::set(self.edge, redirect(target), cookie, LIFETIME)
    }

    /// Sends a browser on that has just signed out.
    pub(crate) fn signed_out_now(&self, target: &str) -> Answer {
        cookie::set(self.edge, redirect(target), "", 0)
    }

    /// Says what went wrong, in the visitor's language where we have words for it.
    pub(crate) fn problem(&self, error: &MatrixError) -> Result<Answer, MatrixError> {
        let (message, detail) = match error {
            error if error.message == STALE => (self.text.stale_form, ""),
            error => match self.say(error) {
                Some(message) => (message, ""),
                None if error.status >= 500 => (self.text.try_again, ""),
                None => (self.text.not_this_way, error.message.as_ref()),
            },
        };
        let problem = Problem { page: self.page(self.text.problem), message, detail };
        Ok(self.show(&problem)?.with_status(error.status))
    }

    /// Says that there is no page at this address.
    pub(crate) fn no_page(&self) -> Result<Answer, MatrixError> {
        let problem = Problem { page: self.page(self.text.no_page), message: self.text.nothing_here, detail: "" };
        Ok(self.show(&problem)?.with_status(404))
    }

    /// The words for an error that somebody can do something about.
    pub(crate) fn say(&self, error: &MatrixError) -> Option<&'static str> {
        Some(match error.errcode.as_ref() {
            "M_FORBIDDEN" | "M_USER_DEACTIVATED" => self.text.wrong_password,
            "M_USER_LOCKED" => self.text.account_locked,
            "M_USER_IN_USE" => self.text.name_taken,
            "M_INVALID_USERNAME" | "M_EXCLUSIVE" => self.text.name_not_allowed,
            "M_WEAK_PASSWORD" => self.text.password_short,
            "M_UNAUTHORIZED" => self.text.wrong_token,
            "M_TERMS_NOT_SIGNED" => self.text.terms_needed,
            "M_INVALID_EMAIL" => self.text.mail_invalid,
            "M_THREEPID_AUTH_FAILED" | "M_THREEPID_NOT_FOUND" => self.text.mail_stale,
            "M_THREEPID_IN_USE" => self.text.mail_in_use,
            "M_LIMIT_EXCEEDED" => self.text.too_often,
            _ => return None,
        })
    }

    /// The other providers: id, in letters that stand in an address as they are, and name.
    pub(crate) fn providers(&self) -> Vec<(&'a str, &'a str)> {
        let all = self.edge.config.accounts.upstream.iter();
        all.map(|provider| (provider.id.as_str(), provider.name.as_str())).collect()
    }

    /// The user that this visitor claims to be by cookie, unasked.
    pub(crate) fn claimed_user(&self) -> Option<OwnedUserId> {
        Ticket::Browser.user_of(&self.cookie, &self.edge.config.server_name)
    }
}

/// Marks the refusal of a form, which is shown in words of its own.
const STALE: &str = "This form is not one of ours";

/// Sends the browser on.
fn redirect(target: &str) -> Answer {
    let answer = policy::guarded(Answer::page(303, String::new())).with_header("cache-control", "no-store");
    answer.with_header("location", target)
}
