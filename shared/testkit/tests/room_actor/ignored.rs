//! Readers who ignore users: what those say is considered neither in what is told of an event nor in the list of threads.

use std::collections::BTreeSet;

use ruma::{OwnedEventId, OwnedUserId};
use serde_json::{Value, json};
use tern_ports::wire::{
    relations::{ReadContext, ReadRelations, ReadThreads, RelationPage},
    room::{MembershipAction, ReadEvent, ReadMessages},
};

use super::{
    relations::chunk_texts,
    scene::{ALICE, BOB, CAROL, Scene, body, caller, user},
};

fn users(ids: &[&str]) -> BTreeSet<OwnedUserId> {
    ids.iter().map(|id| user(id)).collect()
}

impl Scene {
    /// A room with Alice, Bob and Carol in it.
    fn of_three() -> Self {
        let scene = Self::new();
        scene.act(CAROL, MembershipAction::Join, CAROL).unwrap();
        scene
    }

    /// What is told with an event to somebody who ignores some.
    fn relations_of(&self, who: &str, event_id: &OwnedEventId, ignored: &[&str]) -> Value {
        let ask = ReadEvent { caller: caller(who), event_id: event_id.clone(), ignored: users(ignored) };
        body(&self.ask(ask).unwrap())["unsigned"]["m.relations"].clone()
    }

    fn threads_ignoring(&self, who: &str, ignored: &[&str], (limit, from): (u32, Option<String>)) -> RelationPage {
        let (caller, ignored) = (caller(who), users(ignored));
        self.ask(ReadThreads { caller, participated: false, from, limit, ignored }).unwrap()
    }
}

/// How many events a thread has, which is the newest, and whether the reader took part.
fn thread(told: &Value) -> (u64, &str, bool) {
    let thread = &told["m.thread"];
    let latest = thread["latest_event"]["content"]["body"].as_str().unwrap();
    (thread["count"].as_u64().unwrap(), latest, thread["current_user_participated"].as_bool().unwrap())
}

/// Once all of it is fresh, once half is trimmed in storage, once all.
#[test]
fn threads_and_references_are_told_without_ignored_users_wherever_they_are() {
    for trimmed in [0, 1, 2] {
        let scene = Scene::of_three();
        let root = scene.say(ALICE, "root");
        scene.relate(BOB, "m.thread", &root, "first").unwrap();
        scene.relate(CAROL, "m.thread", &root, "second").unwrap();
        scene.relate(BOB, "m.reference", &root, "see above").unwrap();
        let reference = scene.relate(CAROL, "m.reference", &root, "see there").unwrap();
        if trimmed > 0 {
            scene.trim();
        }
        scene.relate(BOB, "m.thread", &root, "third").unwrap();
        if trimmed > 1 {
            scene.trim();
        }
        let all = scene.relations_of(ALICE, &root, &[]);
        assert_eq!(thread(&all), (3, "third", true), "{trimmed}");
        assert_eq!(all["m.reference"]["chunk"].as_array().unwrap().len(), 2);
        let without_bob = scene.relations_of(CAROL, &root, &[BOB]);
        assert_eq!(thread(&without_bob), (1, "second", true));
        assert_eq!(without_bob["m.reference"], json!({ "chunk": [{ "event_id": reference }] }));
        let bobs = scene.relations_of(BOB, &root, &[ALICE, CAROL]);
        assert_eq!(thread(&bobs), (2, "third", true));
        assert_eq!(scene.relations_of(ALICE, &root, &[BOB, CAROL]), Value::Null, "it is no thread to her");
    }
}

#[test]
fn every_page_tells_of_a_thread_without_them() {
    let scene = Scene::of_three();
    let root = scene.say(ALICE, "root");
    let reference = scene.relate(CAROL, "m.reference", &root, "see above").unwrap();
    scene.relate(CAROL, "m.thread", &root, "second").unwrap();
    scene.relate(BOB, "m.thread", &root, "third").unwrap();
    scene.relate(CAROL, "m.reference", &reference, "see there").unwrap();
    scene.relate(BOB, "m.reference", &reference, "see nowhere").unwrap();
    let (caller, ignored) = (caller(ALICE), users(&[BOB]));
    let told = |event: &Value| event["unsigned"]["m.relations"].clone();
    let of_root = |events: &[tern_model::RawJson]| {
        let root = events.iter().map(body).find(|event| event["event_id"] == root.as_str());
        let told = told(&root.unwrap());
        assert_eq!(thread(&told), (1, "second", true));
    };
    let messages = ReadMessages {
        caller: caller.clone(),
        from: None,
        to: None,
        backwards: true,
        limit: 50,
        filter: None,
        ignored: ignored.clone(),
    };
    of_root(&scene.ask(messages).unwrap().chunk);
    let around = |event_id: &OwnedEventId| ReadContext {
        caller: caller.clone(),
        event_id: event_id.clone(),
        limits: (50, 50),
        filter: None,
        only_members: true,
        ignored: ignored.clone(),
    };
    of_root(&[scene.ask(around(&root)).unwrap().event]);
    of_root(&scene.ask(around(&reference)).unwrap().before);
    let relations = ReadRelations {
        caller: caller.clone(),
        event_id: root,
        rel_type: Some("m.reference".to_owned()),
        kind: None,
        from: None,
        to: None,
        backwards: true,
        recurse: false,
        limit: 50,
        ignored: ignored.clone(),
    };
    let page = scene.ask(relations).unwrap();
    assert_eq!(told(&body(&page.chunk[0]))["m.reference"]["chunk"].as_array().unwrap().len(), 1);
}

#[test]
fn a_thread_is_listed_where_its_newest_event_of_others_puts_it() {
    for trimmed in [0, 1, 2] {
        let scene = Scene::of_three();
        let [first, second, bobs, lonely] = [(ALICE, "first"), (ALICE, "second"), (BOB, "Bob's"), (ALICE, "lonely")]
            .map(|(who, text)| scene.say(who, text));
        scene.relate(BOB, "m.replace", &bobs, "Bob's, mended").unwrap();
        for root in [&first, &second, &bobs] {
            scene.relate(CAROL, "m.thread", root, "reply").unwrap();
        }
        if trimmed > 0 {
            scene.trim();
        }
        scene.relate(BOB, "m.thread", &first, "again").unwrap();
        scene.relate(BOB, "m.thread", &lonely, "nobody hears me").unwrap();
        if trimmed > 1 {
            scene.trim();
        }
        let all = scene.threads_ignoring(ALICE, &[], (10, None));
        assert_eq!(chunk_texts(&all), ["lonely", "first", "Bob's", "second"], "{trimmed}");
        let (mut listed, mut from) = (Vec::new(), None);
        loop {
            let page = scene.threads_ignoring(ALICE, &[BOB], (1, from));
            listed.extend(page.chunk.iter().map(body));
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        let ids: Vec<_> = listed.iter().map(|root| root["event_id"].as_str().unwrap()).collect();
        assert_eq!(ids, [&bobs, &second, &first].map(|id| id.as_str()));
        assert_eq!(listed[0]["content"], json!({}), "the root of an ignored user is redacted");
        assert_eq!(listed[0]["unsigned"]["m.relations"]["m.replace"], Value::Null);
        for root in &listed {
            let told = &root["unsigned"]["m.relations"];
            assert_eq!(thread(told), (1, "reply", root["sender"] == ALICE));
        }
    }
}
