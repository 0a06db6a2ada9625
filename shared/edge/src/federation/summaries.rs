//! What other servers show of rooms that are not here: spaces, and the rooms in them.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use ruma::{OwnedRoomId, OwnedServerName, RoomId, ServerName};
use serde::Deserialize;
use tern_model::{BoundedVec, Config, MatrixError, Millis, RawJson, RoomFacts};
use tern_ports::{Clock, Transport};
use tern_room::facts::may_preview;

use super::requests::{escaped, look_up};

/// Rooms that are asked about for one answer, at most, and of them at a time.
const MOST_ASKED: usize = 20;
const AT_A_TIME: usize = 6;
/// After so long no further one is, in milliseconds.
const PATIENCE_MS: u64 = 20_000;
/// Servers that are asked about one room.
const MOST_SERVERS: usize = 2;
/// Longest answer about one, in bytes, and rooms in it.
const LONGEST: usize = 512 * 1024;
const MOST_ROOMS: usize = 1_000;

/// What has been learned for one answer.
pub(crate) struct Elsewhere<'a> {
    config: &'a Config,
    until: Millis,
    left: usize,
    /// What was said of rooms beside the one that was asked about, which are no spaces.
    beside: BTreeMap<OwnedRoomId, RoomFacts>,
}

/// A room as another server shows it.
#[derive(Debug, Deserialize)]
struct Shown {
    room_id: OwnedRoomId,
    #[serde(default)]
    room_version: String,
    #[serde(default)]
    children_state: BoundedVec<RawJson, MOST_ROOMS>,
    name: Option<String>,
    topic: Option<String>,
    avatar_url: Option<String>,
    canonical_alias: Option<String>,
    room_type: Option<String>,
    join_rule: Option<String>,
    encryption: Option<String>,
    #[serde(default)]
    allowed_room_ids: BoundedVec<OwnedRoomId, MOST_ROOMS>,
    #[serde(default)]
    num_joined_members: u64,
    #[serde(default)]
    guest_can_join: bool,
    #[serde(default)]
    world_readable: bool,
}

/// The answer to `GET /hierarchy/{roomId}`.
#[derive(Debug, Deserialize)]
struct Space {
    room: Shown,
    #[serde(default)]
    children: BoundedVec<Shown, MOST_ROOMS>,
}

impl<'a> Elsewhere<'a> {
    pub(crate) fn new(config: &'a Config, now: Millis) -> Self {
        Self { config, until: now.plus(PATIENCE_MS), left: MOST_ASKED, beside: BTreeMap::new() }
    }

    /// What is shown of these rooms, each with servers that may know it.
    pub(crate) async fn show<E: Transport + Clock>(
        &mut self,
        edge: &E,
        rooms: Vec<(OwnedRoomId, Vec<OwnedServerName>)>,
        suggested_only: bool,
    ) -> Vec<(OwnedRoomId, RoomFacts)> {
        let (mut shown, mut asked) = (Vec::new(), Vec::new());
        for (room_id, via) in rooms {
            match self.beside.remove(&room_id) {
                Some(facts) => shown.push((room_id, facts)),
                None if asked.len() < self.left && edge.now() < self.until => asked.push((room_id, via)),
                None => {}
            }
        }
        self.left = self.left.saturating_sub(asked.len());
        let config = self.config;
        let spaces = stream::iter(asked).map(async |(room_id, via): (OwnedRoomId, Vec<OwnedServerName>)| {
            first(edge, config, &room_id, &via, suggested_only).await.ok()
        });
        let spaces: Vec<Option<Space>> = spaces.buffer_unordered(AT_A_TIME).collect().await;
        for Space { room, children } in spaces.into_iter().flatten() {
            shown.push(facts(room));
            let beside = children.into_iter().map(facts);
            // A space among them is asked about for what is in it.
            self.beside.extend(beside.filter(|(_, facts)| facts.room_type.as_deref() != Some("m.space")));
        }
        shown
    }
}

/// What one of these servers shows of a room to a user with these memberships.
///
/// # Errors
/// 404 `M_NOT_FOUND` when none of them knows it, or the user may not see it; 502; 504.
pub async fn summary<E: Transport>(
    edge: &E,
    config: &Config,
    room_id: &RoomId,
    via: &[OwnedServerName],
    memberships: &BTreeMap<OwnedRoomId, String>,
) -> Result<RoomFacts, MatrixError> {
    let (_, facts) = facts(first(edge, config, room_id, via, true).await?.room);
    let of = |room_id: &RoomId| memberships.get(room_id).map(String::as_str);
    let is_shown = may_preview(&facts, of(room_id), |room_id| of(room_id) == Some("join"));
    if is_shown { Ok(facts) } else { Err(unknown()) }
}

async fn first<E: Transport>(
    edge: &E,
    config: &Config,
    room_id: &RoomId,
    via: &[OwnedServerName],
    suggested_only: bool,
) -> Result<Space, MatrixError> {
    let own = config.server_name.as_str();
    let mut servers: Vec<&ServerName> = Vec::new();
    for server in via.iter().map(|server| &**server).chain(room_id.server_name()) {
        if !server.as_str().eq_ignore_ascii_case(own) && !servers.contains(&server) {
            servers.push(server);
        }
    }
    let mut refused = unknown();
    for server in servers.into_iter().take(MOST_SERVERS) {
        let path = "/_matrix/federation/v1/hierarchy/";
        let target = format!("{path}{}?suggested_only={suggested_only}", escaped(room_id.as_str()));
        let said = look_up(edge, server, target, None, LONGEST).await;
        match said.and_then(|said| said.read::<Space>().map_err(|_| unknown())) {
            Ok(space) if space.room.room_id == *room_id => return Ok(space),
            Ok(_) => {}
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

fn facts(shown: Shown) -> (OwnedRoomId, RoomFacts) {
    let facts = RoomFacts {
        name: shown.name,
        topic: shown.topic,
        avatar_url: shown.avatar_url,
        canonical_alias: shown.canonical_alias,
        room_type: shown.room_type,
        join_rule: shown.join_rule,
        allowed_room_ids: shown.allowed_room_ids.into_vec(),
        encryption: shown.encryption,
        room_version: shown.room_version,
        num_joined_members: shown.num_joined_members,
        guest_can_join: shown.guest_can_join,
        world_readable: shown.world_readable,
        children: shown.children_state.into_vec(),
    };
    (shown.room_id, facts)
}

fn unknown() -> MatrixError {
    MatrixError::not_found("There is no such room, or you may not see it")
}
