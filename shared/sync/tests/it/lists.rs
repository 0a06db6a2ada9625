//! Lists: order, windows, filters, counts (MSC4186, "Lists").

use serde_json::{Value, json};
use tern_sync::Shape;

use crate::world::{Device, ME, Step, World, all_rooms, id, user};

fn window(ranges: &Value, filters: &Value) -> Value {
    json!({"lists": {"l": {"ranges": ranges, "timeline_limit": 1, "required_state": [], "filters": filters}}})
}

fn shown(step: &Step) -> Vec<String> {
    let rooms = step.json()["rooms"].as_object().cloned().unwrap_or_default();
    rooms.keys().map(|room| room.trim_start_matches('!').split(':').next().unwrap().to_owned()).collect()
}

fn ten_rooms() -> World {
    let mut world = World::default();
    for n in 0..10 {
        world.room(&format!("r{n}"));
    }
    world
}

#[test]
fn the_window_holds_the_most_recently_active_rooms() {
    let mut world = ten_rooms();
    world.say("r3", "bump");
    let step = Device::default().sync(&world, &window(&json!([[0, 2]]), &json!({})), None);
    assert_eq!(shown(&step), ["r3", "r8", "r9"]);
    assert_eq!(step.json()["lists"]["l"]["count"], 10);
}

#[test]
fn a_grown_window_sends_only_the_rooms_that_are_new_in_it_and_the_count() {
    let world = ten_rooms();
    let mut device = Device::default();
    let first = device.sync(&world, &window(&json!([[0, 2]]), &json!({})), None);
    let second = device.sync(&world, &window(&json!([[0, 5]]), &json!({})), Some(&first.pos()));
    assert_eq!(shown(&second), ["r4", "r5", "r6"]);
    assert_eq!(second.json()["lists"]["l"]["count"], 10, "clients grow by the count");
    let third = device.sync(&world, &window(&json!([[0, 5]]), &json!({})), Some(&second.pos()));
    assert!(third.quiet);
}

#[test]
fn a_room_below_the_window_is_sent_when_it_rises_into_it() {
    let mut world = ten_rooms();
    let mut device = Device::default();
    let body = window(&json!([[0, 2]]), &json!({}));
    let first = device.sync(&world, &body, None);
    assert_eq!(shown(&first), ["r7", "r8", "r9"]);
    world.say("r0", "x");
    let second = device.sync(&world, &body, Some(&first.pos()));
    assert_eq!(shown(&second), ["r0"]);
    assert_eq!(second.room("r0")["initial"], true);
    assert_eq!(second.room("r0")["num_live"], 1);
    // r7 dropped out; what changes there without activity is not sent.
    world.adjust("r7", false, |room| room.unread.notifications = 3);
    let third = device.sync(&world, &body, Some(&second.pos()));
    assert!(third.quiet, "{}", third.text);
    world.adjust("r8", false, |room| room.unread.notifications = 3);
    let fourth = device.sync(&world, &body, Some(&third.pos()));
    assert_eq!(shown(&fourth), ["r8"]);
    // With a larger window the change is made up for.
    let fifth = device.sync(&world, &window(&json!([[0, 5]]), &json!({})), Some(&fourth.pos()));
    assert_eq!(fifth.room("r7"), json!({"notification_count": 3, "highlight_count": 0}));
}

#[test]
fn a_room_that_leaves_the_list_lets_the_next_one_in() {
    let mut world = ten_rooms();
    let mut device = Device::default();
    let body = window(&json!([[0, 2]]), &json!({"is_dm": false}));
    let first = device.sync(&world, &body, None);
    world.adjust("r9", true, |room| room.dm = true);
    let second = device.sync(&world, &body, Some(&first.pos()));
    assert_eq!(shown(&second), ["r6"]);
    assert_eq!(second.json()["lists"]["l"]["count"], 9);
    world.forget("r8");
    let third = device.sync(&world, &body, Some(&second.pos()));
    assert_eq!(third.json()["lists"]["l"]["count"], 8);
}

#[test]
fn several_ranges_and_no_range() {
    let world = ten_rooms();
    let two = Device::default().sync(&world, &window(&json!([[0, 0], [4, 5]]), &json!({})), None);
    assert_eq!(shown(&two), ["r4", "r5", "r9"]);
    let all = Device::default().sync(&world, &window(&Value::Null, &json!({})), None);
    assert_eq!(shown(&all).len(), 10);
    let stable = json!({"lists": {"l": {"range": [1, 2], "timeline_limit": 1, "required_state": {}}}});
    let stable = Device::default().step(&world, Shape::Stable, &stable, None).unwrap();
    assert_eq!(shown(&stable), ["r7", "r8"]);
}

#[test]
fn every_filter() {
    let mut world = World::default();
    world.room("plain");
    world.room("dm");
    world.adjust("dm", true, |room| room.dm = true);
    world.room("secret");
    world.state("secret", "m.room.encryption", "", json!({"algorithm": "m.megolm.v1.aes-sha2"}));
    world.found("space", Some("m.space"));
    world.member("space", ME, ME, "join");
    world.state("space", "m.space.child", id("plain").as_str(), json!({"via": ["tern.test"]}));
    world.room("tagged");
    world.adjust("tagged", true, |room| room.tags = ["m.favourite".to_owned(), "u.x".to_owned()].into());
    world.found("invited", Some("m.space"));
    world.state("invited", "m.room.encryption", "", json!({"algorithm": "m.megolm.v1.aes-sha2"}));
    world.member("invited", ME, &user("other"), "invite");
    let space = id("space");
    for (filter, rooms) in [
        (json!({}), vec!["dm", "invited", "plain", "secret", "space", "tagged"]),
        (json!({"is_dm": true}), vec!["dm"]),
        (json!({"is_dm": false}), vec!["invited", "plain", "secret", "space", "tagged"]),
        (json!({"is_encrypted": true}), vec!["invited", "secret"]),
        (json!({"is_encrypted": false}), vec!["dm", "plain", "space", "tagged"]),
        (json!({"is_invite": true}), vec!["invited"]),
        (json!({"is_invite": false}), vec!["dm", "plain", "secret", "space", "tagged"]),
        (json!({"room_types": ["m.space"]}), vec!["invited", "space"]),
        (json!({"room_types": [null]}), vec!["dm", "plain", "secret", "tagged"]),
        (json!({"not_room_types": ["m.space"]}), vec!["dm", "plain", "secret", "tagged"]),
        (json!({"room_types": ["m.space", null], "not_room_types": [null]}), vec!["invited", "space"]),
        (json!({"spaces": [space.as_str()]}), vec!["plain"]),
        (json!({"spaces": [id("plain").as_str()]}), vec![]),
        (json!({"tags": ["m.favourite"]}), vec!["tagged"]),
        (json!({"not_tags": ["u.x"]}), vec!["dm", "invited", "plain", "secret", "space"]),
        (json!({"tags": ["m.favourite"], "not_tags": ["u.x"]}), vec![]),
        (json!({"room_name_like": "SECR"}), vec!["secret"]),
        (json!({"is_dm": false, "is_encrypted": false, "is_invite": false}), vec!["plain", "space", "tagged"]),
    ] {
        let step = Device::default().sync(&world, &window(&json!([[0, 99]]), &filter), None);
        assert_eq!(shown(&step), rooms, "{filter}");
        assert_eq!(step.json()["lists"]["l"]["count"], rooms.len(), "{filter}");
    }
    let stable = json!({"lists": {"l": {"timeline_limit": 1, "required_state": {}, "filters": {"is_invited": true}}}});
    assert_eq!(shown(&Device::default().step(&world, Shape::Stable, &stable, None).unwrap()), ["invited"]);
}

#[test]
fn a_space_that_gains_a_child_moves_it_into_the_list() {
    let mut world = World::default();
    world.room("child");
    world.found("space", Some("m.space"));
    world.member("space", ME, ME, "join");
    let mut device = Device::default();
    let body = window(&json!([[0, 9]]), &json!({"spaces": [id("space").as_str()]}));
    let first = device.sync(&world, &body, None);
    assert_eq!(first.json()["lists"]["l"]["count"], 0);
    world.state("space", "m.space.child", id("child").as_str(), json!({"via": ["tern.test"]}));
    let second = device.sync(&world, &body, Some(&first.pos()));
    assert_eq!(shown(&second), ["child"]);
}

#[test]
fn a_changed_filter_is_answered_at_once() {
    let mut world = ten_rooms();
    world.adjust("r4", true, |room| room.dm = true);
    let mut device = Device::default();
    let first = device.sync(&world, &window(&json!([[0, 0]]), &json!({})), None);
    let second = device.sync(&world, &window(&json!([[0, 0]]), &json!({"is_dm": true})), Some(&first.pos()));
    assert_eq!(shown(&second), ["r4"]);
    assert_eq!(second.json()["lists"]["l"]["count"], 1);
}

#[test]
fn subscriptions_to_rooms_one_may_not_see_are_ignored() {
    let mut world = World::default();
    world.found("foreign", None);
    world.room("mine");
    let sub = json!({"timeline_limit": 1, "required_state": []});
    let body = json!({"room_subscriptions": {id("foreign").as_str(): sub, id("mine").as_str(): sub, "nonsense": sub}});
    let step = Device::default().sync(&world, &body, None);
    assert_eq!(shown(&step), ["mine"]);
}

#[test]
fn malformed_requests_are_refused() {
    let world = ten_rooms();
    let many: serde_json::Map<String, Value> =
        (0..101).map(|n| (n.to_string(), json!({"timeline_limit": 1, "required_state": []}))).collect();
    for (shape, body, code) in [
        (Shape::Unstable, json!({"lists": 3}), "M_BAD_JSON"),
        (
            Shape::Unstable,
            json!({"lists": {"a": {"ranges": [[5, 1]], "timeline_limit": 1, "required_state": []}}}),
            "M_INVALID_PARAM",
        ),
        (Shape::Unstable, json!({"lists": many}), "M_INVALID_PARAM"),
        (Shape::Unstable, json!({"conn_id": "x".repeat(100)}), "M_INVALID_PARAM"),
        (Shape::Unstable, json!({"extensions": {"to_device": {"enabled": true, "since": "what"}}}), "M_INVALID_PARAM"),
        (Shape::Stable, json!({"lists": {"a": {"timeline_limit": 1}}}), "M_BAD_JSON"),
        (Shape::Stable, json!({"set_presence": "busy"}), "M_INVALID_PARAM"),
    ] {
        let error = Device::default().step(&world, shape, &body, None).unwrap_err();
        assert_eq!((error.status, error.errcode.as_ref()), (400, code), "{body}");
    }
    assert!(Device::default().step(&world, Shape::Unstable, &all_rooms(1, &[]), None).is_ok());
}
