//! Many at once.

use std::collections::BTreeSet;

use futures::future::join_all;
use tern_ports::wire::room::MembershipAction;
use tern_testkit::Faults;

use crate::scene::{Scene, assert_tail, catch_up};

#[test]
fn fifty_senders_get_places_of_their_own_in_one_order() {
    let scene = Scene::new(11);
    let names = (0..50).map(|index| format!("user{index}"));
    let members: Vec<_> = names.map(|name| scene.world.sign_in(&name)).collect();
    let joins = members.iter().map(|member| member.change_membership(&scene.room_id, MembershipAction::Join));
    scene.world.run(join_all(joins));
    let mut readers: Vec<_> = members.iter().step_by(10).map(|member| member.reader(&scene.room_id, 10)).collect();
    for reader in &mut readers {
        scene.world.run(reader.sync(0));
    }
    scene.world.set_faults(Faults { crashes: 10, ..Faults::bad_day() });
    let sends = members.iter().map(|member| member.send(&scene.room_id, "all at once", "me too"));
    let acknowledged: BTreeSet<_> = scene.world.run(join_all(sends)).into_iter().collect();
    assert_eq!(acknowledged.len(), members.len());
    let order = scene.heal();
    assert_eq!(order.iter().filter(|event| acknowledged.contains(*event)).count(), members.len());
    for reader in &mut readers {
        scene.world.run(catch_up(reader));
        assert_tail(&reader.seen, &order, "one of fifty");
    }
}
