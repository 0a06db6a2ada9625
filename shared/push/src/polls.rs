//! The predefined rules of polls (MSC3930), for the names that are stable and those that clients use meanwhile. A poll and
//! its end notify as a message does, a vote does not.

use serde_json::{Value, json};

use crate::rule::{Rule, raw};

/// What the names of rules begin with, and those of the events they are for.
const NAMES: [(&str, &str); 2] = [(".m.rule", "m.poll"), (".org.matrix.msc3930.rule", "org.matrix.msc3381.poll")];

/// The rules of polls, `override` and `underride`, which come behind those of messages.
pub(crate) fn rules() -> (Vec<Rule>, Vec<Rule>) {
    let (mut overrides, mut underride) = (Vec::new(), Vec::new());
    for (rule, event) in NAMES {
        let of_type =
            |kind: &str| json!({ "kind": "event_property_is", "key": "type", "value": format!("{event}.{kind}") });
        overrides.push(predefined(format!("{rule}.poll_response"), &[of_type("response")], &[]));
        for kind in ["start", "end"] {
            let pair = json!({ "kind": "room_member_count", "is": "2" });
            let alert = [json!("notify"), json!({ "set_tweak": "sound", "value": "default" })];
            let one_to_one = format!("{rule}.poll_{kind}_one_to_one");
            underride.push(predefined(one_to_one, &[pair, of_type(kind)], &alert));
            underride.push(predefined(format!("{rule}.poll_{kind}"), &[of_type(kind)], &alert[..1]));
        }
    }
    (overrides, underride)
}

fn predefined(rule_id: String, conditions: &[Value], actions: &[Value]) -> Rule {
    Rule {
        actions: actions.iter().map(raw).collect(),
        conditions: Some(conditions.iter().map(raw).collect()),
        default: true,
        enabled: true,
        pattern: None,
        rule_id,
    }
}
