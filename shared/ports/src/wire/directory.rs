//! Finding rooms and users: aliases, the directory, what rooms show, reports.

use ruma::{OwnedEventId, OwnedRoomAliasId, OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};
use tern_model::{Millis, RoomFacts, RoomSeq};

/// What a room shows, with the journal that it follows from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactsAsOf {
    /// Position up to which the facts take events into account; older facts do not replace newer ones.
    pub as_of: RoomSeq,
    /// The facts.
    pub facts: RoomFacts,
}

/// Gives a room an alias. Fails with 409 `M_UNKNOWN` when it belongs to another room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddAlias {
    /// The alias.
    pub alias: OwnedRoomAliasId,
    /// The room.
    pub room_id: OwnedRoomId,
    /// Who gives it.
    pub creator: OwnedUserId,
    /// When.
    pub ts: Millis,
}

/// An alias with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadAlias {
    /// The alias.
    pub alias: OwnedRoomAliasId,
}

/// The answer to [`LoadAlias`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasRow {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Who gave it.
    pub creator: OwnedUserId,
}

/// Takes an alias from a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveAlias {
    /// The alias.
    pub alias: OwnedRoomAliasId,
    /// The room.
    pub room_id: OwnedRoomId,
}

/// A room's aliases, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListAliases {
    /// The room.
    pub room_id: OwnedRoomId,
}

/// Gives the aliases of a room, and its place in the directory, to the room that takes its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveAliases {
    /// The room that ends.
    pub from: OwnedRoomId,
    /// The room that takes its place.
    pub to: OwnedRoomId,
}

/// Lists a room in the directory or takes it out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListRoom {
    /// The room.
    pub room_id: OwnedRoomId,
    /// In or out.
    pub listed: bool,
    /// When.
    pub ts: Millis,
    /// Not in the directory itself, but in that of a network which an application service bridges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
}

/// Asks whether a room is listed; nothing for a room that is not stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IsListed {
    /// The room.
    pub room_id: OwnedRoomId,
}

/// A page of the room directory, rooms with most members first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageDirectory {
    /// Only rooms whose name, topic or alias contains this, folded to lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<String>,
    /// Only rooms of these types; `None` among them is a room without type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_types: Option<Vec<Option<String>>>,
    /// The room, and its count of members, next to which the page stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<(u64, OwnedRoomId)>,
    /// The page before that room rather than after it.
    pub backwards: bool,
    /// At most this many.
    pub limit: u32,
    /// Which directory.
    #[serde(default)]
    pub of: Directory,
}

/// Which rooms are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Directory {
    /// Those of this server's directory.
    #[default]
    Own,
    /// Those that an application service lists for this network.
    Network(String),
    /// All of them.
    All,
}

/// The answer to [`PageDirectory`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryPage {
    /// In the directory's order, whichever way the page was asked for.
    pub rooms: Vec<ShownRoom>,
    /// Rooms in the directory.
    pub total: u64,
}

/// A room and what it shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownRoom {
    /// The room.
    pub room_id: OwnedRoomId,
    /// What it shows.
    pub facts: RoomFacts,
}

/// What these rooms show; those that are not stored are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadFacts {
    /// The rooms.
    pub rooms: Vec<OwnedRoomId>,
}

/// Makes a user's name and avatar known to the user directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishProfile {
    /// The user.
    pub user_id: OwnedUserId,
    /// `displayname`.
    pub displayname: Option<String>,
    /// `avatar_url`.
    pub avatar_url: Option<String>,
}

/// Users whose id or name contains a term.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchUsers {
    /// The term, folded to lower case.
    pub term: String,
    /// Left out: the one who asks.
    pub except: OwnedUserId,
    /// Only these, and whose whole id is the term; everybody when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub among: Option<Vec<OwnedUserId>>,
    /// At most this many.
    pub limit: u32,
}

/// A user in the user directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundUser {
    /// The user.
    pub user_id: OwnedUserId,
    /// `display_name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// `avatar_url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
}

/// Files a report for the server's administrators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileReport {
    /// Who reports.
    pub reporter: OwnedUserId,
    /// The room reported, or that of the event.
    pub room_id: Option<OwnedRoomId>,
    /// The event reported.
    pub event_id: Option<OwnedEventId>,
    /// The user reported.
    pub user_id: Option<OwnedUserId>,
    /// Why.
    pub reason: String,
    /// When.
    pub ts: Millis,
}

/// `GET room_summary`: what the room shows, to somebody or to anybody; 404 for those who may not see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadSummary {
    /// Who asks; nothing for somebody without a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<OwnedUserId>,
}

/// The answer to [`ReadSummary`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenRoom {
    /// What the room shows.
    pub facts: RoomFacts,
    /// The membership of the one who asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub membership: Option<String>,
}

/// Asks whether somebody may change what a room shows of itself: who may set its canonical alias. 403 when not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckAliasPermission {
    /// Who asks.
    pub caller: OwnedUserId,
}

/// The room has got an alias of an application service's namespace, or has lost it: by that it concerns the service
/// (Application Service API, "Pushing events"). Nothing happens when there is no such room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteAlias {
    /// The alias.
    pub alias: OwnedRoomAliasId,
    /// It is there now.
    pub present: bool,
}
