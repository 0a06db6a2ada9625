//! A user's rules, in order of importance within each kind.

use ruma::{UserId, push::Ruleset};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tern_model::RawJson;

use crate::{
    PushRuleError, polls,
    rule::{Rule, raw},
};

/// The one predefined rule that stays above the user's own.
const MASTER: &str = ".m.rule.master";
/// The name of [`RuleKind::PostContent`] in a path while MSC4306 is unstable.
const UNSTABLE_POSTCONTENT: &str = "io.element.msc4306.postcontent";

/// A kind of rule; kinds are tried in the order of [`RuleKind::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleKind {
    /// Any condition, before everything else.
    Override,
    /// A pattern in the message's body.
    Content,
    /// Threads the user is subscribed to, and those not (MSC4306).
    PostContent,
    /// One room; the rule's id is the room's.
    Room,
    /// One sender; the rule's id is the sender's.
    Sender,
    /// Any condition, after everything else.
    Underride,
}

impl RuleKind {
    /// All kinds, the most important first.
    pub const ALL: [Self; 6] =
        [Self::Override, Self::Content, Self::PostContent, Self::Room, Self::Sender, Self::Underride];

    /// The kind of this name in a path.
    ///
    /// # Errors
    /// When there is none.
    pub fn parse(name: &str) -> Result<Self, PushRuleError> {
        let name = if name == UNSTABLE_POSTCONTENT { Self::PostContent.name() } else { name };
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or(PushRuleError::UnknownKind)
    }

    /// Its name in a path and in the ruleset.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Override => "override",
            Self::Content => "content",
            Self::PostContent => "postcontent",
            Self::Room => "room",
            Self::Sender => "sender",
            Self::Underride => "underride",
        }
    }
}

/// The `global` ruleset of a user. Every kind is always written, since clients iterate over them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PushRules {
    pub(crate) content: Vec<Rule>,
    #[serde(rename = "override")]
    pub(crate) overrides: Vec<Rule>,
    pub(crate) postcontent: Vec<Rule>,
    pub(crate) room: Vec<Rule>,
    pub(crate) sender: Vec<Rule>,
    pub(crate) underride: Vec<Rule>,
}

/// The content of `m.push_rules`.
#[derive(Serialize, Deserialize)]
struct Content<T> {
    global: T,
}

impl PushRules {
    /// The predefined rules of a new user (Client-Server API, "Predefined Rules").
    pub fn server_default(user_id: &UserId) -> Self {
        let rules = serde_json::to_value(Ruleset::server_default(user_id)).and_then(serde_json::from_value);
        let mut rules: Self = rules.unwrap_or_default();
        let (overrides, underride) = polls::rules();
        rules.overrides.extend(overrides);
        rules.underride.extend(underride);
        Self { postcontent: subscription_rules(), ..rules }
    }

    /// Reads the stored content of `m.push_rules`. Predefined rules come from this build; the stored ones only say what
    /// the user made of them, so that rules which later versions add or drop need no migration.
    ///
    /// # Errors
    /// When it is not what [`Self::to_content`] writes.
    pub fn from_content(user_id: &UserId, content: &RawJson) -> Result<Self, serde_json::Error> {
        let stored = content.read::<Content<Self>>()?.global;
        let mut rules = Self::server_default(user_id);
        for kind in RuleKind::ALL {
            merge(rules.of_mut(kind), stored.of(kind));
        }
        Ok(rules)
    }

    /// The content of `m.push_rules`, which is also the answer to `GET pushrules/`.
    pub fn to_content(&self) -> RawJson {
        raw(&Content { global: self })
    }

    /// The rules of a kind, the most important first.
    pub fn of(&self, kind: RuleKind) -> &[Rule] {
        match kind {
            RuleKind::Override => &self.overrides,
            RuleKind::Content => &self.content,
            RuleKind::PostContent => &self.postcontent,
            RuleKind::Room => &self.room,
            RuleKind::Sender => &self.sender,
            RuleKind::Underride => &self.underride,
        }
    }

    pub(crate) fn of_mut(&mut self, kind: RuleKind) -> &mut Vec<Rule> {
        match kind {
            RuleKind::Override => &mut self.overrides,
            RuleKind::Content => &mut self.content,
            RuleKind::PostContent => &mut self.postcontent,
            RuleKind::Room => &mut self.room,
            RuleKind::Sender => &mut self.sender,
            RuleKind::Underride => &mut self.underride,
        }
    }
}

/// The predefined rules of MSC4306. A thread that is not subscribed is quiet, one that is makes a sound.
fn subscription_rules() -> Vec<Rule> {
    let rule = |name: &str, subscribed: bool, actions: Vec<RawJson>| Rule {
        actions,
        conditions: Some(vec![raw(&json!({
            "kind": "io.element.msc4306.thread_subscription", "subscribed": subscribed,
        }))]),
        default: true,
        enabled: true,
        pattern: None,
        rule_id: format!(".io.element.msc4306.rule.{name}"),
    };
    let sound = json!({ "set_tweak": "sound", "value": "default" });
    vec![
        rule("unsubscribed_thread", false, Vec::new()),
        rule("subscribed_thread", true, vec![raw("notify"), raw(&sound)]),
    ]
}

/// Where the most important rule of the user goes: below the master switch, above everything else.
pub(crate) fn top(rules: &[Rule]) -> usize {
    rules.iter().take_while(|rule| rule.rule_id == MASTER).count()
}

/// Lays the user's own rules and settings from `stored` over the predefined `rules`.
fn merge(rules: &mut Vec<Rule>, stored: &[Rule]) {
    for rule in rules.iter_mut() {
        if let Some(old) = stored.iter().find(|old| old.default && old.rule_id == rule.rule_id) {
            rule.enabled = old.enabled;
            rule.actions.clone_from(&old.actions);
        }
    }
    let at = top(rules);
    rules.splice(at..at, stored.iter().filter(|old| !old.default).cloned());
}
