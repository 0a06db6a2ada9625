//! A user of this server joins a room of another one: the room is made of what that one tells of it. Both servers are real
//! rooms' hubs here.

use std::{cell::Cell, rc::Rc};

use serde_json::{Value, json};
use tern_model::{BoundedJson, BoundedVec, Config, EventRef, Handshake, MatrixError, Millis, Name, Pdu, RawJson};
use tern_ports::{
    Clock as _, Sql as _,
    wire::{
        DestinationCommand,
        adopt::{AdoptRoom, ListResidents},
        destination::RemoteAnswer,
        frame,
        handshake::{MakeMember, SendMember, SentMember},
        invite::PrepareInvite,
        receive::ReceiveEvents,
        room::MembershipAction,
        server_keys::StoredServerKey,
    },
};
use tern_room::{Version, template::complete};
use tern_room_hub::RoomActor;
use tern_testkit::TestHost;

use super::{
    around::{Around, Wires},
    far::{AWAY, keys, pdu_of, results, signer},
    scene::{ALICE, BOB, Scene, body, config, raw, texts, user},
};

const EVE: &str = "@eve:far.test";

/// The room as far.test has it; nothing yet.
fn far_away(home: &Scene) -> Scene {
    let around = Around::new();
    let config = Config {
        server_name: AWAY.0.try_into().unwrap(),
        signing_key_id: AWAY.1.to_owned(),
        signing_key: vec![AWAY.2; 32],
        ..Rc::unwrap_or_clone(config())
    };
    let (config, room_id) = (Rc::new(config), home.room_id.clone());
    let host = TestHost::on(Rc::new(Wires(Rc::clone(&around))));
    let actor = Rc::new(RoomActor::new(Rc::clone(&host), Rc::clone(&config), room_id.clone()));
    around.rooms.borrow_mut().insert(room_id.clone(), Rc::clone(&actor));
    Scene { around, host, config, room_id, actor }
}

fn home(version: &str) -> Scene {
    let scene = Scene::of(&json!({ "preset": "public_chat", "room_version": version, "name": "Nest" }));
    scene.act(BOB, MembershipAction::Join, BOB).unwrap();
    scene.say(ALICE, "before");
    scene.calm();
    scene
}

/// The join of somebody far away, as the template of home leads to it.
pub(crate) fn made(home: &Scene, user_id: &str) -> (&'static Version, Pdu) {
    let versions = BoundedVec::cut(["6", "7", "8", "9", "10", "11", "12"].map(Name::cut).to_vec());
    let origin = AWAY.0.try_into().unwrap();
    let ask = MakeMember { origin, handshake: Handshake::Join, user_id: user(user_id), versions };
    let template = home.ask(ask).unwrap();
    let version = Version::find(&template.room_version).unwrap();
    let (what, who) = ((version, Handshake::Join), (&*home.room_id, &*user(user_id)));
    let content = raw(&json!({}));
    let join = complete(what, who, &template.event, &content, home.host.clock.now(), &signer(AWAY));
    (version, join.unwrap())
}

pub(crate) fn sent(home: &Scene, join: &Pdu) -> SentMember {
    let ask = SendMember {
        origin: AWAY.0.try_into().unwrap(),
        handshake: Handshake::Join,
        event_id: EventRef::new(join.id().to_owned()).unwrap(),
        event: BoundedJson::new(join.raw().clone()).unwrap(),
        keys: BoundedVec::cut(keys()),
        omit_members: false,
    };
    home.ask(ask).unwrap()
}

fn adopting((version, join): &(&'static Version, Pdu), sent: SentMember) -> AdoptRoom {
    let wired = |events: Vec<RawJson>| {
        BoundedVec::cut(events.into_iter().map(|event| BoundedJson::new(event).unwrap()).collect())
    };
    AdoptRoom {
        version: Name::cut(version.id),
        user_id: user(EVE),
        event_id: EventRef::new(join.id().to_owned()).unwrap(),
        event: BoundedJson::new(sent.event).unwrap(),
        state: wired(sent.state),
        auth_chain: wired(sent.auth_chain),
        keys: BoundedVec::cut(keys()),
    }
}

/// Eve is in.
fn joined(home: &Scene, far: &Scene) {
    let join = made(home, EVE);
    far.ask(adopting(&join, sent(home, &join.1))).unwrap();
    far.host.settle();
}

/// What the present state is, as far as it is the same everywhere.
fn present(scene: &Scene) -> Vec<(String, String, String)> {
    let sql = "SELECT s.kind, s.state_key, e.event_id FROM state s JOIN events e ON e.seq = s.seq ORDER BY 1, 2";
    let rows = scene.host.sqlite.query(sql, &[]).unwrap();
    let text = |row: &tern_ports::Row, index| row.string(index).unwrap();
    rows.iter().map(|row| (text(row, 0), text(row, 1), text(row, 2))).collect()
}

/// The newest events of a room, oldest first.
fn newest(scene: &Scene, count: usize) -> Vec<Pdu> {
    let sql = "SELECT event_id, pdu FROM events ORDER BY seq DESC LIMIT +?";
    let mut rows: Vec<Pdu> =
        scene.host.sqlite.query(sql, &[(count as u64).into()]).unwrap().iter().map(pdu_of).collect();
    rows.reverse();
    rows
}

/// One side hears of the newest events of the other one.
fn hears(listener: &Scene, speaker: &Scene, count: usize) -> Vec<String> {
    let events = newest(speaker, count).iter().map(|pdu| pdu.raw().clone()).collect();
    let origin = speaker.config.server_name.clone();
    let receipts = listener.ask(ReceiveEvents { origin, version: None, events, outliers: Vec::new(), keys: keys() });
    results(&receipts.unwrap())
}

fn refusal<T: std::fmt::Debug>(result: Result<T, MatrixError>) -> (u16, String) {
    let error = result.unwrap_err();
    (error.status, error.errcode.into_owned())
}

#[test]
fn a_room_of_another_server_is_joined_and_both_sides_go_on_in_it() {
    for version in ["6", "7", "8", "9", "10", "11", "12"] {
        let home = home(version);
        let far = far_away(&home);
        assert_eq!(refusal(far.act(EVE, MembershipAction::Join, EVE)).0, 404, "it is not here");
        joined(&home, &far);
        assert_eq!(present(&home), present(&far), "version {version}");
        assert_eq!(far.around.told.borrow().iter().map(|(who, _)| who.as_str()).collect::<Vec<_>>(), [EVE]);
        let told = far.told(EVE).remove(0);
        assert_eq!(told.events.len(), 1, "what was before is no news");
        assert!(far.around.enqueued.borrow().is_empty(), "the other server has the join");

        home.say(ALICE, "from home");
        assert_eq!(hears(&far, &home, 1), ["accepted"]);
        far.say(EVE, "from far");
        assert_eq!(hears(&home, &far, 1), ["accepted"]);
        far.host.settle();
        assert_eq!(far.around.enqueued.borrow().len(), 1, "from then on it is told");
        assert_eq!(texts(&far.walk(EVE, false, 50)), ["from home", "from far"]);
        far.ring_until_silent();
        assert_eq!(far.probe().forwarded, far.probe().newest, "it is stored like any room");
    }
}

#[test]
fn what_others_say_while_somebody_joins_is_understood() {
    let home = home("11");
    let far = far_away(&home);
    let join = made(&home, EVE);
    home.say(ALICE, "meanwhile");
    let meanwhile = newest(&home, 1);
    far.ask(adopting(&join, sent(&home, &join.1))).unwrap();
    let events = vec![meanwhile[0].raw().clone()];
    let origin = home.config.server_name.clone();
    let receipts = far.ask(ReceiveEvents { origin, version: None, events, outliers: Vec::new(), keys: keys() });
    assert_eq!(results(&receipts.unwrap()), ["accepted"]);
    far.say(EVE, "after both");
    assert_eq!(newest(&far, 1)[0].prev().len(), 2);
    assert_eq!(hears(&home, &far, 1), ["accepted"]);
    assert_eq!(present(&home), present(&far));
}

#[test]
fn a_room_that_was_left_is_joined_through_others_again_with_the_state_of_now() {
    let home = home("11");
    let far = far_away(&home);
    joined(&home, &far);
    let residents = || far.ask(ListResidents { user_id: user(EVE) }).unwrap();
    assert_eq!(residents().iter().map(|server| server.as_str()).collect::<Vec<_>>(), ["tern.test", "far.test"]);
    far.act(EVE, MembershipAction::Leave, EVE).unwrap();
    assert_eq!(hears(&home, &far, 1), ["accepted"]);
    home.set(ALICE, "m.room.topic", "", &json!({ "topic": "new" })).unwrap();
    home.set(ALICE, "m.room.name", "", &json!({ "name": "Another" })).unwrap();
    home.act(BOB, MembershipAction::Leave, BOB).unwrap();
    assert_eq!(refusal(far.act(EVE, MembershipAction::Join, EVE)).0, 404, "what is known is old");
    assert_eq!(refusal(far.act(EVE, MembershipAction::Knock, EVE)).0, 404);

    joined(&home, &far);
    assert_eq!(present(&home), present(&far));
    home.say(ALICE, "welcome");
    assert_eq!(hears(&far, &home, 1), ["accepted"]);
    far.say(EVE, "thanks");
    assert_eq!(hears(&home, &far, 1), ["accepted"]);
    far.ring_until_silent();
    assert_eq!(far.probe().forwarded, far.probe().newest);
    // Somebody else of this server needs nobody else.
    far.act("@frank:far.test", MembershipAction::Join, "@frank:far.test").unwrap();
    let join = made(&home, EVE);
    let again = far.ask(adopting(&join, sent(&home, &join.1)));
    assert_eq!(refusal(again), (400, "M_ROOM_IN_USE".to_owned()));
}

#[test]
fn what_is_not_genuine_is_left_out_and_what_is_no_room_leaves_nothing() {
    let home = home("11");
    let join = made(&home, EVE);
    let whole = sent(&home, &join.1);
    let kind = |event: &RawJson| body(event)["type"].as_str().unwrap().to_owned();
    let altered = |wanted: &str, change: &dyn Fn(&mut Value)| {
        let alter = |event: &RawJson| {
            let mut event = body(event);
            if event["type"] == wanted {
                change(&mut event);
            }
            raw(&event)
        };
        SentMember { state: whole.state.iter().map(alter).collect(), ..whole.clone() }
    };
    // A name whose signature is not its own, and one of another room: the room is made without a name.
    let unsigned =
        altered("m.room.name", &|event| event["signatures"] = json!({ "tern.test": { "ed25519:t": "AAAA" } }));
    let of_another_room = altered("m.room.name", &|event| event["room_id"] = json!("!other:tern.test"));
    let no_event = altered("m.room.name", &|event| *event = json!({ "type": "m.room.name" }));
    for answer in [unsigned, of_another_room, no_event] {
        let far = far_away(&home);
        far.ask(adopting(&join, answer)).unwrap();
        let expected: Vec<_> = present(&home).into_iter().filter(|(kind, ..)| kind != "m.room.name").collect();
        assert_eq!(present(&far), expected);
    }
    let without = |wanted: &str| {
        let state = whole.state.iter().filter(|event| kind(event) != wanted).cloned().collect();
        let auth_chain = whole.auth_chain.iter().filter(|event| kind(event) != wanted).cloned().collect();
        SentMember { state, auth_chain, ..whole.clone() }
    };
    let power =
        altered("m.room.power_levels", &|event| event["signatures"] = json!({ "tern.test": { "ed25519:t": "AAAA" } }));
    let power = SentMember { auth_chain: without("m.room.power_levels").auth_chain, ..power };
    let mut other_join = body(&whole.event);
    other_join["content"]["displayname"] = json!("Mallory");
    other_join["content"]["membership"] = json!("leave");
    let other_join = SentMember { event: raw(&other_join), ..whole.clone() };
    let state = whole.state.clone();
    for (answer, why) in [
        (without("m.room.create"), "no create event"),
        (without("m.room.join_rules"), "nobody lets the user in"),
        (power, "power levels that nobody signed"),
        (other_join, "another join"),
        (SentMember { event: state[0].clone(), ..whole.clone() }, "no join"),
        (SentMember { state: Vec::new(), ..whole.clone() }, "no state"),
    ] {
        let far = far_away(&home);
        assert_eq!(refusal(far.ask(adopting(&join, answer))), (502, "M_UNKNOWN".to_owned()), "{why}");
        assert_eq!(far.probe().newest.0, 0, "{why}");
        assert!(far.around.told.borrow().is_empty());
        assert_eq!(refusal(far.act(EVE, MembershipAction::Leave, EVE)).0, 403, "there is no room");
        // The next attempt is not hindered by the one before.
        far.ask(adopting(&join, whole.clone())).unwrap();
        assert_eq!(present(&home), present(&far));
    }
}

#[test]
fn a_user_of_another_server_is_invited_by_what_that_one_has_signed() {
    let home = home("12");
    let prepare = || PrepareInvite { caller: user(ALICE), target: user(EVE), reason: None, content: None };
    let prepared = home.ask(prepare()).unwrap().unwrap();
    assert!(present(&home).iter().all(|(_, key, _)| key != EVE), "nothing has happened yet");
    let shown: Vec<_> = prepared.shown.iter().map(|event| body(event)["type"].as_str().unwrap().to_owned()).collect();
    assert!(shown.contains(&"m.room.create".to_owned()) && shown.contains(&"m.room.member".to_owned()), "{shown:?}");
    assert!(prepared.shown.iter().all(|event| body(event)["signatures"].is_object()), "whole events");
    home.say(ALICE, "meanwhile");
    let mut signed = body(&prepared.event);
    signed["signatures"]["far.test"] = json!({ "ed25519:f": "theirs" });
    let (origin, events) = (home.config.server_name.clone(), vec![raw(&signed)]);
    let receive = ReceiveEvents { origin, version: None, events, outliers: Vec::new(), keys: keys() };
    assert_eq!(results(&home.ask(receive).unwrap()), ["accepted"]);
    assert!(present(&home).iter().any(|(_, key, id)| key == EVE && *id == prepared.event_id.to_string()));
    assert_eq!(home.ask(prepare()), Ok(None), "so it is already");
    let refused = PrepareInvite { caller: user("@stranger:tern.test"), ..prepare() };
    assert_eq!(refusal(home.ask(refused)).0, 403);
}

#[test]
fn what_was_said_before_somebody_joined_is_asked_of_others_page_by_page() {
    let home = home("11");
    for number in 0..7 {
        home.say(ALICE, &number.to_string());
    }
    let far = far_away(&home);
    joined(&home, &far);
    let all: Vec<Value> = newest(&home, 100).iter().map(|pdu| body(pdu.raw())).collect();
    let ids: Vec<String> = newest(&home, 100).iter().map(|pdu| pdu.id().to_string()).collect();
    let asked = Rc::new(Cell::new(0));
    let count = Rc::clone(&asked);
    far.around.servers.replace(Some(Rc::new(move |name, command| {
        assert_eq!(name, "tern.test");
        let DestinationCommand::SendRequest(ask) = command else {
            let own = keys().remove(0);
            let (key_id, key) = (Name::cut(own.key_id), Name::cut(own.key));
            let key = StoredServerKey { key_id, key, valid_until: Millis(1 << 52), expired: false };
            return frame::write_reply(&Ok(vec![key]));
        };
        count.set(count.get() + 1);
        let (from, limit) = ask.target.split_once("?v=").unwrap().1.split_once("&limit=").unwrap();
        let from = from.replace("%24", "$");
        let until = ids.iter().position(|id| *id == from).unwrap() + 1;
        let limit: usize = limit.parse().unwrap();
        let mut pdus = all[until.saturating_sub(limit)..until].to_vec();
        // Nobody is believed: one of them says something else than its sender said.
        if let Some(event) = pdus.iter_mut().find(|event| event["content"]["body"] == "3") {
            event["content"]["body"] = json!("forged");
        }
        let body = Some(RawJson::from_value(&json!({ "pdus": pdus })).unwrap());
        frame::write_reply(&Ok(RemoteAnswer { status: 200, body, retry_after_ms: None }))
    })));
    let mut read = texts(&far.walk(EVE, true, 4));
    read.reverse();
    assert_eq!(read, ["before", "0", "1", "2", "4", "5", "6"]);
    assert!((3..8).contains(&asked.get()), "{}", asked.get());
    assert_eq!(texts(&far.walk(EVE, false, 50)), Vec::<String>::new(), "nothing of it is kept");
    home.set(ALICE, "m.room.history_visibility", "", &json!({ "history_visibility": "joined" })).unwrap();
    assert_eq!(hears(&far, &home, 1), ["accepted"]);
    let before = asked.get();
    assert_eq!(texts(&far.walk(EVE, true, 4)), Vec::<String>::new(), "the room shows nothing of before");
    assert_eq!(asked.get(), before);
}
