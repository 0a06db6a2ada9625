//! What a reader may see.

use ruma::UserId;
use tern_model::{MatrixError, RoomSeq, StoredEvent};
use tern_ports::{
    ObjectHost, SqlError, ask_storage,
    wire::{storage::PageEvents, sync::VisibilityFacts},
};
use tern_room::{StateAccess, may_see, state_access, visibility::Facts};

use crate::{
    RoomActor,
    graph::resolution_changes::FactChange,
    reads::visibility_fact::{value_before, value_of},
    refusal::not_in_room,
    timeline::head::Head,
};

/// Where a reader's room ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It goes on.
    Current,
    /// It ended with the reader's leaving, at this position.
    Left(RoomSeq),
}

impl Reach {
    /// The last position within reach.
    pub(crate) fn end(self, newest: RoomSeq) -> RoomSeq {
        match self {
            Self::Current => newest,
            Self::Left(seq) => seq.min(newest),
        }
    }
}

impl<H: ObjectHost> RoomActor<H> {
    /// How far the user may read; 403 for somebody who never was in the room.
    pub(crate) async fn reach(&self, user_id: &UserId) -> Result<Reach, MatrixError> {
        let head = self.room()?;
        let membership = self.store().membership(user_id.as_str())?;
        if membership.as_ref().is_some_and(|(_, membership)| membership == "join") {
            return Ok(Reach::Current);
        }
        if self.store().has_forgotten(user_id.as_str())? {
            return Err(not_in_room());
        }
        let local = self.local_facts(&head, user_id)?;
        let was_here = membership.is_some() || head.resolved.0 > 0;
        let access = match state_access(&facts_of(user_id, &local)) {
            // What was trimmed may know of an earlier stay.
            StateAccess::Denied if was_here && head.tail.0 > 0 => {
                let stored = self.stored_facts(&head, user_id, RoomSeq::default()).await?;
                state_access(&facts_of(user_id, &joined_facts(&head, local, Some(stored))))
            }
            access => access,
        };
        match access {
            StateAccess::Current => Ok(Reach::Current),
            StateAccess::At(seq) => Ok(Reach::Left(seq)),
            StateAccess::Denied => Err(not_in_room()),
        }
    }

    /// The facts that what is here tells: complete for every position in the tail, and for those after the last change.
    pub(crate) fn local_facts(&self, head: &Head, user_id: &UserId) -> Result<VisibilityFacts, SqlError> {
        Ok(VisibilityFacts {
            history: self.local_values(head, "m.room.history_visibility", "")?,
            membership: self.local_values(head, "m.room.member", user_id.as_str())?,
        })
    }

    fn local_values(&self, head: &Head, kind: &str, state_key: &str) -> Result<Vec<(RoomSeq, String)>, SqlError> {
        let mut changes = self.local_changes(head, kind, state_key)?;
        changes.sort_by_key(|change| change.seq);
        let Some(first) = changes.first() else {
            let Some(current) = self.store().state(kind, state_key)? else { return Ok(Vec::new()) };
            // Just before it, the value was what it replaced.
            let before = value_before(&current).map(|value| (current.seq.previous(), value));
            return Ok(before.into_iter().chain([(current.seq, value_of(&current))]).collect());
        };
        let before = first.before.clone().map(|value| (head.tail, value));
        Ok(before.into_iter().chain(changes.into_iter().map(|change| (change.seq, change.after))).collect())
    }

    /// What changed a value in the tail: events, and resolutions.
    fn local_changes(&self, head: &Head, kind: &str, state_key: &str) -> Result<Vec<Changed>, SqlError> {
        let events = self.store().changes(head.tail, kind, state_key)?;
        let mut changes: Vec<_> = events
            .iter()
            .map(|event| Changed { seq: event.seq, before: value_before(event), after: value_of(event) })
            .collect();
        if head.resolved > head.tail {
            let nothing = if kind == "m.room.member" { "leave" } else { "shared" };
            let resolved = self.store().facts_resolved(head.tail, (kind, state_key))?;
            changes.extend(resolved.into_iter().map(|FactChange(seq, before, after)| Changed {
                seq,
                before,
                after: after.unwrap_or_else(|| nothing.to_owned()),
            }));
        }
        Ok(changes)
    }

    /// The facts at `seq` and later, from the storage worker if what is here does not tell.
    pub(crate) async fn facts_at(
        &self,
        head: &Head,
        user_id: &UserId,
        seq: RoomSeq,
    ) -> Result<VisibilityFacts, MatrixError> {
        let local = self.local_facts(head, user_id)?;
        let last = |values: &[(RoomSeq, String)]| values.last().map_or(RoomSeq::default(), |(at, _)| *at);
        // Where the room has been resolved, a value may not hold since its event.
        let settled = last(&local.history) <= seq && last(&local.membership) <= seq && head.resolved.0 == 0;
        if seq > head.tail || settled {
            return Ok(local);
        }
        let stored = self.stored_facts(head, user_id, seq.previous()).await?;
        Ok(joined_facts(head, local, Some(stored)))
    }

    /// What the storage worker knows from `after` on.
    async fn stored_facts(
        &self,
        head: &Head,
        user_id: &UserId,
        after: RoomSeq,
    ) -> Result<VisibilityFacts, MatrixError> {
        let ask = PageEvents {
            room_id: self.room_id.clone(),
            user_id: user_id.to_owned(),
            after,
            until: head.tail,
            backwards: false,
            limit: 1,
        };
        Ok(ask_storage(&*self.host, ask).await?.facts)
    }
}

/// What the storage worker knows of the time before the tail, and what is known here of the tail.
pub(crate) fn joined_facts(head: &Head, local: VisibilityFacts, stored: Option<VisibilityFacts>) -> VisibilityFacts {
    let Some(stored) = stored else { return local };
    let join = |stored: Vec<(RoomSeq, String)>, local: Vec<(RoomSeq, String)>| {
        let old = stored.into_iter().filter(|(seq, _)| *seq <= head.tail);
        old.chain(local.into_iter().filter(|(seq, _)| *seq > head.tail)).collect()
    };
    VisibilityFacts {
        history: join(stored.history, local.history),
        membership: join(stored.membership, local.membership),
    }
}

/// The user may see the event.
pub(crate) fn visible(user_id: &UserId, facts: &VisibilityFacts, event: &StoredEvent) -> bool {
    may_see(&facts_of(user_id, facts), event.seq, &event.kind, event.state_key.as_deref())
}

fn facts_of<'a>(user_id: &'a UserId, facts: &'a VisibilityFacts) -> Facts<'a> {
    Facts { user_id, history: &facts.history, membership: &facts.membership }
}

/// A change of a value, and what it was before.
struct Changed {
    seq: RoomSeq,
    before: Option<String>,
    after: String,
}
