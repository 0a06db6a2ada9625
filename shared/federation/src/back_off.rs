//! When a server that failed is asked again.

use tern_model::Millis;

/// Pauses after failures in a row, in milliseconds; beyond these each is twice the one before, up to the longest.
const PAUSES: [u64; 4] = [5_000, 30_000, 120_000, 600_000];
const LONGEST: u64 = 24 * 3_600_000;
/// What a server may ask for, in milliseconds: less than the first is taken for it, more than the second as well.
const ASKED: (u64, u64) = (5_000, 3_600_000);

/// The same of an application service, which people restart and wait for: after an hour of the longest, this.
const LONGEST_OF_SERVICE: u64 = 60_000;
const AFTER_AN_HOUR: u64 = 300_000;
const FAILURES_OF_AN_HOUR: u32 = 65;
const ASKED_BY_SERVICE: (u64, u64) = (1_000, AFTER_AN_HOUR);

/// Who fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Another server.
    Server,
    /// An application service of this one.
    Service,
}

impl Peer {
    fn pause(self, failures: u32) -> u64 {
        match self {
            Self::Server => pause(failures),
            Self::Service if failures > FAILURES_OF_AN_HOUR => AFTER_AN_HOUR,
            Self::Service => (1_000 << failures.saturating_sub(1).min(6)).min(LONGEST_OF_SERVICE),
        }
    }

    const fn asked(self) -> (u64, u64) {
        match self {
            Self::Server => ASKED,
            Self::Service => ASKED_BY_SERVICE,
        }
    }
}

/// What a server's answer says of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It is there.
    Well,
    /// It has too much to do, and perhaps said when to come back, in milliseconds from now.
    Overloaded(Option<u64>),
    /// It cannot be reached, or what answers is no Matrix server that works.
    Unwell,
}

impl Health {
    /// What an answer of this status says; every answer of a Matrix server `is_json`.
    pub const fn of(status: u16, is_json: bool, retry_after_ms: Option<u64>) -> Self {
        match status {
            429 => Self::Overloaded(retry_after_ms),
            500.. => Self::Unwell,
            _ if is_json => Self::Well,
            _ => Self::Unwell,
        }
    }
}

/// How a server has been lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackOff {
    /// Failures in a row.
    pub failures: u32,
    /// It is left alone until then.
    pub until: Millis,
}

impl BackOff {
    /// Whether it may be asked now by nobody who waits for it.
    pub fn allows(self, now: Millis) -> bool {
        self.until <= now
    }

    /// After an answer of another server, or none. `spread` is drawn from all numbers, so that those who failed together are
    /// not asked together.
    #[must_use]
    pub fn after(self, health: Health, now: Millis, spread: u16) -> Self {
        self.after_of(Peer::Server, health, now, spread)
    }

    /// After an answer of somebody, or none.
    #[must_use]
    pub fn after_of(self, peer: Peer, health: Health, now: Millis, spread: u16) -> Self {
        let failures = self.failures.saturating_add(1);
        let pause = match health {
            Health::Well => return Self::default(),
            Health::Overloaded(Some(asked)) => asked.clamp(peer.asked().0, peer.asked().1),
            Health::Overloaded(None) | Health::Unwell => spread_out(peer.pause(failures), spread),
        };
        Self { failures, until: now.plus(pause) }
    }

    /// The server itself has asked something: it is tried at once, and left alone for as long as before when that is in vain.
    #[must_use]
    pub const fn woken(self) -> Self {
        Self { failures: self.failures, until: Millis(0) }
    }
}

fn pause(failures: u32) -> u64 {
    let place = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    let [.., last] = PAUSES;
    let beyond = u32::try_from(place.saturating_sub(PAUSES.len() - 1)).unwrap_or(u32::MAX).min(16);
    PAUSES.get(place).copied().unwrap_or_else(|| last.saturating_mul(1 << beyond).min(LONGEST))
}

/// A pause that is up to a fifth shorter or longer.
fn spread_out(pause: u64, spread: u16) -> u64 {
    pause * 4 / 5 + pause * 2 / 5 * u64::from(spread) / u64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use tern_model::Millis;

    use super::{BackOff, Health, Peer};

    const NOW: Millis = Millis(1_000_000);
    const MIDDLE: u16 = u16::MAX / 2 + 1;

    fn pauses(health: Health, times: usize) -> Vec<u64> {
        let next = |before: &mut BackOff| {
            *before = before.after(health, NOW, MIDDLE);
            Some(before.until.since(NOW) / 1_000)
        };
        (0..times).scan(BackOff::default(), |before, _| next(before)).collect()
    }

    #[test]
    fn pauses_grow_up_to_a_day() {
        let first = [5, 30, 120, 600, 1_200, 2_400, 4_800, 9_600, 19_200, 38_400, 76_800, 86_400, 86_400];
        assert_eq!(pauses(Health::Unwell, 13), first);
        assert_eq!(pauses(Health::Overloaded(None), 3), [5, 30, 120]);
        assert_eq!(pauses(Health::Unwell, 1_000).last(), Some(&86_400));
    }

    #[test]
    fn an_application_service_is_tried_each_minute_for_an_hour_and_then_each_five() {
        let mut service = BackOff::default();
        let mut next = |health| {
            service = service.after_of(Peer::Service, health, NOW, MIDDLE);
            service.until.since(NOW) / 1_000
        };
        let pauses: Vec<u64> = (0..80).map(|_| next(Health::Unwell)).collect();
        assert_eq!(pauses.get(..9), Some(&[1, 2, 4, 8, 16, 32, 60, 60, 60][..]));
        let each_minute: u64 = pauses.iter().take_while(|pause| **pause <= 60).sum();
        assert!((3_500..3_700).contains(&each_minute), "{each_minute}");
        assert_eq!(pauses.last(), Some(&300));
        assert_eq!([0, 7_000, u64::MAX].map(|asked| next(Health::Overloaded(Some(asked)))), [1, 7, 300]);
    }

    #[test]
    fn those_who_failed_together_are_not_asked_together() {
        let until = |spread| BackOff { failures: 3, until: NOW }.after(Health::Unwell, NOW, spread).until.since(NOW);
        assert_eq!((until(0), until(u16::MAX)), (480_000, 720_000));
    }

    #[test]
    fn an_overloaded_server_says_itself_when_within_reason() {
        for (asked, given) in [(0, 5), (1_000, 5), (20_000, 20), (u64::MAX, 3_600)] {
            assert_eq!(pauses(Health::Overloaded(Some(asked)), 2), [given, given], "{asked}");
        }
    }

    #[test]
    fn an_answer_says_how_the_server_is() {
        for status in [200, 400, 401, 403, 404, 413] {
            assert_eq!(Health::of(status, true, None), Health::Well, "{status}");
            assert_eq!(Health::of(status, false, None), Health::Unwell, "{status}, and no Matrix server");
        }
        for status in [500, 502, 503, 520, 525, 530, 599] {
            assert_eq!(Health::of(status, true, Some(1)), Health::Unwell, "{status}");
        }
        assert_eq!(Health::of(429, false, Some(7)), Health::Overloaded(Some(7)));
    }

    #[test]
    fn whoever_asks_us_is_asked_at_once_and_success_forgets_all_failures() {
        let ill = BackOff { failures: 5, until: NOW.plus(1) };
        assert!(!ill.allows(NOW) && ill.woken().allows(NOW));
        let after = ill.woken().after(Health::Unwell, NOW, MIDDLE).until;
        assert_eq!(after.since(NOW) / 1_000, 2_400, "it stays as ill as it was");
        assert_eq!(ill.after(Health::Well, NOW, 0), BackOff::default());
    }
}
