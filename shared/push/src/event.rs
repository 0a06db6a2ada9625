//! What rules look at: an event, and its circumstances.

use ruma::RoomId;
use tern_model::RawJson;

use crate::{glob::Steps, json::Json};

/// Bytes of an event's id (Appendices, "Common identifier format"). What is longer is the id of no event.
pub(crate) const LONGEST_ID: usize = 255;

/// An event in client form, as rules look at it.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    json: Json<'a>,
    /// What patterns may still cost.
    pub(crate) steps: Steps,
}

impl<'a> Event<'a> {
    /// Reads the client form; an event that is none matches nothing.
    pub fn read(client: &'a RawJson) -> Self {
        Self { json: client.read().unwrap_or(Json::Null), steps: Steps::default() }
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
        let related = relation.get("event_id").and_then(Json::text);
        related.filter(|related| is_thread == thread && related.len() <= LONGEST_ID)
    }

    pub(crate) fn at<K: AsRef<str>>(&self, path: &[K]) -> Option<&Json<'a>> {
        self.json.at(path)
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
