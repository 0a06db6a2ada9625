//! What an object does at its alarm: several duties, of which none waits for another or fails because another does. Each
//! has its own time and, after failures in a row, its own growing pause; the alarm is asked for at the earliest.
//!
//! All of it is in memory and as large as there are duties. What must be remembered longer is in the object's tables, which
//! each duty reads when it runs; nothing being known of a duty, it is due.

use std::cell::Cell;

use tern_model::Millis;

use crate::alarm::backed_off;

/// What became of a duty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is left.
    Done,
    /// Something is to be done then.
    Again(Millis),
    /// It could not be told what is left; it is tried again, later each time.
    Failed,
}

/// The duties of an object, by number.
#[derive(Debug)]
pub struct Duties<const COUNT: usize>([Cell<Known>; COUNT]);

/// What is known of a duty.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    due: Option<Millis>,
    /// Failures in a row.
    failures: u32,
}

impl<const COUNT: usize> Default for Duties<COUNT> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Cell::default()))
    }
}

impl<const COUNT: usize> Duties<COUNT> {
    /// Whether it is time for a duty.
    pub fn is_due(&self, duty: usize, now: Millis) -> bool {
        self.known(duty).due.is_none_or(|due| due <= now)
    }

    /// A duty is due at `at`, or when it was before, if that is earlier.
    pub fn leave(&self, duty: usize, at: Millis) {
        let known = self.known(duty);
        self.set(duty, Known { due: Some(known.due.map_or(at, |due| due.min(at))), ..known });
    }

    /// A duty is being done: what is left for later from now on stays left.
    pub fn begin(&self, duty: usize) {
        self.set(duty, Known { due: None, ..self.known(duty) });
    }

    /// A duty has been done, or not; `pauses` are the shortest and the longest after failures, in milliseconds. Gives the
    /// time when it is due again.
    pub fn end(&self, duty: usize, outcome: Outcome, now: Millis, pauses: (u64, u64)) -> Option<Millis> {
        let failures = if outcome == Outcome::Failed { self.known(duty).failures.saturating_add(1) } else { 0 };
        self.set(duty, Known { failures, ..self.known(duty) });
        match outcome {
            Outcome::Done => {}
            Outcome::Again(at) => self.leave(duty, at),
            Outcome::Failed => self.leave(duty, backed_off(now, failures, pauses)),
        }
        self.known(duty).due
    }

    /// When the first of those is due whose time has not come.
    pub fn next_after(&self, now: Millis) -> Option<Millis> {
        self.0.iter().filter_map(|known| known.get().due).filter(|due| *due > now).min()
    }

    fn known(&self, duty: usize) -> Known {
        self.0.get(duty).map(Cell::get).unwrap_or_default()
    }

    fn set(&self, duty: usize, known: Known) {
        if let Some(cell) = self.0.get(duty) {
            cell.set(known);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Duties, Outcome};
    use tern_model::Millis;

    const PAUSES: (u64, u64) = (1_000, 60_000);

    #[test]
    fn each_duty_has_its_own_time() {
        let duties = Duties::<2>::default();
        assert!(duties.is_due(0, Millis(0)) && duties.is_due(1, Millis(0)), "nothing is known yet");
        assert_eq!(duties.next_after(Millis(0)), None);
        assert_eq!(duties.end(0, Outcome::Again(Millis(500)), Millis(0), PAUSES), Some(Millis(500)));
        assert_eq!(duties.end(1, Outcome::Done, Millis(0), PAUSES), None);
        assert!(!duties.is_due(0, Millis(499)) && duties.is_due(0, Millis(500)) && duties.is_due(1, Millis(0)));
        duties.leave(1, Millis(300));
        duties.leave(1, Millis(400));
        assert_eq!(duties.next_after(Millis(0)), Some(Millis(300)));
        assert_eq!(duties.next_after(Millis(300)), Some(Millis(500)), "whose time has come is not waited for");
    }

    #[test]
    fn failures_in_a_row_make_the_pause_grow_up_to_a_bound_and_success_ends_them() {
        let duties = Duties::<1>::default();
        let pause = |outcome| {
            duties.begin(0);
            duties.end(0, outcome, Millis(0), PAUSES).map(|at| at.0)
        };
        assert_eq!([1, 2, 3].map(|_| pause(Outcome::Failed)), [Some(1_000), Some(2_000), Some(4_000)]);
        let long = [(); 100].map(|()| pause(Outcome::Failed));
        assert_eq!(long.last(), Some(&Some(60_000)));
        assert_eq!(pause(Outcome::Done), None);
        assert_eq!(pause(Outcome::Failed), Some(1_000));
    }

    #[test]
    fn what_is_left_while_a_duty_is_done_stays_left() {
        let duties = Duties::<1>::default();
        duties.leave(0, Millis(100));
        duties.begin(0);
        duties.leave(0, Millis(200));
        assert_eq!(duties.end(0, Outcome::Done, Millis(150), PAUSES), Some(Millis(200)));
    }
}
