//! Reading what stands around an event and what relates to it.

use std::collections::BTreeSet;

use serde_json::Value;
use tern_edge::places::Side;
use tern_model::{MatrixError, Millis, RawJson};
use tern_ports::{
    ask_room,
    wire::relations::{ReadContext, ReadEventByTime, ReadRelations, ReadThreads},
};

use super::history::{from_and_to, in_room, page_limit, push_list, read, room_event_filter};
use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Token Get "/_matrix/client/v3/rooms/{roomId}/context/{eventId}" => context;
    Token Get "/_matrix/client/v1/rooms/{roomId}/timestamp_to_event" => timestamp_to_event;
    Token Get "/_matrix/client/v1/rooms/{roomId}/relations/{eventId}" => relations;
    Token Get "/_matrix/client/v1/rooms/{roomId}/relations/{eventId}/{relType}" => relations;
    Token Get "/_matrix/client/v1/rooms/{roomId}/relations/{eventId}/{relType}/{eventType}" => relations;
    Token Get "/_matrix/client/v1/rooms/{roomId}/threads" => threads;
};

/// `GET /rooms/{roomId}/context/{eventId}`
async fn context(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let limit = u32::try_from(request.query_number("limit")?.unwrap_or(10)).unwrap_or(u32::MAX);
    let ask = ReadContext {
        caller: request.caller()?.clone(),
        event_id: request.event_id()?,
        limits: (limit / 2, limit - limit / 2),
        filter: room_event_filter(request)?,
        only_members: false,
        ignored: BTreeSet::new(),
    };
    let (context, ignored) = read(edge, request, ask).await?;
    let mut body = format!("{{\"event\":{}", ignored.show(context.event)?.text());
    for (name, list) in [("events_before", context.before), ("events_after", context.after), ("state", context.state)] {
        body.extend([",\"", name, "\":"]);
        push_list(&mut body, &ignored.sift(list));
    }
    push_rest(&mut body, [("start", Some(context.start.into())), ("end", Some(context.end.into()))]);
    Ok(Answer::text(body))
}

/// `GET /rooms/{roomId}/timestamp_to_event`
async fn timestamp_to_event(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let (ts, backwards) = nearest(request)?;
    let ask = ReadEventByTime { caller: request.caller()?.clone(), ts, backwards };
    Answer::json(&ask_room(edge, &request.room_id()?, ask).await?)
}

/// A time, and whether the event before it is meant rather than the one after it.
pub(in crate::routes) fn nearest(request: &Incoming) -> Result<(Millis, bool), MatrixError> {
    let ts = request.query_number("ts")?.ok_or_else(|| MatrixError::missing_param("ts is missing"))?;
    let backwards = request.backwards()?.ok_or_else(|| MatrixError::missing_param("dir is missing"))?;
    Ok((Millis(ts), backwards))
}

/// `GET /rooms/{roomId}/relations/{eventId}`, with or without relation type and event type
async fn relations(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let named = |name| Some(request.param(name)).filter(|value| !value.is_empty()).map(str::to_owned);
    let backwards = request.backwards()?.unwrap_or(true);
    let (recurse, limit) = (request.query_flag("recurse")?, page_limit(request)?);
    let [from, to] = from_and_to(edge, request, backwards).await?;
    let ask = ReadRelations {
        caller: request.caller()?.clone(),
        event_id: request.event_id()?,
        rel_type: named("relType"),
        kind: named("eventType"),
        from,
        to,
        backwards,
        recurse,
        limit,
        ignored: BTreeSet::new(),
    };
    let (page, ignored) = read(edge, request, ask).await?;
    let mut body = chunk(&ignored.sift(page.chunk));
    let depth = page.depth.map(Value::from);
    push_rest(&mut body, [("next_batch", page.next.map(Value::from)), ("recursion_depth", depth)]);
    Ok(Answer::text(body))
}

/// `GET /rooms/{roomId}/threads`
async fn threads(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let participated = match request.query("include") {
        None | Some("all") => false,
        Some("participated") => true,
        Some(_) => return Err(MatrixError::invalid_param("include is neither all nor participated")),
    };
    let limit = page_limit(request)?;
    let [from] = in_room(edge, request, [("from", Side::Before)]).await?;
    let ask = ReadThreads { caller: request.caller()?.clone(), participated, from, limit, ignored: BTreeSet::new() };
    // The roots of ignored users are there, redacted.
    let (page, _) = read(edge, request, ask).await?;
    let mut body = chunk(&page.chunk);
    push_rest(&mut body, [("next_batch", page.next.map(Value::from))]);
    Ok(Answer::text(body))
}

fn chunk(events: &[RawJson]) -> String {
    let mut body = String::from("{\"chunk\":");
    push_list(&mut body, events);
    body
}

/// Adds the fields that are there, and ends the object, which has members already.
fn push_rest<const N: usize>(body: &mut String, fields: [(&str, Option<Value>); N]) {
    let set = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let rest = Value::Object(set.collect()).to_string();
    if rest.len() > 2 {
        body.push(',');
    }
    body.push_str(rest.trim_start_matches('{'));
}
