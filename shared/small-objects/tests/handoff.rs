//! The object between two devices: what it keeps, until when, and that it keeps nothing for strangers.

#![expect(clippy::unwrap_used, reason = "tests")]

use tern_model::MatrixError;
use tern_ports::{
    Clock, ObjectHost, Sql,
    wire::{
        DeviceSignInCommand, Done,
        device_sign_in::{
            CloseRendezvous, DecideDeviceGrant, DeviceRequest, Message, OpenDeviceGrant, OpenRendezvous,
            PollDeviceGrant, ReadDeviceGrant, ReadRendezvous,
        },
        frame,
    },
};
use tern_small_objects::device_sign_in::DeviceSignInActor;
use tern_testkit::TestHost;

fn tables(host: &TestHost) -> usize {
    host.sql().query("SELECT name FROM sqlite_master", &[]).unwrap().len()
}

fn poll() -> PollDeviceGrant {
    PollDeviceGrant { device_code: "code".to_owned(), client_id: "client".to_owned() }
}

#[test]
fn a_stranger_who_asks_or_guesses_leaves_nothing_behind() {
    let host = TestHost::new();
    let actor = DeviceSignInActor::new(host.clone());
    let questions = [
        DeviceSignInCommand::from(ReadDeviceGrant {}),
        DeviceSignInCommand::from(DecideDeviceGrant { code: Some("c".to_owned()) }),
        DeviceSignInCommand::from(poll()),
        DeviceSignInCommand::from(ReadRendezvous {}),
        DeviceSignInCommand::from(CloseRendezvous {}),
    ];
    for question in questions {
        host.run(actor.handle(question));
    }
    assert_eq!((tables(&host), host.alarm.get()), (0, None));
}

#[test]
fn a_device_gets_its_code_once_and_the_object_is_over_when_its_time_is() {
    let host = TestHost::new();
    let actor = DeviceSignInActor::new(host.clone());
    let request = DeviceRequest { client_id: "client".to_owned(), scope: "openid".to_owned(), device_id: None };
    let expires = host.now().plus(60_000);
    let open = || OpenDeviceGrant { device_code: "code".to_owned(), request: request.clone(), expires };
    let opened = |reply: &[u8]| frame::read_reply::<bool>(reply).unwrap();
    assert!(opened(&host.run(actor.handle(open().into()))));
    assert!(!opened(&host.run(actor.handle(open().into()))), "a user code stands for one device");
    assert_eq!(host.alarm.get(), Some(expires));

    let again = DeviceSignInActor::new(host.restarted());
    let decide = DecideDeviceGrant { code: Some("granted".to_owned()) };
    assert!(opened(&host.run(again.handle(decide.into()))), "what was asked outlives a restart");
    let fetch = || -> Result<String, MatrixError> { frame::read_reply(&host.run(again.handle(poll().into()))) };
    assert_eq!(fetch().unwrap(), "granted");
    assert!(fetch().is_err());

    host.clock.advance(59_999);
    assert!(!host.run(again.is_over()).unwrap());
    host.clock.advance(1);
    assert!(host.run(again.is_over()).unwrap());
}

#[test]
fn a_rendezvous_is_there_until_it_is_closed() {
    let host = TestHost::new();
    let actor = DeviceSignInActor::new(host.clone());
    let open = OpenRendezvous { data: "hello".to_owned(), expires: host.now().plus(60_000) };
    let opened: Message = frame::read_reply(&host.run(actor.handle(open.into()))).unwrap();
    let read = || frame::read_reply::<Option<Message>>(&host.run(actor.handle(ReadRendezvous {}.into()))).unwrap();
    assert_eq!(read(), Some(opened));
    frame::read_reply::<Done>(&host.run(actor.handle(CloseRendezvous {}.into()))).unwrap();
    assert_eq!(read(), None);
}
