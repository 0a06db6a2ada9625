//! Which state of a room a client wants (MSC4186, "RequiredStateRequest").

use serde::{Deserialize, Serialize};

/// `m.room.member`.
pub(crate) const MEMBER: &str = "m.room.member";

/// Matches state by type and key; an absent part matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Selector {
    /// Event type.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// State key.
    #[serde(rename = "state_key", default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl Selector {
    fn matches(&self, kind: &str, key: &str) -> bool {
        self.kind.as_deref().is_none_or(|wanted| wanted == kind)
            && self.key.as_deref().is_none_or(|wanted| wanted == key)
    }

    /// As a pair with `*` for the wildcard.
    fn pair(&self) -> (String, String) {
        let text = |part: &Option<String>| part.clone().unwrap_or_else(|| "*".to_owned());
        (text(&self.kind), text(&self.key))
    }
}

/// The state one list or subscription asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StateRule {
    /// What to return.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<Selector>,
    /// What not to return of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<Selector>,
    /// Members are loaded lazily: wildcards do not stand for them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lazy: bool,
}

impl StateRule {
    fn matches(&self, kind: &str, key: &str) -> bool {
        let named_only = self.lazy && kind == MEMBER;
        let wanted = |selector: &Selector| selector.matches(kind, key) && (!named_only || selector.key.is_some());
        self.include.iter().any(wanted) && !self.exclude.iter().any(|selector| selector.matches(kind, key))
    }

    fn wants_all_members(&self) -> bool {
        let all =
            |selector: &Selector| selector.key.is_none() && selector.kind.as_deref().is_none_or(|kind| kind == MEMBER);
        !self.lazy && self.include.iter().any(all) && !self.exclude.iter().any(all)
    }
}

/// The union of what several lists and subscriptions ask for, rules kept apart so that each keeps its exclusions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StateNeed(Vec<StateRule>);

impl StateNeed {
    /// One rule.
    pub fn one(mut rule: StateRule) -> Self {
        rule.include.sort();
        rule.include.dedup();
        rule.exclude.sort();
        rule.exclude.dedup();
        if rule.include.is_empty() && !rule.lazy { Self::default() } else { Self(vec![rule]) }
    }

    /// Adds everything `other` asks for.
    pub fn add(&mut self, other: &Self) {
        for rule in &other.0 {
            if !self.0.contains(rule) {
                self.0.push(rule.clone());
            }
        }
        self.0.sort();
    }

    /// Whether state of this type and key is asked for by name or wildcard.
    pub fn matches(&self, kind: &str, key: &str) -> bool {
        self.0.iter().any(|rule| rule.matches(kind, key))
    }

    /// Members of the timeline's senders are to be added.
    pub fn lazy(&self) -> bool {
        self.0.iter().any(|rule| rule.lazy) && !self.0.iter().any(StateRule::wants_all_members)
    }

    /// Pairs to ask for so that everything that matches is among the answer.
    pub fn pairs(&self) -> Vec<(String, String)> {
        Self::collect(self.0.iter())
    }

    /// Pairs that this asks for and `old` did not.
    pub fn pairs_beyond(&self, old: &Self) -> Vec<(String, String)> {
        let fresh = self.0.iter().filter(|rule| !old.0.contains(rule));
        let known = |pair: &(String, String)| {
            old.0.iter().any(|rule| {
                let named = rule.include.iter().any(|selector| selector.pair() == *pair);
                let shadowed = rule.lazy && pair.1 == "*" && (pair.0 == "*" || pair.0 == MEMBER);
                named && rule.exclude.is_empty() && !shadowed
            })
        };
        let mut pairs = Self::collect(fresh);
        pairs.retain(|pair| !known(pair) || self.unshadows(old, pair));
        pairs
    }

    /// The pair stands for more here than in `old`, because there members were lazy.
    fn unshadows(&self, old: &Self, pair: &(String, String)) -> bool {
        pair.1 == "*" && (pair.0 == "*" || pair.0 == MEMBER) && old.lazy() && !self.lazy()
    }

    fn collect<'a>(rules: impl Iterator<Item = &'a StateRule>) -> Vec<(String, String)> {
        let mut pairs: Vec<_> = rules.flat_map(|rule| rule.include.iter().map(Selector::pair)).collect();
        pairs.sort();
        pairs.dedup();
        pairs
    }

    /// Nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
