//! An invite into a room that is not here is pushed when it comes. It has no place in an inbox, so nothing is kept of it: one
//! that no gateway takes is not pushed again, and is shown by the next sync.

use std::rc::Rc;

use ruma::OwnedRoomId;
use serde::Deserialize;
use serde_json::json;
use tern_model::{MatrixError, NoticeEvent, RawJson, RoomSeq};
use tern_ports::{ObjectHost, WaitingPolls, wire::invite::DeliverInvite};
use tern_push::gateway::{self, PusherData};

use crate::{UserActor, member::MEMBER};

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// Pushes an invite, without anybody waiting for it.
    pub(crate) fn push_invite(self: &Rc<Self>, command: &DeliverInvite) {
        if let Some(event) = self.pushes().then(|| noticed(command)).flatten() {
            let (actor, room_id) = (Rc::clone(self), command.room_id.clone());
            // What cannot be pushed is shown all the same.
            self.host.spawn(Box::pin(async move { drop(actor.tell_invite(room_id, event).await) }));
        }
    }

    async fn tell_invite(&self, room_id: OwnedRoomId, event: NoticeEvent) -> Result<(), MatrixError> {
        let standing = self.standing.get();
        let told = self.told_of_invite(room_id, event)?.filter(|_| !standing.locked && !standing.retired);
        let Some(told) = told else { return Ok(()) };
        let unread = self.unread_rooms()?;
        for live in self.live_pushers()?.iter().filter(|live| live.state.progress.get().outage.is_none()) {
            let data = PusherData::read(&live.row.data);
            let body = gateway::notification(&live.device(&data), &told.told(&self.user_id), unread);
            let Some(body) = body else { continue };
            if let (_, true) = self.ask_gateway(live, &data, body).await {
                self.drop_pusher(&live.row.app_id, &live.row.pushkey)?;
            }
        }
        Ok(())
    }
}

/// The invite as a room would tell of it.
fn noticed(command: &DeliverInvite) -> Option<NoticeEvent> {
    #[derive(Deserialize)]
    struct Invite {
        sender: ruma::OwnedUserId,
        state_key: String,
        content: RawJson,
    }
    let Invite { sender, state_key, content } = command.event.read().ok()?;
    let event_id = command.event_id.clone().into_id();
    let client = json!({
        "type": MEMBER, "sender": sender, "state_key": state_key, "content": content, "event_id": event_id,
        "origin_server_ts": command.ts,
    });
    Some(NoticeEvent {
        seq: RoomSeq(0),
        event_id,
        kind: MEMBER.to_owned(),
        sender,
        state_key: Some(state_key),
        ts: command.ts,
        client: RawJson::from_value(&client).ok()?,
        txn: None,
        redacts: None,
        pings_room: false,
    })
}
