//! Reading history, as far as one may.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tern_model::Name;
use tern_ports::wire::room::{
    MembersFilter, MembershipAction, PageState, ReadEvent, ReadJoinedMembers, ReadMessages, ReadState, ReadStateEvent,
};

use super::scene::{ALICE, BOB, CAROL, Scene, body, caller, numbered, texts, user};

#[test]
fn pages_of_any_size_join_the_tail_with_storage() {
    let mut scene = Scene::with_trimmed_tail();
    for limit in [1, 10, 500] {
        let mut backwards = texts(&scene.walk(ALICE, true, limit));
        backwards.reverse();
        assert_eq!(backwards, numbered(1..=350), "backwards by {limit}");
        assert_eq!(texts(&scene.walk(BOB, false, limit)), numbered(1..=350), "forwards by {limit}");
    }
    scene.evict();
    let create = scene.walk(ALICE, true, 100).pop().unwrap();
    assert_eq!(
        (create["type"].as_str(), create["room_id"].as_str()),
        (Some("m.room.create"), Some(scene.room_id.as_str()))
    );
    let empty = scene.page(ALICE, Some("t0"), true, 10, None);
    assert!(empty.chunk.is_empty() && empty.end.is_none());
}

#[test]
fn a_page_of_large_messages_ends_after_two_megabytes_and_goes_on_from_there() {
    let scene = Scene::new();
    let long = "x".repeat(60_000);
    for number in 1..=180 {
        scene.ask(Scene::command(ALICE, &format!("{number} {long}"), &number.to_string())).unwrap();
    }
    scene.host.settle();
    scene.ring_until_silent();
    let numbers = |events: &[Value]| {
        texts(events).iter().map(|text| text.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for backwards in [true, false] {
        let page = scene.page(ALICE, None, backwards, 250, None);
        let bytes: usize = page.chunk.iter().map(|event| event.text().len()).sum();
        assert!(bytes <= 3 << 20 && page.chunk.len() >= 30 && page.end.is_some(), "{bytes} bytes");
        let mut all = numbers(&scene.walk(ALICE, backwards, 250));
        if backwards {
            all.reverse();
        }
        assert_eq!(all, numbered(1..=180));
    }
}

#[test]
fn without_storage_the_tail_can_be_read_and_the_rest_says_so() {
    let scene = Scene::with_trimmed_tail();
    scene.around.storage_out.set(true);
    let page = scene.page(ALICE, None, true, 500, None);
    assert!(page.chunk.len() >= 200 && page.end.is_some());
    let more = ReadMessages {
        caller: caller(ALICE),
        from: page.end,
        to: None,
        backwards: true,
        limit: 10,
        filter: None,
        ignored: BTreeSet::new(),
    };
    assert_eq!(scene.ask(more).unwrap_err().status, 503);
}

#[test]
fn paging_backwards_is_stable_while_others_write() {
    let scene = Scene::new();
    for number in 1..=20 {
        scene.say(ALICE, &number.to_string());
    }
    let first = scene.page(BOB, None, true, 10, None);
    for number in 21..=40 {
        scene.say(ALICE, &number.to_string());
    }
    let second = scene.page(BOB, first.end.as_deref(), true, 10, None);
    let bodies: Vec<Value> = first.chunk.iter().chain(&second.chunk).map(body).collect();
    let mut seen = texts(&bodies);
    seen.reverse();
    assert_eq!(seen, numbered(1..=20));
    let newer = scene.page(BOB, Some(&first.start), false, 100, None);
    let newer: Vec<Value> = newer.chunk.iter().map(body).collect();
    assert_eq!(texts(&newer), numbered(21..=40));
}

#[test]
fn filters_choose_and_tokens_are_checked() {
    let scene = Scene::new();
    scene.say(ALICE, "1");
    scene.say(BOB, "2");
    let members = scene.page(ALICE, None, true, 50, Some(&json!({ "types": ["m.room.mem*"] })));
    assert_eq!(members.chunk.len(), 2);
    let lazy = json!({ "not_types": ["m.room.*"], "lazy_load_members": true });
    assert!(scene.page(ALICE, None, true, 50, Some(&lazy)).state.is_empty());
    let lazy = json!({ "types": ["m.room.message"], "senders": [BOB], "lazy_load_members": true });
    let page = scene.page(ALICE, None, true, 50, Some(&lazy));
    assert_eq!((page.chunk.len(), page.state.len()), (1, 1));
    assert_eq!(body(&page.state[0])["state_key"], BOB);
    let own = body(&scene.page(BOB, None, true, 1, None).chunk[0]);
    assert_eq!(own["unsigned"]["transaction_id"], "2");
    for token in ["", "t", "t-1", "x1", "t99999999999999999999"] {
        let request = ReadMessages {
            caller: caller(ALICE),
            from: Some(token.to_owned()),
            to: None,
            backwards: true,
            limit: 1,
            filter: None,
            ignored: BTreeSet::new(),
        };
        assert_eq!(scene.ask(request).unwrap_err().status, 400, "{token}");
    }
}

#[test]
fn whoever_joins_late_sees_what_the_visibility_says() {
    let joined_only = json!({ "preset": "public_chat", "initial_state": [
        { "type": "m.room.history_visibility", "content": { "history_visibility": "joined" } },
    ] });
    let scene = Scene::of(&joined_only);
    let secret = scene.say(ALICE, "before");
    scene.act(BOB, MembershipAction::Join, BOB).unwrap();
    scene.say(ALICE, "after");
    assert_eq!(texts(&scene.walk(BOB, true, 3)), ["after"]);
    assert_eq!(texts(&scene.walk(ALICE, true, 3)), ["after", "before"]);
    let read =
        |who: &str| scene.ask(ReadEvent { caller: caller(who), event_id: secret.clone(), ignored: BTreeSet::new() });
    assert_eq!(read(BOB).unwrap_err().status, 404);
    assert_eq!(body(&read(ALICE).unwrap())["content"]["body"], "before");
}

#[test]
fn whoever_left_reads_up_to_the_leaving() {
    let mut scene = Scene::new();
    scene.say(ALICE, "1");
    scene.set(ALICE, "m.room.topic", "", &json!({ "topic": "old" })).unwrap();
    scene.act(BOB, MembershipAction::Leave, BOB).unwrap();
    scene.set(ALICE, "m.room.topic", "", &json!({ "topic": "new" })).unwrap();
    scene.set(ALICE, "m.room.avatar", "", &json!({ "url": "mxc://tern.test/a" })).unwrap();
    scene.act(CAROL, MembershipAction::Join, CAROL).unwrap();
    let check = |scene: &Scene| {
        assert_eq!(texts(&scene.walk(BOB, true, 2)), ["1"]);
        let state = scene.ask(ReadState { caller: user(BOB) }).unwrap();
        let topics: Vec<_> = state.iter().map(body).filter(|event| event["type"] == "m.room.topic").collect();
        assert_eq!(topics[0]["content"]["topic"], "old");
        assert!(!state.iter().any(|event| body(event)["type"] == "m.room.avatar"));
        let members = PageState { caller: user(BOB), members: Some(MembersFilter::default()), after: None };
        let members: Vec<_> =
            scene.ask(members).unwrap().events.iter().map(|event| body(event)["state_key"].clone()).collect();
        assert_eq!(members, [ALICE, BOB]);
        let topic = ReadStateEvent { caller: user(BOB), kind: "m.room.avatar".to_owned(), state_key: String::new() };
        assert_eq!(scene.ask(topic).unwrap_err().status, 404);
        assert_eq!(scene.ask(ReadJoinedMembers { caller: user(BOB) }).unwrap_err().status, 403);
        let nobody = ReadState { caller: user("@nobody:tern.test") };
        assert_eq!(scene.ask(nobody).unwrap_err().status, 403);
    };
    check(&scene);
    for number in 0..320 {
        scene.say(ALICE, &format!("later {number}"));
    }
    scene.host.settle();
    scene.host.clock.advance(60 * 60 * 1000);
    scene.say(ALICE, "much later");
    scene.host.settle();
    scene.evict();
    check(&scene);
}

#[test]
fn members_at_a_point_in_time() {
    let scene = Scene::new();
    let then = scene.page(ALICE, None, true, 1, None).start;
    scene.act(CAROL, MembershipAction::Join, CAROL).unwrap();
    scene.act(BOB, MembershipAction::Leave, BOB).unwrap();
    let members = |at: Option<&str>, membership: Option<&str>, not: Option<&str>| {
        let name = |text: &str| Name::new(text).unwrap();
        let (at, membership, not_membership) = (at.map(name), membership.map(name), not.map(name));
        let members = Some(MembersFilter { at, membership, not_membership });
        let events = scene.ask(PageState { caller: user(ALICE), members, after: None }).unwrap().events;
        events.iter().map(|event| body(event)["state_key"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    let set = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(members(None, Some("join"), None), set(&[ALICE, CAROL]));
    assert_eq!(members(None, None, Some("join")), set(&[BOB]));
    assert_eq!(members(Some(&then), None, None), set(&[ALICE, BOB]));
}
