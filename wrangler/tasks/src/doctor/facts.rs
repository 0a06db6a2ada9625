//! What was seen of a deployment, as `doctor.mjs` writes it down.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Facts {
    /// The address that was asked, without a path.
    pub(crate) base: String,
    pub(crate) host: String,
    /// The part of user ids after the colon, if it was given.
    pub(crate) server_name: Option<String>,
    pub(crate) dns: Dns,
    /// Absent for `http://`.
    pub(crate) tls: Option<Handshake>,
    pub(crate) post_quantum: Option<PostQuantum>,
    #[serde(default)]
    pub(crate) answers: BTreeMap<String, Answer>,
    /// Milliseconds of the same small request, one after the other on an open connection.
    #[serde(default)]
    pub(crate) idle_ms: Vec<f64>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Dns {
    pub(crate) addresses: Vec<String>,
    pub(crate) error: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Handshake {
    pub(crate) error: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) alpn: Option<String>,
    /// Why the certificate is not trusted.
    pub(crate) distrust: Option<String>,
    pub(crate) expires_ms: Option<f64>,
    pub(crate) issuer: Option<String>,
}

/// A handshake that offered X25519MLKEM768 alone.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PostQuantum {
    Negotiated,
    Refused,
    /// This computer's TLS library does not know it.
    Unsupported,
    /// No handshake at all.
    Failed,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Answer {
    pub(crate) url: String,
    pub(crate) error: Option<String>,
    pub(crate) status: u16,
    /// By lower-case name; lines of the same name are joined by commas.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
    /// Length of the body as it was sent, so perhaps compressed.
    pub(crate) bytes: usize,
    /// This computer's clock when the headers came, in milliseconds since 1970.
    pub(crate) at_ms: f64,
}

impl Facts {
    /// The answer of a probe, if there was one.
    pub(crate) fn answer(&self, probe: &str) -> Option<&Answer> {
        self.answers.get(probe).filter(|answer| answer.error.is_none())
    }

    pub(crate) fn is_https(&self) -> bool {
        self.base.starts_with("https://")
    }

    /// A server on this computer, as `cargo xtask dev` starts it.
    pub(crate) fn is_local(&self) -> bool {
        self.host == "localhost" || self.host == "::1" || self.host.starts_with("127.")
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// A JSON object, whatever the content type says.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok().filter(Value::is_object)
    }

    pub(crate) fn text(&self, pointer: &str) -> Option<String> {
        Some(self.json()?.pointer(pointer)?.as_str()?.to_owned())
    }

    pub(crate) fn errcode(&self) -> String {
        self.text("/errcode").unwrap_or_default()
    }

    pub(crate) fn is_page(&self) -> bool {
        self.header("content-type").is_some_and(|kind| kind.starts_with("text/html"))
            || self.body.trim_start().starts_with('<')
    }

    /// `404 M_UNRECOGNIZED`, `403 (a web page)`.
    pub(crate) fn summary(&self) -> String {
        match self.errcode() {
            _ if self.is_page() => format!("{} (a web page)", self.status),
            code if code.is_empty() => self.status.to_string(),
            code => format!("{} {code}", self.status),
        }
    }
}
