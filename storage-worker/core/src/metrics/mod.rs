//! What requests cost, kept in one object: the frames that isolates hand over, and who looks at them.
//!
//! A question is a line in a header and a body beside it; the rules are `tern-metrics`', the tables [`slots`].

mod slots;

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use tern_metrics::{
    codec::CodecError,
    page, prometheus,
    view::{Range, Trouble, View},
};
use tern_model::Millis;
use tern_ports::{Sql, SqlError, wire::troubles::TroubledServer};

pub use slots::Slots;

/// Most servers that fail and are named.
pub const MOST_TROUBLES: u32 = 50;

/// What is asked, as the header says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question<'a> {
    /// `record`: the body is a frame.
    Record,
    /// `text`: what Prometheus reads. The body says which servers fail.
    Text,
    /// `page LANGUAGE RANGE SERVER`: the dashboard of the server of this name. The body is as with `text`.
    Page(&'a str, Range, &'a str),
}

impl<'a> Question<'a> {
    /// Reads the header.
    pub fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.split(' ');
        match words.next()? {
            "record" => Some(Self::Record),
            "text" => Some(Self::Text),
            "page" => Some(Self::Page(words.next()?, Range::named(words.next()?), words.next()?)),
            _ => None,
        }
    }
}

/// What is answered.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// `Content-Security-Policy`.
    pub policy: Option<String>,
    /// The body.
    pub body: String,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The body is no frame.
    #[error(transparent)]
    Frame(#[from] CodecError),
    /// What is kept cannot be read or written.
    #[error(transparent)]
    Sql(#[from] SqlError),
    /// No question.
    #[error("metrics: unknown question")]
    Unknown,
}

impl MetricsError {
    const fn status(&self) -> u16 {
        match self {
            Self::Frame(_) | Self::Unknown => 400,
            Self::Sql(_) => 500,
        }
    }
}

/// Answers a question. An error is an answer, too.
pub fn answer(sql: &impl Sql, now: Millis, line: &str, body: &[u8]) -> Reply {
    let reply = Question::parse(line).ok_or(MetricsError::Unknown).and_then(|question| ask(sql, now, question, body));
    reply.unwrap_or_else(|error| Reply {
        status: error.status(),
        content_type: "text/plain",
        body: error.to_string(),
        ..Reply::default()
    })
}

fn ask(sql: &impl Sql, now: Millis, question: Question<'_>, body: &[u8]) -> Result<Reply, MetricsError> {
    let slots = Slots::open(sql)?;
    match question {
        Question::Record => slots.record(now, body).map(|()| Reply { status: 204, ..Reply::default() }),
        Question::Text => {
            let body = prometheus::text(&slots.ever()?, troubles(body).map(|troubles| troubles.len()));
            Ok(Reply { status: 200, content_type: prometheus::CONTENT_TYPE, policy: None, body })
        }
        Question::Page(lang, range, server) => {
            let view = View { troubles: troubles(body), ..slots.view(now, range)? };
            let body = page::html(&view, lang, server);
            Ok(Reply { status: 200, content_type: "text/html; charset=utf-8", policy: Some(policy()), body })
        }
    }
}

/// Servers that fail; nothing where the databases did not tell.
fn troubles(body: &[u8]) -> Option<Vec<Trouble>> {
    let troubles: Vec<TroubledServer> = serde_json::from_slice(body).ok()?;
    let trouble = |one: TroubledServer| Trouble { server: one.server.to_string(), since_ms: one.since.0 };
    Some(troubles.into_iter().map(trouble).collect())
}

/// The page brings all that it needs, and leads nowhere but to itself.
fn policy() -> String {
    let style = STANDARD.encode(Sha256::digest(page::STYLE));
    format!(
        "default-src 'none'; img-src 'self'; style-src 'sha256-{style}'; form-action 'none'; frame-ancestors 'none'; \
         base-uri 'none'"
    )
}
