//! What relates to events: listed, and told with them, wherever they are.

use std::collections::BTreeSet;

use ruma::OwnedEventId;
use serde_json::{Value, json};
use tern_model::{MatrixError, Millis};
use tern_ports::wire::{
    relations::{ReadContext, ReadEventByTime, ReadRelations, ReadThreads, RelationPage},
    room::{Draft, MembershipAction, ReadEvent, ReadStateEvent, SendEvent},
};

use tern_ports::Clock as _;

use super::scene::{ALICE, BOB, CAROL, Scene, body, caller, numbered, raw, texts, user};

impl Scene {
    pub(crate) fn relate(
        &self,
        sender: &str,
        rel_type: &str,
        target: &OwnedEventId,
        text: &str,
    ) -> Result<OwnedEventId, MatrixError> {
        let mut relates_to = json!({ "rel_type": rel_type, "event_id": target });
        let mut content = json!({ "msgtype": "m.text", "body": text });
        let mut kind = "m.room.message";
        if rel_type == "m.replace" {
            content["m.new_content"] = json!({ "msgtype": "m.text", "body": text });
        } else if rel_type == "m.annotation" {
            (kind, relates_to["key"]) = ("m.reaction", text.into());
        }
        content["m.relates_to"] = relates_to;
        let (sender, kind) = (user(sender), kind.to_owned());
        let draft = Draft { sender, kind, state_key: None, content: raw(&content), redacts: None };
        Ok(self.ask(SendEvent { draft, device_id: "PHONE".into(), txn_id: None, ts: None, sticky_ms: None })?.event_id)
    }

    fn related(&self, who: &str, target: &OwnedEventId, change: impl Fn(&mut ReadRelations)) -> RelationPage {
        let mut request = ReadRelations {
            caller: caller(who),
            event_id: target.clone(),
            rel_type: None,
            kind: None,
            from: None,
            to: None,
            backwards: true,
            recurse: false,
            limit: 50,
            ignored: BTreeSet::new(),
        };
        change(&mut request);
        self.ask(request).unwrap()
    }

    fn event(&self, who: &str, event_id: &OwnedEventId) -> Value {
        body(
            &self.ask(ReadEvent { caller: caller(who), event_id: event_id.clone(), ignored: BTreeSet::new() }).unwrap(),
        )
    }

    fn threads(&self, who: &str, participated: bool, limit: u32, from: Option<String>) -> RelationPage {
        self.ask(ReadThreads { caller: caller(who), participated, from, limit, ignored: BTreeSet::new() }).unwrap()
    }

    /// Enough later messages that everything before them is only in storage.
    pub(crate) fn trim(&self) {
        self.host.clock.advance(60 * 60 * 1000);
        for number in 0..320 {
            self.say_with_txn("filler", &format!("filler {number} {}", self.host.clock.now().0));
        }
        self.host.settle();
        self.host.clock.advance(60 * 60 * 1000);
        self.say_with_txn("last", &format!("last {}", self.host.clock.now().0));
        self.host.settle();
        self.ring_until_silent();
    }
}

pub(crate) fn chunk_texts(page: &RelationPage) -> Vec<String> {
    texts(&page.chunk.iter().map(body).collect::<Vec<_>>())
}

/// An event with all there is to tell of it: once fresh, once trimmed, once half and half.
#[test]
fn edits_threads_and_references_are_told_wherever_they_are() {
    for trimmed in [0, 1, 2] {
        let scene = Scene::new();
        let root = scene.say(ALICE, "root");
        scene.relate(ALICE, "m.replace", &root, "first edit").unwrap();
        scene.relate(BOB, "m.replace", &root, "not his to edit").unwrap();
        scene.relate(BOB, "m.thread", &root, "one").unwrap();
        let reference = scene.relate(BOB, "m.reference", &root, "see above").unwrap();
        if trimmed > 0 {
            scene.trim();
        }
        scene.relate(ALICE, "m.replace", &root, "second edit").unwrap();
        let last = scene.relate(BOB, "m.thread", &root, "two").unwrap();
        if trimmed > 1 {
            scene.trim();
        }
        scene.relate(BOB, "m.replace", &last, "two, corrected").unwrap();
        let relations = scene.event(ALICE, &root)["unsigned"]["m.relations"].clone();
        assert_eq!(relations["m.replace"]["content"]["m.new_content"]["body"], "second edit", "{trimmed}");
        assert_eq!(relations["m.replace"]["room_id"], scene.room_id.as_str());
        let thread = &relations["m.thread"];
        assert_eq!((thread["count"].as_u64(), thread["current_user_participated"].as_bool()), (Some(2), Some(true)));
        assert_eq!(thread["latest_event"]["event_id"], last.as_str());
        let edit = &thread["latest_event"]["unsigned"]["m.relations"]["m.replace"];
        assert_eq!(edit["content"]["m.new_content"]["body"], "two, corrected");
        assert_eq!(relations["m.reference"], json!({ "chunk": [{ "event_id": reference }] }));
        scene.act(CAROL, MembershipAction::Join, CAROL).unwrap();
        let carols = scene.event(CAROL, &root)["unsigned"]["m.relations"]["m.thread"].clone();
        assert_eq!(carols["current_user_participated"], false);
    }
}

#[test]
fn a_redaction_takes_an_event_out_of_what_is_told() {
    let scene = Scene::new();
    let root = scene.say(ALICE, "root");
    let edit = scene.relate(ALICE, "m.replace", &root, "edit").unwrap();
    let reply = scene.relate(BOB, "m.thread", &root, "reply").unwrap();
    scene.trim();
    scene.redact(ALICE, &edit).unwrap();
    scene.redact(BOB, &reply).unwrap();
    scene.host.settle();
    assert_eq!(scene.event(BOB, &root)["unsigned"]["m.relations"], Value::Null);
    assert!(scene.related(BOB, &root, |_| {}).chunk.is_empty());
    assert!(scene.threads(BOB, false, 10, None).chunk.is_empty());
}

#[test]
fn who_has_left_is_not_told_what_was_said_since() {
    let scene = Scene::new();
    let root = scene.say(ALICE, "root");
    scene.relate(ALICE, "m.thread", &root, "before").unwrap();
    scene.act(BOB, MembershipAction::Leave, BOB).unwrap();
    scene.relate(ALICE, "m.replace", &root, "secret edit").unwrap();
    scene.relate(ALICE, "m.thread", &root, "secret reply").unwrap();
    let told = scene.event(BOB, &root)["unsigned"]["m.relations"].clone();
    assert_eq!(told["m.replace"], Value::Null);
    assert_eq!(told["m.thread"]["latest_event"]["content"]["body"], "before");
    assert_eq!(chunk_texts(&scene.related(BOB, &root, |_| {})), ["before"]);
    let page = scene.page(BOB, None, true, 50, None);
    assert!(!page.chunk.iter().any(|event| event.text().contains("secret")));
}

#[test]
fn relations_page_both_ways_by_type_and_across_the_tail() {
    let scene = Scene::new();
    let root = scene.say(ALICE, "root");
    for number in 1..=4 {
        scene.relate(BOB, "m.thread", &root, &number.to_string()).unwrap();
    }
    scene.relate(BOB, "m.annotation", &root, "👍").unwrap();
    scene.trim();
    for number in 5..=7 {
        scene.relate(BOB, "m.thread", &root, &number.to_string()).unwrap();
    }
    for backwards in [true, false] {
        let (mut seen, mut from) = (Vec::new(), None);
        loop {
            let page = scene.related(ALICE, &root, |ask| {
                (ask.backwards, ask.limit, ask.from) = (backwards, 2, from.clone());
                ask.rel_type = Some("m.thread".to_owned());
            });
            seen.extend(chunk_texts(&page));
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        if backwards {
            seen.reverse();
        }
        assert_eq!(seen, numbered(1..=7));
    }
    let reactions = scene.related(ALICE, &root, |ask| ask.kind = Some("m.reaction".to_owned()));
    assert_eq!(reactions.chunk.len(), 1);
    let hidden = ReadRelations { caller: caller(CAROL), limit: 1, ..template(&root) };
    scene.set(ALICE, "m.room.history_visibility", "", &json!({ "history_visibility": "joined" })).unwrap();
    let later = scene.say(ALICE, "later");
    assert_eq!(scene.ask(ReadRelations { event_id: later, ..hidden }).unwrap_err().status, 404);
}

fn template(target: &OwnedEventId) -> ReadRelations {
    ReadRelations {
        caller: caller(ALICE),
        event_id: target.clone(),
        rel_type: None,
        kind: None,
        from: None,
        to: None,
        backwards: true,
        recurse: false,
        limit: 10,
        ignored: BTreeSet::new(),
    }
}

#[test]
fn recursion_follows_relations_of_relations() {
    let scene = Scene::new();
    let root = scene.say(ALICE, "root");
    let reply = scene.relate(BOB, "m.thread", &root, "reply").unwrap();
    scene.trim();
    scene.relate(BOB, "m.replace", &reply, "edited reply").unwrap();
    assert_eq!(scene.related(ALICE, &root, |_| {}).depth, None);
    let page = scene.related(ALICE, &root, |ask| ask.recurse = true);
    assert_eq!(chunk_texts(&page), ["edited reply", "reply"]);
    assert_eq!(page.depth, Some(3));
}

#[test]
fn threads_are_listed_by_their_newest_event() {
    let scene = Scene::new();
    let roots: Vec<_> = (1..=3).map(|number| scene.say(ALICE, &format!("root {number}"))).collect();
    for root in &roots {
        scene.relate(BOB, "m.thread", root, "reply").unwrap();
    }
    scene.relate(ALICE, "m.thread", &roots[0], "again").unwrap();
    let expected = ["root 1", "root 3", "root 2"];
    assert_eq!(chunk_texts(&scene.threads(BOB, false, 10, None)), expected);
    scene.trim();
    assert_eq!(chunk_texts(&scene.threads(BOB, false, 10, None)), expected);
    scene.act(CAROL, MembershipAction::Join, CAROL).unwrap();
    scene.relate(CAROL, "m.thread", &roots[1], "late").unwrap();
    let (mut seen, mut from) = (Vec::new(), None);
    loop {
        let page = scene.threads(BOB, false, 1, from);
        seen.extend(chunk_texts(&page));
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["root 2", "root 1", "root 3"]);
    assert_eq!(chunk_texts(&scene.threads(CAROL, true, 10, None)), ["root 2"]);
    assert_eq!(chunk_texts(&scene.threads(ALICE, true, 10, None)).len(), 3, "she started them all");
    let root = body(&scene.threads(CAROL, true, 10, None).chunk[0]);
    assert_eq!(root["unsigned"]["m.relations"]["m.thread"]["count"], 2);
}

#[test]
fn an_event_has_a_context_and_a_time() {
    let scene = Scene::with_trimmed_tail();
    let all = scene.walk(ALICE, false, 500);
    for wanted in ["5", "130", "349"] {
        let event = all.iter().find(|event| event["content"]["body"] == wanted).unwrap();
        let event_id: OwnedEventId = event["event_id"].as_str().unwrap().try_into().unwrap();
        let filter = Some(raw(&json!({ "types": ["m.room.message"], "lazy_load_members": true })));
        let ask = ReadContext {
            caller: caller(BOB),
            event_id: event_id.clone(),
            limits: (3, 2),
            filter,
            only_members: false,
            ignored: BTreeSet::new(),
        };
        let context = scene.ask(ask).unwrap();
        let number: u64 = wanted.parse().unwrap();
        let (before, after): (Vec<_>, Vec<_>) =
            (context.before.iter().map(body).collect(), context.after.iter().map(body).collect());
        let expected: Vec<_> = (number - 3..number).rev().map(|number| number.to_string()).collect();
        assert_eq!(texts(&before), expected);
        assert_eq!(texts(&after), numbered(number + 1..=(number + 2).min(350)));
        assert_eq!(body(&context.event)["content"]["body"], wanted);
        let on = scene.page(BOB, Some(&context.end), false, 1, None);
        let on: Vec<_> = on.chunk.iter().map(body).collect();
        assert_eq!(texts(&on), numbered(number + 3..=(number + 3).min(350)));
        assert!(context.state.iter().any(|event| event.text().contains("m.room.create")));
        let ts = Millis(event["origin_server_ts"].as_u64().unwrap());
        for backwards in [true, false] {
            let found = scene.ask(ReadEventByTime { caller: caller(BOB), ts, backwards }).unwrap();
            assert_eq!(found.origin_server_ts, ts, "{wanted}, backwards {backwards}");
        }
    }
    let future = ReadEventByTime { caller: caller(BOB), ts: Millis(u64::MAX >> 12), backwards: false };
    assert_eq!(scene.ask(future).unwrap_err().status, 404);
}

#[test]
fn relations_that_make_no_sense_are_refused() {
    let scene = Scene::new();
    let root = scene.say(ALICE, "root");
    let reply = scene.relate(BOB, "m.thread", &root, "reply").unwrap();
    assert_eq!(scene.relate(BOB, "m.thread", &reply, "nested").unwrap_err().errcode, "M_UNKNOWN");
    scene.relate(BOB, "m.annotation", &root, "👍").unwrap();
    scene.relate(ALICE, "m.annotation", &root, "👍").unwrap();
    scene.relate(BOB, "m.annotation", &root, "🎉").unwrap();
    assert_eq!(scene.relate(BOB, "m.annotation", &root, "👍").unwrap_err().errcode, "M_DUPLICATE_ANNOTATION");
}

#[test]
fn a_reaction_reads_none_of_what_others_have_said_of_its_target() {
    let scene = Scene::new();
    let root = scene.say(ALICE, "root");
    scene.act(CAROL, MembershipAction::Join, CAROL).unwrap();
    let steps = |text: &str| {
        let before = scene.host.sqlite.steps();
        scene.relate(CAROL, "m.annotation", &root, text).unwrap();
        scene.host.sqlite.steps() - before
    };
    let alone = steps("first");
    for number in 0..200 {
        scene.relate(BOB, "m.annotation", &root, &format!("{number}{}", "k".repeat(10_000))).unwrap();
    }
    let among_many = steps("second");
    assert!(among_many < alone + 50, "{alone} alone, {among_many} beside two hundred");
    let long = "x".repeat(100);
    for key in [format!("{long}1"), format!("{long}2")] {
        scene.relate(BOB, "m.annotation", &root, &key).unwrap();
        let again = scene.relate(BOB, "m.annotation", &root, &key).unwrap_err();
        assert_eq!(again.errcode, "M_DUPLICATE_ANNOTATION", "keys that begin alike are told apart");
    }
}

#[test]
fn a_copy_of_redacted_state_goes_even_when_only_storage_has_it() {
    let scene = Scene::new();
    let first = scene.set(ALICE, "m.room.topic", "", &json!({ "topic": "slander" })).unwrap();
    let second = scene.set(ALICE, "m.room.topic", "", &json!({ "topic": "birds" })).unwrap();
    scene.set(ALICE, "m.room.topic", "", &json!({ "topic": "fish" })).unwrap();
    scene.trim();
    scene.redact(ALICE, &first.event_id).unwrap();
    scene.host.settle();
    let successor = scene.event(BOB, &second.event_id);
    assert_eq!(successor["content"]["topic"], "birds");
    assert_eq!(successor["unsigned"]["prev_content"], json!({}));
    let topic = ReadStateEvent { caller: user(BOB), kind: "m.room.topic".to_owned(), state_key: String::new() };
    assert_eq!(body(&scene.ask(topic).unwrap())["unsigned"]["prev_content"]["topic"], "birds");
}
