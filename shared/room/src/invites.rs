//! Who may invite a user (Client-Server API, "Invite permission", which is MSC4380; the lists are of MSC4155).

use ruma::UserId;
use serde::Deserialize;
use serde_json::Value;
use tern_model::RawJson;
use wildmatch::WildMatch;

/// Types of the account data that says it, the more important first: the specification's, and what clients write while
/// MSC4380 and MSC4155 are unstable to them.
pub const TYPES: [&str; 3] = [
    "m.invite_permission_config",
    "org.matrix.msc4380.invite_permission_config",
    "org.matrix.msc4155.invite_permission_config",
];

/// What becomes of an invite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reception {
    /// It reaches the user.
    Allowed,
    /// It is made, and the user is not told of it.
    Ignored,
    /// It is refused.
    Blocked,
}

/// What a user says about invites.
#[derive(Clone, Debug, Default)]
pub struct InviteRules {
    blocks_all: bool,
    lists: Vec<Lists>,
}

/// The lists of MSC4155; of users, then of servers.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
struct Lists {
    enabled: bool,
    allowed_users: Vec<String>,
    ignored_users: Vec<String>,
    blocked_users: Vec<String>,
    allowed_servers: Vec<String>,
    ignored_servers: Vec<String>,
    blocked_servers: Vec<String>,
}

impl Default for Lists {
    fn default() -> Self {
        Self {
            enabled: true,
            allowed_users: Vec::new(),
            ignored_users: Vec::new(),
            blocked_users: Vec::new(),
            allowed_servers: Vec::new(),
            ignored_servers: Vec::new(),
            blocked_servers: Vec::new(),
        }
    }
}

impl InviteRules {
    /// Reads contents of [`TYPES`], in that order. Lists of which one is no list of strings count for nothing.
    pub fn read<'a>(contents: impl IntoIterator<Item = &'a RawJson>) -> Self {
        #[derive(Deserialize)]
        struct Content {
            default_action: Value,
        }
        let mut rules = Self::default();
        for content in contents {
            rules.blocks_all |= content.read::<Content>().is_ok_and(|content| content.default_action == "block");
            rules.lists.extend(content.read::<Lists>().ok().filter(|lists| lists.enabled));
        }
        rules
    }

    /// What becomes of an invite by `inviter`. Time is bounded by the length of the lists times that of the id.
    pub fn receive(&self, inviter: &UserId) -> Reception {
        if self.blocks_all {
            return Reception::Blocked;
        }
        self.lists.iter().find_map(|lists| lists.receive(inviter)).unwrap_or(Reception::Allowed)
    }

    /// No invite is wanted, whoever sends it.
    pub const fn blocks_all(&self) -> bool {
        self.blocks_all
    }
}

impl Lists {
    fn receive(&self, inviter: &UserId) -> Option<Reception> {
        let user = |list: &[String]| list.iter().any(|glob| WildMatch::new(glob).matches(inviter.as_str()));
        // Names of servers have no case, and their ports do not count, as in the access control lists of rooms.
        let host = inviter.server_name().host().to_ascii_lowercase();
        let server =
            |list: &[String]| list.iter().any(|glob| WildMatch::new(&glob.to_ascii_lowercase()).matches(&host));
        let tried: [(bool, Reception); 6] = [
            (user(&self.allowed_users), Reception::Allowed),
            (user(&self.ignored_users), Reception::Ignored),
            (user(&self.blocked_users), Reception::Blocked),
            (server(&self.allowed_servers), Reception::Allowed),
            (server(&self.ignored_servers), Reception::Ignored),
            (server(&self.blocked_servers), Reception::Blocked),
        ];
        tried.into_iter().find(|(matches, _)| *matches).map(|(_, reception)| reception)
    }
}

#[cfg(test)]
mod tests {
    use ruma::UserId;
    use serde_json::{Value, json};
    use tern_model::RawJson;

    use super::{InviteRules, Reception};

    fn receive(contents: &[Value], inviter: &str) -> Reception {
        let contents: Vec<_> = contents.iter().filter_map(|content| RawJson::from_value(content).ok()).collect();
        InviteRules::read(&contents).receive(<&UserId>::try_from(inviter).unwrap_or_else(|_| ruma::user_id!("@x:x")))
    }

    #[test]
    fn the_first_list_that_matches_decides() {
        use Reception::{Allowed, Blocked, Ignored};
        let all = json!({
            "allowed_users": ["@friend:*"], "ignored_users": ["@bore:x", "@friend:x"], "blocked_users": ["@b?re:x", "@foe*"],
            "allowed_servers": ["good.x"], "ignored_servers": ["dull.x"], "blocked_servers": ["*.x"],
        });
        for (inviter, expected) in [
            ("@friend:x", Allowed),
            ("@bore:x", Ignored),
            ("@bare:x", Blocked),
            ("@foe:good.x", Blocked),
            ("@a:good.x", Allowed),
            ("@a:good.x:8448", Allowed),
            ("@a:GOOD.x", Allowed),
            ("@a:dull.x", Ignored),
            ("@a:other.x", Blocked),
            ("@a:elsewhere", Allowed),
        ] {
            assert_eq!(receive(std::slice::from_ref(&all), inviter), expected, "{inviter}");
        }
    }

    #[test]
    fn block_means_everybody_and_what_is_damaged_means_nothing() {
        use Reception::{Allowed, Blocked};
        for (content, expected) in [
            (json!({}), Allowed),
            (json!({ "default_action": "block" }), Blocked),
            (json!({ "default_action": "block", "allowed_users": ["@a:x"] }), Blocked),
            (json!({ "default_action": "block", "blocked_users": 1 }), Blocked),
            (json!({ "default_action": "allow" }), Allowed),
            (json!({ "default_action": 1, "blocked_servers": ["*"] }), Blocked),
            (json!({ "blocked_servers": ["*"] }), Blocked),
            (json!({ "blocked_servers": ["*"], "ignored_users": [1] }), Allowed),
            (json!({ "blocked_servers": ["*"], "enabled": false }), Allowed),
        ] {
            assert_eq!(receive(std::slice::from_ref(&content), "@a:x"), expected, "{content}");
        }
        let two = [json!({ "allowed_users": ["@a:x"] }), json!({ "blocked_servers": ["*"] })];
        assert_eq!((receive(&two, "@a:x"), receive(&two, "@b:x")), (Allowed, Blocked), "the first that decides");
    }
}
