//! Rooms that are replaced while things go wrong: what is the user's own goes along.

use serde_json::{Value, json};
use tern_edge::upgrade::upgrade;
use tern_model::{Caller, RawJson};
use tern_ports::{
    ask_user,
    wire::{
        room::MembershipAction,
        user::{ChangePushRule, ChangeTag, PushRuleChange, ReadAccountData},
    },
};
use tern_testkit::{Client, Faults};

use crate::scene::{Scene, each_seed};

/// Long enough for every retry, in milliseconds of the cluster's time.
const HEALING_MS: u64 = 10 * 60 * 1000;

/// A favourite that makes no sound, by a rule that is switched off just now.
async fn settle(scene: &Scene, client: &Client) {
    let raw = |value: &Value| RawJson::from_value(value).unwrap();
    let (room_id, tag, content) = (scene.room_id.clone(), "m.favourite".to_owned(), Some(raw(&json!({}))));
    ask_user(&scene.world, &client.user_id, ChangeTag { session: client.session(), room_id, tag, content })
        .await
        .unwrap();
    let put = PushRuleChange::Put { rule: raw(&json!({ "actions": [] })), before: None, after: None };
    for change in [put, PushRuleChange::Enable(false)] {
        let (session, kind, rule_id) = (client.session(), "room".to_owned(), scene.room_id.to_string());
        ask_user(&scene.world, &client.user_id, ChangePushRule { session, kind, rule_id, change }).await.unwrap();
    }
}

async fn read(scene: &Scene, client: &Client, room_id: Option<&ruma::RoomId>, kind: &str) -> Value {
    let (room_id, kind) = (room_id.map(ToOwned::to_owned), kind.to_owned());
    let read = ReadAccountData { session: client.session(), room_id, kind };
    let content = ask_user(&scene.world, &client.user_id, read).await.unwrap();
    content.map_or(Value::Null, |content| content.read().unwrap())
}

#[test]
fn settings_go_along_for_everybody_on_a_bad_day() {
    each_seed(|seed| {
        let scene = Scene::new(seed);
        scene.world.run(scene.carol.change_membership(&scene.room_id, MembershipAction::Join));
        let members = [&scene.alice, &scene.bob, &scene.carol];
        for member in members {
            scene.world.run(settle(&scene, member));
        }
        // Only the upgrade itself is left in peace: repeated, it would make another room.
        let faults = Faults { crashes: 0, lost_requests: 0, lost_replies: 0, ..Faults::bad_day() };
        scene.world.set_faults(faults);
        let caller = Caller { user_id: scene.alice.user_id.clone(), device_id: scene.alice.session().device_id };
        let request = serde_json::from_value(json!({ "new_version": "12" })).unwrap();
        let new = upgrade(&scene.world, scene.world.config(), &caller, &scene.room_id, &request);
        let new = scene.world.run(new).unwrap();
        scene.world.set_faults(Faults::bad_day());
        scene.world.run(scene.bob.change_membership(&new, MembershipAction::Join));
        scene.world.run(scene.carol.set_member(&new, "join"));
        scene.world.heal();
        for room_id in [&scene.room_id, &new] {
            scene.world.run(scene.alice.send(room_id, "healed", "still here"));
        }
        scene.world.pass(HEALING_MS);
        for member in members {
            let tags = scene.world.run(read(&scene, member, Some(&new), "m.tag"));
            assert_eq!(tags, json!({ "tags": { "m.favourite": {} } }), "{}", member.user_id);
            let rules = scene.world.run(read(&scene, member, None, "m.push_rules"));
            let rules = rules["global"]["room"].as_array().unwrap().clone();
            let rule = rules.iter().find(|rule| rule["rule_id"] == new.as_str()).expect("the rule went along");
            assert_eq!((&rule["enabled"], &rule["actions"]), (&json!(false), &json!([])), "{}", member.user_id);
        }
    });
}
