//! A hub whose database is full: what is new is refused by name, what was acknowledged stands, reading goes on, and with room
//! again everything does.

use tern_ports::{Sql as _, wire::room::ReadState};

use super::scene::{ALICE, BOB, Scene, stored_texts, texts, user};

impl Scene {
    /// Sends until one is refused; those that were acknowledged, and the refusal.
    fn say_until_refused(&self) -> (Vec<String>, tern_model::MatrixError) {
        let mut said = Vec::new();
        for number in 0..2_000 {
            let text = format!("{number:04} {}", "x".repeat(500));
            match self.ask(Self::command(ALICE, &text, &text)) {
                Ok(_) => said.push(text),
                Err(error) => return (said, error),
            }
        }
        panic!("the database takes everything");
    }

    fn read(&self) -> Vec<String> {
        texts(&self.walk(BOB, false, 100)).into_iter().filter(|text| text.len() > 400).collect()
    }
}

#[test]
fn a_full_hub_refuses_keeps_and_heals() {
    let mut scene = Scene::new();
    scene.host.sqlite.make_durable();
    scene.host.sqlite.bound(Some(40));
    let (said, error) = scene.say_until_refused();
    assert!(said.len() > 20, "{} were taken", said.len());
    assert_eq!((error.status, &*error.errcode), (507, "M_RESOURCE_LIMIT_EXCEEDED"));
    assert_eq!(scene.read(), said, "reading goes on");
    scene.ask(ReadState { caller: user(BOB) }).unwrap();
    for _ in 0..5 {
        scene.ring();
    }
    assert_eq!(scene.read(), said, "the alarm does no harm");
    scene.host.settle();
    scene.host.sqlite.make_durable();

    // It forgets everything but its rows, and is as full as before.
    scene.host.sqlite.bound(Some(0));
    scene.crash();
    assert_eq!(scene.read(), said, "nothing that was acknowledged is lost");

    scene.host.sqlite.bound(None);
    scene.say(ALICE, "there is room again");
    scene.host.settle();
    scene.ring_until_silent();
    let stored = stored_texts(&scene);
    assert_eq!(stored.len(), said.len() + 1, "all of it is stored");
    assert_eq!(stored.last().map(String::as_str), Some("there is room again"));
    let probe = scene.probe();
    assert_eq!((probe.forwarded, probe.announced), (probe.newest, probe.newest));
    let told = scene.seqs_told(BOB);
    assert_eq!(told.last(), Some(&probe.newest.0), "members are told");
}

/// The storage worker takes nothing: the room goes on from its journal, and hands it over when it can.
#[test]
fn a_room_outlives_a_full_shard() {
    let scene = Scene::new();
    scene.host.settle();
    scene.ring_until_silent();
    for shard in 0..4 {
        scene.around.storage.d1.database(tern_storage::Database::Shard(shard)).bound(Some(0));
    }
    let said: Vec<String> = (0..60).map(|number| format!("{number:04} {}", "x".repeat(2_000))).collect();
    for text in &said {
        scene.say(ALICE, text);
    }
    scene.host.settle();
    for _ in 0..5 {
        scene.ring();
    }
    assert!(scene.probe().forwarded < scene.probe().newest, "not all of it is stored");
    assert_eq!(scene.read(), said);
    for shard in 0..4 {
        scene.around.storage.d1.database(tern_storage::Database::Shard(shard)).bound(None);
    }
    scene.ring_until_silent();
    assert_eq!(scene.probe().forwarded, scene.probe().newest);
    assert_eq!(stored_texts(&scene), said);
    let rows = scene.host.sqlite.query("SELECT count(*) FROM laggards", &[]).unwrap();
    assert_eq!(rows[0].int(0), Some(0_u64));
}
