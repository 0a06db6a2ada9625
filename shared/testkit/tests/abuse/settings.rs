//! What is written into the attacker's own hub, which shares its isolate with those of others.

use serde_json::json;
use tern_model::{Bounded, Class, Presence};
use tern_ports::wire::{
    presence::SetPresence,
    pushers::{PusherFields, SetPusher},
    threads::SubscribeThread,
    user::{
        ChangePushRule, ChangeTag, PushRuleChange, RenameDevice, SlidingSync, WriteAccountData, WriteFilter,
        WriteProfile,
    },
};

use crate::scene::{Act, Deed, LONG, Scene, long, raw};

pub(crate) const ALL: &[Deed] = &[
    Deed { name: "account data", class: Class::Other, what: account_data },
    Deed { name: "small account data", class: Class::Other, what: small_account_data },
    Deed { name: "account data of rooms", class: Class::Other, what: account_data_of_rooms },
    Deed { name: "tags", class: Class::Other, what: tag },
    Deed { name: "push rules", class: Class::Other, what: push_rule },
    Deed { name: "filters", class: Class::Other, what: filter },
    Deed { name: "thread subscriptions", class: Class::Other, what: subscription },
    Deed { name: "pushers", class: Class::Other, what: pusher },
    Deed { name: "names of devices", class: Class::Other, what: device_name },
    Deed { name: "connections", class: Class::Other, what: connection },
    Deed { name: "presence", class: Class::Ephemeral, what: presence },
    Deed { name: "display names", class: Class::Profile, what: display_name },
    Deed { name: "profile fields", class: Class::Profile, what: profile_field },
];

fn write<'a>(scene: &'a Scene, room_id: Option<&str>, kind: String, length: usize, number: u64) -> Act<'a> {
    let content = raw(&json!({ "text": long(number, length) }));
    let room_id = room_id.map(|room_id| room_id.try_into().unwrap());
    Box::pin(scene.own(WriteAccountData { session: scene.mallory.session(), room_id, kind, content }))
}

fn account_data(scene: &Scene, number: u64) -> Act<'_> {
    write(scene, None, format!("org.example.{number}"), 500_000, number)
}

fn small_account_data(scene: &Scene, number: u64) -> Act<'_> {
    write(scene, None, format!("org.example.{number}"), 900, number)
}

/// Of ever new rooms, of which nobody has heard.
fn account_data_of_rooms(scene: &Scene, number: u64) -> Act<'_> {
    let room_id = format!("!{}:tern.test", number / 8);
    write(scene, Some(&room_id), format!("org.example.{number}"), LONG, number)
}

fn tag(scene: &Scene, number: u64) -> Act<'_> {
    let (session, room_id, tag) = (scene.mallory.session(), scene.room_id.clone(), format!("u.{number:0>200}"));
    let content = Some(raw(&json!({ "order": 0.5, "text": long(number, LONG) })));
    Box::pin(scene.own(ChangeTag { session, room_id, tag, content }))
}

fn push_rule(scene: &Scene, number: u64) -> Act<'_> {
    let rule = raw(&json!({ "actions": ["notify"], "pattern": "a?".repeat(127) }));
    let change = PushRuleChange::Put { rule, before: None, after: None };
    let (session, kind, rule_id) = (scene.mallory.session(), "content".to_owned(), format!("rule{number}"));
    Box::pin(scene.own(ChangePushRule { session, kind, rule_id, change }))
}

fn filter(scene: &Scene, number: u64) -> Act<'_> {
    let filter = raw(&json!({ "room": { "timeline": { "types": [long(number, LONG)] } } }));
    Box::pin(scene.own(WriteFilter { session: scene.mallory.session(), filter }))
}

fn subscription(scene: &Scene, number: u64) -> Act<'_> {
    let root = format!("${number:0>240}").try_into().unwrap();
    let (session, room_id) = (scene.mallory.session(), scene.room_id.clone());
    Box::pin(scene.own(SubscribeThread { session, room_id, root, automatic: None }))
}

fn pusher(scene: &Scene, number: u64) -> Act<'_> {
    let data = json!({ "url": "https://push.example.org/_matrix/push/v1/notify", "text": long(number, 3_000) });
    let name = Bounded::cut("x");
    let pusher = PusherFields {
        app_display_name: name.clone(),
        device_display_name: name.clone(),
        profile_tag: None,
        lang: name,
        data: raw(&data).try_into().unwrap(),
        enabled: true,
    };
    let (app_id, pushkey) = (Bounded::cut("app"), Bounded::cut(format!("{number:0>400}")));
    Box::pin(scene.own(SetPusher { session: scene.mallory.session(), app_id, pushkey, pusher }))
}

fn device_name(scene: &Scene, number: u64) -> Act<'_> {
    let session = scene.mallory.session();
    let (device_id, display_name) = (session.device_id.clone(), Some(long(number, 1_000)));
    Box::pin(scene.own(RenameDevice { session, device_id, display_name }))
}

/// Ever new ones, each with as much to remember as goes.
fn connection(scene: &Scene, number: u64) -> Act<'_> {
    let body = raw(&json!({
        "conn_id": format!("{number}"),
        "lists": { "all": { "ranges": [[0, 99]], "timeline_limit": 50, "required_state": [["*", "*"]] } },
        "room_subscriptions": { scene.room_id.as_str(): { "timeline_limit": 50, "required_state": [["*", "*"]] } },
    }));
    let (session, pos) = (scene.mallory.session(), None);
    Box::pin(scene.own(SlidingSync { session, body, pos, stable: false, may_wait: false, presence: None }))
}

fn presence(scene: &Scene, number: u64) -> Act<'_> {
    let presence = if number.is_multiple_of(2) { Presence::Online } else { Presence::Unavailable };
    let status_msg = Some(long(number, 200));
    Box::pin(scene.own(SetPresence { session: scene.mallory.session(), presence, status_msg }))
}

fn profile<'a>(scene: &'a Scene, field: String, text: &str) -> Act<'a> {
    let value = Some(raw(&json!(text)));
    Box::pin(scene.own(WriteProfile { session: Some(scene.mallory.session()), field, value }))
}

fn display_name(scene: &Scene, number: u64) -> Act<'_> {
    profile(scene, "displayname".to_owned(), &long(number, 200))
}

fn profile_field(scene: &Scene, number: u64) -> Act<'_> {
    profile(scene, format!("org.example.{number}"), &long(number, 5_000))
}
