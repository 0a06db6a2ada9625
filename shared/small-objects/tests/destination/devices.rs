//! Keys of the server's users: asked for once, kept while they are true, and whoever has looked hears of changes.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use ruma::OwnedUserId;
use serde_json::{Value, json};
use tern_model::StreamPos;
use tern_ports::{
    Target, Unreachable,
    outbound::HttpError,
    wire::{
        UserCommand, frame,
        keys::{NotedDeviceList, RemoteUser},
        remote_keys::{NoteRemoteDevices, QueryRemoteKeys, RemoteKeys},
    },
};
use tern_testkit::web::Page;

use crate::support::{DAY, Scene};

const EVE: &str = "@eve:a.org";
const ALICE: &str = "@alice:tern.test";
const BOB: &str = "@bob:tern.test";

/// The hubs of users here, as far as they follow devices.
#[derive(Default)]
struct Hubs {
    /// Where each was told last; one who is not here shares no room.
    at: RefCell<BTreeMap<String, u64>>,
    told: RefCell<Vec<String>>,
    out: Cell<bool>,
}

struct Play {
    scene: Scene,
    hubs: Rc<Hubs>,
    /// What the server says of its users: how often their devices have changed.
    version: Rc<Cell<u64>>,
    asked: Rc<Cell<u32>>,
}

impl Play {
    fn new() -> Self {
        let scene = Scene::new("a.org:8448", Vec::new(), &[]);
        let (hubs, version, asked) = (Rc::<Hubs>::default(), Rc::new(Cell::new(1)), Rc::<Cell<u32>>::default());
        let heard = Rc::clone(&hubs);
        scene.host.rooms.replace(Some(Rc::new(move |target, bytes| heard.answer(target, bytes))));
        let (says, counts) = (Rc::clone(&version), Rc::clone(&asked));
        scene.peer(move |request| {
            assert_eq!(request.url.path(), "/_matrix/federation/v1/user/keys/query");
            counts.set(counts.get() + 1);
            Some(Ok(Page::of("application/json", answer(request.body.as_deref().unwrap(), says.get()))))
        });
        Self { scene, hubs, version, asked }
    }

    fn query(&self, asker: &str, user_id: &str, shared_at: Option<u64>) -> RemoteKeys {
        let user = RemoteUser { user_id: user_id.try_into().unwrap(), shared_at: shared_at.map(StreamPos) };
        let ask = QueryRemoteKeys { asker: asker.try_into().unwrap(), users: vec![user].try_into().unwrap() };
        let reply = self.scene.host.executor.run(self.scene.actor.handle(ask.into()));
        self.scene.host.sqlite.make_durable();
        frame::read_reply(&reply).unwrap()
    }

    /// The version that somebody sees, and whether the server was asked for it.
    fn sees(&self, asker: &str, shared_at: impl Into<Option<u64>>) -> (u64, bool) {
        let before = self.asked.get();
        let keys = self.query(asker, EVE, shared_at.into());
        assert_eq!(keys.failure, None);
        let devices: Value = keys.found[0].keys.as_ref().unwrap().devices.read().unwrap();
        (devices["D"]["version"].as_u64().unwrap(), self.asked.get() > before)
    }

    /// Where a hub says it was told.
    fn at(&self, user_id: &str) -> u64 {
        self.hubs.at.borrow()[user_id]
    }

    fn change(&self) {
        self.version.set(self.version.get() + 1);
        let note = NoteRemoteDevices { users: vec![OwnedUserId::try_from(EVE).unwrap()].try_into().unwrap() };
        let reply = self.scene.host.executor.run(self.scene.actor.handle(note.into()));
        frame::read_reply::<Value>(&reply).unwrap();
        self.scene.host.sqlite.make_durable();
    }
}

impl Hubs {
    fn answer(&self, target: &Target, bytes: &[u8]) -> Result<Vec<u8>, Unreachable> {
        let (Target::User(user_id), UserCommand::NoteDeviceList(note)) = (target, frame::read(bytes).unwrap()) else {
            panic!("{target:?}")
        };
        if self.out.get() {
            return Err(Unreachable("down".to_owned()));
        }
        assert_eq!(note.user_id, EVE);
        self.told.borrow_mut().push(user_id.to_string());
        let mut at = self.at.borrow_mut();
        let at = at.get_mut(user_id.as_str()).map(|at| {
            *at += 10;
            StreamPos(*at)
        });
        Ok(frame::write_reply(&Ok(NotedDeviceList { shared_at: at })))
    }
}

fn answer(body: &[u8], version: u64) -> String {
    let body: Value = serde_json::from_slice(body).unwrap();
    let users = body["device_keys"].as_object().unwrap().keys();
    let device = |user_id: &str, id: &str| json!({ "user_id": user_id, "device_id": id, "version": version });
    let mut devices: BTreeMap<_, _> = users
        .map(|user_id| {
            let wrong = device("@mallory:a.org", "WRONG");
            (user_id.clone(), json!({ "D": device(user_id, "D"), "WRONG": wrong, "OTHER": device(user_id, "D") }))
        })
        .collect();
    devices.insert(ALICE.to_owned(), json!({ "D": device(ALICE, "D") }));
    let master = json!({ EVE: { "user_id": EVE, "usage": ["master"] }, "@x:a.org": { "user_id": EVE } });
    json!({ "device_keys": devices, "master_keys": master }).to_string()
}

#[test]
fn a_server_is_believed_about_its_own_users_as_they_were_asked_for() {
    let play = Play::new();
    let keys = play.query(ALICE, EVE, None);
    assert_eq!((keys.found.len(), &keys.failure), (1, &None));
    let of_eve = keys.found[0].keys.clone().unwrap();
    let devices: BTreeMap<String, Value> = of_eve.devices.read().unwrap();
    assert_eq!(devices.into_keys().collect::<Vec<_>>(), ["D"]);
    assert!(of_eve.master.is_some());
    assert_eq!(play.query(ALICE, "@x:a.org", None).found[0].keys.as_ref().unwrap().master, None);
    // Whoever shares no room asks every time, and leaves nothing here.
    assert_eq!((play.sees(ALICE, None), play.sees(ALICE, None)), ((1, true), (1, true)));
    assert!(tern_ports::Sql::query(&play.scene.host.sqlite, "SELECT 1 FROM sqlite_master", &[]).unwrap().is_empty());
}

#[test]
fn what_is_kept_is_what_the_server_would_say() {
    let mut play = Play::new();
    play.hubs.at.replace(BTreeMap::from([(ALICE.to_owned(), 1), (BOB.to_owned(), 1)]));
    assert_eq!((play.sees(ALICE, 1), play.sees(ALICE, 1)), ((1, true), (1, false)));
    assert_eq!((play.sees(BOB, 1), play.sees(BOB, 1)), ((1, true), (1, false)), "who comes later asks once");
    play.scene.crash();
    assert_eq!(play.sees(ALICE, 1), (1, false));
    // It changes: both hear of it before the server is answered, and one question serves both.
    play.scene.pass(1_000);
    play.change();
    assert_eq!(play.hubs.told.take(), [ALICE, BOB]);
    play.scene.pass(1_000);
    assert_eq!(play.sees(ALICE, play.at(ALICE)), (2, true));
    assert_eq!(play.sees(BOB, play.at(BOB)), (2, false));
    // Alice has left the last room that she shared, was told of nothing, and came back.
    play.scene.pass(1_000);
    play.version.set(3);
    assert_eq!(play.sees(ALICE, 99), (3, true));
    play.scene.pass(2 * DAY);
    play.version.set(4);
    assert_eq!(play.sees(BOB, play.at(BOB)), (4, true), "nothing is believed for ever");
    // Who shares no room any more is not told again.
    play.hubs.at.borrow_mut().remove(BOB);
    for told in [vec![ALICE, BOB], vec![ALICE]] {
        play.scene.pass(1_000);
        play.change();
        assert_eq!(play.hubs.told.take(), told);
    }
}

#[test]
fn a_hub_that_cannot_be_told_is_told_later_and_the_old_keys_are_gone_at_once() {
    let mut play = Play::new();
    play.hubs.at.replace(BTreeMap::from([(ALICE.to_owned(), 1)]));
    play.sees(ALICE, 1);
    play.scene.pass(1_000);
    play.hubs.out.set(true);
    play.change();
    play.scene.pass(1_000);
    assert_eq!(play.sees(ALICE, 1), (2, true), "whoever looks anyway sees what is true");
    play.scene.crash();
    play.scene.pass(60_000);
    assert!(play.hubs.told.take().is_empty());
    play.hubs.out.set(false);
    play.scene.pass(DAY);
    assert_eq!(play.hubs.told.take(), [ALICE]);
    assert_eq!(play.scene.host.alarm.get(), None);
}

#[test]
fn a_server_that_fails_is_named_and_what_is_kept_is_given_all_the_same() {
    let play = Play::new();
    play.hubs.at.replace(BTreeMap::from([(ALICE.to_owned(), 1)]));
    play.sees(ALICE, 1);
    for answer in [
        Err(HttpError::Late),
        Ok(Page::of("application/json", "[]")),
        Ok(Page { status: 403, ..Page::of("application/json", "{}") }),
    ] {
        play.scene.pass(3_600_000);
        play.scene.peer(move |_| Some(answer.clone()));
        assert_eq!(play.query(ALICE, EVE, Some(1)).found.len(), 1);
        let failed = play.query(ALICE, "@x:a.org", None);
        assert_eq!(failed.failure.unwrap().errcode, "M_UNREACHABLE");
    }
}
