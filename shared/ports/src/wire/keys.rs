//! End-to-end encryption: what a user's hub can be asked about public keys. Keys are copied as JSON; they and their
//! signatures are judged by the hub of the user who owns them.

use std::collections::BTreeMap;

use ruma::{OwnedDeviceId, OwnedUserId};
use serde::{Deserialize, Serialize};
use tern_model::{RawJson, StreamPos};

use super::{policy::Tells, user::SessionRef};

/// `POST /keys/upload`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadKeys {
    /// The session that asks; the keys are its device's.
    pub session: SessionRef,
    /// `device_keys`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_keys: Option<RawJson>,
    /// `one_time_keys`, by `algorithm:id`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub one_time_keys: BTreeMap<String, RawJson>,
    /// `fallback_keys`, by `algorithm:id`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fallback_keys: BTreeMap<String, RawJson>,
}

impl UploadKeys {
    pub(super) const fn tells(&self) -> Tells {
        if self.device_keys.is_some() { Tells::Change } else { Tells::Nobody }
    }
}

/// How many one-time keys wait to be claimed, by algorithm.
pub type KeyCount = BTreeMap<String, u64>;

/// The keys that everybody may see; 404 for a user whom this hub does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryKeys {
    /// Which devices; all when empty.
    pub devices: Vec<OwnedDeviceId>,
}

/// Replaces the copy of what everybody may see of a user's keys. A version that is not newer than the copy changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishKeys {
    /// The user.
    pub user_id: OwnedUserId,
    /// Counts the changes of the keys, as the user's hub does.
    pub version: u64,
    /// The keys; `None` when they are longer than [`PublicKeys::MOST_BYTES`], and the hub has to be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<PublicKeys>,
}

/// What everybody may see of a user's keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKeys {
    /// An object of identity keys by device, with `unsigned.device_display_name`.
    pub devices: RawJson,
    /// `master_keys`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master: Option<RawJson>,
    /// `self_signing_keys`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_signing: Option<RawJson>,
}

impl PublicKeys {
    /// What the copy takes, in bytes: about fifty devices.
    pub const MOST_BYTES: usize = 64 * 1024;

    /// Length in bytes.
    pub fn bytes(&self) -> usize {
        let length = |json: &Option<RawJson>| json.as_ref().map_or(0, |json| json.text().len());
        self.devices.text().len() + length(&self.master) + length(&self.self_signing)
    }
}

/// Reads the copies of some users' keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadPublicKeys {
    /// The users.
    pub users: Vec<OwnedUserId>,
    /// The versions of the copies are told as well.
    #[serde(default, skip_serializing_if = "is_false")]
    pub versions: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// The answer to [`ReadPublicKeys`]: some of the first users, so that it has a bounded length.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysPage {
    /// Those of them who exist.
    pub found: Vec<FoundKeys>,
    /// How many users were looked for; the others have to be asked for again.
    pub looked_at: usize,
}

/// A user who exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundKeys {
    /// The user.
    pub user_id: OwnedUserId,
    /// The copy; `None` when only the hub knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<PublicKeys>,
    /// [`PublishKeys::version`] of the copy, when it was asked for and there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}

/// A user's public keys, ready to be copied into an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserKeys {
    /// Identity keys of devices, with `unsigned.device_display_name`.
    pub devices: BTreeMap<OwnedDeviceId, RawJson>,
    /// `master_keys`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master: Option<RawJson>,
    /// `self_signing_keys`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_signing: Option<RawJson>,
    /// `user_signing_keys`; only for the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_signing: Option<RawJson>,
}

/// The part of a query that only the user's own hub can answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryOwnKeys {
    /// The session that asks.
    pub session: SessionRef,
    /// The user's own keys, when they are asked for: of these devices, or of all when empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<Vec<OwnedDeviceId>>,
    /// Other users whose keys are asked for: their master keys may bear signatures that only this user sees.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<OwnedUserId>,
}

/// The answer to [`QueryOwnKeys`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnKeys {
    /// The user's own keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<UserKeys>,
    /// The user's signatures over other users' master keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<OwnSignature>,
    /// Those of the others who are users of other servers and share a room with the user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared: Vec<RemoteUser>,
}

/// A user of another server whose keys are looked up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteUser {
    /// The user.
    pub user_id: OwnedUserId,
    /// The position in the asker's stream at which the user came to share a room, or last changed. None where no room is
    /// shared: the other server does not tell of changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_at: Option<StreamPos>,
}

/// A signature by the user-signing key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnSignature {
    /// Whose master key it is over.
    pub user_id: OwnedUserId,
    /// The public half of that master key.
    pub key: String,
    /// Key id of the signer.
    pub signer: String,
    /// The signature.
    pub signature: String,
}

/// Gives one key of each device out, for good: a one-time key, or else the fallback key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimKeys {
    /// The algorithm, by device.
    pub devices: BTreeMap<OwnedDeviceId, String>,
}

/// Keys by `algorithm:id`, by device; devices without a key are missing.
pub type ClaimedKeys = BTreeMap<OwnedDeviceId, BTreeMap<String, RawJson>>;

/// `POST /keys/device_signing/upload`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadCrossSigning {
    /// The session that asks.
    pub session: SessionRef,
    /// `master_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master: Option<RawJson>,
    /// `self_signing_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_signing: Option<RawJson>,
    /// `user_signing_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_signing: Option<RawJson>,
    /// The user has proved to be the owner of the account.
    pub proved: bool,
}

/// The answer to [`UploadCrossSigning`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CrossSigningUploaded {
    /// The keys are stored.
    Done,
    /// It would replace keys: nothing is stored before the user has proved to be the owner (MSC3967).
    NeedsProof,
    /// As [`Self::NeedsProof`], by the session of an OAuth client: the user has to allow it on the account page (MSC4312).
    NeedsApproval,
}

/// `POST /keys/signatures/upload`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadSignatures {
    /// The session that asks.
    pub session: SessionRef,
    /// Signed keys, by user and by device id or public key.
    pub signed: BTreeMap<OwnedUserId, BTreeMap<String, RawJson>>,
    /// The master keys of the other users among them, as their hubs know them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub masters: BTreeMap<OwnedUserId, RawJson>,
}

/// What was refused: error objects, by user and by device id or public key.
pub type SignatureFailures = BTreeMap<OwnedUserId, BTreeMap<String, RawJson>>;

/// The devices or cross-signing keys of a user changed: whoever shares a room with them looks again. At least once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteDeviceList {
    /// The user.
    pub user_id: OwnedUserId,
}

/// The answer to [`NoteDeviceList`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotedDeviceList {
    /// For a user of another server: where in the stream it was noted. None where no room is shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_at: Option<StreamPos>,
}

/// `GET /keys/changes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadDeviceLists {
    /// The session that asks.
    pub session: SessionRef,
    /// `from`: a token of classic sync.
    pub from: String,
    /// `to`.
    pub to: String,
}

/// Users whose devices to look up, and users to forget.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceLists {
    /// `changed`.
    pub changed: Vec<OwnedUserId>,
    /// `left`.
    pub left: Vec<OwnedUserId>,
}

/// Stores a dehydrated device (MSC3814) in place of the one there is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutDehydrated {
    /// The session that asks.
    pub session: SessionRef,
    /// The id of the new device.
    pub device_id: OwnedDeviceId,
    /// `device_data`: the device's secrets, which only the user can read.
    pub device_data: RawJson,
    /// `initial_device_display_name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// `device_keys`.
    pub device_keys: RawJson,
    /// `one_time_keys`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub one_time_keys: BTreeMap<String, RawJson>,
    /// `fallback_keys`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fallback_keys: BTreeMap<String, RawJson>,
}

/// Reads the dehydrated device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadDehydrated {
    /// The session that asks.
    pub session: SessionRef,
}

/// A dehydrated device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dehydrated {
    /// The device.
    pub device_id: OwnedDeviceId,
    /// `device_data`.
    pub device_data: RawJson,
}

/// Removes the dehydrated device with its keys and messages. Its id, if there was one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteDehydrated {
    /// The session that asks.
    pub session: SessionRef,
}

/// Reads messages to the dehydrated device. They stay until it is removed, so that rehydration may start over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadDehydratedEvents {
    /// The session that asks.
    pub session: SessionRef,
    /// The dehydrated device.
    pub device_id: OwnedDeviceId,
    /// `next_batch` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_batch: Option<String>,
}

/// A page of messages; an empty one is the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DehydratedEvents {
    /// `events`.
    pub events: Vec<RawJson>,
    /// `next_batch`.
    pub next_batch: String,
}
