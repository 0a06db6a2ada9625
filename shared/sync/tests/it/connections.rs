//! Connections: positions, repeats, branches (MSC4186, "Connections").

use serde_json::{Value, json};
use tern_sync::Shape;

use crate::world::{Device, World, all_rooms, bodies, id};

fn world() -> World {
    let mut world = World::default();
    world.room("a");
    world
}

#[test]
fn an_idle_answer_is_short_keeps_its_position_and_writes_nothing() {
    let world = world();
    let mut device = Device::default();
    let body = json!({
        "lists": {"all_rooms": {"ranges": [[0, 19]], "timeline_limit": 1, "required_state": []}},
        "extensions": {"to_device": {"enabled": true}, "e2ee": {"enabled": true}, "receipts": {"enabled": true}},
    });
    let first = device.sync(&world, &body, None);
    let written = device.rows_written;
    for _ in 0..3 {
        let idle = device.sync(&world, &body, Some(&first.pos()));
        assert!(idle.quiet);
        assert_eq!(idle.pos(), first.pos());
        assert!(idle.text.len() <= 60, "{} bytes: {}", idle.text.len(), idle.text);
        assert_eq!(idle.json()["lists"]["all_rooms"]["count"], 1);
    }
    assert_eq!(device.rows_written, written);
    let bare = json!({"extensions": {"e2ee": {"enabled": true}}, "conn_id": "encryption"});
    let mut device = Device::default();
    let first = device.sync(&world, &bare, None);
    let idle = device.sync(&world, &bare, Some(&first.pos()));
    assert_eq!(idle.text, format!("{{\"pos\":\"{}\"}}", first.pos()));
}

#[test]
fn a_repeated_position_gets_the_same_bytes() {
    let mut world = world();
    let mut device = Device::default();
    let body = all_rooms(5, &[]);
    let first = device.sync(&world, &body, None);
    world.say("a", "one");
    let second = device.sync(&world, &body, Some(&first.pos()));
    world.say("a", "two");
    let again = device.sync(&world, &body, Some(&first.pos()));
    assert_eq!(again.text, second.text);
    let third = device.sync(&world, &body, Some(&second.pos()));
    assert_eq!(bodies(&third.room("a")), ["two"]);
    // The request with the previous position, doubled by the network and late.
    let late = device.sync(&world, &body, Some(&first.pos()));
    assert_eq!(late.text, second.text);
    assert_eq!(device.sync(&world, &body, Some(&second.pos())).text, third.text, "it did no harm");
    let fourth = device.sync(&world, &body, Some(&third.pos()));
    assert!(fourth.quiet);
}

#[test]
fn a_changed_request_with_the_same_position_is_answered_from_the_same_state() {
    let mut world = world();
    world.room("b");
    let mut device = Device::default();
    let first = device.sync(&world, &all_rooms(5, &[]), None);
    world.say("a", "one");
    let lost = device.sync(&world, &all_rooms(5, &[]), Some(&first.pos()));
    let other = json!({"room_subscriptions": {id("a").as_str(): {"timeline_limit": 5, "required_state": []}}});
    let second = device.sync(&world, &other, Some(&first.pos()));
    assert_ne!(lost.pos(), second.pos());
    assert_eq!(bodies(&second.room("a")), ["one"], "told again, for the first answer may never have arrived");
    // Two answers are in flight. Whichever the client goes on with is the one that counts.
    let mut branch = Device::default();
    let first = branch.sync(&world, &all_rooms(5, &[]), None);
    world.say("a", "two");
    let one = branch.sync(&world, &all_rooms(5, &[]), Some(&first.pos()));
    let _two = branch.sync(&world, &other, Some(&first.pos()));
    world.say("a", "three");
    assert_eq!(bodies(&branch.sync(&world, &all_rooms(5, &[]), Some(&one.pos())).room("a")), ["three"]);
}

#[test]
fn unknown_positions_are_refused() {
    let mut world = world();
    let mut device = Device::default();
    let body = all_rooms(5, &[]);
    let refused = |device: &mut Device, world: &World, pos: &str| {
        let error = device.step(world, Shape::Unstable, &body, Some(pos)).unwrap_err();
        assert_eq!((error.status, error.errcode.as_ref()), (400, "M_UNKNOWN_POS"), "{pos}");
    };
    refused(&mut device, &world, "1");
    let first = device.sync(&world, &body, None);
    for pos in ["0", "", "x", "-1", "99999999", "1.5"] {
        refused(&mut device, &world, pos);
    }
    let mut step = first.clone();
    for n in 0..5 {
        world.say("a", &n.to_string());
        step = device.sync(&world, &body, Some(&step.pos()));
    }
    refused(&mut device, &world, &first.pos());
    // Starting over does not make an old position valid again.
    let anew = device.sync(&world, &body, None);
    assert_ne!(anew.pos(), step.pos());
    assert_eq!(anew.room("a")["initial"], true);
    refused(&mut device, &world, &step.pos());
}

#[test]
fn a_first_request_sent_twice_may_go_on_from_either_answer() {
    let mut world = world();
    let mut device = Device::default();
    let body = all_rooms(5, &[]);
    let one = device.sync(&world, &body, None);
    let two = device.sync(&world, &body, None);
    assert_ne!(one.pos(), two.pos());
    world.say("a", "x");
    assert_eq!(bodies(&device.sync(&world, &body, Some(&one.pos())).room("a")), ["x"]);
}

#[test]
fn the_position_may_come_in_the_body_and_txn_id_is_echoed() {
    let world = world();
    let mut device = Device::default();
    let mut body = json!({"lists": {"l": {"timeline_limit": 1, "required_state": {}}}});
    let first = device.step(&world, Shape::Stable, &body, None).unwrap();
    body["pos"] = first.pos().into();
    assert!(device.step(&world, Shape::Stable, &body, None).unwrap().quiet);
    let step = Device::default().sync(&world, &json!({"txn_id": "t"}), None);
    assert_eq!(step.json()["txn_id"], "t");
}

#[test]
fn a_new_connection_is_answered_at_once_even_with_nothing() {
    let step = Device::default().sync(&World::default(), &json!({}), None);
    assert!(!step.quiet);
    assert_eq!(step.json(), json!({"pos": step.pos()}));
}

#[test]
fn rooms_of_a_large_account_are_remembered_in_parts() {
    let mut world = World::default();
    for n in 0..300 {
        world.room(&format!("r{n}"));
    }
    let mut device = Device::default();
    let body = all_rooms(1, &[]);
    let first = device.sync(&world, &body, None);
    assert_eq!(first.json()["rooms"].as_object().unwrap().len(), 300);
    let mut step = first;
    for n in 0..200 {
        let room = format!("r{}", n * 7 % 300);
        world.say(&room, "x");
        let written = device.rows_written;
        step = device.sync(&world, &body, Some(&step.pos()));
        assert_eq!(step.json()["rooms"].as_object().unwrap().len(), 1);
        assert_eq!(step.room(&room).get("initial"), None);
        assert!(n == 0 || device.rows_written - written == 1 || n % 32 > 0);
    }
    assert!(device.rows_written < 200 + 4 * 17, "{} rows", device.rows_written);
}

#[test]
fn a_repeated_request_whose_answer_is_gone_is_answered_anew_or_starts_over() {
    let mut world = world();
    let mut device = Device::default();
    let body = all_rooms(5, &[]);
    let first = device.sync(&world, &body, None);
    world.say("a", "secret");
    let second = device.sync(&world, &body, Some(&first.pos()));
    device.drop_bodies();
    let anew = device.sync(&world, &body, Some(&first.pos()));
    assert_eq!(bodies(&anew.room("a")), ["secret"], "as the hub has it now");
    assert_ne!(anew.pos(), second.pos());
    world.say("a", "later");
    device.sync(&world, &body, Some(&anew.pos()));
    device.drop_bodies();
    assert_eq!(device.step(&world, Shape::Unstable, &body, Some(&first.pos())).unwrap_err().status, 400);
}

#[test]
fn answers_of_the_idle_kind_do_not_hide_a_change_from_a_changed_request() {
    // Account data changes while it is not asked for: asking for it later must show it.
    let mut world = world();
    let mut device = Device::default();
    let with = |on: bool| {
        let mut body: Value = all_rooms(5, &[]);
        body["extensions"] = json!({"account_data": {"enabled": on}});
        body
    };
    let first = device.sync(&world, &with(true), None);
    let second = device.sync(&world, &with(false), Some(&first.pos()));
    let at = world.tick();
    let data = tern_sync::AccountData { kind: "x".to_owned(), content: tern_model::RawJson::empty_object() };
    world.account_data.push((at, None, data));
    let third = device.sync(&world, &with(false), Some(&second.pos()));
    assert!(third.quiet);
    let fourth = device.sync(&world, &with(true), Some(&third.pos()));
    assert_eq!(fourth.json()["extensions"]["account_data"]["global"][0]["type"], "x");
}
