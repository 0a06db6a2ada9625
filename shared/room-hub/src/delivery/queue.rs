//! Filling the queue: whom what was committed concerns, and from where.

use std::{collections::BTreeSet, rc::Rc};

use ruma::{OwnedUserId, UserId};
use tern_model::{RoomSeq, StoredEvent};
use tern_ports::{ObjectHost, SqlError};
use tern_room::Audience;

use crate::{
    RoomActor,
    delivery::desk::{Desk, Pending},
    graph::turns::Turns,
};

/// Events whose audience is found in one go.
const CHUNK: u32 = 200;

impl<H: ObjectHost> RoomActor<H> {
    /// Turns committed events into queue entries.
    pub(crate) fn absorb(&self) -> Result<(), SqlError> {
        self.absorb_commits()?;
        self.move_announced();
        Ok(())
    }

    fn absorb_commits(&self) -> Result<(), SqlError> {
        let Some(head) = self.head()? else { return Ok(()) };
        let mut desk = self.announcer.0.borrow_mut();
        let mut absorbed = if let Some(absorbed) = desk.absorbed {
            absorbed
        } else {
            desk.laggards = self.store().laggards()?.into_iter().collect();
            desk.summary_changed = head.newest;
            head.announced
        };
        desk.absorbed = Some(absorbed);
        if absorbed >= head.newest {
            return Ok(());
        }
        let head = self.grow(&head)?;
        while absorbed < head.newest {
            let events = self.store().events(absorbed, head.newest, false, CHUNK)?;
            let Some(last) = events.last() else { break };
            absorbed = last.seq;
            let before = events.first().map_or(absorbed, |first| first.seq.previous());
            let turns = if head.turned > before { self.store().turns_after(before)? } else { Turns::default() };
            let events = turns.effective(events);
            self.queue_turned(&mut desk, &turns);
            let audience = Audience::of(&events);
            if head.large {
                self.follow_listeners(&audience, &turns)?;
            }
            self.queue_audience(&mut desk, &audience, &self.audience(&head)?, &turns);
            if !turns.is_empty() || events.iter().any(affects_summary) {
                let summary = Rc::new(self.summarise(&head)?);
                if desk.summary.as_ref() != Some(&summary) {
                    desk.summary_changed = absorbed;
                    desk.summary = Some(summary);
                }
            }
            desk.absorbed = Some(absorbed);
        }
        Ok(())
    }

    /// Whose membership a fork turned hears of it, too.
    fn queue_turned(&self, desk: &mut Desk, turns: &Turns) {
        for (user_id, seq) in turns.members.iter().filter(|(user_id, _)| self.is_local(user_id)) {
            desk.enqueue(user_id, Pending { from: Some(*seq), ..Pending::default() });
        }
    }

    fn queue_audience(&self, desk: &mut Desk, audience: &Audience, hearers: &[(OwnedUserId, RoomSeq)], turns: &Turns) {
        let from = |share: tern_room::Share| Pending { from: Some(share.first), ..Pending::default() };
        // Whom a resolution brought in has seen nothing before it.
        let brought_in = |(user_id, since): &&(OwnedUserId, RoomSeq)| turns.members.get(user_id) == Some(since);
        for (user_id, since) in hearers.iter().filter(|member| self.is_local(&member.0) && !brought_in(member)) {
            if let Some(share) = audience.joined(user_id, *since) {
                desk.enqueue(user_id, from(share));
            }
        }
        for (user_id, share) in audience.changed().filter(|(user_id, _)| self.is_local(user_id)) {
            desk.enqueue(user_id, from(share.clone()));
        }
    }

    pub(crate) fn queue_ephemeral(&self, news: &Pending, only: Option<OwnedUserId>) -> Result<(), SqlError> {
        let mut hearers: BTreeSet<OwnedUserId> = match (only, self.head()?) {
            (Some(user_id), _) => [user_id].into(),
            (None, Some(head)) => self.audience(&head)?.into_iter().map(|(user_id, _)| user_id).collect(),
            (None, None) => BTreeSet::new(),
        };
        // Whoever read counts less as unread, also while nobody listens.
        hearers.extend(news.receipts.iter().map(|receipt| receipt.user_id.clone()));
        let mut desk = self.announcer.0.borrow_mut();
        for user_id in hearers.iter().filter(|user_id| self.is_local(user_id)) {
            desk.enqueue(user_id, news.clone());
        }
        Ok(())
    }

    pub(crate) fn is_local(&self, user_id: &UserId) -> bool {
        user_id.server_name() == self.config.server_name
    }
}

/// The event may change what a summary says.
pub(crate) fn affects_summary(event: &StoredEvent) -> bool {
    matches!(
        event.kind.as_str(),
        "m.room.name"
            | "m.room.avatar"
            | "m.room.canonical_alias"
            | "m.room.topic"
            | "m.room.create"
            | "m.room.join_rules"
            | "m.room.encryption"
            | "m.room.tombstone"
            | "m.room.member"
            | "m.room.redaction"
            | "m.space.child"
    )
}
