//! The first checks on a PDU from another server: its form, its signatures, its hash (Server-Server API, "Checks
//! performed on receipt of a PDU", steps 1 to 3). What does not pass them is dropped and leaves no trace.

use std::collections::BTreeSet;

use ruma::{
    CanonicalJsonObject, OwnedEventId, OwnedServerName, RoomId, UserId,
    canonical_json::redact_in_place,
    signatures::{PublicKeyMap, Verified, reference_hash, required_server_signatures_to_verify_event, verify_event},
    state_res::check_pdu_format,
};
use tern_model::{Millis, Pdu, RawJson};

use crate::{
    signer::Signer,
    version::{self, Version},
};

/// Why a PDU is dropped: theirs, and nobody else has to know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Dropped {
    /// It is not canonical JSON, or not an event of the room's version.
    #[error("not an event of this room version: {0}")]
    Format(String),
    /// It belongs to another room than the one it was sent for.
    #[error("an event of another room")]
    OtherRoom,
    /// A signature that it needs is missing or wrong.
    #[error("not signed by who must sign it: {0}")]
    Signature(String),
}

/// A PDU of the right form, whose signatures nobody has looked at.
#[derive(Clone, Debug)]
pub struct Unverified {
    version: &'static Version,
    event_id: OwnedEventId,
    object: CanonicalJsonObject,
}

/// A PDU that is what its sender's server made.
#[derive(Clone, Debug)]
pub struct Received {
    /// The event, or what redaction leaves of it.
    pub pdu: Pdu,
    /// Its content is not what was hashed, so it was redacted and goes on as such.
    pub redacted: bool,
}

impl Unverified {
    /// Reads a PDU of room `room_id`. `unsigned` is what the sending server thinks of the event and is left behind.
    ///
    /// # Errors
    /// `Format` or `OtherRoom`.
    pub fn read(version: &'static Version, room_id: &RoomId, raw: &RawJson) -> Result<Self, Dropped> {
        let mut object: CanonicalJsonObject = raw.read().map_err(|error| Dropped::Format(error.to_string()))?;
        object.remove("unsigned");
        check_pdu_format(&object, &version.rules.event_format).map_err(Dropped::Format)?;
        let event_id = event_id(version, &object)?;
        let unverified = Self { version, event_id, object };
        if unverified.belongs_to(room_id) { Ok(unverified) } else { Err(Dropped::OtherRoom) }
    }

    /// The event's id. Nobody has vouched for it yet.
    pub fn event_id(&self) -> &OwnedEventId {
        &self.event_id
    }

    /// When its server says that it made it; at the end of time if it does not say.
    pub fn made_at(&self) -> Millis {
        let made = self.object.get("origin_server_ts").and_then(ruma::CanonicalJsonValue::as_integer);
        Millis(made.and_then(|made| u64::try_from(i64::from(made)).ok()).unwrap_or(u64::MAX))
    }

    /// A text of the event, of its content where `of_content`.
    fn text(&self, of_content: bool, name: &str) -> Option<&str> {
        let content = || self.object.get("content").and_then(ruma::CanonicalJsonValue::as_object);
        let object = if of_content { content()? } else { &self.object };
        object.get(name)?.as_str()
    }

    /// `sender`, if the event is one by which its sender comes to this membership.
    pub(crate) fn own_membership(&self, membership: &str) -> Option<&UserId> {
        let is_member = self.text(false, "type") == Some("m.room.member");
        let sender = self.text(false, "sender").filter(|sender| self.text(false, "state_key") == Some(sender))?;
        let holds = is_member && self.text(true, "membership") == Some(membership);
        <&UserId>::try_from(sender).ok().filter(|_| holds)
    }

    /// Sender and target, if the event is an invite.
    pub(crate) fn invite(&self) -> Option<(&UserId, &UserId)> {
        let holds =
            self.text(false, "type") == Some("m.room.member") && self.text(true, "membership") == Some("invite");
        let user = |name| <&UserId>::try_from(self.text(false, name)?).ok();
        user("sender").zip(user("state_key")).filter(|_| holds)
    }

    /// Who let the sender of a join in, as the event says (room version 8, "Authorisation rules").
    pub(crate) fn authoriser(&self) -> Option<&UserId> {
        <&UserId>::try_from(self.text(true, "join_authorised_via_users_server")?).ok()
    }

    /// Adds this server's signature, in the place of any that came under its name.
    ///
    /// # Errors
    /// `Format` when the event cannot be signed.
    pub(crate) fn countersign(mut self, signer: &Signer) -> Result<Self, Dropped> {
        if let Some(ruma::CanonicalJsonValue::Object(signatures)) = self.object.get_mut("signatures") {
            signatures.remove(signer.server_name().as_str());
        }
        let signed = signer.countersign(&mut self.object, &self.version.rules.redaction);
        signed.map(|()| self).map_err(|error| Dropped::Format(error.to_string()))
    }

    /// The event, of which somebody else has looked at the signatures.
    ///
    /// # Errors
    /// `Format`.
    pub(crate) fn unchecked(self) -> Result<Pdu, Dropped> {
        let damaged = |error: serde_json::Error| Dropped::Format(error.to_string());
        Pdu::parse(self.event_id, RawJson::from_value(&self.object).map_err(damaged)?).map_err(damaged)
    }

    /// The servers whose keys [`Self::verify`] needs.
    ///
    /// # Errors
    /// `Format` when the event does not say.
    pub fn signers(&self) -> Result<BTreeSet<OwnedServerName>, Dropped> {
        required_server_signatures_to_verify_event(&self.object, &self.version.rules.signatures)
            .map_err(|error| Dropped::Format(error.to_string()))
    }

    /// Checks the signatures against `keys`, and the content against its hash. From room version 5 on the caller leaves
    /// out keys that had expired when the event was made (room version 5, "Signing key validity period").
    ///
    /// # Errors
    /// `Signature` when one is missing or wrong.
    pub fn verify(mut self, keys: &PublicKeyMap) -> Result<Received, Dropped> {
        let damaged = |error: &dyn std::fmt::Display| Dropped::Format(error.to_string());
        let rules = &self.version.rules;
        let verified =
            verify_event(keys, &self.object, rules).map_err(|error| Dropped::Signature(error.to_string()))?;
        let redacted = verified == Verified::Signatures;
        if redacted {
            redact_in_place(&mut self.object, &rules.redaction, None).map_err(|error| damaged(&error))?;
        }
        let raw = RawJson::from_value(&self.object).map_err(|error| damaged(&error))?;
        let pdu = Pdu::parse(self.event_id, raw).map_err(|error| damaged(&error))?;
        Ok(Received { pdu, redacted })
    }

    /// A create event without a room id is the room whose id is its hash.
    fn belongs_to(&self, room_id: &RoomId) -> bool {
        match self.object.get("room_id") {
            Some(named) => named.as_str() == Some(room_id.as_str()),
            None => self.event_id.as_str().strip_prefix('$') == room_id.as_str().strip_prefix('!'),
        }
    }
}

/// The id of an event of a room of which nothing is known, as of the newest room version that events of all rooms fit: good
/// for telling its sender which one is meant.
pub fn presumed_id(raw: &RawJson) -> Option<OwnedEventId> {
    let object: CanonicalJsonObject = raw.read().ok()?;
    let own = object.get("event_id").and_then(|id| OwnedEventId::try_from(id.as_str()?).ok());
    own.or_else(|| event_id(version::PRESUMED, &object).ok())
}

fn event_id(version: &Version, object: &CanonicalJsonObject) -> Result<OwnedEventId, Dropped> {
    let text = if version.event_id_in_event() {
        object.get("event_id").and_then(|id| id.as_str()).unwrap_or_default().to_owned()
    } else {
        let hash = reference_hash(object, &version.rules).map_err(|error| Dropped::Format(error.to_string()))?;
        format!("${hash}")
    };
    OwnedEventId::try_from(text).map_err(|error| Dropped::Format(error.to_string()))
}
