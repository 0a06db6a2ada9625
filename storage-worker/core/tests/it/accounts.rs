use tern_model::Millis;
use tern_ports::wire::{
    accounts::{
        AuditEntry, ChangeUser, CheckRegistrationToken, CreateRegistrationToken, DeleteRegistrationToken,
        ListRegistrationTokens, ListUsers, ReadAudit, RecordAudit, RegistrationToken,
    },
    storage::{CreateUser, DeactivateUser, LoadUser},
};

use crate::support::{Worker, user};

fn add(worker: &Worker, name: &str, ts: u64, token: Option<&str>) -> Result<(), (u16, String)> {
    let create = CreateUser {
        user_id: user(name),
        password_hash: Some(format!("hash of {name} at {ts}")),
        admin: false,
        ts: Millis(ts),
        registration_token: token.map(str::to_owned),
        identifiers: Vec::new(),
    };
    worker.try_ask(create).map(|_| ()).map_err(|error| (error.status, error.errcode.into_owned()))
}

fn token(worker: &Worker, token: &str, uses_allowed: Option<u64>, expires: Option<u64>) {
    let (token, expires) = (token.to_owned(), expires.map(Millis));
    let token = RegistrationToken { token, uses_allowed, completed: 0, expires, created: Millis(1) };
    worker.ask(CreateRegistrationToken { token });
}

#[test]
fn a_registration_token_is_used_so_often_and_until_then() {
    let worker = Worker::new();
    token(&worker, "twice", Some(2), None);
    token(&worker, "soon", None, Some(100));
    let good = |name: &str, now| worker.ask(CheckRegistrationToken { token: name.to_owned(), now: Millis(now) });
    let refused = Err((403, "M_FORBIDDEN".to_owned()));
    add(&worker, "a", 10, Some("twice")).unwrap();
    add(&worker, "a", 10, Some("twice")).expect("the same request again uses nothing");
    assert!(good("twice", 10));
    add(&worker, "b", 10, Some("twice")).unwrap();
    assert!(!good("twice", 10));
    assert_eq!(add(&worker, "c", 10, Some("twice")), refused);
    assert_eq!(add(&worker, "a", 11, Some("soon")), Err((400, "M_USER_IN_USE".to_owned())));
    assert!(good("soon", 99) && !good("soon", 100) && !good("none", 1));
    add(&worker, "c", 99, Some("soon")).unwrap();
    assert_eq!(add(&worker, "d", 100, Some("soon")), refused);
    assert_eq!(add(&worker, "d", 100, Some("none")), refused);
    assert_eq!(worker.ask(LoadUser { user_id: user("d") }), None);

    let list = worker.ask(ListRegistrationTokens {});
    let counts: Vec<_> = list.iter().map(|token| (token.token.as_str(), token.completed)).collect();
    assert_eq!(counts, [("soon", 1), ("twice", 2)]);
    worker.ask(DeleteRegistrationToken { token: "soon".to_owned() });
    assert_eq!(worker.try_ask(DeleteRegistrationToken { token: "soon".to_owned() }).unwrap_err().status, 404);
    let again = RegistrationToken { token: "twice".to_owned(), ..list[0].clone() };
    assert_eq!(worker.try_ask(CreateRegistrationToken { token: again }).unwrap_err().status, 400);
}

#[test]
fn users_are_listed_in_pages_and_changed() {
    let worker = Worker::new();
    for name in ["anna", "bert", "cora", "hanna"] {
        add(&worker, name, 5, None).unwrap();
    }
    let names = |after: Option<&str>, search: Option<&str>, limit| {
        let ask = ListUsers { after: after.map(user), search: search.map(str::to_owned), limit };
        worker.ask(ask).into_iter().map(|entry| entry.user_id.localpart().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(None, None, 2), ["anna", "bert"]);
    assert_eq!(names(Some("bert"), None, 9), ["cora", "hanna"]);
    assert_eq!(names(None, Some("anna"), 9), ["anna", "hanna"]);
    assert_eq!(names(None, Some("%"), 9), [""; 0]);

    let change = |name: &str, locked, suspended| {
        worker.try_ask(ChangeUser { user_id: user(name), admin: None, locked, suspended }).map(|_| ())
    };
    change("anna", Some(true), None).unwrap();
    change("anna", None, Some(true)).unwrap();
    let row = worker.ask(LoadUser { user_id: user("anna") }).unwrap();
    assert_eq!((row.locked, row.suspended, row.admin), (true, true, false));
    change("anna", Some(false), None).unwrap();
    let row = worker.ask(LoadUser { user_id: user("anna") }).unwrap();
    assert_eq!((row.locked, row.suspended), (false, true));
    assert_eq!(change("nobody", Some(true), None).unwrap_err().status, 404);
    worker.ask(DeactivateUser { user_id: user("anna") });
    assert_eq!(change("anna", Some(true), None).unwrap_err().status, 404);
}

#[test]
fn the_record_is_read_backwards_in_pages() {
    let worker = Worker::new();
    for (ts, action) in [(1, "lock"), (2, "unlock"), (3, "deactivate")] {
        let (actor, target) = ("operator".to_owned(), "@a:example.org".to_owned());
        worker.ask(RecordAudit { entry: AuditEntry { ts: Millis(ts), actor, action: action.to_owned(), target } });
    }
    let page = worker.ask(ReadAudit { before: None, limit: 2 });
    let actions: Vec<_> = page.iter().map(|entry| entry.entry.action.as_str()).collect();
    assert_eq!(actions, ["deactivate", "unlock"]);
    let rest = worker.ask(ReadAudit { before: Some(page[1].id), limit: 9 });
    assert_eq!((rest.len(), rest[0].entry.ts), (1, Millis(1)));
}
