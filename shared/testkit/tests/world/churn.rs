//! Members who come and go, and words taken back.

use ruma::OwnedEventId;
use serde_json::json;
use tern_ports::{Target, wire::room::MembershipAction};
use tern_storage::Database;
use tern_testkit::Faults;
use tern_testkit::d1::SHARDS;

use crate::scene::{Scene, catch_up, each_seed};

/// Where in the order somebody was away: after each leave, before the next join.
fn away(order: &[OwnedEventId], moves: &[(MembershipAction, OwnedEventId)]) -> Vec<OwnedEventId> {
    let mut away = false;
    let mut missed = Vec::new();
    for event in order {
        let moved = moves.iter().find(|(_, moved)| moved == event).map(|(action, _)| action);
        away = moved.map_or(away, |action| *action == MembershipAction::Leave);
        if away && moved.is_none() {
            missed.push(event.clone());
        }
    }
    missed
}

#[test]
fn who_is_away_sees_nothing_and_who_is_back_sees_all_that_follows() {
    each_seed(|seed| {
        let scene = Scene::new(seed);
        let visibility = json!({ "history_visibility": "joined" });
        scene.world.run(scene.alice.set_state(&scene.room_id, "m.room.history_visibility", &visibility));
        let mut reader = scene.bob.reader(&scene.room_id, 4);
        scene.world.set_faults(Faults::bad_day());
        let mut moves = Vec::new();
        for round in 0..4 {
            let action = if round % 2 == 0 { MembershipAction::Leave } else { MembershipAction::Join };
            scene.world.run(scene.bob.change_membership(&scene.room_id, action));
            let event = scene.world.run(scene.bob.member_event(&scene.room_id));
            moves.push((action, event));
            for number in 0..5 {
                scene.world.run(scene.alice.send(&scene.room_id, &format!("{round} {number}"), "hello"));
                scene.world.run(reader.sync(0));
            }
        }
        scene.world.heal();
        let last = scene.world.run(scene.alice.send(&scene.room_id, "last", "hello"));
        scene.world.pass(600_000);
        let order = scene.world.run(scene.alice.history(&scene.room_id, true, 10));
        scene.world.run(catch_up(&mut reader));
        let missed = away(&order, &moves);
        assert_eq!(missed.len(), 10);
        assert!(!reader.seen.iter().any(|event| missed.contains(event)), "nothing was shown of the time away");
        let (_, back) = moves.last().unwrap();
        let since = order.iter().skip_while(|event| *event != back).cloned().collect::<Vec<_>>();
        assert!(reader.seen.ends_with(&since), "all since the last join was shown, in order");
        assert_eq!(since.last(), Some(&last));
        let page = scene.world.run(scene.bob.history(&scene.room_id, true, 3));
        assert!(!page.iter().any(|event| missed.contains(event)), "and pagination shows nothing of it either");
    });
}

#[test]
fn what_was_taken_back_is_nowhere() {
    each_seed(|seed| {
        let scene = Scene::new(seed);
        let mut reader = scene.bob.reader(&scene.room_id, 20);
        scene.world.run(reader.sync(0));
        scene.world.set_faults(Faults::bad_day());
        for number in 0..8 {
            let said = scene.world.run(scene.alice.send(&scene.room_id, &format!("s{number}"), "unfortunate"));
            if number % 3 == 0 {
                scene.world.run(reader.sync(0));
            }
            scene.world.run(scene.alice.redact(&scene.room_id, &format!("r{number}"), &said));
        }
        scene.heal();
        scene.world.run(catch_up(&mut reader));
        let (room, bob) = (Target::Room(scene.room_id.clone()), Target::User(scene.bob.user_id.clone()));
        assert_eq!(scene.world.find_text(&room, "unfortunate"), [""; 0]);
        // Except in the answers that Bob's client was given last, should it ask for them again.
        let held = scene.world.find_text(&bob, "unfortunate");
        assert!(held.iter().all(|table| table == "connection"), "{held:?}");
        for shard in 0..SHARDS {
            let stored = scene.world.storage().d1.database(Database::Shard(shard)).find_text("unfortunate");
            assert_eq!(stored, [""; 0], "shard {shard}");
        }
    });
}
