//! What a client may change.

use ruma::{
    RoomId, UserId,
    push::{Action, PushCondition},
};
use serde::Deserialize;
use tern_model::RawJson;

use crate::{PushRuleError, PushRules, Rule, RuleKind, rules::top};

/// More rules of one kind than anybody has; they are evaluated for every event.
pub(crate) const MAX_RULES: usize = 1_000;
/// Bytes of a rule's id, as for other Matrix identifiers.
const MAX_ID: usize = 255;

/// Bytes of a pattern: as many as an identifier has, which is what most are made of.
const MAX_PATTERN: usize = 255;
/// Conditions of one rule.
const MAX_CONDITIONS: usize = 32;
/// Actions of one rule.
const MAX_ACTIONS: usize = 32;

/// Names of actions. The last two were withdrawn; older clients still send them, and they do nothing.
const ACTIONS: [&str; 3] = ["notify", "dont_notify", "coalesce"];

/// One change of one rule.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// `PUT pushrules/global/{kind}/{ruleId}`: makes the rule or replaces it.
    Put {
        /// The body: `actions`, `conditions`, `pattern`.
        rule: &'a RawJson,
        /// The new rule becomes the next more important one of this.
        before: Option<&'a str>,
        /// The new rule becomes the next less important one of this.
        after: Option<&'a str>,
    },
    /// `DELETE pushrules/global/{kind}/{ruleId}`.
    Delete,
    /// `PUT …/enabled`.
    Enable(bool),
    /// `PUT …/actions`: the list of actions.
    Actions(&'a RawJson),
}

/// The body of a new rule.
#[derive(Deserialize)]
struct Body {
    actions: Vec<RawJson>,
    #[serde(default)]
    conditions: Vec<RawJson>,
    pattern: Option<String>,
}

impl PushRules {
    /// Makes one change, or none when it fails.
    ///
    /// # Errors
    /// As the specification says for unknown, predefined or malformed rules.
    pub fn apply(&mut self, kind: &str, rule_id: &str, change: Change<'_>) -> Result<(), PushRuleError> {
        let kind = RuleKind::parse(kind)?;
        match change {
            Change::Put { rule, before, after } => {
                let rule = decide_rule(kind, rule_id, rule)?;
                put(self.of_mut(kind), rule, before, after)
            }
            Change::Delete => delete(self.of_mut(kind), rule_id),
            Change::Enable(enabled) => {
                find(self.of_mut(kind), rule_id)?.enabled = enabled;
                Ok(())
            }
            Change::Actions(actions) => {
                let actions = actions.read::<Vec<RawJson>>().map_err(|error| malformed(&error))?;
                check_actions(&actions)?;
                find(self.of_mut(kind), rule_id)?.actions = actions;
                Ok(())
            }
        }
    }
}

/// Checks a new rule's id and body.
fn decide_rule(kind: RuleKind, rule_id: &str, body: &RawJson) -> Result<Rule, PushRuleError> {
    check_id(kind, rule_id)?;
    let body: Body = body.read().map_err(|error| malformed(&error))?;
    check_actions(&body.actions)?;
    check_conditions(&body.conditions)?;
    let conditional = matches!(kind, RuleKind::Override | RuleKind::PostContent | RuleKind::Underride);
    let pattern = body.pattern.filter(|_| kind == RuleKind::Content);
    if kind == RuleKind::Content && pattern.is_none() {
        return Err(PushRuleError::Malformed("a content rule needs a pattern".to_owned()));
    }
    check_pattern(pattern.as_deref())?;
    Ok(Rule {
        actions: body.actions,
        conditions: conditional.then_some(body.conditions),
        default: false,
        enabled: true,
        pattern,
        rule_id: rule_id.to_owned(),
    })
}

pub(crate) fn check_id(kind: RuleKind, rule_id: &str) -> Result<(), PushRuleError> {
    if rule_id.starts_with('.') {
        return Err(PushRuleError::Predefined);
    }
    let fits = match kind {
        RuleKind::Room => RoomId::parse(rule_id).is_ok(),
        RuleKind::Sender => UserId::parse(rule_id).is_ok(),
        RuleKind::Override | RuleKind::Content | RuleKind::PostContent | RuleKind::Underride => true,
    };
    if fits && !rule_id.is_empty() && rule_id.len() <= MAX_ID && !rule_id.contains(['/', '\\']) {
        Ok(())
    } else {
        Err(PushRuleError::InvalidRuleId)
    }
}

fn check_conditions(conditions: &[RawJson]) -> Result<(), PushRuleError> {
    if conditions.len() > MAX_CONDITIONS {
        return Err(PushRuleError::Malformed(format!("there are more than {MAX_CONDITIONS} conditions")));
    }
    conditions.iter().try_for_each(|condition| {
        match condition.read::<PushCondition>().map_err(|error| malformed(&error))? {
            PushCondition::EventMatch(condition) => check_pattern(Some(&condition.pattern)),
            _ => Ok(()),
        }
    })
}

/// What would take too long to look for in every event is refused.
fn check_pattern(pattern: Option<&str>) -> Result<(), PushRuleError> {
    if pattern.is_some_and(|pattern| pattern.len() > MAX_PATTERN) {
        return Err(PushRuleError::Malformed(format!("the pattern is longer than {MAX_PATTERN} bytes")));
    }
    Ok(())
}

fn check_actions(actions: &[RawJson]) -> Result<(), PushRuleError> {
    if actions.len() > MAX_ACTIONS {
        return Err(PushRuleError::Malformed(format!("there are more than {MAX_ACTIONS} actions")));
    }
    actions.iter().try_for_each(check_action)
}

/// An action is one of the names, or a tweak (Client-Server API, "Actions").
fn check_action(action: &RawJson) -> Result<(), PushRuleError> {
    #[derive(Deserialize)]
    struct Tweak {
        #[serde(rename = "set_tweak")]
        _name: String,
    }
    if action.text().starts_with('"') {
        let name: String = action.read().map_err(|error| malformed(&error))?;
        let known = ACTIONS.contains(&&*name);
        return if known { Ok(()) } else { Err(PushRuleError::Malformed(format!("there is no action {name:?}"))) };
    }
    action.read::<Tweak>().and_then(|_| action.read::<Action>()).map_err(|error| malformed(&error))?;
    Ok(())
}

fn malformed(error: &serde_json::Error) -> PushRuleError {
    PushRuleError::Malformed(error.to_string())
}

/// Puts a rule where it belongs. A rule that exists keeps its place and its switch unless it is moved.
fn put(rules: &mut Vec<Rule>, mut rule: Rule, before: Option<&str>, after: Option<&str>) -> Result<(), PushRuleError> {
    let old = rules.iter().position(|other| other.rule_id == rule.rule_id);
    if old.is_none() && rules.len() >= MAX_RULES {
        return Err(PushRuleError::TooMany);
    }
    let at = decide_place(rules, &rule.rule_id, before, after)?;
    if let Some(index) = old {
        let previous = rules.remove(index);
        rule.enabled = previous.enabled;
    }
    let at = at.or(old).unwrap_or_else(|| top(rules));
    rules.insert(at.min(rules.len()), rule);
    Ok(())
}

/// The place asked for, counted without the rule itself.
fn decide_place(
    rules: &[Rule],
    own: &str,
    before: Option<&str>,
    after: Option<&str>,
) -> Result<Option<usize>, PushRuleError> {
    let place = |neighbour: &str| {
        if neighbour.starts_with('.') {
            return Err(PushRuleError::PredefinedNeighbour);
        }
        let mut others = rules.iter().filter(|rule| rule.rule_id != own);
        others
            .position(|rule| rule.rule_id == neighbour)
            .ok_or_else(|| PushRuleError::UnknownNeighbour(neighbour.to_owned()))
    };
    match (before.map(place).transpose()?, after.map(place).transpose()?) {
        (Some(before), Some(after)) if before <= after => Err(PushRuleError::NeighboursOutOfOrder),
        (Some(before), _) => Ok(Some(before)),
        (None, Some(after)) => Ok(Some(after + 1)),
        (None, None) => Ok(None),
    }
}

fn delete(rules: &mut Vec<Rule>, rule_id: &str) -> Result<(), PushRuleError> {
    if find(rules, rule_id)?.default {
        return Err(PushRuleError::Predefined);
    }
    rules.retain(|rule| rule.rule_id != rule_id);
    Ok(())
}

fn find<'a>(rules: &'a mut [Rule], rule_id: &str) -> Result<&'a mut Rule, PushRuleError> {
    rules.iter_mut().find(|rule| rule.rule_id == rule_id).ok_or(PushRuleError::UnknownRule)
}
