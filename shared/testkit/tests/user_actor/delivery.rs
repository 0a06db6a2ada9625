//! Notices of rooms.

use serde_json::json;
use tern_model::{EphemeralNotice, Millis, Notice, NoticeEvent, Receipt, RoomSeq, news};
use tern_ports::{
    Sql as _,
    wire::user::{Deliver, ForgetRoom, ListRooms, ProbeUser},
};
use tern_testkit::network::lost;

use crate::support::{
    Hub, Step, alice, bob, bodies, everything, from_device, member, message, notice, raw, room, rooms_only, summary,
};

#[test]
fn a_message_costs_few_rows_and_a_repeated_one_none() {
    let hub = Hub::new();
    hub.login("D");
    hub.joins("r");
    let tell = |seq| {
        hub.deliver(vec![Notice { forwarded: RoomSeq(seq - 1), ..notice("r", vec![message(seq, "hello")]) }]);
    };
    let rows: u64 = (2..200).map(|seq| hub.rows(|| tell(seq)).1).sum();
    assert!(rows <= 198 + 198 / 20 * 3, "{rows} rows for 198 messages");
    hub.host.take_wakes();
    assert_eq!(hub.rows(|| hub.says("r", 199, "hello")).1, 0);
    assert_eq!(hub.host.take_wakes(), []);
    let position = hub.ask(ProbeUser {}).unwrap().position;
    let overlap = vec![message(198, "again"), message(199, "again"), message(200, "new")];
    hub.deliver(vec![notice("r", overlap)]);
    assert_eq!(hub.ask(ProbeUser {}).unwrap().position, position + 1);
}

#[test]
fn the_inbox_keeps_what_storage_does_not_have() {
    let hub = Hub::new();
    hub.login("D");
    hub.joins("r");
    // Without the rows that wait for new events.
    let held = "SELECT count(*), min(seq) FROM inbox i JOIN room r USING (room_id) WHERE i.seq >= r.spare";
    let held = || hub.host.sqlite.query(held, &[]).unwrap()[0].clone();
    (2..=120).for_each(|seq| hub.says("r", seq, "x"));
    assert_eq!(held().int(0), Some(120), "nothing is stored elsewhere yet");
    hub.deliver(vec![Notice { forwarded: RoomSeq(90), ..notice("r", vec![message(121, "x")]) }]);
    assert!(held().int(0).unwrap() <= 76, "{:?}", held());
    assert!(held().int(1).unwrap() <= 91, "{:?}", held());
    (122..=900).for_each(|seq| hub.says("r", seq, "x"));
    assert!(held().int(0).unwrap() <= 500, "not without an end: {:?}", held());
    let all = hub.host.sqlite.query("SELECT count(*) FROM inbox", &[]).unwrap()[0].int(0);
    assert_eq!(all, Some(501), "each new event takes the row of one that left");
}

#[test]
fn after_a_gap_storage_fills_in_and_if_it_is_behind_the_room_itself() {
    for (stored, forwarded, asked) in [(9, 9, (1, 0)), (5, 9, (1, 1)), (0, 9, (1, 1)), (9, 4, (0, 1))] {
        let hub = Hub::new();
        let session = hub.login("D");
        hub.joins("r");
        let first = hub.sliding(&session, &rooms_only(), None, false).unwrap().body();
        // 2 to 9 are lost on the way.
        hub.rooms.history("r", 2, 9);
        hub.deliver(vec![Notice { forwarded: RoomSeq(forwarded), ..notice("r", vec![message(10, "m10")]) }]);
        if stored > 0 {
            hub.storage.history("r", 1, stored);
        }
        // What was missed is counted first.
        hub.host.settle();
        let hub = hub.slept();
        hub.routes.take_sent();
        let next = hub.sliding(&session, &rooms_only(), first["pos"].as_str(), true).unwrap().body();
        let timeline = bodies(&next["rooms"]["!r:x"]["timeline"]);
        assert_eq!(timeline, (2..=10).map(|seq| format!("m{seq}")).collect::<Vec<_>>());
        let calls = (hub.routes.sent_to_storage().len(), hub.routes.sent_to_rooms().len());
        assert_eq!(calls, asked, "stored to {stored}, known to be stored to {forwarded}");
        let idle = hub.sliding(&session, &rooms_only(), next["pos"].as_str(), true).unwrap();
        assert_eq!(idle.kinds() & news::ROOMS, news::ROOMS);
    }
}

#[test]
fn who_has_just_come_sees_what_was_said_before_though_storage_does_not_know_them_yet() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.storage.before_the_join("r", 9);
    let join = Some("join".to_owned());
    let arrival = notice("r", vec![member(10, alice(), "join")]);
    hub.deliver(vec![Notice { membership: join, summary: Some(summary("6")), forwarded: RoomSeq(9), ..arrival }]);
    let first = hub.sliding(&session, &rooms_only(), None, false).unwrap().body();
    let before: Vec<_> = (1..=9).map(|seq| format!("m{seq}")).collect();
    assert_eq!(bodies(&first["rooms"]["!r:x"]["timeline"]), before);
}

#[test]
fn a_room_out_of_reach_is_owed_and_does_not_park() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    let first = hub.sliding(&session, &rooms_only(), None, false).unwrap().body();
    hub.deliver(vec![notice("r", vec![message(10, "m10")])]);
    hub.routes.rooms(|_, _| lost());
    let pos = first["pos"].as_str();
    assert_eq!(hub.sliding(&session, &rooms_only(), pos, true).unwrap(), Step::Soon);
    assert_eq!(hub.classic(&session, None, true).unwrap_err().status, 503);
    let hub = hub.slept();
    hub.storage.history("r", 1, 10);
    let next = hub.sliding(&session, &rooms_only(), pos, true).unwrap();
    assert_eq!(next, Step::Soon, "by what is known here, storage cannot have it");
    hub.deliver(vec![Notice { forwarded: RoomSeq(10), ..notice("r", vec![message(11, "m11")]) }]);
    let next = hub.sliding(&session, &rooms_only(), pos, true).unwrap().body();
    assert_eq!(bodies(&next["rooms"]["!r:x"]["timeline"]).len(), 10, "nothing is lost");
}

#[test]
fn redacted_content_leaves_the_inbox() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    let first = hub.sliding(&session, &rooms_only(), None, false).unwrap().body();
    hub.says("r", 2, "a secret");
    let told = hub.sliding(&session, &rooms_only(), first["pos"].as_str(), true).unwrap().body();
    assert!(told.to_string().contains("a secret"));
    let mut redaction = message(3, "");
    redaction.kind = "m.room.redaction".to_owned();
    redaction.redacts = Some("$e2".try_into().unwrap());
    redaction.client =
        raw(&json!({"type": "m.room.redaction", "event_id": "$e3", "sender": bob(), "redacts": "$e2", "content": {}}));
    hub.deliver(vec![notice("r", vec![redaction])]);
    let dump = hub.host.sqlite.query("SELECT group_concat(client) FROM inbox", &[]).unwrap();
    assert!(!dump[0].text(0).unwrap().contains("a secret"));
    // The answer that told of it is not given again either.
    let body = hub.sliding(&session, &rooms_only(), first["pos"].as_str(), true).unwrap().body();
    let event = &body["rooms"]["!r:x"]["timeline"][0];
    assert_eq!((&event["content"], &event["unsigned"]["redacted_because"]["event_id"]), (&json!({}), &json!("$e3")));
    assert_eq!(event["event_id"], "$e2");
}

#[test]
fn replaced_state_does_not_quote_what_was_redacted() {
    let hub = Hub::new();
    hub.login("D");
    hub.joins("r");
    let topic = |seq: u64, client: serde_json::Value| {
        let mut event = message(seq, "");
        event.kind = "m.room.topic".to_owned();
        event.state_key = Some(String::new());
        event.client = raw(&client);
        event
    };
    let old = json!({"type": "m.room.topic", "state_key": "", "event_id": "$e2", "sender": bob(), "content": {"topic": "a secret"}});
    let new = json!({
        "type": "m.room.topic", "state_key": "", "event_id": "$e3", "sender": bob(), "content": {"topic": "b"},
        "unsigned": {"replaces_state": "$e2", "prev_content": {"topic": "a secret"}},
    });
    hub.deliver(vec![notice("r", vec![topic(2, old), topic(3, new)])]);
    let mut redaction = message(4, "");
    redaction.redacts = Some("$e2".try_into().unwrap());
    hub.deliver(vec![notice("r", vec![redaction])]);
    let dump = hub.host.sqlite.query("SELECT group_concat(client) FROM inbox", &[]).unwrap();
    assert!(!dump[0].text(0).unwrap().contains("a secret"));
}

#[test]
fn transaction_ids_are_for_the_device_that_sent() {
    let hub = Hub::new();
    let (phone, desk) = (hub.login("PHONE"), hub.login("DESK"));
    hub.joins("r");
    let mine = from_device(NoticeEvent { sender: alice().to_owned(), ..message(2, "mine") }, "PHONE", "t1");
    hub.deliver(vec![notice("r", vec![mine])]);
    let own = |session| {
        hub.sliding(session, &rooms_only(), None, false).unwrap().body()["rooms"]["!r:x"]["timeline"][1].clone()
    };
    assert_eq!(own(&phone)["unsigned"]["transaction_id"], "t1");
    assert_eq!(own(&desk).get("unsigned"), None);
}

#[test]
fn typing_and_receipts_wake_their_own_kind() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    let pos = hub.sliding(&session, &everything(), None, false).unwrap().body();
    hub.host.take_wakes();
    let typing = |users: Vec<ruma::OwnedUserId>| Notice {
        ephemeral: vec![EphemeralNotice::Typing(users)],
        ..notice("r", vec![])
    };
    let ((), rows) = hub.rows(|| hub.deliver(vec![typing(vec![bob().to_owned()])]));
    assert_eq!((hub.woken(), rows), (news::TYPING, 0));
    hub.deliver(vec![typing(vec![bob().to_owned()])]);
    assert_eq!(hub.woken(), 0, "the same set is no news");
    let next = hub.sliding(&session, &everything(), pos["pos"].as_str(), true).unwrap().body();
    assert_eq!(next["extensions"]["typing"]["rooms"]["!r:x"]["content"]["user_ids"], json!([bob()]));

    let receipt = Receipt {
        kind: "m.read".to_owned(),
        user_id: bob().to_owned(),
        event_id: "$e1".try_into().unwrap(),
        seq: Some(RoomSeq(1)),
        thread_id: None,
        ts: Millis(5),
    };
    // The hub sleeps in between, and forgets typing, but never a position that a client was told.
    let hub = hub.slept();
    let read = Notice { ephemeral: vec![EphemeralNotice::Receipts(vec![receipt])], ..notice("r", vec![]) };
    hub.deliver(vec![read.clone()]);
    assert_eq!(hub.woken(), news::RECEIPTS);
    hub.deliver(vec![read]);
    assert_eq!(hub.woken(), 0);
    let last = hub.sliding(&session, &everything(), next["pos"].as_str(), true).unwrap().body();
    assert!(last["extensions"]["receipts"]["rooms"]["!r:x"].is_object(), "{last}");
}

#[test]
fn invites_joins_and_leaves_show_and_a_forgotten_room_stays_forgotten() {
    let hub = Hub::new();
    let session = hub.login("D");
    let first = hub.sliding(&session, &rooms_only(), None, false).unwrap().body();
    let mut invite = member(7, alice(), "invite");
    invite.sender = bob().to_owned();
    let stripped =
        vec![raw(&json!({"type": "m.room.name", "state_key": "", "sender": bob(), "content": {"name": "Den"}}))];
    let invited = Notice { membership: Some("invite".to_owned()), stripped, ..notice("r", vec![invite]) };
    hub.deliver(vec![invited]);
    let next = hub.sliding(&session, &rooms_only(), first["pos"].as_str(), true).unwrap().body();
    assert_eq!(next["rooms"]["!r:x"]["invite_state"][0]["content"]["name"], "Den");
    let sync = hub.classic(&session, None, false).unwrap().body();
    assert!(sync["rooms"]["invite"]["!r:x"].is_object());
    assert_eq!(hub.ask(ListRooms { session: session.clone() }).unwrap(), Vec::<ruma::OwnedRoomId>::new());

    let joined = Notice {
        membership: Some("join".to_owned()),
        summary: Some(summary("12")),
        ..notice("r", vec![member(8, alice(), "join")])
    };
    hub.deliver(vec![joined]);
    assert_eq!(hub.ask(ListRooms { session: session.clone() }).unwrap(), [room("r")]);
    let forget = ForgetRoom { session: session.clone(), room_id: room("r") };
    assert_eq!(hub.ask(forget.clone()).unwrap_err().status, 400);
    let left = Notice { membership: Some("leave".to_owned()), ..notice("r", vec![member(9, alice(), "leave")]) };
    hub.deliver(vec![left.clone()]);
    hub.ask(forget.clone()).unwrap();
    hub.ask(forget).unwrap();
    hub.deliver(vec![left]);
    let hub = hub.slept();
    let fresh = hub.sliding(&session, &rooms_only(), None, false).unwrap().body();
    assert_eq!((fresh["lists"]["all"]["count"].as_u64(), fresh.get("rooms")), (Some(0), None));
    // A new invite brings it back.
    hub.deliver(vec![Notice {
        membership: Some("invite".to_owned()),
        stripped: vec![raw(&json!({}))],
        ..notice("r", vec![member(12, alice(), "invite")])
    }]);
    let back = hub.sliding(&session, &rooms_only(), None, false).unwrap().body();
    assert_eq!(back["lists"]["all"]["count"], 1);
}

#[test]
fn a_notice_is_taken_whole_or_not_at_all() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    // The hub dies before its answer leaves, so the room tells again.
    let command = Deliver { notices: vec![notice("r", vec![message(2, "once")])] };
    hub.host.run(hub.actor.handle(command.clone().into()));
    let hub = hub.crashed();
    hub.ask(command.clone()).unwrap();
    hub.ask(command).unwrap();
    let body = hub.sliding(&session, &rooms_only(), None, false).unwrap().body();
    assert_eq!(bodies(&body["rooms"]["!r:x"]["timeline"]), ["once"]);
}
