//! Conditions (Client-Server API, "Push Rules", "Conditions"; MSC4306), read once and asked of every event.

use ruma::push::RoomMemberCountIs;
use serde::Deserialize;
use std::ops::RangeBounds;
use tern_model::RawJson;

use crate::{
    event::{Context, Event},
    glob::Glob,
    json::Json,
};

/// Where a message's text stands, and where a pattern means words.
const BODY: [&str; 2] = ["content", "body"];
/// Where an event's room stands. Clients mute a room by an override rule that looks at it.
const ROOM: [&str; 1] = ["room_id"];

/// A condition that an event and its circumstances meet or not.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    /// `event_match`.
    Match(Vec<String>, Glob),
    /// `event_match` of `content.body`, and a content rule's pattern.
    Words(Glob),
    /// `event_property_is`.
    Is(Vec<String>, Json<'static>),
    /// `event_property_contains`.
    Contains(Vec<String>, Json<'static>),
    /// `contains_display_name`.
    DisplayName,
    /// `room_member_count`.
    Members(RoomMemberCountIs),
    /// `sender_notification_permission` with the one key there is, `room`.
    RoomPermission,
    /// `thread_subscription`.
    Subscription(bool),
    /// The rule of a room, and `event_property_is` of `room_id`.
    Room(String),
    /// `event_match` of `room_id`, which an event's client form lacks.
    RoomLike(Glob),
    /// The rule of a sender.
    Sender(String),
    /// One of another time: it never holds.
    Never,
}

/// A condition as rules hold it.
#[derive(Deserialize)]
struct Written<'a> {
    kind: String,
    key: Option<String>,
    pattern: Option<String>,
    #[serde(borrow)]
    value: Option<Json<'a>>,
    is: Option<RoomMemberCountIs>,
    subscribed: Option<bool>,
}

impl Condition {
    pub(crate) fn read(raw: &RawJson) -> Self {
        raw.read::<Written<'_>>().ok().as_ref().and_then(Self::compile).unwrap_or(Self::Never)
    }

    fn compile(written: &Written<'_>) -> Option<Self> {
        let path = || written.key.as_deref().map(split_path);
        // An absent field and `null` read alike; only these two kinds give `null` a meaning.
        let value = || written.value.clone().unwrap_or(Json::Null).into_owned();
        Some(match written.kind.as_str() {
            "event_match" => {
                let (path, glob) = (path()?, Glob::new(written.pattern.as_deref()?)?);
                match path {
                    path if path == BODY => Self::Words(glob),
                    path if path == ROOM => Self::RoomLike(glob),
                    path => Self::Match(path, glob),
                }
            }
            "event_property_is" if path()? == ROOM => Self::Room(value().text()?.to_owned()),
            "event_property_is" => Self::Is(path()?, value()),
            "event_property_contains" => Self::Contains(path()?, value()),
            "contains_display_name" => Self::DisplayName,
            "room_member_count" => Self::Members(written.is?),
            "sender_notification_permission" if written.key.as_deref() == Some("room") => Self::RoomPermission,
            "io.element.msc4306.thread_subscription" | "thread_subscription" => Self::Subscription(written.subscribed?),
            _ => return None,
        })
    }

    pub(crate) fn words(pattern: &str) -> Self {
        Glob::new(pattern).map_or(Self::Never, Self::Words)
    }

    pub(crate) fn holds(&self, event: &Event<'_>, context: &Context<'_>) -> bool {
        match self {
            Self::Match(path, glob) => event.text(path).is_some_and(|text| glob.matches(text, &event.steps)),
            Self::Words(glob) => event.text(&BODY).is_some_and(|text| glob.matches_words(text, &event.steps)),
            Self::Is(path, wanted) => event.at(path).is_some_and(|value| value.is_scalar() && value == wanted),
            Self::Contains(path, wanted) => match event.at(path) {
                Some(Json::Array(items)) => items.iter().any(|item| item.is_scalar() && item == wanted),
                _ => false,
            },
            Self::DisplayName => {
                let name = context.display_name.filter(|name| !name.is_empty());
                // The name is meant as it is, so its signs are no signs of a pattern.
                let glob = name.and_then(Glob::literal);
                glob.zip(event.text(&BODY)).is_some_and(|(name, body)| name.matches_words(body, &event.steps))
            }
            Self::Members(is) => {
                ruma::UInt::try_from(context.members).is_ok_and(|members| RangeBounds::contains(is, &members))
            }
            Self::RoomPermission => context.pings_room,
            Self::Subscription(wanted) => context.subscribed == Some(*wanted),
            Self::RoomLike(glob) => glob.matches(context.room_id.as_str(), &event.steps),
            Self::Room(room_id) => context.room_id.as_str() == room_id,
            Self::Sender(user_id) => event.text(&["sender"]) == Some(user_id),
            Self::Never => false,
        }
    }
}

/// A dot-separated path (Appendices, "Dot-separated property paths"): `\.` is a dot, `\\` a backslash.
fn split_path(key: &str) -> Vec<String> {
    let mut path = vec![String::new()];
    let mut push = |char, new: bool| match path.last_mut() {
        Some(part) if !new => part.push(char),
        _ => path.push(String::new()),
    };
    let mut signs = key.chars().peekable();
    while let Some(sign) = signs.next() {
        match (sign, signs.peek()) {
            ('\\', Some(&escaped @ ('.' | '\\'))) => {
                signs.next();
                push(escaped, false);
            }
            ('.', _) => push('.', true),
            (sign, _) => push(sign, false),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::split_path;

    #[test]
    fn paths_split_at_dots_that_are_not_escaped() {
        assert_eq!(split_path("content.body"), ["content", "body"]);
        assert_eq!(split_path(r"content.m\.relates_to.rel_type"), ["content", "m.relates_to", "rel_type"]);
        assert_eq!(split_path(r"m\\foo"), [r"m\foo"]);
        assert_eq!(split_path(r"m\x"), [r"m\x"]);
        assert_eq!(split_path(""), [""]);
    }
}
