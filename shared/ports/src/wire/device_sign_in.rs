//! What an object between two devices can be asked: for some minutes it holds a device authorization (RFC 8628), or the
//! message of a rendezvous (MSC4108 of 2024, MSC4388). Nothing in it outlives its time.

use ruma::OwnedDeviceId;
use serde::{Deserialize, Serialize};
use tern_model::Millis;

use super::{
    Done, boundary,
    policy::{ObjectPolicy, object_policy},
};

/// How long a device waits between two questions (RFC 8628, 3.5), in milliseconds.
pub const DEVICE_INTERVAL_MS: u64 = 5_000;

boundary! {
    /// A question to a device sign-in object.
    DeviceSignInCommand,
    /// A question to a device sign-in object and its answer.
    DeviceSignInRequest,
    ObjectPolicy,
    object_policy,
    {
        // when there is nothing here, access
        OpenDeviceGrant => bool, [Create Write];
        ReadDeviceGrant => Option<DeviceRequest>, [Own Read];
        DecideDeviceGrant => bool, [Own Write];
        PollDeviceGrant => String, [Own Write];
        OpenRendezvous => Message, [Create Write];
        ReadRendezvous => Option<Message>, [Own Read];
        UpdateRendezvous => Message, [Own Write];
        CloseRendezvous => Done, [Own Write];
    }
}

/// Starts a device authorization; `false` when this object is in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenDeviceGrant {
    /// The whole device code.
    pub device_code: String,
    /// What is asked for.
    pub request: DeviceRequest,
    /// When it ends.
    pub expires: Millis,
}

/// What a device asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRequest {
    /// The client.
    pub client_id: String,
    /// The scope.
    pub scope: String,
    /// The device in the scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<OwnedDeviceId>,
}

/// What is asked for, while nobody has decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadDeviceGrant {}

/// The user decides, once; `false` when there is nothing to decide any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecideDeviceGrant {
    /// The authorization code of the user's hub; `None` for a no.
    pub code: Option<String>,
}

/// The device asks for the decision. Gets the code once; otherwise fails as RFC 8628, 3.5 says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollDeviceGrant {
    /// The whole device code.
    pub device_code: String,
    /// Who asks.
    pub client_id: String,
}

/// Leaves a first message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRendezvous {
    /// The message.
    pub data: String,
    /// When the rendezvous ends.
    pub expires: Millis,
}

/// The message that is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadRendezvous {}

/// Replaces the message. Fails with 412 `M_CONCURRENT_WRITE` when it is not the one that was seen, 404 when there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateRendezvous {
    /// `sequence` of the message that was seen.
    pub sequence: String,
    /// The new message.
    pub data: String,
}

/// Ends a rendezvous.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloseRendezvous {}

/// A message and its place among those of the rendezvous.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Differs for every message.
    pub sequence: String,
    /// The message.
    pub data: String,
    /// When it was left.
    pub modified: Millis,
    /// When the rendezvous ends.
    pub expires: Millis,
}
