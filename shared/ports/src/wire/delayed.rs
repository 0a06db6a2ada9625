//! Delayed events (MSC4140): scheduled, listed and managed at a room's hub.

use ruma::{OwnedDeviceId, OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};
use tern_model::{Millis, RawJson};

use super::{room::Draft, user::SessionRef};

/// Schedules an event. Whether it is allowed is decided when it is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelayEvent {
    /// The event.
    pub draft: Draft,
    /// The sender's device.
    pub device_id: OwnedDeviceId,
    /// Client's transaction id; a repeated one gets the first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txn_id: Option<String>,
    /// After how many milliseconds.
    pub delay_ms: u64,
    /// Then it is sticky for so many milliseconds (MSC4354).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky_ms: Option<u64>,
    /// The event's `origin_server_ts`, when an application service sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ts: Option<Millis>,
}

/// What was answered to the first request of a transaction, whatever this one says; nothing when it is the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindDelayed {
    /// Who schedules.
    pub sender: OwnedUserId,
    /// The sender's device.
    pub device_id: OwnedDeviceId,
    /// Client's transaction id; empty when there is none.
    pub txn_id: String,
    /// `type` of the event.
    pub kind: String,
}

impl FindDelayed {
    /// The transaction of a request.
    pub fn of(ask: &DelayEvent) -> Self {
        let DelayEvent { draft, device_id, txn_id, .. } = ask;
        let (sender, kind) = (draft.sender.clone(), draft.kind.clone());
        Self { sender, device_id: device_id.clone(), txn_id: txn_id.clone().unwrap_or_default(), kind }
    }
}

/// The answer to [`DelayEvent`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delayed {
    /// Names the scheduled event; who knows it may manage it.
    pub delay_id: String,
}

/// What is done about a scheduled event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DelayAction {
    /// It is never sent.
    Cancel,
    /// The delay begins anew.
    Restart,
    /// It is sent now.
    Send,
}

/// Manages a scheduled event; 404 for an unknown one, 409 when something else became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManageDelayed {
    /// Which.
    pub delay_id: String,
    /// What.
    pub action: DelayAction,
}

/// The events a user has scheduled in a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListDelayed {
    /// Who.
    pub caller: OwnedUserId,
}

/// A scheduled event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduledEvent {
    /// Its name.
    pub delay_id: String,
    /// The room.
    pub room_id: OwnedRoomId,
    /// `type`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `state_key`, for state events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_key: Option<String>,
    /// The delay, in milliseconds.
    pub delay: u64,
    /// When the delay began.
    pub running_since: Millis,
    /// `content`.
    pub content: RawJson,
}

/// Remembers, in the user's hub, a room in which the user has scheduled something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteDelayedRoom {
    /// The session that asks.
    pub session: SessionRef,
    /// The room.
    pub room_id: OwnedRoomId,
    /// Forgets it instead: nothing is scheduled there any more.
    #[serde(default)]
    pub done: bool,
}

/// The rooms in which the user may have something scheduled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListDelayedRooms {
    /// The session that asks.
    pub session: SessionRef,
}
