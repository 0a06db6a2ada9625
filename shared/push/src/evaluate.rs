//! Which rule matches an event, and what follows (Client-Server API, "Push Rules").

use ruma::UserId;
use tern_model::RawJson;

use crate::{
    PushRules, Rule, RuleKind,
    condition::Condition,
    event::{Context, Event},
};

/// What a matching rule says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The event notifies.
    pub notify: bool,
    /// It also highlights; never without notifying.
    pub highlight: bool,
    /// The rule's actions.
    pub actions: Vec<RawJson>,
}

impl Verdict {
    fn of(rule: &Rule) -> Self {
        let notify = rule.actions.iter().any(|action| action.text() == "\"notify\"");
        let highlight = notify
            && tweaks(&rule.actions)
                .any(|(name, value)| name == "highlight" && value.is_none_or(|value| value.text() == "true"));
        Self { notify, highlight, actions: rule.actions.clone() }
    }
}

/// The tweaks among `actions` (Client-Server API, "Actions"), with their values.
pub fn tweaks(actions: &[RawJson]) -> impl Iterator<Item = (String, Option<RawJson>)> + '_ {
    #[derive(serde::Deserialize)]
    struct Tweak {
        set_tweak: String,
        value: Option<RawJson>,
    }
    let tweaks = actions.iter().filter_map(|action| action.read::<Tweak>().ok());
    tweaks.map(|tweak| (tweak.set_tweak, tweak.value))
}

/// A user's rules, ready to be asked: those that are enabled, in order of importance.
#[derive(Clone, Debug)]
pub struct Evaluator {
    own: String,
    rules: Vec<(Vec<Condition>, Verdict)>,
}

impl Evaluator {
    /// The rules of `user_id`.
    pub fn new(user_id: &UserId, rules: &PushRules) -> Self {
        let enabled = |kind| rules.of(kind).iter().filter(|rule| rule.enabled).map(move |rule| (kind, rule));
        let all = RuleKind::ALL.into_iter().flat_map(enabled);
        let rules = all.map(|(kind, rule)| (conditions(kind, rule), Verdict::of(rule))).collect();
        Self { own: user_id.as_str().to_owned(), rules }
    }

    /// What the most important rule that matches says; nothing when none does, for the user's own events and for what is
    /// left of redacted ones.
    pub fn evaluate(&self, event: &Event<'_>, context: &Context<'_>) -> Option<&Verdict> {
        if event.text(&["sender"]) == Some(&self.own) || event.is_redacted() {
            return None;
        }
        let matches = |conditions: &[Condition]| conditions.iter().all(|condition| condition.holds(event, context));
        self.rules.iter().find(|(conditions, _)| matches(conditions)).map(|(_, verdict)| verdict)
    }
}

fn conditions(kind: RuleKind, rule: &Rule) -> Vec<Condition> {
    match kind {
        RuleKind::Room => vec![Condition::Room(rule.rule_id.clone())],
        RuleKind::Sender => vec![Condition::Sender(rule.rule_id.clone())],
        RuleKind::Content => vec![rule.pattern.as_deref().map_or(Condition::Never, Condition::words)],
        RuleKind::Override | RuleKind::PostContent | RuleKind::Underride => {
            rule.conditions.iter().flatten().map(Condition::read).collect()
        }
    }
}
