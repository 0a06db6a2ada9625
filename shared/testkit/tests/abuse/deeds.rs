//! What is done to others: in rooms, and to their hubs.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tern_edge::{join, report, to_device};
use tern_model::{BoundedVec, Caller, Class, EventRef, Name};
use tern_ports::wire::{
    delayed::DelayEvent,
    room::{Draft, MembershipAction, ReceiptDraft, SendReceipts, SetTyping},
};

use crate::scene::{Act, Deed, LONG, Scene, long, raw};

pub(crate) const ALL: &[Deed] = &[
    Deed { name: "messages", class: Class::Message, what: message },
    Deed { name: "mentions", class: Class::Message, what: mention },
    Deed { name: "reactions", class: Class::Message, what: reaction },
    Deed { name: "edits", class: Class::Message, what: edit },
    Deed { name: "threads", class: Class::Message, what: thread },
    Deed { name: "sticky events", class: Class::Message, what: sticky },
    Deed { name: "new state", class: Class::Message, what: new_state },
    Deed { name: "replaced state", class: Class::Message, what: replaced_state },
    Deed { name: "delayed events", class: Class::Message, what: delayed },
    Deed { name: "redactions", class: Class::Redact, what: redaction },
    Deed { name: "new rooms", class: Class::CreateRoom, what: new_room },
    Deed { name: "invites and kicks", class: Class::Invite, what: invite },
    Deed { name: "receipts", class: Class::Ephemeral, what: receipt },
    Deed { name: "typing", class: Class::Ephemeral, what: typing },
    Deed { name: "to-device messages", class: Class::Ephemeral, what: message_to_device },
    Deed { name: "reports", class: Class::Report, what: report },
];

fn text(number: u64) -> Value {
    json!({ "msgtype": "m.text", "body": long(number, LONG) })
}

fn message(scene: &Scene, number: u64) -> Act<'_> {
    Box::pin(scene.send(scene.event("m.room.message", None, &text(number)), None))
}

fn mention(scene: &Scene, number: u64) -> Act<'_> {
    let mentions = json!({ "user_ids": [scene.alice.user_id, scene.bob.user_id] });
    let content = json!({ "msgtype": "m.text", "body": format!("{number}"), "m.mentions": mentions });
    Box::pin(scene.send(scene.event("m.room.message", None, &content), None))
}

/// To one event, whoever reads it.
fn reaction(scene: &Scene, number: u64) -> Act<'_> {
    let relates = json!({ "rel_type": "m.annotation", "event_id": "$target", "key": format!("{number}") });
    Box::pin(scene.send(scene.event("m.reaction", None, &json!({ "m.relates_to": relates })), None))
}

fn edit(scene: &Scene, number: u64) -> Act<'_> {
    let relates = json!({ "rel_type": "m.replace", "event_id": "$target" });
    let new = json!({ "msgtype": "m.text", "body": long(number, LONG / 2) });
    let content = json!({ "msgtype": "m.text", "body": "*", "m.new_content": new, "m.relates_to": relates });
    Box::pin(scene.send(scene.event("m.room.message", None, &content), None))
}

/// The root of a thread, whose id is as long as one may be.
fn root(number: u64) -> String {
    format!("${number:0>240}")
}

fn in_thread(scene: &Scene, number: u64) -> Draft {
    let relates = json!({ "rel_type": "m.thread", "event_id": root(number) });
    let content = json!({ "msgtype": "m.text", "body": "x", "m.relates_to": relates });
    scene.event("m.room.message", None, &content)
}

/// Each in a thread of its own.
fn thread(scene: &Scene, number: u64) -> Act<'_> {
    Box::pin(scene.send(in_thread(scene, number), None))
}

fn sticky(scene: &Scene, number: u64) -> Act<'_> {
    let content = json!({ "msc4354_sticky_key": format!("{number}"), "body": long(number, LONG / 2) });
    Box::pin(scene.send(scene.event("org.example.sticky", None, &content), Some(3_600_000)))
}

fn new_state(scene: &Scene, number: u64) -> Act<'_> {
    let content = json!({ "text": long(number, LONG) });
    Box::pin(scene.send(scene.event("org.example.state", Some(number.to_string()), &content), None))
}

fn replaced_state(scene: &Scene, number: u64) -> Act<'_> {
    let content = json!({ "topic": long(number, LONG) });
    Box::pin(scene.send(scene.event("m.room.topic", Some(String::new()), &content), None))
}

fn delayed(scene: &Scene, number: u64) -> Act<'_> {
    let ask = DelayEvent {
        draft: scene.event("m.room.message", None, &text(number)),
        device_id: scene.mallory.session().device_id,
        txn_id: Some(format!("later{number}")),
        delay_ms: 30 * 60 * 1_000,
        sticky_ms: None,
        ts: None,
    };
    Box::pin(async move { scene.in_room(ask).await.map(drop) })
}

/// Of what was said for that.
fn redaction(scene: &Scene, number: u64) -> Act<'_> {
    Box::pin(async move {
        let said = scene.sent(scene.event("m.room.message", None, &text(number)), None).await?;
        let mut draft = scene.event("m.room.redaction", None, &json!({ "reason": long(number, LONG) }));
        draft.redacts = Some(said);
        scene.send(draft, None).await
    })
}

/// Others are invited into, with all that an invite can show.
fn new_room(scene: &Scene, number: u64) -> Act<'_> {
    let request = json!({
        "name": long(number, LONG / 2), "topic": long(number, LONG / 2),
        "invite": [scene.alice.user_id, scene.bob.user_id],
    });
    Box::pin(async move { scene.invite_into_new(&request).await.map(drop) })
}

fn invite(scene: &Scene, number: u64) -> Act<'_> {
    let action = if number.is_multiple_of(2) { MembershipAction::Kick } else { MembershipAction::Invite };
    Box::pin(async move {
        let reason = long(number, LONG / 2);
        let (caller, target) = (&*scene.mallory.user_id, &*scene.bob.user_id);
        let change = join::MembershipChange { caller, action, target, reason: Some(&reason) };
        join::change(&scene.world, scene.world.config(), &scene.room_id, change).await
    })
}

/// In ever new threads.
fn receipt(scene: &Scene, number: u64) -> Act<'_> {
    Box::pin(async move {
        let event_id = EventRef::new(scene.sent(in_thread(scene, number), None).await?).unwrap();
        let thread_id = Some(Name::cut(root(number)));
        let receipt = ReceiptDraft { kind: Name::cut("m.read"), event_id, thread_id };
        let receipts = BoundedVec::new(vec![receipt]).unwrap();
        scene.in_room(SendReceipts { user_id: scene.mallory.user_id.clone(), receipts }).await.map(drop)
    })
}

fn typing(scene: &Scene, number: u64) -> Act<'_> {
    let timeout_ms = if number.is_multiple_of(2) { 120_000 } else { 0 };
    let ask = SetTyping { user_id: scene.mallory.user_id.clone(), timeout_ms };
    Box::pin(async move { scene.in_room(ask).await.map(drop) })
}

fn message_to_device(scene: &Scene, number: u64) -> Act<'_> {
    Box::pin(async move {
        let content = raw(&json!({ "text": long(number, LONG) }));
        let messages = [&scene.alice, &scene.bob]
            .map(|client| (client.user_id.clone(), BTreeMap::from([("*".to_owned(), content.clone())])));
        let sender = Caller { user_id: scene.mallory.user_id.clone(), device_id: scene.mallory.session().device_id };
        let (world, txn_id) = (&scene.world, format!("{number}"));
        to_device::send(world, world.config(), &sender, "m.secret", &txn_id, BTreeMap::from(messages)).await
    })
}

fn report(scene: &Scene, number: u64) -> Act<'_> {
    Box::pin(async move {
        let (world, reported) = (&scene.world, scene.alice.user_id.clone());
        report::user(world, world.config(), &scene.mallory.user_id, reported, long(number, 4_000)).await
    })
}
