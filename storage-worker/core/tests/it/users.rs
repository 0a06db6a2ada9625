use tern_model::{MatrixError, Millis};
use tern_ports::wire::{
    Done,
    directory::SearchUsers,
    storage::{CreateUser, DeactivateUser, LoadUser, SetPassword, UserRow},
    threepid::{AddThreepid, ListThreepids, RemoveSignIn, Threepid},
};

use crate::support::{Worker, user};

fn create(worker: &Worker, name: &str, hash: Option<&str>) -> Result<Done, MatrixError> {
    let (user_id, password_hash) = (user(name), hash.map(str::to_owned));
    worker.try_ask(CreateUser {
        user_id,
        password_hash,
        admin: name == "root",
        ts: Millis(7),
        registration_token: None,
        identifiers: Vec::new(),
    })
}

fn load(worker: &Worker, name: &str) -> Option<UserRow> {
    worker.ask(LoadUser { user_id: user(name) })
}

#[test]
fn a_name_is_taken_once() {
    let worker = Worker::new();
    create(&worker, "alice", Some("hash1")).unwrap();
    let taken = create(&worker, "alice", Some("hash2")).unwrap_err();
    assert_eq!((taken.status, &*taken.errcode), (400, "M_USER_IN_USE"));
    create(&worker, "alice", Some("hash1")).expect("the same request again");
    create(&worker, "root", None).unwrap();
    assert_eq!(create(&worker, "root", None).unwrap_err().status, 400);
    let row = load(&worker, "alice").unwrap();
    assert_eq!((row.password_hash.as_deref(), row.admin, row.created), (Some("hash1"), false, Millis(7)));
    assert!(load(&worker, "root").unwrap().admin);
    assert_eq!(load(&worker, "bob"), None);
}

#[test]
fn a_password_changes_until_the_user_is_gone() {
    let worker = Worker::new();
    create(&worker, "alice", Some("hash1")).unwrap();
    let set = |name: &str| worker.try_ask(SetPassword { user_id: user(name), password_hash: "hash2".to_owned() });
    set("alice").unwrap();
    assert_eq!(load(&worker, "alice").unwrap().password_hash.as_deref(), Some("hash2"));
    assert_eq!(set("bob").unwrap_err().status, 404);
    worker.ask(DeactivateUser { user_id: user("alice") });
    let gone = load(&worker, "alice").unwrap();
    assert_eq!((gone.deactivated, gone.password_hash), (true, None));
    assert_eq!(set("alice").unwrap_err().status, 404);
    assert_eq!(create(&worker, "alice", Some("hash2")).unwrap_err().status, 400, "the name stays taken");
    assert_eq!(worker.try_ask(DeactivateUser { user_id: user("bob") }).unwrap_err().status, 404);
}

fn tie(worker: &Worker, name: &str, medium: &str) {
    let at = Millis(9);
    let threepid =
        Threepid { medium: medium.to_owned(), address: format!("{name} at {medium}"), validated_at: at, added_at: at };
    worker.ask(AddThreepid { user_id: user(name), threepid });
}

fn untie(worker: &Worker, name: &str, medium: &str) -> bool {
    let providers = ["oidc:a", "oidc:b"].map(str::to_owned).to_vec();
    worker.ask(RemoveSignIn { user_id: user(name), medium: medium.to_owned(), providers })
}

#[test]
fn the_last_way_into_an_account_stays() {
    let worker = Worker::new();
    create(&worker, "alice", None).unwrap();
    create(&worker, "bob", Some("hash")).unwrap();
    // Neither a mail address nor a provider that is gone lets anybody in.
    for medium in ["oidc:a", "oidc:gone", "email"] {
        tie(&worker, "alice", medium);
        tie(&worker, "bob", medium);
    }
    assert!(!untie(&worker, "alice", "oidc:a"));
    assert!(!untie(&worker, "alice", "oidc:b"), "there is nothing to untie");
    tie(&worker, "alice", "oidc:b");
    assert!(untie(&worker, "alice", "oidc:a"));
    assert!(!untie(&worker, "alice", "oidc:b"));
    assert!(untie(&worker, "bob", "oidc:a"), "there is a password");
    let left = |name: &str| -> Vec<String> {
        let all = worker.ask(ListThreepids { user_id: user(name) });
        all.into_iter().map(|threepid| threepid.medium).collect()
    };
    assert_eq!(left("bob"), ["email", "oidc:gone"].map(str::to_owned));
    assert_eq!(left("alice"), ["email", "oidc:b", "oidc:gone"].map(str::to_owned));
}

/// Runs every command of this file once.
pub(crate) fn touch(worker: &Worker) {
    create(worker, "touched", Some("hash")).unwrap();
    load(worker, "touched");
    worker.ask(SetPassword { user_id: user("touched"), password_hash: "other".to_owned() });
    tie(worker, "touched", "oidc:a");
    untie(worker, "touched", "oidc:a");
    worker.ask(DeactivateUser { user_id: user("touched") });
}

#[test]
fn a_search_finds_everybody_or_those_who_are_named() {
    let worker = Worker::new();
    for name in ["anna", "annabel", "bert", "susanna"] {
        create(&worker, name, None).unwrap();
    }
    let find = |term: &str, among: Option<&[&str]>| {
        let among = among.map(|names| names.iter().map(|name| user(name)).collect());
        let found = worker.ask(SearchUsers { term: term.to_owned(), except: user("bert"), among, limit: 9 });
        found.into_iter().map(|user| user.user_id.localpart().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(find("ann", None), ["anna", "annabel", "susanna"]);
    assert_eq!(find("ann", Some(&["susanna", "bert", "nobody"])), ["susanna"]);
    assert_eq!(find("ann", Some(&[])), [""; 0]);
    assert_eq!(find(user("anna").as_str(), Some(&["bert"])), ["anna"], "who is named in full");
}
