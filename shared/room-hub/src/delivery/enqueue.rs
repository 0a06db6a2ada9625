//! Filling the queue: whom what was committed concerns, and from where.

use std::{collections::BTreeSet, rc::Rc};

use ruma::{OwnedUserId, UserId};
use tern_model::RoomSeq;
use tern_ports::{ObjectHost, SqlError};
use tern_room::Audience;

use crate::{
    RoomActor,
    delivery::{delivery_queue::DeliveryQueue, pending::Pending, summary::affects_summary},
    graph::resolution_changes::ResolutionChanges,
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
        let mut queue = self.announcer.0.borrow_mut();
        let mut absorbed = if let Some(absorbed) = queue.absorbed {
            absorbed
        } else {
            queue.failed_recipients = self.store().failed_recipients()?.into_iter().collect();
            queue.servers.failed = self.store().failed_servers()?;
            queue.summary_changed = head.newest;
            head.announced
        };
        queue.absorbed = Some(absorbed);
        if absorbed >= head.newest {
            return Ok(());
        }
        let head = self.grow(&head)?;
        while absorbed < head.newest {
            let events = self.store().events(absorbed, head.newest, false, CHUNK)?;
            let Some(last) = events.last() else { break };
            absorbed = last.seq;
            let before = events.first().map_or(absorbed, |first| first.seq.previous());
            let resolutions = if head.resolved > before {
                self.store().resolutions_after(before)?
            } else {
                ResolutionChanges::default()
            };
            let events = resolutions.effective(events);
            self.queue_resolved(&mut queue, &resolutions);
            let audience = Audience::of(&events);
            if head.large {
                self.follow_listeners(&audience, &resolutions)?;
            }
            self.queue_audience(&mut queue, &audience, &self.audience(&head)?, &resolutions);
            self.queue_servers(&mut queue.servers, &events, &audience)?;
            self.queue_services(&mut queue.servers, &head, &events)?;
            if !resolutions.is_empty() || events.iter().any(affects_summary) {
                let summary = Rc::new(self.summarise(&head)?);
                if queue.summary.as_ref() != Some(&summary) {
                    queue.summary_changed = absorbed;
                    queue.summary = Some(summary);
                }
            }
            queue.absorbed = Some(absorbed);
        }
        Ok(())
    }

    /// Whose membership a resolution changed hears of it, too.
    fn queue_resolved(&self, queue: &mut DeliveryQueue, resolutions: &ResolutionChanges) {
        for (user_id, seq) in resolutions.members.iter().filter(|(user_id, _)| self.is_local(user_id)) {
            queue.enqueue(user_id, Pending { from: Some(*seq), ..Pending::default() });
        }
    }

    fn queue_audience(
        &self,
        queue: &mut DeliveryQueue,
        audience: &Audience,
        hearers: &[(OwnedUserId, RoomSeq)],
        resolutions: &ResolutionChanges,
    ) {
        let from = |visible: tern_room::VisibleRange| Pending { from: Some(visible.first), ..Pending::default() };
        // Whom a resolution brought in has seen nothing before it.
        let brought_in = |(user_id, since): &&(OwnedUserId, RoomSeq)| resolutions.members.get(user_id) == Some(since);
        for (user_id, since) in hearers.iter().filter(|member| self.is_local(&member.0) && !brought_in(member)) {
            if let Some(visible) = audience.joined(user_id, *since) {
                queue.enqueue(user_id, from(visible));
            }
        }
        for (user_id, visible) in audience.changed().filter(|(user_id, _)| self.is_local(user_id)) {
            queue.enqueue(user_id, from(visible.clone()));
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
        let mut queue = self.announcer.0.borrow_mut();
        for user_id in hearers.iter().filter(|user_id| self.is_local(user_id)) {
            queue.enqueue(user_id, news.clone());
        }
        Ok(())
    }

    pub(crate) fn is_local(&self, user_id: &UserId) -> bool {
        user_id.server_name() == self.config.server_name
    }
}
