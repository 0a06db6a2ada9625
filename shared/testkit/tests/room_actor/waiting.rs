//! Events that come before what they stand on.

use serde_json::json;
use tern_model::Pdu;
use tern_ports::wire::receive::ReceiveEvents;

use super::{
    far::{at, results},
    scene::{Scene, texts},
};

const DAY: u64 = 24 * 60 * 60 * 1000;

/// Messages, each on the one before it.
fn line(scene: &Scene, count: usize) -> Vec<Pdu> {
    let mut last = scene.newest();
    let mut next = |number: usize| {
        let pdu = scene.message(&last, &number.to_string());
        last = at(&pdu);
        pdu
    };
    (0..count).map(&mut next).collect()
}

fn waiting(scene: &Scene) -> u64 {
    scene.count("SELECT count(*) FROM waiting")
}

fn said(scene: &Scene) -> Vec<String> {
    texts(&scene.walk(super::scene::ALICE, false, 50))
}

#[test]
fn what_came_too_early_is_taken_in_once_the_rest_has_come() {
    let mut scene = Scene::shared();
    let sent = line(&scene, 4);
    assert_eq!(scene.take(&sent[3..]), ["missing 1"]);
    assert_eq!(scene.take(&sent[2..3]), ["missing 1"]);
    assert_eq!(scene.take(&sent[1..2]), ["missing 1"]);
    assert_eq!((waiting(&scene), said(&scene)), (3, Vec::new()));
    // It is durable: the answer says that it is taken over.
    scene.crash();
    assert_eq!(waiting(&scene), 3);
    assert_eq!(scene.take(&sent[..1]), ["accepted"]);
    assert_eq!((waiting(&scene), said(&scene)), (0, ["0", "1", "2", "3"].map(str::to_owned).to_vec()));
    assert_eq!(scene.take(&sent), ["accepted"; 4]);
}

#[test]
fn a_long_line_that_came_backwards_is_taken_in_at_once() {
    let scene = Scene::shared();
    let sent = line(&scene, 120);
    for early in sent[1..].iter().rev() {
        assert_eq!(scene.take(std::slice::from_ref(early)), ["missing 1"]);
    }
    assert_eq!(scene.take(&sent[..1]), ["accepted"]);
    assert_eq!((waiting(&scene), said(&scene).len()), (0, 120));
}

#[test]
fn an_event_that_is_repeated_while_it_waits_waits_once() {
    let scene = Scene::shared();
    let sent = line(&scene, 2);
    for _ in 0..3 {
        assert_eq!(scene.take(&sent[1..]), ["missing 1"]);
    }
    assert_eq!(waiting(&scene), 1);
    assert_eq!(scene.take(&sent), ["accepted", "accepted"]);
    assert_eq!(scene.take(&[scene.message(&scene.newest(), "next")]), ["accepted"]);
    assert_eq!(waiting(&scene), 0, "it is not tried for ever");
}

#[test]
fn a_server_that_sends_what_stands_on_nothing_has_room_for_so_many() {
    let scene = Scene::shared();
    let (_, depth) = scene.newest();
    let unknown = |number: u64| (format!("$unknown{number}").as_str().try_into().unwrap(), depth);
    let stray = |number: u64| scene.message(&unknown(number), &number.to_string());
    let strays: Vec<_> = (0..250).map(stray).collect();
    for chunk in strays.chunks(50) {
        assert!(scene.take(chunk).iter().all(|result| result == "missing 1"));
        // Its share of the room's time comes back.
        scene.host.clock.advance(DAY / 24);
    }
    assert_eq!(waiting(&scene), 200);
    let kept = |pdu: &Pdu| scene.count(&format!("SELECT count(*) FROM waiting WHERE event_id = '{}'", pdu.id()));
    assert_eq!((kept(&strays[0]), kept(&strays[249])), (0, 1), "the oldest go");
    // A server that is not in the room, as far as is known here.
    let of_stranger = |pdus: &[Pdu]| {
        let origin = "other.test".try_into().unwrap();
        results(&scene.ask(ReceiveEvents { origin, ..Scene::receiving(pdus, &[]) }).unwrap())
    };
    let others: Vec<_> = (300..350).map(stray).collect();
    of_stranger(&others);
    assert_eq!(waiting(&scene), 220);
    // Others go on.
    assert_eq!(scene.take(&[scene.message(&scene.newest(), "on")]), ["accepted"]);
    assert_eq!(said(&scene), ["on"]);
}

#[test]
fn nothing_waits_for_ever() {
    let scene = Scene::shared();
    let sent = line(&scene, 3);
    scene.take(&sent[2..]);
    scene.host.clock.advance(8 * DAY);
    scene.take(&sent[1..2]);
    assert_eq!(waiting(&scene), 1);
}

#[test]
fn what_waits_and_is_refused_in_the_end_is_forgotten() {
    let scene = Scene::shared();
    let first = scene.message(&scene.newest(), "first");
    let levels = json!({ "users": { super::far::MOD: 100 } });
    let grab = scene.make(&[at(&first)], "m.room.power_levels", Some(""), &levels, 2_000, Vec::new());
    assert_eq!(scene.take(std::slice::from_ref(&grab)), ["missing 1"]);
    assert_eq!(scene.take(std::slice::from_ref(&first)), ["accepted"]);
    assert_eq!(waiting(&scene), 0);
    assert_eq!(scene.take(&[grab]), ["rejected"]);
}
