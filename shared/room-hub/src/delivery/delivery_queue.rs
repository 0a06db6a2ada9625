//! Who is still to be told what.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
};

use futures::channel::oneshot;
use ruma::{OwnedUserId, UserId};
use tern_model::{Millis, RoomSeq, RoomSummary};

use crate::delivery::{notice_batch::NoticeBatch, pending::Pending, server_queue::ServerQueue};
use tern_object_kit::fan_out::tree::SHARDS;

/// The queue and the books about it.
#[derive(Default)]
pub(crate) struct DeliveryQueue {
    /// Up to here events were turned into queue entries; nothing before the first look at the store.
    pub(crate) absorbed: Option<RoomSeq>,
    /// Users with something pending who are not just being told, next first.
    pub(crate) order: VecDeque<OwnedUserId>,
    pub(crate) pending: BTreeMap<OwnedUserId, Pending>,
    /// Users being told, and from where.
    pub(crate) in_flight: BTreeMap<OwnedUserId, Option<RoomSeq>>,
    /// Those of them who came to listen meanwhile.
    pub(crate) subscribed: BTreeSet<OwnedUserId>,
    pub(crate) failed_recipients: BTreeMap<OwnedUserId, RoomSeq>,
    /// Other servers.
    pub(crate) servers: ServerQueue,
    pub(crate) workers: usize,
    /// Which of the room's relays have a share.
    pub(crate) relays: [bool; SHARDS],
    /// So many are told one by one before it is worth looking for a share again.
    pub(crate) singly: usize,
    pub(crate) delivered: u32,
    pub(crate) failures: u32,
    pub(crate) retry_at: Option<Millis>,
    pub(crate) summary: Option<Rc<RoomSummary>>,
    /// The summary is not known to have changed after this position.
    pub(crate) summary_changed: RoomSeq,
    pub(crate) batch: Option<Rc<NoticeBatch>>,
    /// Requests that wait until a user was told.
    pub(crate) waiting: Vec<(OwnedUserId, oneshot::Sender<()>)>,
}

impl DeliveryQueue {
    pub(crate) fn enqueue(&mut self, user_id: &UserId, mut news: Pending) {
        if news.from.is_some() {
            news.from = news.from.min(self.failed_recipients.get(user_id).copied().or(news.from));
        }
        if let Some(pending) = self.pending.get_mut(user_id) {
            pending.merge(news);
            return;
        }
        self.pending.insert(user_id.to_owned(), news);
        if !self.in_flight.contains_key(user_id) {
            self.order.push_back(user_id.to_owned());
        }
    }

    /// The next user to be told.
    pub(crate) fn take_next(&mut self) -> Option<(OwnedUserId, Pending)> {
        while let Some(user_id) = self.order.pop_front() {
            if let Some(pending) = self.pending.remove(&user_id) {
                self.in_flight.insert(user_id.clone(), pending.from);
                self.singly = self.singly.saturating_sub(1);
                return Some((user_id, pending));
            }
        }
        None
    }

    /// A user misses everything from here on, also what came up while that was tried.
    pub(crate) fn lag(&mut self, user_id: &UserId, from: RoomSeq) {
        if let Some(pending) = self.pending.get_mut(user_id) {
            pending.from = pending.from.map(|later| later.min(from));
        }
        self.failed_recipients.insert(user_id.to_owned(), from);
    }

    /// A user was told, or could not be. What came up meanwhile is next.
    pub(crate) fn land(&mut self, user_id: &UserId) {
        self.in_flight.remove(user_id);
        self.subscribed.remove(user_id);
        self.release_waiting(user_id);
        if !self.pending.contains_key(user_id) {
            return;
        }
        if self.is_awaited(user_id) {
            self.order.push_front(user_id.to_owned());
        } else {
            self.order.push_back(user_id.to_owned());
        }
    }

    /// An attempt to tell a user came to nothing.
    pub(crate) fn put_back(&mut self, user_id: &UserId, pending: Pending) {
        self.in_flight.remove(user_id);
        self.subscribed.remove(user_id);
        if self.pending.contains_key(user_id) {
            self.order.push_back(user_id.to_owned());
        }
        self.enqueue(user_id, pending);
    }

    /// A request waits until the user was told.
    pub(crate) fn is_awaited(&self, user_id: &UserId) -> bool {
        self.waiting.iter().any(|(waiting, _)| waiting == user_id)
    }

    /// Everything up to here was told or stands among the failed recipients.
    pub(crate) fn announced(&self) -> Option<RoomSeq> {
        let pending = self.pending.values().map(|pending| pending.from);
        let first = pending.chain(self.in_flight.values().copied()).flatten().chain(self.servers.first()).min();
        first.map(RoomSeq::previous).or(self.absorbed)
    }

    fn release_waiting(&mut self, user_id: &UserId) {
        if self.waiting.is_empty() || self.pending.get(user_id).is_some_and(|pending| pending.from.is_some()) {
            return;
        }
        let (released, rest) =
            std::mem::take(&mut self.waiting).into_iter().partition(|(waiting, _)| waiting == user_id);
        self.waiting = rest;
        let released: Vec<(OwnedUserId, oneshot::Sender<()>)> = released;
        for (_, done) in released {
            // Whoever stopped waiting does not mind.
            done.send(()).ok();
        }
    }
}
