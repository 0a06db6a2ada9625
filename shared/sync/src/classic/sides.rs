//! What stands beside the timelines of a classic answer: account data, typing and receipts.

use std::collections::{BTreeMap, BTreeSet};

use ruma::OwnedRoomId;
use tern_model::Receipt;

use super::{
    Token,
    events::write_some,
    filter::RoomEventFilter,
    room::{ClassicRoom, Section},
};
use crate::extensions::{event as account_data_event, receipt_content, typing_content};
use crate::json::Object;
use crate::view::{AccountData, UserView};

/// What changed beside rooms' timelines, by room.
#[derive(Default)]
pub(super) struct Sides {
    account_data: BTreeMap<OwnedRoomId, Vec<AccountData>>,
    receipts: BTreeMap<OwnedRoomId, Vec<Receipt>>,
    typing: BTreeMap<OwnedRoomId, Vec<ruma::OwnedUserId>>,
}

impl Sides {
    pub(super) fn read(view: &dyn UserView, since: Option<Token>) -> Self {
        let from = since.unwrap_or_default().stream;
        let mut sides = Self::default();
        for (room_id, data) in view.rooms_account_data(from) {
            sides.account_data.entry(room_id).or_default().push(data);
        }
        for (room_id, receipt) in view.receipts(from) {
            sides.receipts.entry(room_id).or_default().push(receipt);
        }
        let news = |users: &Vec<_>| since.is_some() || !users.is_empty();
        let typing = view.typing(since.unwrap_or_default().typing);
        sides.typing = typing.into_iter().filter(|(_, users)| news(users)).collect();
        sides
    }

    /// A room new to the client comes with all there is.
    pub(super) fn complete(&mut self, view: &dyn UserView, room_id: &OwnedRoomId) {
        self.account_data.insert(room_id.clone(), view.room_account_data(room_id));
        self.receipts.insert(room_id.clone(), view.room_receipts(room_id));
        self.typing.remove(room_id);
        let typing = view.room_typing(room_id);
        if !typing.is_empty() {
            self.typing.insert(room_id.clone(), typing);
        }
    }

    pub(super) fn rooms(&self) -> BTreeSet<&OwnedRoomId> {
        self.account_data.keys().chain(self.receipts.keys()).chain(self.typing.keys()).collect()
    }

    /// Writes what there is of a room.
    pub(super) fn write(&self, out: &mut Object<'_>, room: &ClassicRoom<'_>) {
        if matches!(room.section(), Section::Invite | Section::Knock) {
            return;
        }
        let filter = room.filter();
        let data = |filter: &RoomEventFilter| {
            let data = self.account_data.get(room.room_id()).into_iter().flatten();
            data.filter(|data| filter.allows_kind(&data.kind)).map(account_data_event).collect()
        };
        write_some(out, "account_data", filter.account_data.map(data).unwrap_or_default());
        if room.section() == Section::Join {
            let events = filter.ephemeral.map(|filter| self.ephemeral(filter, room.room_id()));
            write_some(out, "ephemeral", events.unwrap_or_default());
        }
    }

    /// Typing and receipts as events.
    fn ephemeral(&self, filter: &RoomEventFilter, room_id: &OwnedRoomId) -> Vec<String> {
        let event = |kind: &str, content: String| {
            filter.allows_kind(kind).then(|| format!("{{\"type\":\"{kind}\",\"content\":{content}}}"))
        };
        let typing = self.typing.get(room_id).map(|users| event("m.typing", typing_content(users)));
        let receipts = self.receipts.get(room_id).filter(|receipts| !receipts.is_empty());
        let receipts = receipts.map(|receipts| event("m.receipt", receipt_content(receipts)));
        [typing, receipts].into_iter().flatten().flatten().collect()
    }
}
