//! What a client may read.

use serde_json::json;
use tern_model::RawJson;

use crate::{PushRuleError, PushRules, Rule, RuleKind, rule::raw};

/// A part of the rules, by the path under `pushrules/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View<'a> {
    /// `pushrules/`.
    All,
    /// `pushrules/global/`.
    Global,
    /// `pushrules/global/{kind}/`.
    Kind(&'a str),
    /// `pushrules/global/{kind}/{ruleId}`.
    Rule(&'a str, &'a str),
    /// `pushrules/global/{kind}/{ruleId}/enabled`.
    Enabled(&'a str, &'a str),
    /// `pushrules/global/{kind}/{ruleId}/actions`.
    Actions(&'a str, &'a str),
}

impl PushRules {
    /// The response body for a part of the rules.
    ///
    /// # Errors
    /// When the kind or the rule is unknown.
    pub fn view(&self, view: View<'_>) -> Result<RawJson, PushRuleError> {
        Ok(match view {
            View::All => self.to_content(),
            View::Global => raw(self),
            View::Kind(kind) => raw(&self.of(RuleKind::parse(kind)?)),
            View::Rule(kind, rule_id) => raw(self.get(kind, rule_id)?),
            View::Enabled(kind, rule_id) => raw(&json!({ "enabled": self.get(kind, rule_id)?.enabled })),
            View::Actions(kind, rule_id) => raw(&json!({ "actions": self.get(kind, rule_id)?.actions })),
        })
    }

    fn get(&self, kind: &str, rule_id: &str) -> Result<&Rule, PushRuleError> {
        let rules = self.of(RuleKind::parse(kind)?);
        rules.iter().find(|rule| rule.rule_id == rule_id).ok_or(PushRuleError::UnknownRule)
    }
}
