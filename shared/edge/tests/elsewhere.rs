//! What is asked of other servers for people here: profiles, aliases, directories.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod edge;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use edge::{Edge, code, config};
use ruma::{OwnedRoomId, room_alias_id, room_id, server_name, user_id};
use serde_json::{Value, json};
use tern_edge::{
    federation::{directory, profiles::RemoteProfiles, summaries::summary},
    spaces,
};
use tern_model::{MatrixError, RawJson};
use tern_ports::wire::{
    DestinationCommand,
    destination::{RemoteAnswer, SendRequest},
    user::SessionRef,
};
use tern_testkit::network::{error_reply, reply};

/// Another server, and what it was asked.
struct Other {
    edge: Edge,
    answer: Rc<RefCell<(u16, String)>>,
    asked: Rc<RefCell<Vec<(String, SendRequest)>>>,
}

impl Other {
    fn answering(status: u16, body: &Value) -> Self {
        let other =
            Self { edge: Edge::new(), answer: Rc::new(RefCell::new((status, body.to_string()))), asked: Rc::default() };
        let (answer, asked) = (Rc::clone(&other.answer), Rc::clone(&other.asked));
        other.edge.hubs.destinations(move |server, command| {
            let DestinationCommand::SendRequest(request) = command else {
                return error_reply(MatrixError::unavailable());
            };
            asked.borrow_mut().push((server.to_string(), *request));
            let (status, body) = answer.borrow().clone();
            reply(RemoteAnswer { status, body: RawJson::parse(body).ok(), retry_after_ms: None })
        });
        other
    }

    fn says(&self, status: u16, body: &Value) {
        self.answer.replace((status, body.to_string()));
    }

    fn targets(&self) -> Vec<String> {
        self.asked.take().into_iter().map(|(server, request)| format!("{server}{}", request.target)).collect()
    }
}

#[test]
fn a_profile_elsewhere_is_asked_for_once_a_minute() {
    let other = Other::answering(200, &json!({ "displayname": "Bob", "m.tz": "Europe/Paris" }));
    let (profiles, admitted) = (RemoteProfiles::default(), Cell::new(0));
    let read = |room_for: u32| {
        let admit = || {
            admitted.set(admitted.get() + 1);
            if admitted.get() > room_for { Err(MatrixError::limit_exceeded(1)) } else { Ok(()) }
        };
        let read = profiles.read(&other.edge, user_id!("@bob:Other.org"), admit);
        other.edge.run(read).map(|profile| profile.keys().cloned().collect::<Vec<_>>())
    };
    assert_eq!(read(9), Ok(vec!["displayname".to_owned(), "m.tz".to_owned()]));
    assert_eq!(read(9).map(|fields| fields.len()), Ok(2));
    assert_eq!(other.targets(), ["other.org/_matrix/federation/v1/query/profile?user_id=%40bob%3AOther.org"]);
    for (status, body, refusal) in [
        (404, json!({ "errcode": "M_NOT_FOUND" }), (404, "M_NOT_FOUND")),
        (403, json!({ "errcode": "M_FORBIDDEN" }), (403, "M_FORBIDDEN")),
        (500, json!({}), (502, "M_UNKNOWN")),
        (200, json!([]), (502, "M_UNKNOWN")),
    ] {
        other.edge.clock.advance(60_000);
        other.says(status, &body);
        for _ in 0..2 {
            assert_eq!(code(read(9)), (refusal.0, refusal.1.to_owned()), "{body}");
        }
        assert_eq!(other.targets().len(), 1, "that there is none is remembered as well");
    }
    other.edge.clock.advance(60_000);
    assert_eq!(code(read(0)), (429, "M_LIMIT_EXCEEDED".to_owned()));
    assert_eq!(other.targets().len(), 0);
}

#[test]
fn an_alias_elsewhere_leads_to_a_room_and_servers() {
    let other = Other::answering(200, &json!({ "room_id": "!r:other.org", "servers": ["other.org", "b.org"] }));
    let find = || other.edge.run(directory::alias(&other.edge, room_alias_id!("#a b:other.org")));
    let found = find().unwrap();
    assert_eq!((found.room_id.as_str(), found.servers.len()), ("!r:other.org", 2));
    assert_eq!(other.targets(), ["other.org/_matrix/federation/v1/query/directory?room_alias=%23a%20b%3Aother.org"]);
    other.says(200, &json!({ "room_id": "nonsense" }));
    assert_eq!(code(find()), (502, "M_UNKNOWN".to_owned()));
    other.says(200, &json!({ "room_id": "!r:other.org", "servers": vec!["b.org"; 101] }));
    assert_eq!(find().unwrap().servers.len(), 100, "as many as are remembered");
}

#[test]
fn a_directory_elsewhere_is_passed_on_as_it_is_written() {
    let page = json!({ "chunk": [{ "room_id": "!r:other.org", "x": 1 }], "next_batch": "n" });
    let other = Other::answering(200, &page);
    let list = |query: &[(&str, String)], body: Option<&str>| {
        let body = body.map(|body| RawJson::parse(body.to_owned()).unwrap());
        let list = directory::public_rooms(&other.edge, server_name!("other.org"), query, body);
        other.edge.run(list).map(|page| page.text().to_owned())
    };
    let query = [("limit", "10".to_owned()), ("since", "a&b".to_owned())];
    assert_eq!(list(&query, None), Ok(page.to_string()));
    let searched = list(&[], Some(r#"{"filter":{"generic_search_term":"x"}}"#));
    assert_eq!(searched, Ok(page.to_string()));
    let asked = other.asked.take();
    assert_eq!(asked[0].1.target.as_str(), "/_matrix/federation/v1/publicRooms?limit=10&since=a%26b");
    assert_eq!(asked[1].1.target.as_str(), "/_matrix/federation/v1/publicRooms");
    assert_eq!(asked[1].1.method.name(), "POST");
    for wrong in [json!({}), json!({ "chunk": {} }), json!({ "chunk": vec![0; 501] })] {
        other.says(200, &wrong);
        assert_eq!(code(list(&[], None)), (502, "M_UNKNOWN".to_owned()));
    }
}

fn shown(room_id: &str, fields: &Value) -> Value {
    let mut room = json!({
        "room_id": room_id, "num_joined_members": 3, "guest_can_join": false, "world_readable": false, "join_rule": "public",
    });
    room.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    room
}

fn child(room_id: &str, via: &str) -> Value {
    json!({
        "type": "m.space.child", "state_key": room_id, "sender": "@a:other.org", "origin_server_ts": 1,
        "content": { "via": [via] },
    })
}

#[test]
fn a_summary_elsewhere_is_for_those_who_could_see_the_room() {
    let other = Other::answering(200, &json!({ "room": shown("!r:other.org", &json!({ "name": "R" })) }));
    let read = |memberships: &[(&str, &str)]| {
        let memberships = memberships
            .iter()
            .map(|(room_id, membership)| (OwnedRoomId::try_from(*room_id).unwrap(), (*membership).to_owned()));
        let (memberships, via) = (memberships.collect(), [server_name!("b.org").to_owned()]);
        let config = config();
        let read = summary(&other.edge, &config, room_id!("!r:other.org"), &via, &memberships);
        other.edge.run(read).map(|facts| facts.name)
    };
    assert_eq!(read(&[]), Ok(Some("R".to_owned())));
    assert_eq!(other.targets(), ["b.org/_matrix/federation/v1/hierarchy/%21r%3Aother.org?suggested_only=true"]);
    let restricted = json!({ "join_rule": "restricted", "allowed_room_ids": ["!club:b.org"] });
    other.says(200, &json!({ "room": shown("!r:other.org", &restricted) }));
    assert_eq!(code(read(&[])).0, 404);
    assert!(read(&[("!club:b.org", "join")]).is_ok());
    other.says(200, &json!({ "room": shown("!r:other.org", &json!({ "join_rule": "invite" })) }));
    assert_eq!(code(read(&[("!club:b.org", "join")])).0, 404);
    assert!(read(&[("!r:other.org", "invite")]).is_ok());
    // Of another room than was asked about nothing is believed, and both servers are asked.
    other.targets();
    other.says(200, &json!({ "room": shown("!x:other.org", &json!({})) }));
    assert_eq!(code(read(&[])).0, 404);
    assert_eq!(other.targets().len(), 2);
}

#[test]
fn a_space_elsewhere_is_shown_with_what_is_in_it() {
    let (space, inner) = ("!space:other.org", "!inner:other.org");
    let children = json!([
        child("!room:other.org", "other.org"),
        child(inner, "other.org"),
        child("!own:example.org", "other.org")
    ]);
    let root = shown(space, &json!({ "room_type": "m.space", "children_state": children }));
    let within = [shown("!room:other.org", &json!({})), shown(inner, &json!({ "room_type": "m.space" }))];
    let other = Other::answering(200, &json!({ "room": root, "children": within, "inaccessible_children": [] }));
    other.edge.hubs.users(|_, _| reply(BTreeMap::<OwnedRoomId, String>::new()));
    let read = || {
        let wanted = spaces::Wanted { via: vec![server_name!("other.org").to_owned()], ..spaces::Wanted::default() };
        let session = SessionRef { device_id: "D".into(), session_id: "s".to_owned() };
        let (edge, config) = (&other.edge, config());
        let root = room_id!("!space:other.org");
        let page = edge.run(spaces::read(edge, &config, user_id!("@alice:example.org"), session, root, &wanted));
        page.map(|page| page.rooms.iter().map(|room| room.room_id.to_string()).collect::<Vec<_>>())
    };
    // The room in it is known by the answer about the space; the space in it, and the room that is said to be here, are asked
    // about, and what comes back is about neither.
    assert_eq!(read(), Ok(vec![space.to_owned(), "!room:other.org".to_owned()]));
    assert_eq!(other.targets().len(), 3, "the space, the one in it, and a room that is not known here");
    other.says(404, &json!({}));
    assert_eq!(code(read()).0, 403);
}
