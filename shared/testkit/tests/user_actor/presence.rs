//! Presence: shown by syncing, told once, and over when nothing is heard any more.

use std::{cell::RefCell, rc::Rc};

use ruma::OwnedUserId;
use serde_json::{Value, json};
use tern_model::{Millis, Notice, Presence, PresenceNote, news};
use tern_ports::wire::{
    UserCommand,
    presence::{NotePresence, ReadPresence, SetPresence},
    user::{ClassicSync, SessionRef},
};
use tern_testkit::network::reply;

use crate::support::{Hub, alice, bob, later, member, notice, rooms_only, summary};

const MINUTE: u64 = 60_000;

type DeliveryOutcome = Rc<RefCell<Vec<(OwnedUserId, NotePresence)>>>;

/// A hub with presence on, whose user is in a room with Bob; what Bob's hub is told, which says that he is away.
fn watched() -> (Hub, SessionRef, DeliveryOutcome) {
    let hub = Hub::with_presence();
    let session = hub.login("D");
    let told = DeliveryOutcome::default();
    let notes = Rc::clone(&told);
    hub.routes.users(move |user_id, command| match command {
        UserCommand::NotePresence(note) => {
            notes.borrow_mut().push((user_id.to_owned(), *note));
            reply(away())
        }
        other => panic!("{other:?}"),
    });
    hub.deliver(vec![Notice {
        membership: Some("join".to_owned()),
        summary: Some(summary("6")),
        members: Some(Rc::new(vec![bob().to_owned()])),
        ..notice("r", vec![member(1, alice(), "join")])
    }]);
    (hub, session, told)
}

fn away() -> PresenceNote {
    PresenceNote { presence: Presence::Unavailable, status_msg: Some("tea".to_owned()), last_active: Millis(1) }
}

impl Hub {
    fn shows_as(&self, session: &SessionRef, since: Option<&str>, presence: Option<Presence>) -> Value {
        let sync = ClassicSync {
            session: session.clone(),
            since: since.map(str::to_owned),
            filter: None,
            full_state: false,
            state_after: None,
            may_wait: false,
            presence,
            rooms_alone: false,
        };
        let body = crate::support::step(self.handle(sync)).unwrap().body();
        self.host.settle();
        body
    }

    fn own_presence(&self) -> Value {
        self.ask(ReadPresence { caller: alice().to_owned() }).unwrap().read().unwrap()
    }
}

/// Bob comes into the room.
fn comes(seq: u64) -> Notice {
    Notice { summary: Some(summary("6")), ..notice("r", vec![member(seq, bob(), "join")]) }
}

/// A hub with presence on, whose user is alone in a room and shows up; what others' hubs are told, which say that they are away.
fn alone() -> (Hub, SessionRef, DeliveryOutcome) {
    let hub = Hub::with_presence();
    let session = hub.login("D");
    let told = DeliveryOutcome::default();
    let notes = Rc::clone(&told);
    hub.routes.users(move |user_id, command| match command {
        UserCommand::NotePresence(note) => {
            notes.borrow_mut().push((user_id.to_owned(), *note));
            reply(away())
        }
        other => panic!("{other:?}"),
    });
    hub.deliver(vec![Notice {
        membership: Some("join".to_owned()),
        summary: Some(summary("6")),
        members: Some(Rc::new(Vec::new())),
        ..notice("r", vec![member(1, alice(), "join")])
    }]);
    hub.shows_as(&session, None, None);
    (hub, session, told)
}

fn told_of(told: &DeliveryOutcome) -> Vec<Presence> {
    told.take().into_iter().map(|(_, note)| note.note.presence).collect()
}

#[test]
fn whoever_syncs_is_online_which_is_told_once_and_hears_who_else_is_there() {
    let (hub, session, told) = watched();
    let first = hub.shows_as(&session, None, None);
    {
        let told = told.borrow();
        assert_eq!(told.len(), 1);
        assert_eq!((&*told[0].0, &*told[0].1.user_id), (bob(), alice()));
    }
    assert_eq!(told_of(&told), [Presence::Online]);
    let since = first["next_batch"].as_str().unwrap();
    let (second, rows) = hub.rows(|| hub.shows_as(&session, Some(since), None));
    let event = &second["presence"]["events"][0];
    assert_eq!((&event["type"], &event["sender"]), (&json!("m.presence"), &json!(bob())));
    assert_eq!(event["content"]["presence"], "unavailable");
    assert_eq!(event["content"]["status_msg"], "tea");
    assert_eq!((told_of(&told), rows), (vec![], 0), "a poll costs nothing");
    let since = second["next_batch"].as_str().unwrap();
    let slept = hub.slept();
    let (third, rows) = slept.rows(|| slept.shows_as(&session, Some(since), None));
    assert_eq!(third["presence"], Value::Null);
    assert_eq!((told_of(&told), rows), (vec![], 0), "nor after a sleep");
}

#[test]
fn a_note_wakes_classic_polls_and_is_told_once_and_strangers_are_not_heard() {
    let (hub, session, _) = watched();
    let first = hub.shows_as(&session, None, None);
    let second = hub.shows_as(&session, first["next_batch"].as_str(), None);
    let since = second["next_batch"].as_str().unwrap();
    let kinds = hub.classic(&session, Some(since), true).unwrap().kinds();
    assert_eq!(kinds & news::PRESENCE, news::PRESENCE);
    hub.woken();
    let note = |presence| NotePresence {
        user_id: bob().to_owned(),
        note: PresenceNote { presence, status_msg: None, last_active: Millis(1) },
    };
    hub.ask(note(Presence::Online)).unwrap();
    assert_eq!(hub.woken(), news::PRESENCE);
    hub.ask(note(Presence::Online)).unwrap();
    assert_eq!(hub.woken(), 0, "told again");
    let third = hub.shows_as(&session, Some(since), None);
    assert_eq!(third["presence"]["events"][0]["content"]["currently_active"], true);
    let stranger = ruma::user_id!("@mallory:x").to_owned();
    let refused = hub.ask(NotePresence { user_id: stranger.clone(), ..note(Presence::Online) }).unwrap_err();
    assert_eq!(refused.status, 403);
    assert_eq!(hub.ask(ReadPresence { caller: stranger }).unwrap_err().status, 403);
    assert!(hub.ask(ReadPresence { caller: bob().to_owned() }).is_ok());
}

#[test]
fn whoever_comes_into_a_room_hears_of_those_who_are_there_and_they_of_them() {
    let (hub, session, told) = alone();
    let since = hub.shows_as(&session, None, None)["next_batch"].as_str().unwrap().to_owned();
    told.take();
    hub.deliver(vec![comes(2)]);
    hub.host.settle();
    assert_eq!(told.borrow().len(), 1);
    assert_eq!((&*told.borrow()[0].0, told.borrow()[0].1.note.presence), (bob(), Presence::Online));
    told.take();
    let step = hub.shows_as(&session, Some(&since), None);
    assert_eq!(step["presence"]["events"][0]["content"]["presence"], "unavailable");
    hub.deliver(vec![notice("r", vec![member(3, bob(), "leave")])]);
    let whole = hub.shows_as(&session, None, None);
    assert_eq!(whole["presence"], Value::Null, "what is shown is forgotten with the last room");
    assert!(told_of(&told).is_empty());
}

#[test]
fn a_first_sync_and_one_of_the_full_state_tell_who_is_there() {
    let (hub, session, told) = alone();
    hub.deliver(vec![comes(2)]);
    hub.host.settle();
    let shown = |body: &Value| body["presence"]["events"][0]["content"]["presence"].clone();
    let whole = hub.shows_as(&session, None, None);
    assert_eq!(shown(&whole), "unavailable");
    let since = whole["next_batch"].as_str().unwrap();
    let sync = |full_state| {
        let sync = ClassicSync {
            session: session.clone(),
            since: Some(since.to_owned()),
            filter: None,
            full_state,
            state_after: None,
            may_wait: false,
            presence: None,
            rooms_alone: false,
        };
        crate::support::step(hub.handle(sync)).unwrap().body()
    };
    assert_eq!(shown(&sync(true)), "unavailable");
    assert_eq!(sync(false)["presence"], Value::Null);
    assert_eq!(told_of(&told).len(), 1, "no sync tells Bob again");
}

#[test]
fn who_is_not_there_tells_nobody_who_comes() {
    let (hub, session, told) = alone();
    hub.shows_as(&session, None, Some(Presence::Offline));
    told.take();
    let slept = hub.slept();
    slept.deliver(vec![comes(2)]);
    slept.host.settle();
    assert!(told_of(&told).is_empty());
}

#[test]
fn somebody_of_whom_nothing_is_heard_goes_offline_and_somebody_who_polls_stays() {
    let (hub, session, told) = watched();
    let body = hub.shows_as(&session, None, None);
    assert_eq!(told_of(&told), [Presence::Online]);
    later(&hub, 4 * MINUTE);
    hub.shows_as(&session, body["next_batch"].as_str(), None);
    later(&hub, MINUTE);
    hub.ring();
    assert_eq!((told_of(&told), hub.own_presence()["presence"].clone()), (vec![], json!("online")));
    later(&hub, 5 * MINUTE);
    hub.ring();
    assert_eq!((told_of(&told), hub.own_presence()["presence"].clone()), (vec![Presence::Offline], json!("offline")));
    assert_eq!(hub.own_presence()["last_active_ago"], json!(6 * MINUTE));
    hub.shows_as(&session, body["next_batch"].as_str(), None);
    assert_eq!(told_of(&told), [Presence::Online]);
}

#[test]
fn what_is_put_is_shown_and_a_client_may_ask_not_to_count() {
    let (hub, session, told) = watched();
    hub.shows_as(&session, None, Some(Presence::Offline));
    assert_eq!(hub.own_presence()["presence"], "offline");
    let put =
        SetPresence { session: session.clone(), presence: Presence::Unavailable, status_msg: Some("lunch".to_owned()) };
    told.take();
    hub.ask(put.clone()).unwrap();
    hub.host.settle();
    assert_eq!(told.borrow()[0].1.note.status_msg.as_deref(), Some("lunch"));
    let slept = hub.slept();
    assert_eq!(slept.own_presence()["status_msg"], "lunch");
    let long = SetPresence { status_msg: Some("x".repeat(2_000)), ..put };
    assert_eq!(&*slept.ask(long).unwrap_err().errcode, "M_INVALID_PARAM");
}

#[test]
fn switched_off_nobody_is_told_and_nothing_is_written() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    hub.sliding(&session, &rooms_only(), None, false).unwrap();
    let put = SetPresence { session: session.clone(), presence: Presence::Online, status_msg: None };
    let (_, rows) = hub.rows(|| hub.ask(put).unwrap());
    assert_eq!((rows, hub.own_presence()), (0, json!({"presence": "offline"})));
    assert!(hub.routes.sent_to_users().is_empty());
}
