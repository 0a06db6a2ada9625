//! What is sent of a room (MSC4186, "Room results").

use serde_json::{Value, json};
use tern_model::ResolvedState;
use tern_sync::Shape;

use crate::world::{DEVICE, Device, ME, World, all_rooms, bodies, id, state_keys, user};

fn subscribe(room: &str, limit: u32, state: &[(&str, &str)]) -> Value {
    json!({"room_subscriptions": {id(room).as_str(): {"timeline_limit": limit, "required_state": state}}})
}

#[test]
fn a_room_is_sent_whole_once_and_then_only_what_is_new() {
    let (mut world, mut device) = (World::default(), Device::default());
    world.room("a");
    world.say("a", "one");
    let body = all_rooms(2, &[("m.room.name", "")]);
    let first = device.sync(&world, &body, None);
    let room = first.room("a");
    assert_eq!(room["initial"], true);
    assert_eq!(room["name"], "Room a");
    assert_eq!(room["joined_count"], 2);
    assert_eq!(bodies(&room), ["m.room.member", "one"]);
    assert_eq!(room["limited"], true);
    assert_eq!(room["prev_batch"], "t3", "events 1 to 3 are before the timeline");
    assert_eq!(state_keys(&room), ["m.room.name|"]);
    assert_eq!(room.get("num_live"), None, "nothing is live in the first answer");

    world.say("a", "two");
    let second = device.sync(&world, &body, Some(&first.pos()));
    let room = second.room("a");
    assert_eq!(bodies(&room), ["two"]);
    assert_eq!(room["num_live"], 1);
    let keys: Vec<_> = room.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["bump_stamp", "num_live", "timeline"], "nothing else changed");
    assert_eq!(second.json().get("lists"), None, "no count changed");
}

#[test]
fn state_is_sent_when_it_changes_even_if_the_timeline_has_it() {
    let (mut world, mut device) = (World::default(), Device::default());
    world.room("a");
    let body = all_rooms(5, &[("m.room.name", ""), ("m.room.topic", "")]);
    let first = device.sync(&world, &body, None);
    world.state("a", "m.room.topic", "", json!({"topic": "t"}));
    world.state("a", "m.room.pinned_events", "", json!({}));
    let second = device.sync(&world, &body, Some(&first.pos()));
    assert_eq!(state_keys(&second.room("a")), ["m.room.topic|"]);
    assert_eq!(bodies(&second.room("a")), ["m.room.topic", "m.room.pinned_events"]);
}

#[test]
fn more_events_than_the_limit_leave_a_gap_with_a_token() {
    let (mut world, mut device) = (World::default(), Device::default());
    world.room("a");
    let body = all_rooms(2, &[("m.room.topic", "")]);
    let first = device.sync(&world, &body, None);
    world.state("a", "m.room.topic", "", json!({"topic": "t"}));
    for n in 0..4 {
        world.say("a", &n.to_string());
    }
    let room = device.sync(&world, &body, Some(&first.pos())).room("a");
    assert_eq!(bodies(&room), ["2", "3"]);
    assert_eq!(room["limited"], true);
    assert_eq!(room["prev_batch"], "t7");
    assert_eq!(state_keys(&room), ["m.room.topic|"], "state in the gap is not lost");
    assert_eq!(world.loaded.get(), 1, "only the first answer needed a slice");
}

#[test]
fn a_gap_beyond_the_inbox_is_filled_from_storage_and_the_inbox() {
    for (missed, lag, limited) in [(3, 0, false), (3, 2, false), (30, 0, true), (30, 4, true), (30, 25, true)] {
        let (mut world, mut device) = (World { inbox_size: 5, lag, ..World::default() }, Device::default());
        world.room("a");
        let body = all_rooms(8, &[("m.room.topic", "")]);
        let first = device.sync(&world, &body, None);
        world.state("a", "m.room.topic", "", json!({"topic": "t"}));
        for n in 0..missed {
            world.say("a", &n.to_string());
        }
        let room = device.sync(&world, &body, Some(&first.pos())).room("a");
        let newest: Vec<_> = (0..missed).map(|n| n.to_string()).rev().take(8).rev().collect();
        let shown: Vec<_> = bodies(&room).into_iter().filter(|body| body != "m.room.topic").collect();
        assert_eq!(shown, newest);
        assert_eq!(room.get("limited").is_some(), limited, "missed {missed}");
        assert_eq!(state_keys(&room), ["m.room.topic|"]);
        assert_eq!(room.get("initial"), None);
    }
}

#[test]
fn a_room_that_cannot_be_read_is_left_out_and_sent_later() {
    let (mut world, mut device) = (World { cut_off: true, ..World::default() }, Device::default());
    world.room("a");
    let body = all_rooms(2, &[("m.room.name", "")]);
    let first = device.sync(&world, &body, None);
    assert!(first.json().get("rooms").is_none() && first.owed);
    let second = device.sync(&world, &body, Some(&first.pos()));
    assert!(second.quiet && second.owed);
    world.cut_off = false;
    let third = device.sync(&world, &body, Some(&second.pos()));
    assert_eq!(third.room("a")["initial"], true);
    assert!(!third.owed);
}

#[test]
fn name_and_avatar_can_go_and_heroes_come_instead() {
    let (mut world, mut device) = (World::default(), Device::default());
    world.room("a");
    world.state("a", "m.room.avatar", "", json!({"url": "mxc://a/b"}));
    let body = all_rooms(1, &[]);
    let first = device.sync(&world, &body, None);
    assert_eq!(first.room("a")["avatar"], "mxc://a/b");
    assert_eq!(first.room("a").get("heroes"), None);
    world.state("a", "m.room.name", "", json!({}));
    world.state("a", "m.room.avatar", "", json!({}));
    let room = device.sync(&world, &body, Some(&first.pos())).room("a");
    assert_eq!(room["name"], Value::Null);
    assert!(room.as_object().unwrap().contains_key("avatar"));
    assert_eq!(
        room["heroes"],
        json!([{"user_id": user("other"), "displayname": user("other")}]),
        "the reader is no hero"
    );
}

#[test]
fn wildcards_me_and_lazy_members() {
    let (mut world, mut device) = (World::default(), Device::default());
    world.room("a");
    world.member("a", &user("quiet"), &user("quiet"), "join");
    world.member("a", &user("loud"), &user("loud"), "join");
    world.send_as("a", &user("loud"), "m.room.message", None, json!({"body": "x"}));
    let me = format!("m.room.member|{ME}");
    let (loud, other) = (format!("m.room.member|{}", user("loud")), format!("m.room.member|{}", user("other")));
    let quiet = format!("m.room.member|{}", user("quiet"));
    for (state, keys) in [
        (vec![("*", "*")], vec!["m.room.create|", "m.room.name|", &me, &loud, &other, &quiet]),
        (vec![("*", "")], vec!["m.room.create|", "m.room.name|"]),
        (vec![("m.room.member", "$ME")], vec![me.as_str()]),
        (vec![("m.room.member", "$LAZY")], vec![&loud]),
        (vec![("*", "*"), ("m.room.member", "$LAZY")], vec!["m.room.create|", "m.room.name|", &loud]),
        (vec![("m.room.member", "*")], vec![&me, &loud, &other, &quiet]),
    ] {
        let mut keys: Vec<_> = keys.into_iter().map(str::to_owned).collect();
        keys.sort();
        assert_eq!(state_keys(&device.sync(&world, &all_rooms(1, &state), None).room("a")), keys, "{state:?}");
    }
}

#[test]
fn a_lazy_member_is_sent_once_and_again_when_it_changes() {
    for members in [true, false] {
        let (mut world, mut device) = (World { members, ..World::default() }, Device::default());
        world.room("a");
        world.member("a", &user("loud"), &user("loud"), "join");
        let body = all_rooms(1, &[("m.room.member", "$LAZY")]);
        let first = device.sync(&world, &body, None);
        let loud = format!("m.room.member|{}", user("loud"));
        assert_eq!(state_keys(&first.room("a")), std::slice::from_ref(&loud), "whose own joining the timeline shows");
        world.say("a", "x");
        let second = device.sync(&world, &body, Some(&first.pos()));
        assert_eq!(state_keys(&second.room("a")), [format!("m.room.member|{}", user("other"))]);
        world.say("a", "y");
        let third = device.sync(&world, &body, Some(&second.pos()));
        assert_eq!(state_keys(&third.room("a")), [""; 0]);
        world.member("a", &user("loud"), &user("loud"), "join");
        let fourth = device.sync(&world, &body, Some(&third.pos()));
        assert_eq!(state_keys(&fourth.room("a")), [loud], "a changed profile");
        assert_eq!(world.loaded.get(), if members { 1 } else { 2 });
    }
}

#[test]
fn every_membership_change_is_told_without_a_gap_and_only_speakers_after_one() {
    let (mut world, mut device) = (World { members: true, ..World::default() }, Device::default());
    world.room("a");
    let body = all_rooms(2, &[("m.room.member", "$LAZY")]);
    let first = device.sync(&world, &body, None);
    for n in 0..3 {
        world.member("a", &user(&format!("u{n}")), &user(&format!("u{n}")), "join");
    }
    world.say("a", "x");
    let second = device.sync(&world, &body, Some(&first.pos()));
    let member = |name: &str| format!("m.room.member|{}", user(name));
    assert_eq!(second.room("a")["limited"], true);
    assert_eq!(
        state_keys(&second.room("a")),
        [member("other"), member("u2")],
        "of the timeline only, though known before"
    );
    world.member("a", &user("u0"), &user("u0"), "leave");
    let third = device.sync(&world, &body, Some(&second.pos()));
    assert_eq!(state_keys(&third.room("a")), [member("u0")]);
}

#[test]
fn a_bigger_timeline_limit_sends_the_newest_again() {
    for (inbox_size, shape) in [(50, Shape::Unstable), (2, Shape::Unstable)] {
        let (mut world, mut device) = (World { inbox_size, ..World::default() }, Device::default());
        world.room("a");
        for n in 0..6 {
            world.say("a", &n.to_string());
        }
        let first = device.step(&world, shape, &subscribe("a", 1, &[]), None).unwrap();
        assert_eq!(bodies(&first.room("a")), ["5"]);
        let second = device.step(&world, shape, &subscribe("a", 4, &[]), Some(&first.pos())).unwrap();
        let room = second.room("a");
        assert!(!second.quiet);
        assert_eq!(bodies(&room), ["2", "3", "4", "5"]);
        assert_eq!(room["unstable_expanded_timeline"], true);
        assert_eq!(room["limited"], true);
        assert_eq!(room["prev_batch"], "t6");
        assert_eq!(room.get("initial"), None);
        assert_eq!(room.get("num_live"), None);
        // A smaller limit and the old one again: the client has them.
        let third = device.sync(&world, &subscribe("a", 1, &[]), Some(&second.pos()));
        assert!(third.quiet);
        let fourth = device.sync(&world, &subscribe("a", 4, &[]), Some(&third.pos()));
        assert!(fourth.quiet);
    }
}

#[test]
fn a_limit_the_client_has_grown_into_sends_nothing_again() {
    // MSC4186, "Changes to timeline_limit": B, C and D were sent one by one; a limit of 3 needs nothing, one of 4 does.
    let (mut world, mut device) = (World::default(), Device::default());
    world.room("a");
    world.say("a", "A");
    world.say("a", "B");
    let mut step = device.sync(&world, &subscribe("a", 1, &[]), None);
    for body in ["C", "D"] {
        world.say("a", body);
        step = device.sync(&world, &subscribe("a", 1, &[]), Some(&step.pos()));
    }
    assert!(device.sync(&world, &subscribe("a", 3, &[]), Some(&step.pos())).quiet);
    let step = device.sync(&world, &subscribe("a", 4, &[]), Some(&step.pos()));
    assert_eq!(bodies(&step.room("a")), ["A", "B", "C", "D"]);
}

#[test]
fn more_required_state_sends_what_is_missing() {
    for lag in [0, 2] {
        let (mut world, mut device) = (World { lag, ..World::default() }, Device::default());
        world.room("a");
        world.state("a", "m.room.topic", "", json!({"topic": "old"}));
        world.say("a", "x");
        let first = device.sync(&world, &subscribe("a", 1, &[("m.room.name", "")]), None);
        let topic = world.state("a", "m.room.topic", "", json!({"topic": "new"}));
        let second = device.sync(&world, &subscribe("a", 1, &[("m.room.name", "")]), Some(&first.pos()));
        assert_eq!(state_keys(&second.room("a")), [""; 0]);
        let more = subscribe("a", 1, &[("m.room.name", ""), ("m.room.topic", "")]);
        let third = device.sync(&world, &more, Some(&second.pos()));
        assert_eq!(state_keys(&third.room("a")), ["m.room.topic|"], "the name has been sent");
        assert_eq!(third.room("a")["required_state"][0]["event_id"], topic.as_str(), "the newest, with a lag of {lag}");
        assert_eq!(third.room("a").get("timeline"), None);
    }
}

#[test]
fn state_that_a_fork_has_removed_leaves_a_stub_in_the_stable_shape() {
    let wanted =
        |kind: &str| json!({"lists": {"all": {"timeline_limit": 5, "required_state": {"include": [{"type": kind}]}}}});
    let unstable = all_rooms(5, &[("m.room.topic", "")]);
    for (shape, body, told) in [
        (Shape::Stable, wanted("m.room.topic"), json!([{"type": "m.room.topic", "state_key": ""}])),
        (Shape::Stable, wanted("m.room.name"), Value::Null),
        (Shape::Unstable, unstable, Value::Null),
    ] {
        let (mut world, mut device) = (World::default(), Device::default());
        world.room("a");
        world.state("a", "m.room.topic", "", json!({"topic": "as one side saw it"}));
        let first = device.step(&world, shape, &body, None).unwrap();
        world.say("a", "from the other side");
        let seq = world.rooms[&id("a")].events.last().unwrap().seq;
        let topic = ResolvedState { seq, kind: "m.room.topic".to_owned(), state_key: String::new(), event: None };
        world.resolved.insert(id("a"), vec![topic]);
        world.adjust("a", false, |room| room.resolved = seq);
        let second = device.step(&world, shape, &body, Some(&first.pos())).unwrap();
        assert_eq!(second.room("a")["required_state"], told, "{body}");
        assert!(device.step(&world, shape, &body, Some(&second.pos())).unwrap().quiet);
    }
}

#[test]
fn an_invite_shows_stripped_state_and_then_the_room_as_new() {
    for (shape, key) in [(Shape::Unstable, "invite_state"), (Shape::Stable, "stripped_state")] {
        let (mut world, mut device) = (World::default(), Device::default());
        world.found("a", None);
        let body = match shape {
            Shape::Unstable => all_rooms(5, &[("m.room.member", "$ME")]),
            Shape::Stable => json!({"lists": {"all": {"timeline_limit": 5, "required_state": {}}}}),
        };
        let first = device.step(&world, shape, &body, None).unwrap();
        assert_eq!(first.json()["lists"]["all"]["count"], 0);
        world.member("a", ME, &user("other"), "invite");
        let second = device.step(&world, shape, &body, Some(&first.pos())).unwrap();
        let room = second.room("a");
        assert_eq!(room["initial"], true);
        assert_eq!(room[key].as_array().unwrap().len(), 3);
        assert_eq!(room.get("timeline"), None);
        assert!(room["bump_stamp"].as_u64().unwrap() > 0);
        assert_eq!(second.json()["lists"]["all"]["count"], 1);
        if shape == Shape::Stable {
            assert_eq!(room["membership"], "invite");
            assert_eq!(room["lists"], json!(["all"]));
        }
        assert!(device.step(&world, shape, &body, Some(&second.pos())).unwrap().quiet);
        world.say("a", "not for the invited");
        world.member("a", ME, ME, "join");
        let third = device.step(&world, shape, &body, Some(&second.pos())).unwrap();
        let room = third.room("a");
        assert_eq!(room["initial"], true);
        assert_eq!(room.get(key), None);
        assert_eq!(room["num_live"], 1, "the join itself");
        if shape == Shape::Stable {
            assert_eq!(room["membership"], "join");
        } else {
            assert_eq!(state_keys(&room), [format!("m.room.member|{ME}")]);
        }
    }
}

#[test]
fn a_rejected_invite_is_told_by_the_own_member_event() {
    for (shape, key) in [(Shape::Unstable, "required_state"), (Shape::Stable, "stripped_state")] {
        let (mut world, mut device) = (World::default(), Device::default());
        world.found("a", None);
        world.member("a", ME, &user("other"), "invite");
        let body = match shape {
            Shape::Unstable => all_rooms(5, &[]),
            Shape::Stable => json!({"lists": {"all": {"timeline_limit": 5, "required_state": {}}}}),
        };
        let first = device.step(&world, shape, &body, None).unwrap();
        world.member("a", ME, ME, "leave");
        let second = device.step(&world, shape, &body, Some(&first.pos())).unwrap();
        let room = second.room("a");
        assert_eq!(room[key][0]["content"]["membership"], "leave");
        assert_eq!(room.get("timeline"), None);
        assert!(device.step(&world, shape, &body, Some(&second.pos())).unwrap().quiet);
        let other_device = Device::default().step(&world, shape, &body, None).unwrap();
        assert_eq!(other_device.json().get("rooms"), None, "who has not seen the invite does not see its end");
    }
}

#[test]
fn leaving_kicks_and_bans_are_told_to_the_one_concerned() {
    for (by, membership) in [(ME.to_owned(), "leave"), (user("other"), "leave"), (user("other"), "ban")] {
        let (mut world, mut device) = (World::default(), Device::default());
        world.room("a");
        let body = all_rooms(5, &[("m.room.name", "")]);
        let first = device.sync(&world, &body, None);
        world.say("a", "last words");
        world.member("a", ME, &by, membership);
        world.say("a", "unheard");
        let second = device.sync(&world, &body, Some(&first.pos()));
        let room = second.room("a");
        assert_eq!(bodies(&room), ["last words", "m.room.member"]);
        assert_eq!(state_keys(&room), [format!("m.room.member|{ME}")]);
        assert_eq!(room["required_state"][0]["content"]["membership"], membership);
        assert!(device.sync(&world, &body, Some(&second.pos())).quiet);

        let stable =
            json!({"lists": {"all": {"timeline_limit": 5, "required_state": {"include": [{"type": "m.room.name"}]}}}});
        let fresh = Device::default().step(&world, Shape::Stable, &stable, None).unwrap();
        let seen = fresh.room("a");
        assert_eq!(seen.is_null(), by == ME, "who left knows it, who was removed may not");
        if by != ME {
            assert_eq!(seen["membership"], membership);
            assert_eq!(bodies(&seen).last().unwrap(), "m.room.member", "not beyond the removal");
        }
    }
}

#[test]
fn coming_back_closes_the_gap_of_the_absence() {
    let (mut world, mut device) = (World::default(), Device::default());
    world.room("a");
    let body = all_rooms(2, &[("m.room.topic", "")]);
    let first = device.sync(&world, &body, None);
    world.member("a", ME, ME, "leave");
    let second = device.sync(&world, &body, Some(&first.pos()));
    world.state("a", "m.room.topic", "", json!({"topic": "meanwhile"}));
    for n in 0..5 {
        world.say("a", &n.to_string());
    }
    world.member("a", ME, ME, "join");
    let room = device.sync(&world, &body, Some(&second.pos())).room("a");
    assert_eq!(bodies(&room), ["4", "m.room.member"]);
    assert_eq!(room["limited"], true);
    assert!(state_keys(&room).contains(&"m.room.topic|".to_owned()));
}

#[test]
fn own_events_carry_their_transaction_id_to_the_device_that_sent_them() {
    let (mut world, mut device) = (World::default(), Device::default());
    world.room("a");
    let first = device.sync(&world, &all_rooms(5, &[]), None);
    world.send_txn("a", ME, "m.room.message", None, json!({"body": "mine"}), Some((DEVICE, "t1")));
    world.send_txn("a", ME, "m.room.message", None, json!({"body": "elsewhere"}), Some(("OTHER", "t2")));
    let room = device.sync(&world, &all_rooms(5, &[]), Some(&first.pos())).room("a");
    assert_eq!(room["timeline"][0]["unsigned"]["transaction_id"], "t1");
    assert_eq!(room["timeline"][1].get("unsigned"), None);
}

#[test]
fn unread_counts_go_with_every_change_and_never_in_the_stable_shape() {
    let (mut world, mut device) = (World::default(), Device::default());
    world.room("a");
    let body = all_rooms(1, &[]);
    let first = device.sync(&world, &body, None);
    assert_eq!(first.room("a").get("notification_count"), None, "zero");
    world.say("a", "x");
    world.adjust("a", false, |room| room.unread.notifications = 1);
    let second = device.sync(&world, &body, Some(&first.pos()));
    assert_eq!(second.room("a")["notification_count"], 1);
    world.state("a", "m.room.topic", "", json!({}));
    let third = device.sync(&world, &body, Some(&second.pos()));
    assert_eq!(third.room("a")["notification_count"], 1, "some clients take an absent count for zero");
    world.adjust("a", false, |room| room.unread.notifications = 0);
    let fourth = device.sync(&world, &body, Some(&third.pos()));
    assert_eq!(fourth.room("a"), json!({"notification_count": 0, "highlight_count": 0}));
    let stable = json!({"lists": {"all": {"timeline_limit": 1, "required_state": {}}}});
    assert_eq!(
        Device::default().step(&world, Shape::Stable, &stable, None).unwrap().room("a").get("notification_count"),
        None
    );
}

#[test]
fn a_direct_chat_is_marked_and_unmarked() {
    let (mut world, mut device) = (World::default(), Device::default());
    world.room("a");
    let body = all_rooms(1, &[]);
    let first = device.sync(&world, &body, None);
    assert_eq!(first.room("a").get("is_dm"), None);
    world.adjust("a", true, |room| room.dm = true);
    let second = device.sync(&world, &body, Some(&first.pos()));
    assert_eq!(second.room("a"), json!({"is_dm": true}));
    world.adjust("a", true, |room| room.dm = false);
    assert_eq!(device.sync(&world, &body, Some(&second.pos())).room("a"), json!({"is_dm": false}));
}

#[test]
fn configs_of_all_matching_rules_are_combined() {
    let (mut world, mut device) = (World::default(), Device::default());
    world.room("a");
    world.say("a", "x");
    world.say("a", "y");
    let room = id("a");
    let body = json!({
        "lists": {"one": {"ranges": [[0, 9]], "timeline_limit": 1, "required_state": [["m.room.name", ""]]}},
        "room_subscriptions": {room.as_str(): {"timeline_limit": 2, "required_state": [["m.room.create", ""]]}},
    });
    let shown = device.sync(&world, &body, None).room("a");
    assert_eq!(bodies(&shown), ["x", "y"]);
    assert_eq!(state_keys(&shown), ["m.room.create|", "m.room.name|"]);
}

#[test]
fn stable_required_state_includes_and_excludes() {
    let (mut world, mut device) = (World::default(), Device::default());
    world.room("a");
    world.say("a", "x");
    let (me, other) = (format!("m.room.member|{ME}"), format!("m.room.member|{}", user("other")));
    for (required, keys) in [
        (
            json!({"include": [{}], "exclude": [{"type": "m.room.create", "state_key": ""}]}),
            vec!["m.room.name|", &me, &other],
        ),
        (json!({"include": [{}], "lazy_members": true}), vec!["m.room.create|", "m.room.name|", &other]),
        (json!({"include": [{"type": "m.room.member", "state_key": ME}], "lazy_members": true}), vec![&me, &other]),
        (json!({"include": [{"state_key": ""}]}), vec!["m.room.create|", "m.room.name|"]),
        (json!({"lazy_members": true, "exclude": [{}]}), vec![other.as_str()]),
        (json!({}), vec![]),
    ] {
        let body = json!({"lists": {"all": {"timeline_limit": 1, "required_state": required}}});
        let mut keys: Vec<_> = keys.into_iter().map(str::to_owned).collect();
        keys.sort();
        assert_eq!(state_keys(&device.step(&world, Shape::Stable, &body, None).unwrap().room("a")), keys, "{required}");
    }
}
