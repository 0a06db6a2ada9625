//! How mail leaves the server, as an operator sets it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

/// An HTTP interface that sends mail: one `POST` of JSON for each. Every provider has fields of its own, so the body is a
/// template: in its strings `{from}`, `{to}`, `{subject}` and `{text}` are replaced.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// The address of the interface.
    pub url: String,
    /// The sender, `Name <name@example.org>`.
    pub from: String,
    /// Further headers; `{secret}` in a value stands for [`Mail::secret`].
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body.
    #[serde(default = "body")]
    pub body: Value,
    /// Nobody registers without a confirmed address.
    #[serde(default)]
    pub required: bool,
    /// What the interface wants to see; a secret, and therefore set apart.
    #[serde(skip)]
    pub secret: String,
}

fn body() -> Value {
    json!({ "from": "{from}", "to": "{to}", "subject": "{subject}", "text": "{text}" })
}
