//! What a user has not read in a room (Client-Server API, "Receiving notifications", "Marking notifications as read").
//!
//! The counts are sums and how far was read, per thread; the events that notify are *notifications*, kept elsewhere.
//! New notifications are added as they come; when a reader moves on, the notifications in between are taken off again,
//! so nothing is ever counted over. The main timeline is a thread of its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tern_model::RoomSeq;

/// The `thread_id` of the main timeline in receipts.
const MAIN: &str = "main";

/// Threads of a room that are counted apart, as many as a room keeps receipts of. What is unread in further ones counts as
/// part of the main timeline: the room's sums are right, and nobody makes a row grow by naming ever new threads.
const MAX_THREADS: usize = 200;

/// An event that notifies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// Its position.
    #[serde(rename = "s")]
    pub seq: RoomSeq,
    /// It also highlights.
    #[serde(rename = "h", default, skip_serializing_if = "std::ops::Not::not")]
    pub highlight: bool,
    /// The root of its thread; `None` for the main timeline.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
}

/// Sums of unread notifications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// `notification_count`.
    pub notifications: u64,
    /// `highlight_count`.
    pub highlights: u64,
}

impl Counts {
    fn add(&mut self, notification: &Notification) {
        self.notifications += 1;
        self.highlights += u64::from(notification.highlight);
    }

    fn take(&mut self, notification: &Notification) {
        self.notifications = self.notifications.saturating_sub(1);
        self.highlights = self.highlights.saturating_sub(u64::from(notification.highlight));
    }

    const fn is_zero(self) -> bool {
        self.notifications == 0 && self.highlights == 0
    }
}

/// One thread: how far it was read, and what is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u64, RoomSeq)", into = "(u64, u64, RoomSeq)")]
pub struct Slot {
    /// What is unread.
    pub counts: Counts,
    /// Read up to here, by receipts of this thread alone.
    pub read: RoomSeq,
}

impl From<(u64, u64, RoomSeq)> for Slot {
    fn from((notifications, highlights, read): (u64, u64, RoomSeq)) -> Self {
        Self { counts: Counts { notifications, highlights }, read }
    }
}

impl From<Slot> for (u64, u64, RoomSeq) {
    fn from(slot: Slot) -> Self {
        (slot.counts.notifications, slot.counts.highlights, slot.read)
    }
}

/// What a receipt speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// An unthreaded receipt: the whole room.
    Room,
    /// The main timeline (`None`) or a thread, by its root.
    Thread(Option<&'a str>),
}

impl<'a> Scope<'a> {
    /// The scope of a receipt with this `thread_id`.
    pub fn of(thread_id: Option<&'a str>) -> Self {
        match thread_id {
            None => Self::Room,
            Some(MAIN) => Self::Thread(None),
            Some(root) => Self::Thread(Some(root)),
        }
    }

    fn covers(self, notification: &Notification) -> bool {
        match self {
            Self::Room => true,
            Self::Thread(thread) => notification.thread.as_deref() == thread,
        }
    }
}

/// Sums and positions of one room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnreadCounts {
    /// Read up to here, in all threads.
    pub read: RoomSeq,
    /// The main timeline.
    pub main: Slot,
    /// Threads with something unread, or read further than the rest of the room, by root.
    pub threads: BTreeMap<String, Slot>,
}

impl UnreadCounts {
    /// A room that was entered, or left, at a position: nothing before it counts.
    pub fn starting_at(seq: RoomSeq) -> Self {
        Self { read: seq, ..Self::default() }
    }

    /// The whole room's counts.
    pub fn total(&self) -> Counts {
        self.threads.values().fold(self.main.counts, |sum, slot| Counts {
            notifications: sum.notifications + slot.counts.notifications,
            highlights: sum.highlights + slot.counts.highlights,
        })
    }

    /// Nothing is unread.
    pub fn is_clear(&self) -> bool {
        self.total().is_zero()
    }

    /// Threads with something unread.
    pub fn unread_threads(&self) -> impl Iterator<Item = (&String, Counts)> {
        self.threads.iter().map(|(root, slot)| (root, slot.counts)).filter(|(_, counts)| !counts.is_zero())
    }

    /// The notification was not read yet.
    pub fn is_unread(&self, notification: &Notification) -> bool {
        notification.seq > self.read_in(notification.thread.as_deref())
    }

    /// In which thread an event of `thread` is to be counted: there, or in the main timeline when there are too many.
    pub fn counted_in(&self, thread: Option<String>) -> Option<String> {
        thread.filter(|root| self.has_place(root))
    }

    /// Counts a new notification, unless it was read already; true when it counts.
    pub fn add(&mut self, notification: &Notification) -> bool {
        let unread = self.is_unread(notification);
        if unread {
            self.slot(notification.thread.as_deref()).counts.add(notification);
        }
        unread
    }

    /// Takes off a notification whose event was redacted; false when it was read already.
    pub fn take(&mut self, notification: &Notification) -> bool {
        let unread = self.is_unread(notification);
        if unread && self.has_slot(notification.thread.as_deref()) {
            self.slot(notification.thread.as_deref()).counts.take(notification);
        }
        unread
    }

    /// From where on notifications are to be looked at when a reader arrives at `seq`: `None` when they were there
    /// before, or when nothing of it is unread.
    pub fn passes(&self, scope: Scope<'_>, seq: RoomSeq) -> Option<RoomSeq> {
        let (from, clear) = match scope {
            Scope::Room => (self.read, self.is_clear()),
            Scope::Thread(thread) => (self.read_in(thread), self.slot_of(thread).counts.is_zero()),
        };
        (seq > from && !clear).then_some(from)
    }

    /// A reader arrived at `seq`. `passed` are the notifications of the room after [`Self::passes`] and up to `seq`, in
    /// any order.
    pub fn read<'m>(&mut self, scope: Scope<'_>, seq: RoomSeq, passed: impl IntoIterator<Item = &'m Notification>) {
        for notification in passed {
            if notification.seq <= seq && scope.covers(notification) {
                self.take(notification);
            }
        }
        match scope {
            Scope::Room => self.read = self.read.max(seq),
            Scope::Thread(thread) if seq > self.read && thread.is_none_or(|root| self.has_place(root)) => {
                let slot = self.slot(thread);
                slot.read = slot.read.max(seq);
            }
            Scope::Thread(_) => {}
        }
    }

    /// A reader arrived at or beyond the newest notification: no notifications have to be looked at.
    pub fn read_all(&mut self, scope: Scope<'_>, seq: RoomSeq) {
        match scope {
            Scope::Room => {
                self.main.counts = Counts::default();
                self.threads.clear();
            }
            Scope::Thread(None) => self.main.counts = Counts::default(),
            Scope::Thread(Some(root)) => {
                if let Some(slot) = self.threads.get_mut(root) {
                    slot.counts = Counts::default();
                }
            }
        }
        self.read(scope, seq, []);
    }

    /// Forgets how far threads were read where it no longer matters: there are no notifications at or before `seq` that
    /// were read.
    pub fn tidy(&mut self, seq: RoomSeq) {
        let read = self.read.max(seq);
        self.threads.retain(|_, slot| !slot.counts.is_zero() || slot.read > read);
    }

    fn read_in(&self, thread: Option<&str>) -> RoomSeq {
        self.read.max(self.slot_of(thread).read)
    }

    fn slot_of(&self, thread: Option<&str>) -> Slot {
        match thread {
            None => self.main,
            Some(root) => self.threads.get(root).copied().unwrap_or_default(),
        }
    }

    fn slot(&mut self, thread: Option<&str>) -> &mut Slot {
        match thread {
            None => &mut self.main,
            Some(root) => {
                if self.threads.len() >= MAX_THREADS && !self.threads.contains_key(root) {
                    self.drop_read_thread();
                }
                self.threads.entry(root.to_owned()).or_default()
            }
        }
    }

    fn has_slot(&self, thread: Option<&str>) -> bool {
        thread.is_none_or(|root| self.threads.contains_key(root))
    }

    /// What an earlier build kept, within the bounds of this one: what is too much counts as part of the main timeline.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let threads = std::mem::take(&mut self.threads);
        for (root, slot) in threads {
            if root.len() <= crate::event::LONGEST_ID && self.threads.len() < MAX_THREADS {
                self.threads.insert(root, slot);
            } else {
                self.main.counts.notifications += slot.counts.notifications;
                self.main.counts.highlights += slot.counts.highlights;
            }
        }
        self
    }

    /// The thread has a slot, or there is a place for one.
    fn has_place(&self, root: &str) -> bool {
        let one_is_read = || self.threads.values().any(|slot| slot.counts.is_zero());
        self.threads.contains_key(root) || self.threads.len() < MAX_THREADS || one_is_read()
    }

    /// Forgets how far one thread was read in which nothing is unread: the one that was left first.
    fn drop_read_thread(&mut self) {
        let read = self.threads.iter().filter(|(_, slot)| slot.counts.is_zero());
        if let Some(root) = read.min_by_key(|(_, slot)| slot.read).map(|(root, _)| root.clone()) {
            self.threads.remove(&root);
        }
    }
}
