//! Secrets that say whose hub can judge them: `{prefix}{localpart}.{secret}`, both in base64. The hub keeps only the SHA-256.

use ruma::{OwnedUserId, ServerName, UserId};
use sha2::{Digest, Sha256};

use crate::secret::{base64, from_base64};

/// Nothing longer is looked at.
const MAX_LENGTH: usize = 512;

/// What a ticket is for. One kind is never taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ticket {
    /// An authorization code.
    Code,
    /// The cookie of somebody who signed in on the pages.
    Browser,
}

impl Ticket {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Code => "tern_c_",
            Self::Browser => "tern_b_",
        }
    }

    /// Writes a ticket of `user_id` with 32 random bytes.
    pub fn write(self, user_id: &UserId, secret: &[u8; 32]) -> String {
        format!("{}{}.{}", self.prefix(), base64(user_id.localpart().as_bytes()), base64(secret))
    }

    /// The user whose hub can judge this ticket; `None` when it has not the form of one.
    pub fn user_of(self, ticket: &str, server_name: &ServerName) -> Option<OwnedUserId> {
        if ticket.len() > MAX_LENGTH {
            return None;
        }
        let (localpart, secret) = ticket.strip_prefix(self.prefix())?.split_once('.')?;
        if from_base64(secret)?.len() != 32 {
            return None;
        }
        let localpart = String::from_utf8(from_base64(localpart)?).ok()?;
        UserId::parse(format!("@{localpart}:{server_name}")).ok().filter(|user_id| user_id.localpart() == localpart)
    }
}

/// What a hub keeps of a secret.
pub fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use ruma::{server_name, user_id};

    use super::Ticket;

    #[test]
    fn a_ticket_names_its_user_and_nothing_else() {
        let alice = user_id!("@alice:example.org");
        let here = server_name!("example.org");
        let code = Ticket::Code.write(alice, &[7; 32]);
        assert_eq!(Ticket::Code.user_of(&code, here).as_deref(), Some(alice));
        assert_eq!(Ticket::Browser.user_of(&code, here), None);
        for broken in ["", "tern_c_", "tern_c_YWxpY2U", "tern_c_YWxpY2U.AAAA", "tern_c_OmE.AAAA"] {
            assert_eq!(Ticket::Code.user_of(broken, here), None, "{broken}");
        }
        assert_eq!(Ticket::Code.user_of(&format!("{code}{}", "A".repeat(600)), here), None);
    }
}
