//! `GET /rooms/{roomId}/hierarchy`, run in the proxy: a space's rooms as deep as the caller may look.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ruma::{OwnedRoomId, OwnedServerName, RoomId};
use tern_model::{Config, MatrixError, RoomFacts};
use tern_ports::{
    Clock, Transport, ask_storage, ask_user,
    wire::{
        directory::{LoadFacts, ShownRoom},
        user::{ListMemberships, SessionRef},
    },
};
use tern_room::facts::{Child, children, may_preview};

use crate::federation::summaries::Elsewhere;

/// Levels below the first room, at most; each costs one question to the storage worker.
const DEEPEST: u64 = 10;

/// Rooms looked at for one answer, at most.
const MOST_ROOMS: usize = 1_000;

/// Rooms in one answer, unless the client says, and at most.
const PAGE: (u64, u64) = (50, 100);

/// What the client asks for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Only suggested children.
    pub suggested_only: bool,
    /// How deep.
    pub max_depth: Option<u64>,
    /// Rooms in the answer.
    pub limit: Option<u64>,
    /// Token to go on with.
    pub from: Option<String>,
    /// Servers that may know the first room, when it is not here.
    pub via: Vec<OwnedServerName>,
}

/// A page of a space's rooms, each before its own children.
#[derive(Clone, Debug)]
pub struct Hierarchy {
    /// The rooms.
    pub rooms: Vec<ShownRoom>,
    /// Token to go on with, absent at the end.
    pub next: Option<String>,
}

/// Reads a page. The token names the last room of the page before, so rooms that are added elsewhere move nothing.
///
/// # Errors
/// 403 when the first room is not there or may not be seen; 400 for a token of another question.
pub async fn read<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    caller: &ruma::UserId,
    session: SessionRef,
    root: &RoomId,
    wanted: &Wanted,
) -> Result<Hierarchy, MatrixError> {
    let depth = wanted.max_depth.unwrap_or(DEEPEST).min(DEEPEST);
    let memberships = ask_user(edge, caller, ListMemberships { session: Some(session) }).await?;
    let rooms = load(edge, config, root, &memberships, (depth, wanted)).await?;
    let mut seen = BTreeSet::new();
    let mut order = Vec::new();
    walk(root, &rooms, depth, wanted.suggested_only, &mut seen, &mut order);
    if order.is_empty() {
        return Err(MatrixError::forbidden("There is no such space, or you may not see it"));
    }
    let question = format!("{root} {depth} {}", wanted.suggested_only);
    let start = match &wanted.from {
        None => 0,
        Some(token) => {
            let last = read_token(token, &question)?;
            let at = order.iter().position(|room_id| *room_id == last);
            at.ok_or_else(|| MatrixError::invalid_param("The room that the token names is gone"))? + 1
        }
    };
    let limit = usize::try_from(wanted.limit.unwrap_or(PAGE.0).clamp(1, PAGE.1)).unwrap_or(1);
    let page: Vec<_> = order.iter().skip(start).take(limit).collect();
    let more = start + page.len() < order.len();
    let next = page.last().filter(|_| more).map(|last| write_token(last, &question));
    let shown = page.into_iter().filter_map(|room_id| rooms.get(room_id).map(|facts| (room_id, facts)));
    let mut rooms: Vec<_> =
        shown.map(|(room_id, facts)| ShownRoom { room_id: room_id.clone(), facts: facts.clone() }).collect();
    if wanted.suggested_only {
        for room in &mut rooms {
            keep_suggested(&mut room.facts);
        }
    }
    Ok(Hierarchy { rooms, next })
}

/// A room, and servers that may know it.
type Reached = (OwnedRoomId, Vec<OwnedServerName>);

/// What the rooms show that can be reached, level by level, as far as the caller may see them.
async fn load<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    root: &RoomId,
    memberships: &BTreeMap<OwnedRoomId, String>,
    (depth, wanted): (u64, &Wanted),
) -> Result<BTreeMap<OwnedRoomId, RoomFacts>, MatrixError> {
    let joined = |room_id: &RoomId| memberships.get(room_id).is_some_and(|membership| membership == "join");
    let mut found = BTreeMap::new();
    let mut asked = BTreeSet::from([root.to_owned()]);
    let mut level = vec![(root.to_owned(), wanted.via.clone())];
    let mut elsewhere = Elsewhere::new(config, edge.now());
    for _ in 0..=depth {
        if level.is_empty() {
            break;
        }
        let shown = show(edge, &mut elsewhere, std::mem::take(&mut level), wanted.suggested_only).await?;
        for (room_id, facts) in shown {
            if !may_preview(&facts, memberships.get(&room_id).map(String::as_str), joined) {
                continue;
            }
            let below = wanted_children(&facts, wanted.suggested_only).map(|child| (child.room_id, child.via));
            level.extend(below.filter(|(child, _)| asked.len() < MOST_ROOMS && asked.insert(child.clone())));
            found.insert(room_id, facts);
        }
    }
    Ok(found)
}

/// What these rooms show, here or elsewhere.
async fn show<E: Transport + Clock>(
    edge: &E,
    elsewhere: &mut Elsewhere<'_>,
    mut level: Vec<Reached>,
    suggested_only: bool,
) -> Result<Vec<(OwnedRoomId, RoomFacts)>, MatrixError> {
    let rooms = level.iter().map(|(room_id, _)| room_id.clone()).collect();
    let here = ask_storage(edge, LoadFacts { rooms }).await?;
    let mut shown: Vec<_> = here.into_iter().map(|room| (room.room_id, room.facts)).collect();
    let known: BTreeSet<_> = shown.iter().map(|(room_id, _)| room_id.clone()).collect();
    level.retain(|(room_id, _)| !known.contains(room_id));
    if !level.is_empty() {
        shown.extend(elsewhere.show(edge, level, suggested_only).await);
    }
    Ok(shown)
}

/// Puts the rooms in order: a room, then what is below it, then the next. Each room stands where it is met first.
fn walk(
    room_id: &RoomId,
    rooms: &BTreeMap<OwnedRoomId, RoomFacts>,
    depth: u64,
    suggested_only: bool,
    seen: &mut BTreeSet<OwnedRoomId>,
    order: &mut Vec<OwnedRoomId>,
) {
    let Some(facts) = rooms.get(room_id) else { return };
    if !seen.insert(room_id.to_owned()) {
        return;
    }
    order.push(room_id.to_owned());
    if let Some(depth) = depth.checked_sub(1) {
        for child in wanted_children(facts, suggested_only) {
            walk(&child.room_id, rooms, depth, suggested_only, seen, order);
        }
    }
}

/// Only spaces have rooms below them.
pub(crate) fn wanted_children(facts: &RoomFacts, suggested_only: bool) -> impl Iterator<Item = Child> {
    let children = if facts.room_type.as_deref() == Some("m.space") { children(facts) } else { Vec::new() };
    children.into_iter().filter(move |child| child.suggested || !suggested_only)
}

pub(crate) fn keep_suggested(facts: &mut RoomFacts) {
    #[derive(serde::Deserialize)]
    struct Event {
        content: Content,
    }
    #[derive(serde::Deserialize)]
    struct Content {
        #[serde(default)]
        suggested: bool,
    }
    facts.children.retain(|event| event.read::<Event>().is_ok_and(|event| event.content.suggested));
}

fn write_token(last: &RoomId, question: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{last}\n{question}"))
}

fn read_token(token: &str, question: &str) -> Result<OwnedRoomId, MatrixError> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let (last, asked) = text.split_once('\n')?;
        RoomId::parse(last).ok().filter(|_| asked == question)
    };
    read().ok_or_else(|| MatrixError::invalid_param("Not a token of this question"))
}
