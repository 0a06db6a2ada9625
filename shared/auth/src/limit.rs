//! Rate limits: a token bucket as one number, and the buckets of one isolate.
//!
//! A bucket is the time at which it will be full again (the "generic cell rate algorithm"): taking moves that time on, and
//! when it lies further ahead than a whole bucket takes to fill, there is nothing left to take. No timer, no counter to
//! reset, and eight bytes a bucket.

use std::num::NonZeroUsize;

use lru::LruCache;
use ruma::{OwnedUserId, UserId};
use tern_model::{Class, Config, MatrixError, Millis, Rate};

/// Microseconds of an hour: the unit of a bucket, so that 3.6 thousand million an hour can be told apart.
const HOUR: u64 = 3_600_000_000;
/// What a closed class answers: ask again in an hour.
const CLOSED_MS: u64 = 3_600_000;
/// Users, addresses and sessions whose buckets are kept, at about 200 bytes each.
const CAPACITY: usize = 4_096;

/// A bucket: when it will be full again, in microseconds since the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket(pub u64);

impl Bucket {
    /// The bucket after one was taken from it at `now`.
    ///
    /// # Errors
    /// When it is empty: the milliseconds after which the same would succeed.
    pub fn take(self, rate: Rate, now: Millis) -> Result<Self, u64> {
        if rate.burst == 0 || rate.per_hour == 0 {
            return Err(CLOSED_MS);
        }
        let interval = HOUR / u64::from(rate.per_hour);
        let now = now.0.saturating_mul(1_000);
        let full_at = self.0.max(now).saturating_add(interval);
        match full_at.saturating_sub(now).checked_sub(interval.saturating_mul(u64::from(rate.burst))) {
            Some(missing) if missing > 0 => Err(missing.div_ceil(1_000)),
            _ => Ok(Self(full_at)),
        }
    }

    /// The bucket after `number` were taken from it at once at `now`. One must be left; whoever takes more is in debt.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn take_many(self, number: u32, rate: Rate, now: Millis) -> Result<Self, u64> {
        let Some(more) = number.checked_sub(1) else { return Ok(self) };
        let Self(full_at) = self.take(rate, now)?;
        let interval = HOUR.checked_div(u64::from(rate.per_hour)).unwrap_or(HOUR);
        Ok(Self(full_at.saturating_add(interval.saturating_mul(u64::from(more)))))
    }

    /// The bucket after one that was taken is put back.
    #[must_use]
    pub fn put_back(self, per_hour: u32) -> Self {
        Self(self.0.saturating_sub(HOUR.checked_div(u64::from(per_hour)).unwrap_or(0)))
    }

    /// When there is no difference to a bucket that was never used.
    pub const fn full_at(self) -> Millis {
        Millis(self.0.div_ceil(1_000))
    }
}

/// The address as far as one person has one: all of an IPv4 address, the first half of an IPv6 address, since whoever has
/// one of those has 2^64. Requests without an address share one.
pub fn address(ip: Option<&str>) -> String {
    let Some(ip) = ip.filter(|ip| ip.len() <= 64) else { return "unknown".to_owned() };
    match ip.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V6(address)) if address.to_ipv4_mapped().is_none() => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Ok(address) => address.to_canonical().to_string(),
        Err(_) => "unknown".to_owned(),
    }
}

/// The object that counts exactly for this subject.
pub fn store_name(class: Class, subject: &str) -> String {
    format!("limit/{}/{subject}", class.name())
}

type Buckets = [Bucket; Class::ALL.len()];

/// The buckets of one isolate: for everything whose cost is small and whose count may be a little generous, since another
/// isolate counts on its own. Costs no hop.
pub struct Meters {
    users: LruCache<OwnedUserId, Buckets>,
    addresses: LruCache<String, Buckets>,
    sessions: LruCache<String, Bucket>,
}

impl Default for Meters {
    fn default() -> Self {
        let capacity = NonZeroUsize::new(CAPACITY).unwrap_or(NonZeroUsize::MIN);
        Self { users: LruCache::new(capacity), addresses: LruCache::new(capacity), sessions: LruCache::new(capacity) }
    }
}

impl Meters {
    /// Counts something that a user does.
    ///
    /// # Errors
    /// `M_LIMIT_EXCEEDED`.
    pub fn user(&mut self, config: &Config, class: Class, user_id: &UserId, now: Millis) -> Result<(), MatrixError> {
        self.user_many(config, (class, 1), user_id, now)
    }

    /// Counts several things of one class that a user does at once.
    ///
    /// # Errors
    /// `M_LIMIT_EXCEEDED` when not even one is left.
    pub fn user_many(
        &mut self,
        config: &Config,
        (class, number): (Class, u32),
        user_id: &UserId,
        now: Millis,
    ) -> Result<(), MatrixError> {
        if config.unlimited {
            return Ok(());
        }
        if !self.users.contains(user_id) {
            self.users.put(user_id.to_owned(), Buckets::default());
        }
        count(self.users.get_mut(user_id), config, (class, number), now)
    }

    /// Counts something that is asked from an address, as [`address`] gives it.
    ///
    /// # Errors
    /// `M_LIMIT_EXCEEDED`.
    pub fn address(&mut self, config: &Config, class: Class, address: &str, now: Millis) -> Result<(), MatrixError> {
        if config.unlimited {
            return Ok(());
        }
        if !self.addresses.contains(address) {
            self.addresses.put(address.to_owned(), Buckets::default());
        }
        count(self.addresses.get_mut(address), config, (class, 1), now)
    }

    /// Counts a refresh of a session, whoever else is at the same address.
    ///
    /// # Errors
    /// `M_LIMIT_EXCEEDED`.
    pub fn refresh(&mut self, config: &Config, session_id: &str, now: Millis) -> Result<(), MatrixError> {
        if config.unlimited {
            return Ok(());
        }
        let bucket = self.sessions.get(session_id).copied().unwrap_or_default();
        let taken = bucket.take(config.limits.refresh, now).map_err(MatrixError::limit_exceeded)?;
        self.sessions.put(session_id.to_owned(), taken);
        Ok(())
    }
}

fn count(
    buckets: Option<&mut Buckets>,
    config: &Config,
    (class, number): (Class, u32),
    now: Millis,
) -> Result<(), MatrixError> {
    let Some(bucket) = buckets.and_then(|buckets| buckets.get_mut(class as usize)) else { return Ok(()) };
    *bucket = bucket.take_many(number, config.limits.of(class), now).map_err(MatrixError::limit_exceeded)?;
    Ok(())
}
