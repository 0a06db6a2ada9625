//! An exact rate limit: looked at and written in one turn of the object, so that any number of requests at once get no
//! more than the bucket holds.

use tern_auth::limit::Bucket;
use tern_model::{MatrixError, Millis, Rate};
use tern_ports::{
    ObjectHost, Sql, SqlError,
    wire::gate::{TakeTurn, Turn},
};

use super::GateActor;

impl<H: ObjectHost> GateActor<H> {
    pub(super) async fn take_turn(&self, ask: TakeTurn) -> Result<Turn, MatrixError> {
        self.prepare()?;
        let rate = Rate { burst: ask.burst, per_hour: ask.per_hour };
        let bucket = match load(self.host.sql())?.take(rate, self.host.now()) {
            Ok(bucket) => bucket,
            Err(wait) => return Ok(Turn { retry_after_ms: Some(wait) }),
        };
        self.host.sql().query(
            "INSERT INTO bucket (id, full_at) VALUES (1, ?) ON CONFLICT DO UPDATE SET full_at = excluded.full_at",
            &[bucket.0.into()],
        )?;
        self.look_again(bucket.full_at()).await;
        Ok(Turn::default())
    }
}

/// When the bucket is as good as new.
pub(super) fn full_at(sql: &impl Sql) -> Result<Millis, SqlError> {
    Ok(load(sql)?.full_at())
}

fn load(sql: &impl Sql) -> Result<Bucket, SqlError> {
    let rows = sql.query("SELECT full_at FROM bucket", &[])?;
    Ok(Bucket(rows.first().and_then(|row| row.int(0)).unwrap_or(0)))
}
