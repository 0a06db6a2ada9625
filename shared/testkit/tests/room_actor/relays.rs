//! A long queue, of which relays tell the most.

use std::{collections::BTreeSet, rc::Rc};

use ruma::OwnedUserId;
use serde_json::json;
use tern_model::{Config, EphemeralNotice, Limits, Millis, RawJson, RoomSeq};
use tern_ports::{
    Sql as _, ask_relay,
    wire::{
        relay::{MOST_USERS, PassOn},
        room::{MembershipAction, SetTyping, SubscribeRoom},
    },
};

use super::scene::{ALICE, BOB, Scene, config, user};

/// Hubs that the room, or a relay, tells by itself.
const OWN: usize = 5;

fn listener(number: usize) -> String {
    format!("@listener{number:02}:tern.test")
}

/// Alice's room with so many listeners; all that was said about their coming has been told.
fn crowd(listeners: usize) -> Scene {
    let mut scene = Scene::of(&json!({ "preset": "public_chat", "name": "Nest" }));
    for number in 0..listeners {
        let id = listener(number);
        scene.act(&id, MembershipAction::Join, &id).unwrap();
        scene.host.settle();
    }
    let limits = Limits { large_room: 1, relay_above: OWN as u64, ..Limits::default() };
    scene.config = Rc::new(Config { limits, ..Config::clone(&config()) });
    scene.around.relay_above.set(OWN as u64);
    scene.ring_until_silent();
    scene.evict();
    scene.calm();
    scene.around.shards.take();
    scene
}

/// Who was told, as often as they were.
fn told(scene: &Scene) -> Vec<OwnedUserId> {
    let mut told: Vec<_> = scene.around.told.borrow().iter().map(|(user_id, _)| user_id.clone()).collect();
    told.sort();
    told
}

fn all(listeners: usize) -> Vec<OwnedUserId> {
    [user(ALICE)].into_iter().chain((0..listeners).map(|number| user(&listener(number)))).collect()
}

fn failed_recipients(scene: &Scene) -> usize {
    scene.host.sqlite.query("SELECT * FROM laggards", &[]).unwrap().len()
}

fn listens(scene: &Scene, who: &str) -> bool {
    !scene.host.sqlite.query("SELECT 1 FROM listeners WHERE user_id = ?", &[who.into()]).unwrap().is_empty()
}

/// Lets the answers of relays go that were held.
fn release(scene: &Scene) {
    scene.around.hold.set(false);
    for held in scene.around.held.take() {
        held.send(()).unwrap();
    }
    scene.host.settle();
}

#[test]
fn everybody_is_told_once_and_each_in_the_words_that_are_theirs() {
    let scene = crowd(60);
    scene.say(ALICE, "hello");
    scene.host.settle();
    assert_eq!(told(&scene), all(60));
    let shards = scene.around.shards.borrow();
    let by_room: Vec<_> = shards.iter().filter(|(name, _)| name.matches('/').count() == 1).collect();
    assert_eq!(by_room.iter().map(|(_, users)| users).sum::<usize>(), 60, "the sender is told by the room itself");
    let names: BTreeSet<_> = by_room.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names, (0..4).map(|relay| format!("{}/{relay}", scene.room_id)).collect());
    assert!(by_room.iter().all(|(_, users)| (14..=16).contains(users)), "in equal shares: {by_room:?}");
    assert!(shards.len() > by_room.len(), "relays with more than {OWN} ask others");
    let newest = scene.probe();
    assert_eq!(newest.announced, newest.newest);
    assert!(scene.told(ALICE)[0].events[0].txn.is_some(), "with the transaction");
    assert!(scene.told(&listener(7))[0].events[0].txn.is_none());
}

#[test]
fn typing_goes_through_relays_as_well_and_a_short_queue_through_none() {
    let scene = crowd(40);
    scene.ask(SetTyping { user_id: user(ALICE), timeout_ms: 20_000 }).unwrap();
    scene.host.settle();
    assert_eq!(told(&scene), all(40));
    assert!(scene.around.shards.borrow().len() >= 4);
    let typing = [EphemeralNotice::Typing(vec![user(ALICE)])];
    assert!(scene.around.told.borrow().iter().all(|(_, notice)| notice.ephemeral == typing));
    let few = crowd(OWN - 1);
    few.say(ALICE, "hello");
    few.host.settle();
    assert_eq!(told(&few), all(OWN - 1));
    assert!(few.around.shards.borrow().is_empty());
}

#[test]
fn whoever_is_asleep_is_struck_off_and_whoever_missed_it_is_told_again() {
    let scene = crowd(40);
    scene.around.idle.borrow_mut().insert(listener(3));
    scene.around.out.borrow_mut().insert(listener(8));
    scene.say(ALICE, "1");
    scene.host.settle();
    assert_eq!((listens(&scene, &listener(3)), listens(&scene, &listener(4))), (false, true));
    assert_eq!(failed_recipients(&scene), 1);
    scene.say(ALICE, "2");
    scene.host.settle();
    assert_eq!(scene.seqs_told(&listener(3)).len(), 1);
    scene.around.out.borrow_mut().clear();
    scene.ring_until_silent();
    let newest = scene.probe().newest.0;
    assert_eq!(scene.seqs_told(&listener(8)), [newest - 1, newest], "both, at once");
    assert_eq!(failed_recipients(&scene), 0);
}

/// A message, of which one relay's answer is lost. Returns how many users were in its share.
fn say_with_lost_answer(scene: &Scene, relay: &str) -> usize {
    scene.around.mute_relays.borrow_mut().insert(relay.to_owned());
    scene.say(ALICE, "1");
    scene.host.settle();
    let shards = scene.around.shards.borrow();
    shards.iter().find(|(name, _)| name == relay).unwrap().1
}

#[test]
fn a_lost_answer_makes_laggards_of_the_whole_share_which_hear_it_again() {
    let scene = crowd(40);
    let lost = format!("{}/2", scene.room_id);
    let shard = say_with_lost_answer(&scene, &lost);
    assert_eq!(told(&scene), all(40), "they did hear it");
    assert_eq!(failed_recipients(&scene), shard, "but nobody knows");
    scene.around.mute_relays.borrow_mut().clear();
    scene.ring_until_silent();
    assert_eq!(failed_recipients(&scene), 0);
    let often = |number| scene.seqs_told(&listener(number)).len();
    assert_eq!((0..40).filter(|number| often(*number) == 2).count(), shard);
    assert_eq!((0..40).filter(|number| often(*number) == 1).count(), 40 - shard);
}

#[test]
fn one_relay_of_many_that_fails_takes_only_its_branch_with_it() {
    let scene = crowd(60);
    let lost = format!("{}/1/0", scene.room_id);
    let shard = say_with_lost_answer(&scene, &lost);
    assert_eq!(failed_recipients(&scene), shard);
    assert!(shard <= OWN);
}

#[test]
fn nobody_is_told_anything_else_before_their_share_is_answered() {
    let scene = crowd(40);
    scene.around.hold.set(true);
    scene.say(ALICE, "1");
    scene.host.settle();
    scene.around.told.borrow_mut().clear();
    for text in ["2", "3"] {
        scene.say(ALICE, text);
        scene.host.settle();
    }
    assert!(told(&scene).iter().all(|who| who == ALICE), "all others are in flight");
    assert!(scene.probe().announced < scene.probe().newest);
    release(&scene);
    let newest = scene.probe().newest;
    assert_eq!(scene.seqs_told(&listener(5)), [newest.0 - 1, newest.0]);
    assert_eq!(scene.told(&listener(5)).len(), 1, "as one notice");
    assert_eq!(scene.probe().announced, newest);
}

#[test]
fn a_hub_that_attends_while_its_share_is_out_stays_on_the_list() {
    let scene = crowd(40);
    scene.around.idle.borrow_mut().extend([listener(3), listener(4)]);
    scene.around.hold.set(true);
    scene.say(ALICE, "1");
    scene.host.settle();
    let attend = SubscribeRoom { user_id: user(&listener(3)), after: RoomSeq(0), since: Millis(0) };
    scene.ask(attend).unwrap();
    release(&scene);
    assert_eq!((listens(&scene, &listener(3)), listens(&scene, &listener(4))), (true, false));
}

#[test]
fn who_joins_is_told_before_the_answer_however_many_wait() {
    let scene = crowd(40);
    scene.around.hold.set(true);
    scene.say(ALICE, "1");
    scene.host.settle();
    scene.act(BOB, MembershipAction::Join, BOB).unwrap();
    assert_eq!(scene.told(BOB)[0].membership.as_deref(), Some("join"), "while four shares are out");
}

#[test]
fn what_is_too_long_for_so_many_copies_the_room_tells_by_itself() {
    let scene = crowd(40);
    scene.around.hold.set(true);
    scene.say(ALICE, "1");
    scene.host.settle();
    for text in ["a", "b", "c"] {
        scene.say(ALICE, &text.repeat(60_000));
        scene.host.settle();
    }
    let shards = scene.around.shards.borrow().len();
    release(&scene);
    assert_eq!(scene.around.shards.borrow().len(), shards);
    let newest = scene.probe().newest.0;
    assert!((0..40).all(|number| scene.seqs_told(&listener(number)) == [newest - 3, newest - 2, newest - 1, newest]));
}

#[test]
fn a_crash_with_shares_out_loses_nothing() {
    let mut scene = crowd(40);
    scene.around.hold.set(true);
    scene.around.out.borrow_mut().insert(listener(9));
    scene.say(ALICE, "1");
    scene.host.settle();
    scene.around.hold.set(false);
    scene.around.out.borrow_mut().clear();
    scene.crash();
    scene.ring_until_silent();
    let probe = scene.probe();
    assert_eq!(probe.announced, probe.newest);
    assert!((0..40).all(|number| scene.seqs_told(&listener(number)).contains(&probe.newest.0)));
}

#[test]
fn a_relay_refuses_more_users_than_it_takes() {
    let scene = crowd(1);
    let ask = |count| PassOn { users: vec![user(ALICE); count], notice: RawJson::empty_object(), patience_ms: 1_000 };
    let refused = scene.host.run(ask_relay(&*scene.host, "relay", ask(MOST_USERS + 1)));
    assert_eq!(refused.unwrap_err().status, 400);
    assert!(told(&scene).is_empty());
}
