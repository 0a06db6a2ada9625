//! Whom people turn to when something is wrong with the server.

use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};

/// The document `/.well-known/matrix/support` (Client-Server API, "Support contact").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Support {
    /// Who can be asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<Contact>,
    /// The URL of a page for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub support_page: Option<String>,
}

/// Somebody who can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// `m.role.admin`, `m.role.security`, or a role of another namespace.
    pub role: String,
    /// A Matrix user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix_id: Option<OwnedUserId>,
    /// A mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_address: Option<String>,
}

impl Support {
    /// Refuses what the specification does not allow.
    ///
    /// # Errors
    /// What is missing.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.contacts.is_empty() && self.support_page.is_none() {
            return Err("neither contacts nor support_page is given");
        }
        let can_be_asked = |contact: &Contact| contact.matrix_id.is_some() || contact.email_address.is_some();
        if self.contacts.iter().all(can_be_asked) { Ok(()) } else { Err("a contact has no matrix_id or email_address") }
    }
}

#[cfg(test)]
mod tests {
    use super::Support;

    #[test]
    fn there_is_somebody_or_something_to_turn_to() {
        for (text, fine) in [
            (r#"{"support_page":"https://example.org/help"}"#, true),
            (r#"{"contacts":[{"role":"m.role.admin","matrix_id":"@a:example.org"}]}"#, true),
            (r#"{"contacts":[{"role":"m.role.security","email_address":"security@example.org"}]}"#, true),
            (r#"{"contacts":[{"role":"m.role.admin"}]}"#, false),
            (r#"{"contacts":[]}"#, false),
            ("{}", false),
            (r#"{"contacts":[{"matrix_id":"@a:example.org"}]}"#, false),
            (r#"{"contacts":[{"role":"m.role.admin","matrix_id":"a"}]}"#, false),
            (r#"{"page":"https://example.org/help"}"#, false),
        ] {
            let read = serde_json::from_str::<Support>(text);
            assert_eq!(read.is_ok_and(|support| support.check().is_ok()), fine, "{text}");
        }
    }
}
