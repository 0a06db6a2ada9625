//! Policy servers (Server-Server API, "Policy Servers"): a room may name a server that looks at every event before it goes
//! out, and signs what it recommends. It bears on what is sent and shown, not on the authorisation rules.

use std::collections::BTreeMap;

use ruma::{
    CanonicalJsonObject, OwnedServerName, ServerName,
    events::{StateEventType, TimelineEventType, room::policy::RoomPolicyEventContent},
    signatures::verify_policy_server_signature,
};
use serde::Deserialize;
use tern_model::{Pdu, ed25519};

use crate::{error::Unreadable, history::History, version::Version, view::RoomView};

/// Refuses a local event of a room that uses a policy server: it has not been asked.
///
/// # Errors
/// When state cannot be read.
pub fn refuses(view: &impl RoomView, pdu: &Pdu) -> Result<bool, Unreadable> {
    let Some(event) = view.state(&StateEventType::RoomPolicy, "")? else { return Ok(false) };
    let Some(policy) = Policy::of(&event) else { return Ok(false) };
    Ok(view.has_joined(&policy.via)? && !policy.recommends(view.version(), pdu)?)
}

/// Why the policy server of the present state does not stand behind an event, if there is one and it does not.
pub(crate) fn missing_recommendation(history: &impl History, pdu: &Pdu) -> Result<Option<String>, Unreadable> {
    let Some(event_id) = history.present(&(StateEventType::RoomPolicy, String::new()))? else { return Ok(None) };
    let Some(event) = history.event(&event_id)? else { return Ok(None) };
    let Some(policy) = Policy::of(&event) else { return Ok(None) };
    let refused = history.has_joined(&policy.via)? && !policy.recommends(history.version(), pdu)?;
    Ok(refused.then(|| format!("{} does not recommend it", policy.via)))
}

/// A usable `m.room.policy`.
struct Policy {
    via: OwnedServerName,
    /// With keys that are keys.
    content: Option<RoomPolicyEventContent>,
}

impl Policy {
    /// Nothing where the room uses no policy server.
    fn of(event: &Pdu) -> Option<Self> {
        #[derive(Deserialize)]
        struct Content {
            via: String,
            public_keys: BTreeMap<String, serde_json::Value>,
        }
        let text = event.body().get();
        let Content { via, public_keys } = serde_json::from_str(text).ok()?;
        public_keys.get("ed25519")?.as_str()?;
        // What is no server's name has no user in the room.
        let via = ServerName::parse(via).ok()?;
        let content: Option<RoomPolicyEventContent> = serde_json::from_str(text).ok();
        let strong = |content: &RoomPolicyEventContent| {
            !content.public_keys.values().any(|key| ed25519::is_weak(key.as_bytes()))
        };
        Some(Self { via, content: content.filter(strong) })
    }

    fn recommends(&self, version: &Version, pdu: &Pdu) -> Result<bool, Unreadable> {
        if *pdu.kind() == TimelineEventType::RoomPolicy && pdu.key() == Some("") {
            return Ok(true);
        }
        let Some(content) = &self.content else { return Ok(false) };
        let object: CanonicalJsonObject = pdu.raw().read().map_err(|error| Unreadable(error.to_string()))?;
        Ok(verify_policy_server_signature(content, &object, &version.rules).is_ok())
    }
}
