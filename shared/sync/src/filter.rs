//! Does a room match a list's filter? (MSC4186, "SlidingRoomFilter")

use std::collections::BTreeSet;

use ruma::RoomId;
use serde::Deserialize;
use tern_model::RawJson;

use crate::request::ListFilter;
use crate::view::{Membership, RoomView, UserView};

/// A filter with the children of its spaces looked up.
pub(crate) struct Matcher<'a> {
    filter: &'a ListFilter,
    children: BTreeSet<String>,
}

/// What filters read of a room.
#[derive(Default)]
struct Traits {
    encrypted: bool,
    kind: Option<String>,
    name: Option<String>,
}

impl<'a> Matcher<'a> {
    pub(crate) fn new(view: &dyn UserView, filter: &'a ListFilter) -> Self {
        let spaces = filter.spaces.iter().flatten();
        let joined = |space: &String| {
            let room = view.room(<&RoomId>::try_from(space.as_str()).ok()?)?;
            room.summary.clone().filter(|_| room.is_joined())
        };
        let children = spaces.filter_map(joined).flat_map(|summary| summary.children.clone());
        Self { filter, children: children.collect() }
    }

    pub(crate) fn matches(&self, room: &RoomView) -> bool {
        let filter = self.filter;
        filter.dm.is_none_or(|dm| dm == room.dm)
            && filter.invited.is_none_or(|invited| invited == (room.membership == Membership::Invite))
            && (filter.spaces.is_none() || self.children.contains(room.room_id.as_str()))
            && filter.tags.as_ref().is_none_or(|tags| !tags.is_disjoint(&room.tags))
            && filter.not_tags.as_ref().is_none_or(|tags| tags.is_disjoint(&room.tags))
            && (!filter.reads_traits() || filter.matches_traits(&Traits::of(room)))
    }
}

impl ListFilter {
    const fn reads_traits(&self) -> bool {
        self.encrypted.is_some() || self.types.is_some() || self.not_types.is_some() || self.name_like.is_some()
    }

    fn matches_traits(&self, traits: &Traits) -> bool {
        let name = || traits.name.as_deref().unwrap_or_default().to_lowercase();
        self.encrypted.is_none_or(|encrypted| encrypted == traits.encrypted)
            && self.types.as_ref().is_none_or(|types| types.contains(&traits.kind))
            && self.not_types.as_ref().is_none_or(|types| !types.contains(&traits.kind))
            && self.name_like.as_ref().is_none_or(|like| name().contains(like.as_str()))
    }
}

impl Traits {
    /// From the summary, or for a room never joined from what its invite tells.
    fn of(room: &RoomView) -> Self {
        match &room.summary {
            Some(summary) if room.was_joined() => {
                Self { encrypted: summary.encrypted, kind: summary.room_type.clone(), name: summary.name.clone() }
            }
            _ => Self::of_stripped(&room.stripped),
        }
    }

    fn of_stripped(events: &[RawJson]) -> Self {
        #[derive(Deserialize)]
        struct Stripped {
            #[serde(rename = "type")]
            kind: String,
            content: Content,
        }
        #[derive(Deserialize)]
        struct Content {
            #[serde(rename = "type", default)]
            room_type: Option<String>,
            #[serde(default)]
            name: Option<String>,
        }
        let mut traits = Self::default();
        for event in events.iter().filter_map(|raw| raw.read::<Stripped>().ok()) {
            match event.kind.as_str() {
                "m.room.create" => traits.kind = event.content.room_type,
                "m.room.name" => traits.name = event.content.name,
                "m.room.encryption" => traits.encrypted = true,
                _ => {}
            }
        }
        traits
    }
}
