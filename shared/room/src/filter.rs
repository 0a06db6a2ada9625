//! `RoomEventFilter` (Client-Server API, "Filtering").

use crate::Relation;
use ruma::OwnedRoomId;
use serde::Deserialize;
use tern_model::{MatrixError, RawJson, StoredEvent};

/// Which events of a room a client wants.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RoomEventFilter {
    pub limit: Option<u32>,
    types: Option<Vec<String>>,
    not_types: Vec<String>,
    pub senders: Option<Vec<String>>,
    pub not_senders: Vec<String>,
    rooms: Option<Vec<OwnedRoomId>>,
    not_rooms: Vec<OwnedRoomId>,
    pub contains_url: Option<bool>,
    pub lazy_load_members: bool,
    rel_types: Option<Vec<String>>,
    not_rel_types: Vec<String>,
    #[serde(rename = "org.matrix.msc3874.rel_types")]
    unstable_rel_types: Option<Vec<String>>,
    #[serde(rename = "org.matrix.msc3874.not_rel_types")]
    unstable_not_rel_types: Vec<String>,
    related_by_senders: Option<Vec<String>>,
    related_by_rel_types: Option<Vec<String>>,
}

impl RoomEventFilter {
    pub fn read(filter: Option<&RawJson>) -> Result<Self, MatrixError> {
        match filter {
            Some(filter) => {
                filter.read().map_err(|_| MatrixError::invalid_param("The filter is not a RoomEventFilter"))
            }
            None => Ok(Self::default()),
        }
    }

    /// Nothing of this room passes.
    pub fn excludes_room(&self, room_id: &ruma::RoomId) -> bool {
        let named = |rooms: &[OwnedRoomId]| rooms.iter().any(|named| named == room_id);
        named(&self.not_rooms) || self.rooms.as_deref().is_some_and(|rooms| !named(rooms))
    }

    /// Only events pass to which certain others relate.
    pub fn asks_for_relations(&self) -> bool {
        self.related_by_senders.is_some() || self.related_by_rel_types.is_some()
    }

    /// The event that `related` relates to passes, as far as relations are concerned.
    pub fn passes_related(&self, related: &StoredEvent, rel_type: &str) -> bool {
        self.related_by_senders.as_ref().is_none_or(|senders| senders.contains(&related.sender))
            && self.related_by_rel_types.as_ref().is_none_or(|types| types.iter().any(|wanted| wanted == rel_type))
    }

    /// Events of this type may pass.
    pub fn passes_type(&self, kind: &str) -> bool {
        let typed = |patterns: &[String]| patterns.iter().any(|pattern| type_matches(pattern, kind));
        !typed(&self.not_types) && self.types.as_deref().is_none_or(typed)
    }

    pub fn passes(&self, event: &StoredEvent) -> bool {
        let sent = |senders: &[String]| senders.contains(&event.sender);
        self.passes_type(&event.kind)
            && !sent(&self.not_senders)
            && self.senders.as_deref().is_none_or(sent)
            && self.contains_url.is_none_or(|wanted| wanted == contains_url(event))
            && self.passes_relation(event)
    }

    /// Its own relation, or that it has none, lets the event pass (MSC3874).
    fn passes_relation(&self, event: &StoredEvent) -> bool {
        let (wanted, unwanted) = (self.rel_types(), self.not_rel_types());
        if wanted.is_none() && unwanted.is_empty() {
            return true;
        }
        let relation = Relation::of(event).map(|relation| relation.rel_type);
        match relation {
            Some(rel_type) => wanted.is_none_or(|types| types.contains(&rel_type)) && !unwanted.contains(&rel_type),
            None => wanted.is_none(),
        }
    }

    /// Only events that relate to others in one of these ways.
    pub fn rel_types(&self) -> Option<&[String]> {
        self.rel_types.as_deref().or(self.unstable_rel_types.as_deref())
    }

    /// No events that relate to others in one of these ways.
    pub fn not_rel_types(&self) -> &[String] {
        if self.not_rel_types.is_empty() { &self.unstable_not_rel_types } else { &self.not_rel_types }
    }
}

/// `*` stands for any run of characters.
fn type_matches(pattern: &str, kind: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = parts.next().and_then(|start| kind.strip_prefix(start)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(end) = parts.pop() else { return rest.is_empty() };
    let mut rest = rest;
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(end)
}

fn contains_url(event: &StoredEvent) -> bool {
    #[derive(Deserialize)]
    struct Content {
        url: Option<serde::de::IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct Pdu {
        content: Content,
    }
    event.pdu.read::<Pdu>().is_ok_and(|pdu| pdu.content.url.is_some())
}

#[cfg(test)]
mod tests {
    use super::type_matches;

    #[test]
    fn a_star_stands_for_any_run() {
        assert!(type_matches("m.room.message", "m.room.message"));
        assert!(!type_matches("m.room.message", "m.room.messages"));
        assert!(type_matches("m.room.*", "m.room.message"));
        assert!(type_matches("*", "anything"));
        assert!(type_matches("m.*.m*e", "m.room.message"));
        assert!(!type_matches("m.*.x", "m.room.message"));
        assert!(!type_matches("a*a", "a"));
        assert!(!type_matches("", "m"));
    }
}
