//! Rooms of other servers: which server is asked for what, and what becomes of it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod edge;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use edge::{Edge, code, config};
use ruma::{OwnedRoomId, user_id};
use serde_json::{Value, json};
use tern_edge::{enter, federation::key_cache::KeyCache, join::MembershipChange};
use tern_model::{BoundedVec, MatrixError, RawJson};
use tern_ports::{
    Unreachable,
    wire::{
        DestinationCommand, RoomCommand, UserCommand,
        destination::RemoteAnswer,
        room::{MembershipAction, Sent},
    },
};
use tern_testkit::network::{error_reply, reply};

const ROOM: &str = "!room:c.org";

fn raw(value: &Value) -> RawJson {
    RawJson::from_value(value).unwrap()
}

fn template(membership: &str) -> Value {
    json!({ "room_version": "11", "event": {
        "type": "m.room.member", "room_id": ROOM, "sender": "@alice:example.org", "state_key": "@alice:example.org",
        "content": { "membership": membership }, "prev_events": ["$p"], "auth_events": ["$a"], "depth": 3,
    }})
}

/// What a server answers to what it is asked.
type Answers = dyn Fn(&str, &str) -> Result<(u16, Value), MatrixError>;

/// The proxy, the room's hub, which is told of what others say, and what was asked of whom.
struct Scene {
    edge: Edge,
    asked: Rc<RefCell<Vec<String>>>,
    adopted: Rc<Cell<usize>>,
    /// What the hub says of what it is to be made of.
    hub: Rc<RefCell<Option<MatrixError>>>,
}

impl Scene {
    fn new(answers: Box<Answers>) -> Self {
        let scene = Self { edge: Edge::new(), asked: Rc::default(), adopted: Rc::default(), hub: Rc::default() };
        let asked = Rc::clone(&scene.asked);
        scene.edge.hubs.destinations(move |server, command| {
            let DestinationCommand::SendRequest(ask) = command else { return Err(Unreachable("keys".to_owned())) };
            let endpoint = ask.target.split(['/', '?']).filter(|part| part.contains('_')).nth(1).unwrap_or_default();
            let endpoint = if ask.target.contains("directory") { "directory" } else { endpoint };
            asked.borrow_mut().push(format!("{endpoint} {server}"));
            match answers(server.as_str(), endpoint) {
                Ok((status, body)) => reply(RemoteAnswer { status, body: Some(raw(&body)), retry_after_ms: None }),
                Err(error) => error_reply(error),
            }
        });
        scene.edge.hubs.users(|_, command| match command {
            UserCommand::ReadProfile(_) | UserCommand::ListInviters(_) => {
                error_reply(MatrixError::not_found("nothing"))
            }
            other => Err(Unreachable(format!("unexpected {}", other.name()))),
        });
        let (adopted, hub) = (Rc::clone(&scene.adopted), Rc::clone(&scene.hub));
        scene.edge.hubs.rooms(move |_, command| match command {
            RoomCommand::ChangeMembership(_) if adopted.get() == 0 => {
                error_reply(MatrixError::not_found("There is no such room"))
            }
            RoomCommand::ListResidents(_) => reply(BoundedVec::<_, 20>::cut(vec![
                ruma::owned_server_name!("b.org"),
                ruma::owned_server_name!("example.org"),
            ])),
            RoomCommand::AdoptRoom(_) | RoomCommand::ChangeMembership(_) => {
                adopted.set(adopted.get() + 1);
                match hub.borrow().clone() {
                    Some(error) if adopted.get() == 1 => error_reply(error),
                    _ => reply(Sent { event_id: "$join".try_into().unwrap() }),
                }
            }
            other => Err(Unreachable(format!("unexpected {}", other.name()))),
        });
        scene
    }

    fn join(&self, name: &str, via: &[&str]) -> Result<OwnedRoomId, MatrixError> {
        let caller = user_id!("@alice:example.org");
        let change = MembershipChange { caller, action: MembershipAction::Join, target: caller, reason: None };
        let via = via.iter().map(|server| (*server).try_into().unwrap()).collect();
        let cache = KeyCache::default();
        self.edge.run(enter::join(&self.edge, &config(), &cache, (name, via), change))
    }
}

fn room() -> (u16, Value) {
    (200, json!({ "event": template("join")["event"], "state": [{}], "auth_chain": [{}], "origin": "x" }))
}

fn unreachable() -> MatrixError {
    MatrixError::new(502, "M_UNREACHABLE", "away")
}

#[test]
fn one_server_after_the_other_is_asked_until_one_lets_the_user_in() {
    let scene = Scene::new(Box::new(|server, endpoint| match (server, endpoint) {
        ("away.org", _) => Err(unreachable()),
        ("strict.org", _) => Ok((403, json!({ "errcode": "M_FORBIDDEN", "error": "no" }))),
        ("b.org", "make_join") => Ok((200, template("leave"))),
        (_, "make_join") => Ok((200, template("join"))),
        _ => Ok(room()),
    }));
    assert_eq!(scene.join(ROOM, &["away.org", "STRICT.org", "strict.org"]).unwrap(), ROOM);
    let expected =
        ["make_join away.org", "make_join strict.org", "make_join b.org", "make_join c.org", "send_join c.org"];
    assert_eq!(*scene.asked.borrow(), expected);
    assert_eq!(scene.adopted.get(), 1);
}

#[test]
fn an_alias_of_another_server_leads_to_a_room_and_to_servers() {
    let scene = Scene::new(Box::new(|server, endpoint| match (server, endpoint) {
        ("a.org", "directory") => Ok((200, json!({ "room_id": ROOM, "servers": ["d.org", "no name", "a.org"] }))),
        (_, "directory") => Ok((404, json!({ "errcode": "M_NOT_FOUND", "error": "?" }))),
        ("d.org", "make_join") => Ok((200, template("join"))),
        ("d.org", _) => Ok(room()),
        _ => Err(unreachable()),
    }));
    assert_eq!(scene.join("#nest:a.org", &[]).unwrap(), ROOM);
    assert_eq!(*scene.asked.borrow(), ["directory a.org", "make_join a.org", "make_join d.org", "send_join d.org"]);
    assert_eq!(code(scene.join("#nest:e.org", &[])), (404, "M_NOT_FOUND".to_owned()));
    assert_eq!(code(scene.join("nest", &[])), (400, "M_INVALID_PARAM".to_owned()));
}

#[test]
fn what_servers_refuse_is_told() {
    let cases = [
        ((403, "M_FORBIDDEN"), (403, "M_FORBIDDEN")),
        ((404, "M_NOT_FOUND"), (404, "M_NOT_FOUND")),
        ((400, "M_UNABLE_TO_AUTHORISE_JOIN"), (400, "M_UNABLE_TO_AUTHORISE_JOIN")),
        ((400, "M_UNABLE_TO_GRANT_JOIN"), (400, "M_UNABLE_TO_GRANT_JOIN")),
        ((400, "M_INCOMPATIBLE_ROOM_VERSION"), (400, "M_UNSUPPORTED_ROOM_VERSION")),
        ((500, "M_FORBIDDEN"), (502, "M_UNREACHABLE")),
        ((200, "M_ODD"), (502, "M_UNREACHABLE")),
    ];
    for ((status, errcode), (ours, our_code)) in cases {
        let scene = Scene::new(Box::new(move |server, _| match server {
            "b.org" => Ok((status, json!({ "errcode": errcode, "error": "no" }))),
            _ => Err(unreachable()),
        }));
        assert_eq!(code(scene.join(ROOM, &[])), (ours, our_code.to_owned()), "{status} {errcode}");
        assert_eq!(scene.adopted.get(), 0);
    }
    let old = Scene::new(Box::new(|_, _| Ok((200, json!({ "event": template("join")["event"] })))));
    assert_eq!(code(old.join(ROOM, &[])), (400, "M_UNSUPPORTED_ROOM_VERSION".to_owned()), "version 1");
    let nobody = Scene::new(Box::new(|_, _| Err(unreachable())));
    assert_eq!(code(nobody.join(ROOM, &[])), (502, "M_UNREACHABLE".to_owned()));
}

#[test]
fn a_room_that_cannot_be_made_is_left_again() {
    let agreeable = |large: bool| {
        Scene::new(Box::new(move |_, endpoint| match endpoint {
            "make_join" => Ok((200, template("join"))),
            "make_leave" => Ok((200, template("leave"))),
            "send_join" if large => Err(MatrixError::new(502, "M_TOO_LARGE", "too long")),
            "send_join" => Ok(room()),
            _ => Ok((200, json!({}))),
        }))
    };
    let through =
        |server: &str| ["make_join", "send_join", "make_leave", "send_leave"].map(|what| format!("{what} {server}"));
    let large = agreeable(true);
    assert_eq!(code(large.join(ROOM, &[])), (413, "M_TOO_LARGE".to_owned()));
    assert_eq!(*large.asked.borrow(), through("b.org"), "it is as large elsewhere");
    let odd = agreeable(false);
    odd.hub.replace(Some(MatrixError::new(502, "M_UNKNOWN", "no room")));
    assert_eq!(odd.join(ROOM, &[]).unwrap(), ROOM, "the next one tells it right");
    assert_eq!(odd.asked.borrow().get(..4).unwrap(), through("b.org"));
    let faster = agreeable(false);
    faster.hub.replace(Some(MatrixError::new(400, "M_ROOM_IN_USE", "here")));
    assert_eq!(faster.join(ROOM, &[]).unwrap(), ROOM, "somebody else was faster");
    assert_eq!(faster.asked.borrow().len(), 2, "nobody leaves");
}
