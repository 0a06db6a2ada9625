//! What the user was notified of (Client-Server API, "Listing notifications"): events of the inbox that bear a mark. It
//! reaches back as far as the inbox does, so a message costs nothing for being in it.
//!
//! Rooms are looked at in order of their newest change, until what is left is older than the page.

use std::cmp::Reverse;

use ruma::OwnedRoomId;
use serde::Serialize;
use serde_json::{Value, json};
use tern_model::{MatrixError, Millis, RawJson, RoomSeq, StreamPos};
use tern_ports::{ObjectHost, WaitingPolls, wire::notifications::ListNotifications};

use super::{
    UserActor,
    store::{
        inbox::{self, Notifying},
        rooms::RoomRow,
    },
};

/// Most events of a page.
const MOST: u64 = 100;
/// Bytes of events after which a page ends.
const MOST_BYTES: usize = 1 << 20;

/// Where an event stands among those of all rooms: those that came together are of one room.
type Place = (StreamPos, RoomSeq);

/// The answer.
#[derive(Serialize)]
struct Page<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
    notifications: Vec<Notification<'a>>,
}

/// A notification as clients have it.
#[derive(Serialize)]
struct Notification<'a> {
    actions: Vec<Value>,
    event: &'a RawJson,
    read: bool,
    room_id: &'a OwnedRoomId,
    ts: Millis,
}

/// An event that notified, and its room.
type Found<'a> = (Notifying, &'a RoomRow);

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    pub(super) fn list_notifications(&self, command: &ListNotifications) -> Result<RawJson, MatrixError> {
        let unknown = || MatrixError::invalid_param("from is no token of this list");
        let from = command.from.as_deref().map(|from| place(from).ok_or_else(unknown)).transpose()?;
        let mut rooms = self.room_rows()?;
        rooms.sort_by_key(|room| Reverse(room.pos));
        let found = self.find_notifications(&rooms, from, command)?;
        page(&found, usize::try_from(command.limit.clamp(1, MOST)).unwrap_or_default())
    }

    /// One more than asked for, if there are, so that it is known whether there are further ones.
    fn find_notifications<'a>(
        &self,
        rooms: &'a [RoomRow],
        from: Option<Place>,
        command: &ListNotifications,
    ) -> Result<Vec<Found<'a>>, MatrixError> {
        let most = command.limit.clamp(1, MOST) + 1;
        let ignored = self.ignored()?;
        let mut found: Vec<Found<'a>> = Vec::new();
        for room in rooms {
            let full = found.len() as u64 == most;
            if full && found.last().is_some_and(|(notifying, _)| notifying.pos >= room.pos) {
                break;
            }
            let notifying = inbox::notifying(self.host.sql(), room, from, command.highlights, most)?;
            let heard = notifying.into_iter().filter(|notifying| !ignored.contains(&notifying.event.sender));
            found.extend(heard.map(|notifying| (notifying, room)));
            found.sort_by_key(|(notifying, _)| Reverse((notifying.pos, notifying.event.seq)));
            found.truncate(usize::try_from(most).unwrap_or_default());
        }
        Ok(found)
    }
}

fn page(found: &[Found<'_>], limit: usize) -> Result<RawJson, MatrixError> {
    let mut bytes = 0;
    let fitting = found.iter().take(limit).take_while(|(notifying, _)| {
        let fits = bytes < MOST_BYTES;
        bytes += notifying.event.client.text().len();
        fits
    });
    let shown: Vec<_> = fitting.collect();
    let notifications: Vec<_> = shown.iter().map(|(notifying, room)| notification(notifying, room)).collect();
    let last = shown.last().filter(|_| shown.len() < found.len());
    let next_token = last.map(|(notifying, _)| format!("{}_{}", notifying.pos.0, notifying.event.seq.0));
    let page = Page { next_token, notifications };
    RawJson::from_value(&page).map_err(|_| MatrixError::internal())
}

/// The mark says what became of the rule's actions; sounds are not kept.
fn notification<'a>(notifying: &'a Notifying, room: &'a RoomRow) -> Notification<'a> {
    let mut actions = vec![json!("notify")];
    if notifying.notification.highlight {
        actions.push(json!({ "set_tweak": "highlight" }));
    }
    Notification {
        actions,
        event: &notifying.event.client,
        read: !room.unread_counts.is_unread(&notifying.notification),
        room_id: &room.room_id,
        ts: notifying.event.ts,
    }
}

fn place(token: &str) -> Option<Place> {
    let (pos, seq) = token.split_once('_')?;
    Some((StreamPos(pos.parse().ok()?), RoomSeq(seq.parse().ok()?)))
}
