//! What a search asks for.

use serde::{Deserialize, Serialize};
use tern_model::{MatrixError, RawJson};
use tern_ports::wire::search::MatchedEvent;

use tern_room::filter::RoomEventFilter;

use super::order::Order;

/// Longest search term in bytes, and most words of it.
const LONGEST_TERM: usize = 500;
const MOST_WORDS: usize = 20;

/// What is searched: key, event type.
const KEYS: [(&str, &str); 3] =
    [("content.body", "m.room.message"), ("content.name", "m.room.name"), ("content.topic", "m.room.topic")];

/// The criteria `room_events` (Client-Server API, "Server Side Search").
#[derive(Clone, Debug, Deserialize)]
pub struct Criteria {
    /// The words, all of which have to be there; those between quotation marks in a row.
    pub search_term: String,
    /// Only these of `content.body`, `content.name` and `content.topic`.
    #[serde(default)]
    pub keys: Option<Vec<String>>,
    /// `RoomEventFilter`.
    #[serde(default)]
    pub filter: Option<RawJson>,
    /// `rank`, the default, or `recent`.
    #[serde(default)]
    pub order_by: Option<String>,
    /// With what stands around the results.
    #[serde(default)]
    pub event_context: Option<Around>,
    /// With the rooms' current state.
    #[serde(default)]
    pub include_state: bool,
    /// How results are grouped.
    #[serde(default)]
    pub groupings: Groupings,
}

/// `event_context`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Around {
    #[serde(default)]
    pub(super) before_limit: Option<u32>,
    #[serde(default)]
    pub(super) after_limit: Option<u32>,
    #[serde(default)]
    pub(super) include_profile: bool,
}

/// `groupings`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Groupings {
    #[serde(default)]
    group_by: Vec<GroupBy>,
}

#[derive(Clone, Debug, Deserialize)]
struct GroupBy {
    #[serde(default)]
    key: Option<Group>,
}

/// By what results are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Group {
    RoomId,
    Sender,
}

impl Group {
    pub(super) fn of(self, event: &MatchedEvent) -> &str {
        match self {
            Self::RoomId => event.room_id.as_str(),
            Self::Sender => &event.sender,
        }
    }
}

impl Criteria {
    pub(super) fn order(&self) -> Result<Order, MatrixError> {
        match self.order_by.as_deref() {
            None | Some("rank") => Ok(Order::Rank),
            Some("recent") => Ok(Order::Recent),
            Some(_) => Err(MatrixError::invalid_param("order_by is neither rank nor recent")),
        }
    }

    /// The words of the term; what stands between quotation marks is one.
    pub(super) fn words(&self) -> Result<Vec<String>, MatrixError> {
        if self.search_term.len() > LONGEST_TERM {
            return Err(MatrixError::invalid_param("The search term is too long"));
        }
        let parts = self.search_term.split('"').enumerate();
        let words = parts.flat_map(|(index, part)| match index % 2 {
            0 => part.split_whitespace().collect(),
            _ => vec![part.trim()],
        });
        let said = words.filter(|word| word.chars().any(char::is_alphanumeric));
        Ok(said.map(str::to_owned).take(MOST_WORDS).collect())
    }

    /// The event types to search.
    pub(super) fn kinds(&self, filter: &RoomEventFilter) -> Result<Vec<String>, MatrixError> {
        let known = |key: &String| KEYS.iter().any(|(known, _)| known == key);
        if !self.keys.iter().flatten().all(known) {
            return Err(MatrixError::invalid_param("keys may be content.body, content.name and content.topic"));
        }
        let keys = self.keys.as_ref().filter(|keys| !keys.is_empty());
        let wanted = |(key, kind): &(&str, &str)| {
            keys.is_none_or(|keys| keys.iter().any(|named| named == key)) && filter.passes_type(kind)
        };
        Ok(KEYS.into_iter().filter(wanted).map(|(_, kind)| kind.to_owned()).collect())
    }

    /// By what to group the results.
    pub(super) fn groups(&self) -> impl Iterator<Item = Group> {
        self.groupings.group_by.iter().filter_map(|group| group.key)
    }
}
