//! What people agree to before they get an account.

use serde_json::Value;

use super::page_request::PageRequest;
use crate::form::Form;

/// A policy of the terms.
pub(super) struct Policy {
    pub(super) name: String,
    pub(super) url: String,
}

/// The policies in the reader's language where they have it, else in English, else in any.
pub(super) fn policies(page_request: &PageRequest<'_>) -> Vec<Policy> {
    let text = |policy: &Value| {
        let member = |name: &str| policy.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Policy { name: member("name")?, url: member("url").filter(|url| url.starts_with("https://"))? })
    };
    let terms = page_request.edge.config.accounts.terms.values();
    let wanted = |policy: &Value| {
        let languages = [page_request.text.lang, "en"].into_iter().filter_map(|lang| policy.get(lang));
        languages.chain(policy.as_object().into_iter().flat_map(serde_json::Map::values)).find_map(text)
    };
    terms.filter_map(wanted).collect()
}

/// Whether somebody has ticked that they agree.
pub(super) fn agreed(form: &Form) -> bool {
    form.get("terms") == Some("agreed")
}
