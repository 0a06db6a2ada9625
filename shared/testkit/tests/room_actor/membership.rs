//! Memberships, and what those concerned are told.

use std::rc::Rc;

use serde_json::json;
use tern_ports::wire::room::{MembershipAction, ReadJoinedMembers, ReadStateEvent, SetMemberProfile};
use tern_testkit::TestClock;

use super::scene::{ALICE, BOB, CAROL, Scene, body, config, creation, user};

#[test]
fn joining_twice_and_other_no_changes_answer_with_the_event_that_is() {
    let scene = Scene::of(&json!({ "preset": "public_chat" }));
    let joined = scene.act(BOB, MembershipAction::Join, BOB).unwrap();
    let newest = scene.probe().newest;
    assert_eq!(scene.act(BOB, MembershipAction::Join, BOB).unwrap(), joined);
    assert_eq!(scene.probe().newest, newest);
    let left = scene.act(BOB, MembershipAction::Leave, BOB).unwrap();
    assert_eq!(scene.act(BOB, MembershipAction::Leave, BOB).unwrap(), left);
    scene.act(ALICE, MembershipAction::Ban, BOB).unwrap();
    assert_eq!(scene.act(BOB, MembershipAction::Join, BOB).unwrap_err().status, 403);
    scene.act(ALICE, MembershipAction::Unban, BOB).unwrap();
    scene.act(BOB, MembershipAction::Join, BOB).unwrap();
    let members = ReadJoinedMembers { caller: user(BOB) };
    let members: Vec<_> = scene.ask(members).unwrap().into_iter().map(|member| member.user_id).collect();
    assert_eq!(members, [ALICE, BOB]);
}

#[test]
fn invites_carry_stripped_state_and_leaves_end_the_telling() {
    let scene = Scene::of(&json!({ "name": "Nest" }));
    scene.act(ALICE, MembershipAction::Invite, BOB).unwrap();
    let invite = &scene.told(BOB)[0];
    assert_eq!(invite.membership.as_deref(), Some("invite"));
    assert!(invite.summary.is_none());
    let kinds: Vec<_> = invite.stripped.iter().map(|event| body(event)["type"].clone()).collect();
    assert!(kinds.contains(&json!("m.room.name")) && kinds.last() == Some(&json!("m.room.member")));
    scene.host.settle();
    scene.calm();
    scene.say(ALICE, "to herself");
    scene.host.settle();
    assert!(scene.told(BOB).is_empty());
    scene.act(BOB, MembershipAction::Join, BOB).unwrap();
    let join = &scene.told(BOB)[0];
    assert_eq!((join.membership.as_deref(), join.events.len()), (Some("join"), 1));
    assert_eq!(join.summary.as_ref().unwrap().joined, 2);
    scene.act(ALICE, MembershipAction::Kick, BOB).unwrap();
    scene.host.settle();
    let kick = scene.told(BOB).pop().unwrap();
    assert_eq!((kick.membership.as_deref(), kick.events.len()), (Some("leave"), 1));
    scene.calm();
    scene.say(ALICE, "alone again");
    scene.host.settle();
    assert!(scene.told(BOB).is_empty());
    assert_eq!(scene.probe().announced, scene.probe().newest);
}

#[test]
fn a_profile_reaches_the_member_event_of_the_joined_only() {
    let scene = Scene::new();
    let newest = scene.probe().newest;
    let rename = |who: &str, name: &str| SetMemberProfile {
        user_id: user(who),
        displayname: Some(name.to_owned()),
        avatar_url: None,
    };
    scene.ask(rename(CAROL, "Caro")).unwrap();
    scene.ask(rename(ALICE, "Alice")).unwrap();
    assert_eq!(scene.probe().newest, newest);
    scene.ask(rename(BOB, "Robert")).unwrap();
    let members = scene.ask(ReadJoinedMembers { caller: user(ALICE) }).unwrap();
    let bob = members.iter().find(|member| member.user_id == BOB).unwrap();
    assert_eq!(bob.display_name.as_deref(), Some("Robert"));
}

#[test]
fn a_restricted_room_lets_in_the_members_of_the_room_it_names() {
    let outer = Scene::new();
    let rules = json!({
        "initial_state": [{
            "type": "m.room.join_rules",
            "content": {
                "join_rule": "restricted",
                "allow": [{ "type": "m.room_membership", "room_id": outer.room_id }],
            },
        }],
    });
    let (room_id, create) = creation(&config(), &rules, TestClock::START, 9);
    let inner = Scene::empty(Rc::clone(&outer.around), room_id);
    inner.ask(create).unwrap();
    assert_eq!(inner.act(CAROL, MembershipAction::Join, CAROL).unwrap_err().status, 403);
    inner.act(BOB, MembershipAction::Join, BOB).unwrap();
    let member = ReadStateEvent { caller: user(BOB), kind: "m.room.member".to_owned(), state_key: BOB.to_owned() };
    let member = body(&inner.ask(member).unwrap());
    assert_eq!(member["content"]["join_authorised_via_users_server"], ALICE);
}
