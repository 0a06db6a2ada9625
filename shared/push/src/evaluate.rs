//! Which rule matches an event, and what follows (Client-Server API, "Push Rules").

use ruma::{RoomId, UserId};
use tern_model::RawJson;

use crate::{PushRules, Rule, RuleKind, condition::Condition, json::Json};

/// An event in client form, as rules look at it.
#[derive(Clone, Debug)]
pub struct Event<'a>(Json<'a>);

impl<'a> Event<'a> {
    /// Reads the client form; an event that is none matches nothing.
    pub fn read(client: &'a RawJson) -> Self {
        Self(client.read().unwrap_or(Json::Null))
    }

    /// The event was redacted: nobody is notified of what is left.
    pub fn is_redacted(&self) -> bool {
        self.at(&["unsigned", "redacted_because"]).is_some()
    }

    /// The root of the thread that the event says it is in (`m.thread`).
    pub fn thread(&self) -> Option<&str> {
        self.related(true)
    }

    /// The event it relates to in another way; should that be in a thread, so is this.
    pub fn relates_to(&self) -> Option<&str> {
        self.related(false)
    }

    /// The event it redacts.
    pub fn redacts(&self) -> Option<&str> {
        self.text(&["redacts"]).filter(|_| self.text(&["type"]) == Some("m.room.redaction"))
    }

    fn related(&self, thread: bool) -> Option<&str> {
        let relation = self.at(&["content", "m.relates_to"])?;
        let is_thread = relation.get("rel_type").and_then(Json::text) == Some("m.thread");
        relation.get("event_id").and_then(Json::text).filter(|_| is_thread == thread)
    }

    pub(crate) fn at<K: AsRef<str>>(&self, path: &[K]) -> Option<&Json<'a>> {
        self.0.at(path)
    }

    pub(crate) fn text<K: AsRef<str>>(&self, path: &[K]) -> Option<&str> {
        self.at(path).and_then(Json::text)
    }
}

/// What conditions ask beyond the event.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The room.
    pub room_id: &'a RoomId,
    /// The user's display name in the room.
    pub display_name: Option<&'a str>,
    /// Joined members.
    pub members: u64,
    /// The sender's power level is enough to notify the room.
    pub pings_room: bool,
    /// Whether the user is subscribed to the event's thread; `None` when it is in no thread, or when the user's clients
    /// know of no subscriptions (MSC4306).
    pub subscribed: Option<bool>,
}

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
