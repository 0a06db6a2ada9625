//! Invites into rooms that are not here.

use serde_json::{Value, json};
use tern_model::{BoundedJson, BoundedVec, EventRef, Millis, Notice};
use tern_ports::wire::invite::{DeliverInvite, ListInviters, RejectInvite, Withdrawal};

use super::support::{Hub, alice, bob, member, notice, raw, room, rooms_only};

fn invite(number: u64) -> DeliverInvite {
    let shown = [
        json!({ "type": "m.room.name", "state_key": "", "sender": bob(), "content": { "name": "Elsewhere" } }),
        json!({ "type": "m.room.member", "state_key": alice(), "sender": bob(), "content": { "membership": "invite" } }),
    ];
    let shown = shown.iter().map(|event| BoundedJson::new(raw(event)).unwrap()).collect();
    DeliverInvite {
        room_id: room("far"),
        event_id: EventRef::try_from(format!("$invite{number}").as_str()).unwrap(),
        ts: Millis(5),
        event: BoundedJson::new(raw(&json!({
            "type": "m.room.member", "sender": bob(), "content": { "membership": "invite" },
        })))
        .unwrap(),
        stripped: BoundedVec::new(shown).unwrap(),
        knock: false,
    }
}

fn reject() -> RejectInvite {
    RejectInvite { room_id: room("far"), withdrawal: None }
}

fn withdraw(sender: &str, cited: &[&str]) -> RejectInvite {
    let auth_events = cited.iter().map(|id| EventRef::try_from(*id).unwrap()).collect();
    let withdrawal =
        Withdrawal { sender: sender.try_into().unwrap(), auth_events: BoundedVec::new(auth_events).unwrap() };
    RejectInvite { withdrawal: Some(withdrawal), ..reject() }
}

#[test]
fn the_server_that_invited_takes_back_the_invite_that_it_means_and_no_other() {
    let hub = Hub::new();
    let session = hub.login("A");
    hub.ask(invite(2)).unwrap();
    let moderator = format!("@mod:{}", bob().server_name());
    for refused in [
        withdraw(bob().as_str(), &["$create", "$invite1"]),
        withdraw(bob().as_str(), &[]),
        withdraw("@mod:third.org", &["$create", "$invite2"]),
    ] {
        assert_eq!(hub.ask(refused).unwrap_err().status, 404);
    }
    let first = hub.classic(&session, None, false).unwrap().body();
    assert_eq!(names(&first["rooms"]["invite"]), [room("far").as_str()]);
    let meant = withdraw(&moderator, &["$create", "$invite2"]);
    assert!(hub.ask(meant.clone()).is_ok());
    assert_eq!(hub.ask(meant).unwrap_err().status, 404, "once more");
    let second = hub.classic(&session, first["next_batch"].as_str(), false).unwrap().body();
    assert_eq!(names(&second["rooms"]["leave"]), [room("far").as_str()], "{second}");
    // What a user has knocked with is nobody's invite.
    hub.ask(DeliverInvite { knock: true, event: BoundedJson::new(raw(&json!({}))).unwrap(), ..invite(3) }).unwrap();
    assert_eq!(hub.ask(withdraw(&moderator, &["$invite3"])).unwrap_err().status, 404);
}

fn names(section: &Value) -> Vec<String> {
    section.as_object().map(|rooms| rooms.keys().cloned().collect()).unwrap_or_default()
}

#[test]
fn an_invite_is_shown_and_rejected_in_every_kind_of_sync() {
    let hub = Hub::new();
    let session = hub.login("A");
    let classic = |since: Option<&Value>| hub.classic(&session, since.and_then(Value::as_str), false).unwrap().body();
    let slide =
        |pos: Option<&Value>| hub.sliding(&session, &rooms_only(), pos.and_then(Value::as_str), false).unwrap().body();
    let (first, opened) = (classic(None), slide(None));
    hub.ask(invite(1)).unwrap();
    hub.ask(invite(1)).unwrap();
    let second = classic(Some(&first["next_batch"]));
    assert_eq!(names(&second["rooms"]["invite"]), [room("far").as_str()]);
    let shown = &second["rooms"]["invite"][room("far").as_str()]["invite_state"]["events"];
    assert_eq!(shown[0]["content"]["name"], "Elsewhere", "{second}");
    let slid = slide(Some(&opened["pos"]));
    assert_eq!(slid["rooms"][room("far").as_str()]["invite_state"].as_array().map(Vec::len), Some(2), "{slid}");

    assert!(hub.ask(reject()).is_ok());
    assert_eq!(hub.ask(reject()).unwrap_err().status, 404);
    let third = classic(Some(&second["next_batch"]));
    assert_eq!(names(&third["rooms"]["leave"]), [room("far").as_str()], "{third}");
    let slid = slide(Some(&slid["pos"]));
    assert_eq!(slid["rooms"][room("far").as_str()].get("invite_state"), None, "{slid}");
    // Asked anew, the user is not invited; invited anew, they are.
    assert_eq!(names(&classic(None)["rooms"]["invite"]), Vec::<String>::new());
    hub.ask(invite(2)).unwrap();
    let fourth = classic(Some(&third["next_batch"]));
    assert_eq!(names(&fourth["rooms"]["invite"]), [room("far").as_str()]);
}

#[test]
fn a_room_that_tells_of_itself_is_believed() {
    let hub = Hub::new();
    let session = hub.login("A");
    hub.ask(invite(1)).unwrap();
    let join = member(1, alice(), "join");
    hub.deliver(vec![Notice { membership: Some("join".to_owned()), ..notice("far", vec![join]) }]);
    hub.ask(invite(2)).unwrap();
    let synced = hub.classic(&session, None, false).unwrap().body();
    assert_eq!(names(&synced["rooms"]["join"]), [room("far").as_str()], "{synced}");
    assert_eq!(names(&synced["rooms"]["invite"]), Vec::<String>::new());
    assert_eq!(hub.ask(reject()).unwrap_err().status, 404, "whoever is in leaves the room");
}

#[test]
fn a_knock_waits_like_an_invite_and_becomes_one() {
    let hub = Hub::new();
    let session = hub.login("A");
    let inviters = || hub.ask(ListInviters { room_id: room("far") });
    assert_eq!(inviters().unwrap_err().status, 404);
    hub.ask(DeliverInvite { knock: true, ..invite(1) }).unwrap();
    let classic = || hub.classic(&session, None, false).unwrap().body();
    assert_eq!(names(&classic()["rooms"]["knock"]), [room("far").as_str()]);
    hub.ask(reject()).unwrap();
    assert_eq!(names(&classic()["rooms"]["knock"]), Vec::<String>::new());
    hub.ask(DeliverInvite { knock: true, ..invite(2) }).unwrap();
    hub.ask(invite(3)).unwrap();
    let synced = classic();
    assert_eq!(names(&synced["rooms"]["invite"]), [room("far").as_str()], "{synced}");
    assert_eq!(inviters().unwrap().len(), usize::from(bob().server_name() != alice().server_name()));
}
