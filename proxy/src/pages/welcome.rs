//! What somebody sees who opens the server's address: what it is, and how to get in. The pages' icons, and the page for
//! addresses without one.

use askama::Template;
use tern_auth::uia::registration_flows;
use tern_model::{Config, MatrixError};
use worker::ResponseBody;

use super::{
    page_request::{Page, page},
    policy::{self, guarded},
};
use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
    text::{self, Text},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Fixed Get "/" => welcome;
    Fixed Get "/favicon.svg" => icon;
    Fixed Get "/favicon.ico" => icon;
    Fixed Get "/apple-touch-icon.png" => touch_icon;
    Open Get "/account/" => no_page;
    Open Get "/account/{*rest}" => no_page;
};

const ICON: &str = include_str!("../../templates/favicon.svg");
const TOUCH_ICON: &[u8] = include_bytes!("../../templates/touch-icon.png");

/// How long a browser keeps the page, and the icons, in seconds.
const KEEP_PAGE: &str = "public, max-age=300";
const KEEP_ICON: &str = "public, max-age=86400";

#[derive(Template)]
#[template(path = "welcome.html")]
struct Welcome<'a> {
    page: Page<'a>,
    /// What to type in an app.
    address: &'a str,
    /// Opens the app with this server filled in.
    phone_link: Option<String>,
    registration: &'a str,
    may_register: bool,
}

impl<'a> Welcome<'a> {
    fn of(text: &'static Text, server: &'a str, base_url: &'a str, accounts: Registration) -> Self {
        let registration = match accounts {
            Registration::Open => text.open_to_all,
            Registration::ByToken => text.open_by_token,
            Registration::Closed => text.open_to_none,
        };
        let page = Page { text, title: text.welcome, server, form_token: String::new() };
        let may_register = accounts != Registration::Closed;
        Self { page, address: typed(base_url), phone_link: phone_link(base_url), registration, may_register }
    }
}

/// Who may create an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Registration {
    Open,
    ByToken,
    Closed,
}

impl Registration {
    fn of(config: &Config) -> Self {
        match (registration_flows(config).is_empty(), config.open_registration) {
            (true, _) => Self::Closed,
            (false, true) => Self::Open,
            (false, false) => Self::ByToken,
        }
    }
}

/// What somebody types in an app: a host is enough, since it answers `/.well-known/matrix/client`; apps look for it over HTTPS.
fn typed(base_url: &str) -> &str {
    let base_url = base_url.trim_end_matches('/');
    base_url.strip_prefix("https://").unwrap_or(base_url)
}

/// The link that opens Element X with a server filled in, as its makers describe it for people who run servers. It takes hosts
/// alone.
fn phone_link(base_url: &str) -> Option<String> {
    base_url.starts_with("https://").then(|| {
        let host = typed(base_url);
        format!("https://mobile.element.io/element?account_provider={host}")
    })
}

/// The same for everybody who reads the same language, so it is kept and sets no cookie.
async fn welcome(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let text = text::choose(request.header("accept-language").as_deref());
    let base_url = edge.config.base_url();
    let (server, accounts) = (edge.config.server_name.as_str(), Registration::of(&edge.config));
    let html = Welcome::of(text, server, &base_url, accounts).render().map_err(|_| MatrixError::internal())?;
    Ok(policy::page(html, "", &[]).with_header("cache-control", KEEP_PAGE).with_header("vary", "accept-language"))
}

async fn icon(_: &Edge, _: &Incoming) -> Result<Answer, MatrixError> {
    Ok(kept("image/svg+xml", ICON.as_bytes()))
}

async fn touch_icon(_: &Edge, _: &Incoming) -> Result<Answer, MatrixError> {
    Ok(kept("image/png", TOUCH_ICON))
}

fn kept(content_type: &str, content: &[u8]) -> Answer {
    let headers = vec![
        ("content-type", content_type.to_owned()),
        ("cache-control", KEEP_ICON.to_owned()),
        ("content-security-policy", "default-src 'none'; sandbox".to_owned()),
    ];
    guarded(Answer::content(200, headers, ResponseBody::Body(content.to_vec())))
}

async fn no_page(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    page(edge, request, async |page_request| page_request.no_page()).await
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::{Registration, Welcome, phone_link, typed};
    use crate::text::choose;

    fn shown(lang: &str, base_url: &str, accounts: Registration) -> String {
        Welcome::of(choose(Some(lang)), "tern.example", base_url, accounts).render().unwrap_or_default()
    }

    #[test]
    fn an_address_is_as_short_as_apps_take_it() {
        assert_eq!(typed("https://matrix.tern.example/"), "matrix.tern.example");
        assert_eq!(typed("https://tern.example:8448"), "tern.example:8448");
        // Apps would look for a bare host over HTTPS.
        assert_eq!(typed("http://127.0.0.1:8787"), "http://127.0.0.1:8787");
        let link = "https://mobile.element.io/element?account_provider=matrix.tern.example";
        assert_eq!(phone_link("https://matrix.tern.example").as_deref(), Some(link));
        assert_eq!(phone_link("http://127.0.0.1:8787"), None);
    }

    #[test]
    fn it_says_where_one_is_and_how_to_get_in() {
        let (open, closed) = (Registration::Open, Registration::Closed);
        let page = shown("en", "https://matrix.tern.example", open);
        for part in [
            "<html lang=\"en\">",
            "<title>tern.example</title>",
            "@…:tern.example",
            "/account/register\"",
            "Anybody may",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert!(!page.contains("<script") && page.len() < 10_000);
        assert!(shown("en", "https://matrix.tern.example", Registration::ByToken).contains("registration token"));
        let page = shown("fr", "http://127.0.0.1:8787", closed);
        assert!(page.contains("<html lang=\"fr\">") && page.contains("http://127.0.0.1:8787"));
        assert!(!page.contains("/account/register") && !page.contains("mobile.element.io"));
    }
}
