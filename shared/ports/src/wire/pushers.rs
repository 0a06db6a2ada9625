//! Pushers: the devices that are woken by way of a push gateway (Client-Server API, "Push Notifications").

use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};
use tern_model::{Bounded, BoundedJson, Millis, Name};

use super::user::SessionRef;

/// `app_id`: 64 characters.
pub type AppId = Bounded<256>;
/// `pushkey`, in bytes.
pub type Pushkey = Bounded<512>;
/// `data`, in bytes of JSON: an address of 2 KiB, and as much beside it as fits into a notification.
pub type PusherJson = BoundedJson<{ 6 * 1_024 + 256 }>;

/// The user's pushers, as the body of `GET pushers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListPushers {
    /// The session that asks.
    pub session: SessionRef,
}

/// Sets a pusher, in the place of one with the same `app_id` and `pushkey`. It belongs to the device that sets it first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetPusher {
    /// The session that asks.
    pub session: SessionRef,
    /// The application.
    pub app_id: AppId,
    /// The device's name at the gateway.
    pub pushkey: Pushkey,
    /// The rest.
    pub pusher: PusherFields,
}

/// What there is of a pusher beside its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PusherFields {
    /// `app_display_name`.
    pub app_display_name: Name,
    /// `device_display_name`.
    pub device_display_name: Name,
    /// `profile_tag`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_tag: Option<Name>,
    /// `lang`.
    pub lang: Name,
    /// `data`, with an address that may be asked.
    pub data: PusherJson,
    /// It gets notifications (MSC3881).
    pub enabled: bool,
}

/// Deletes a pusher, if there is such a one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletePusher {
    /// The session that asks; the server itself when the device has become another user's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionRef>,
    /// The application.
    pub app_id: AppId,
    /// The device's name at the gateway.
    pub pushkey: Pushkey,
}

/// Who has a pusher for a device, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindPushkey {
    /// A hash of `app_id` and `pushkey`.
    pub key: Name,
}

/// A user has a pusher for a device, and nobody else has one any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavePushkey {
    /// A hash of `app_id` and `pushkey`.
    pub key: Name,
    /// The user.
    pub user_id: OwnedUserId,
    /// Others keep theirs.
    pub append: bool,
    /// Now.
    pub ts: Millis,
}
