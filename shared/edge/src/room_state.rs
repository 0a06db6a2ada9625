//! Reading a room's state, or its members, piece by piece: together with what events replaced it may be twice what a room's
//! state may weigh, and members come on top of that.

use ruma::{OwnedRoomId, OwnedUserId};
use tern_model::MatrixError;
use tern_ports::{
    Transport, ask_room,
    wire::room::{MembersFilter, PageState},
};

/// State on its way to the client, as JSON. It is the current one of each place when its piece was made: what changes
/// meanwhile is told by sync.
#[derive(Debug)]
pub struct StatePieces {
    room_id: OwnedRoomId,
    /// What is left.
    rest: PageState,
    /// Before and after the list.
    frame: (&'static str, &'static str),
    started: bool,
    empty: bool,
    over: bool,
}

impl StatePieces {
    /// `GET /rooms/{roomId}/state`: a list of events.
    pub fn of_room(room_id: OwnedRoomId, caller: OwnedUserId) -> Self {
        let rest = PageState { caller, members: None, after: None };
        Self { room_id, rest, frame: ("[", "]"), started: false, empty: true, over: false }
    }

    /// `GET /rooms/{roomId}/members`: a list of member events, as `chunk`.
    pub fn of_members(room_id: OwnedRoomId, caller: OwnedUserId, members: MembersFilter) -> Self {
        let rest = PageState { caller, members: Some(members), after: None };
        Self { room_id, rest, frame: ("{\"chunk\":[", "]}"), started: false, empty: true, over: false }
    }

    /// There are no more pieces.
    pub const fn is_over(&self) -> bool {
        self.over
    }

    /// The next piece of the text.
    ///
    /// # Errors
    /// 403 for somebody who is not in the room, 503.
    pub async fn next<E: Transport>(&mut self, edge: &E) -> Result<String, MatrixError> {
        let page = ask_room(edge, &self.room_id, self.rest.clone()).await?;
        let bytes: usize = page.events.iter().map(|event| event.text().len() + 1).sum();
        let mut text = String::with_capacity(bytes + 16);
        if !std::mem::replace(&mut self.started, true) {
            text.push_str(self.frame.0);
        }
        for event in &page.events {
            if !std::mem::take(&mut self.empty) {
                text.push(',');
            }
            text.push_str(event.text());
        }
        self.over = page.next.is_none();
        self.rest.after = page.next;
        if self.over {
            text.push_str(self.frame.1);
        }
        Ok(text)
    }
}
