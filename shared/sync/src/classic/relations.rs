//! By how an event relates to another (MSC3874), in filters of `GET /sync`.

use std::collections::BTreeSet;

use serde::Deserialize;
use tern_model::RawJson;

/// Properties of [`RelationFilter`].
pub(super) const RELATIONS: [&str; 4] =
    ["rel_types", "not_rel_types", "org.matrix.msc3874.rel_types", "org.matrix.msc3874.not_rel_types"];

/// Which events to include, by how they relate to others (MSC3874, under both of its names).
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RelationFilter {
    #[serde(default)]
    rel_types: Option<BTreeSet<String>>,
    #[serde(default)]
    not_rel_types: BTreeSet<String>,
    #[serde(default, rename = "org.matrix.msc3874.rel_types")]
    unstable_rel_types: Option<BTreeSet<String>>,
    #[serde(default, rename = "org.matrix.msc3874.not_rel_types")]
    unstable_not_rel_types: BTreeSet<String>,
}

impl RelationFilter {
    /// Only events that relate to others in one of these ways.
    fn wanted(&self) -> Option<&BTreeSet<String>> {
        self.rel_types.as_ref().or(self.unstable_rel_types.as_ref())
    }

    /// Every event passes.
    pub(super) fn allows_all(&self) -> bool {
        self.wanted().is_none() && self.not_rel_types.is_empty() && self.unstable_not_rel_types.is_empty()
    }

    pub(super) fn allows(&self, event: &RawJson) -> bool {
        if self.allows_all() {
            return true;
        }
        match rel_type(event) {
            Some(rel_type) => {
                self.wanted().is_none_or(|wanted| wanted.contains(&rel_type))
                    && !self.not_rel_types.contains(&rel_type)
                    && !self.unstable_not_rel_types.contains(&rel_type)
            }
            None => self.wanted().is_none(),
        }
    }
}

/// How the event, in client form, relates to another.
fn rel_type(event: &RawJson) -> Option<String> {
    #[derive(Deserialize)]
    struct Event {
        content: Content,
    }
    #[derive(Deserialize)]
    struct Content {
        #[serde(rename = "m.relates_to")]
        relates_to: Relation,
    }
    #[derive(Deserialize)]
    struct Relation {
        rel_type: String,
    }
    event.read::<Event>().ok().map(|event| event.content.relates_to.rel_type)
}
