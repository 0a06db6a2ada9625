//! Changed devices, typing and receipts of users here: what the server is told of them, and what it costs.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use serde_json::{Value, json};
use tern_model::{EventRef, Millis, RawJson};
use tern_ports::{
    Sql as _, ask_storage,
    outbound::HttpError,
    wire::{
        DestinationCommand, Done,
        destination::EnqueueDeviceList,
        ephemeral::{ReadReceipt, SendEphemeral, Typist},
        frame,
        keys::{PublicKeys, PublishKeys},
    },
};
use tern_testkit::web::Page;

use crate::support::{DAY, NEVER, Scene};

const ALICE: &str = "@alice:tern.test";
const BOB: &str = "@bob:tern.test";
const MINUTE: u64 = 60_000;

/// A transaction: its id, and its EDUs.
type Sent = (String, Vec<Value>);

struct Play {
    scene: Scene,
    /// The transactions that reached the server.
    sent: Rc<RefCell<Vec<Sent>>>,
    /// What it answers.
    status: Rc<Cell<u16>>,
}

impl Play {
    fn new() -> Self {
        let scene = Scene::new("a.org:8448", Vec::new(), &[]);
        let (sent, status) = (Rc::<RefCell<Vec<_>>>::default(), Rc::new(Cell::new(200)));
        let (heard, says) = (Rc::clone(&sent), Rc::clone(&status));
        scene.peer(move |request| {
            let id = request.url.path().strip_prefix("/_matrix/federation/v1/send/")?.to_owned();
            let body: Value = serde_json::from_slice(request.body.as_deref().unwrap()).unwrap();
            heard.borrow_mut().push((id, body["edus"].as_array().unwrap().clone()));
            let page = Page { status: says.get(), ..Page::of("application/json", "{}") };
            Some(if says.get() == 0 { Err(NEVER) } else { Ok::<_, HttpError>(page) })
        });
        Self { scene, sent, status }
    }

    fn ask(&self, command: impl Into<DestinationCommand>) {
        let reply = self.scene.host.executor.run(self.scene.actor.handle(command.into()));
        frame::read_reply::<Done>(&reply).unwrap();
        self.scene.host.executor.settle();
    }

    fn publish(&self, version: u64, devices: &Value, master: Option<&Value>) {
        let raw = |value: &Value| RawJson::from_value(value).unwrap();
        let keys = PublicKeys { devices: raw(devices), master: master.map(raw), self_signing: None };
        let copy = PublishKeys { user_id: ALICE.try_into().unwrap(), version, keys: Some(keys) };
        self.scene.host.executor.run(ask_storage(&*self.scene.host, copy)).unwrap();
        self.ask(EnqueueDeviceList { user_id: ALICE.try_into().unwrap(), version });
    }

    fn types(&self, user_id: &str, typing: bool) {
        let typing = vec![Typist { user_id: user_id.try_into().unwrap(), typing }];
        self.tell(typing, Vec::new());
    }

    fn reads(&self, user_id: &str, event_id: &str, thread_id: Option<&str>) {
        let event_id = EventRef::try_from(event_id).unwrap();
        let thread_id = thread_id.map(|id| id.try_into().unwrap());
        self.tell(
            Vec::new(),
            vec![ReadReceipt { user_id: user_id.try_into().unwrap(), event_id, thread_id, ts: Millis(5) }],
        );
    }

    fn tell(&self, typing: Vec<Typist>, receipts: Vec<ReadReceipt>) {
        let (typing, receipts) = (typing.try_into().unwrap(), receipts.try_into().unwrap());
        self.ask(SendEphemeral { room_id: "!r:tern.test".try_into().unwrap(), typing, receipts });
    }

    /// The EDUs since this was last asked, by transaction.
    fn take(&self) -> Vec<Vec<Value>> {
        self.sent.take().into_iter().map(|(_, edus)| edus).collect()
    }
}

fn kinds(edus: &[Value]) -> Vec<&str> {
    edus.iter().map(|edu| edu["edu_type"].as_str().unwrap()).collect()
}

#[test]
fn a_change_of_devices_has_the_server_ask_for_all_of_them() {
    let mut play = Play::new();
    let device =
        |id: &str| json!({ "user_id": ALICE, "device_id": id, "keys": {}, "unsigned": { "device_display_name": "?" } });
    play.publish(3, &json!({ "ONE": device("ONE"), "TWO": device("TWO") }), Some(&json!({ "user_id": ALICE })));
    let sent = play.take();
    assert_eq!(kinds(&sent[0]), ["m.device_list_update", "m.signing_key_update", "org.matrix.signing_key_update"]);
    let content = &sent[0][0]["content"];
    assert_eq!(
        (&content["user_id"], &content["device_id"], &content["stream_id"]),
        (&json!(ALICE), &json!("ONE"), &json!(6))
    );
    assert_eq!(content["prev_id"], json!([5]), "which nobody has ever seen");
    assert_eq!(content["keys"], json!({ "user_id": ALICE, "device_id": "ONE", "keys": {} }));
    assert_eq!(sent[0][1]["content"]["master_key"]["user_id"], ALICE);
    // While it is away changes are one, and none is lost; what is told twice is told once.
    play.status.set(503);
    play.publish(4, &json!({ "ONE": device("ONE") }), None);
    for version in [5, 6, 5] {
        play.ask(EnqueueDeviceList { user_id: ALICE.try_into().unwrap(), version });
    }
    play.scene.crash();
    play.status.set(200);
    play.take();
    play.scene.pass(DAY);
    let ids: Vec<_> = play.take().iter().map(|edus| edus[0]["content"]["stream_id"].clone()).collect();
    assert_eq!(ids, [8, 12], "the one that was on its way, and the newest");
    play.publish(7, &json!({}), None);
    let content = play.take()[0][0]["content"].clone();
    assert_eq!((&content["deleted"], &content["stream_id"]), (&json!(true), &json!(14)));
    assert_eq!(play.scene.host.alarm.get().map(|_| ()), Some(()), "the alarm of what was just sent");
    play.scene.pass(MINUTE);
    assert!(play.take().is_empty() && play.scene.host.alarm.get().is_none());
}

#[test]
fn typing_and_receipts_write_nothing_and_what_is_newer_takes_their_place() {
    let mut play = Play::new();
    play.types(ALICE, true);
    let rows = play.scene.host.sqlite.rows_written();
    let typing = |user_id: &str, typing: bool| json!({ "edu_type": "m.typing", "content": { "room_id": "!r:tern.test", "user_id": user_id, "typing": typing } });
    assert_eq!(play.take(), [[typing(ALICE, true)]]);
    // The server takes its time: what comes meanwhile waits together.
    play.status.set(0);
    play.types(ALICE, false);
    play.reads(ALICE, "$1", None);
    play.reads(ALICE, "$2", None);
    play.reads(ALICE, "$3", Some("main"));
    play.reads(BOB, "$1", None);
    play.types(BOB, true);
    play.types(BOB, false);
    assert_eq!(play.take(), [[typing(ALICE, false)]]);
    play.scene.crash();
    play.status.set(200);
    play.reads(ALICE, "$4", None);
    let receipt = |user_id: &str, event_id: &str| {
        let read = json!({ user_id: { "data": { "ts": 5 }, "event_ids": [event_id] } });
        json!({ "edu_type": "m.receipt", "content": { "!r:tern.test": { "m.read": read } } })
    };
    assert_eq!(play.take(), [[receipt(ALICE, "$4")]], "what was in memory is gone with it");
    // A server that is away is sent nothing by itself, and everything that is still worth it when it is back.
    play.status.set(503);
    play.types(ALICE, true);
    play.reads(ALICE, "$5", None);
    play.reads(ALICE, "$6", None);
    play.reads(ALICE, "$7", Some("$root"));
    assert_eq!(play.take().len(), 1);
    assert_eq!(play.scene.host.sqlite.rows_written(), rows);
    play.status.set(200);
    play.scene.pass(MINUTE);
    play.types(BOB, true);
    let sent = play.take().concat();
    let mut threaded = receipt(ALICE, "$7");
    threaded["content"]["!r:tern.test"]["m.read"][ALICE]["data"]["thread_id"] = "$root".into();
    for expected in [receipt(ALICE, "$6"), threaded, typing(BOB, true)] {
        assert!(sent.contains(&expected), "{expected} is not in {sent:?}");
    }
    assert_eq!(sent.len(), 3);
}

#[test]
fn beside_what_is_durable_they_go_along() {
    let play = Play::new();
    play.status.set(503);
    play.ask(EnqueueDeviceList { user_id: ALICE.try_into().unwrap(), version: 1 });
    play.types(ALICE, true);
    play.reads(ALICE, "$1", None);
    play.take();
    play.status.set(200);
    play.scene.pass(MINUTE);
    let sent = play.take();
    assert_eq!(sent.concat().len(), 3, "{sent:?}");
}
