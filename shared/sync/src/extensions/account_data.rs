//! `account_data` (MSC3959): global, and of rooms the client knows.

use std::collections::BTreeMap;

use tern_model::StreamPos;

use super::Known;
use crate::json::Object;
use crate::request::Scope;
use crate::view::AccountData;

pub(super) fn write(out: &mut Object<'_>, known: &Known<'_>, scope: &Scope, since: Option<StreamPos>) {
    let since = since.unwrap_or_default();
    let global = known.view.account_data(since);
    let mut rooms: BTreeMap<_, Vec<AccountData>> = BTreeMap::new();
    for (room_id, data) in known.of_known_rooms(scope, || known.view.rooms_account_data(since)) {
        rooms.entry(room_id).or_default().push(data);
    }
    for (room_id, _) in known.initial(scope) {
        rooms.insert(room_id.clone(), known.view.room_account_data(room_id));
    }
    out.object("account_data", |out| {
        if !global.is_empty() {
            out.array("global", global.iter().map(event));
        }
        out.object("rooms", |out| {
            for (room_id, data) in rooms.iter().filter(|(_, data)| !data.is_empty()) {
                out.array(room_id.as_str(), data.iter().map(event));
            }
        });
    });
}

/// The event form.
pub(crate) fn event(data: &AccountData) -> String {
    let mut text = String::with_capacity(data.content.text().len() + data.kind.len() + 24);
    let mut out = Object::open(&mut text);
    out.text("type", &data.kind);
    out.raw("content", data.content.text());
    out.end();
    text
}
