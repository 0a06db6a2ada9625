//! Telling members' hubs, of which some are out.

use serde_json::json;
use tern_ports::{Sql as _, wire::room::MembershipAction};

use super::scene::{ALICE, BOB, CAROL, Scene};

#[test]
fn the_sender_hears_of_the_transaction_and_nobody_else() {
    let scene = Scene::new();
    scene.ask(Scene::command(ALICE, "hello", "txn 7")).unwrap();
    scene.host.settle();
    let txn = |who: &str| scene.told(who)[0].events[0].txn.clone().map(|txn| txn.txn_id);
    assert_eq!(txn(ALICE).as_deref(), Some("txn 7"));
    assert_eq!(txn(BOB), None);
    assert!(scene.told(BOB)[0].summary.is_none(), "a message changes no summary");
    scene.calm();
    scene.set(ALICE, "m.room.name", "", &json!({ "name": "Cliff" })).unwrap();
    scene.host.settle();
    assert_eq!(scene.told(BOB)[0].summary.as_ref().unwrap().name.as_deref(), Some("Cliff"));
}

#[test]
fn a_hub_that_is_out_is_told_later_and_delays_nobody() {
    let mut scene = Scene::new();
    let before = scene.probe().newest.0;
    scene.around.out.borrow_mut().insert(BOB.to_owned());
    scene.say(ALICE, "1");
    scene.say(ALICE, "2");
    scene.host.settle();
    assert_eq!(scene.seqs_told(ALICE), [before + 1, before + 2]);
    assert_eq!(scene.probe().announced.0, before + 2, "a laggard's row stands in for the cursor");
    assert!(scene.ring());
    assert!(scene.ring(), "the alarm goes on trying");
    scene.crash();
    scene.around.out.borrow_mut().clear();
    scene.ring_until_silent();
    assert_eq!(scene.seqs_told(BOB), [before + 1, before + 2]);
    let rows = scene.host.sqlite.query("SELECT * FROM laggards", &[]).unwrap();
    assert!(rows.is_empty());
}

#[test]
fn a_laggard_gets_everything_with_the_next_event() {
    let scene = Scene::new();
    let before = scene.probe().newest.0;
    scene.around.out.borrow_mut().insert(BOB.to_owned());
    scene.say(ALICE, "1");
    scene.host.settle();
    scene.around.out.borrow_mut().clear();
    scene.say(ALICE, "2");
    scene.host.settle();
    assert_eq!(scene.told(BOB).len(), 1);
    assert_eq!(scene.seqs_told(BOB), [before + 1, before + 2]);
}

#[test]
fn a_stuck_hub_holds_up_neither_the_others_nor_a_crash() {
    let mut scene = Scene::new();
    let before = scene.probe().newest.0;
    scene.around.stuck.borrow_mut().insert(BOB.to_owned());
    for number in 1..=5 {
        scene.say(ALICE, &number.to_string());
        scene.host.settle();
    }
    assert_eq!(scene.seqs_told(ALICE), (before + 1..=before + 5).collect::<Vec<_>>());
    assert_eq!(scene.probe().announced.0, before, "the cursor does not pass who is being told");
    scene.around.stuck.borrow_mut().clear();
    scene.crash();
    scene.ring_until_silent();
    // The cursor is written with the alarm, so what was told before may come again.
    assert!(scene.seqs_told(BOB).ends_with(&(before + 1..=before + 5).collect::<Vec<_>>()));
    assert_eq!(scene.probe().announced.0, before + 5);
}

#[test]
fn at_most_six_hubs_are_told_at_once() {
    let scene = Scene::new();
    for number in 0..20 {
        let id = format!("@user{number}:tern.test");
        scene.act(&id, MembershipAction::Join, &id).unwrap();
        scene.host.settle();
    }
    scene.around.most_at_once.set(0);
    scene.around.told.borrow_mut().clear();
    scene.say(ALICE, "all");
    scene.host.settle();
    assert_eq!(scene.around.told.borrow().len(), 22);
    assert_eq!(scene.around.most_at_once.get(), 6);
}

#[test]
fn a_long_absence_shows_as_a_gap_with_the_membership() {
    let scene = Scene::new();
    scene.around.out.borrow_mut().insert(CAROL.to_owned());
    scene.act(CAROL, MembershipAction::Join, CAROL).unwrap();
    let joined = scene.probe().newest.0;
    for number in 0..150 {
        scene.say(ALICE, &number.to_string());
    }
    scene.host.settle();
    scene.around.out.borrow_mut().clear();
    scene.ring_until_silent();
    let notice = &scene.told(CAROL)[0];
    assert_eq!(notice.membership.as_deref(), Some("join"));
    assert_eq!(notice.summary.as_ref().unwrap().joined, 3);
    assert_eq!(notice.events.first().unwrap().seq.0, joined + 51);
    assert_eq!(notice.events.last().unwrap().seq.0, joined + 150);
}
