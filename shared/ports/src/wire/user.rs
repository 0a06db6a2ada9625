//! What a local user's hub can be asked.

use std::collections::BTreeMap;

use ruma::{OwnedDeviceId, OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};
use tern_model::{Caller, Millis, Name, Notice, Presence, RawJson, StateAfter};

/// Signs a device in: makes it, or replaces the session of the one with this id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSession {
    /// The device the client wants to be, if it says.
    pub device_id: Option<OwnedDeviceId>,
    /// `initial_device_display_name`, for a new device.
    pub display_name: Option<String>,
    /// The client asked for a refresh token.
    pub refresh: bool,
    /// Where the client came from, as shown in the list of devices.
    pub ip: Option<String>,
    /// Sent for a user who has just been made; the hub then starts empty.
    pub user_id: OwnedUserId,
}

/// A session, ready to be put into tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The device.
    pub device_id: OwnedDeviceId,
    /// Names this session; ends with it. Goes into the access token.
    pub session_id: String,
    /// The refresh token; the hub keeps only its SHA-256.
    pub refresh_token: Option<String>,
}

/// Exchanges a refresh token. Each works once, but the newest one may be repeated until its successor is used, so that a
/// lost answer loses nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshSession {
    /// The whole refresh token.
    pub refresh_token: String,
}

/// Asks whether a session is still open. Fails with `M_UNKNOWN_TOKEN` when it is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckSession {
    /// The session.
    pub session: SessionRef,
}

/// Which session a request belongs to; every command that a client causes in its own hub carries one, and the hub refuses
/// it when the session has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRef {
    /// The device.
    pub device_id: OwnedDeviceId,
    /// The session named in the access token.
    pub session_id: String,
}

impl SessionRef {
    /// What stands for an application service in place of a session. No hub makes such an id, and no token names it.
    const SERVICE: &str = "#appservice";

    /// An application service acts as the user, as this device if it names one.
    pub fn of_service(device_id: OwnedDeviceId) -> Self {
        Self { device_id, session_id: Self::SERVICE.to_owned() }
    }

    /// Whether this is a client that is no device: it only learns who the user is.
    pub fn is_bare(&self) -> bool {
        self.device_id.as_str().is_empty() && !self.is_of_service()
    }

    /// Whether this is an application service, whose token the proxy has looked at.
    pub fn is_of_service(&self) -> bool {
        self.session_id == Self::SERVICE
    }
}

/// The answer to [`CheckSession`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionState {
    /// The user may only read for the time being.
    #[serde(default)]
    pub suspended: bool,
}

/// Ends sessions and removes their devices, with keys, queues and connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloseSessions {
    /// The session that asks; `None` for an administrator.
    pub session: Option<SessionRef>,
    /// Which devices; `None` for all.
    pub devices: Option<Vec<OwnedDeviceId>>,
    /// Except this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub except: Option<OwnedDeviceId>,
}

/// The user's devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListDevices {
    /// The session that asks.
    pub session: SessionRef,
}

/// The user's devices, for an administrator or for the user himself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListSessions {}

/// One of a user's devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The device.
    pub device_id: OwnedDeviceId,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// When it was last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_ts: Option<Millis>,
    /// Where it was last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_ip: Option<String>,
}

/// Renames a device; 404 when there is none, unless an application service asks, which makes it (v1.17).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenameDevice {
    /// The session that asks.
    pub session: SessionRef,
    /// Which device.
    pub device_id: OwnedDeviceId,
    /// Its new name; `None` leaves it.
    pub display_name: Option<String>,
}

/// The answer to [`RenameDevice`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renamed {
    /// The device is new.
    #[serde(default)]
    pub created: bool,
}

/// One step of sliding sync (MSC4186). Never waits: the proxy does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlidingSync {
    /// The session that asks.
    pub session: SessionRef,
    /// The request body, in the shape of the path it came by.
    pub body: RawJson,
    /// `pos`, from the query (unstable path) or the body (stable path).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pos: Option<String>,
    /// It came by `/v4/sync`, whose shapes differ.
    pub stable: bool,
    /// There is still time to wait: with nothing to say the step is [`SyncStep::Wait`]. Otherwise an empty answer.
    pub may_wait: bool,
    /// `set_presence`; online when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<Presence>,
}

/// One step of `GET /sync`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassicSync {
    /// The session that asks.
    pub session: SessionRef,
    /// `since`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// `filter`: an id or a JSON object, as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// `full_state`.
    pub full_state: bool,
    /// `use_state_after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_after: Option<StateAfter>,
    /// As in [`SlidingSync`].
    pub may_wait: bool,
    /// As in [`SlidingSync`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<Presence>,
    /// Nothing that is the device's own is told, and no to-device message is acknowledged: for the syncs of old.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rooms_alone: bool,
}

/// The result of a sync step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SyncStep {
    /// The response body.
    Answer(RawJson),
    /// The response body for a user who is suspended: his session is not to be relied on for anything but reading.
    AnswerSuspended(RawJson),
    /// Nothing to say yet. The poll may wait until one of these kinds of news (bits of `host::news`) arrives.
    Wait {
        /// Kinds.
        kinds: u32,
    },
}

/// Notices from rooms. At least once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Deliver {
    /// In order per room.
    pub notices: Vec<Notice>,
}

/// The answer to [`Deliver`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// Nobody listens: a room that tells only those who do need not tell this hub of events until it subscribes again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[serde(rename = "asleep")]
    pub idle: bool,
}

/// Reads account data, global or of a room. `m.push_rules` and `m.fully_read` included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadAccountData {
    /// The session that asks.
    pub session: SessionRef,
    /// The room, or global.
    pub room_id: Option<OwnedRoomId>,
    /// `type`.
    pub kind: String,
}

/// Writes account data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteAccountData {
    /// The session that asks.
    pub session: SessionRef,
    /// The room, or global.
    pub room_id: Option<OwnedRoomId>,
    /// `type`.
    pub kind: String,
    /// The content, an object.
    pub content: RawJson,
}

/// Deletes account data (MSC3391). What is not there is gone already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteAccountData {
    /// The session that asks.
    pub session: SessionRef,
    /// The room, or global.
    pub room_id: Option<OwnedRoomId>,
    /// `type`.
    pub kind: String,
}

/// Sets or removes a tag of a room (`m.tag`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeTag {
    /// The session that asks.
    pub session: SessionRef,
    /// The room.
    pub room_id: OwnedRoomId,
    /// The tag.
    pub tag: String,
    /// Its content; `None` removes it.
    pub content: Option<RawJson>,
}

/// Changes the push rules in one step. Fails as the spec says for unknown or default rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangePushRule {
    /// The session that asks.
    pub session: SessionRef,
    /// `override`, `underride`, `sender`, `room` or `content`.
    pub kind: String,
    /// The rule's id.
    pub rule_id: String,
    /// What to do.
    pub change: PushRuleChange,
}

/// A change of one push rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PushRuleChange {
    /// `PUT pushrules/global/{kind}/{ruleId}`.
    Put {
        /// The rule's body.
        rule: RawJson,
        /// `before`.
        before: Option<String>,
        /// `after`.
        after: Option<String>,
    },
    /// `DELETE`.
    Delete,
    /// `PUT …/enabled`.
    Enable(bool),
    /// `PUT …/actions`: the list of actions.
    Actions(RawJson),
}

/// Stores a filter; the same filter gets the same id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteFilter {
    /// The session that asks.
    pub session: SessionRef,
    /// The filter.
    pub filter: RawJson,
}

/// Reads a filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadFilter {
    /// The session that asks.
    pub session: SessionRef,
    /// Its id.
    pub filter_id: String,
}

/// Reads the public profile; 404 for a user that this hub does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadProfile {}

/// Reads the public profile of somebody who is about to be invited. Fails as [`ReadProfile`] does, and with 403
/// `M_INVITE_BLOCKED` when they do not let `inviter` invite them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadInvitee {
    /// Who invites.
    pub inviter: OwnedUserId,
}

/// A profile: `displayname`, `avatar_url` and custom fields (MSC4133).
pub type Profile = BTreeMap<String, RawJson>;

/// Sets or removes one profile field and carries it into the member events of all joined rooms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteProfile {
    /// The session that asks; `None` for an administrator.
    pub session: Option<SessionRef>,
    /// The field.
    pub field: String,
    /// Its value; `None` removes it.
    pub value: Option<RawJson>,
}

/// Rooms with membership `join`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListRooms {
    /// The session that asks.
    pub session: SessionRef,
}

/// Users with whom the user shares a room, those first whose id contains a term: at most 500.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListSharedUsers {
    /// The session that asks.
    pub session: SessionRef,
    /// The term, folded to lower case.
    pub term: Name,
}

/// The user's membership in every room that is not forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListMemberships {
    /// The session that asks; `None` for the server itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionRef>,
}

/// Memberships by room.
pub type Memberships = BTreeMap<OwnedRoomId, String>;

/// The users that the user ignores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListIgnored {
    /// The session that asks.
    pub session: SessionRef,
}

/// Forgets a room the user has left; 400 while still in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgetRoom {
    /// The session that asks.
    pub session: SessionRef,
    /// The room.
    pub room_id: OwnedRoomId,
}

/// Queues to-device messages for this user's devices. Idempotent by `(sender, device, kind, txn)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliverToDevice {
    /// Who sends, from which device.
    pub sender: Caller,
    /// `type`.
    pub kind: String,
    /// The sender's transaction id.
    pub txn_id: String,
    /// Content by device id; `*` is every device.
    pub messages: BTreeMap<String, RawJson>,
}

/// Asks for the hub's inner figures (administration and tests).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeUser {}

/// The answer to [`ProbeUser`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserProbe {
    /// How often the hub's constructor has run, this time included.
    pub constructed: u64,
    /// Waiting polls now.
    #[serde(rename = "parked")]
    pub waiting_polls: u64,
    /// Position of the user's stream.
    pub position: u64,
}
