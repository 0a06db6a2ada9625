//! Which local users are told of which events.

use std::collections::BTreeMap;

use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use tern_model::{RoomSeq, StoredEvent};

/// What one user gets of a range of events: a run without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisibleRange {
    /// First position, included.
    pub first: RoomSeq,
    /// Last position, included.
    pub last: RoomSeq,
    /// The user's membership after the range, if the range changed it.
    pub membership: Option<String>,
}

impl VisibleRange {
    /// The user is outside the room and needs stripped state with the event.
    pub fn stripped(&self) -> bool {
        matches!(self.membership.as_deref(), Some("invite" | "knock"))
    }

    /// The event at this position belongs to the share.
    pub fn covers(&self, seq: RoomSeq) -> bool {
        (self.first..=self.last).contains(&seq)
    }
}

/// Who is told what of one range of a room's events.
#[derive(Clone, Debug, Default)]
pub struct Audience {
    range: Option<(RoomSeq, RoomSeq)>,
    changed: BTreeMap<OwnedUserId, VisibleRange>,
}

impl Audience {
    /// Looks at the member events among `events`, which are in order and without gaps. `unsigned.prev_content` tells what
    /// a member was before.
    pub fn of(events: &[StoredEvent]) -> Self {
        let (Some(first), Some(last)) = (events.first(), events.last()) else {
            return Self::default();
        };
        let mut runs: BTreeMap<OwnedUserId, Run> = BTreeMap::new();
        for event in events.iter().filter(|event| event.kind == "m.room.member") {
            let Some(user_id) = event.state_key.as_deref().and_then(|key| OwnedUserId::try_from(key).ok()) else {
                continue;
            };
            let after = Content::of_pdu(event);
            let run = runs.entry(user_id).or_insert_with(|| Run::new(Content::before(event), first.seq));
            run.step(event.seq, after);
        }
        let changed = runs.into_iter().filter_map(|(user, run)| Some((user, run.visible(last.seq)?))).collect();
        Self { range: Some((first.seq, last.seq)), changed }
    }

    /// Users whose membership the range changed, with their shares. They are told even if they are not in the room now.
    pub fn changed(&self) -> impl Iterator<Item = (&UserId, &VisibleRange)> {
        self.changed.iter().map(|(user_id, visible)| (&**user_id, visible))
    }

    /// The share of a user who is joined now, by a member event at `since`. None when that is after the range: the user
    /// may not have been in the room yet, and a later range tells.
    pub fn joined(&self, user_id: &UserId, since: RoomSeq) -> Option<VisibleRange> {
        if let Some(visible) = self.changed.get(user_id) {
            return Some(visible.clone());
        }
        let (first, last) = self.range.filter(|(_, last)| since <= *last)?;
        Some(VisibleRange { first, last, membership: None })
    }
}

/// One user's way through the range.
struct Run {
    membership: String,
    /// Start of the current or last run of positions the user sees.
    first: RoomSeq,
    /// End of that run, when it ended.
    end: Option<RoomSeq>,
    changed: bool,
}

impl Run {
    fn new(before: String, start: RoomSeq) -> Self {
        Self { membership: before, first: start, end: None, changed: false }
    }

    fn step(&mut self, seq: RoomSeq, after: String) {
        if after == self.membership {
            // A new profile while joined changes nothing; a repeated invite is told like the first.
            if after != "join" {
                (self.first, self.end, self.changed) = (seq, Some(seq), true);
            }
            return;
        }
        let was_in = self.membership == "join";
        match (was_in, after == "join") {
            (false, true) => (self.first, self.end) = (seq, None),
            (true, _) => self.end = Some(seq),
            (false, false) => (self.first, self.end) = (seq, Some(seq)),
        }
        self.membership = after;
        self.changed = true;
    }

    /// None when the user stayed joined throughout: then there is nothing special about the user.
    fn visible(self, last: RoomSeq) -> Option<VisibleRange> {
        let visible =
            VisibleRange { first: self.first, last: self.end.unwrap_or(last), membership: Some(self.membership) };
        self.changed.then_some(visible)
    }
}

#[derive(Deserialize)]
struct Content {
    membership: String,
}

impl Content {
    fn of_pdu(event: &StoredEvent) -> String {
        #[derive(Deserialize)]
        struct Pdu {
            content: Content,
        }
        event.pdu.read::<Pdu>().map_or_else(|_| "leave".to_owned(), |pdu| pdu.content.membership)
    }

    fn before(event: &StoredEvent) -> String {
        #[derive(Deserialize)]
        struct Unsigned {
            prev_content: Content,
        }
        let unsigned = event.unsigned.as_ref().and_then(|unsigned| unsigned.read::<Unsigned>().ok());
        unsigned.map_or_else(|| "leave".to_owned(), |unsigned| unsigned.prev_content.membership)
    }
}
