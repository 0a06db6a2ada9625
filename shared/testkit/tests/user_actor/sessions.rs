//! Sessions, refresh tokens, devices.

use tern_model::news;
use tern_ports::wire::{
    grant::{Grant, IssueGrant, OpenBrowser, RedeemGrant},
    user::{
        CheckSession, CloseSessions, ListDevices, ListRooms, ProbeUser, ReadProfile, RefreshSession, RenameDevice,
        Session, SessionRef,
    },
};

use crate::support::{Hub, alice, later, open, rooms_only};

fn check(hub: &Hub, session: &SessionRef) -> Result<(), Option<bool>> {
    let checked = hub.ask(CheckSession { session: session.clone() });
    checked.map(drop).map_err(|error| {
        assert_eq!((error.status, error.errcode.as_ref()), (401, "M_UNKNOWN_TOKEN"));
        error.soft_logout
    })
}

fn reference(session: &Session) -> SessionRef {
    SessionRef { device_id: session.device_id.clone(), session_id: session.session_id.clone() }
}

fn refresh(hub: &Hub, token: &str) -> Result<Session, Option<bool>> {
    hub.ask(RefreshSession { refresh_token: token.to_owned() }).map_err(|error| error.soft_logout)
}

#[test]
fn a_new_device_gets_ten_letters_and_a_known_one_a_new_session() {
    let hub = Hub::new();
    let made = hub.ask(open(None, false)).unwrap();
    let id = made.device_id.as_str();
    assert!(id.len() == 10 && id.bytes().all(|byte| byte.is_ascii_uppercase()), "{id}");
    assert_eq!(made.refresh_token, None);

    let first = hub.login("PHONE");
    hub.host.take_wakes();
    let second = hub.login("PHONE");
    assert_ne!(first.session_id, second.session_id);
    assert_eq!(check(&hub, &first), Err(Some(false)), "the old session is replaced");
    assert_eq!(check(&hub, &second), Ok(()));
    let wakes = hub.host.take_wakes();
    assert!(wakes.iter().any(|wake| wake.device_id.as_deref() == Some("PHONE") && wake.kinds & news::LOGOUT != 0));
    assert!(hub.ask(open(Some(&"D".repeat(256)), false)).is_err());
    assert_eq!(check(&hub.slept(), &second), Ok(()), "sessions survive sleep");
}

/// The session of a client that only learns who the user is.
fn introduced(hub: &Hub) -> SessionRef {
    let cookie = hub.ask(OpenBrowser { user_id: alice().to_owned(), ip: None, agent: None }).unwrap();
    let grant = Grant {
        client_id: "c".to_owned(),
        client_name: None,
        redirect_uri: None,
        scope: "openid".to_owned(),
        device_id: None,
        challenge: None,
        nonce: None,
    };
    let code = hub.ask(IssueGrant { cookie, grant }).unwrap();
    let redeem = RedeemGrant { code, client_id: "c".to_owned(), redirect_uri: None, verifier: None, ip: None };
    reference(&hub.ask(redeem).unwrap().session)
}

#[test]
fn a_session_without_a_device_ends_alone_and_ends_nothing_else() {
    let hub = Hub::new();
    let phone = hub.login("PHONE");
    let (first, second) = (introduced(&hub), introduced(&hub));
    let close = |devices| CloseSessions { session: Some(first.clone()), devices, except: None };
    assert_eq!(check(&hub, &first), Ok(()));
    // Whatever it asks for, it is itself that ends.
    hub.ask(close(None)).unwrap();
    assert_eq!(check(&hub.slept(), &first), Err(Some(false)));
    assert_eq!((check(&hub, &second), check(&hub, &phone)), (Ok(()), Ok(())));
    for devices in [None, Some(vec!["PHONE".into()]), Some(vec!["".into()])] {
        assert_eq!(hub.ask(close(devices)).unwrap_err().errcode, "M_UNKNOWN_TOKEN");
    }
    assert_eq!((check(&hub, &second), check(&hub, &phone)), (Ok(()), Ok(())));
}

#[test]
fn a_refresh_token_may_be_repeated_until_its_successor_is_used() {
    let hub = Hub::new();
    let opened = hub.ask(open(Some("D"), true)).unwrap();
    let first = opened.refresh_token.clone().unwrap();
    let lost = refresh(&hub, &first).unwrap();
    let again = refresh(&hub.slept(), &first).unwrap();
    assert_eq!(lost, again, "within a minute it is the same pair");
    later(&hub, 61_000);
    let again = refresh(&hub, &first).unwrap();
    assert_ne!(lost.refresh_token, again.refresh_token, "later it is another");
    assert_eq!(check(&hub, &reference(&opened)), Err(Some(true)), "an access token that was refreshed is over");
    let second = again.refresh_token.unwrap();
    let newest = refresh(&hub, &second).unwrap();
    assert_eq!(check(&hub, &reference(&newest)), Ok(()));
    let third = newest.refresh_token.unwrap();

    assert_eq!(refresh(&hub, &first).unwrap_err(), Some(true), "the successor was used");
    assert_eq!(check(&hub, &reference(&opened)), Err(Some(true)), "the family ends, the device may sign in again");
    assert_eq!(refresh(&hub, &third).unwrap_err(), Some(true));
    assert_eq!(
        hub.ask(RefreshSession { refresh_token: "tern_r_x.y".to_owned() }).unwrap_err().errcode,
        "M_UNKNOWN_TOKEN"
    );
}

#[test]
fn a_refresh_token_is_revoked_once_the_access_token_it_was_exchanged_for_is_used() {
    const GRACE: u64 = 10 * 60_000;
    let hub = Hub::new();
    let first = hub.ask(open(Some("D"), true)).unwrap().refresh_token.unwrap();
    later(&hub, 20 * GRACE);
    let fresh = refresh(&hub, &first).unwrap();
    later(&hub, 20 * GRACE);
    let fresh_again = refresh(&hub, &first).unwrap();
    assert_ne!(fresh, fresh_again, "until an access token of either is used an answer may have been lost");
    assert_eq!(check(&hub, &reference(&fresh_again)), Ok(()));
    later(&hub, GRACE - 1);
    let late = refresh(&hub, &first).unwrap();
    assert_eq!(check(&hub, &reference(&late)), Ok(()), "a repeat soon after throws nobody out");
    assert_eq!(check(&hub, &reference(&fresh_again)), Ok(()));
    later(&hub, 1);
    assert_eq!(refresh(&hub, &first).unwrap_err(), Some(true), "the grace counts from the first use");
    assert_eq!(check(&hub, &reference(&late)), Err(Some(true)), "the token was in two hands, so the session ends");
}

#[test]
fn the_next_refresh_token_is_not_revoked_by_the_use_of_the_one_before() {
    let hub = Hub::new();
    let mut token = hub.ask(open(Some("D"), true)).unwrap().refresh_token.unwrap();
    for _ in 0..3 {
        let session = refresh(&hub, &token).unwrap();
        assert_eq!(check(&hub, &reference(&session)), Ok(()));
        later(&hub, 24 * 3_600_000);
        token = session.refresh_token.unwrap();
    }
}

#[test]
fn a_sibling_of_a_used_token_ends_the_family_too() {
    let hub = Hub::new();
    let opened = hub.ask(open(Some("D"), true)).unwrap();
    let first = opened.refresh_token.clone().unwrap();
    let stolen = refresh(&hub, &first).unwrap().refresh_token.unwrap();
    later(&hub, 61_000);
    let owned = refresh(&hub, &first).unwrap().refresh_token.unwrap();
    refresh(&hub, &owned).unwrap();
    assert_eq!(refresh(&hub, &stolen).unwrap_err(), Some(true));
    assert_eq!(check(&hub, &reference(&opened)), Err(Some(true)));
    // Signing in again on the same device brings it back, with fresh tokens.
    let back = hub.ask(open(Some("D"), true)).unwrap();
    refresh(&hub, &back.refresh_token.unwrap()).unwrap();
}

#[test]
fn closing_takes_everything_of_the_device_along() {
    let hub = Hub::new();
    let (phone, laptop, desk) = (hub.login("PHONE"), hub.login("LAPTOP"), hub.login("DESK"));
    hub.joins("r");
    let pos = hub.sliding(&phone, &rooms_only(), None, false).unwrap().body()["pos"].as_str().unwrap().to_owned();
    hub.host.take_wakes();
    hub.ask(CloseSessions { session: Some(laptop.clone()), devices: None, except: Some("LAPTOP".into()) }).unwrap();
    let wakes = hub.host.take_wakes();
    for device in ["PHONE", "DESK"] {
        assert!(wakes.iter().any(|w| w.device_id.as_deref() == Some(device) && w.kinds & news::LOGOUT != 0));
    }
    assert!(!wakes.iter().any(|w| w.device_id.as_deref() == Some("LAPTOP")));
    assert_eq!(
        (check(&hub, &phone), check(&hub, &desk), check(&hub, &laptop)),
        (Err(Some(false)), Err(Some(false)), Ok(()))
    );

    let phone = hub.login("PHONE");
    let unknown = hub.sliding(&phone, &rooms_only(), Some(&pos), false).unwrap_err();
    assert_eq!(unknown.errcode, "M_UNKNOWN_POS", "the connection went with the device");
    hub.ask(CloseSessions { session: None, devices: Some(vec!["PHONE".into(), "NOBODY".into()]), except: None })
        .unwrap();
    assert_eq!(check(&hub, &phone), Err(Some(false)));
    let refused = hub.ask(ListRooms { session: phone }).unwrap_err();
    assert_eq!(
        (refused.status, refused.soft_logout),
        (401, Some(false)),
        "every command of an ended session is refused"
    );
}

#[test]
fn devices_are_listed_and_renamed_and_last_seen_costs_few_rows() {
    let hub = Hub::new();
    let phone = hub.login("PHONE");
    hub.ask(RenameDevice { session: phone.clone(), device_id: "PHONE".into(), display_name: Some("Fön".to_owned()) })
        .unwrap();
    let missing = RenameDevice { session: phone.clone(), device_id: "X".into(), display_name: Some("x".to_owned()) };
    assert_eq!(hub.ask(missing).unwrap_err().status, 404);
    let list = || hub.ask(ListDevices { session: phone.clone() }).unwrap();
    let before = list();
    assert_eq!((before.len(), before[0].display_name.as_deref()), (1, Some("Fön")));
    assert_eq!(hub.rows(list).1, 0);
    later(&hub, 6 * 60 * 1_000);
    assert_eq!(hub.rows(list).1, 1);
    assert!(list()[0].last_seen_ts > before[0].last_seen_ts);
}

#[test]
fn an_application_service_makes_devices_and_nobody_else_does() {
    let hub = Hub::new();
    let phone = hub.login("PHONE");
    let put = |session: &SessionRef, device_id: &str, name: &str| {
        let (session, display_name) = (session.clone(), Some(name.to_owned()));
        hub.ask(RenameDevice { session, device_id: device_id.into(), display_name })
    };
    let service = SessionRef::of_service("".into());
    assert_eq!(put(&phone, "NEW", "x").unwrap_err().status, 404);
    assert!(put(&service, "NEW", "bridge").unwrap().created);
    assert!(!put(&service, "NEW", "renamed").unwrap().created);
    assert_eq!(put(&service, "", "x").unwrap_err().status, 400);
    assert_eq!(put(&service, &"X".repeat(256), "x").unwrap_err().status, 400);
    assert_eq!(put(&service, "LONG", &"x".repeat(2_000)).unwrap_err().status, 413);
    let devices = hub.ask(ListDevices { session: phone }).unwrap();
    let names: Vec<_> = devices.iter().map(|device| device.display_name.as_deref()).collect();
    assert_eq!(names, [Some("renamed"), Some("phone")]);
    let stranger = SessionRef { device_id: "NEW".into(), session_id: String::new() };
    assert!(check(&hub, &stranger).is_err(), "no session comes with it");
}

#[test]
fn questions_about_nobody_leave_no_trace_and_the_probe_counts_constructions() {
    let hub = Hub::new();
    assert_eq!(hub.rows(|| hub.ask(ReadProfile {})).0.unwrap_err().status, 404);
    let nobody = SessionRef { device_id: "D".into(), session_id: "s".to_owned() };
    assert_eq!(check(&hub, &nobody), Err(Some(false)));

    hub.login("D");
    assert_eq!(hub.ask(ReadProfile {}).unwrap().len(), 0, "known now: {}", alice());
    assert_eq!(hub.ask(ProbeUser {}).unwrap().constructed, 1);
    let hub = hub.slept();
    assert_eq!(hub.ask(ProbeUser {}).unwrap().constructed, 2);
    assert_eq!(hub.ask(ProbeUser {}).unwrap().constructed, 2);
    let hub = hub.slept();
    assert_eq!(hub.ask(ProbeUser {}).unwrap().constructed, 3);
}
