//! The shape of `/unstable/org.matrix.simplified_msc3575/sync`.

use std::collections::{BTreeMap, BTreeSet};

use ruma::{RoomId, UserId};
use serde::Deserialize;
use tern_model::{MatrixError, RawJson};

use super::read::{MOST_EVENTS, object, queue_since};
use super::{Extensions, ListFilter, ListRequest, Request, RoomConfig, Scope, Shape, StickyRequest, ToDeviceRequest};
use crate::state::{MEMBER, Selector, StateNeed, StateRule};

/// Changes of thread subscriptions per answer, at most and when the client does not say.
const THREADS_LIMIT: usize = 100;
/// To-device messages per answer when the client does not say.
const TO_DEVICE_LIMIT: usize = 100;
/// Sticky events per answer, likewise (MSC4480).
const STICKY_LIMIT: usize = 100;

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    conn_id: Option<String>,
    #[serde(default)]
    txn_id: Option<String>,
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
    ranges: Option<Vec<(u64, u64)>>,
    #[serde(default)]
    filters: Option<Filters>,
    #[serde(flatten)]
    config: Subscription,
}

#[derive(Deserialize)]
struct Subscription {
    #[serde(default)]
    required_state: Vec<(String, String)>,
    #[serde(default)]
    timeline_limit: u64,
}

/// Filters of either shape; each uses its own name for invites.
#[derive(Deserialize)]
pub(super) struct Filters {
    is_dm: Option<bool>,
    is_encrypted: Option<bool>,
    #[serde(alias = "is_invited")]
    is_invite: Option<bool>,
    spaces: Option<BTreeSet<String>>,
    room_types: Option<BTreeSet<Option<String>>>,
    not_room_types: Option<BTreeSet<Option<String>>>,
    tags: Option<BTreeSet<String>>,
    not_tags: Option<BTreeSet<String>>,
    room_name_like: Option<String>,
}

/// Extensions are the same in both shapes.
#[derive(Default, Deserialize)]
pub(super) struct ExtensionsBody {
    #[serde(default)]
    to_device: Option<QueueBody>,
    #[serde(default)]
    e2ee: Option<ScopeBody>,
    #[serde(default)]
    account_data: Option<ScopeBody>,
    #[serde(default)]
    receipts: Option<ScopeBody>,
    #[serde(default)]
    typing: Option<ScopeBody>,
    #[serde(default, rename = "io.element.msc4308.thread_subscriptions", alias = "thread_subscriptions")]
    threads: Option<LimitBody>,
    #[serde(default, rename = "org.matrix.msc4354.sticky_events")]
    sticky: Option<QueueBody>,
}

#[derive(Deserialize)]
struct LimitBody {
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    limit: Option<u64>,
}

#[derive(Deserialize)]
struct QueueBody {
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    limit: Option<u64>,
    #[serde(default)]
    since: Option<String>,
}

#[derive(Deserialize)]
struct ScopeBody {
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    lists: Option<BTreeSet<String>>,
    #[serde(default)]
    rooms: Option<BTreeSet<String>>,
}

pub(super) fn parse(body: &RawJson, user_id: &UserId) -> Result<Request, MatrixError> {
    let body: Body = body.read().map_err(|error| MatrixError::bad_json(error.to_string()))?;
    let list = |(name, list): (String, List)| {
        let request = ListRequest {
            ranges: list.ranges,
            filter: list.filters.map(filter).unwrap_or_default(),
            config: config(list.config, user_id),
        };
        (name, request)
    };
    Ok(Request {
        shape: Shape::Unstable,
        pos: None,
        conn_id: body.conn_id.unwrap_or_default(),
        txn_id: body.txn_id,
        timeout: None,
        lists: body.lists.into_iter().map(list).collect(),
        subscriptions: body
            .room_subscriptions
            .into_iter()
            // A room that cannot exist is ignored like one that does not.
            .filter_map(|(room, wanted)| Some((RoomId::parse(room).ok()?, config(wanted, user_id))))
            .collect(),
        extensions: extensions(body.extensions)?,
        fingerprint: 0,
        rules: 0,
    })
}

/// Reads `(type, state_key)` pairs with `*`, `$ME` and `$LAZY`.
fn config(wanted: Subscription, user_id: &UserId) -> RoomConfig {
    let mut rule = StateRule::default();
    let part = |text: String| if text == "*" { None } else { Some(text) };
    for (kind, key) in wanted.required_state {
        match key.as_str() {
            "$LAZY" if kind == MEMBER => rule.lazy = true,
            "$LAZY" => {}
            "$ME" => rule.include.push(Selector { kind: part(kind), key: Some(user_id.to_string()) }),
            _ => rule.include.push(Selector { kind: part(kind), key: part(key) }),
        }
    }
    RoomConfig { limit: capped(wanted.timeline_limit), state: StateNeed::one(rule) }
}

pub(super) fn capped(limit: u64) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX).min(MOST_EVENTS)
}

pub(super) fn filter(filters: Filters) -> ListFilter {
    ListFilter {
        dm: filters.is_dm,
        encrypted: filters.is_encrypted,
        invited: filters.is_invite,
        spaces: filters.spaces,
        // SDKs send empty sets for "no filter".
        types: filters.room_types.filter(|types| !types.is_empty()),
        not_types: filters.not_room_types.filter(|types| !types.is_empty()),
        tags: filters.tags.filter(|tags| !tags.is_empty()),
        not_tags: filters.not_tags.filter(|tags| !tags.is_empty()),
        name_like: filters.room_name_like.map(|name| name.to_lowercase()),
    }
}

pub(super) fn extensions(body: ExtensionsBody) -> Result<Extensions, MatrixError> {
    let enabled = |scope: Option<ScopeBody>| {
        let scope = scope.filter(|scope| scope.enabled == Some(true))?;
        Some(Scope { lists: scope.lists, rooms: scope.rooms })
    };
    let to_device = body.to_device.filter(|to_device| to_device.enabled == Some(true)).map(|to_device| {
        let limit = within(to_device.limit, TO_DEVICE_LIMIT);
        let since = queue_since(to_device.since.as_deref())?;
        Ok::<_, MatrixError>(ToDeviceRequest { limit, since })
    });
    let sticky = body.sticky.filter(|sticky| sticky.enabled == Some(true)).map(|sticky| {
        let limit = within(sticky.limit, STICKY_LIMIT);
        let since = queue_since(sticky.since.as_deref())?;
        Ok::<_, MatrixError>(StickyRequest { limit, since })
    });
    Ok(Extensions {
        to_device: to_device.transpose()?,
        sticky: sticky.transpose()?,
        e2ee: enabled(body.e2ee).is_some(),
        account_data: enabled(body.account_data),
        receipts: enabled(body.receipts),
        typing: enabled(body.typing),
        threads: body
            .threads
            .filter(|threads| threads.enabled == Some(true))
            .map(|threads| within(threads.limit, THREADS_LIMIT)),
    })
}

/// A limit that the client may lower.
fn within(limit: Option<u64>, most: usize) -> usize {
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(most).clamp(1, most)
}
