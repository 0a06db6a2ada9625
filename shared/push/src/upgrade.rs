//! Rules go along when a room is replaced (Client-Server API, "Room Upgrades").

use ruma::RoomId;
use serde::Deserialize;
use serde_json::json;
use tern_model::RawJson;

use crate::{
    PushRules, Rule, RuleKind,
    change::{MAX_RULES, check_id},
    rule::raw,
};

/// Signs by which a pattern matches more than one text.
const WILD: [char; 2] = ['*', '?'];

impl PushRules {
    /// Copies the user's rules of the room `old` to `new`: the rule of the room, and override rules whose one condition is
    /// the room, by which clients mute it. A copy is as important as its original, does the same and is switched as it is.
    /// Rules that the new room has stay. Whether anything was copied.
    pub fn copy_room(&mut self, old: &RoomId, new: &RoomId) -> bool {
        let mut copied = false;
        for kind in [RuleKind::Override, RuleKind::Room] {
            let rules = self.of_mut(kind);
            let copies: Vec<_> = rules.iter().map(|rule| copy(kind, rule, old, new)).collect();
            let mut at = 0;
            for copy in copies {
                at += 1;
                let Some(copy) = copy else { continue };
                if rules.len() < MAX_RULES && rules.iter().all(|rule| rule.rule_id != copy.rule_id) {
                    rules.insert(at, copy);
                    (at, copied) = (at + 1, true);
                }
            }
        }
        copied
    }
}

/// What a rule of the old room is for the new one.
fn copy(kind: RuleKind, rule: &Rule, old: &RoomId, new: &RoomId) -> Option<Rule> {
    let conditions = match (kind, rule.conditions.as_deref()) {
        _ if rule.default => return None,
        (RuleKind::Room, _) if rule.rule_id == old.as_str() => None,
        (RuleKind::Override, Some([condition])) => Some(vec![moved(condition, old, new)?]),
        _ => return None,
    };
    let renamed = rule.rule_id.replace(old.as_str(), new.as_str());
    let rule_id = if renamed == rule.rule_id { new.to_string() } else { renamed };
    check_id(kind, &rule_id).ok()?;
    Some(Rule { conditions, rule_id, ..rule.clone() })
}

/// The condition that an event is in the old room, for the new one.
fn moved(condition: &RawJson, old: &RoomId, new: &RoomId) -> Option<RawJson> {
    #[derive(Deserialize)]
    struct Condition {
        kind: String,
        key: String,
        pattern: Option<String>,
        value: Option<String>,
    }
    let Condition { kind, key, pattern, value } = condition.read().ok()?;
    let (field, named) = match kind.as_str() {
        "event_match" if !old.as_str().contains(WILD) && !new.as_str().contains(WILD) => ("pattern", pattern),
        "event_property_is" => ("value", value),
        _ => return None,
    };
    (key == "room_id" && named.as_deref() == Some(old.as_str()))
        .then(|| raw(&json!({ "kind": kind, "key": key, field: new })))
}
