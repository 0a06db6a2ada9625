//! One rule.

use serde::{Deserialize, Serialize};
use tern_model::RawJson;

/// One rule (Client-Server API, `PushRule`). Conditions and actions stay raw, unknown ones included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// What to do when it matches.
    pub actions: Vec<RawJson>,
    /// When it matches; of override, postcontent and underride rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Vec<RawJson>>,
    /// The server made it.
    pub default: bool,
    /// It is in force.
    pub enabled: bool,
    /// What to look for; of content rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Its name within its kind.
    pub rule_id: String,
}

/// Serialises our own types, which cannot fail.
pub(crate) fn raw<T: Serialize + ?Sized>(value: &T) -> RawJson {
    RawJson::from_value(value).unwrap_or_else(|_| RawJson::empty_object())
}
