//! Rule 5: memberships.

use ruma::{CanonicalJsonObject, serde::Base64, signatures::PublicKeyMap};
use serde_json::{Value, json};
use tern_model::RawJson;
use tern_room::{Draft, Signer, Unverified, Verdict, Version};

use super::{authorised, rules};
use crate::scene::{ALICE, BOB, CAROL, Event, MOD, Scene, event, member, state};

rules! {
    "5.1" 1..=12, "a member event has a state key and a membership": own_join, no_state_key;
    "5.1'" 1..=12, "… the membership too": own_join, no_membership;
    "5.2" 8..=12, "who lets somebody in has signed for it": signed_by_authoriser, unsigned_by_authoriser;
    "5.3.1" 1..=12, "right after the create event its creator joins": creator_joins_first, stranger_joins_first;
    "5.3.2" 1..=12, "one joins for oneself": own_join, join_of_another;
    "5.3.3" 1..=12, "a banned user does not join": own_join, banned_joins;
    "5.3.4" 1..=12, "where invites are needed, who is invited or in joins": invited_joins, uninvited_joins;
    "5.3.4'" 7..=12, "the same where one may knock": invited_joins_knockable, knocker_joins;
    "5.3.5.1" 8..=12, "a restricted room lets in who is invited": invited_joins_restricted, unnamed_joins_restricted;
    "5.3.5.2" 8..=12, "or whom a member lets in who may invite": let_in_by_member, let_in_by_outsider;
    "5.3.5.2'" 8..=12, "… who may invite": let_in_by_member, let_in_without_level;
    "5.3.5.2''" 10..=12, "the same where one may knock, too": let_in_knock_restricted, let_in_by_nobody;
    "5.3.6" 1..=12, "anybody joins a public room; no other rule lets anybody in": own_join, joins_private;
    "5.4.1.1" 1..=12, "a third party invites nobody who is banned": third_party, third_party_banned;
    "5.4.1.2" 1..=12, "a third-party invite is signed": third_party, third_party_unsigned;
    "5.4.1.3" 1..=12, "it names the user and the token": third_party, third_party_without_token;
    "5.4.1.4" 1..=12, "the user is the one invited": third_party, third_party_of_another;
    "5.4.1.5" 1..=12, "the token is one of the room's": third_party, third_party_unknown_token;
    "5.4.1.6" 1..=12, "the sender is who invited the third party": third_party, third_party_by_another;
    "5.4.1.7" 1..=12, "a key of the third-party invite has signed": third_party, third_party_forged;
    "5.4.1.7'" 1..=12, "… and it is one that not everybody can sign for": third_party, third_party_weak;
    "5.4.2" 1..=12, "who invites is in the room": invite, outsider_invites;
    "5.4.3" 1..=12, "who is invited is neither in nor banned": invite, invite_of_member;
    "5.4.3'" 1..=12, "… nor banned": invite, invite_of_banned;
    "5.4.4" 1..=12, "who invites has the level": invite, invite_without_level;
    "5.5.1" 1..=12, "one leaves, or rejects an invite, if in or invited": leave, leave_from_outside;
    "5.5.1'" 7..=12, "or having knocked": takes_knock_back, leave_when_banned;
    "5.5.2" 1..=12, "who kicks is in the room": kick, outsider_kicks;
    "5.5.3" 1..=12, "who unbans has the level to ban": unban, unban_without_level;
    "5.5.4" 1..=12, "who kicks has the level, and more than who is kicked": kick, kick_without_level;
    "5.5.4'" 1..=12, "… more than who is kicked": kick, kick_of_equal;
    "5.6.1" 1..=12, "who bans is in the room": ban, outsider_bans;
    "5.6.2" 1..=12, "who bans has the level, and more than who is banned": ban, ban_without_level;
    "5.6.2'" 1..=12, "… more than who is banned": ban, ban_of_superior;
    "5.7.1" 7..=12, "one knocks where the join rule says so": knock, knock_on_public;
    "5.7.1'" 10..=12, "or where it says restricted as well": knock_on_knock_restricted, knock_on_public;
    "5.7.2" 7..=12, "one knocks for oneself": knock, knock_for_another;
    "5.7.3" 7..=12, "who knocks is neither banned, invited nor in": knock, member_knocks;
    "5.7a" 1..=6, "nobody knocks": own_join, knock;
    "5.8" 1..=12, "no other membership exists": own_join, unknown_membership;
}

fn join_rule(scene: &mut Scene, rule: &str) {
    scene.add(state("m.room.join_rules", ALICE, json!({ "join_rule": rule })));
}

/// A room with this join rule, and the verdict on the last event.
fn under(rule: &str, version: &'static Version, act: impl FnOnce(&mut Scene) -> Event) -> Verdict {
    authorised(version, |scene| {
        join_rule(scene, rule);
        act(scene)
    })
}

fn join(user: &str) -> Event {
    member(user, user, "join")
}

fn own_join(version: &'static Version) -> Verdict {
    authorised(version, |_| join(CAROL))
}

fn no_state_key(version: &'static Version) -> Verdict {
    authorised(version, |_| event("m.room.member", CAROL).content(json!({ "membership": "join" })))
}

fn no_membership(version: &'static Version) -> Verdict {
    authorised(version, |_| event("m.room.member", CAROL).key(CAROL))
}

fn creator_joins_first(version: &'static Version) -> Verdict {
    let mut scene = Scene::empty(version);
    let create = scene.create(json!({}));
    scene.add(create);
    scene.authorise_pdu(join(ALICE))
}

fn stranger_joins_first(version: &'static Version) -> Verdict {
    let mut scene = Scene::empty(version);
    let create = scene.create(json!({}));
    scene.add(create);
    scene.authorise_pdu(join(BOB))
}

fn join_of_another(version: &'static Version) -> Verdict {
    authorised(version, |_| member(BOB, CAROL, "join"))
}

fn banned_joins(version: &'static Version) -> Verdict {
    authorised(version, |scene| {
        scene.add(member(ALICE, CAROL, "ban"));
        join(CAROL)
    })
}

fn invited(scene: &mut Scene) -> Event {
    scene.add(member(ALICE, CAROL, "invite"));
    join(CAROL)
}

fn invited_joins(version: &'static Version) -> Verdict {
    under("invite", version, invited)
}

fn uninvited_joins(version: &'static Version) -> Verdict {
    under("invite", version, |_| join(CAROL))
}

fn invited_joins_knockable(version: &'static Version) -> Verdict {
    under("knock", version, invited)
}

fn knocker_joins(version: &'static Version) -> Verdict {
    under("knock", version, |scene| {
        scene.add(member(CAROL, CAROL, "knock"));
        join(CAROL)
    })
}

fn invited_joins_restricted(version: &'static Version) -> Verdict {
    under("restricted", version, invited)
}

fn unnamed_joins_restricted(version: &'static Version) -> Verdict {
    under("restricted", version, |_| join(CAROL))
}

fn through(authoriser: &str) -> Event {
    join(CAROL).with("join_authorised_via_users_server", authoriser)
}

fn let_in_by_member(version: &'static Version) -> Verdict {
    under("restricted", version, |_| through(MOD))
}

fn let_in_by_outsider(version: &'static Version) -> Verdict {
    under("restricted", version, |_| through("@nobody:a.test"))
}

fn let_in_without_level(version: &'static Version) -> Verdict {
    under("restricted", version, |scene| {
        let levels = scene.levels(json!({ MOD: 50 })).with("invite", 50);
        scene.add(levels);
        through(BOB)
    })
}

fn let_in_knock_restricted(version: &'static Version) -> Verdict {
    under("knock_restricted", version, |_| through(MOD))
}

fn let_in_by_nobody(version: &'static Version) -> Verdict {
    under("knock_restricted", version, |_| join(CAROL))
}

fn joins_private(version: &'static Version) -> Verdict {
    under("private", version, |_| join(CAROL))
}

fn invite(version: &'static Version) -> Verdict {
    authorised(version, |_| member(BOB, CAROL, "invite"))
}

fn outsider_invites(version: &'static Version) -> Verdict {
    authorised(version, |_| member(CAROL, "@dora:b.test", "invite"))
}

fn invite_of_member(version: &'static Version) -> Verdict {
    authorised(version, |_| member(ALICE, BOB, "invite"))
}

fn invite_of_banned(version: &'static Version) -> Verdict {
    authorised(version, |scene| {
        scene.add(member(ALICE, CAROL, "ban"));
        member(ALICE, CAROL, "invite")
    })
}

fn invite_without_level(version: &'static Version) -> Verdict {
    authorised(version, |scene| {
        let levels = scene.levels(json!({ MOD: 50 })).with("invite", 50);
        scene.add(levels);
        member(BOB, CAROL, "invite")
    })
}

fn leave(version: &'static Version) -> Verdict {
    authorised(version, |_| member(BOB, BOB, "leave"))
}

fn leave_from_outside(version: &'static Version) -> Verdict {
    authorised(version, |_| member(CAROL, CAROL, "leave"))
}

fn takes_knock_back(version: &'static Version) -> Verdict {
    under("knock", version, |scene| {
        scene.add(member(CAROL, CAROL, "knock"));
        member(CAROL, CAROL, "leave")
    })
}

fn leave_when_banned(version: &'static Version) -> Verdict {
    authorised(version, |scene| {
        scene.add(member(ALICE, BOB, "ban"));
        member(BOB, BOB, "leave")
    })
}

fn kick(version: &'static Version) -> Verdict {
    authorised(version, |_| member(MOD, BOB, "leave"))
}

fn outsider_kicks(version: &'static Version) -> Verdict {
    authorised(version, |_| member(CAROL, BOB, "leave"))
}

fn unban(version: &'static Version) -> Verdict {
    authorised(version, |scene| {
        scene.add(member(ALICE, BOB, "ban"));
        member(MOD, BOB, "leave")
    })
}

fn unban_without_level(version: &'static Version) -> Verdict {
    authorised(version, |scene| {
        scene.add(member(ALICE, BOB, "ban"));
        let levels = scene.levels(json!({ MOD: 50 })).with("ban", 60);
        scene.add(levels);
        member(MOD, BOB, "leave")
    })
}

fn kick_without_level(version: &'static Version) -> Verdict {
    authorised(version, |scene| {
        let levels = scene.levels(json!({ MOD: 50 })).with("kick", 60);
        scene.add(levels);
        member(MOD, BOB, "leave")
    })
}

fn kick_of_equal(version: &'static Version) -> Verdict {
    authorised(version, |scene| {
        let levels = scene.levels(json!({ MOD: 50, BOB: 50 }));
        scene.add(levels);
        member(MOD, BOB, "leave")
    })
}

fn ban(version: &'static Version) -> Verdict {
    authorised(version, |_| member(MOD, BOB, "ban"))
}

fn outsider_bans(version: &'static Version) -> Verdict {
    authorised(version, |_| member(CAROL, BOB, "ban"))
}

fn ban_without_level(version: &'static Version) -> Verdict {
    authorised(version, |_| member(BOB, CAROL, "ban"))
}

fn ban_of_superior(version: &'static Version) -> Verdict {
    authorised(version, |_| member(MOD, ALICE, "ban"))
}

fn knock(version: &'static Version) -> Verdict {
    under("knock", version, |_| member(CAROL, CAROL, "knock"))
}

fn knock_on_public(version: &'static Version) -> Verdict {
    authorised(version, |_| member(CAROL, CAROL, "knock"))
}

fn knock_on_knock_restricted(version: &'static Version) -> Verdict {
    under("knock_restricted", version, |_| member(CAROL, CAROL, "knock"))
}

fn knock_for_another(version: &'static Version) -> Verdict {
    under("knock", version, |_| member(BOB, CAROL, "knock"))
}

fn member_knocks(version: &'static Version) -> Verdict {
    under("knock", version, |_| member(BOB, BOB, "knock"))
}

fn unknown_membership(version: &'static Version) -> Verdict {
    authorised(version, |_| member(CAROL, CAROL, "visit"))
}

/// The third party's key.
fn identity() -> Signer {
    Signer::new("id.test".try_into().unwrap(), "ed25519:0", &[3; 32]).unwrap()
}

/// ALICE has invited an address under a token; the identity server names who it belongs to. `change` spoils it.
fn third_party_with(version: &'static Version, sender: &str, token: &str, change: impl FnOnce(&mut Value)) -> Verdict {
    authorised(version, |scene| {
        let key = Base64::<ruma::serde::base64::Standard>::new(identity().public_key().to_vec()).encode();
        let content = json!({ "display_name": "c…", "key_validity_url": "https://id.test", "public_key": key });
        scene.add(event("m.room.third_party_invite", ALICE).key("token").content(content));
        let mut signed: CanonicalJsonObject =
            serde_json::from_value(json!({ "mxid": CAROL, "token": token, "sender": ALICE })).unwrap();
        identity().sign(&mut signed).unwrap();
        let mut invite = json!({ "display_name": "c…", "signed": signed });
        change(&mut invite);
        member(sender, CAROL, "invite").with("third_party_invite", invite)
    })
}

fn third_party(version: &'static Version) -> Verdict {
    third_party_with(version, ALICE, "token", |_| ())
}

fn third_party_banned(version: &'static Version) -> Verdict {
    authorised(version, |scene| {
        scene.add(member(ALICE, CAROL, "ban"));
        let signed = json!({ "mxid": CAROL, "token": "token", "signatures": {} });
        member(ALICE, CAROL, "invite").with("third_party_invite", json!({ "signed": signed }))
    })
}

fn third_party_unsigned(version: &'static Version) -> Verdict {
    third_party_with(version, ALICE, "token", |invite| *invite = json!({ "display_name": "c…" }))
}

fn third_party_without_token(version: &'static Version) -> Verdict {
    third_party_with(version, ALICE, "token", |invite| {
        invite["signed"].as_object_mut().unwrap().remove("token");
    })
}

fn third_party_of_another(version: &'static Version) -> Verdict {
    third_party_with(version, ALICE, "token", |invite| invite["signed"]["mxid"] = BOB.into())
}

fn third_party_unknown_token(version: &'static Version) -> Verdict {
    third_party_with(version, ALICE, "another token", |_| ())
}

fn third_party_by_another(version: &'static Version) -> Verdict {
    third_party_with(version, MOD, "token", |_| ())
}

fn third_party_forged(version: &'static Version) -> Verdict {
    third_party_with(version, ALICE, "token", |invite| {
        // Signed for another sender: the signature is genuine, but not of this.
        invite["signed"]["sender"] = MOD.into();
    })
}

/// With the key of all zeros, a signature of all zeros is right for every fourth text.
fn third_party_weak(version: &'static Version) -> Verdict {
    let zeros = |len| Base64::<ruma::serde::base64::Standard>::new(vec![0; len]).encode();
    let verdict = |user: String| {
        authorised(version, |scene| {
            let content =
                json!({ "display_name": "c…", "key_validity_url": "https://id.test", "public_key": zeros(32) });
            scene.add(event("m.room.third_party_invite", ALICE).key("token").content(content));
            let signatures = json!({ "id.test": { "ed25519:0": zeros(64) } });
            let signed = json!({ "mxid": user, "token": "token", "signatures": signatures });
            member(ALICE, &user, "invite").with("third_party_invite", json!({ "display_name": "c…", "signed": signed }))
        })
    };
    let verdicts = (0..32).map(|n| verdict(format!("@carol{n}:b.test")));
    verdicts.reduce(|all, next| if all == Verdict::Accept { all } else { next }).unwrap()
}

/// CAROL's server makes a join that names MOD; the verdict says whether it was dropped for want of MOD's server's
/// signature, which is where this rule is applied.
fn authorised_join(version: &'static Version, signed: bool) -> Verdict {
    let server = |name: &str, seed: u8| Signer::new(name.try_into().unwrap(), "ed25519:1", &[seed; 32]).unwrap();
    let (theirs, ours) = (server("b.test", 1), server("a.test", 2));
    let content = json!({ "membership": "join", "join_authorised_via_users_server": MOD });
    let draft = Draft::state(CAROL.try_into().unwrap(), "m.room.member", CAROL, RawJson::from_value(&content).unwrap());
    let room_id = "!room:a.test".try_into().unwrap();
    let pdu = tern_room::build_create(version, Some(room_id), &draft, tern_model::Millis(1), &theirs).unwrap();
    let mut object: CanonicalJsonObject = pdu.raw().read().unwrap();
    if signed {
        ours.countersign(&mut object, &version.rules.redaction).unwrap();
    }
    let keys: PublicKeyMap = [&theirs, &ours]
        .map(|signer| {
            let key = Base64::new(signer.public_key().to_vec());
            (signer.server_name().to_string(), [("ed25519:1".to_owned(), key)].into())
        })
        .into();
    let raw = RawJson::from_value(&object).unwrap();
    match Unverified::read(version, room_id, &raw).unwrap().verify(&keys) {
        Ok(_) => Verdict::Accept,
        Err(error) => Verdict::Reject(error.to_string()),
    }
}

fn signed_by_authoriser(version: &'static Version) -> Verdict {
    authorised_join(version, true)
}

fn unsigned_by_authoriser(version: &'static Version) -> Verdict {
    authorised_join(version, false)
}
