//! Who asks about somebody who never was leaves no trace.

use tern_model::{Caller, Notice};
use tern_ports::{
    Sql as _,
    wire::{
        Done, StorageCommand, UserCommand, UserRequest,
        accounts::{Retire, SetStanding},
        frame,
        keys::{ClaimKeys, NoteDeviceList, QueryKeys},
        presence::ReadPresence,
        storage::UserRow,
        user::{
            CloseSessions, Deliver, DeliverToDevice, ListMemberships, ListRooms, ListSessions, ProbeUser, ReadInvitee,
            ReadProfile, SessionRef, WriteProfile,
        },
    },
};
use tern_testkit::network::{lost, reply};
use tern_user_hub::Handled;

use crate::support::{Hub, alice, bob, member, notice, raw, registered, room};

impl Hub {
    fn has_tables(&self) -> bool {
        !self.host.sqlite.query("SELECT 1 FROM sqlite_master", &[]).unwrap().is_empty()
    }

    fn in_vain<R: UserRequest>(&self, request: R) -> (u16, String) {
        let command: UserCommand = request.into();
        let name = command.name();
        let Handled::Reply(reply) = self.handle(command) else { panic!("parked") };
        let refused = frame::read_reply::<serde_json::Value>(&reply).unwrap_err();
        assert!(!self.has_tables(), "{name}");
        (refused.status, refused.errcode.into_owned())
    }
}

fn invite() -> Deliver {
    let invite = member(1, alice(), "invite");
    Deliver { notices: vec![Notice { membership: Some("invite".to_owned()), ..notice("r", vec![invite]) }] }
}

/// What the registry says of Alice.
fn registry(hub: &Hub, row: Option<UserRow>) {
    hub.routes.storage(move |command| match command {
        StorageCommand::LoadUser(ask) if ask.user_id == alice() => reply(row.clone()),
        StorageCommand::PublishProfile(_) => reply(Done {}),
        other => panic!("{other:?}"),
    });
}

#[test]
fn a_question_about_somebody_who_never_was_makes_no_hub() {
    let hub = Hub::new();
    let unknown = (404, "M_NOT_FOUND".to_owned());
    let sender = Caller { user_id: bob().to_owned(), device_id: "PHONE".into() };
    let to_device = DeliverToDevice { sender, kind: "m.x".to_owned(), txn_id: "1".to_owned(), messages: [].into() };
    assert_eq!(hub.in_vain(ListMemberships { session: None }), unknown);
    assert_eq!(hub.in_vain(ReadProfile {}), unknown);
    assert_eq!(hub.in_vain(ReadInvitee { inviter: bob().to_owned() }), unknown);
    assert_eq!(hub.in_vain(ReadPresence { caller: bob().to_owned() }), unknown);
    assert_eq!(hub.in_vain(QueryKeys { devices: Vec::new() }), unknown);
    assert_eq!(hub.in_vain(ClaimKeys { devices: [].into() }), unknown);
    assert_eq!(hub.in_vain(NoteDeviceList { user_id: bob().to_owned() }), unknown);
    assert_eq!(hub.in_vain(to_device), unknown);
    assert_eq!(hub.in_vain(ProbeUser {}), unknown);
    assert!(hub.ask(ListSessions {}).unwrap().is_empty());
    hub.ask(CloseSessions { session: None, devices: None, except: None }).unwrap();
    assert!(!hub.has_tables());
}

#[test]
fn a_session_of_somebody_who_never_was_is_none() {
    let hub = Hub::new();
    let session = SessionRef { device_id: "PHONE".into(), session_id: "guess".to_owned() };
    let unknown = (401, "M_UNKNOWN_TOKEN".to_owned());
    let name = |session| WriteProfile { session, field: "displayname".to_owned(), value: Some(raw(&"A".into())) };
    assert_eq!(hub.in_vain(ListRooms { session: session.clone() }), unknown);
    assert_eq!(hub.in_vain(ListMemberships { session: Some(session.clone()) }), unknown);
    assert_eq!(hub.in_vain(CloseSessions { session: Some(session.clone()), devices: None, except: None }), unknown);
    assert_eq!(hub.in_vain(name(Some(session.clone()))), unknown);
    assert_eq!(hub.classic(&session, None, true).unwrap_err().errcode, "M_UNKNOWN_TOKEN");
    assert!(!hub.has_tables());

    // A service acts for users that the proxy has looked up, and who need no session.
    let service = SessionRef::of_service("".into());
    assert_eq!(hub.ask(ListRooms { session: service }).unwrap(), [] as [ruma::OwnedRoomId; 0]);
    assert!(hub.has_tables());
}

#[test]
fn the_server_may_hold_what_becomes_of_somebody_who_never_signed_in() {
    let hub = Hub::new();
    hub.ask(SetStanding { locked: Some(true), suspended: None }).unwrap();
    assert!(hub.has_tables());
    let hub = Hub::new();
    hub.ask(Retire { erase: false }).unwrap();
    assert!(hub.has_tables());
}

#[test]
fn an_invite_of_nobody_is_dropped_and_delivery_goes_on() {
    let hub = Hub::new();
    registry(&hub, None);
    assert!(!hub.ask(invite()).unwrap().idle);
    assert!(!hub.has_tables());
    assert_eq!(hub.host.due_alarm(), None);
}

#[test]
fn an_invite_of_somebody_who_never_signed_in_waits_for_them() {
    let hub = Hub::new();
    registry(&hub, Some(registered()));
    hub.ask(invite()).unwrap();
    let phone = hub.login("PHONE");
    let body = hub.classic(&phone, None, true).unwrap().body();
    assert!(body["rooms"]["invite"].get(room("r").as_str()).is_some(), "{body}");
}

#[test]
fn while_the_registry_cannot_be_asked_the_notice_is_told_again() {
    let hub = Hub::new();
    hub.routes.storage(|_| lost());
    assert_eq!(hub.ask(invite()).unwrap_err().status, 503);
    assert!(!hub.has_tables());
    registry(&hub, Some(registered()));
    hub.ask(invite()).unwrap();
    assert!(hub.has_tables());
}
