//! Sync steps.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

use serde_json::{Value, json};
use tern_model::{EphemeralNotice, Notice, RoomSeq, news};
use tern_ports::wire::{
    StorageCommand,
    user::{Deliver, SlidingSync, SyncStep},
};
use tern_testkit::network::reply;
use tern_user_hub::Handled;

use crate::support::{
    DAY_MS, Hub, Rooms, Step, alice, bob, bodies, everything, later, member, message, notice, raw, room, rooms_only,
    summary,
};

#[test]
fn a_live_answer_touches_nobody_and_writes_one_row() {
    let hub = Hub::new();
    let session = hub.login("D");
    for number in 0..30 {
        hub.joins(&format!("r{number}"));
    }
    let mut pos = hub.sliding(&session, &everything(), None, false).unwrap().body()["pos"].clone();
    hub.routes.take_sent();
    for seq in 2..40 {
        // Sometimes the hub has slept before the message, sometimes before the answer.
        let hub = if seq % 3 == 0 { hub.slept() } else { hub.slept().slept() };
        hub.says("r7", seq, &format!("m{seq}"));
        let hub = if seq % 2 == 0 { hub.slept() } else { hub };
        let (step, rows) = hub.rows(|| hub.sliding(&session, &everything(), pos.as_str(), true).unwrap());
        let body = step.body();
        assert_eq!(bodies(&body["rooms"]["!r7:x"]["timeline"]), [format!("m{seq}")]);
        assert_eq!(body["rooms"].as_object().unwrap().len(), 1);
        assert_eq!(rows, 1);
        pos = body["pos"].clone();
    }
    assert_eq!(hub.routes.take_sent(), []);
}

#[test]
fn an_idle_poll_parks_without_a_row_and_wakes_by_kind() {
    let hub = Hub::new();
    let session = hub.login("D");
    for number in 0..100 {
        hub.joins(&format!("r{number}"));
        hub.storage.learn(&room(&format!("r{number}")), &[member(1, alice(), "join")]);
    }
    let pos = hub.sliding(&session, &rooms_only(), None, false).unwrap().body()["pos"].clone();
    let hub = hub.slept();
    let statements = hub.host.sqlite.statements();
    let (step, rows) = hub.rows(|| hub.sliding(&session, &rooms_only(), pos.as_str(), true).unwrap());
    let kinds = step.kinds();
    assert_eq!((rows, kinds & news::ROOMS, kinds & news::TYPING), (0, news::ROOMS, 0));
    let looked = hub.host.sqlite.statements() - statements;
    assert!(looked <= 4, "{looked} statements for 100 rooms");
    hub.host.take_wakes();
    hub.deliver(vec![Notice {
        ephemeral: vec![EphemeralNotice::Typing(vec![bob().to_owned()])],
        ..notice("r1", vec![])
    }]);
    assert_eq!(hub.woken() & kinds, 0, "typing was not asked for");
    assert!(matches!(hub.sliding(&session, &rooms_only(), pos.as_str(), true), Ok(Step::Waiting(_))));
    hub.says("r1", 2, "hello");
    assert_ne!(hub.woken() & kinds, 0);
    let idle = hub.sliding(&session, &rooms_only(), pos.as_str(), true).unwrap().body();
    let quiet = hub.sliding(&session, &rooms_only(), idle["pos"].as_str(), false).unwrap().body();
    assert!(quiet.to_string().len() <= 60, "{quiet}");
}

#[test]
fn the_same_pos_gets_the_same_bytes_and_an_unknown_one_is_refused() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    let first = hub.sliding(&session, &rooms_only(), None, false).unwrap().body();
    let pos = first["pos"].as_str();
    hub.says("r", 2, "m2");
    let ask = |hub: &Hub| {
        let body = raw(&rooms_only());
        hub.handle(SlidingSync {
            session: session.clone(),
            body,
            pos: pos.map(str::to_owned),
            stable: false,
            may_wait: true,
            presence: None,
        })
    };
    let Handled::Reply(answer) = ask(&hub) else { panic!("parked") };
    hub.says("r", 3, "m3");
    assert_eq!(ask(&hub), Handled::Reply(answer.clone()));
    let hub = hub.slept();
    assert_eq!(ask(&hub), Handled::Reply(answer.clone()), "also after sleep");
    let SyncStep::Answer(second) = tern_ports::wire::frame::read_reply(&answer).unwrap() else { panic!("waits") };
    let second: Value = second.read().unwrap();
    let third = hub.sliding(&session, &rooms_only(), second["pos"].as_str(), true).unwrap().body();
    assert_eq!(bodies(&third["rooms"]["!r:x"]["timeline"]), ["m3"]);
    for unknown in ["0", "999999", "x", ""] {
        let refused = hub.sliding(&session, &rooms_only(), Some(unknown), true).unwrap_err();
        assert_eq!(refused.errcode, "M_UNKNOWN_POS", "{unknown}");
    }
}

#[test]
fn of_two_requests_at_once_none_loses_anything() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    let first = hub.sliding(&session, &rooms_only(), None, false).unwrap().body();
    hub.rooms.history("r", 2, 9);
    hub.storage.history("r", 2, 9);
    hub.deliver(vec![Notice { forwarded: RoomSeq(9), ..notice("r", vec![message(10, "m10")]) }]);
    let request = |limit: u64| {
        let body = json!({"lists": {"all": {"ranges": [[0, limit]], "timeline_limit": 20, "required_state": []}}});
        let pos = first["pos"].as_str().map(str::to_owned);
        SlidingSync { session: session.clone(), body: raw(&body), pos, stable: false, may_wait: true, presence: None }
    };
    let answers: Rc<RefCell<Vec<Handled>>> = Rc::default();
    // Both wait for storage at the same time, and a message comes meanwhile.
    for limit in [99, 50, 99] {
        let (actor, answers, command) = (Rc::clone(&hub.actor), Rc::clone(&answers), request(limit).into());
        hub.host.executor.spawn(Box::pin(async move {
            let handled = actor.handle(command).await;
            answers.borrow_mut().push(handled);
        }));
    }
    (0..3).for_each(|_| assert!(hub.host.executor.step()));
    hub.host.run(hub.actor.handle(Deliver { notices: vec![notice("r", vec![message(11, "m11")])] }.into()));
    hub.host.settle();
    let answers = answers.take();
    assert_eq!(answers.len(), 3);
    for handled in answers {
        let Handled::Reply(answer) = handled else { panic!("parked") };
        let SyncStep::Answer(body) = tern_ports::wire::frame::read_reply(&answer).unwrap() else { panic!("waits") };
        let body: Value = body.read().unwrap();
        let shown = bodies(&body["rooms"]["!r:x"]["timeline"]);
        assert_eq!(shown[..9], (2..=10).map(|seq| format!("m{seq}")).collect::<Vec<_>>());
        let rest = match shown.len() {
            9 => vec!["m11".to_owned()],
            _ => Vec::new(),
        };
        let next = hub.slept().sliding(&session, &rooms_only(), body["pos"].as_str(), false);
        // Only one of the answers can be the one that the client went on from.
        match next {
            Ok(step) => assert_eq!(bodies(&step.body()["rooms"]["!r:x"]["timeline"]), rest),
            Err(error) => assert_eq!(error.errcode, "M_UNKNOWN_POS"),
        }
    }
}

#[test]
fn whatever_happens_between_every_message_is_shown_once() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    let mut hub = hub;
    let mut pos = hub.sliding(&session, &rooms_only(), None, false).unwrap().body()["pos"].clone();
    let mut since = hub.classic(&session, None, false).unwrap().body()["next_batch"].clone();
    let (mut sliding, mut classic) = (Vec::new(), Vec::new());
    for seq in 2..60_u64 {
        hub.says("r", seq, &format!("m{seq}"));
        hub = match seq % 5 {
            0 => hub.slept(),
            1 => hub.crashed(),
            _ => hub,
        };
        if seq % 3 == 0 {
            // An answer that is made but lost with the object has to come again.
            let command = SlidingSync {
                session: session.clone(),
                body: raw(&rooms_only()),
                pos: pos.as_str().map(str::to_owned),
                stable: false,
                may_wait: true,
                presence: None,
            };
            hub.host.run(hub.actor.handle(command.into()));
            hub = hub.crashed();
        }
        if seq % 2 == 0 {
            let body = hub.sliding(&session, &rooms_only(), pos.as_str(), true).unwrap().body();
            sliding.extend(bodies(&body["rooms"]["!r:x"]["timeline"]));
            pos = body["pos"].clone();
        }
        if seq % 4 == 1 {
            let body = hub.classic(&session, since.as_str(), true).unwrap().body();
            classic.extend(bodies(&body["rooms"]["join"]["!r:x"]["timeline"]["events"]));
            since = body["next_batch"].clone();
        }
    }
    let all = |last: u64| (2..=last).map(|seq| format!("m{seq}")).collect::<Vec<_>>();
    assert_eq!(sliding, all(58));
    assert_eq!(classic, all(57));
}

#[test]
fn classic_sync_has_the_same_content_and_parks_too() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    hub.says("r", 2, "m2");
    let sync = hub.classic(&session, None, true).unwrap().body();
    assert_eq!(bodies(&sync["rooms"]["join"]["!r:x"]["timeline"]["events"]), ["m2"]);
    let rules = &sync["account_data"]["events"][0];
    assert_eq!(rules["type"], "m.push_rules");
    let since = sync["next_batch"].as_str();
    let (step, rows) = hub.rows(|| hub.classic(&session, since, true).unwrap());
    let kinds = step.kinds();
    assert_eq!(rows, 0);
    for kind in [news::ROOMS, news::TO_DEVICE, news::ACCOUNT_DATA, news::RECEIPTS, news::TYPING, news::LOGOUT] {
        assert_ne!(kinds & kind, 0);
    }
    let typing = |users| Notice { ephemeral: vec![EphemeralNotice::Typing(users)], ..notice("r", vec![]) };
    hub.deliver(vec![typing(vec![bob().to_owned()])]);
    let (step, rows) = hub.rows(|| hub.classic(&session, since, true).unwrap());
    let next = step.body();
    assert_eq!(next["rooms"]["join"]["!r:x"]["ephemeral"]["events"][0]["type"], "m.typing");
    assert!(rows <= 1, "{rows}");
    // A token of a position that only typing had is never given out for something else.
    let hub = hub.slept();
    hub.says("r", 3, "m3");
    let last = hub.classic(&session, next["next_batch"].as_str(), true).unwrap().body();
    assert_eq!(bodies(&last["rooms"]["join"]["!r:x"]["timeline"]["events"]), ["m3"]);
}

#[test]
fn many_new_rooms_are_one_question_to_storage() {
    let hub = Hub::new();
    let session = hub.login("D");
    let names: BTreeSet<String> = (0..40).map(|number| format!("r{number}")).collect();
    for name in &names {
        // Alice joins rooms that are 20 events old.
        let join = Notice {
            membership: Some("join".to_owned()),
            summary: Some(summary("12")),
            forwarded: RoomSeq(20),
            ..notice(name, vec![member(21, alice(), "join")])
        };
        hub.storage.history(name, 1, 20);
        hub.deliver(vec![join]);
    }
    let body = hub.sliding(&session, &rooms_only(), None, true).unwrap().body();
    assert_eq!(body["rooms"].as_object().unwrap().len(), 40);
    assert_eq!((hub.routes.sent_to_storage().len(), hub.routes.sent_to_rooms().len()), (1, 0));
    assert_eq!(body["rooms"]["!r3:x"]["timeline"].as_array().unwrap().len(), 20);
}

#[test]
fn what_the_user_may_not_see_stays_hidden() {
    let hub = Hub::new();
    let session = hub.login("D");
    let join = member(21, alice(), "join");
    hub.deliver(vec![Notice {
        membership: Some("join".to_owned()),
        summary: Some(summary("12")),
        forwarded: RoomSeq(20),
        ..notice("r", vec![join])
    }]);
    hub.routes.storage(|command| {
        let StorageCommand::SyncRooms(command) = command else { panic!("{command:?}") };
        let rooms = Rooms::default();
        rooms.history("r", 1, 20);
        let mut room = rooms.slice(&command.rooms[0]);
        room.facts.history = vec![(RoomSeq(1), "joined".to_owned())];
        room.facts.membership = vec![(RoomSeq(21), "join".to_owned())];
        reply(vec![room])
    });
    let body = hub.sliding(&session, &rooms_only(), None, true).unwrap().body();
    let timeline = body["rooms"]["!r:x"]["timeline"].as_array().unwrap();
    assert_eq!(timeline.len(), 1, "only the join: {timeline:?}");
}

#[test]
fn connections_are_few_and_do_not_outlive_a_month_unused() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    let body = |name: &str| {
        let mut body = rooms_only();
        body["conn_id"] = json!(name);
        body
    };
    let first = hub.sliding(&session, &body("first"), None, false).unwrap().body();
    for day in 0..40 {
        later(&hub, DAY_MS + 1);
        let step = hub.sliding(&session, &body("first"), first["pos"].as_str(), true);
        assert!(matches!(step, Ok(Step::Waiting(_))), "in use on day {day}");
    }
    later(&hub, 31 * DAY_MS);
    let expired = hub.sliding(&session, &body("first"), first["pos"].as_str(), true).unwrap_err();
    assert_eq!(expired.errcode, "M_UNKNOWN_POS");

    let positions: Vec<_> = (0..20)
        .map(|number| {
            later(&hub, 1_000);
            let name = format!("c{number}");
            let pos = hub.sliding(&session, &body(&name), None, false).unwrap().body()["pos"].clone();
            (name, pos)
        })
        .collect();
    let known = |(name, pos): &&(String, Value)| hub.sliding(&session, &body(name), pos.as_str(), false).is_ok();
    assert_eq!(positions.iter().filter(known).count(), 16);
    assert!(known(&positions.last().unwrap()));
}

#[test]
fn a_logout_ends_a_step_that_waits_for_storage() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    hub.rooms.history("r", 2, 9);
    hub.storage.history("r", 2, 9);
    hub.deliver(vec![Notice { forwarded: RoomSeq(9), ..notice("r", vec![message(10, "m10")]) }]);
    let answer: Rc<RefCell<Option<Handled>>> = Rc::default();
    let (actor, slot) = (Rc::clone(&hub.actor), Rc::clone(&answer));
    let command = SlidingSync {
        session: session.clone(),
        body: raw(&rooms_only()),
        pos: None,
        stable: false,
        may_wait: true,
        presence: None,
    };
    hub.host.executor.spawn(Box::pin(async move {
        let handled = actor.handle(command.into()).await;
        slot.replace(Some(handled));
    }));
    hub.host.executor.step();
    let close = tern_ports::wire::user::CloseSessions { session: None, devices: None, except: None };
    hub.host.run(hub.actor.handle(close.into()));
    hub.host.settle();
    let Some(Handled::Reply(answer)) = answer.take() else { panic!("no reply") };
    let refused = tern_ports::wire::frame::read_reply::<SyncStep>(&answer).unwrap_err();
    assert_eq!(refused.errcode, "M_UNKNOWN_TOKEN");
}
