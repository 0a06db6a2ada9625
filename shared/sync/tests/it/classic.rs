//! Classic `GET /sync` (Client-Server API, "Syncing").

use serde_json::{Value, json};
use tern_model::{MatrixError, Millis, RawJson, Receipt, StateAfter, news};
use tern_sync::{AccountData, ClassicRequest, ToDeviceMessage, TypingPos, classic_answer, classic_plan};

use crate::world::{DEVICE, ME, World, id, user};

pub(crate) struct Answer {
    pub(crate) json: Value,
    pub(crate) quiet: bool,
}

impl Answer {
    pub(crate) fn token(&self) -> String {
        self.json["next_batch"].as_str().unwrap().to_owned()
    }

    pub(crate) fn room(&self, section: &str, room: &str) -> Value {
        self.json["rooms"][section][id(room).as_str()].clone()
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ask<'a> {
    pub(crate) since: Option<&'a str>,
    pub(crate) full_state: bool,
    pub(crate) state_after: Option<StateAfter>,
}

pub(crate) fn attempt(world: &World, ask: Ask<'_>, filter: &Value) -> Result<Answer, MatrixError> {
    let filter = RawJson::from_value(filter).unwrap();
    let request = ClassicRequest::parse(ask.since, Some(&filter), ask.full_state, ask.state_after)?;
    let plan = classic_plan(world, &request);
    let slices = world.load(&plan.asks(), |slices| plan.unmet(slices));
    let outcome = classic_answer(world, &request, &plan, &slices)?;
    Ok(Answer { json: serde_json::from_str(outcome.body.text()).unwrap(), quiet: outcome.quiet })
}

pub(crate) fn sync(world: &World, since: Option<&str>) -> Answer {
    attempt(world, Ask { since, ..Ask::default() }, &json!({})).unwrap()
}

pub(crate) fn filtered(world: &World, since: Option<&str>, filter: &Value) -> Answer {
    attempt(world, Ask { since, ..Ask::default() }, filter).unwrap()
}

pub(crate) fn kinds(section: &Value) -> Vec<String> {
    let events = section["events"].as_array().cloned().unwrap_or_default();
    let name = |event: &Value| event["content"]["body"].as_str().unwrap_or(event["type"].as_str().unwrap()).to_owned();
    events.iter().map(name).collect()
}

#[test]
fn an_initial_sync_shows_rooms_and_then_only_changes() {
    let mut world = World::default();
    world.room("a");
    world.say("a", "one");
    let first = sync(&world, None);
    let room = first.room("join", "a");
    assert_eq!(kinds(&room["timeline"]), ["m.room.create", "m.room.member", "m.room.name", "m.room.member", "one"]);
    assert_eq!(room.get("state"), None, "the timeline has it all");
    assert_eq!(room["timeline"].get("limited"), None);
    assert_eq!(room["summary"], json!({"m.joined_member_count": 2, "m.invited_member_count": 0}));
    assert_eq!(room["unread_notifications"], json!({"highlight_count": 0, "notification_count": 0}));
    world.say("a", "two");
    let second = sync(&world, Some(&first.token()));
    assert_eq!(kinds(&second.room("join", "a")["timeline"]), ["two"]);
    assert_eq!(second.room("join", "a").get("summary"), None);
    // An old token gives the same again: nothing depends on what was asked before.
    assert_eq!(sync(&world, Some(&first.token())).json, second.json);
}

#[test]
fn with_nothing_new_no_room_is_looked_at() {
    let mut world = World::default();
    for n in 0..100 {
        world.room(&format!("r{n}"));
    }
    world.keys.one_time.insert("signed_curve25519".to_owned(), 7);
    let first = sync(&world, None);
    world.visited.set(0);
    world.calls.set(0);
    let idle = sync(&world, Some(&first.token()));
    assert!(idle.quiet);
    assert_eq!(
        (world.visited.get(), world.calls.get()),
        (0, 1),
        "one look at the key counts, which read as zero if absent"
    );
    let keys = json!({"signed_curve25519": 7});
    let fallback = json!([]);
    let body = json!({"next_batch": first.token(), "device_one_time_keys_count": keys, "device_unused_fallback_key_types": fallback});
    assert_eq!(idle.json, body);
}

#[test]
fn a_device_without_keys_is_not_told_how_many_are_left() {
    let mut world = World { keyless: true, ..World::default() };
    world.room("a");
    let first = sync(&world, None);
    let idle = sync(&world, Some(&first.token()));
    assert_eq!(idle.json, json!({ "next_batch": first.token() }));
}

#[test]
fn a_gap_gives_the_newest_the_state_before_them_and_a_token() {
    let mut world = World { inbox_size: 4, lag: 2, ..World::default() };
    world.room("a");
    let first = sync(&world, None);
    world.state("a", "m.room.topic", "", json!({"topic": "in the gap"}));
    for n in 0..12 {
        world.say("a", &n.to_string());
    }
    world.state("a", "m.room.name", "", json!({"name": "in the timeline"}));
    let filter = json!({"room": {"timeline": {"limit": 3}}});
    let room = filtered(&world, Some(&first.token()), &filter).room("join", "a");
    assert_eq!(kinds(&room["timeline"]), ["10", "11", "m.room.name"]);
    assert_eq!(room["timeline"]["limited"], true);
    assert_eq!(room["timeline"]["prev_batch"], "t15");
    let name = |room: &Value, section: &str| {
        let events = room[section]["events"].as_array().unwrap();
        events.iter().find(|event| event["type"] == "m.room.name").unwrap()["content"]["name"].clone()
    };
    assert!(kinds(&room["state"]).contains(&"m.room.topic".to_owned()), "{room}");
    assert_eq!(name(&room, "state"), "Room a", "as it was before the timeline");
    let ask = Ask { since: Some(&first.token()), state_after: Some(StateAfter::Stable), ..Ask::default() };
    let room = attempt(&world, ask, &filter).unwrap().room("join", "a");
    assert_eq!(room.get("state"), None);
    assert!(kinds(&room["state_after"]).contains(&"m.room.topic".to_owned()), "{room}");
    assert_eq!(name(&room, "state_after"), "in the timeline");
}

#[test]
fn state_after_is_there_even_when_it_is_empty() {
    let mut world = World::default();
    world.room("a");
    let first = sync(&world, None);
    world.say("a", "x");
    let ask = Ask { since: Some(&first.token()), state_after: Some(StateAfter::Stable), ..Ask::default() };
    let room = attempt(&world, ask, &json!({})).unwrap().room("join", "a");
    assert_eq!(room["state_after"], json!({"events": []}));
}

#[test]
fn who_asks_by_the_name_of_the_proposal_is_answered_by_it() {
    let mut world = World::default();
    world.room("a");
    let first = sync(&world, None);
    world.state("a", "m.room.topic", "", json!({"topic": "x"}));
    let ask = Ask { since: Some(&first.token()), state_after: Some(StateAfter::Unstable), ..Ask::default() };
    let room = attempt(&world, ask, &json!({})).unwrap().room("join", "a");
    assert_eq!(kinds(&room["org.matrix.msc4222.state_after"]), ["m.room.topic"]);
    assert_eq!((room.get("state"), room.get("state_after")), (None, None));
}

#[test]
fn full_state_answers_at_once_with_all_state() {
    let mut world = World::default();
    world.room("a");
    let first = sync(&world, None);
    let ask = Ask { since: Some(&first.token()), full_state: true, ..Ask::default() };
    let answer = attempt(&world, ask, &json!({})).unwrap();
    assert!(!answer.quiet);
    let room = answer.room("join", "a");
    assert_eq!(kinds(&room["state"]).len(), 4);
    assert_eq!(kinds(&room["timeline"]), [""; 0]);
}

#[test]
fn lazy_members_come_with_their_messages_and_heroes_with_new_rooms() {
    let mut world = World { members: true, ..World::default() };
    world.found("a", None);
    world.state("a", "m.room.name", "", json!({}));
    for name in ["quiet1", "quiet2", "quiet3", "quiet4", "quiet5", "quiet6"] {
        world.member("a", &user(name), &user(name), "join");
    }
    world.member("a", ME, ME, "join");
    for _ in 0..3 {
        world.say("a", "x");
    }
    let filter = json!({"room": {"state": {"lazy_load_members": true}, "timeline": {"limit": 2}}});
    let first = filtered(&world, None, &filter);
    let room = first.room("join", "a");
    let members = |room: &Value| {
        let events = room["state"]["events"].as_array().cloned().unwrap_or_default();
        let mut keys: Vec<_> = events
            .iter()
            .filter(|event| event["type"] == "m.room.member")
            .map(|event| event["state_key"].as_str().unwrap().to_owned())
            .collect();
        keys.sort();
        keys
    };
    assert_eq!(room["summary"]["m.heroes"].as_array().unwrap().len(), 5);
    let shown = members(&room);
    assert!(shown.contains(&ME.to_owned()) && shown.contains(&user("other")), "{shown:?}");
    for hero in room["summary"]["m.heroes"].as_array().unwrap() {
        assert!(shown.contains(&hero.as_str().unwrap().to_owned()), "{hero}");
    }
    assert!(!shown.contains(&user("quiet6")), "{shown:?}");
    world.say("a", "y");
    let second = filtered(&world, Some(&first.token()), &filter);
    assert_eq!(members(&second.room("join", "a")), [user("other")]);
}

#[test]
fn joining_between_two_syncs_gives_the_whole_room() {
    let mut world = World::default();
    world.found("a", None);
    world.room("b");
    let first = sync(&world, None);
    assert!(first.room("join", "a").is_null());
    world.member("a", ME, &user("other"), "invite");
    let second = sync(&world, Some(&first.token()));
    assert_eq!(second.room("invite", "a")["invite_state"]["events"].as_array().unwrap().len(), 3);
    world.member("a", ME, ME, "join");
    let filter = json!({"room": {"timeline": {"limit": 1}}});
    let third = filtered(&world, Some(&second.token()), &filter);
    let room = third.room("join", "a");
    assert_eq!(kinds(&room["timeline"]), ["m.room.member"]);
    assert_eq!(room["timeline"]["limited"], true);
    let state = kinds(&room["state"]);
    assert!(state.contains(&"m.room.create".to_owned()), "{state:?}");
    assert!(third.json["rooms"].get("invite").is_none());
    world.member("b", ME, ME, "knock");
    assert_eq!(
        sync(&world, Some(&third.token())).room("knock", "b")["knock_state"]["events"].as_array().unwrap().len(),
        3
    );
}

#[test]
fn leaving_is_shown_once_and_later_only_on_demand() {
    for by in [ME.to_owned(), user("other")] {
        let mut world = World::default();
        world.room("a");
        let first = sync(&world, None);
        world.say("a", "last");
        world.member("a", ME, &by, "leave");
        world.say("a", "unheard");
        let second = sync(&world, Some(&first.token()));
        assert_eq!(kinds(&second.room("leave", "a")["timeline"]), ["last", "m.room.member"]);
        assert!(second.room("join", "a").is_null());
        assert!(sync(&world, Some(&second.token())).quiet);
        assert!(sync(&world, None).room("leave", "a").is_null());
        let old = filtered(&world, None, &json!({"room": {"include_leave": true}})).room("leave", "a");
        assert_eq!(kinds(&old["timeline"]).last().unwrap(), "m.room.member", "not beyond the leave");
    }
}

#[test]
fn a_rejected_invite_is_a_leave() {
    let mut world = World::default();
    world.found("a", None);
    world.member("a", ME, &user("other"), "invite");
    let first = sync(&world, None);
    world.member("a", ME, ME, "leave");
    let second = sync(&world, Some(&first.token()));
    let room = second.room("leave", "a");
    assert_eq!(room["timeline"]["events"][0]["content"]["membership"], "leave");
    assert!(sync(&world, Some(&second.token())).quiet);
}

#[test]
fn filters_know_how_events_relate_to_others() {
    let mut world = World::default();
    world.room("a");
    let message =
        |world: &mut World, content: Value| world.send_as("a", &user("other"), "m.room.message", None, content);
    message(&mut world, json!({"body": "root"}));
    message(&mut world, json!({"body": "thread", "m.relates_to": {"rel_type": "m.thread", "event_id": "$root"}}));
    for prefix in ["", "org.matrix.msc3874."] {
        let by = |key: &str| {
            let mut filter = json!({"types": ["m.room.message"]});
            filter[format!("{prefix}{key}")] = json!(["m.thread"]);
            kinds(&filtered(&world, None, &json!({"room": {"timeline": filter}})).room("join", "a")["timeline"])
        };
        assert_eq!((by("rel_types"), by("not_rel_types")), (vec!["thread".into()], vec!["root".into()]));
    }
}

#[test]
fn filters_narrow_rooms_types_senders_and_content() {
    let mut world = World::default();
    world.room("a");
    world.room("b");
    world.send_as("a", &user("other"), "m.room.message", None, json!({"body": "pic", "url": "mxc://a/b"}));
    world.send_as("a", &user("loud"), "m.room.message", None, json!({"body": "noise"}));
    let timeline = |filter: Value| kinds(&filtered(&world, None, &filter).room("join", "a")["timeline"]);
    assert_eq!(timeline(json!({"room": {"timeline": {"types": ["m.room.message"]}}})), ["pic", "noise"]);
    assert_eq!(
        timeline(json!({"room": {"timeline": {"types": ["m.room.*"], "not_types": ["m.room.m*"]}}})),
        ["m.room.create", "m.room.name"]
    );
    assert_eq!(
        timeline(json!({"room": {"timeline": {"types": ["m.room.message"], "not_senders": [user("loud")]}}})),
        ["pic"]
    );
    assert_eq!(timeline(json!({"room": {"timeline": {"senders": [user("loud")]}}})), ["noise"]);
    assert_eq!(timeline(json!({"room": {"timeline": {"contains_url": true}}})), ["pic"]);
    assert_eq!(timeline(json!({"room": {"timeline": {"types": ["m.room.message"], "limit": 1}}})), ["noise"]);
    let hidden = filtered(&world, None, &json!({"room": {"timeline": {"types": ["m.room.message"]}}}));
    assert_eq!(kinds(&hidden.room("join", "a")["state"]).len(), 4, "state that the timeline does not show");
    let state =
        filtered(&world, None, &json!({"room": {"timeline": {"types": []}, "state": {"types": ["m.room.name"]}}}));
    assert_eq!(kinds(&state.room("join", "a")["state"]), ["m.room.name"]);
    for filter in [json!({"room": {"rooms": [id("b").as_str()]}}), json!({"room": {"not_rooms": [id("a").as_str()]}})] {
        let answer = filtered(&world, None, &filter);
        assert!(answer.room("join", "a").is_null() && !answer.room("join", "b").is_null());
    }
}

#[test]
fn a_section_may_be_narrowed_to_rooms() {
    let mut world = World::default();
    world.room("a");
    let at = world.tick();
    let data = AccountData { kind: "org.example.x".to_owned(), content: RawJson::empty_object() };
    world.account_data.push((at, Some(id("a")), data));
    let typing = world.clock();
    world.typing.insert(id("a"), (typing, vec![user("other").try_into().unwrap()]));
    for narrow in [json!({"rooms": []}), json!({"not_rooms": [id("a").as_str()]})] {
        for section in ["timeline", "state", "ephemeral", "account_data"] {
            let mut filter = json!({"room": {"timeline": {"limit": 1}}});
            let shown = |filter: &Value| kinds(&filtered(&world, None, filter).room("join", "a")[section]);
            assert!(!shown(&filter).is_empty(), "{section}");
            filter["room"][section] = narrow.clone();
            assert_eq!(shown(&filter), [""; 0], "{section}");
        }
    }
}

#[test]
fn account_data_receipts_and_typing_stand_beside_the_timeline() {
    let mut world = World::default();
    world.room("a");
    let event = world.say("a", "x");
    let first = sync(&world, None);
    let put = |world: &mut World, room: Option<&str>| {
        let at = world.tick();
        let data = AccountData { kind: "u.x".to_owned(), content: RawJson::empty_object() };
        world.account_data.push((at, room.map(id), data));
    };
    put(&mut world, None);
    put(&mut world, Some("a"));
    let at = world.tick();
    let receipt = Receipt {
        kind: "m.read".to_owned(),
        user_id: user("other").as_str().try_into().unwrap(),
        event_id: event.as_str().try_into().unwrap(),
        seq: None,
        thread_id: Some("main".try_into().unwrap()),
        ts: Millis(5),
    };
    world.receipts.push((at, id("a"), receipt));
    let at = world.tick();
    world.typing.insert(id("a"), (TypingPos(at.0), vec![user("other").as_str().try_into().unwrap()]));
    let second = sync(&world, Some(&first.token()));
    assert_eq!(kinds(&second.json["account_data"]), ["u.x"]);
    assert_eq!(
        second.room("join", "a"),
        json!({
            "account_data": {"events": [{"type": "u.x", "content": {}}]},
            "ephemeral": {"events": [
                {"type": "m.typing", "content": {"user_ids": [user("other")]}},
                {"type": "m.receipt", "content": {&event: {"m.read": {user("other"): {"ts": 5, "thread_id": "main"}}}}},
            ]},
        })
    );
    assert!(sync(&world, Some(&second.token())).quiet);
    let filter = json!({"room": {"ephemeral": {"not_types": ["*"]}, "account_data": {"types": []}}, "account_data": {"not_types": ["u.x"]}});
    assert!(filtered(&world, Some(&first.token()), &filter).quiet);
    assert_eq!(kinds(&sync(&world, None).room("join", "a")["ephemeral"]), ["m.typing", "m.receipt"]);
    assert_eq!(sync(&world, None).room("join", "a")["account_data"]["events"].as_array().unwrap().len(), 1);
}

#[test]
fn to_device_messages_beyond_one_answer_are_left_for_the_next() {
    let mut world = World::default();
    for n in 0..150 {
        let at = world.tick();
        world.to_device.push(ToDeviceMessage {
            at,
            event: RawJson::from_value(&json!({"type": "m.x", "content": {"n": n}})).unwrap(),
        });
    }
    let first = sync(&world, None);
    assert_eq!(first.json["to_device"]["events"].as_array().unwrap().len(), 100);
    let request = ClassicRequest::parse(Some(&first.token()), None, false, None).unwrap();
    assert_eq!(request.to_device_ack().unwrap(), world.to_device[99].at);
    let second = sync(&world, Some(&first.token()));
    assert_eq!(second.json["to_device"]["events"].as_array().unwrap().len(), 50);
    assert!(sync(&world, Some(&second.token())).quiet);
}

#[test]
fn device_lists_and_unread_counts() {
    let mut world = World::default();
    world.room("a");
    let first = sync(&world, None);
    assert_eq!(first.json.get("device_lists"), None);
    let at = world.tick();
    world.device_lists.push((at, user("other").as_str().try_into().unwrap(), false));
    let thread = tern_sync::Unread { notifications: 2, highlights: 1 };
    world.adjust("a", false, |room| {
        room.unread = tern_sync::Unread { notifications: 5, highlights: 1 };
        room.threads.insert("$root".to_owned(), thread);
    });
    let second = sync(&world, Some(&first.token()));
    assert_eq!(second.json["device_lists"], json!({"changed": [user("other")]}));
    assert_eq!(second.room("join", "a")["unread_notifications"]["notification_count"], 5);
    let filter = json!({"room": {"timeline": {"unread_thread_notifications": true}}});
    let room = filtered(&world, Some(&first.token()), &filter).room("join", "a");
    assert_eq!(room["unread_notifications"], json!({"highlight_count": 0, "notification_count": 3}));
    assert_eq!(room["unread_thread_notifications"]["$root"]["notification_count"], 2);
}

#[test]
fn own_messages_carry_their_transaction_id() {
    let mut world = World::default();
    world.room("a");
    world.send_txn("a", ME, "m.room.message", None, json!({"body": "mine"}), Some((DEVICE, "t1")));
    let events = sync(&world, None).room("join", "a")["timeline"]["events"].clone();
    assert_eq!(events.as_array().unwrap().last().unwrap()["unsigned"]["transaction_id"], "t1");
}

#[test]
fn an_answer_never_skips_a_room_it_could_not_read() {
    let mut world = World::default();
    world.room("a");
    world.cut_off = true;
    let filter = json!({"room": {"timeline": {"limit": 1}}});
    let error = attempt(&world, Ask::default(), &filter).err().unwrap();
    assert_eq!(error.status, 503);
}

#[test]
fn unknown_tokens_and_filters_are_refused_and_tokens_of_the_future_start_over() {
    let mut world = World::default();
    world.room("a");
    for since in ["", "12", "s", "sx", "s1_", "t3"] {
        let error = ClassicRequest::parse(Some(since), None, false, None).unwrap_err();
        assert_eq!(error.errcode, "M_INVALID_PARAM", "{since}");
    }
    let filter = RawJson::from_value(&json!({"room": 3})).unwrap();
    assert_eq!(ClassicRequest::parse(None, Some(&filter), false, None).unwrap_err().errcode, "M_BAD_JSON");
    assert!(!sync(&world, Some("s99999")).room("join", "a").is_null());
}

#[test]
fn interest_follows_the_filter() {
    let interest = |filter: Value| {
        let filter = RawJson::from_value(&filter).unwrap();
        ClassicRequest::parse(None, Some(&filter), false, None).unwrap().interest()
    };
    assert!(interest(json!({})) & news::TYPING > 0);
    let quiet = interest(json!({"room": {"ephemeral": {"types": []}}}));
    assert_eq!(quiet & (news::TYPING | news::RECEIPTS), 0);
    assert!(quiet & news::ROOMS > 0);
}
