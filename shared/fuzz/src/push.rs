//! A push rule, a line break, and an event for it to judge.

use ruma::{room_id, user_id};
use tern_model::RawJson;
use tern_push::{Change, Context, Evaluator, Event, PushRules};

/// A rule that was taken is kept as it is, and asking it ends.
pub(crate) fn push_rule(data: &[u8]) {
    let Some((rule, event)) = crate::input::halves(data) else { return };
    let (Some(rule), Some(event)) = (crate::input::json(rule), crate::input::json(event)) else { return };
    for kind in ["override", "content", "underride"] {
        taken(kind, &rule, &event);
    }
}

fn taken(kind: &str, rule: &RawJson, event: &RawJson) {
    let owner = user_id!("@ada:example.org");
    let mut rules = PushRules::server_default(owner);
    if rules.apply(kind, "mine", Change::Put { rule, before: None, after: None }).is_err() {
        assert_eq!(rules, PushRules::server_default(owner), "a refused rule changes nothing");
        return;
    }
    let kept = PushRules::from_content(owner, &rules.to_content());
    assert_eq!(kept.ok().as_ref(), Some(&rules), "kept as it is");
    let context = Context {
        room_id: room_id!("!room:example.org"),
        display_name: Some("Ada *?"),
        members: 3,
        pings_room: false,
        subscribed: None,
    };
    let verdict = Evaluator::new(owner, &rules).evaluate(&Event::read(event), &context).cloned();
    assert!(verdict.is_none_or(|verdict| verdict.notify || !verdict.highlight), "highlights without notifying");
}
