//! One alarm for everything that is not done yet.

use std::cell::Cell;

use tern_model::Millis;
use tern_ports::ObjectHost;

/// An alarm this late was lost, as far as memory knows.
const LOST_MS: u64 = 30_000;

/// The alarm as it was last asked for. Asking costs a written row, so nobody asks for a later one than stands.
#[derive(Default)]
pub struct AlarmClock {
    armed: Cell<Option<Millis>>,
}

impl AlarmClock {
    /// The alarm has come: none stands.
    pub fn rang(&self) {
        self.armed.set(None);
    }

    /// Asks `host` for an alarm at `at`, unless an earlier one stands.
    pub async fn set(&self, host: &impl ObjectHost, at: Millis) {
        let now = host.now();
        let standing = self.armed.get().filter(|armed| armed.plus(LOST_MS) > now);
        if standing.is_none_or(|standing| standing > at) {
            self.armed.set(Some(at));
            host.set_alarm(at).await;
        }
    }
}

/// When to try again after `failures` failures in a row: twice as long each time, between the two bounds in milliseconds.
pub fn backed_off(now: Millis, failures: u32, (shortest, longest): (u64, u64)) -> Millis {
    let doublings = failures.saturating_sub(1).min(16);
    now.plus((shortest << doublings).min(longest))
}
