use serde_json::{Value, json};
use tern_model::{MatrixError, MembershipAction};
use tern_room::{Change, Outcome, SUPPORTED, membership};

use crate::support::{ALICE, BOB, CAROL, Room, content, raw, user};

const OTHER: &str = "!other:tern.test";

fn forbidden<T: std::fmt::Debug>(result: Result<T, MatrixError>) -> String {
    let error = result.unwrap_err();
    assert_eq!((error.status, &*error.errcode), (403, "M_FORBIDDEN"));
    error.message.into_owned()
}

fn public() -> Room {
    Room::create("12", json!({ "preset": "public_chat" }))
}

#[test]
fn joining_twice_is_no_change() {
    let mut room = public();
    let first = room.join(BOB);
    assert!(
        matches!(room.decide(MembershipAction::Join, BOB, BOB), Ok(Outcome::Unchanged(pdu)) if pdu.id() == first.id())
    );
}

#[test]
fn leaving_ends_every_way_of_being_in() {
    for version in SUPPORTED {
        let mut room = Room::create(version.id, json!({ "preset": "public_chat" }));
        assert!(forbidden(room.change(MembershipAction::Leave, BOB, BOB)).contains("not in the room"));
        room.join(BOB);
        let left = room.change(MembershipAction::Leave, BOB, BOB).unwrap();
        assert_eq!(
            room.change(MembershipAction::Leave, BOB, BOB).unwrap().id(),
            left.id(),
            "a repeated leave is no change"
        );
        room.change(MembershipAction::Invite, ALICE, CAROL).unwrap();
        room.change(MembershipAction::Leave, CAROL, CAROL).unwrap();
        assert_eq!(room.membership(CAROL).unwrap(), "leave");
        if version.id != "6" {
            room.set(ALICE, "m.room.join_rules", &json!({ "join_rule": "knock" }));
            room.change(MembershipAction::Knock, CAROL, CAROL).unwrap();
            assert_eq!(room.membership(CAROL).unwrap(), "knock");
            room.change(MembershipAction::Leave, CAROL, CAROL).unwrap();
            assert_eq!(room.membership(CAROL).unwrap(), "leave");
        }
    }
}

#[test]
fn kicking_wants_somebody_to_kick() {
    let mut room = public();
    assert!(forbidden(room.change(MembershipAction::Kick, ALICE, BOB)).contains("not in the room"));
    room.join(BOB);
    room.join(CAROL);
    forbidden(room.change(MembershipAction::Kick, BOB, CAROL));
    room.change(MembershipAction::Kick, ALICE, BOB).unwrap();
    assert_eq!(room.membership(BOB).unwrap(), "leave");
    forbidden(room.change(MembershipAction::Kick, ALICE, BOB));
    room.change(MembershipAction::Ban, ALICE, BOB).unwrap();
    forbidden(room.change(MembershipAction::Kick, ALICE, BOB));
    room.change(MembershipAction::Invite, ALICE, "@dave:tern.test").unwrap();
    room.change(MembershipAction::Kick, ALICE, "@dave:tern.test").unwrap();
}

#[test]
fn bans_hold_until_lifted() {
    let mut room = public();
    forbidden(room.change(MembershipAction::Unban, ALICE, BOB));
    let ban = room.change(MembershipAction::Ban, ALICE, BOB).unwrap();
    assert_eq!(room.change(MembershipAction::Ban, ALICE, BOB).unwrap().id(), ban.id(), "a repeated ban is no change");
    assert!(forbidden(room.change(MembershipAction::Join, BOB, BOB)).contains("banned"));
    assert!(forbidden(room.change(MembershipAction::Invite, ALICE, BOB)).contains("banned"));
    assert!(forbidden(room.change(MembershipAction::Knock, BOB, BOB)).contains("banned"));
    forbidden(room.change(MembershipAction::Leave, BOB, BOB));
    room.join(CAROL);
    forbidden(room.change(MembershipAction::Unban, CAROL, BOB));
    room.change(MembershipAction::Unban, ALICE, BOB).unwrap();
    room.join(BOB);
}

#[test]
fn inviting_wants_somebody_outside() {
    let mut room = Room::create("12", json!({}));
    forbidden(room.change(MembershipAction::Invite, BOB, CAROL));
    let invite = room.change(MembershipAction::Invite, ALICE, BOB).unwrap();
    assert_eq!(
        room.change(MembershipAction::Invite, ALICE, BOB).unwrap().id(),
        invite.id(),
        "a repeated invite is no change"
    );
    room.join(BOB);
    assert!(forbidden(room.change(MembershipAction::Invite, ALICE, BOB)).contains("already"));
    assert!(forbidden(room.change(MembershipAction::Join, CAROL, CAROL)).contains("not invited"));
}

#[test]
fn knocking_wants_a_door() {
    let mut old = Room::create("6", json!({}));
    forbidden(old.change(MembershipAction::Knock, BOB, BOB));
    let mut room = Room::create("12", json!({}));
    assert!(forbidden(room.change(MembershipAction::Knock, BOB, BOB)).contains("does not accept"));
    room.set(ALICE, "m.room.join_rules", &json!({ "join_rule": "knock_restricted", "allow": [] }));
    forbidden(room.change(MembershipAction::Knock, ALICE, ALICE));
    room.change(MembershipAction::Invite, ALICE, CAROL).unwrap();
    forbidden(room.change(MembershipAction::Knock, CAROL, CAROL));
    room.change(MembershipAction::Knock, BOB, BOB).unwrap();
    room.change(MembershipAction::Invite, ALICE, BOB).unwrap();
    room.join(BOB);
}

#[test]
fn only_others_are_meant_by_some_and_only_oneself_by_other_actions() {
    let room = public();
    for action in [MembershipAction::Join, MembershipAction::Leave, MembershipAction::Knock] {
        forbidden(room.decide(action, ALICE, BOB));
    }
}

fn restricted(version: &str, rule: &str) -> Room {
    let mut room = Room::create(version, json!({ "power_level_content_override": { "invite": 50 } }));
    // Conditions of a wrong shape let nobody in, and shut nobody out.
    let allow = json!([1, { "type": "m.room_membership", "room_id": 7 }, { "type": "m.room_membership", "room_id": OTHER },
        { "type": "m.room_membership", "room_id": "other" }, { "type": "m.future" }, null]);
    room.set(ALICE, "m.room.join_rules", &json!({ "join_rule": rule, "allow": allow }));
    room
}

#[test]
fn a_restricted_room_lets_members_of_its_rooms_in() {
    for version in ["8", "9", "10", "11", "12"] {
        let mut room = restricted(version, "restricted");
        assert_eq!(membership::allowed_rooms(&room).unwrap(), [OTHER]);
        assert!(forbidden(room.decide_in(MembershipAction::Join, BOB, BOB, &[])).contains("none of the rooms"));
        forbidden(room.decide_in(MembershipAction::Join, BOB, BOB, &["!wrong:tern.test"]));
        let Outcome::Send(draft) = room.decide_in(MembershipAction::Join, BOB, BOB, &[OTHER]).unwrap() else {
            panic!()
        };
        let joined = room.send(&draft).unwrap();
        assert_eq!(content(&joined)["join_authorised_via_users_server"], ALICE);
        // With nobody left who may invite, nobody gets in.
        room.change(MembershipAction::Leave, ALICE, ALICE).unwrap();
        assert!(forbidden(room.decide_in(MembershipAction::Join, CAROL, CAROL, &[OTHER])).contains("may let you in"));
    }
}

#[test]
fn any_member_lets_in_where_any_member_may_invite() {
    let mut room = restricted("12", "knock_restricted");
    let mut levels = room.find("m.room.power_levels", "").unwrap();
    levels["invite"] = 0.into();
    room.set(ALICE, "m.room.power_levels", &levels);
    room.change(MembershipAction::Invite, ALICE, BOB).unwrap();
    room.join(BOB);
    room.change(MembershipAction::Leave, ALICE, ALICE).unwrap();
    let Outcome::Send(draft) = room.decide_in(MembershipAction::Join, CAROL, CAROL, &[OTHER]).unwrap() else {
        panic!()
    };
    assert_eq!(content(&room.send(&draft).unwrap())["join_authorised_via_users_server"], BOB);
}

#[test]
fn the_allow_list_counts_only_for_restricted_rules() {
    let room = restricted("12", "invite");
    assert!(membership::allowed_rooms(&room).unwrap().is_empty());
    forbidden(room.decide_in(MembershipAction::Join, BOB, BOB, &[OTHER]));
}

#[test]
fn content_carries_reason_and_profile_but_no_forged_admission() {
    let room = public();
    let extra = raw(&json!({
        "displayname": "Bob", "membership": "ban", "join_authorised_via_users_server": ALICE, "is_direct": true,
    }));
    let (actor, target) = (user(ALICE), user(BOB));
    let change = Change {
        action: MembershipAction::Invite,
        actor: &actor,
        target: &target,
        reason: Some("come"),
        extra: Some(&extra),
    };
    let Outcome::Send(draft) = membership::decide(&room, &change, |_| false).unwrap() else { panic!() };
    let content: Value = draft.content.read().unwrap();
    let expected = json!({ "membership": "invite", "reason": "come", "displayname": "Bob", "is_direct": true });
    assert_eq!(content, expected);
    let extra = raw(&json!([]));
    let error = membership::decide(&room, &Change { extra: Some(&extra), ..change }, |_| false).unwrap_err();
    assert_eq!(MatrixError::from(error).errcode, "M_BAD_JSON");
}

#[test]
fn a_profile_is_carried_into_the_member_event() {
    let mut room = restricted("12", "restricted");
    let Outcome::Send(draft) = room.decide_in(MembershipAction::Join, BOB, BOB, &[OTHER]).unwrap() else { panic!() };
    let joined = room.send(&draft).unwrap();
    let draft = membership::with_profile(&joined, Some("Bob"), None).unwrap().unwrap();
    let renamed = room.send(&draft).unwrap();
    assert_eq!(content(&renamed), json!({ "membership": "join", "displayname": "Bob" }));
    assert!(membership::with_profile(&renamed, Some("Bob"), None).unwrap().is_none(), "nothing new");
    let cleared = membership::with_profile(&renamed, None, Some("mxc://t/x")).unwrap().unwrap();
    assert_eq!(cleared.content.read::<Value>().unwrap(), json!({ "membership": "join", "avatar_url": "mxc://t/x" }));
    let left = room.change(MembershipAction::Leave, BOB, BOB).unwrap();
    assert!(membership::with_profile(&left, Some("B"), None).unwrap().is_none());
}
