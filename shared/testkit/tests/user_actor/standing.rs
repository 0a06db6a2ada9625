//! Locked, suspended, deactivated.

use serde_json::json;
use tern_model::{MatrixError, RawJson, news};
use tern_ports::wire::{
    accounts::{Retire, SetStanding},
    grant::{OpenBrowser, ReadBrowser},
    user::{
        CheckSession, CloseSessions, ListSessions, ReadProfile, RefreshSession, SlidingSync, SyncStep, WriteProfile,
    },
};

use crate::support::{Hub, alice, open, rooms_only};

fn stand(hub: &Hub, locked: Option<bool>, suspended: Option<bool>) {
    hub.ask(SetStanding { locked, suspended }).unwrap();
}

fn code<T: std::fmt::Debug>(result: Result<T, MatrixError>) -> (u16, String, Option<bool>) {
    let error = result.unwrap_err();
    (error.status, error.errcode.into_owned(), error.soft_logout)
}

#[test]
fn a_locked_user_can_only_sign_out_and_keeps_the_session_for_later() {
    let hub = Hub::new();
    let session = hub.login("PHONE");
    let refresh_token = hub.ask(open(Some("OTHER"), true)).unwrap().refresh_token.unwrap();
    hub.host.take_wakes();
    stand(&hub, Some(true), None);
    assert_eq!(hub.woken() & news::LOGOUT, news::LOGOUT, "waiting polls hear of it");
    let locked = (401, "M_USER_LOCKED".to_owned(), Some(true));
    for hub in [&hub, &hub.slept()] {
        assert_eq!(code(hub.ask(CheckSession { session: session.clone() })), locked);
        assert_eq!(code(hub.sliding(&session, &rooms_only(), None, false)), locked);
        assert_eq!(code(hub.ask(open(None, false))), locked);
        assert_eq!(code(hub.ask(RefreshSession { refresh_token: refresh_token.clone() })), locked);
    }
    let other = Some(vec!["OTHER".into()]);
    hub.ask(CloseSessions { session: Some(session.clone()), devices: other, except: None }).unwrap();
    stand(&hub, Some(false), None);
    assert!(!hub.ask(CheckSession { session }).unwrap().suspended);
    assert_eq!(hub.ask(ListSessions {}).unwrap().len(), 1);
}

#[test]
fn a_suspended_user_reads_and_the_answers_confirm_no_session() {
    let hub = Hub::new();
    let session = hub.login("PHONE");
    stand(&hub, None, Some(true));
    let hub = hub.slept();
    assert!(hub.ask(CheckSession { session: session.clone() }).unwrap().suspended);
    let body = RawJson::from_value(&rooms_only()).unwrap();
    let ask = SlidingSync { session: session.clone(), body, pos: None, stable: false, may_wait: false, presence: None };
    assert!(matches!(hub.ask(ask).unwrap(), SyncStep::AnswerSuspended(_)));
    let write = |field: &str| {
        let (field, value) = (field.to_owned(), RawJson::from_value(&json!("Alice")).ok());
        hub.ask(WriteProfile { session: Some(session.clone()), field, value })
    };
    assert_eq!(code(write("displayname")), (403, "M_USER_SUSPENDED".to_owned(), None));
    stand(&hub, None, Some(false));
    write("displayname").unwrap();
}

#[test]
fn a_deactivated_user_has_no_sessions_and_gets_none_and_says_which_rooms_to_leave() {
    let hub = Hub::new();
    let session = hub.login("PHONE");
    let value = RawJson::from_value(&json!("Alice")).ok();
    hub.ask(WriteProfile { session: Some(session.clone()), field: "displayname".to_owned(), value }).unwrap();
    hub.joins("joined");
    let rooms = hub.ask(Retire { erase: true }).unwrap();
    assert_eq!(rooms.len(), 1);
    assert_eq!(hub.ask(Retire { erase: true }).unwrap(), rooms, "until they are left");
    assert_eq!(code(hub.ask(CheckSession { session })), (401, "M_UNKNOWN_TOKEN".to_owned(), Some(false)));
    assert_eq!(code(hub.ask(open(None, false))), (403, "M_USER_DEACTIVATED".to_owned(), None));
    assert!(hub.ask(ReadProfile {}).unwrap().is_empty());
}

#[test]
fn whoever_is_locked_or_gone_is_signed_in_nowhere() {
    let hub = Hub::new();
    let open = || OpenBrowser { user_id: alice().to_owned(), ip: None, agent: None };
    let cookie = hub.ask(open()).unwrap();
    let read = || ReadBrowser { cookie: cookie.clone() };
    stand(&hub, None, Some(true));
    assert!(hub.ask(read()).unwrap().suspended, "what the pages send is judged by it");
    stand(&hub, None, Some(false));
    assert!(!hub.ask(read()).unwrap().suspended);
    stand(&hub, Some(true), None);
    assert_eq!(hub.ask(read()).unwrap_err().status, 401);
    assert_eq!(hub.ask(open()).unwrap_err().errcode, "M_USER_LOCKED");
    stand(&hub, Some(false), None);
    hub.ask(read()).unwrap();
    hub.ask(Retire { erase: false }).unwrap();
    assert_eq!(hub.ask(read()).unwrap_err().status, 401);
    assert_eq!(hub.ask(open()).unwrap_err().errcode, "M_USER_DEACTIVATED");
}
