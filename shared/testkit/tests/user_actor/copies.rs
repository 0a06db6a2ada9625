//! The copy of the public keys in the storage worker: when it is written, and what waits for it.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use ruma::OwnedUserId;
use tern_ports::{
    Unreachable,
    wire::{
        DestinationCommand, Done, RoomCommand, StorageCommand, UserCommand,
        accounts::Retire,
        keys::{NotedDeviceList, PublicKeys, PublishKeys, QueryKeys, UploadKeys},
        user::{CloseSessions, RenameDevice},
    },
};
use tern_testkit::network::{lost, reply};

use crate::{
    keys::{Cross, claim, device_key, identity, upload, with_keys},
    support::{Hub, alice, later, raw},
};

/// The copies written since this was last asked.
fn copies(hub: &Hub) -> Vec<PublishKeys> {
    let copy = |command| match command {
        StorageCommand::PublishKeys(copy) => Some(*copy),
        _ => None,
    };
    let copies = hub.routes.sent_to_storage().into_iter().filter_map(copy).collect();
    hub.routes.take_sent();
    copies
}

fn copy(hub: &Hub) -> (u64, String) {
    hub.host.settle();
    let mut copies = copies(hub);
    let copy = copies.pop().unwrap();
    assert!(copies.is_empty(), "a change is one write: {copies:?}");
    (copy.version, serde_json::to_string(&copy.keys).unwrap())
}

fn storage(hub: &Hub, answer: fn() -> Result<Vec<u8>, Unreachable>) {
    hub.routes.storage(move |_| answer());
}

#[test]
fn every_change_of_public_keys_is_copied_with_the_answer() {
    let hub = Hub::new();
    let (phone, laptop) = (hub.login("PHONE"), hub.login("LAPTOP"));
    assert_eq!(copies(&hub), [], "a session has no keys");
    hub.ask(identity(&phone)).unwrap();
    assert!(matches!(copy(&hub), (1, text) if text.contains("PHONE") && !text.contains("LAPTOP")));
    hub.ask(identity(&laptop)).unwrap();
    assert!(matches!(copy(&hub), (2, text) if text.contains("PHONE") && text.contains("LAPTOP")));
    let keys = Cross::new("first");
    hub.ask(keys.upload(&phone, false)).unwrap();
    let (version, text) = copy(&hub);
    assert!(version == 3 && text.contains(&keys.master.public) && text.contains(&keys.ssk.public));
    assert!(!text.contains(&keys.usk.public), "only the user sees it");
    let name = Some("rename".to_owned());
    hub.ask(RenameDevice { session: phone.clone(), device_id: "PHONE".into(), display_name: name }).unwrap();
    assert!(matches!(copy(&hub), (4, text) if text.contains("rename")));
    hub.ask(CloseSessions { session: Some(phone.clone()), devices: Some(vec!["LAPTOP".into()]), except: None })
        .unwrap();
    assert!(matches!(copy(&hub), (5, text) if !text.contains("LAPTOP")));
    hub.ask(identity(&phone)).unwrap();
    hub.ask(with_keys(&phone, &["a"])).unwrap();
    claim(&hub, "PHONE").unwrap();
    assert_eq!(copies(&hub), [], "what changes nothing is not copied");
    let hub = hub.slept();
    hub.ask(QueryKeys { devices: Vec::new() }).unwrap();
    assert_eq!(copies(&hub), [], "nor copied again by the next life");
    hub.ask(Retire { erase: false }).unwrap();
    assert_eq!(copy(&hub), (6, r#"{"devices":{}}"#.to_owned()));
}

#[test]
fn an_upload_is_acknowledged_when_it_is_copied() {
    let hub = Hub::new();
    let (phone, laptop) = (hub.login("PHONE"), hub.login("LAPTOP"));
    hub.ask(identity(&phone)).unwrap();
    storage(&hub, lost);
    assert_eq!(hub.ask(identity(&laptop)).unwrap_err().status, 503);
    assert_eq!(
        hub.ask(identity(&laptop)).unwrap_err().status,
        503,
        "the same again changes nothing, and waits as well"
    );
    assert_eq!(hub.ask(QueryKeys { devices: Vec::new() }).unwrap_err().status, 503, "the copy would tell otherwise");
    hub.ask(with_keys(&laptop, &["a"])).expect("keys that are given out are in no copy");
    let hub = hub.crashed();
    assert_eq!(hub.ask(identity(&laptop)).unwrap_err().status, 503, "the next life knows");
    copies(&hub);
    storage(&hub, || reply(Done {}));
    hub.ask(identity(&laptop)).unwrap();
    assert!(matches!(copy(&hub), (2, text) if text.contains("LAPTOP")));
    hub.ask(QueryKeys { devices: Vec::new() }).unwrap();
}

#[test]
fn what_nobody_repeats_is_copied_by_the_alarm() {
    let hub = Hub::new();
    let (phone, laptop) = (hub.login("PHONE"), hub.login("LAPTOP"));
    hub.ask(identity(&phone)).unwrap();
    hub.ask(identity(&laptop)).unwrap();
    hub.host.settle();
    storage(&hub, lost);
    let close = CloseSessions { session: None, devices: Some(vec!["LAPTOP".into()]), except: None };
    assert_eq!(hub.ask(close).unwrap_err().status, 503);
    assert!(hub.ask(Retire { erase: false }).is_ok(), "an account ends all the same");
    let hub = hub.crashed();
    for _ in 0..3 {
        later(&hub, 60_000);
        hub.ring();
    }
    copies(&hub);
    storage(&hub, || reply(Done {}));
    later(&hub, 60_000);
    hub.ring();
    assert_eq!(copy(&hub), (4, r#"{"devices":{}}"#.to_owned()));
    later(&hub, 600_000);
    hub.ring();
    assert_eq!(copies(&hub), []);
}

/// A hub whose keys are older than the copy: it is asked directly, since there is none.
#[test]
fn a_hub_that_is_asked_writes_its_first_copy() {
    let hub = Hub::new();
    let phone = hub.login("PHONE");
    hub.ask(identity(&phone)).unwrap();
    hub.host.settle();
    tern_ports::Sql::query(&*hub.host.sqlite, "DELETE FROM publication", &[]).unwrap();
    let hub = hub.slept();
    storage(&hub, lost);
    hub.ask(QueryKeys { devices: Vec::new() }).expect("the hub knows, and nobody else says anything");
    hub.host.settle();
    copies(&hub);
    storage(&hub, || reply(Done {}));
    later(&hub, 60_000);
    hub.ring();
    assert!(matches!(copy(&hub), (1, text) if text.contains("PHONE")));
}

#[test]
fn keys_too_long_for_the_copy_are_only_in_the_hub() {
    let hub = Hub::new();
    let long = |device: &str| {
        let mut keys = device_key(device).identity();
        keys["signatures"] = serde_json::json!({});
        keys["more"] = "m".repeat(15_000).into();
        UploadKeys { device_keys: Some(raw(&keys)), ..upload(&hub.login(device)) }
    };
    let mut taken = 0;
    while hub.ask(long(&format!("D{taken}"))).is_ok() {
        taken += 1;
        let fits = taken * 15_000 < PublicKeys::MOST_BYTES;
        assert_eq!(copies(&hub).pop().unwrap().keys.is_some(), fits, "{taken}");
    }
    let refused = hub.ask(long("LAST")).unwrap_err();
    assert_eq!((refused.status, &*refused.errcode), (413, "M_TOO_LARGE"));
    assert!((60..70).contains(&taken), "{taken} devices, a mebibyte together");
    assert_eq!(hub.ask(QueryKeys { devices: Vec::new() }).unwrap().devices.len(), taken);
}

#[test]
fn a_change_is_told_once_to_each_server_that_shares_a_room() {
    let hub = Hub::new();
    let phone = hub.login("PHONE");
    hub.joins("r");
    hub.joins("s");
    hub.routes.rooms(|_, command| match command {
        RoomCommand::ReadJoinedUsers(_) => reply(
            ["@eve:far.org", "@ann:FAR.org", "@x:other.org", "@bob:x"]
                .map(|user_id| OwnedUserId::try_from(user_id).unwrap())
                .to_vec(),
        ),
        other => panic!("{}", other.name()),
    });
    let told = Rc::<RefCell<Vec<String>>>::default();
    let (users, servers) = (Rc::clone(&told), Rc::clone(&told));
    hub.routes.users(move |user_id, command| {
        assert!(matches!(command, UserCommand::NoteDeviceList(_)), "{}", command.name());
        users.borrow_mut().push(user_id.to_string());
        reply(NotedDeviceList::default())
    });
    let out = Rc::new(Cell::new(true));
    let is_out = Rc::clone(&out);
    hub.routes.destinations(move |server, command| {
        let DestinationCommand::EnqueueDeviceList(change) = command else { panic!("{}", command.name()) };
        assert_eq!(change.user_id, alice());
        if is_out.get() && server == "far.org" {
            return lost();
        }
        servers.borrow_mut().push(format!("{server} {}", change.version));
        reply(Done {})
    });
    hub.ask(identity(&phone)).unwrap();
    hub.host.settle();
    let sorted = || {
        let mut told = told.take();
        told.sort();
        told
    };
    assert_eq!(sorted(), ["@bob:x", "other.org 1"]);
    out.set(false);
    later(&hub, 60_000);
    hub.ring();
    assert_eq!(sorted(), ["@bob:x", "far.org 1", "other.org 1"], "as often as it takes");
}
