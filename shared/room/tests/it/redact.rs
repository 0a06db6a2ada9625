use ruma::signatures::{Verified, reference_hash, verify_event};
use serde_json::{Value, json};
use tern_model::{MembershipAction, Pdu, RawJson};
use tern_room::{Draft, RedactError, SUPPORTED, Version, build, redact};

use crate::support::{ALICE, BOB, CAROL, Room, message, object, public_keys, raw, signer, state, user};

fn redaction(sender: &str, target: &Pdu) -> Draft {
    let content = raw(&json!({ "reason": "gone" }));
    Draft::new(user(sender), "m.room.redaction".into(), None, content, Some(target.id().to_owned()))
}

#[test]
fn the_target_is_found_where_the_version_has_it() {
    for version in SUPPORTED {
        let mut room = Room::create(version.id, json!({}));
        let target = room.send(&message(ALICE)).unwrap();
        let sent = room.send(&redaction(ALICE, &target)).unwrap();
        assert_eq!(redact::target(version, &sent).unwrap(), target.id());
        assert_eq!(redact::target(version, &target), None);
        let named = |content: Value| Draft::new(user(ALICE), "m.room.redaction".into(), None, raw(&content), None);
        let sent = room.send(&named(json!({ "redacts": target.id(), "reason": "spam" }))).unwrap();
        assert_eq!(redact::target(version, &sent).unwrap(), target.id(), "in the content in every version");
        let content: Value = serde_json::from_str(sent.body().get()).unwrap();
        assert_eq!(content.get("redacts").is_some(), version.redacts_in_content(), "and put where it belongs");
        for nothing in [json!({}), json!({ "redacts": "x" }), json!({ "redacts": 1 })] {
            assert_eq!(room.refused(&named(nothing)), (400, "M_BAD_JSON".to_owned()));
        }
    }
}

#[test]
fn ones_own_events_or_the_level() {
    for version in SUPPORTED {
        let mut room = Room::create(version.id, json!({ "preset": "public_chat" }));
        room.join(BOB);
        room.join(CAROL);
        let of_bob = room.send(&message(BOB)).unwrap();
        let mut may = |sender: &str, target: &Pdu| {
            let sent = room.send(&redaction(sender, target)).unwrap();
            redact::may_redact(&room, &sent, target)
        };
        assert_eq!(may(BOB, &of_bob), Ok(()));
        assert_eq!(may(ALICE, &of_bob), Ok(()));
        assert_eq!(may(CAROL, &of_bob), Err(RedactError::Forbidden));
        let create = room.events[0].clone();
        let sent = room.send(&redaction(ALICE, &create)).unwrap();
        assert_eq!(redact::may_redact(&room, &sent, &create), Err(RedactError::Protected("m.room.create")));
        room.set(ALICE, "m.room.server_acl", &json!({ "allow": ["*"] }));
        let acl = room.events.last().unwrap().clone();
        assert_eq!(redact::may_redact(&room, &sent, &acl), Err(RedactError::Protected("m.room.server_acl")));
    }
}

fn redacted(version: &'static Version, pdu: &Pdu) -> Value {
    let left = redact::redact(version, pdu.raw()).unwrap();
    let event = left.read().unwrap();
    verify_event(&public_keys(), &event, &version.rules).unwrap();
    assert_eq!(pdu.id().as_str(), format!("${}", reference_hash(&event, &version.rules).unwrap()), "the id stays");
    left.read().unwrap()
}

#[test]
fn what_remains_depends_on_the_version() {
    for version in SUPPORTED {
        let number: u8 = version.id.parse().unwrap();
        let mut room = Room::create(version.id, json!({ "preset": "public_chat" }));
        let left = redacted(version, &room.send(&message(ALICE)).unwrap());
        let event = serde_json::from_value(left.clone()).unwrap();
        let verified = verify_event(&public_keys(), &event, &version.rules).unwrap();
        assert_eq!(verified, Verified::Signatures, "signed still, but not the content that was hashed");
        assert_eq!(left["content"], json!({}));
        assert_eq!(left["sender"], ALICE);
        assert!(left.get("hashes").is_some() && left.get("auth_events").is_some());

        let join = json!({ "membership": "join", "displayname": "A", "join_authorised_via_users_server": ALICE });
        let join = build(&room, &state(ALICE, "m.room.member", ALICE, &join), room.now(), &signer()).unwrap();
        let left = redacted(version, &join);
        assert_eq!(left["content"].get("displayname"), None);
        assert_eq!(left["content"].get("join_authorised_via_users_server").is_some(), number >= 9);

        let rules = json!({ "join_rule": "public", "allow": [], "extra": 1 });
        let left = redacted(version, &room.send(&state(ALICE, "m.room.join_rules", "", &rules)).unwrap());
        assert_eq!(left["content"].get("allow").is_some(), number >= 8);
        assert_eq!((left["content"]["join_rule"].as_str(), left["content"].get("extra")), (Some("public"), None));

        let levels = room.find("m.room.power_levels", "").unwrap();
        let left = redacted(version, &room.send(&state(ALICE, "m.room.power_levels", "", &levels)).unwrap());
        assert_eq!(left["content"]["ban"], 50);
        assert_eq!(left["content"].get("invite").is_some(), number >= 11);

        let target = room.send(&message(ALICE)).unwrap();
        let left = redacted(version, &room.send(&redaction(ALICE, &target)).unwrap());
        assert_eq!(left["content"].get("redacts").is_some(), number >= 11);
        assert_eq!(left["content"].get("reason"), None);

        let left = redact::redact(version, room.events[0].raw()).unwrap().read::<Value>().unwrap();
        assert_eq!(left["content"].get("room_version").is_some(), number >= 11);
    }
}

#[test]
fn redacting_twice_changes_nothing_more() {
    for version in SUPPORTED {
        let mut room = Room::create(version.id, json!({ "preset": "public_chat" }));
        room.change(MembershipAction::Invite, ALICE, BOB).unwrap();
        for pdu in &room.events {
            let once = redact::redact(version, pdu.raw()).unwrap();
            assert_eq!(redact::redact(version, &once).unwrap(), once);
            assert_eq!(object(pdu).keys().cloned().collect::<Vec<_>>(), {
                once.read::<ruma::CanonicalJsonObject>().unwrap().keys().cloned().collect::<Vec<_>>()
            });
        }
    }
    let damaged = RawJson::parse("{}".to_owned()).unwrap();
    assert!(matches!(redact::redact(SUPPORTED[0], &damaged), Err(RedactError::Damaged(_))));
}
