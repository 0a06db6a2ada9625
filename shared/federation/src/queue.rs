//! What becomes of a transaction that another server or an application service is sent, and what of those after it
//! (Server-Server API, "Transactions"; Application Service API, "Pushing events").
//!
//! A success takes over all that is in a transaction, whatever it says of single events. A failure of the server or of the
//! way to it has the same transaction sent again, under the same id, and nothing else meanwhile. A server that refuses a
//! transaction for what is in it is sent smaller ones, until a single event is left; that one goes when it was refused
//! often enough, so that one event cannot hold up all others.

use tern_model::Millis;

use crate::back_off::{BackOff, Health, Peer};

/// Most events of a transaction.
pub const MOST_PDUS: u32 = 50;
/// Most messages of a transaction beside them. Others take no more than a hundred, and there are some that need not be counted.
pub const MOST_EDUS: u32 = 60;
/// Most bytes of them, except for a single one: a fifth of what other servers let in.
pub const MOST_BYTES: usize = 1 << 20;
/// So often a single event is refused before it is given up.
const MOST_REFUSALS: u32 = 3;

/// The same of a service: nginx's default takes a mebibyte, with what is around events.
const OF_SERVICE: (u32, usize) = (100, 512 << 10);
/// With the pauses of a service, more than ten minutes.
const REFUSALS_OF_SERVICE: u32 = 16;

impl Peer {
    /// Most events of a transaction.
    pub const fn most_events(self) -> u32 {
        match self {
            Self::Server => MOST_PDUS,
            Self::Service => OF_SERVICE.0,
        }
    }

    /// Most bytes of them, except for a single one.
    pub const fn most_bytes(self) -> usize {
        match self {
            Self::Server => MOST_BYTES,
            Self::Service => OF_SERVICE.1,
        }
    }

    const fn most_refusals(self) -> u32 {
        match self {
            Self::Server => MOST_REFUSALS,
            Self::Service => REFUSALS_OF_SERVICE,
        }
    }
}

/// How sending to a server stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// When it is sent something.
    pub back_off: BackOff,
    /// Most events of the next transaction.
    pub most: u32,
    /// How often the single event in flight was refused.
    pub refusals: u32,
}

impl Default for Progress {
    fn default() -> Self {
        Self { back_off: BackOff::default(), most: MOST_PDUS, refusals: 0 }
    }
}

/// What was answered to a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// As every answer of a Matrix server is.
    pub is_json: bool,
    /// When it wants to be asked again, in milliseconds from now.
    pub retry_after_ms: Option<u64>,
}

/// What becomes of the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The server has it.
    Delivered,
    /// It is sent again as it is.
    Again,
    /// What is in it goes in several.
    Split,
    /// The one event in it is not sent any more.
    GivenUp,
}

impl Progress {
    /// Most other messages of the next transaction. While it is being found what of a transaction the server refuses, they count
    /// as events do, and go first.
    #[must_use]
    pub const fn most_edus(self) -> u32 {
        if self.most >= MOST_PDUS { MOST_EDUS } else { self.most }
    }

    /// Most events of the next transaction beside so many other messages.
    #[must_use]
    pub const fn most_pdus(self, edus: u32) -> u32 {
        if self.most >= MOST_PDUS { self.most } else { self.most.saturating_sub(edus) }
    }

    /// After an answer of a server, or none, to a transaction of so many events and other messages. `spread` is drawn from all numbers.
    #[must_use]
    pub fn after(self, answer: Option<Answer>, events: usize, now: Millis, spread: u16) -> (Self, Fate) {
        self.after_of(Peer::Server, answer, events, now, spread)
    }

    /// After an answer of somebody, or none.
    #[must_use]
    pub fn after_of(self, peer: Peer, answer: Option<Answer>, events: usize, now: Millis, spread: u16) -> (Self, Fate) {
        let failed = |health: Health| Self { back_off: self.back_off.after_of(peer, health, now, spread), ..self };
        let Some(answer) = answer else { return (failed(Health::Unwell), Fate::Again) };
        match (Health::of(answer.status, answer.is_json, answer.retry_after_ms), answer.status) {
            (Health::Well, 200..=299) => {
                let most = self.most.saturating_mul(2).clamp(1, peer.most_events());
                (Self { most, ..Self::default() }, Fate::Delivered)
            }
            (Health::Well, 400 | 413) if events > 1 => {
                let half = u32::try_from(events / 2).unwrap_or(MOST_PDUS).min(peer.most_events() - 1);
                (Self { most: half, ..Self::default() }, Fate::Split)
            }
            (Health::Well, 400 | 413) if self.refusals + 1 >= peer.most_refusals() => (Self::default(), Fate::GivenUp),
            (Health::Well, 400 | 413) => (Self { refusals: self.refusals + 1, ..failed(Health::Unwell) }, Fate::Again),
            (Health::Well, _) => (failed(Health::Unwell), Fate::Again),
            (health, _) => (failed(health), Fate::Again),
        }
    }
}

#[cfg(test)]
mod tests {
    use tern_model::Millis;

    use super::{Answer, Fate, MOST_PDUS, Progress};

    const NOW: Millis = Millis(1_000_000);

    fn says(status: u16) -> Answer {
        Answer { status, is_json: true, retry_after_ms: None }
    }

    fn after(progress: Progress, answer: impl Into<Option<Answer>>, events: usize) -> (Progress, Fate) {
        progress.after(answer.into(), events, NOW, 0)
    }

    #[test]
    fn any_success_takes_over_what_was_sent() {
        for status in [200, 202, 204] {
            assert_eq!(
                after(Progress::default(), says(status), 50),
                (Progress::default(), Fate::Delivered),
                "{status}"
            );
        }
        let page = Some(Answer { status: 200, is_json: false, retry_after_ms: None });
        assert_eq!(after(Progress::default(), page, 1).1, Fate::Again, "no Matrix server answers with a page");
    }

    #[test]
    fn a_failure_has_the_same_sent_again_later_and_later() {
        for answer in [500, 429, 401, 403, 404, 302, 522].map(says).map(Some).into_iter().chain([None]) {
            let (first, fate) = after(Progress::default(), answer, 3);
            assert_eq!((first.back_off.failures, first.most, fate), (1, MOST_PDUS, Fate::Again), "{answer:?}");
            let (second, fate) = after(first, answer, 3);
            assert!(second.back_off.until > first.back_off.until && fate == Fate::Again, "{answer:?}");
            assert_eq!(after(second, says(200), 3), (Progress::default(), Fate::Delivered), "{answer:?}");
        }
    }

    #[test]
    fn an_event_that_is_refused_is_found_and_given_up() {
        let (mut progress, mut events, mut sizes) = (Progress::default(), 50, Vec::new());
        let fate = loop {
            sizes.push(events);
            let (next, fate) = after(progress, says(400), events);
            progress = next;
            match fate {
                Fate::Split => events = progress.most as usize,
                Fate::Again => assert!(progress.back_off.until > NOW),
                other => break other,
            }
        };
        assert_eq!((fate, sizes), (Fate::GivenUp, vec![50, 25, 12, 6, 3, 1, 1, 1]));
        assert_eq!(progress, Progress::default());
    }

    #[test]
    fn of_a_full_transaction_whatever_is_refused_is_found() {
        let (mut progress, mut items, mut sizes) = (Progress::default(), 110, Vec::new());
        while let (next, Fate::Split) = after(progress, says(413), items) {
            progress = next;
            let edus = progress.most_edus();
            items = (edus + progress.most_pdus(edus).min(50)) as usize;
            sizes.push(items);
        }
        assert_eq!(sizes, [49, 24, 12, 6, 3, 1]);
        assert_eq!((Progress::default().most_edus(), Progress::default().most_pdus(60)), (60, 50));
    }

    #[test]
    fn after_smaller_transactions_they_grow_again() {
        let (split, _) = after(Progress::default(), says(413), 9);
        let sizes = std::iter::successors(Some(split), |before| Some(after(*before, says(200), 1).0));
        assert_eq!(sizes.map(|progress| progress.most).take(6).collect::<Vec<_>>(), [4, 8, 16, 32, 50, 50]);
    }
}
