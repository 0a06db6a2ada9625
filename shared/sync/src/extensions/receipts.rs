//! `receipts` (MSC3960). A room new to the client comes with the user's own receipts and those at events it is sent.

use std::collections::BTreeMap;

use tern_model::{Receipt, StreamPos};

use super::Known;
use crate::json::Object;
use crate::request::Scope;

pub(super) fn write(out: &mut Object<'_>, known: &Known<'_>, scope: &Scope, since: Option<StreamPos>) {
    let own = known.view.user_id();
    let mut rooms: BTreeMap<_, Vec<Receipt>> = BTreeMap::new();
    for (room_id, receipt) in known.of_known_rooms(scope, || known.view.receipts(since.unwrap_or_default())) {
        if since.is_some() || receipt.user_id == own {
            rooms.entry(room_id).or_default().push(receipt);
        }
    }
    for (room_id, shown) in known.initial(scope) {
        let mut receipts = known.view.room_receipts(room_id);
        receipts.retain(|receipt| receipt.user_id == own || shown.events.contains(receipt.event_id.as_str()));
        rooms.insert(room_id.clone(), receipts);
    }
    out.object("receipts", |out| {
        out.object("rooms", |out| {
            for (room_id, receipts) in rooms.iter().filter(|(_, receipts)| !receipts.is_empty()) {
                out.raw(room_id.as_str(), &event(receipts));
            }
        });
    });
}

fn event(receipts: &[Receipt]) -> String {
    format!("{{\"type\":\"m.receipt\",\"content\":{}}}", content(receipts))
}

/// The content of an `m.receipt` event: by event, by kind, by user. Of two receipts of one user at one event the threaded
/// one gives way, for the content has room for one only (MSC4102).
pub(crate) fn content(receipts: &[Receipt]) -> String {
    let mut tree: BTreeMap<&str, BTreeMap<&str, BTreeMap<&str, &Receipt>>> = BTreeMap::new();
    for receipt in receipts {
        let kinds = tree.entry(receipt.event_id.as_str()).or_default();
        let users = kinds.entry(&receipt.kind).or_default();
        let known = users.get(receipt.user_id.as_str());
        if known.is_none_or(|known| known.thread_id.is_some()) {
            users.insert(receipt.user_id.as_str(), receipt);
        }
    }
    let mut text = String::new();
    let mut out = Object::open(&mut text);
    for (event_id, kinds) in tree {
        out.object(event_id, |out| {
            for (kind, users) in kinds {
                out.object(kind, |out| write_users(out, &users));
            }
        });
    }
    out.end();
    text
}

fn write_users(out: &mut Object<'_>, users: &BTreeMap<&str, &Receipt>) {
    for (user_id, receipt) in users {
        out.object(user_id, |out| {
            out.number("ts", receipt.ts.0);
            if let Some(thread_id) = &receipt.thread_id {
                out.text("thread_id", thread_id);
            }
        });
    }
}
