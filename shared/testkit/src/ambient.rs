//! Time and randomness that a test controls.

use std::{cell::Cell, rc::Rc};

use tern_model::Millis;
use tern_ports::{Clock, Entropy};

/// A clock that stands still until it is moved. Clones show the same time.
#[derive(Clone, Debug)]
pub struct TestClock(Rc<Cell<u64>>);

impl TestClock {
    /// Some Tuesday in 2026.
    pub const START: Millis = Millis(1_790_000_000_000);

    /// A clock at `now`.
    pub fn at(now: Millis) -> Self {
        Self(Rc::new(Cell::new(now.0)))
    }

    /// Moves the time on by `ms` milliseconds.
    pub fn advance(&self, ms: u64) {
        self.0.set(self.0.get().saturating_add(ms));
    }

    /// Moves the time to `now`, never back.
    pub fn advance_to(&self, now: Millis) {
        self.0.set(self.0.get().max(now.0));
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::at(Self::START)
    }
}

impl Clock for TestClock {
    fn now(&self) -> Millis {
        Millis(self.0.get())
    }
}

/// Bytes that look random and are the same for the same seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct SeededEntropy(Rc<Cell<u64>>);

impl SeededEntropy {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Rc::new(Cell::new(seed)))
    }

    /// The next number.
    pub fn next_u64(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; zero when `bound` is zero.
    pub fn below(&self, bound: usize) -> usize {
        let bound = bound as u64;
        usize::try_from(self.next_u64().checked_rem(bound).unwrap_or(0)).unwrap_or(0)
    }

    /// True in `percent` of 100 calls.
    pub fn chance(&self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            for (byte, random) in chunk.iter_mut().zip(word) {
                *byte = random;
            }
        }
    }
}
