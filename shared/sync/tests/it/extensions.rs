//! Extensions: each speaks only when it has something to say.

use serde_json::{Value, json};
use tern_model::{Millis, RawJson, Receipt};
use tern_sync::{AccountData, ThreadRange, ThreadSubscription, ToDeviceMessage, TypingPos, thread_page};

use crate::world::{Device, ME, World, all_rooms, bodies, id, user};

fn with(extension: &str, config: Value) -> Value {
    let mut body = all_rooms(1, &[]);
    body["extensions"] = json!({extension: config});
    body
}

fn queue(world: &mut World, count: usize) {
    for n in 0..count {
        let at = world.tick();
        let event = RawJson::from_value(&json!({"type": "m.x", "sender": ME, "content": {"n": n}})).unwrap();
        world.to_device.push(ToDeviceMessage { at, event });
    }
}

#[test]
fn to_device_messages_are_repeated_until_their_token_comes_back() {
    let (mut world, mut device) = (World::default(), Device::default());
    queue(&mut world, 3);
    let ask = |since: Option<&str>| with("to_device", json!({"enabled": true, "limit": 2, "since": since}));
    let numbers = |step: &crate::world::Step| {
        let events = step.json()["extensions"]["to_device"]["events"].as_array().cloned().unwrap_or_default();
        events.iter().map(|event| event["content"]["n"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let token =
        |step: &crate::world::Step| step.json()["extensions"]["to_device"]["next_batch"].as_str().unwrap().to_owned();
    let first = device.sync(&world, &ask(None), None);
    assert_eq!(numbers(&first), [0, 1]);
    let second = device.sync(&world, &ask(Some(&token(&first))), Some(&first.pos()));
    assert_eq!(numbers(&second), [2], "the rest comes without anything else happening");
    let third = device.sync(&world, &ask(Some(&token(&second))), Some(&second.pos()));
    assert!(third.quiet);
    let lost = device.sync(&world, &ask(Some(&token(&first))), Some(&third.pos()));
    assert_eq!(numbers(&lost), [2], "a client that lost its token gets them again");
    let future = device.sync(&world, &ask(Some("999999")), None);
    assert_eq!(numbers(&future), [0, 1], "a token of another life");
}

#[test]
fn e2ee_tells_counts_first_and_then_changes() {
    let (mut world, mut device) = (World::default(), Device::default());
    let body = with("e2ee", json!({"enabled": true}));
    let first = device.sync(&world, &body, None);
    let e2ee = &first.json()["extensions"]["e2ee"];
    assert_eq!(
        *e2ee,
        json!({"device_one_time_keys_count": {"signed_curve25519": 0}, "device_unused_fallback_key_types": []})
    );
    world.keys.one_time.insert("signed_curve25519".to_owned(), 50);
    world.keys.fallback.push("signed_curve25519".to_owned());
    for (name, left) in [("other", false), ("gone", true)] {
        let at = world.tick();
        world.device_lists.push((at, user(name).as_str().try_into().unwrap(), left));
    }
    let second = device.sync(&world, &body, Some(&first.pos()));
    assert_eq!(
        second.json()["extensions"]["e2ee"],
        json!({
            "device_lists": {"changed": [user("other")], "left": [user("gone")]},
            "device_one_time_keys_count": {"signed_curve25519": 50},
            "device_unused_fallback_key_types": ["signed_curve25519"],
        })
    );
    world.tick();
    assert!(device.sync(&world, &body, Some(&second.pos())).quiet);
    assert_eq!(device.sync(&world, &body, None).json()["extensions"]["e2ee"].get("device_lists"), None);
}

fn put(world: &mut World, room: Option<&str>, kind: &str) {
    let at = world.tick();
    let content = RawJson::from_value(&json!({"at": at.0})).unwrap();
    world.account_data.push((at, room.map(id), AccountData { kind: kind.to_owned(), content }));
}

#[test]
fn account_data_of_the_account_and_of_rooms_the_client_knows() {
    let (mut world, mut device) = (World::default(), Device::default());
    world.room("a");
    world.room("b");
    put(&mut world, None, "m.direct");
    put(&mut world, Some("a"), "m.tag");
    put(&mut world, Some("b"), "m.tag");
    let mut body = with("account_data", json!({"enabled": true}));
    body["lists"]["all"]["ranges"] = json!([[0, 0]]);
    let first = device.sync(&world, &body, None);
    let data = first.json()["extensions"]["account_data"].clone();
    assert_eq!(data["global"][0]["type"], "m.direct");
    assert_eq!(
        data["rooms"].as_object().unwrap().keys().collect::<Vec<_>>(),
        [id("b").as_str()],
        "a is not in the window"
    );
    put(&mut world, Some("a"), "u.x");
    assert!(device.sync(&world, &body, Some(&first.pos())).quiet);
    put(&mut world, Some("b"), "u.y");
    let second = device.sync(&world, &body, Some(&first.pos()));
    let data = second.json()["extensions"]["account_data"].clone();
    assert_eq!(
        data,
        json!({"rooms": {id("b").as_str(): [{"type": "u.y", "content": {"at": world.account_data.last().unwrap().0.0}}]}})
    );
    assert_eq!(second.json().get("rooms"), None);
    world.say("a", "rises");
    let third = device.sync(&world, &body, Some(&second.pos()));
    let kinds = third.json()["extensions"]["account_data"]["rooms"][id("a").as_str()].as_array().unwrap().len();
    assert_eq!(kinds, 2, "all of it, with the room");
}

#[test]
fn lists_and_rooms_narrow_an_extension() {
    for (config, rooms) in [
        (json!({}), vec!["dm", "sub"]),
        (json!({"lists": ["dms"]}), vec!["dm", "sub"]),
        (json!({"lists": [], "rooms": ["*"]}), vec!["sub"]),
        (json!({"rooms": []}), vec!["dm"]),
        (json!({"lists": [], "rooms": []}), vec![]),
        (json!({"lists": ["other"], "rooms": []}), vec![]),
        (json!({"lists": [], "rooms": [id("sub").as_str()]}), vec!["sub"]),
    ] {
        let (mut world, mut device) = (World::default(), Device::default());
        world.room("dm");
        world.adjust("dm", true, |room| room.dm = true);
        world.room("sub");
        put(&mut world, Some("dm"), "u.x");
        put(&mut world, Some("sub"), "u.x");
        let mut config = config;
        config["enabled"] = true.into();
        let list = json!({"ranges": [[0, 9]], "timeline_limit": 1, "required_state": [], "filters": {"is_dm": true}});
        let mut body = json!({"lists": {"dms": list}, "extensions": {"account_data": config}});
        body["room_subscriptions"] = json!({id("sub").as_str(): {"timeline_limit": 1, "required_state": []}});
        let names = |step: &crate::world::Step| {
            let rooms = step.json()["extensions"]["account_data"]["rooms"].as_object().cloned().unwrap_or_default();
            rooms
                .keys()
                .map(|room| room.trim_start_matches('!').split(':').next().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let first = device.sync(&world, &body, None);
        assert_eq!(names(&first), rooms, "{body}");
        put(&mut world, Some("dm"), "u.y");
        put(&mut world, Some("sub"), "u.y");
        let second = device.sync(&world, &body, Some(&first.pos()));
        assert_eq!(names(&second), rooms, "{body}");
    }
}

fn read(world: &mut World, room: &str, who: &str, event_id: &str, thread_id: Option<&str>) {
    let at = world.tick();
    let receipt = Receipt {
        kind: "m.read".to_owned(),
        user_id: who.try_into().unwrap(),
        event_id: event_id.try_into().unwrap(),
        seq: None,
        thread_id: thread_id.map(|thread_id| thread_id.try_into().unwrap()),
        ts: Millis(7),
    };
    world.receipts.push((at, id(room), receipt));
}

#[test]
fn receipts_come_with_the_room_and_then_as_they_arrive() {
    let (mut world, mut device) = (World::default(), Device::default());
    world.room("a");
    let old = world.say("a", "old");
    let new = world.say("a", "new");
    read(&mut world, "a", ME, &old, None);
    read(&mut world, "a", &user("other"), &old, None);
    read(&mut world, "a", &user("third"), &new, None);
    let body = with("receipts", json!({"enabled": true}));
    let first = device.sync(&world, &body, None);
    let event = first.json()["extensions"]["receipts"]["rooms"][id("a").as_str()].clone();
    assert_eq!(event["type"], "m.receipt");
    let content = event["content"].as_object().unwrap();
    assert_eq!(content[&old]["m.read"], json!({ME: {"ts": 7}}), "one's own, but not another's at an event not sent");
    assert_eq!(content[&new]["m.read"], json!({user("third"): {"ts": 7}}));
    read(&mut world, "a", &user("other"), &new, Some("main"));
    read(&mut world, "a", &user("other"), &new, None);
    let second = device.sync(&world, &body, Some(&first.pos()));
    assert_eq!(
        second.json()["extensions"]["receipts"]["rooms"][id("a").as_str()]["content"],
        json!({&new: {"m.read": {user("other"): {"ts": 7}}}}),
        "an unthreaded receipt goes before a threaded one (MSC4102)"
    );
    assert_eq!(second.json().get("rooms"), None);
}

#[test]
fn typing_starts_and_stops() {
    let (mut world, mut device) = (World::default(), Device::default());
    world.room("a");
    let body = with("typing", json!({"enabled": true}));
    world.typing.insert(id("a"), (TypingPos(1), vec![user("other").as_str().try_into().unwrap()]));
    let first = device.sync(&world, &body, None);
    let typing = |step: &crate::world::Step| step.json()["extensions"]["typing"]["rooms"][id("a").as_str()].clone();
    assert_eq!(typing(&first), json!({"type": "m.typing", "content": {"user_ids": [user("other")]}}));
    world.typing.insert(id("a"), (TypingPos(2), Vec::new()));
    let second = device.sync(&world, &body, Some(&first.pos()));
    assert_eq!(typing(&second)["content"], json!({"user_ids": []}));
    assert_eq!(Device::default().sync(&world, &body, None).json().get("extensions"), None);
}

#[test]
fn who_types_is_remembered_by_the_client_alone() {
    let (mut world, mut device) = (World::default(), Device::default());
    world.room("a");
    let body = with("typing", json!({"enabled": true}));
    let types = |world: &mut World, at: u64, who: &[&str]| {
        let users = who.iter().map(|who| user(who).as_str().try_into().unwrap()).collect();
        world.typing.insert(id("a"), (TypingPos(at), users));
    };
    let typing = |step: &crate::world::Step| {
        step.json()["extensions"]["typing"]["rooms"][id("a").as_str()]["content"]["user_ids"].clone()
    };
    let first = device.sync(&world, &body, None);
    let written = device.rows_written;
    types(&mut world, 5, &["one"]);
    let second = device.sync(&world, &body, Some(&first.pos()));
    assert_eq!(typing(&second), json!([user("one")]));
    assert_eq!(device.sync(&world, &body, Some(&first.pos())).text, second.text, "asked again, told again");
    let quiet = device.sync(&world, &body, Some(&second.pos()));
    assert!(quiet.quiet);
    assert_eq!(quiet.pos(), second.pos());
    types(&mut world, 9, &[]);
    let third = device.sync(&world, &body, Some(&second.pos()));
    assert_eq!(typing(&third), json!([]));
    assert_eq!(device.rows_written, written, "no row for any of it");

    // What came in the meantime is in the next answer, and what was told is not told again.
    world.say("a", "x");
    let fourth = device.sync(&world, &body, Some(&third.pos()));
    assert_eq!(bodies(&fourth.room("a")), ["x"]);
    assert_eq!(fourth.json().get("extensions"), None);
    assert_eq!(device.sync(&world, &body, Some(&third.pos())).text, fourth.text);
    // The hub forgot who types; later, by its clock, somebody does again.
    world.typing.clear();
    assert!(device.sync(&world, &body, Some(&fourth.pos())).quiet);
    types(&mut world, 20, &["two"]);
    assert_eq!(typing(&device.sync(&world, &body, Some(&fourth.pos()))), json!([user("two")]));
}

#[test]
fn interest_follows_the_request() {
    use tern_model::news;
    let interest = |body: Value| {
        let body = RawJson::from_value(&body).unwrap();
        tern_sync::Request::parse(&body, None, tern_sync::Shape::Unstable, ME.try_into().unwrap()).unwrap().interest()
    };
    assert_eq!(interest(json!({})), news::LOGOUT);
    assert_eq!(interest(all_rooms(1, &[])), news::ROOMS | news::LOGOUT);
    let on = json!({"enabled": true});
    let encryption = json!({"extensions": {"to_device": on, "e2ee": on}});
    assert_eq!(interest(encryption), news::TO_DEVICE | news::E2EE | news::LOGOUT);
    let all = json!({"extensions": {"account_data": on, "receipts": on, "typing": on, "presence": on}});
    assert_eq!(interest(all), news::ACCOUNT_DATA | news::RECEIPTS | news::TYPING | news::LOGOUT);
}

const THREADS: &str = "io.element.msc4308.thread_subscriptions";

fn follow(world: &mut World, root: &str, automatic: Option<bool>) {
    let at = world.tick();
    world.threads.retain(|thread| thread.root != root);
    world.threads.push(ThreadSubscription { room_id: id("r"), root: root.to_owned(), automatic, at });
}

#[test]
fn thread_subscriptions_come_with_their_state_and_leave_the_rest_to_a_token() {
    let (mut world, mut device) = (World::default(), Device::default());
    let body = with(THREADS, json!({"enabled": true, "limit": 2}));
    for (root, automatic) in [("$a", Some(false)), ("$b", Some(true)), ("$c", None)] {
        follow(&mut world, root, automatic);
    }
    let first = device.sync(&world, &body, None);
    let told = &first.json()["extensions"][THREADS];
    assert_eq!(told["subscribed"][id("r").as_str()], json!({"$b": {"automatic": true, "bump_stamp": 2}}));
    assert_eq!(told["unsubscribed"][id("r").as_str()], json!({"$c": {"bump_stamp": 3}}));
    let rest = ThreadRange::parse(told["prev_batch"].as_str().unwrap()).unwrap();
    assert_eq!((rest.after.0, rest.until.0), (0, 1), "the older changes, and no others");
    let older = world.threads.iter().filter(|thread| thread.at <= rest.until).cloned().collect();
    let page: Value = thread_page(older, rest.after, 2).read().unwrap();
    assert_eq!(page, json!({"subscribed": {id("r").as_str(): {"$a": {"automatic": false, "bump_stamp": 1}}}}));
    assert!(device.sync(&world, &body, Some(&first.pos())).quiet);
    follow(&mut world, "$a", None);
    let second = device.sync(&world, &body, Some(&first.pos()));
    let expected = json!({"unsubscribed": {id("r").as_str(): {"$a": {"bump_stamp": 4}}}});
    assert_eq!(second.json()["extensions"][THREADS], expected);
    assert!(device.sync(&world, &body, Some(&second.pos())).quiet);
}

#[test]
fn tokens_that_are_none_are_refused() {
    for token in ["", "t", "1_2", "t1", "t1_", "t_1", "t1_2_3", "tx_1"] {
        assert_eq!(ThreadRange::parse(token), None, "{token}");
    }
}
