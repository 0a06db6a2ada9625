//! The shape of `/_matrix/client/v4/sync` (MSC4186, "Request Body").

use std::collections::BTreeMap;

use ruma::{RoomId, UserId};
use serde::Deserialize;
use tern_model::{MatrixError, RawJson};

use super::read::object;
use super::unstable::{ExtensionsBody, Filters, capped, extensions, filter};
use super::{ListRequest, Request, RoomConfig, Shape};
use crate::state::{Selector, StateNeed, StateRule};

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    conn_id: Option<String>,
    #[serde(default)]
    pos: Option<String>,
    #[serde(default)]
    timeout: Option<u64>,
    #[serde(default)]
    set_presence: Option<String>,
    #[serde(default)]
    lists: BTreeMap<String, List>,
    #[serde(default)]
    room_subscriptions: BTreeMap<String, Subscription>,
    #[serde(default, deserialize_with = "object")]
    extensions: ExtensionsBody,
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    range: Option<(u64, u64)>,
    #[serde(default)]
    filters: Option<Filters>,
    #[serde(flatten)]
    config: Subscription,
}

#[derive(Deserialize)]
struct Subscription {
    required_state: RequiredState,
    timeline_limit: u64,
}

#[derive(Deserialize)]
struct RequiredState {
    #[serde(default)]
    include: Vec<Selector>,
    #[serde(default)]
    exclude: Vec<Selector>,
    #[serde(default)]
    lazy_members: bool,
}

pub(super) fn parse(body: &RawJson, _user_id: &UserId) -> Result<Request, MatrixError> {
    let body: Body = body.read().map_err(|error| MatrixError::bad_json(error.to_string()))?;
    if !matches!(body.set_presence.as_deref(), None | Some("online" | "offline" | "unavailable")) {
        return Err(MatrixError::invalid_param("Unknown set_presence"));
    }
    let list = |(name, list): (String, List)| {
        let request = ListRequest {
            ranges: list.range.map(|range| vec![range]),
            filter: list.filters.map(filter).unwrap_or_default(),
            config: config(list.config),
        };
        (name, request)
    };
    Ok(Request {
        shape: Shape::Stable,
        pos: body.pos,
        conn_id: body.conn_id.unwrap_or_default(),
        txn_id: None,
        timeout: body.timeout,
        lists: body.lists.into_iter().map(list).collect(),
        subscriptions: body
            .room_subscriptions
            .into_iter()
            .filter_map(|(room, wanted)| Some((RoomId::parse(room).ok()?, config(wanted))))
            .collect(),
        extensions: extensions(body.extensions)?,
        fingerprint: 0,
        rules: 0,
    })
}

fn config(wanted: Subscription) -> RoomConfig {
    let RequiredState { include, exclude, lazy_members } = wanted.required_state;
    let rule = StateRule { include, exclude, lazy: lazy_members };
    RoomConfig { limit: capped(wanted.timeline_limit), state: StateNeed::one(rule) }
}
