//! Making rooms and changing memberships, as far as it happens before the room's hub.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod edge;

use std::{cell::RefCell, rc::Rc};

use edge::{Edge, code, config};
use ruma::{OwnedRoomId, user_id};
use serde_json::{Value, json};
use tern_edge::{
    create::create_room, join, join::MembershipChange, profile, push, register::add_user, user_search::search,
};
use tern_model::{MatrixError, RawJson};
use tern_ports::wire::{
    RoomCommand, UserCommand,
    policy::Standing,
    room::{ChangeMembership, CreateRoom, MembershipAction, Sent},
    user::{Profile, SessionRef},
};
use tern_testkit::network::{error_reply, reply};

/// Alice is called Alice; nobody else is known to a hub.
fn edge() -> Edge {
    let edge = Edge::new();
    edge.hubs.users(|user_id, command| match command {
        UserCommand::ReadProfile(_) | UserCommand::ReadInvitee(_) if user_id.localpart() == "alice" => {
            let text = |text: &str| RawJson::from_value(text).unwrap();
            let fields =
                [("displayname", text("Alice")), ("avatar_url", text("mxc://a/b")), ("m.tz", text("Europe/London"))];
            reply(fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect::<Profile>())
        }
        UserCommand::ReadProfile(_) | UserCommand::ReadInvitee(_) => {
            error_reply(MatrixError::not_found("Unknown user"))
        }
        UserCommand::ReadAccountData(_) => reply(None::<RawJson>),
        other => panic!("unexpected {}", other.name()),
    });
    edge.hubs.rooms(|_, _| reply(Sent { event_id: "$event".try_into().unwrap() }));
    edge
}

fn create(edge: &Edge, body: Value) -> Result<OwnedRoomId, MatrixError> {
    let request = serde_json::from_value(body).unwrap();
    edge.run(create_room(edge, &config(), user_id!("@alice:example.org"), &request))
}

fn created(edge: &Edge) -> Vec<CreateRoom> {
    let sent = edge.hubs.sent_to_rooms().into_iter();
    sent.filter_map(|(_, command)| if let RoomCommand::CreateRoom(create) = command { Some(*create) } else { None })
        .collect()
}

#[test]
fn a_room_is_handed_to_its_hub_with_the_creators_profile() {
    let edge = edge();
    let room_id = create(&edge, json!({ "name": "Nest", "invite": ["@bob:example.org"], "is_direct": true })).unwrap();
    let sent = edge.hubs.sent_to_rooms();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].0, room_id);
    let create = created(&edge).remove(0);
    assert_eq!(create.version, "12");
    let content = |key: &str| -> Value {
        let member = create.drafts.iter().find(|draft| draft.state_key.as_deref() == Some(key)).unwrap();
        member.content.read().unwrap()
    };
    assert_eq!(
        content("@alice:example.org"),
        json!({ "membership": "join", "displayname": "Alice", "avatar_url": "mxc://a/b" })
    );
    assert_eq!(content("@bob:example.org"), json!({ "membership": "invite", "is_direct": true }));
    assert_ne!(room_id, self::create(&edge, json!({ "name": "Nest" })).unwrap());
}

#[test]
fn an_alias_is_reserved_first_and_given_back_when_the_hub_refuses() {
    let edge = edge();
    let room_id = create(&edge, json!({ "room_alias_name": "nest", "visibility": "public" })).unwrap();
    let resolve = |text: &str| edge.run(join::resolve(&edge, &config(), text));
    assert_eq!(resolve("#nest:example.org").unwrap(), room_id);
    assert_eq!(code(create(&edge, json!({ "room_alias_name": "nest" }))), (400, "M_ROOM_IN_USE".to_owned()));
    assert_eq!(created(&edge).len(), 1);

    edge.hubs.rooms(|_, _| error_reply(MatrixError::new(400, "M_INVALID_ROOM_STATE", "no")));
    assert_eq!(code(create(&edge, json!({ "room_alias_name": "ledge" }))), (400, "M_INVALID_ROOM_STATE".to_owned()));
    assert_eq!(code(resolve("#ledge:example.org")), (404, "M_NOT_FOUND".to_owned()));
    edge.hubs.rooms(|_, _| reply(Sent { event_id: "$event".try_into().unwrap() }));
    create(&edge, json!({ "room_alias_name": "ledge" })).unwrap();
}

#[test]
fn a_request_for_what_cannot_be_reaches_no_hub() {
    let edge = edge();
    let many: Vec<String> = (0..101).map(|number| format!("@u{number}:example.org")).collect();
    for (body, refused) in [
        (json!({ "room_version": "0" }), (400, "M_UNSUPPORTED_ROOM_VERSION")),
        (json!({ "preset": "odd" }), (400, "M_INVALID_PARAM")),
        (json!({ "invite": ["nobody"] }), (400, "M_INVALID_PARAM")),
        (json!({ "invite": many }), (400, "M_INVALID_PARAM")),
    ] {
        assert_eq!(code(create(&edge, body.clone())), (refused.0, refused.1.to_owned()), "{body}");
    }
    assert_eq!(edge.hubs.sent_to_rooms().len(), 0);
}

#[test]
fn rooms_are_found_by_id_or_local_alias() {
    let edge = edge();
    let resolve = |text: &str| edge.run(join::resolve(&edge, &config(), text));
    assert_eq!(resolve("!r:example.org").unwrap(), "!r:example.org");
    for (text, refused) in [
        ("#none:example.org", (404, "M_NOT_FOUND")),
        ("#none:example.com", (404, "M_NOT_FOUND")),
        ("nest", (400, "M_INVALID_PARAM")),
        ("", (400, "M_INVALID_PARAM")),
    ] {
        assert_eq!(code(resolve(text)), (refused.0, refused.1.to_owned()), "{text}");
    }
}

#[test]
fn who_comes_in_brings_a_profile_and_who_goes_does_not() {
    let edge = edge();
    let seen: Rc<RefCell<Vec<ChangeMembership>>> = Rc::default();
    let sink = Rc::clone(&seen);
    edge.hubs.rooms(move |_, command| {
        if let RoomCommand::ChangeMembership(change) = command {
            sink.borrow_mut().push(*change);
        }
        reply(Sent { event_id: "$event".try_into().unwrap() })
    });
    let (alice, bob) = (user_id!("@alice:example.org"), user_id!("@bob:example.org"));
    let room_id = ruma::room_id!("!r:example.org");
    for (caller, action, target) in [
        (alice, MembershipAction::Join, alice),
        (bob, MembershipAction::Invite, alice),
        (alice, MembershipAction::Kick, bob),
        (alice, MembershipAction::Knock, alice),
        (alice, MembershipAction::Leave, alice),
    ] {
        let membership_change = MembershipChange { caller, action, target, reason: Some("why") };
        edge.run(join::change(&edge, &config(), room_id, membership_change)).unwrap();
    }
    let profile = Some(json!({ "displayname": "Alice", "avatar_url": "mxc://a/b" }));
    let contents: Vec<Option<Value>> =
        seen.borrow().iter().map(|change| change.content.as_ref().map(|content| content.read().unwrap())).collect();
    assert_eq!(contents, [profile.clone(), profile.clone(), None, profile, None]);
    assert!(seen.borrow().iter().all(|change| change.reason.as_deref() == Some("why")));

    let carol = user_id!("@carol:example.com");
    let membership_change = |action| MembershipChange { caller: alice, action, target: carol, reason: None };
    edge.run(join::change(&edge, &config(), room_id, membership_change(MembershipAction::Ban))).unwrap();
}

#[test]
fn a_profile_is_there_also_before_the_first_login() {
    let edge = edge();
    let read = |user_id| edge.run(profile::read(&edge, &config(), user_id));
    assert_eq!(read(user_id!("@alice:example.org")).unwrap().len(), 3);
    assert_eq!(code(read(user_id!("@bob:example.org"))), (404, "M_NOT_FOUND".to_owned()));
    assert_eq!(code(read(user_id!("@alice:example.com"))), (404, "M_NOT_FOUND".to_owned()));
    edge.run(add_user(&edge, &config(), "bob", "secret", true)).unwrap();
    assert_eq!(read(user_id!("@bob:example.org")).unwrap().len(), 0);
}

#[test]
fn push_rules_are_the_predefined_ones_until_they_change() {
    let edge = edge();
    let session = || SessionRef { device_id: "DEVICE".into(), session_id: "session".to_owned() };
    let read = |view| edge.run(push::read(&edge, user_id!("@alice:example.org"), session(), view));
    assert_eq!(read(push::View::Enabled("override", ".m.rule.master")).unwrap().text(), r#"{"enabled":false}"#);
    assert_eq!(code(read(push::View::Kind("odd"))), (404, "M_NOT_FOUND".to_owned()));
}

#[test]
fn a_search_finds_those_with_whom_a_room_is_shared_unless_the_operator_wants_everybody() {
    let edge = Edge::new();
    for name in ["anna", "annabel", "annika"] {
        edge.run(add_user(&edge, &config(), name, "secret", false)).unwrap();
    }
    edge.hubs.users(|_, command| match command {
        UserCommand::ListSharedUsers(_) => reply(vec![user_id!("@annabel:example.org").to_owned()]),
        other => panic!("unexpected {}", other.name()),
    });
    let find = |everybody: bool, term: &str| {
        let mut config = config();
        config.accounts.everybody_is_found = everybody;
        let session = SessionRef { device_id: "D".into(), session_id: "s".to_owned() };
        let found = edge.run(search(&edge, &config, (user_id!("@anna:example.org"), session), term, None)).unwrap();
        found.users.into_iter().map(|user| user.user_id.localpart().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(find(true, "ann"), ["annabel", "annika"]);
    assert_eq!(find(false, "Ann"), ["annabel"]);
    assert_eq!(find(false, "@annika:example.org"), ["annika"]);
}

#[test]
fn a_suspended_user_makes_no_room_and_comes_into_none_and_may_leave() {
    let edge = edge();
    edge.standing.set(Standing::Suspended);
    let suspended = (403, "M_USER_SUSPENDED".to_owned());
    assert_eq!(code(create(&edge, json!({}))), suspended);
    assert_eq!(code(create(&edge, json!({ "room_alias_name": "nest" }))), suspended);
    let (alice, bob) = (user_id!("@alice:example.org"), user_id!("@bob:example.org"));
    let room_id = ruma::room_id!("!r:example.org");
    let change = |action, target| {
        edge.run(join::change(
            &edge,
            &config(),
            room_id,
            MembershipChange { caller: alice, action, target, reason: None },
        ))
    };
    for (action, target) in [
        (MembershipAction::Join, alice),
        (MembershipAction::Knock, alice),
        (MembershipAction::Invite, bob),
        (MembershipAction::Kick, bob),
        (MembershipAction::Ban, bob),
        (MembershipAction::Unban, bob),
    ] {
        assert_eq!(code(change(action, target)), suspended, "{action:?}");
    }
    assert_eq!(edge.hubs.sent_to_rooms().len(), 0);
    change(MembershipAction::Leave, alice).unwrap();

    edge.standing.set(Standing::Good);
    create(&edge, json!({ "room_alias_name": "nest" })).unwrap();
}
