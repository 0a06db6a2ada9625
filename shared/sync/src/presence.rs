//! Presence: what a user's devices make of it, and how it is told (Client-Server API, "Presence").

use ruma::DeviceId;
use tern_model::{Millis, Presence, PresenceNote};

use crate::json::Object;

/// What a user shows of himself, and the device that showed it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Showing {
    /// What others are told.
    pub note: PresenceNote,
    /// The device.
    pub device_id: String,
}

impl Showing {
    /// What a sync by a device that shows itself as `wanted` changes; `None` when nothing. A device takes nothing back that
    /// another one shows: the one at which somebody sits counts.
    pub fn after_sync(&self, device_id: &DeviceId, wanted: Presence, now: Millis) -> Option<Self> {
        let shown = self.note.presence;
        let own = self.device_id == device_id.as_str();
        let more = matches!(
            (shown, wanted),
            (Presence::Offline, Presence::Online | Presence::Unavailable) | (Presence::Unavailable, Presence::Online)
        );
        (more || (own && shown != wanted)).then(|| self.with(device_id, wanted, now))
    }

    /// What `PUT presence` makes of it, an absent message included.
    pub fn after_put(&self, device_id: &DeviceId, presence: Presence, status_msg: Option<String>, now: Millis) -> Self {
        let shown = self.with(device_id, presence, now);
        Self { note: PresenceNote { status_msg, ..shown.note }, ..shown }
    }

    /// As before, when a device was seen again.
    pub fn still(&self, last_active: Millis) -> Self {
        Self { note: PresenceNote { last_active, ..self.note.clone() }, ..self.clone() }
    }

    /// As offline, since no device was seen for long.
    pub fn gone(&self, last_active: Millis) -> Self {
        Self { note: PresenceNote { presence: Presence::Offline, ..self.still(last_active).note }, ..self.clone() }
    }

    fn with(&self, device_id: &DeviceId, presence: Presence, now: Millis) -> Self {
        let last_active = if presence == Presence::Offline { self.note.last_active } else { now };
        let note = PresenceNote { presence, last_active, ..self.note.clone() };
        Self { note, device_id: device_id.to_string() }
    }
}

/// The content of an `m.presence` event, which is also the answer to `GET presence`.
pub fn presence_content(note: &PresenceNote, now: Millis) -> String {
    let mut text = String::new();
    let mut out = Object::open(&mut text);
    out.text("presence", note.presence.as_str());
    if note.last_active > Millis(0) {
        out.number("last_active_ago", now.since(note.last_active));
    }
    if note.presence == Presence::Online {
        out.flag("currently_active", true);
    }
    if let Some(status_msg) = &note.status_msg {
        out.text("status_msg", status_msg);
    }
    out.end();
    text
}

#[cfg(test)]
mod tests {
    use ruma::DeviceId;
    use tern_model::{Millis, Presence, PresenceNote};

    use super::{Showing, presence_content};

    const NOW: Millis = Millis(1_000);

    fn shown(presence: Presence, device: &str) -> Showing {
        let note = PresenceNote { presence, status_msg: Some("tea".to_owned()), last_active: Millis(400) };
        Showing { note, device_id: device.to_owned() }
    }

    #[test]
    fn a_device_shows_more_than_is_shown_but_takes_back_only_what_is_its_own() {
        use Presence::{Offline, Online, Unavailable};
        let phone = <&DeviceId>::from("PHONE");
        for (before, by, wanted, after) in [
            (Offline, "", Online, Some(Online)),
            (Offline, "DESK", Unavailable, Some(Unavailable)),
            (Unavailable, "DESK", Online, Some(Online)),
            (Online, "DESK", Online, None),
            (Online, "DESK", Unavailable, None),
            (Online, "DESK", Offline, None),
            (Online, "PHONE", Unavailable, Some(Unavailable)),
            (Online, "PHONE", Offline, Some(Offline)),
            (Offline, "PHONE", Offline, None),
        ] {
            let next = shown(before, by).after_sync(phone, wanted, NOW);
            assert_eq!(next.map(|next| next.note.presence), after, "{before:?} by {by}, then {wanted:?}");
        }
    }

    #[test]
    fn a_sync_keeps_the_message_and_a_put_replaces_it() {
        let phone = <&DeviceId>::from("PHONE");
        let synced = shown(Presence::Offline, "").after_sync(phone, Presence::Online, NOW);
        assert_eq!(synced.and_then(|synced| synced.note.status_msg).as_deref(), Some("tea"));
        let put = shown(Presence::Online, "PHONE").after_put(phone, Presence::Offline, None, NOW);
        assert_eq!((put.note.status_msg, put.note.last_active), (None, Millis(400)));
    }

    #[test]
    fn content_tells_how_long_ago_and_nothing_of_somebody_never_seen() {
        let online = shown(Presence::Online, "").note;
        let expected = r#"{"presence":"online","last_active_ago":600,"currently_active":true,"status_msg":"tea"}"#;
        assert_eq!(presence_content(&online, NOW), expected);
        assert_eq!(presence_content(&PresenceNote::default(), NOW), r#"{"presence":"offline"}"#);
    }
}
