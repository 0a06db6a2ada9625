//! `typing` (MSC3961).

use std::collections::BTreeMap;

use ruma::OwnedUserId;

use super::Known;
use super::sent::TypingSentState;
use crate::hash::fingerprint;
use crate::json::Object;
use crate::request::Scope;

pub(super) fn write(
    out: &mut Object<'_>,
    known: &Known<'_>,
    scope: &Scope,
    before: Option<&TypingSentState>,
) -> TypingSentState {
    let print = fingerprint(scope);
    let since = before.filter(|sent| sent.scope == print).map(|sent| sent.at);
    let mut rooms = BTreeMap::new();
    for (room_id, users) in known.of_known_rooms(scope, || known.view.typing(since.unwrap_or_default())) {
        // That nobody types is news only where somebody did.
        if since.is_some() || !users.is_empty() {
            rooms.insert(room_id, users);
        }
    }
    for (room_id, _) in known.initial(scope) {
        let users = known.view.room_typing(room_id);
        if !users.is_empty() {
            rooms.insert(room_id.clone(), users);
        }
    }
    out.object("typing", |out| {
        out.object("rooms", |out| {
            for (room_id, users) in &rooms {
                out.raw(room_id.as_str(), &format!("{{\"type\":\"m.typing\",\"content\":{}}}", content(users)));
            }
        });
    });
    // A hub that forgot who types counts from zero until somebody does.
    TypingSentState { at: known.view.typing_position().max(since.unwrap_or_default()), scope: print }
}

/// The content of an `m.typing` event.
pub(crate) fn content(users: &[OwnedUserId]) -> String {
    let mut text = String::new();
    let mut out = Object::open(&mut text);
    out.texts("user_ids", users);
    out.end();
    text
}
