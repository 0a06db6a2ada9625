//! A PDU of another server: the version's number in the first byte, then the event.

use ruma::{room_id, signatures::PublicKeyMap};
use tern_room::{KNOWN, Unverified, redact::redact};

/// Redaction keeps an event's id and is done once; without keys nothing is believed.
pub(crate) fn pdu(data: &[u8]) {
    let Some((number, event)) = data.split_first() else { return };
    let Some(version) = KNOWN.get(usize::from(*number).wrapping_sub(usize::from(b'0')) % KNOWN.len()) else { return };
    let Some(raw) = crate::input::json(event) else { return };
    let Ok(unverified) = Unverified::read(version, room_id!("!room:example.org"), &raw) else { return };
    let event_id = unverified.event_id().clone();
    assert!(event_id.as_str().len() <= 255, "an id is an identifier");
    let signers = unverified.signers();
    let verified = unverified.verify(&PublicKeyMap::new());
    assert!(verified.is_err() || signers.is_ok_and(|signers| signers.is_empty()), "believed without a key");
    let Ok(redacted) = redact(version, &raw) else { return };
    assert_eq!(redact(version, &redacted).ok().as_ref(), Some(&redacted), "redacted twice");
    // What is left can still be read, as the same event.
    if let Ok(left) = Unverified::read(version, room_id!("!room:example.org"), &redacted) {
        assert_eq!(left.event_id(), &event_id, "the id of what is left");
    }
}
