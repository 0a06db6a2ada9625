//! Reading rooms: events, state, members, history.

use std::{collections::BTreeSet, rc::Rc};

use futures::{StreamExt, future::ready, stream};
use serde_json::{Map, Value, json};
use tern_edge::{
    ignored::{self, Aggregating, Ignored},
    places::{self, Side},
    room_state::StatePieces,
};
use tern_model::{MatrixError, Name, RawJson};
use tern_ports::{
    ask_room, ask_user,
    wire::{
        room::{MembersFilter, ReadEvent, ReadJoinedMembers, ReadMessages},
        user::ListRooms,
    },
};

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Token Get "/_matrix/client/v3/rooms/{roomId}/messages" => messages;
    Token Get "/_matrix/client/v3/rooms/{roomId}/event/{eventId}" => event;
    Token Get "/_matrix/client/v3/rooms/{roomId}/state" => state;
    Token Get "/_matrix/client/v3/rooms/{roomId}/members" => members;
    Token Get "/_matrix/client/v3/rooms/{roomId}/joined_members" => joined_members;
    Hub Get "/_matrix/client/v3/joined_rooms" => joined_rooms;
};

/// Events in a page of messages, at most.
const MAX_PAGE: u64 = 1000;

/// `GET /rooms/{roomId}/messages`
async fn messages(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let backwards = request.backwards()?.ok_or_else(|| MatrixError::missing_param("dir is missing"))?;
    let (caller, limit, filter) = (request.caller()?.clone(), page_limit(request)?, room_event_filter(request)?);
    let [from, to] = from_and_to(edge, request, backwards).await?;
    let ask = ReadMessages { caller, from, to, backwards, limit, filter, ignored: BTreeSet::new() };
    let (page, ignored) = read(edge, request, ask).await?;
    let mut body = String::from("{\"chunk\":");
    push_list(&mut body, &ignored.sift(page.chunk));
    if !page.state.is_empty() {
        body.push_str(",\"state\":");
        push_list(&mut body, &page.state);
    }
    let mut rest = Map::from_iter([("start".to_owned(), Value::from(page.start))]);
    if let Some(end) = page.end {
        rest.insert("end".to_owned(), end.into());
    }
    let rest = Value::Object(rest).to_string();
    body.push(',');
    body.push_str(rest.trim_start_matches('{'));
    Ok(Answer::text(body))
}

/// `GET /rooms/{roomId}/event/{eventId}`
async fn event(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let ask = ReadEvent { caller: request.caller()?.clone(), event_id: request.event_id()?, ignored: BTreeSet::new() };
    let (event, ignored) = read(edge, request, ask).await?;
    Ok(Answer::raw(&ignored.show(event)?))
}

/// `GET /rooms/{roomId}/state`
async fn state(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    pieces(edge, StatePieces::of_room(request.room_id()?, request.caller()?.user_id.clone())).await
}

/// What fits into one piece is an ordinary answer; the rest follows while the client reads.
async fn pieces(edge: &Edge, mut state: StatePieces) -> Result<Answer, MatrixError> {
    let first = state.next(edge).await?;
    if state.is_over() {
        return Ok(Answer::text(first));
    }
    let rest = stream::try_unfold((Rc::clone(&edge.wire), state), async |(wire, mut state)| {
        if state.is_over() {
            return Ok(None);
        }
        let piece = state.next(&*wire).await?;
        Ok(Some((piece, (wire, state))))
    });
    Ok(Answer::pieces(stream::once(ready(Ok(first))).chain(rest)))
}

/// `GET /rooms/{roomId}/members`
async fn members(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let (membership, not_membership) = (membership(request, "membership")?, membership(request, "not_membership")?);
    let [at] = in_room(edge, request, [("at", Side::Before)]).await?;
    let at = at.map(Name::new).transpose().map_err(|_| MatrixError::invalid_param("at is too long"))?;
    let filter = MembersFilter { at, membership, not_membership };
    pieces(edge, StatePieces::of_members(request.room_id()?, request.caller()?.user_id.clone(), filter)).await
}

/// `GET /rooms/{roomId}/joined_members`
async fn joined_members(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let caller = request.caller()?.user_id.clone();
    let members = ask_room(edge, &request.room_id()?, ReadJoinedMembers { caller }).await?;
    let joined: Map<String, Value> = members
        .into_iter()
        .map(|member| {
            let mut profile = Map::new();
            let fields = [("display_name", member.display_name), ("avatar_url", member.avatar_url)];
            for (key, value) in fields {
                if let Some(value) = value {
                    profile.insert(key.to_owned(), value.into());
                }
            }
            (member.user_id.to_string(), Value::Object(profile))
        })
        .collect();
    Answer::json(&json!({ "joined": joined }))
}

/// `GET /joined_rooms`
async fn joined_rooms(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let session = request.session()?;
    let rooms = ask_user(edge, &request.caller()?.user_id, ListRooms { session }).await?;
    Answer::json(&json!({ "joined_rooms": rooms }))
}

fn membership(request: &Incoming, name: &str) -> Result<Option<Name>, MatrixError> {
    match request.query(name) {
        None => Ok(None),
        Some(value @ ("join" | "invite" | "knock" | "leave" | "ban")) => Ok(Some(Name::cut(value))),
        Some(_) => Err(MatrixError::invalid_param(format!("{name} is not a membership"))),
    }
}

/// Asks the room, and at the same time whom the caller ignores.
pub(super) async fn read<R: Aggregating>(
    edge: &Edge,
    request: &Incoming,
    ask: R,
) -> Result<(R::Reply, Ignored), MatrixError> {
    let (room_id, caller) = (request.room_id()?, request.caller()?);
    ignored::read(edge, &caller.user_id, request.session()?, &room_id, ask).await
}

/// Tokens of the query as places in the room.
pub(super) async fn in_room<const N: usize>(
    edge: &Edge,
    request: &Incoming,
    names: [(&str, Side); N],
) -> Result<[Option<String>; N], MatrixError> {
    let tokens = names.map(|(name, side)| (request.query(name), side));
    places::in_room(edge, &request.caller()?.user_id, request.session()?, &request.room_id()?, tokens).await
}

/// `from` and `to` of a page.
pub(super) async fn from_and_to(
    edge: &Edge,
    request: &Incoming,
    backwards: bool,
) -> Result<[Option<String>; 2], MatrixError> {
    let (from, to) = places::sides(backwards);
    in_room(edge, request, [("from", from), ("to", to)]).await
}

/// `limit` of a page.
pub(super) fn page_limit(request: &Incoming) -> Result<u32, MatrixError> {
    let limit = request.query_number("limit")?.unwrap_or(10).clamp(1, MAX_PAGE);
    Ok(u32::try_from(limit).unwrap_or(10))
}

/// `filter`, a `RoomEventFilter`.
pub(super) fn room_event_filter(request: &Incoming) -> Result<Option<RawJson>, MatrixError> {
    let filter = request.query("filter").map(|text| RawJson::parse(text.to_owned())).transpose();
    filter.map_err(|_| MatrixError::not_json())
}

/// Copies raw events into a JSON list.
pub(super) fn push_list(body: &mut String, events: &[RawJson]) {
    body.push('[');
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        body.push_str(event.text());
    }
    body.push(']');
}
