//! Media. Questions whose content travels beside the frame, as the body of a request or a reply, and those about media that
//! are frames alone.

use ruma::{OwnedServerName, OwnedUserId};
use serde::{Deserialize, Serialize};
use tern_model::Millis;

use super::{
    archive::PassObject,
    boundary,
    policy::{StoragePolicy, storage_policy},
};

/// Carries the frame of a [`MediaCommand`], in unpadded URL-safe base64, while the body carries the content.
pub const COMMAND_HEADER: &str = "x-tern-command";

/// Carries the frame of the reply, likewise.
pub const REPLY_HEADER: &str = "x-tern-reply";

boundary! {
    /// A question to the storage worker with content on the way there or back.
    MediaCommand,
    /// A question to the storage worker with content on the way there or back, and the answer beside the content.
    MediaRequest,
    StoragePolicy,
    storage_policy,
    {
        // access, while suspended
        StoreMedia => Stored, [Write Allowed];
        FetchMedia => Fetched, [Read Allowed];
        FetchThumbnail => Fetched, [Read Allowed];
        PassObject => Stored, [Write Allowed];
    }
}

/// The name of some content: `mxc://{origin}/{media_id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaRef {
    /// The server where it was uploaded.
    pub origin: OwnedServerName,
    /// Its id there.
    pub media_id: String,
}

/// Stores the content that follows. Fails with 413 `M_TOO_LARGE`, 403 `M_FORBIDDEN` (over the quota, or another's
/// reservation), 404 `M_NOT_FOUND` (no reservation), 409 `M_CANNOT_OVERWRITE_MEDIA`, 400 `M_UNKNOWN` (no picture, where only
/// a picture is wanted) and 502 `M_UNKNOWN` (not the envelope that was announced).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreMedia {
    /// Its name.
    pub media: MediaRef,
    /// Who uploads it; nobody for a copy of what is elsewhere, which is not kept for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<OwnedUserId>,
    /// The name was reserved before, by this user.
    pub reserved: bool,
    /// As it will be served.
    pub content_type: String,
    /// File name, cleaned.
    pub name: Option<String>,
    /// Only a picture is stored, as the type that it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub picture: bool,
    /// The content comes from another homeserver in an envelope with this `Content-Type`, which says what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envelope: Option<String>,
    /// Longest content, in bytes.
    pub max_length: u64,
    /// What the user may keep, in bytes.
    pub quota: Option<u64>,
    /// When.
    pub ts: Millis,
}

/// The answer to [`StoreMedia`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Length of the content, in bytes.
    pub size: u64,
    /// What kind of picture it is, where only a picture was wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<PictureFacts>,
    /// Nothing was stored: the envelope says that the content is at this address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<String>,
}

/// What is known of a picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureFacts {
    /// Its type.
    pub content_type: String,
    /// In pixels, as it is seen.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

/// The code of the error for content that is known and withheld, which clients are told as `M_NOT_FOUND`.
pub const WITHHELD: &str = "TERN_WITHHELD";

/// Brings some content, or what is known of it. Fails with 404 `M_NOT_FOUND`, 404 [`WITHHELD`], and 504 `M_NOT_YET_UPLOADED`
/// for a name that is reserved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchMedia {
    /// Its name.
    pub media: MediaRef,
    /// Only when it was stored before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Millis>,
    /// `Range`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
    /// `If-Range`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_range: Option<String>,
    /// `If-None-Match`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_none_match: Option<String>,
    /// The content itself is wanted, not only what is known of it.
    pub body: bool,
    /// All of it, in an envelope for another homeserver, with this boundary between its parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envelope: Option<String>,
    /// Now.
    pub ts: Millis,
}

/// Brings a thumbnail, or the original where that is no larger. Fails as [`FetchMedia`], and with 400 `M_UNKNOWN` for what is
/// no picture, 413 `M_TOO_LARGE` for a picture that would take too much memory, 429 `M_LIMIT_EXCEEDED` while others do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchThumbnail {
    /// Of what.
    pub original: FetchMedia,
    /// Wanted width, in pixels.
    pub width: u32,
    /// Wanted height, in pixels.
    pub height: u32,
    /// Of this shape.
    pub crop: bool,
    /// It may move.
    pub animated: bool,
    /// The client takes WebP.
    pub webp: bool,
}

/// What is known of the content that follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetched {
    /// Its type.
    pub content_type: String,
    /// File name, cleaned.
    pub name: Option<String>,
    /// Length of all of it, in bytes.
    pub size: u64,
    /// Entity tag, with its quotes.
    pub tag: String,
    /// What follows.
    pub follows: Follows,
}

/// How much of the content follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Follows {
    /// All of it.
    Whole,
    /// The bytes from the first to the last position, both included.
    Span(u64, u64),
    /// Nothing: the client has it.
    Unchanged,
    /// Nothing: the wanted range is beyond the end.
    Unsatisfiable,
}

/// Reserves a name for content that comes later. Fails with 429 `M_LIMIT_EXCEEDED` while too many wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReserveMedia {
    /// A fresh id.
    pub media_id: String,
    /// For whom.
    pub user_id: OwnedUserId,
    /// Until when.
    pub expires: Millis,
    /// How many reservations of this user may wait at once.
    pub most: u64,
    /// When.
    pub ts: Millis,
}

/// Withholds some content, under every name it has and will get, or serves it again. Fails with 404 `M_NOT_FOUND`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineMedia {
    /// One of its names.
    pub media: MediaRef,
    /// Withhold, or serve again.
    pub withheld: bool,
}

/// Forgets names, and content that is left without one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeMedia {
    /// Which.
    pub which: Purge,
}

/// What to forget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purge {
    /// One name.
    One(MediaRef),
    /// Everything of one user.
    OfUser(OwnedUserId),
}

/// The answer to [`PurgeMedia`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// How many names are gone.
    pub count: u64,
}
