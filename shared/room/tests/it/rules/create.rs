//! Rules 1 to 4: the create event, the room it makes, and the list of auth events.

use serde_json::json;
use tern_room::{Verdict, Version};

use super::{authorised, rules};
use crate::scene::{ALICE, BOB, CAROL, Event, MOD, Scene, member, message, state};

rules! {
    "1.1" 1..=12, "a create event has no previous events": create, create_after_another;
    "1.2a" 1..=11, "the create event's room is of its sender's server": create, create_in_foreign_room;
    "1.2" 12..=12, "the create event has no room id": create, create_with_room_id;
    "1.3" 1..=12, "the create event names a recognised version": create, create_of_unknown_version;
    "1.4a" 1..=10, "the create event names its creator": create, create_without_creator;
    "1.4" 12..=12, "additional creators are user ids": create_with_more_creators, create_with_bad_creators;
    "2" 12..=12, "the room's id is that of an accepted create event": plain, of_unknown_room;
    "3.1" 1..=12, "no auth event for the same type and state key twice": plain, cites_twice;
    "3.2a" 1..=11, "no auth event that the selection does not name": plain, cites_too_much;
    "3.2" 12..=12, "neither the create event, since the room's id names it": plain, cites_create;
    "3.3" 1..=12, "no auth event that was rejected": plain, cites_rejected;
    "3.4a" 1..=11, "the create event is among the auth events": plain, cites_no_create;
    "3.5" 1..=12, "the auth events are of the same room": plain, cites_other_room;
    "4" 1..=12, "a room that is not federated has senders of its own server only": local_sender, foreign_sender;
}

fn of(version: &'static Version, change: impl FnOnce(Event) -> Event) -> Verdict {
    let mut scene = Scene::empty(version);
    let create = change(scene.create(json!({})));
    scene.authorise_pdu(create)
}

fn create(version: &'static Version) -> Verdict {
    of(version, |create| create)
}

fn create_after_another(version: &'static Version) -> Verdict {
    authorised(version, |scene| scene.create(json!({})))
}

fn create_in_foreign_room(version: &'static Version) -> Verdict {
    of(version, |create| create.field("room_id", "!room:b.test"))
}

fn create_with_room_id(version: &'static Version) -> Verdict {
    of(version, |create| create.field("room_id", "!room:a.test"))
}

fn create_of_unknown_version(version: &'static Version) -> Verdict {
    of(version, |create| create.with("room_version", "0"))
}

fn create_without_creator(version: &'static Version) -> Verdict {
    of(version, |create| create.content(json!({ "room_version": version.id })))
}

fn create_with_more_creators(version: &'static Version) -> Verdict {
    of(version, |create| create.with("additional_creators", json!([BOB, CAROL])))
}

fn create_with_bad_creators(version: &'static Version) -> Verdict {
    of(version, |create| create.with("additional_creators", json!([BOB, "carol"])))
}

fn plain(version: &'static Version) -> Verdict {
    authorised(version, |_| message(BOB))
}

fn of_unknown_room(version: &'static Version) -> Verdict {
    authorised(version, |_| message(BOB).field("room_id", "!another"))
}

fn cites_twice(version: &'static Version) -> Verdict {
    authorised(version, |scene| {
        let before = scene.id_of("m.room.power_levels", "");
        let levels = scene.levels(json!({ MOD: 50, BOB: 0 }));
        scene.add(levels);
        let mut auth = scene.auth_for(&message(BOB));
        auth.push(before);
        message(BOB).auth(auth)
    })
}

fn cites_too_much(version: &'static Version) -> Verdict {
    authorised(version, |scene| {
        let mut auth = scene.auth_for(&message(BOB));
        auth.push(scene.id_of("m.room.join_rules", ""));
        message(BOB).auth(auth)
    })
}

fn cites_create(version: &'static Version) -> Verdict {
    authorised(version, |scene| {
        let mut auth = scene.auth_for(&message(BOB));
        auth.push(scene.id_of("m.room.create", ""));
        message(BOB).auth(auth)
    })
}

fn cites_rejected(version: &'static Version) -> Verdict {
    authorised(version, |scene| {
        let seized = scene.add_rejected(state("m.room.power_levels", BOB, json!({ "users": { BOB: 100 } })));
        let current = scene.id_of("m.room.power_levels", "");
        let mut auth = scene.auth_for(&message(BOB));
        auth.retain(|id| *id != current);
        auth.push(seized.id().to_owned());
        message(BOB).auth(auth)
    })
}

fn cites_no_create(version: &'static Version) -> Verdict {
    authorised(version, |scene| {
        let create = scene.id_of("m.room.create", "");
        let mut auth = scene.auth_for(&message(BOB));
        auth.retain(|id| *id != create);
        message(BOB).auth(auth)
    })
}

fn cites_other_room(version: &'static Version) -> Verdict {
    authorised(version, |scene| {
        // The auth events stay those of the scene's room.
        let auth = scene.auth_for(&message(BOB));
        message(BOB).auth(auth).field("room_id", "!another:a.test")
    })
}

fn unfederated(version: &'static Version) -> Scene {
    Scene::with_create(version, json!({ "m.federate": false }))
}

fn local_sender(version: &'static Version) -> Verdict {
    unfederated(version).authorise_pdu(member(ALICE, ALICE, "join"))
}

fn foreign_sender(version: &'static Version) -> Verdict {
    unfederated(version).authorise_pdu(member(CAROL, CAROL, "join"))
}
