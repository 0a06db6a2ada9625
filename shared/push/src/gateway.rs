//! What a push gateway is sent, and what its answer means (Push Gateway API, `POST /_matrix/push/v1/notify`).

use ruma::{RoomId, UserId};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tern_model::{Millis, RawJson};

use crate::queue::Outcome;

/// The format that names the event and says nothing of it.
const EVENT_ID_ONLY: &str = "event_id_only";
/// A longer request comes without the event's content: gateways of phones take no more than 4 KiB.
const LONGEST_WITH_CONTENT: usize = 3_500;
/// No counts are wanted (MSC4076).
const NO_COUNTS: [&str; 2] = ["disable_badge_count", "org.matrix.msc4076.disable_badge_count"];

/// `data` of a pusher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PusherData {
    /// Where the gateway is.
    pub url: String,
    /// The format of notifications, if one is named.
    pub format: Option<String>,
    /// No counts are wanted (MSC4076).
    pub no_counts: bool,
    /// All but the address, which gateways get as it is.
    rest: Map<String, Value>,
}

impl PusherData {
    /// Reads `data` as a client gave it.
    pub fn read(data: &RawJson) -> Self {
        let mut rest = data.read::<Map<String, Value>>().unwrap_or_default();
        let url = rest.remove("url").as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        let format = rest.get("format").and_then(Value::as_str).map(str::to_owned);
        let no_counts = NO_COUNTS.iter().any(|key| rest.get(*key) == Some(&Value::Bool(true)));
        Self { url, format, no_counts, rest }
    }

    /// Notifications name the event and say nothing of it.
    pub fn is_brief(&self) -> bool {
        self.format.as_deref() == Some(EVENT_ID_ONLY)
    }
}

/// A device as its gateway knows it.
#[derive(Clone, Copy, Debug)]
pub struct Device<'a> {
    /// The application.
    pub app_id: &'a str,
    /// The device's name at the gateway.
    pub pushkey: &'a str,
    /// When the pusher was set.
    pub since: Millis,
    /// What the client gave.
    pub data: &'a PusherData,
}

/// What is told of an event.
#[derive(Clone, Debug)]
pub struct Told<'a> {
    /// Whom it is told.
    pub user_id: &'a UserId,
    /// The room.
    pub room_id: &'a RoomId,
    /// The event in client form.
    pub client: &'a RawJson,
    /// The tweaks of the rule that it met.
    pub tweaks: Vec<(String, Value)>,
    /// The sender's name in the room.
    pub sender_name: Option<String>,
    /// The room's name.
    pub room_name: Option<String>,
}

/// What requests say of an event.
#[derive(Deserialize)]
struct Parts {
    event_id: String,
    r#type: String,
    sender: String,
    state_key: Option<String>,
    #[serde(default)]
    content: Value,
}

/// The request about an event, with the number of rooms that are unread. Nothing when the event cannot be read.
pub fn notification(device: &Device<'_>, told: &Told<'_>, unread: u64) -> Option<Vec<u8>> {
    let event: Parts = told.client.read().ok()?;
    let mut notification = named(device, told, &event, unread);
    if device.data.is_brief() {
        notification.insert("devices".to_owned(), json!([entry(device)]));
        return Some(body(&notification));
    }
    let mut entry = entry(device);
    entry.insert("tweaks".to_owned(), Value::Object(told.tweaks.iter().cloned().collect()));
    notification.insert("devices".to_owned(), json!([entry]));
    describe(&mut notification, told, &event);
    let without_content = body(&notification);
    notification.insert("content".to_owned(), event.content);
    let whole = body(&notification);
    Some(if whole.len() <= LONGEST_WITH_CONTENT { whole } else { without_content })
}

/// What both formats say of an event.
fn named(device: &Device<'_>, told: &Told<'_>, event: &Parts, unread: u64) -> Map<String, Value> {
    let prio = if is_urgent(&event.r#type, &told.tweaks) { "high" } else { "low" };
    let fields = [
        ("event_id", event.event_id.as_str().into()),
        ("room_id", told.room_id.as_str().into()),
        ("prio", prio.into()),
    ];
    let counts = ("counts", json!({ "unread": unread }));
    let counts = Some(counts).filter(|_| !device.data.no_counts);
    fields.into_iter().chain(counts).map(|(key, value)| (key.to_owned(), value)).collect()
}

/// What the full format says beyond that, the content excepted.
fn describe(notification: &mut Map<String, Value>, told: &Told<'_>, event: &Parts) {
    let mut put = |key: &str, value: Value| drop(notification.insert(key.to_owned(), value));
    put("type", event.r#type.as_str().into());
    put("sender", event.sender.as_str().into());
    for (key, name) in [("sender_display_name", &told.sender_name), ("room_name", &told.room_name)] {
        if let Some(name) = name {
            put(key, name.as_str().into());
        }
    }
    if let (Some(state_key), Some(membership)) = (&event.state_key, membership(event)) {
        put("membership", membership.into());
        put("user_is_target", (state_key == told.user_id.as_str()).into());
    }
}

/// The request that tells the number of unread rooms and nothing else: zero, too, which clears the badge.
pub fn badge(device: &Device<'_>, unread: u64) -> Vec<u8> {
    let mut notification = Map::new();
    notification.insert("counts".to_owned(), json!({ "unread": unread }));
    notification.insert("devices".to_owned(), json!([entry(device)]));
    body(&notification)
}

fn body(notification: &Map<String, Value>) -> Vec<u8> {
    json!({ "notification": notification }).to_string().into_bytes()
}

fn entry(device: &Device<'_>) -> Map<String, Value> {
    let entry = [
        ("app_id", device.app_id.into()),
        ("pushkey", device.pushkey.into()),
        ("pushkey_ts", (device.since.0 / 1_000).into()),
        ("data", Value::Object(device.data.rest.clone())),
    ];
    entry.map(|(key, value)| (key.to_owned(), value)).into_iter().collect()
}

fn membership(event: &Parts) -> Option<String> {
    let membership = event.content.get("membership").filter(|_| event.r#type == "m.room.member")?;
    membership.as_str().map(str::to_owned)
}

/// It may be a call or a mention, which nobody can tell of what is encrypted.
fn is_urgent(kind: &str, tweaks: &[(String, Value)]) -> bool {
    let urgent = |(name, value): &(String, Value)| name == "sound" || (name == "highlight" && *value == true);
    kind == "m.room.encrypted" || tweaks.iter().any(urgent)
}

/// The event is a call that nobody rings for any more.
pub fn is_over(client: &RawJson, now: Millis) -> bool {
    #[derive(Deserialize)]
    struct Call {
        r#type: String,
        origin_server_ts: Millis,
        content: Lifetime,
    }
    #[derive(Deserialize)]
    struct Lifetime {
        lifetime: u64,
    }
    let call = client.read::<Call>().ok().filter(|call| call.r#type == "m.call.invite");
    call.is_some_and(|call| call.origin_server_ts.plus(call.content.lifetime) < now)
}

/// What an answer means, and whether it says that there is no such device any more. `retry_after` is the header; a body
/// that is `cut` is judged by its status alone.
pub fn judge(status: u16, retry_after: Option<&str>, (answer, cut): (&[u8], bool), pushkey: &str) -> (Outcome, bool) {
    match status {
        200..=299 => match serde_json::from_slice::<Value>(answer) {
            Ok(answer) => (Outcome::Delivered, rejects(&answer, pushkey)),
            Err(_) if cut => (Outcome::Delivered, false),
            // Some page that is in the gateway's place.
            Err(_) => (Outcome::Failed(None), false),
        },
        400 | 413 | 422 => (Outcome::Refused, false),
        _ => {
            let seconds = retry_after.and_then(|seconds| seconds.trim().parse::<u64>().ok());
            (Outcome::Failed(seconds.map(|seconds| seconds.saturating_mul(1_000))), false)
        }
    }
}

fn rejects(answer: &Value, pushkey: &str) -> bool {
    let rejected = answer.get("rejected").and_then(Value::as_array);
    rejected.is_some_and(|rejected| rejected.iter().any(|rejected| rejected.as_str() == Some(pushkey)))
}
