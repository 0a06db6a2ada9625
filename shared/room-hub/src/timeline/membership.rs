//! Changing memberships, and carrying profiles into member events.

use std::rc::Rc;

use futures::future::join_all;
use ruma::{OwnedRoomId, RoomId, UserId, events::StateEventType};
use tern_model::{MatrixError, MembershipAction, RawJson};
use tern_ports::{
    ObjectHost, ask_room,
    wire::{
        Done,
        room::{ChangeMembership, ReadStateEvent, Sent, SetMemberProfile},
    },
};
use tern_room::{
    Change, Outcome, RoomView,
    build::propose,
    client::membership_of,
    membership::{allowed_rooms, decide, with_profile},
};

use crate::{
    RoomActor,
    timeline::{
        send::{Job, Plan, unknown_room},
        view::{Entry, Transaction},
    },
};

/// Rooms asked, at most, whether the caller is in one of them (restricted rooms).
const MAX_RESTRICTED_JOIN_ROOMS: usize = 12;

impl<H: ObjectHost> RoomActor<H> {
    /// Changes a membership. Whom it concerns is told before the reply: their next request finds the room, or not.
    pub(crate) async fn change_membership(self: &Rc<Self>, request: ChangeMembership) -> Result<Sent, MatrixError> {
        let joining = matches!(request.action, MembershipAction::Join | MembershipAction::Knock);
        let is_own = joining || request.action == MembershipAction::Leave;
        if self.head()?.is_none() || is_own && self.is_elsewhere()? {
            return Err(unknown_room(joining));
        }
        let restricted_join = self.rooms_of_restricted_join(&request).await?;
        let concerned = [request.caller.clone(), request.target.clone()];
        let event_id = self
            .submit_here(|| Job::Membership { request: request.clone(), restricted_join: restricted_join.clone() })
            .await?;
        self.tell(&concerned).await;
        event_id.map(|event_id| Sent { event_id }).ok_or_else(MatrixError::internal)
    }

    /// Carries a changed profile into the member event of a joined user.
    pub(crate) async fn set_member_profile(self: &Rc<Self>, request: SetMemberProfile) -> Result<Done, MatrixError> {
        if self.head()?.is_some() {
            self.submit_here(|| Job::Profile(request.clone())).await?;
        }
        Ok(Done {})
    }

    pub(crate) fn plan_membership(
        &self,
        tx: &Transaction<'_, H::Sql>,
        request: &ChangeMembership,
        restricted_join: &[OwnedRoomId],
    ) -> Result<Plan, MatrixError> {
        let change = Change {
            action: request.action,
            actor: &request.caller,
            target: &request.target,
            reason: request.reason.as_deref(),
            extra: request.content.as_ref(),
        };
        let draft = match decide(tx, &change, |room_id| {
            restricted_join.iter().any(|restricted_join| restricted_join == room_id)
        })? {
            Outcome::Unchanged(current) => return Ok(Plan::Known(current.id().to_owned())),
            Outcome::Send(draft) => draft,
        };
        let pdu = propose(tx, &draft, self.host.now(), self.signer()?)?;
        Ok(Plan::Append(Box::new(Entry::plain(pdu))))
    }

    pub(crate) fn plan_profile(
        &self,
        tx: &Transaction<'_, H::Sql>,
        request: &SetMemberProfile,
    ) -> Result<Plan, MatrixError> {
        let Some(current) = tx.state(&StateEventType::RoomMember, request.user_id.as_str())? else {
            return Ok(Plan::Nothing);
        };
        let draft = with_profile(&current, request.displayname.as_deref(), request.avatar_url.as_deref())?;
        let Some(draft) = draft else { return Ok(Plan::Nothing) };
        let pdu = propose(tx, &draft, self.host.now(), self.signer()?)?;
        Ok(Plan::Append(Box::new(Entry::plain(pdu))))
    }

    /// The rooms that let their members into this one and that the caller is in. Their hubs are asked, before the turn.
    async fn rooms_of_restricted_join(&self, request: &ChangeMembership) -> Result<Vec<OwnedRoomId>, MatrixError> {
        if request.action == MembershipAction::Join {
            self.restricted_join_rooms(&request.caller).await
        } else {
            Ok(Vec::new())
        }
    }

    pub(crate) async fn restricted_join_rooms(&self, user_id: &UserId) -> Result<Vec<OwnedRoomId>, MatrixError> {
        let membership = self.store().membership(user_id.as_str())?;
        if membership.is_some_and(|(_, membership)| matches!(membership.as_str(), "join" | "invite")) {
            return Ok(Vec::new());
        }
        let head = Rc::unwrap_or_clone(self.room()?);
        let rooms = allowed_rooms(&Transaction::new(&self.room_id, self.host.sql(), &self.cache, head))?;
        let asked = rooms.into_iter().filter(|room_id| *room_id != self.room_id).take(MAX_RESTRICTED_JOIN_ROOMS);
        let answers = join_all(asked.map(|room_id| self.is_joined_in(room_id, user_id))).await;
        Ok(answers.into_iter().flatten().collect())
    }

    async fn is_joined_in(&self, room_id: OwnedRoomId, user_id: &UserId) -> Option<OwnedRoomId> {
        let ask = ReadStateEvent {
            caller: user_id.to_owned(),
            kind: "m.room.member".to_owned(),
            state_key: user_id.to_string(),
        };
        let member = ask_member(&*self.host, &room_id, ask).await?;
        (membership_of(&member)? == "join").then_some(room_id)
    }
}

async fn ask_member(host: &impl ObjectHost, room_id: &RoomId, ask: ReadStateEvent) -> Option<RawJson> {
    ask_room(host, room_id, ask).await.ok()
}
