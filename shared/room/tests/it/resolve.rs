//! State resolution: the cases that were published, and the algorithm of room version 1.

use std::rc::Rc;

use ruma::events::StateEventType;
use serde_json::{Value, json};
use tern_model::Pdu;
use tern_room::{History, KNOWN, StateMap, Version, authorise_pdu};

use crate::scene::{ALICE, BOB, CAROL, Event, MOD, Scene, member, state};

/// Versions with the second algorithm in its first form, and with MSC4297.
fn second() -> impl Iterator<Item = &'static Version> {
    KNOWN.into_iter().filter(|version| !["1", "12"].contains(&version.id))
}

fn version(id: &str) -> &'static Version {
    Version::known(id).unwrap()
}

fn named(user: &str, name: &str) -> Event {
    member(user, user, "join").with("displayname", name)
}

/// The present state with other events in some places, and without some.
fn altered(scene: &Scene, put: &[&Pdu], drop: &[&str]) -> Rc<StateMap> {
    let mut state = StateMap::clone(&scene.graph.present.state);
    state.retain(|(_, key), _| !drop.contains(&key.as_str()));
    for pdu in put {
        state.insert((pdu.kind().to_string().into(), pdu.key().unwrap().to_owned()), pdu.id().to_owned());
    }
    Rc::new(state)
}

fn content(scene: &Scene, state: &StateMap, kind: &str) -> Option<Value> {
    let event = scene.graph.find(state.get(&(kind.into(), String::new()))?).unwrap();
    Some(serde_json::from_str(event.body().get()).unwrap())
}

/// MSC4297, problem A: the join rules are in dispute only because one side was told an old state, and who set them has
/// left since.
fn problem_a(version: &'static Version) -> Option<Value> {
    let mut scene = Scene::new(version);
    let public = scene.graph.now("m.room.join_rules", "").unwrap().clone();
    let bob = scene.graph.now("m.room.member", BOB).unwrap().clone();
    scene.add(state("m.room.join_rules", ALICE, json!({ "join_rule": "invite" })));
    scene.add(member(ALICE, ALICE, "leave"));
    let before = scene.graph.now("m.room.member", MOD).unwrap().clone();
    scene.add(named(BOB, "bob++"));
    let of_bob = altered(&scene, &[&before], &[]);
    scene.add(named(MOD, "mod++"));
    let of_mod = altered(&scene, &[&public, &bob], &[]);
    let resolved = scene.graph.resolve(&[of_bob, of_mod]).unwrap();
    content(&scene, &resolved, "m.room.join_rules")
}

#[test]
fn problem_a_loses_the_join_rules_until_version_12() {
    for version in second() {
        assert_eq!(problem_a(version), None, "version {}", version.id);
    }
    assert_eq!(problem_a(version("12")), Some(json!({ "join_rule": "invite" })));
}

/// MSC4297, problem B: ALICE promotes BOB, who promotes CAROL; one side was told the state before both. What lies between
/// is in both auth chains, so that version 2 does not look at it.
fn problem_b(version: &'static Version) -> bool {
    let mut scene = Scene::new(version);
    let (zara, eve) = ("@zara:b.test", "@eve:b.test");
    let first = scene.graph.now("m.room.power_levels", "").unwrap().clone();
    let promotion = scene.levels(json!({ MOD: 50, BOB: 50 }));
    scene.add(promotion);
    let mut levels = scene.now("m.room.power_levels");
    levels["users"][CAROL] = 50.into();
    let last = scene.add(state("m.room.power_levels", BOB, levels));
    scene.add(member(zara, zara, "join"));
    let of_zara = altered(&scene, &[], &[]);
    scene.add(member(eve, eve, "join"));
    scene.add(named(eve, "eve++"));
    let of_eve = altered(&scene, &[&first], &[zara]);
    let resolved = scene.graph.resolve(&[of_eve, of_zara]).unwrap();
    resolved[&(StateEventType::RoomPowerLevels, String::new())] == last.id()
}

#[test]
fn problem_b_resets_the_power_levels_until_version_12() {
    for version in second() {
        assert!(!problem_b(version), "version {}", version.id);
    }
    assert!(problem_b(version("12")));
}

/// Two states that differ in what `first` and `second` set; the second event was made knowing of the first.
fn between(scene: &mut Scene, first: Event, second: Event) -> (Pdu, Pdu, Rc<StateMap>) {
    let first = scene.add(first);
    let one = altered(scene, &[], &[]);
    let second = scene.add(second);
    let other = altered(scene, &[], &[]);
    let resolved = scene.graph.resolve(&[one, other]).unwrap();
    (first, second, resolved)
}

fn topic(sender: &str, text: &str) -> Event {
    state("m.room.topic", sender, json!({ "topic": text }))
}

#[test]
fn version_1_takes_the_deepest_event_that_is_allowed() {
    let mut scene = Scene::new(version("1"));
    let (_, deeper, resolved) = between(&mut scene, topic(ALICE, "one"), topic(MOD, "two"));
    assert_eq!(resolved[&(StateEventType::RoomTopic, String::new())], deeper.id());

    // MOD is gone in both states, so what MOD said last does not count.
    let mut scene = Scene::new(version("1"));
    let first = scene.add(topic(ALICE, "one"));
    let second = scene.add(topic(MOD, "two"));
    scene.add(member(MOD, MOD, "leave"));
    let states = [altered(&scene, &[&first], &[]), altered(&scene, &[&second], &[])];
    let resolved = scene.graph.resolve(&states).unwrap();
    assert_eq!(resolved[&(StateEventType::RoomTopic, String::new())], first.id());
}

#[test]
fn version_1_follows_power_levels_as_far_as_each_allows_the_next() {
    let mut scene = Scene::new(version("1"));
    let (first, second) = (scene.levels(json!({ MOD: 50 })), scene.levels(json!({ MOD: 60 })));
    let (_, last, resolved) = between(&mut scene, first, second);
    assert_eq!(resolved[&(StateEventType::RoomPowerLevels, String::new())], last.id());

    // ALICE demotes MOD; MOD, not knowing, sets levels later. The demotion comes first and does not allow it.
    let mut scene = Scene::new(version("1"));
    let before = scene.graph.present.clone();
    let levels = scene.levels(json!({ MOD: 0 }));
    let demotion = scene.add(levels);
    let told = std::mem::replace(&mut scene.graph.present, before);
    let mut levels = scene.now("m.room.power_levels");
    levels["users"][BOB] = 20.into();
    scene.add(state("m.room.power_levels", MOD, levels));
    let states = [told.state, Rc::clone(&scene.graph.present.state)];
    let resolved = scene.graph.resolve(&states).unwrap();
    assert_eq!(resolved[&(StateEventType::RoomPowerLevels, String::new())], demotion.id());
}

#[test]
fn what_cannot_be_read_is_a_failure_and_never_a_state() {
    for version in KNOWN {
        let mut scene = Scene::new(version);
        let first = scene.add(topic(ALICE, "one"));
        let second = scene.add(topic(MOD, "two"));
        let states = [altered(&scene, &[&first], &[]), altered(&scene, &[&second], &[])];
        scene.graph.broken = true;
        assert!(scene.graph.resolve(&states).is_err(), "version {}", version.id);
        assert!(authorise_pdu(&scene.graph, &second).is_err(), "version {}", version.id);
        assert!(scene.graph.event(first.id()).is_err());
    }
}
