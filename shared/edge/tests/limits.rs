//! Attempts to sign in and up are counted exactly, before anything is looked at.

#![expect(clippy::unwrap_used, reason = "tests")]

mod edge;

use edge::{Edge, code, config};
use futures::future::join_all;
use ruma::{OwnedUserId, user_id};
use serde_json::{Value, json};
use tern_auth::uia::Parameters;
use tern_edge::{
    account::prove,
    limit::class_of,
    register::{add_user, register},
    session::login,
};
use tern_model::{Class, Config, MatrixError, RawJson};
use tern_ports::{
    Clock, ObjectHost, Sql,
    wire::{
        OneTimeStoreCommand, frame,
        one_time_store::{
            AcquirePermit, ConfirmProof, DropProof, Entries, Permit, ReadEntries, SpendProof, StoreEntry, TakeEntries,
        },
        room::Draft,
    },
};
use tern_small_objects::one_time_store::OneTimeStoreActor;
use tern_testkit::TestHost;

fn alice() -> OwnedUserId {
    user_id!("@alice:example.org").to_owned()
}

const TOO_MANY: (u16, &str) = (429, "M_LIMIT_EXCEEDED");

fn body(user: &str, password: &str) -> Value {
    json!({ "type": "m.login.password", "user": user, "password": password })
}

fn sign_in(edge: &Edge, config: &Config, user: &str, password: &str, ip: &str) -> Result<(), MatrixError> {
    let body = serde_json::from_value(body(user, password)).unwrap();
    edge.run(login(edge, config, body, Some(ip.to_owned()))).map(|_| ())
}

fn is_limited(result: Result<(), MatrixError>) -> bool {
    let (status, errcode) = code(result);
    (status, errcode.as_str()) == TOO_MANY
}

#[test]
fn an_account_can_be_guessed_at_so_often_from_all_addresses_together() {
    let (edge, config) = (Edge::new(), config());
    edge.run(add_user(&edge, &config, "alice", "secret", false)).unwrap();
    let guesses = config.limits.password.burst;
    for guess in 0..guesses {
        assert_eq!(code(sign_in(&edge, &config, "alice", "guess", &format!("192.0.2.{guess}"))).0, 403);
    }
    let refused = sign_in(&edge, &config, "@alice:example.org", "secret", "198.51.100.1").unwrap_err();
    assert_eq!((refused.status, refused.errcode.as_ref()), TOO_MANY);
    // Somebody who does not exist is refused in the same way, so that the limit does not tell who does.
    for guess in 0..guesses {
        assert_eq!(code(sign_in(&edge, &config, "nobody", "guess", &format!("203.0.113.{guess}"))).0, 403);
    }
    assert!(is_limited(sign_in(&edge, &config, "nobody", "guess", "198.51.100.1")));
    edge.clock.advance(refused.retry_after_ms.unwrap());
    sign_in(&edge, &config, "alice", "secret", "198.51.100.1").unwrap();
}

#[test]
fn strangers_do_not_keep_the_owner_out_and_what_is_right_does_not_count() {
    let (edge, config) = (Edge::new(), config());
    edge.run(add_user(&edge, &config, "alice", "secret", false)).unwrap();
    for time in 0..3 * config.limits.password.burst {
        sign_in(&edge, &config, "alice", "secret", &format!("198.51.100.{time}")).unwrap();
    }
    for guess in 0..2 * config.limits.password.burst {
        drop(sign_in(&edge, &config, "alice", "guess", &format!("192.0.2.{guess}")));
    }
    assert!(is_limited(sign_in(&edge, &config, "alice", "secret", "203.0.113.1")), "from somewhere new");
    let home = format!("198.51.100.{}", 3 * config.limits.password.burst - 1);
    sign_in(&edge, &config, "alice", "secret", &home).unwrap();
    let prove = |secret: &str| {
        let auth = serde_json::from_value(body("alice", secret)).unwrap();
        edge.run(prove(&edge, &config, &alice(), ("deactivate", Parameters::default()), Some(&auth), None))
    };
    prove("secret").unwrap();
    for _ in 0..config.limits.password.burst {
        assert_eq!(code(prove("guess")).0, 401);
        assert_eq!(code(sign_in(&edge, &config, "alice", "guess", &home)).0, 403);
    }
    assert!(is_limited(prove("secret")), "proofs are counted, too");
    assert!(is_limited(sign_in(&edge, &config, "alice", "secret", &home)), "and so are guesses from a known address");
}

#[test]
fn guesses_made_all_at_once_are_counted_before_they_are_heard() {
    let (edge, config) = (Edge::new(), config());
    edge.run(add_user(&edge, &config, "alice", "secret", false)).unwrap();
    let guess = |number: u32| {
        let body = serde_json::from_value(body("alice", "guess")).unwrap();
        login(&edge, &config, body, Some(format!("192.0.2.{number}")))
    };
    let results = edge.run(join_all((0..50).map(guess)));
    let heard = results.iter().filter(|result| result.as_ref().is_err_and(|error| error.status == 403)).count();
    assert_eq!(heard, config.limits.password.burst as usize);
}

#[test]
fn an_address_gets_so_many_attempts_and_does_not_use_up_those_of_accounts() {
    let (edge, config) = (Edge::new(), config());
    edge.run(add_user(&edge, &config, "alice", "secret", false)).unwrap();
    for guess in 0..config.limits.login.burst {
        assert_eq!(code(sign_in(&edge, &config, &format!("user{guess}"), "guess", "2001:db8::1")).0, 403);
    }
    for _ in 0..20 {
        assert!(is_limited(sign_in(&edge, &config, "alice", "guess", "2001:db8::2")));
    }
    sign_in(&edge, &config, "alice", "secret", "2001:db8:0:1::").unwrap();
}

#[test]
fn registrations_are_counted_by_address_once_the_challenge_is_passed() {
    let (edge, config) = (Edge::new(), config());
    let attempt = |auth: Value| {
        let body = json!({ "password": "secret", "inhibit_login": true, "auth": auth });
        edge.run(register(&edge, &config, serde_json::from_value(body).unwrap(), Some("192.0.2.1".to_owned())))
    };
    for _ in 0..100 {
        assert_eq!(code(attempt(Value::Null)).0, 401);
    }
    for _ in 0..config.limits.register.burst {
        attempt(json!({ "type": "m.login.dummy" })).unwrap();
    }
    let refused = attempt(json!({ "type": "m.login.dummy" })).unwrap_err();
    assert_eq!((refused.status, refused.errcode.as_ref()), TOO_MANY);
}

#[test]
fn an_event_counts_as_what_it_does() {
    let of = |kind: &str, state_key: Option<&str>, membership: &str| {
        let content = RawJson::from_value(&json!({ "membership": membership, "displayname": "A" })).unwrap();
        let state_key = state_key.map(str::to_owned);
        class_of(&Draft { sender: alice(), kind: kind.to_owned(), state_key, content, redacts: None })
    };
    let (own, other) = (Some("@alice:example.org"), Some("@bob:example.org"));
    for (membership, by_oneself, of_somebody_else) in [
        ("invite", Class::Invite, Class::Invite),
        ("ban", Class::Invite, Class::Invite),
        ("leave", Class::Message, Class::Invite),
        ("knock", Class::Join, Class::Join),
        ("join", Class::Profile, Class::Profile),
        ("other", Class::Message, Class::Message),
    ] {
        assert_eq!(of("m.room.member", own, membership), by_oneself, "{membership}");
        assert_eq!(of("m.room.member", other, membership), of_somebody_else, "{membership}");
        assert_eq!(of("m.room.member", None, membership), Class::Message, "no state, {membership}");
    }
    assert_eq!(of("m.room.redaction", None, ""), Class::Redact);
    assert_eq!(of("m.room.topic", Some(""), "invite"), Class::Message);
}

#[test]
fn a_gate_remembers_over_a_restart_and_goes_when_nothing_counts_any_more() {
    let host = TestHost::new();
    let permit = |store: &OneTimeStoreActor<TestHost>| {
        let ask = OneTimeStoreCommand::from(AcquirePermit { burst: 2, per_hour: 60, from: None });
        frame::read_reply::<Permit>(&host.run(store.handle(ask))).unwrap().retry_after_ms
    };
    let store = OneTimeStoreActor::new(host.clone());
    assert_eq!((permit(&store), permit(&store), permit(&store)), (None, None, Some(60_000)));
    let again = OneTimeStoreActor::new(host.restarted());
    assert_eq!(permit(&again), Some(60_000));

    let alarm = host.alarm.get().unwrap();
    assert_eq!(alarm.since(host.now()), 60_000);
    host.clock.advance(60_000);
    assert!(!host.run(store.is_over()).unwrap(), "one is still missing");
    assert_eq!(host.alarm.get().unwrap().since(host.now()), 60_000);
    host.clock.advance(60_000);
    assert!(host.run(store.is_over()).unwrap());
}

#[test]
fn what_was_never_in_a_gate_can_be_asked_for_without_leaving_anything_behind() {
    let questions = || {
        let (secret, token) = ("s".to_owned(), "t".to_owned());
        [
            OneTimeStoreCommand::from(ReadEntries {}),
            OneTimeStoreCommand::from(TakeEntries {}),
            OneTimeStoreCommand::from(ConfirmProof { token }),
            OneTimeStoreCommand::from(SpendProof { secret }),
            OneTimeStoreCommand::from(DropProof {}),
        ]
    };
    let host = TestHost::new();
    let store = OneTimeStoreActor::new(host.clone());
    for question in questions() {
        host.run(store.handle(question));
    }
    let tables = |host: &TestHost| host.sql().query("SELECT name FROM sqlite_master", &[]).unwrap().len();
    assert_eq!((tables(&host), host.alarm.get()), (0, None));
    assert!(host.run(store.is_over()).unwrap());
    assert_eq!(tables(&host), 0);

    let note = StoreEntry { name: "x".to_owned(), value: RawJson::empty_object(), until: host.now().plus(1_000) };
    host.run(store.handle(note.into()));
    let taken = host.run(OneTimeStoreActor::new(host.restarted()).handle(TakeEntries {}.into()));
    assert_eq!(frame::read_reply::<Entries>(&taken).unwrap().len(), 1, "what was left is found after a restart");
}
