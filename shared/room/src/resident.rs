//! What a server that is in a room does for users of servers that are not: the templates of their member events, and the
//! checks on these events before they are taken in.

use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, EventId, RoomId, ServerName, UserId,
    canonical_json::redact_in_place,
    signatures::{PublicKeyMap, verify_json},
};
use serde_json::json;
use tern_model::{Handshake, Millis, Pdu, RawJson};

use crate::{
    auth, build,
    draft::Draft,
    error::{MembershipError, Unreadable},
    handshake_error::HandshakeError,
    membership::{Change, Outcome, check_allowed, decide_at, is_free},
    receipt::Unverified,
    signer::Signer,
    version::Version,
    view::RoomView,
};

/// The unsigned event by which `user_id` joins, leaves or knocks through `server`, which is this one. `is_joined` is asked as
/// by [`crate::membership::decide`].
///
/// # Errors
/// When the membership cannot be changed this way.
pub fn template(
    view: &impl RoomView,
    handshake: Handshake,
    (user_id, server): (&UserId, &ServerName),
    now: Millis,
    is_joined: impl Fn(&RoomId) -> bool,
) -> Result<RawJson, HandshakeError> {
    let change = Change { action: handshake.action(), actor: user_id, target: user_id, reason: None, extra: None };
    let draft = match decide_at(view, &change, server, is_joined)? {
        Outcome::Send(draft) => draft,
        Outcome::Unchanged(_) if handshake == Handshake::Leave => {
            return Err(MembershipError::NotIn(user_id.to_owned()).into());
        }
        // Somebody whose server has lost the room joins again.
        Outcome::Unchanged(_) => {
            let content = RawJson::from_value(&json!({ "membership": handshake.membership() }));
            let content = content.map_err(|error| Unreadable(error.to_string()))?;
            Draft::state(user_id.to_owned(), "m.room.member", user_id.as_str(), content)
        }
    };
    Ok(build::template(view, &draft, now)?)
}

/// An event that a server hands over, by which one of its users joins, leaves or knocks. Nobody has looked at its signatures.
#[derive(Clone, Debug)]
pub struct HandedOver(Unverified);

impl HandedOver {
    /// Reads the event, which has to be the one that the request is about.
    ///
    /// # Errors
    /// When it is another one, or none.
    pub fn read(
        (version, room_id): (&'static Version, &RoomId),
        raw: &RawJson,
        event_id: &EventId,
        handshake: Handshake,
        origin: &ServerName,
    ) -> Result<Self, HandshakeError> {
        let unverified = Unverified::read(version, room_id, raw)?;
        if unverified.event_id() != event_id {
            return Err(HandshakeError::OtherId);
        }
        let membership = handshake.membership();
        let user_id = unverified.own_membership(membership).ok_or(HandshakeError::OtherEvent(membership))?;
        if is_of(user_id, origin) { Ok(Self(unverified)) } else { Err(HandshakeError::OtherServer) }
    }

    /// Whom this server is said to have let in, if it is.
    pub fn let_in_by(&self, server: &ServerName) -> Option<&UserId> {
        let authoriser = self.0.authoriser()?;
        let sender = self.0.own_membership(Handshake::Join.membership())?;
        (authoriser.server_name() == server).then_some(sender)
    }

    /// Adds this server's signature to a join that says that one of its users lets the sender in. The condition is looked at
    /// again: the template was no promise.
    ///
    /// # Errors
    /// When the sender is not to be let in.
    pub fn vouched(
        self,
        view: &impl RoomView,
        signer: &Signer,
        is_joined: impl Fn(&RoomId) -> bool,
    ) -> Result<Self, HandshakeError> {
        let Some(user_id) = self.let_in_by(signer.server_name()) else { return Ok(self) };
        let was = auth::membership(view, user_id)?.unwrap_or_default();
        if was != "join" && !is_free(view, &was)? {
            check_allowed(view, is_joined)?;
        }
        Ok(Self(self.0.countersign(signer)?))
    }

    /// The event, for the checks that every event goes through.
    pub fn into_unverified(self) -> Unverified {
        self.0
    }
}

/// An invite of a user of this server (Server-Server API, "Inviting to a room").
#[derive(Clone, Debug)]
pub struct HandedInvite(Unverified);

impl HandedInvite {
    /// Reads the invite, which has to be the one that the request is about.
    ///
    /// # Errors
    /// When it is another event, or none.
    pub fn read(
        (version, room_id): (&'static Version, &RoomId),
        raw: &RawJson,
        event_id: &EventId,
        origin: &ServerName,
    ) -> Result<Self, HandshakeError> {
        let unverified = Unverified::read(version, room_id, raw)?;
        if unverified.event_id() != event_id {
            return Err(HandshakeError::OtherId);
        }
        let (sender, _) = unverified.invite().ok_or(HandshakeError::OtherEvent("invite"))?;
        if is_of(sender, origin) { Ok(Self(unverified)) } else { Err(HandshakeError::OtherServer) }
    }

    /// When its server says that it made it.
    pub fn made_at(&self) -> Millis {
        self.0.made_at()
    }

    /// Who invites, and whom.
    pub fn users(&self) -> Option<(&UserId, &UserId)> {
        self.0.invite()
    }

    /// The event with this server's signature as well, once it is clear that its sender's server has made it.
    ///
    /// # Errors
    /// When that has not signed it, or something else.
    pub fn signed(self, keys: &PublicKeyMap, signer: &Signer) -> Result<Pdu, HandshakeError> {
        let received = self.0.clone().verify(keys)?;
        if received.redacted {
            return Err(HandshakeError::Altered);
        }
        Ok(self.0.countersign(signer)?.unchecked()?)
    }
}

/// Whether these signatures of a server, with one of these keys, are of this event (Server-Server API, "Signing Events").
pub fn is_signed(
    version: &Version,
    mut event: CanonicalJsonObject,
    (server, signatures): (String, CanonicalJsonValue),
    keys: &PublicKeyMap,
) -> bool {
    let redacted = redact_in_place(&mut event, &version.rules.redaction, None);
    let only = CanonicalJsonValue::Object([(server, signatures)].into());
    event.insert("signatures".to_owned(), only);
    redacted.is_ok() && verify_json(keys, &event).is_ok()
}

/// Names of servers have no case.
fn is_of(user_id: &UserId, server: &ServerName) -> bool {
    user_id.server_name().as_str().eq_ignore_ascii_case(server.as_str())
}
