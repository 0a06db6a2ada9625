use ruma::events::StateEventType;
use serde_json::{Value, json};
use tern_model::{MembershipAction, Millis, RawJson};
use tern_room::{SUPPORTED, Signer, authorise, propose};

use crate::support::{ALICE, BOB, CAROL, Room, message, state};

fn forbidden() -> (u16, String) {
    (403, "M_FORBIDDEN".to_owned())
}

fn public(version: &str) -> Room {
    Room::create(version, json!({ "preset": "public_chat" }))
}

#[test]
fn a_message_by_a_non_member_is_refused() {
    for version in SUPPORTED {
        let mut room = public(version.id);
        assert_eq!(room.refused(&message(BOB)), forbidden());
        room.join(BOB);
        room.send(&message(BOB)).unwrap();
        room.change(MembershipAction::Leave, BOB, BOB).unwrap();
        assert_eq!(room.refused(&message(BOB)), forbidden());
    }
}

#[test]
fn state_needs_its_level() {
    for version in SUPPORTED {
        let mut room = public(version.id);
        room.join(BOB);
        assert_eq!(room.refused(&state(BOB, "m.room.name", "", &json!({ "name": "mine" }))), forbidden());
        assert_eq!(room.refused(&state(BOB, "m.test", "", &json!({}))), forbidden());
        room.set(ALICE, "m.room.name", &json!({ "name": "hers" }));
    }
}

#[test]
fn a_room_is_created_once() {
    for version in SUPPORTED {
        let mut room = public(version.id);
        let again = state(ALICE, "m.room.create", "", &json!({ "creator": ALICE }));
        assert_eq!(room.refused(&again), (400, "M_BAD_STATE".to_owned()));
    }
}

#[test]
fn a_state_key_of_another_user_is_refused() {
    for version in SUPPORTED {
        let mut room = public(version.id);
        assert_eq!(room.refused(&state(ALICE, "m.test", BOB, &json!({}))), forbidden());
        room.send(&state(ALICE, "m.test", ALICE, &json!({}))).unwrap();
        assert_eq!(room.refused(&state(ALICE, "m.room.member", BOB, &json!({ "membership": "join" }))), forbidden());
    }
}

#[test]
fn a_banned_user_cannot_come_back() {
    for version in SUPPORTED {
        let mut room = public(version.id);
        room.join(BOB);
        room.change(MembershipAction::Ban, ALICE, BOB).unwrap();
        assert_eq!(room.refused(&state(BOB, "m.room.member", BOB, &json!({ "membership": "join" }))), forbidden());
        let invite = json!({ "membership": "invite" });
        assert_eq!(room.refused(&state(ALICE, "m.room.member", BOB, &invite)), forbidden());
        room.change(MembershipAction::Unban, ALICE, BOB).unwrap();
        room.join(BOB);
    }
}

#[test]
fn an_invite_only_room_wants_an_invite_from_a_member_with_the_level() {
    for version in SUPPORTED {
        let levels = json!({ "invite": 50 });
        let mut room = Room::create(version.id, json!({ "power_level_content_override": levels }));
        let join = |user: &str| state(user, "m.room.member", user, &json!({ "membership": "join" }));
        assert_eq!(room.refused(&join(BOB)), forbidden());
        room.change(MembershipAction::Invite, ALICE, BOB).unwrap();
        room.send(&join(BOB)).unwrap();
        let invite = state(BOB, "m.room.member", CAROL, &json!({ "membership": "invite" }));
        assert_eq!(room.refused(&invite), forbidden());
    }
}

#[test]
fn knocking_needs_the_rule_and_the_version() {
    for version in SUPPORTED {
        let mut room = Room::create(version.id, json!({}));
        let knock = state(BOB, "m.room.member", BOB, &json!({ "membership": "knock" }));
        assert_eq!(room.refused(&knock), forbidden());
        room.set(ALICE, "m.room.join_rules", &json!({ "join_rule": "knock" }));
        if version.id == "6" {
            assert_eq!(room.refused(&knock), forbidden());
        } else {
            room.send(&knock).unwrap();
            assert_eq!(room.refused(&state(BOB, "m.room.member", BOB, &json!({ "membership": "join" }))), forbidden());
            room.change(MembershipAction::Invite, ALICE, BOB).unwrap();
            room.join(BOB);
        }
    }
}

#[test]
fn nobody_lets_themselves_into_a_restricted_room() {
    for version in ["8", "9", "10", "11", "12"] {
        let mut room = Room::create(version, json!({}));
        let allow = json!([{ "type": "m.room_membership", "room_id": "!other:tern.test" }]);
        room.set(ALICE, "m.room.join_rules", &json!({ "join_rule": "restricted", "allow": allow }));
        let plain = state(BOB, "m.room.member", BOB, &json!({ "membership": "join" }));
        assert_eq!(room.refused(&plain), forbidden());
        // The event would pass the rules of the room, were it signed: the signature is what must not be given.
        let named = json!({ "membership": "join", "join_authorised_via_users_server": ALICE });
        let forged = state(BOB, "m.room.member", BOB, &named);
        assert_eq!(room.refused(&forged), forbidden());
        let mut escaped = forged.clone();
        escaped.content = RawJson::parse(named.to_string().replace("join_a", "join\\u005fa")).unwrap();
        assert_eq!(room.refused(&escaped), forbidden(), "however the name is written");
        room.change(MembershipAction::Invite, ALICE, BOB).unwrap();
        room.send(&forged).unwrap();
        for name in [json!(ALICE), json!("@x:elsewhere.test"), json!(1)] {
            let repeated =
                json!({ "membership": "join", "join_authorised_via_users_server": name, "displayname": "B" });
            room.send(&state(BOB, "m.room.member", BOB, &repeated)).unwrap();
            let expected = json!({ "membership": "join", "displayname": "B" });
            assert_eq!(room.find("m.room.member", BOB).unwrap(), expected, "what is not the server's word is dropped");
        }
    }
}

#[test]
fn a_mistake_in_the_content_is_no_lack_of_permission() {
    let bad = |code: &str| (400, code.to_owned());
    for version in SUPPORTED {
        let mut room = public(version.id);
        room.join(BOB);
        let create = state(ALICE, "m.room.create", "", &json!({}));
        assert_eq!(room.refused(&create), bad("M_BAD_STATE"));
        for (key, member) in [(BOB, json!({ "membership": "gone" })), ("bob", json!({ "membership": "ban" }))] {
            assert_eq!(room.refused(&state(ALICE, "m.room.member", key, &member)), bad("M_BAD_JSON"), "{member}");
        }
        for wrong in [json!({ "ban": "x" }), json!({ "users": { "bob": 1 } }), json!({ "events": [] })] {
            for sender in [ALICE, BOB] {
                let draft = state(sender, "m.room.power_levels", "", &wrong);
                assert_eq!(room.refused(&draft), bad("M_BAD_JSON"), "{wrong} in version {}", version.id);
            }
        }
        let texts = state(ALICE, "m.room.power_levels", "", &json!({ "ban": "50", "users": { ALICE: "100" } }));
        let creator = state(ALICE, "m.room.power_levels", "", &json!({ "users": { ALICE: 100 } }));
        if version.privileges_creators() {
            assert_eq!(room.refused(&creator), bad("M_BAD_JSON"));
        }
        match version.id {
            "6" | "7" | "8" | "9" => drop(room.send(&texts).unwrap()),
            _ => assert_eq!(room.refused(&texts), bad("M_BAD_JSON")),
        }
    }
}

fn levels(room: &Room) -> Value {
    room.find("m.room.power_levels", "").unwrap()
}

#[test]
fn power_is_not_taken() {
    for version in SUPPORTED {
        let mut room = public(version.id);
        room.join(BOB);
        room.join(CAROL);
        let mut raised = levels(&room);
        raised["users"][BOB] = 50.into();
        raised["users"][CAROL] = 50.into();
        room.set(ALICE, "m.room.power_levels", &raised);

        let mut try_levels = |path: &[&str], value: i64| {
            let mut edited = levels(&room);
            let place = path.iter().fold(&mut edited, |place, key| &mut place[*key]);
            *place = value.into();
            let draft = state(BOB, "m.room.power_levels", "", &edited);
            // Sending power levels itself needs 100 by the preset.
            assert_eq!(room.refused(&draft), forbidden(), "{path:?}");
        };
        try_levels(&["users", BOB], 100);

        let mut lowered = levels(&room);
        lowered["events"]["m.room.power_levels"] = 50.into();
        room.set(ALICE, "m.room.power_levels", &lowered);
        let mut edit = |path: &[&str], value: i64| {
            let mut edited = levels(&room);
            let place = path.iter().fold(&mut edited, |place, key| &mut place[*key]);
            *place = value.into();
            let draft = state(BOB, "m.room.power_levels", "", &edited);
            room.send(&draft).map(|_| ()).map_err(|error| error.to_string())
        };
        assert!(edit(&["users", BOB], 51).is_err(), "above oneself");
        assert!(edit(&["users", CAROL], 0).is_err(), "an equal");
        assert!(edit(&["ban"], 51).is_err(), "an action above oneself");
        assert!(edit(&["events", "m.room.encryption"], 50).is_err(), "something above oneself");
        assert!(edit(&["notifications", "room"], 51).is_err(), "notifications");
        assert!(edit(&["users", "@dave:tern.test"], 50).is_ok(), "up to oneself");
        assert!(edit(&["ban"], 40).is_ok(), "an action below oneself");
        assert!(edit(&["users", BOB], 10).is_ok(), "giving up");
    }
}

#[test]
fn levels_are_integers_from_version_10_on() {
    for version in SUPPORTED {
        let mut room = public(version.id);
        let mut edited = levels(&room);
        edited["kick"] = "60".into();
        let draft = state(ALICE, "m.room.power_levels", "", &edited);
        let allowed = room.send(&draft).is_ok();
        assert_eq!(allowed, ["6", "7", "8", "9"].contains(&version.id), "{}", version.id);
    }
}

#[test]
fn creators_stand_above_levels_in_version_12_and_are_not_listed() {
    let mut room = public("12");
    room.join(BOB);
    let mut edited = levels(&room);
    edited["users"][BOB] = 9_007_199_254_740_991_i64.into();
    edited["events"]["m.room.name"] = 9_007_199_254_740_991_i64.into();
    room.set(ALICE, "m.room.power_levels", &edited);
    room.set(ALICE, "m.room.name", &json!({ "name": "still hers" }));
    assert!(room.change(MembershipAction::Kick, BOB, ALICE).is_err());
    room.change(MembershipAction::Kick, ALICE, BOB).unwrap();
    edited["users"][ALICE] = 100.into();
    let listed = state(ALICE, "m.room.power_levels", "", &edited);
    assert_eq!(room.refused(&listed), (400, "M_BAD_JSON".to_owned()));
}

#[test]
fn a_room_that_does_not_federate_keeps_other_servers_out() {
    let elsewhere = Signer::new("elsewhere.test".try_into().unwrap(), "ed25519:1", &[1; 32]).unwrap();
    let join = state("@eve:elsewhere.test", "m.room.member", "@eve:elsewhere.test", &json!({ "membership": "join" }));
    for federate in [true, false] {
        let body = json!({ "preset": "public_chat", "creation_content": { "m.federate": federate } });
        let mut room = Room::create("11", body);
        room.join(BOB);
        assert_eq!(propose(&room, &join, Millis(1), &elsewhere).is_ok(), federate);
    }
}

#[test]
fn an_event_with_wrong_auth_events_is_refused() {
    let mut room = public("11");
    let pdu = room.send(&message(ALICE)).unwrap();
    // The same event seen by a room whose power levels have moved on: its auth events are no longer those in force.
    let mut edited = levels(&room);
    edited["kick"] = 60.into();
    room.set(ALICE, "m.room.power_levels", &edited);
    assert!(authorise(&room, &pdu).is_err());
    room.state.remove(&(StateEventType::RoomCreate, String::new()));
    assert!(room.send(&message(ALICE)).is_err(), "no create event, no room");
}
