//! Feeding storage through outages, and crashes at every step.

use std::{cell::RefCell, rc::Rc};

use tern_ports::{wire::frame, wire::room::Sent};

use super::scene::{ALICE, BOB, Scene, numbered, stored_texts, texts};

#[test]
fn an_outage_of_storage_delays_history_and_nothing_else() {
    let mut scene = Scene::new();
    scene.around.storage_out.set(true);
    let before = scene.probe().forwarded;
    for number in 1..=250 {
        scene.say(ALICE, &number.to_string());
    }
    scene.host.settle();
    assert_eq!(scene.probe().forwarded, before);
    assert_eq!(texts(&scene.walk(BOB, false, 100)), numbered(1..=250));
    assert!(scene.ring());
    scene.evict();
    scene.around.storage_out.set(false);
    scene.around.appends.set(0);
    scene.ring_until_silent();
    let probe = scene.probe();
    assert_eq!(probe.forwarded, probe.newest);
    assert_eq!(scene.around.appends.get(), 3, "100 at a time");
    assert_eq!(stored_texts(&scene), numbered(1..=250));
}

#[test]
fn lost_answers_of_storage_double_nothing() {
    let mut scene = Scene::new();
    scene.around.storage_mute.set(true);
    let target = scene.say(ALICE, "1");
    scene.redact(ALICE, &target).unwrap();
    scene.say(ALICE, "2");
    scene.host.settle();
    assert!(scene.probe().forwarded < scene.probe().newest);
    scene.crash();
    scene.around.storage_mute.set(false);
    scene.ring_until_silent();
    assert_eq!(scene.probe().forwarded, scene.probe().newest);
    assert_eq!(stored_texts(&scene), ["2"]);
}

#[test]
fn what_was_acknowledged_survives_a_crash_at_every_step() {
    for steps in 0..40 {
        let mut scene = Scene::new();
        scene.host.sqlite.make_durable();
        let before = scene.probe().newest.0;
        let reply = Rc::new(RefCell::new(None));
        let (actor, answered) = (Rc::clone(&scene.actor), Rc::clone(&reply));
        scene.host.executor.spawn(Box::pin(async move {
            let bytes = actor.handle(Scene::command(ALICE, "hello", "1").into()).await;
            answered.replace(Some(frame::read_reply::<Sent>(&bytes).unwrap().event_id));
        }));
        for _ in 0..steps {
            scene.host.executor.step();
        }
        scene.crash();
        let acknowledged = reply.take();
        if acknowledged.is_some() {
            assert!(scene.host.alarm.get().is_some(), "the alarm was set before the reply, after {steps} steps");
            scene.ring_until_silent();
            assert!(scene.seqs_told(BOB).contains(&(before + 1)), "the alarm alone completes it, after {steps} steps");
        }
        let again = scene.say_with_txn("hello", "1");
        if let Some(acknowledged) = acknowledged {
            assert_eq!(again, acknowledged, "after {steps} steps");
        }
        scene.host.settle();
        scene.ring_until_silent();
        let probe = scene.probe();
        assert_eq!((probe.newest.0, probe.announced.0, probe.forwarded.0), (before + 1, before + 1, before + 1));
        assert_eq!(stored_texts(&scene), ["hello"]);
        assert!(scene.seqs_told(BOB).contains(&(before + 1)), "told at least once, after {steps} steps");
    }
}
