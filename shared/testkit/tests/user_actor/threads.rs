//! Thread subscriptions: who may change them, who hears of it, and what they do to the counts.

use serde_json::{Value, json};
use tern_model::{MatrixError, RoomSeq, news};
use tern_ports::wire::{
    threads::{ListThreadSubscriptions, ReadThreadSubscription, SubscribeThread, UnsubscribeThread},
    user::SessionRef,
};

use crate::{
    counting::{Unread, in_thread, mentions},
    support::{Hub, bob, room, rooms_only, spoken},
};

const EXTENSION: &str = "io.element.msc4308.thread_subscriptions";

impl Hub {
    fn follows(&self, session: &SessionRef, root: u64, automatic: Option<u64>) -> Result<(), MatrixError> {
        let command = SubscribeThread {
            session: session.clone(),
            room_id: room("r"),
            root: format!("$e{root}").try_into().unwrap(),
            automatic: automatic.map(RoomSeq),
        };
        self.ask(command).map(|_| ())
    }

    fn leaves(&self, session: &SessionRef, root: u64, newest: u64) {
        self.ask(UnsubscribeThread {
            session: session.clone(),
            room_id: room("r"),
            root: format!("$e{root}").try_into().unwrap(),
            newest: RoomSeq(newest),
        })
        .unwrap();
    }

    fn following(&self, session: &SessionRef, root: u64) -> Option<bool> {
        let root = format!("$e{root}").try_into().unwrap();
        self.ask(ReadThreadSubscription { session: session.clone(), room_id: room("r"), root }).unwrap()
    }

    fn page(&self, session: &SessionRef, from: Option<&str>, limit: u64) -> Value {
        let from = from.map(str::to_owned);
        self.ask(ListThreadSubscriptions { session: session.clone(), from, limit }).unwrap().read().unwrap()
    }
}

fn with_threads() -> Value {
    let mut body = rooms_only();
    body["extensions"] = json!({EXTENSION: {"enabled": true}});
    body
}

#[test]
fn the_person_outweighs_their_clients_and_only_what_is_newer_brings_a_client_back() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    assert_eq!(hub.following(&session, 2), None);
    hub.follows(&session, 2, Some(3)).unwrap();
    assert_eq!(hub.following(&session, 2), Some(true));
    hub.follows(&session, 2, None).unwrap();
    hub.follows(&session, 2, Some(4)).unwrap();
    assert_eq!(hub.following(&session, 2), Some(false), "a client does not undo what the person did");
    hub.leaves(&session, 2, 5);
    hub.leaves(&session, 2, 9);
    assert_eq!(hub.following(&session, 2), None);
    for old in [1, 5] {
        let refused = hub.follows(&session, 2, Some(old)).unwrap_err();
        let expected = (409, "IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION");
        assert_eq!((refused.status, &*refused.errcode), expected, "leaving twice moves nothing");
    }
    hub.follows(&session, 2, Some(6)).unwrap();
    assert_eq!(hub.slept().following(&session, 2), Some(true));
    hub.leaves(&session, 2, 9);
    hub.follows(&session, 2, None).unwrap();
    assert_eq!(hub.following(&session, 2), Some(false), "the person may always come back");
}

#[test]
fn a_change_wakes_the_devices_that_ask_and_nothing_changed_wakes_nobody() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    let (first, rows) = hub.rows(|| hub.sliding(&session, &with_threads(), None, false).unwrap().body());
    assert_eq!(first["extensions"], Value::Null);
    let again = hub.rows(|| hub.sliding(&session, &with_threads(), None, false).unwrap().body()).1;
    assert_eq!(rows - again, 1, "that a client knows of subscriptions is written once");
    let pos = first["pos"].as_str().unwrap();
    let kinds = hub.sliding(&session, &with_threads(), Some(pos), true).unwrap().kinds();
    assert_eq!(kinds & news::THREADS, news::THREADS);
    hub.woken();
    hub.follows(&session, 2, None).unwrap();
    assert_eq!(hub.woken(), news::THREADS);
    let answer = hub.sliding(&session, &with_threads(), Some(pos), true).unwrap().body();
    let told = &answer["extensions"][EXTENSION]["subscribed"]["!r:x"]["$e2"];
    assert_eq!(told["automatic"], json!(false));
    assert!(told["bump_stamp"].as_u64().unwrap() > 0);
    let ((), rows) = hub.rows(|| hub.follows(&session, 2, None).unwrap());
    assert_eq!((hub.woken(), rows), (0, 0));
}

#[test]
fn pages_go_back_through_all_changes_once() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    for root in 1..=5 {
        hub.follows(&session, root, None).unwrap();
    }
    hub.leaves(&session, 2, 9);
    let (mut seen, mut from) = (Vec::new(), None);
    loop {
        let page = hub.page(&session, from.as_deref(), 2);
        for kind in ["unsubscribed", "subscribed"] {
            let threads = page[kind]["!r:x"].as_object().cloned().unwrap_or_default();
            seen.extend(threads.into_iter().map(|(root, thread)| (thread["bump_stamp"].as_u64().unwrap(), root)));
        }
        match page["end"].as_str() {
            Some(end) => from = Some(end.to_owned()),
            None => break,
        }
    }
    seen.sort();
    let roots: Vec<_> = seen.iter().map(|(_, root)| root.as_str()).collect();
    assert_eq!(roots, ["$e1", "$e3", "$e4", "$e5", "$e2"]);
    let refused = hub.ask(ListThreadSubscriptions { session, from: Some("7".to_owned()), limit: 1 }).unwrap_err();
    assert_eq!(&*refused.errcode, "M_INVALID_PARAM");
}

#[test]
fn threads_notify_by_subscription_from_when_a_client_knows_of_them() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    hub.tell(vec![spoken(2, bob(), &json!({})), spoken(3, bob(), &in_thread(2))]);
    assert_eq!(hub.unread(&session).total(), (2, 0), "as it always was");
    hub.follows(&session, 9, None).unwrap();
    hub.tell(vec![spoken(4, bob(), &in_thread(2))]);
    assert_eq!(hub.unread(&session).total(), (2, 0), "a thread that is not followed is quiet");
    let mut mention = in_thread(2);
    mention["m.mentions"] = mentions()["m.mentions"].clone();
    hub.tell(vec![spoken(5, bob(), &mention)]);
    assert_eq!(hub.unread(&session).total(), (3, 1), "a mention is not");
    hub.follows(&session, 2, Some(5)).unwrap();
    hub.tell(vec![spoken(6, bob(), &in_thread(2)), spoken(7, bob(), &json!({}))]);
    assert_eq!(hub.unread(&session).total(), (5, 1));
    assert_eq!(hub.unread(&session).main, Unread::main(2, 0).main);
}
