//! The cookie of a browser.

use tern_auth::secret;
use tern_ports::Entropy;

use crate::{edge::Edge, request::Incoming, respond::Answer};

/// An answer with the cookie, to be kept for so long; not at all for 0.
pub(super) fn set(edge: &Edge, answer: Answer, value: &str, lives_ms: u64) -> Answer {
    let name = name(edge);
    let secure = if name.starts_with("__Host-") { "; Secure" } else { "" };
    let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={}{secure}", lives_ms.div_ceil(1000));
    answer.with_header("set-cookie", cookie)
}

/// Over HTTPS the name itself makes browsers refuse a cookie that another host or an unsafe page has set.
fn name(edge: &Edge) -> &'static str {
    if edge.config.base_url().starts_with("https:") { "__Host-tern" } else { "tern" }
}

/// The cookie that came with a request.
pub(super) fn of(edge: &Edge, request: &Incoming) -> Option<String> {
    let name = name(edge);
    let header = request.header("cookie")?;
    let values = header.split(';').filter_map(|pair| pair.trim().split_once('='));
    let value = values.filter(|(key, _)| *key == name).map(|(_, value)| value).next()?;
    (value.starts_with("tern_") && value.len() <= 512).then(|| value.to_owned())
}

/// The cookie of a visitor who is nobody yet.
pub(super) fn anonymous(edge: &Edge) -> String {
    let mut bytes = [0; 16];
    edge.fill(&mut bytes);
    format!("tern_a_{}", secret::base64(&bytes))
}
