//! What the object of another server can be asked: to ask that server, and what it keeps of it.

use ruma::{OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};
use tern_model::{Bounded, BoundedJson, BoundedVec, MatrixError, Millis, Name, RawJson, RoomSeq};

use super::{
    Done, boundary,
    ephemeral::SendEphemeral,
    policy::{ObjectPolicy, object_policy},
    remote_keys::{NoteRemoteDevices, QueryRemoteKeys, RemoteKeys},
    server_keys::{FetchServerKeys, StoredServerKey},
};
use crate::outbound::HttpMethod;

boundary! {
    /// A question to the object of another server.
    DestinationCommand,
    /// A question to the object of another server and its answer.
    DestinationRequest,
    ObjectPolicy,
    object_policy,
    {
        // when there is nothing here, access
        FetchServerKeys => Vec<StoredServerKey>, [Own Write];
        SendRequest => RemoteAnswer, [Own Write];
        LeaseMedia => MediaLease, [Own Write];
        EndMediaLease => Done, [Own Write];
        EnqueueEvents => Done, [Create Write];
        EnqueueEphemeral => Done, [Done Write];
        QueryRemoteKeys => RemoteKeys, [Create Write];
        NoteRemoteDevices => Done, [Done Write];
        SendToDevice => Done, [Create Write];
        EnqueueDeviceList => Done, [Create Write];
        SendEphemeral => Done, [Create Write];
        WakeDestination => Done, [Done Write];
        ProbeDestination => DestinationProbe, [Own Read];
    }
}

/// Longest target of a request, in bytes.
pub const LONGEST_TARGET: usize = 16 * 1024;
/// Longest body of a request, in bytes.
pub const LONGEST_BODY: usize = 8 << 20;
/// Longest answer, in bytes: what a frame holds beside its own words.
pub const LONGEST_ANSWER: usize = 31 << 20;
/// Longest time for an answer, in milliseconds. A client does not wait for longer.
pub const LONGEST_TIMEOUT: u64 = 60_000;

/// Makes one request of this server to the other one, signed (Server-Server API, "Request Authentication"), where the other
/// one is found. An answer of whatever status is one, and nothing is asked twice: a connection that fails is tried once more
/// after the server was looked for again.
///
/// 502 `M_UNREACHABLE` without an answer, 502 `M_TOO_LARGE` with one that is too long, 504 `M_UNREACHABLE` without one in time, 400 `M_INVALID_PARAM` for a target or body
/// that cannot be sent, 403 `M_FORBIDDEN` for a server that the operator keeps out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendRequest {
    /// `GET`, `PUT`, …
    pub method: HttpMethod,
    /// Path and query, percent-encoded: `/_matrix/federation/v1/…`.
    pub target: Bounded<LONGEST_TARGET>,
    /// A JSON object, which is sent in canonical form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<BoundedJson<LONGEST_BODY>>,
    /// Until the last byte of the answer, in milliseconds; at most [`LONGEST_TIMEOUT`].
    pub timeout_ms: u64,
    /// Bytes of the answer; at most [`LONGEST_ANSWER`]. A longer one is 502.
    pub max_bytes: usize,
    /// Nobody waits for it: while the server is left alone after failures, it is not asked, which is 502 as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub background: bool,
}

/// What the other server answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteAnswer {
    /// The status.
    pub status: u16,
    /// The body, if it is JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<RawJson>,
    /// When it wants to be asked again, in milliseconds from now (`Retry-After`, `retry_after_ms`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// Asks for leave to copy a medium of the server: one copies it, the others wait. Nothing is stored. Fails as the last attempt
/// did, for a minute after it; 502 `M_UNREACHABLE` when the server is not found; 403 `M_FORBIDDEN` for one that the operator
/// keeps out; 429 `M_LIMIT_EXCEEDED` while too much is copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseMedia {
    /// Its id there.
    pub media_id: Name,
    /// Path and query of the request that brings it.
    pub target: Bounded<LONGEST_TARGET>,
}

/// The answer to [`LeaseMedia`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MediaLease {
    /// It may be copied now.
    Granted {
        /// Where it is.
        url: String,
        /// `Authorization` of a `GET` there.
        authorization: String,
    },
    /// Somebody copies it.
    Held,
}

/// The copying is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndMediaLease {
    /// What was copied.
    pub media_id: Name,
    /// Why it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<MatrixError>,
}

/// Events of a room that the server is to be sent: those of this server between two positions. The answer comes when that
/// is durable; what was sent before is passed over. Only rooms' hubs ask, for servers that are in the room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnqueueEvents {
    /// The room.
    pub room_id: OwnedRoomId,
    /// The first position that the server was not told of.
    pub from: RoomSeq,
    /// The newest position.
    pub until: RoomSeq,
}

/// Most ephemeral events of a transaction to an application service.
pub const MOST_EPHEMERAL: usize = 100;

/// Typing and public receipts of a room, for an application service that wants them (Application Service API, "Pushing
/// ephemeral data"). They are kept in memory until the next transaction; what a service misses while it is away is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnqueueEphemeral {
    /// In client form, with `room_id`.
    pub events: BoundedVec<RawJson, MOST_EPHEMERAL>,
}

/// To-device messages of a user here for users of the server. The answer comes when they are durable; they are sent once,
/// however often they are handed over, and in order.
///
/// 429 `M_LIMIT_EXCEEDED` while too many wait already: of this sender, or for this server. 413 `M_TOO_LARGE` for a message that no
/// device here would be sent. 502 `M_UNREACHABLE` for a server that nobody here has met yet and that does not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendToDevice {
    /// Who sends.
    pub sender: OwnedUserId,
    /// `type`.
    pub kind: Name,
    /// What the ids of the messages begin with: another one for everything that is sent.
    pub message_id: Bounded<LONGEST_MESSAGE_ID>,
    /// An object of users, of devices, of contents.
    pub messages: BoundedJson<LONGEST_BODY>,
}

/// Devices or cross-signing keys of a user here have changed, and the server is to be told. The answer comes when that is
/// durable. Only users' hubs ask, for servers that share a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnqueueDeviceList {
    /// The user.
    pub user_id: OwnedUserId,
    /// Counts the changes, as the user's hub does.
    pub version: u64,
}

/// Longest beginning of a message id, in bytes: with a number after it, it has at most 32 characters.
pub const LONGEST_MESSAGE_ID: usize = 22;

/// The server is there: it has asked something itself, or an administrator says so. What waits for it is sent now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WakeDestination {}

/// Asks how the server is and what waits for it (administration and tests).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeDestination {}

/// The answer to [`ProbeDestination`]; zeroes for a server that was never sent anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationProbe {
    /// Failures in a row.
    pub failures: u32,
    /// It is left alone until then.
    pub retry_at: Millis,
    /// Rooms of which something waits, at most [`MOST_PROBED`].
    pub rooms: u64,
    /// Positions that wait in them, at least; events of other servers among them.
    pub positions: u64,
    /// A transaction waits for its answer, or for another attempt.
    pub sending: bool,
    /// Events and other messages that the server has refused for good, so far.
    pub refused: u64,
    /// To-device messages that wait.
    #[serde(default)]
    pub to_device: u64,
    /// Of an application service: the id of the newest transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<String>,
    /// Of an application service: when it last answered, or failed to, as far as its object remembers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried_at: Option<Millis>,
    /// The status of that answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

/// Rooms that a probe looks at.
pub const MOST_PROBED: u32 = 1_000;
