//! `thread_subscriptions` (MSC4308): the newest changes, and a token for the older ones when they do not all fit.

use std::collections::BTreeMap;

use ruma::RoomId;
use tern_model::{RawJson, StreamPos};

use super::Known;
use crate::json::Object;
use crate::view::ThreadSubscription;

/// Changes that have not been told. As a token the range holds the lower end, too: `to` of `GET thread_subscriptions` need
/// not be looked at, which is a `pos` of sliding sync and says nothing about the user's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadRange {
    /// Changes after this position.
    pub after: StreamPos,
    /// Changes up to and including this one.
    pub until: StreamPos,
}

impl ThreadRange {
    /// Reads a token.
    pub fn parse(token: &str) -> Option<Self> {
        let (until, after) = token.strip_prefix('t')?.split_once('_')?;
        Some(Self { after: StreamPos(after.parse().ok()?), until: StreamPos(until.parse().ok()?) })
    }

    fn token(self) -> String {
        format!("t{}_{}", self.until.0, self.after.0)
    }
}

pub(super) fn write(out: &mut Object<'_>, known: &Known<'_>, limit: usize, sent: Option<StreamPos>) {
    let after = sent.unwrap_or_default();
    let changes = known.view.thread_subscriptions(after, limit.saturating_add(1));
    out.object("io.element.msc4308.thread_subscriptions", |out| write_page(out, changes, after, limit, "prev_batch"));
}

/// The body of `GET thread_subscriptions`: of `changes`, the newest first, at most `limit`; one more shows that there are
/// others, down to `after`.
pub fn thread_page(changes: Vec<ThreadSubscription>, after: StreamPos, limit: usize) -> RawJson {
    let mut text = String::new();
    let mut out = Object::open(&mut text);
    write_page(&mut out, changes, after, limit, "end");
    out.end();
    RawJson::parse(text).unwrap_or_else(|_| RawJson::empty_object())
}

fn write_page(out: &mut Object<'_>, mut changes: Vec<ThreadSubscription>, after: StreamPos, limit: usize, rest: &str) {
    let more = changes.len() > limit;
    changes.truncate(limit);
    for (name, subscribed) in [("subscribed", true), ("unsubscribed", false)] {
        let mut rooms: BTreeMap<&RoomId, Vec<&ThreadSubscription>> = BTreeMap::new();
        for change in changes.iter().filter(|change| change.automatic.is_some() == subscribed) {
            rooms.entry(&change.room_id).or_default().push(change);
        }
        out.object(name, |out| {
            for (room_id, threads) in &rooms {
                out.object(room_id.as_str(), |out| threads.iter().for_each(|thread| write_thread(out, thread)));
            }
        });
    }
    if let Some(oldest) = changes.last().filter(|_| more) {
        out.text(rest, &ThreadRange { after, until: StreamPos(oldest.at.0.saturating_sub(1)) }.token());
    }
}

fn write_thread(out: &mut Object<'_>, thread: &ThreadSubscription) {
    out.object(&thread.root, |out| {
        if let Some(automatic) = thread.automatic {
            out.flag("automatic", automatic);
        }
        out.number("bump_stamp", thread.at.0);
    });
}
