//! What a step costs, counted.

use serde_json::json;

use crate::world::{Device, World, all_rooms};

fn world(rooms: usize) -> World {
    let mut world = World::default();
    for n in 0..rooms {
        world.room(&format!("r{n}"));
    }
    world
}

#[test]
fn an_idle_step_looks_at_no_room() {
    for rooms in [10, 1_000] {
        let world = world(rooms);
        let mut device = Device::default();
        let mut body = all_rooms(1, &[]);
        let on = json!({"enabled": true});
        body["extensions"] = json!({"to_device": on, "e2ee": on, "account_data": on, "receipts": on, "typing": on});
        let first = device.sync(&world, &body, None);
        world.visited.set(0);
        world.calls.set(0);
        device.rooms_read.set(0);
        assert!(device.sync(&world, &body, Some(&first.pos())).quiet);
        assert_eq!((world.visited.get(), world.calls.get()), (0, 0), "with {rooms} rooms");
        assert_eq!(device.rooms_read.get(), 0, "nor is read what was told of {rooms} rooms");
    }
}

#[test]
fn a_live_step_looks_at_the_changed_rooms_alone() {
    for ranges in [json!([[0, 19]]), json!([[0, 1999]])] {
        let mut counts = Vec::new();
        for rooms in [30, 1_000] {
            let mut world = world(rooms);
            let mut device = Device::default();
            let body = json!({"lists": {"l": {"ranges": ranges, "timeline_limit": 1, "required_state": []}}});
            let first = device.sync(&world, &body, None);
            world.say("r1", "x");
            let second = device.sync(&world, &body, Some(&first.pos()));
            world.say("r2", "x");
            world.visited.set(0);
            world.calls.set(0);
            world.loaded.set(0);
            let third = device.sync(&world, &body, Some(&second.pos()));
            assert_eq!(third.json()["rooms"].as_object().unwrap().len(), 1);
            counts.push((world.visited.get(), world.calls.get(), world.loaded.get()));
        }
        assert_eq!(counts[0], counts[1], "the same work for any number of rooms");
        assert_eq!(counts[0].0, 1);
    }
}

#[test]
fn a_live_answer_is_little_more_than_its_event() {
    let mut world = world(1);
    let mut device = Device::default();
    let body = all_rooms(20, &[("m.room.member", "$LAZY"), ("m.room.member", "$ME"), ("m.room.name", "")]);
    let first = device.sync(&world, &body, None);
    world.say("r0", "warm");
    let second = device.sync(&world, &body, Some(&first.pos()));
    world.say("r0", "hello");
    let third = device.sync(&world, &body, Some(&second.pos()));
    let event = third.room("r0")["timeline"][0].to_string();
    assert!(third.text.len() < event.len() + 120, "{}", third.text);
}
