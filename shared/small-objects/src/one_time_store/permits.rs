//! An exact rate limit: looked at and written in one turn of the object, so that any number of requests at once get no
//! more than the bucket holds.
//!
//! What succeeds is put back, so that only failures count. An address from which something succeeded lately has a bucket of
//! its own: strangers who use up everybody's do not keep the owner of an account out of it.

use tern_auth::limit::Bucket;
use tern_model::{MatrixError, Millis, Rate};
use tern_object_kit::schema::Step;
use tern_ports::{
    ObjectHost, Sql, SqlError, Value,
    wire::{
        Done,
        one_time_store::{AcquirePermit, Permit, ReturnPermit},
    },
};

use super::OneTimeStoreActor;

/// How long an address is known after a success, in milliseconds.
const KNOWN_FOR: u64 = 30 * 24 * 60 * 60 * 1_000;
/// Most addresses that are known; the one that was used longest ago is forgotten.
const MAX_KNOWN: u64 = 20;

/// Addresses with buckets of their own.
pub(super) const KNOWN: Step = &["CREATE TABLE IF NOT EXISTS known_address (
        address TEXT PRIMARY KEY, full_at INTEGER NOT NULL, until INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID"];

impl<H: ObjectHost> OneTimeStoreActor<H> {
    pub(super) async fn acquire_permit(&self, ask: AcquirePermit) -> Result<Permit, MatrixError> {
        let (sql, now) = (self.host.sql(), self.host.now());
        let rate = Rate { burst: ask.burst, per_hour: ask.per_hour };
        let own = own_bucket(sql, ask.from.as_deref(), now)?;
        let bucket = match own.map_or_else(|| load(sql), Ok)?.take(rate, now) {
            Ok(bucket) => bucket,
            Err(wait) => return Ok(Permit { retry_after_ms: Some(wait) }),
        };
        save(sql, ask.from.as_deref().filter(|_| own.is_some()), bucket)?;
        self.look_again(bucket.full_at()).await;
        Ok(Permit::default())
    }

    pub(super) async fn return_permit(&self, ask: ReturnPermit) -> Result<Done, MatrixError> {
        self.prepare()?;
        let (sql, now) = (self.host.sql(), self.host.now());
        let own = own_bucket(sql, ask.from.as_deref(), now)?;
        let bucket = own.map_or_else(|| load(sql), Ok)?.put_back(ask.per_hour);
        save(sql, ask.from.as_deref().filter(|_| own.is_some()), bucket)?;
        if let Some(from) = ask.from {
            let (newest, until) = (Value::from(from), now.plus(KNOWN_FOR));
            sql.query(
                "INSERT INTO known_address (address, full_at, until) VALUES (?, 0, ?)
                 ON CONFLICT DO UPDATE SET until = excluded.until",
                &[newest.clone(), until.0.into()],
            )?;
            sql.query(
                "DELETE FROM known_address WHERE until < ? OR address NOT IN
                 (SELECT address FROM known_address ORDER BY until DESC, address = +? DESC LIMIT +?)",
                &[now.0.into(), newest, MAX_KNOWN.into()],
            )?;
            self.look_again(until).await;
        }
        Ok(Done {})
    }
}

/// When nothing counts any more.
pub(super) fn until(sql: &impl Sql) -> Result<Millis, SqlError> {
    let rows = sql.query("SELECT coalesce(max(until), 0) FROM known_address", &[])?;
    Ok(load(sql)?.full_at().max(Millis(rows.first().and_then(|row| row.int(0)).unwrap_or(0))))
}

fn load(sql: &impl Sql) -> Result<Bucket, SqlError> {
    let rows = sql.query("SELECT full_at FROM bucket", &[])?;
    Ok(Bucket(rows.first().and_then(|row| row.int(0)).unwrap_or(0)))
}

/// The bucket of an address that is known.
fn own_bucket(sql: &impl Sql, from: Option<&str>, now: Millis) -> Result<Option<Bucket>, SqlError> {
    let Some(from) = from else { return Ok(None) };
    let rows =
        sql.query("SELECT full_at FROM known_address WHERE address = ? AND until > ?", &[from.into(), now.0.into()])?;
    Ok(rows.first().map(|row| Bucket(row.int(0).unwrap_or(0))))
}

fn save(sql: &impl Sql, of: Option<&str>, bucket: Bucket) -> Result<(), SqlError> {
    match of {
        Some(address) => {
            sql.query("UPDATE known_address SET full_at = ? WHERE address = ?", &[bucket.0.into(), address.into()])?
        }
        None => sql.query(
            "INSERT INTO bucket (id, full_at) VALUES (1, ?) ON CONFLICT DO UPDATE SET full_at = excluded.full_at",
            &[bucket.0.into()],
        )?,
    };
    Ok(())
}
