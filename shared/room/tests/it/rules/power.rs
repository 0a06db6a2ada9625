//! Rule 10: power levels.

use serde_json::{Value, json};
use tern_room::{Verdict, Version};

use super::{authorised, rules};
use crate::scene::{ALICE, BOB, CAROL, MOD, Scene, member, state};

rules! {
    "10.1" 10..=12, "levels are whole numbers": by_alice, level_as_text;
    "10.1a" 1..=9, "levels may be whole numbers in text": user_level_as_text, user_level_as_words;
    "10.2" 10..=12, "levels of events are an object of whole numbers": by_alice, events_as_text;
    "10.2'" 10..=12, "levels of notifications, too": by_alice, notifications_as_text;
    "10.3" 1..=12, "users are user ids with levels": by_alice, users_with_bad_id;
    "10.4" 12..=12, "creators are not among the users": by_alice, users_with_creator;
    "10.5" 1..=12, "the first power levels may be any; the next may not": first, by_member;
    "10.6.1" 1..=12, "a level above one's own is not lowered": lowered, lowered_from_above;
    "10.6.2" 1..=12, "none is raised above one's own": lowered, raised_above;
    "10.7" 1..=12, "an event's level above one's own is not lowered": event_lowered, event_lowered_from_above;
    "10.7'" 6..=12, "nor a notification's": event_lowered, notification_lowered_from_above;
    "10.8" 1..=12, "an event's level is not raised above one's own": event_lowered, event_raised_above;
    "10.9" 1..=12, "another user's level that is at least one's own is not changed": below_changed, equal_changed;
    "10.10" 1..=12, "nobody is raised above one's own level": below_changed, user_raised_above;
}

fn by_alice(version: &'static Version) -> Verdict {
    authorised(version, |scene| scene.levels(json!({ MOD: 50, BOB: 10 })))
}

/// ALICE sets levels with one field more.
fn with(version: &'static Version, name: &str, value: impl Into<Value>) -> Verdict {
    authorised(version, |scene| scene.levels(json!({ MOD: 50 })).with(name, value))
}

fn level_as_text(version: &'static Version) -> Verdict {
    with(version, "ban", "50")
}

fn user_level_as_text(version: &'static Version) -> Verdict {
    authorised(version, |scene| scene.levels(json!({ MOD: "50" })))
}

fn user_level_as_words(version: &'static Version) -> Verdict {
    authorised(version, |scene| scene.levels(json!({ MOD: "fifty" })))
}

fn events_as_text(version: &'static Version) -> Verdict {
    with(version, "events", json!({ "m.room.name": "50" }))
}

fn notifications_as_text(version: &'static Version) -> Verdict {
    with(version, "notifications", json!({ "room": "50" }))
}

fn users_with_bad_id(version: &'static Version) -> Verdict {
    authorised(version, |scene| scene.levels(json!({ "mod": 50 })))
}

fn users_with_creator(version: &'static Version) -> Verdict {
    authorised(version, |scene| scene.levels(json!({ ALICE: 100 })))
}

fn first(version: &'static Version) -> Verdict {
    let mut scene = Scene::empty(version);
    let create = scene.create(json!({}));
    scene.add(create);
    scene.add(member(ALICE, ALICE, "join"));
    let levels = scene.levels(json!({ BOB: 1_000 }));
    scene.authorise_pdu(levels)
}

fn by_member(version: &'static Version) -> Verdict {
    authorised(version, |_| state("m.room.power_levels", BOB, json!({ "users": { BOB: 100 } })))
}

/// ALICE gives MOD the right to set levels and adds `before`; MOD then sets what stands there, changed by `change`.
fn by_moderator(version: &'static Version, before: &Value, change: impl FnOnce(&mut Value)) -> Verdict {
    authorised(version, |scene| {
        let mut levels = scene.levels(json!({ MOD: 50, "@peer:a.test": 50, BOB: 10 }));
        levels = levels.with("events", json!({ "m.room.power_levels": 50 }));
        for (name, value) in before.as_object().unwrap() {
            levels = levels.with(name, value.clone());
        }
        scene.add(levels);
        let mut content = scene.now("m.room.power_levels");
        change(&mut content);
        state("m.room.power_levels", MOD, content)
    })
}

fn lowered(version: &'static Version) -> Verdict {
    by_moderator(version, &json!({ "ban": 40 }), |levels| levels["ban"] = 30.into())
}

fn lowered_from_above(version: &'static Version) -> Verdict {
    by_moderator(version, &json!({ "ban": 60 }), |levels| levels["ban"] = 30.into())
}

fn raised_above(version: &'static Version) -> Verdict {
    by_moderator(version, &json!({}), |levels| levels["ban"] = 60.into())
}

fn events(level: u8) -> Value {
    json!({ "events": { "m.room.power_levels": 50, "org.example": level } })
}

fn event_lowered(version: &'static Version) -> Verdict {
    by_moderator(version, &events(40), |levels| levels["events"]["org.example"] = 0.into())
}

fn event_lowered_from_above(version: &'static Version) -> Verdict {
    by_moderator(version, &events(60), |levels| levels["events"]["org.example"] = 0.into())
}

fn event_raised_above(version: &'static Version) -> Verdict {
    by_moderator(version, &events(40), |levels| levels["events"]["org.example"] = 60.into())
}

fn notification_lowered_from_above(version: &'static Version) -> Verdict {
    by_moderator(version, &json!({ "notifications": { "room": 60 } }), |levels| {
        levels["notifications"]["room"] = 0.into();
    })
}

fn below_changed(version: &'static Version) -> Verdict {
    by_moderator(version, &json!({}), |levels| levels["users"][BOB] = 20.into())
}

fn equal_changed(version: &'static Version) -> Verdict {
    by_moderator(version, &json!({}), |levels| levels["users"]["@peer:a.test"] = 20.into())
}

fn user_raised_above(version: &'static Version) -> Verdict {
    by_moderator(version, &json!({}), |levels| levels["users"][CAROL] = 60.into())
}
