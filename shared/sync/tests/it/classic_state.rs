//! What classic sync says of state before a timeline, and of rooms that are over.

use serde_json::{Value, json};
use tern_model::{RawJson, StateAfter};
use tern_sync::AccountData;

use crate::classic::{Ask, attempt, filtered, kinds, sync};
use crate::world::{ME, World, id, user};

#[test]
fn a_left_room_has_a_timeline_and_state_whatever_is_in_them() {
    let mut world = World::default();
    world.found("declined", None);
    world.member("declined", ME, &user("other"), "invite");
    world.room("left");
    let first = sync(&world, None);
    for room in ["declined", "left"] {
        world.member(room, ME, ME, "leave");
    }
    let nothing = json!({"room": {"timeline": {"types": []}, "state": {"types": []}}});
    for (filter, declined) in [(json!({}), 1), (nothing, 1), (json!({"room": {"timeline": {"limit": 0}}}), 1)] {
        let answer = filtered(&world, Some(&first.token()), &filter);
        for (room, least) in [("declined", declined), ("left", 0)] {
            let room = answer.room("leave", room);
            assert!(room["state"]["events"].is_array(), "{filter}: {room}");
            assert!(room["timeline"]["events"].as_array().unwrap().len() >= least, "{filter}: {room}");
        }
    }
    world.say("left", "unheard");
    let at = world.tick();
    let data = AccountData { kind: "org.example.x".to_owned(), content: RawJson::empty_object() };
    world.account_data.push((at, Some(id("left")), data));
    let second = filtered(&world, Some(&first.token()), &json!({"room": {"timeline": {"limit": 0}}}));
    let later = sync(&world, Some(&second.token()));
    assert_eq!(later.json["rooms"], Value::Null);
    let at = world.tick();
    let data = AccountData { kind: "org.example.y".to_owned(), content: RawJson::empty_object() };
    world.account_data.push((at, Some(id("left")), data));
    let beside = sync(&world, Some(&second.token())).room("leave", "left");
    assert_eq!((&beside["state"], &beside["timeline"]), (&json!({"events": []}), &json!({"events": []})));
}

#[test]
fn a_timeline_without_place_for_events_still_lists_none() {
    let mut world = World::default();
    world.room("a");
    let first = sync(&world, None);
    world.say("a", "x");
    let room = filtered(&world, Some(&first.token()), &json!({"room": {"timeline": {"limit": 0}}})).room("join", "a");
    assert_eq!((&room["timeline"]["events"], &room["timeline"]["limited"]), (&json!([]), &json!(true)));
}

/// The keys of the member events in `state`, or in what stands for it.
fn members(room: &Value, section: &str) -> Vec<String> {
    let events = room.get(section).and_then(|section| section["events"].as_array()).cloned().unwrap_or_default();
    let member = |event: &&Value| event["type"] == "m.room.member";
    let mut keys: Vec<_> =
        events.iter().filter(member).filter_map(|event| event["state_key"].as_str()).map(str::to_owned).collect();
    keys.sort();
    keys
}

#[test]
fn members_who_change_in_a_gap_are_told_however_lazily_they_are_loaded() {
    for (inbox_size, lag, remembers) in [(50, 0, true), (50, 0, false), (4, 2, false), (1, 0, false), (6, 3, true)] {
        for state_after in [None, Some(StateAfter::Stable)] {
            let mut world = World { inbox_size, lag, members: remembers, ..World::default() };
            world.room("a");
            world.member("a", &user("old"), &user("old"), "join");
            let filter = json!({"room": {"state": {"lazy_load_members": true}, "timeline": {"limit": 2}}});
            let first = filtered(&world, None, &filter);
            world.member("a", &user("carol"), &user("carol"), "join");
            world.member("a", &user("old"), &user("old"), "leave");
            for n in 0..5 {
                world.say("a", &n.to_string());
            }
            let since = first.token();
            let ask = Ask { since: Some(&since), state_after, ..Ask::default() };
            let room = attempt(&world, ask, &filter).unwrap().room("join", "a");
            assert_eq!(room["timeline"]["limited"], true);
            let section = if state_after.is_some() { "state_after" } else { "state" };
            let told = members(&room, section);
            for who in ["carol", "old", "other"] {
                assert!(told.contains(&user(who)), "{who} with an inbox of {inbox_size}: {told:?}");
            }
        }
    }
}

#[test]
fn state_is_that_of_the_start_of_the_timeline_although_the_timeline_sets_it_again() {
    for (inbox_size, lag) in [(50, 0), (4, 0), (4, 2), (1, 0), (3, 1)] {
        let mut world = World { inbox_size, lag, ..World::default() };
        world.room("a");
        let first = sync(&world, None);
        let set = |world: &mut World, n: u64| world.state("a", "org.example", "", json!({"n": n}));
        set(&mut world, 1);
        for n in 0..4 {
            world.say("a", &n.to_string());
        }
        set(&mut world, 2);
        world.say("a", "last");
        let filter = json!({"room": {"timeline": {"limit": 2}}});
        let held = |room: &Value, section: &str| {
            let events =
                room.get(section).and_then(|section| section["events"].as_array()).cloned().unwrap_or_default();
            let found = events.iter().find(|event| event["type"] == "org.example");
            found.map(|event| event["content"]["n"].clone())
        };
        let token = first.token();
        let since = |since| Ask { since, ..Ask::default() };
        for ask in [since(Some(token.as_str())), since(None), Ask { full_state: true, ..since(Some(&token)) }] {
            let room = attempt(&world, ask, &filter).unwrap().room("join", "a");
            assert_eq!(kinds(&room["timeline"]), ["org.example", "last"]);
            assert_eq!(held(&room, "state"), Some(json!(1)), "inbox of {inbox_size}, {ask:?}");
            let after = Ask { state_after: Some(StateAfter::Stable), ..ask };
            let room = attempt(&world, after, &filter).unwrap().room("join", "a");
            assert_eq!(held(&room, "state_after"), Some(json!(2)), "inbox of {inbox_size}, {ask:?}");
        }
        let all = filtered(&world, Some(&token), &json!({"room": {"timeline": {"limit": 20}}})).room("join", "a");
        assert_eq!(all.get("state"), None, "what the timeline sets first was not there before");
    }
}

#[test]
fn full_state_is_that_of_before_what_is_new() {
    for inbox_size in [50, 2] {
        let mut world = World { inbox_size, ..World::default() };
        world.room("a");
        let first = sync(&world, None);
        world.state("a", "m.room.name", "", json!({"name": "new"}));
        let token = first.token();
        let ask = Ask { since: Some(&token), full_state: true, ..Ask::default() };
        let room = attempt(&world, ask, &json!({})).unwrap().room("join", "a");
        assert_eq!(kinds(&room["timeline"]), ["m.room.name"]);
        let state = room["state"]["events"].as_array().unwrap();
        let name = state.iter().find(|event| event["type"] == "m.room.name").unwrap();
        assert_eq!(name["content"]["name"], "Room a");
    }
}

#[test]
fn a_room_left_and_forgotten_since_is_told_once() {
    let mut world = World::default();
    world.room("a");
    let first = sync(&world, None);
    world.member("a", ME, ME, "leave");
    let told = sync(&world, Some(&first.token()));
    world.forget("a");
    let second = sync(&world, Some(&first.token()));
    let room = second.room("leave", "a");
    assert_eq!(room["timeline"]["events"][0]["content"]["membership"], "leave");
    assert_eq!(room["state"], json!({"events": []}));
    assert!(sync(&world, Some(&second.token())).quiet, "once");
    assert!(sync(&world, Some(&told.token())).quiet, "whoever knows is told nothing");
    assert!(sync(&world, None).json["rooms"].is_null());
}

#[test]
fn a_claimed_key_is_news_to_a_poll_from_before() {
    let mut world = World::default();
    world.room("a");
    let first = sync(&world, None);
    world.keys_at = world.tick();
    let second = sync(&world, Some(&first.token()));
    assert!(!second.quiet);
    assert!(sync(&world, Some(&second.token())).quiet);
}
