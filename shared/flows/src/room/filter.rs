//! `RoomEventFilter` (Client-Server API, "Filtering").

use ruma::OwnedRoomId;
use serde::Deserialize;
use tern_model::{MatrixError, RawJson, StoredEvent};

/// Which events of a room a client wants.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RoomEventFilter {
    pub(super) limit: Option<u32>,
    types: Option<Vec<String>>,
    not_types: Vec<String>,
    senders: Option<Vec<String>>,
    not_senders: Vec<String>,
    rooms: Option<Vec<OwnedRoomId>>,
    not_rooms: Vec<OwnedRoomId>,
    contains_url: Option<bool>,
    pub(super) lazy_load_members: bool,
}

impl RoomEventFilter {
    pub(super) fn read(filter: Option<&RawJson>) -> Result<Self, MatrixError> {
        match filter {
            Some(filter) => {
                filter.read().map_err(|_| MatrixError::invalid_param("The filter is not a RoomEventFilter"))
            }
            None => Ok(Self::default()),
        }
    }

    /// Nothing of this room passes.
    pub(super) fn excludes_room(&self, room_id: &ruma::RoomId) -> bool {
        let named = |rooms: &[OwnedRoomId]| rooms.iter().any(|named| named == room_id);
        named(&self.not_rooms) || self.rooms.as_deref().is_some_and(|rooms| !named(rooms))
    }

    pub(super) fn passes(&self, event: &StoredEvent) -> bool {
        let typed = |patterns: &[String]| patterns.iter().any(|pattern| type_matches(pattern, &event.kind));
        let sent = |senders: &[String]| senders.contains(&event.sender);
        !typed(&self.not_types)
            && self.types.as_deref().is_none_or(typed)
            && !sent(&self.not_senders)
            && self.senders.as_deref().is_none_or(sent)
            && self.contains_url.is_none_or(|wanted| wanted == contains_url(event))
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
