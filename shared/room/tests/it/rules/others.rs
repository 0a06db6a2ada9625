//! Rules 6 to 9 and 11, and those for events that only old versions know.

use serde_json::json;
use tern_room::{Verdict, Version};

use super::{authorised, rules};
use crate::scene::{ALICE, BOB, CAROL, MOD, Scene, event, message, state};

rules! {
    "4a" 1..=5, "aliases have a state key": own_aliases, aliases_without_key;
    "4b" 1..=5, "aliases are for the sender's own server": own_aliases, foreign_aliases;
    "6" 1..=12, "who sends is in the room": own_message, outsider_sends;
    "7" 1..=12, "who invites a third party has the level to invite": third_party, third_party_without_level;
    "8" 1..=12, "a message needs its type's level": own_message, message_without_level;
    "8'" 1..=12, "state needs the level of state": name_by_moderator, name_by_member;
    "9" 1..=12, "a state key with a user's id is that user's own": own_key, key_of_another;
    "11a" 1..=2, "who redacts has the level, or redacts an event of the own server": redaction_by_moderator, redaction;
    "11" 1..=12, "anything else is allowed": anything, anything_from_outside;
}

fn own_aliases(version: &'static Version) -> Verdict {
    authorised(version, |_| event("m.room.aliases", BOB).key("a.test"))
}

fn aliases_without_key(version: &'static Version) -> Verdict {
    authorised(version, |_| event("m.room.aliases", BOB))
}

fn foreign_aliases(version: &'static Version) -> Verdict {
    authorised(version, |_| event("m.room.aliases", BOB).key("b.test"))
}

fn own_message(version: &'static Version) -> Verdict {
    authorised(version, |_| message(BOB))
}

fn outsider_sends(version: &'static Version) -> Verdict {
    authorised(version, |_| message(CAROL))
}

fn invites(scene: &mut Scene) {
    let levels = scene.levels(json!({ MOD: 50 })).with("invite", 50);
    scene.add(levels);
}

fn third_party(version: &'static Version) -> Verdict {
    authorised(version, |scene| {
        invites(scene);
        event("m.room.third_party_invite", MOD).key("token")
    })
}

fn third_party_without_level(version: &'static Version) -> Verdict {
    authorised(version, |scene| {
        invites(scene);
        event("m.room.third_party_invite", BOB).key("token")
    })
}

fn message_without_level(version: &'static Version) -> Verdict {
    authorised(version, |scene| {
        let levels = scene.levels(json!({ MOD: 50 })).with("events", json!({ "m.room.message": 10 }));
        scene.add(levels);
        message(BOB)
    })
}

fn name_by_moderator(version: &'static Version) -> Verdict {
    authorised(version, |_| state("m.room.name", MOD, json!({ "name": "n" })))
}

fn name_by_member(version: &'static Version) -> Verdict {
    authorised(version, |_| state("m.room.name", BOB, json!({ "name": "n" })))
}

fn own_key(version: &'static Version) -> Verdict {
    authorised(version, |_| event("org.example", MOD).key(MOD))
}

fn key_of_another(version: &'static Version) -> Verdict {
    authorised(version, |_| event("org.example", MOD).key(ALICE))
}

fn redaction_by_moderator(version: &'static Version) -> Verdict {
    authorised(version, |_| event("m.room.redaction", MOD).field("redacts", "$theirs:b.test"))
}

fn redaction(version: &'static Version) -> Verdict {
    authorised(version, |_| event("m.room.redaction", BOB).field("redacts", "$theirs:b.test"))
}

fn anything(version: &'static Version) -> Verdict {
    authorised(version, |_| event("org.example", BOB))
}

fn anything_from_outside(version: &'static Version) -> Verdict {
    authorised(version, |_| event("org.example", CAROL))
}
