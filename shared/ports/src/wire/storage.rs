//! What the storage worker can be asked. Each command is one D1 batch per database it touches.

use ruma::{OwnedEventId, OwnedRoomAliasId, OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};
use tern_model::{Millis, RawJson, RoomSeq, StoredEvent};

use super::{
    Done,
    accounts::{
        ChangeUser, CheckRegistrationToken, CreateRegistrationToken, DeleteRegistrationToken, ListRegistrationTokens,
        ListUsers, NumberedEntry, ReadAudit, RecordAudit, RegistrationToken, UserEntry,
    },
    archive::Archive,
    backup::{
        Backup, BackupKey, BackupState, BackupStored, CreateBackup, DeleteBackup, DeleteBackupKeys, DropBackups,
        ReadBackup, ReadBackupKeys, StoreBackupKeys, UpdateBackup,
    },
    boundary,
    directory::{
        AddAlias, AliasRow, DirectoryPage, FactsAsOf, FileReport, FoundUser, IsListed, ListAliases, ListRoom,
        LoadAlias, LoadFacts, MoveAliases, PageDirectory, PublishProfile, RemoveAlias, SearchUsers, ShownRoom,
    },
    keys::{KeysPage, PublishKeys, ReadPublicKeys},
    media::{PurgeMedia, Purged, QuarantineMedia, ReserveMedia},
    places::LocateEvent,
    policy::{StoragePolicy, storage_policy},
    pushers::{FindPushkey, SavePushkey},
    relations::{FindByTime, LoadAggregations, PageRelations, PageThreads, StoredAggregation, ThreadPage},
    search::{Matches, SearchEvents},
    server_keys::{LoadKeyResponses, LoadServerKeys, StoreServerKeys, StoredKeyResponse, StoredServerKey},
    sync::{SyncAsk, SyncRoom, VisibilityFacts},
    threepid::{AddThreepid, FindThreepid, ListThreepids, RemoveSignIn, RemoveThreepid, Threepid},
    troubles::{ListTroubles, NoteTrouble, TroubledServer},
};

boundary! {
    /// A question to the storage worker.
    StorageCommand,
    /// A question to the storage worker and its answer.
    StorageRequest,
    StoragePolicy,
    storage_policy,
    {
        // access, while suspended
        AppendEvents => Appended, [Write Allowed];
        SyncRooms => Vec<SyncRoom>, [Read Allowed];
        PageEvents => EventPage, [Read Allowed];
        LoadEvent => Option<LoadedEvent>, [Read Allowed];
        LoadEvents => Vec<StoredEvent>, [Read Allowed];
        LocateEvent => Option<OwnedRoomId>, [Read Allowed];
        StateAt => Vec<StoredEvent>, [Read Allowed];
        PageRelations => EventPage, [Read Allowed];
        LoadAggregations => Vec<StoredAggregation>, [Read Allowed];
        PageThreads => ThreadPage, [Read Allowed];
        FindByTime => Option<RoomSeq>, [Read Allowed];
        LoadAuthChain => Vec<AuthLink>, [Read Allowed];
        SearchEvents => Matches, [Read Allowed];
        RegisterRoom => Done, [Write Refused];
        ReadLevels => Vec<DatabaseLevel>, [Read Allowed];
        ResolveAlias => Option<OwnedRoomId>, [Read Allowed];
        ReleaseAlias => Done, [Write Allowed];
        AddAlias => Done, [Write Allowed];
        LoadAlias => Option<AliasRow>, [Read Allowed];
        RemoveAlias => Done, [Write Allowed];
        ListAliases => Vec<OwnedRoomAliasId>, [Read Allowed];
        MoveAliases => Done, [Write Allowed];
        ListRoom => Done, [Write Allowed];
        IsListed => Option<bool>, [Read Allowed];
        PageDirectory => DirectoryPage, [Read Allowed];
        LoadFacts => Vec<ShownRoom>, [Read Allowed];
        PublishProfile => Done, [Write Allowed];
        SearchUsers => Vec<FoundUser>, [Read Allowed];
        FileReport => Done, [Write Allowed];
        CreateUser => Done, [Write Allowed];
        LoadUser => Option<UserRow>, [Read Allowed];
        SetPassword => Done, [Write Allowed];
        DeactivateUser => Done, [Write Allowed];
        AddThreepid => Done, [Write Allowed];
        RemoveThreepid => Done, [Write Allowed];
        RemoveSignIn => bool, [Write Allowed];
        ListThreepids => Vec<Threepid>, [Read Allowed];
        FindThreepid => Option<OwnedUserId>, [Read Allowed];
        FindPushkey => Vec<OwnedUserId>, [Read Allowed];
        SavePushkey => Done, [Write Allowed];
        ReserveMedia => Done, [Write Allowed];
        QuarantineMedia => Done, [Write Allowed];
        PurgeMedia => Purged, [Write Allowed];
        CreateBackup => u64, [Write Allowed];
        ReadBackup => Option<Backup>, [Read Allowed];
        UpdateBackup => bool, [Write Allowed];
        DeleteBackup => bool, [Write Allowed];
        DropBackups => Done, [Write Allowed];
        StoreBackupKeys => BackupStored, [Write Allowed];
        ReadBackupKeys => Option<Vec<BackupKey>>, [Read Allowed];
        DeleteBackupKeys => Option<BackupState>, [Write Allowed];
        PublishKeys => Done, [Write Allowed];
        ReadPublicKeys => KeysPage, [Read Allowed];
        SaveClient => Done, [Write Allowed];
        UseClient => Done, [Write Allowed];
        LoadClient => Option<ClientRow>, [Read Allowed];
        ListUsers => Vec<UserEntry>, [Read Allowed];
        ChangeUser => Done, [Write Allowed];
        CheckRegistrationToken => bool, [Read Allowed];
        CreateRegistrationToken => Done, [Write Allowed];
        ListRegistrationTokens => Vec<RegistrationToken>, [Read Allowed];
        DeleteRegistrationToken => Done, [Write Allowed];
        RecordAudit => Done, [Write Allowed];
        ReadAudit => Vec<NumberedEntry>, [Read Allowed];
        LoadKeyring => Option<StoredKeyring>, [Read Allowed];
        SaveKeyring => bool, [Write Allowed];
        StoreServerKeys => Vec<StoredServerKey>, [Write Allowed];
        LoadServerKeys => Vec<StoredServerKey>, [Read Allowed];
        NoteTrouble => Done, [Write Allowed];
        ListTroubles => Vec<TroubledServer>, [Read Allowed];
        LoadKeyResponses => Vec<StoredKeyResponse>, [Read Allowed];
        Archive => RawJson, [Write Allowed];
    }
}

/// Appends a room's journal. Idempotent: events and redactions already stored change nothing. The first append of a room
/// places it on a shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendEvents {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Its version.
    pub room_version: String,
    /// Oldest first, without gaps, and without a gap to what is stored already.
    pub events: Vec<AppendEvent>,
    /// What the room shows, when the events may have changed that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<FactsAsOf>,
}

/// One event to append.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendEvent {
    /// The event.
    pub event: StoredEvent,
    /// It became part of the current state.
    pub is_state: bool,
    /// It redacted this stored event, whose PDU and unsigned part are replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redaction: Option<Redaction>,
    /// What else of the current state became another with it, by state resolution.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[serde(rename = "turns")]
    pub resolutions: Vec<ResolutionChange>,
}

/// A place in the state that state resolution gave to another event, or to none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolutionChange {
    /// `type`.
    pub kind: String,
    /// `state_key`.
    pub state_key: String,
    /// Position of the event that is state from here on.
    pub event: Option<RoomSeq>,
}

/// A redacted event as it is kept from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redaction {
    /// Which event.
    pub event_id: OwnedEventId,
    /// The redacted PDU.
    pub pdu: RawJson,
    /// With `redacted_because`.
    pub unsigned: Option<RawJson>,
    /// Other events that carried a copy of what was redacted, as they are kept from now on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Redaction>,
}

/// How far a room is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appended {
    /// Every event up to here is stored.
    pub through: RoomSeq,
}

/// Slices of many rooms at once; rooms that are not stored come back with `through` zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncRooms {
    /// One per room.
    pub rooms: Vec<SyncAsk>,
}

/// How full the databases are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadLevels {}

/// How full a database is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseLevel {
    /// Its binding.
    pub database: String,
    /// Its size when it was last measured; zero before.
    pub bytes: u64,
    /// What it may have.
    pub max_bytes: u64,
    /// When that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Millis>,
    /// New rooms may be placed there.
    pub takes_rooms: bool,
}

/// A page of a room's timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageEvents {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Whose visibility facts to return.
    pub user_id: OwnedUserId,
    /// Positions greater than this.
    pub after: RoomSeq,
    /// Positions up to and including this.
    pub until: RoomSeq,
    /// Newest first when true.
    pub backwards: bool,
    /// At most this many.
    pub limit: u32,
}

/// The answer to [`PageEvents`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventPage {
    /// In the order asked for.
    pub events: Vec<StoredEvent>,
    /// For deciding which of them the user may see.
    pub facts: VisibilityFacts,
}

/// One event by id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadEvent {
    /// The room it must be in.
    pub room_id: OwnedRoomId,
    /// The event.
    pub event_id: OwnedEventId,
    /// Whose visibility facts to return.
    pub user_id: OwnedUserId,
}

/// Several events by their ids; those that are not stored are missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadEvents {
    /// The room they must be in.
    pub room_id: OwnedRoomId,
    /// The events; at most five hundred.
    pub event_ids: Vec<OwnedEventId>,
}

/// The answer to [`LoadEvent`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadedEvent {
    /// The event.
    pub event: StoredEvent,
    /// For deciding whether the user may see it.
    pub facts: VisibilityFacts,
    /// Of a state event: the one that took its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<StoredEvent>,
}

/// The auth events of these events, of those, and so on, as far as they are stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadAuthChain {
    /// The room they must be in.
    pub room_id: OwnedRoomId,
    /// Where to begin; at most a thousand.
    pub events: Vec<OwnedEventId>,
    /// At most this many links.
    pub limit: u32,
}

/// An event and what it cites.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthLink {
    /// The event.
    pub event_id: OwnedEventId,
    /// Its `auth_events`.
    pub auth: Vec<OwnedEventId>,
}

/// The room's state after the event at a position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateAt {
    /// The room.
    pub room_id: OwnedRoomId,
    /// The position.
    pub at: RoomSeq,
    /// Only this type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Only this state key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_key: Option<String>,
}

/// Reserves an alias for a new room, and publishes the room when asked. Fails with 400 `M_ROOM_IN_USE`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterRoom {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Who makes it.
    pub creator: OwnedUserId,
    /// Its alias, if it gets one.
    pub alias: Option<OwnedRoomAliasId>,
    /// Listed in the room directory.
    pub public: bool,
    /// When.
    pub ts: Millis,
}

/// The room behind a local alias.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolveAlias {
    /// The alias.
    pub alias: OwnedRoomAliasId,
}

/// Undoes a [`RegisterRoom`] whose room could not be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseAlias {
    /// The room that was not made.
    pub room_id: OwnedRoomId,
}

/// Makes a user. Fails with 400 `M_USER_IN_USE`, also for deactivated users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateUser {
    /// The user.
    pub user_id: OwnedUserId,
    /// PHC string of the password, if it has one.
    pub password_hash: Option<String>,
    /// May administrate the server.
    pub admin: bool,
    /// When.
    pub ts: Millis,
    /// A registration token that has to be good, and is used by this; fails with 403 when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_token: Option<String>,
    /// Identifiers of other systems that become the user's. Fails with 400 `M_THREEPID_IN_USE` when somebody has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identifiers: Vec<Threepid>,
}

/// Looks a user up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadUser {
    /// The user.
    pub user_id: OwnedUserId,
}

/// A user's row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRow {
    /// PHC string of the password.
    pub password_hash: Option<String>,
    /// May administrate the server.
    pub admin: bool,
    /// Gone for ever.
    pub deactivated: bool,
    /// Cannot use the account for the time being.
    #[serde(default)]
    pub locked: bool,
    /// May only read for the time being.
    #[serde(default)]
    pub suspended: bool,
    /// When it was made.
    pub created: Millis,
}

/// Replaces a user's password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetPassword {
    /// The user.
    pub user_id: OwnedUserId,
    /// PHC string.
    pub password_hash: String,
}

/// Deactivates a user for ever; the name stays taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeactivateUser {
    /// The user.
    pub user_id: OwnedUserId,
}

/// Stores an OAuth client, for a while unless it is used; nothing else changes when it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaveClient {
    /// Its id.
    pub client_id: String,
    /// What it registered, JSON.
    pub metadata: String,
    /// SHA-256 of its secret, in base64, of one that the operator trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_hash: Option<String>,
    /// When.
    pub ts: Millis,
}

/// Somebody lets an OAuth client in: it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseClient {
    /// Its id.
    pub client_id: String,
}

/// Looks an OAuth client up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadClient {
    /// Its id.
    pub client_id: String,
}

/// An OAuth client's row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRow {
    /// What it registered, JSON.
    pub metadata: String,
    /// As in [`SaveClient`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_hash: Option<String>,
}

/// Reads the keys that sign id tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadKeyring {}

/// The keys that sign id tokens; private halves are sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredKeyring {
    /// Counts changes.
    pub version: u64,
    /// JSON.
    pub keyring: String,
}

/// Replaces the keys; `false`, and nothing changes, when somebody else was first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaveKeyring {
    /// `version` of the keys that are replaced, zero for none.
    pub replaces: u64,
    /// JSON.
    pub keyring: String,
}
