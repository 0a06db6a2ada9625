//! Inviting users of other servers (Server-Server API, "Inviting to a room"): the invite is made here, and committed once
//! their server has signed it as well, like an event that was received.

use tern_model::{Bounded, BoundedJson, EventRef, MatrixError, MembershipAction, Name};
use tern_ports::{
    ObjectHost,
    wire::{
        invite::{PrepareInvite, PreparedInvite},
        room::ChangeMembership,
    },
};
use tern_room::summary::shown_state;

use crate::{RoomActor, timeline::send::Plan};

impl<H: ObjectHost> RoomActor<H> {
    /// Makes the invite and what is shown of the room.
    pub(crate) fn prepare_invite(&self, request: PrepareInvite) -> Result<Option<PreparedInvite>, MatrixError> {
        let head = self.room()?;
        let view = self.view(&head);
        let PrepareInvite { caller, target, reason, content } = request;
        let (reason, content) = (reason.map(Bounded::into_string), content.map(BoundedJson::into_raw));
        let change = ChangeMembership { caller, action: MembershipAction::Invite, target, reason, content };
        let Plan::Append(entry) = self.plan_membership(&view, &change, &[])? else { return Ok(None) };
        view.check_state_bytes(&entry.pdu)??;
        let mut shown = shown_state(&view, &entry.pdu)?;
        // The invite itself is told beside them.
        shown.pop();
        Ok(Some(PreparedInvite {
            version: Name::cut(head.version.id),
            event_id: EventRef::new(entry.pdu.id().to_owned())?,
            event: entry.pdu.raw().clone(),
            shown: shown.iter().map(|pdu| pdu.raw().clone()).collect(),
        }))
    }
}
