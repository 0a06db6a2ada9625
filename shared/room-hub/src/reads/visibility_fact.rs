//! What a single event says about who may see what.

use serde::Deserialize;
use tern_model::{Pdu, StoredEvent};

/// What a visibility or member event says.
#[derive(Default, Deserialize)]
struct Content {
    history_visibility: Option<String>,
    membership: Option<String>,
}

impl Content {
    fn value(self) -> String {
        self.membership.or(self.history_visibility).unwrap_or_else(|| "shared".to_owned())
    }
}

pub(super) fn value_of(event: &StoredEvent) -> String {
    #[derive(Deserialize)]
    struct Pdu {
        content: Content,
    }
    event.pdu.read::<Pdu>().map_or_else(|_| Content::default().value(), |pdu| pdu.content.value())
}

pub(super) fn value_before(event: &StoredEvent) -> Option<String> {
    #[derive(Deserialize)]
    struct Unsigned {
        prev_content: Content,
    }
    Some(event.unsigned.as_ref()?.read::<Unsigned>().ok()?.prev_content.value())
}

/// What an event of this type says about who may see what; nothing for other types.
pub(crate) fn fact_of(kind: &str, pdu: &Pdu) -> Option<String> {
    let says = matches!(kind, "m.room.member" | "m.room.history_visibility");
    says.then(|| serde_json::from_str::<Content>(pdu.body().get()).unwrap_or_default().value())
}
