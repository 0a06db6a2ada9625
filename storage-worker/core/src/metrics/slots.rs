//! The tables: a day by minutes, a year by hours and by days, and the sums since the beginning.
//!
//! Each of the first three is a ring: a slot is written over when its place comes round again. A frame writes one row, the
//! slot of its minute. The first frame of an hour brings the minutes before it into their hour, their day and the sums since
//! the beginning, three rows more for each hour that had requests; all in one transaction.

use tern_metrics::{
    codec::{CodecError, decode, decode_series, encode, encode_series},
    series::Series,
    snapshot::Snapshot,
    view::{DAY_MS, HOUR_MS, MINUTE_MS, Range, View},
};
use tern_model::Millis;
use tern_object_kit::schema::{NUMBER, READ_NUMBER, Schema, WRITE_NUMBER};
use tern_ports::{Row, Sql, SqlError};

use super::MetricsError;

const SCHEMA: Schema = Schema {
    steps: &[&[
        NUMBER,
        // `start` in milliseconds since 1970; `total` is over all routes and before `sums`, which are by route and region, so
        // that a chart reads no more than it shows.
        "CREATE TABLE slots (id INTEGER PRIMARY KEY, start INTEGER NOT NULL, total BLOB NOT NULL, sums BLOB NOT NULL) STRICT",
    ]],
    read: READ_NUMBER,
    write: WRITE_NUMBER,
    signs: &[],
};

const READ: &str = "SELECT start, sums FROM slots WHERE id = ?";

const WRITE: &str = "INSERT INTO slots (id, start, total, sums) VALUES (?, ?, ?, ?) \
    ON CONFLICT DO UPDATE SET start = excluded.start, total = excluded.total, sums = excluded.sums";

/// A few at a time: each may have some hundred kilobytes.
const SUMS: &str =
    "SELECT start, sums, id FROM slots WHERE id >= ? AND id < ? AND start >= ? AND start < ? ORDER BY id LIMIT 16";

const TOTALS: &str = "SELECT start, total FROM slots WHERE id >= ? AND id < ? AND start >= ? AND start < ?";

const HOURS: &str = "SELECT DISTINCT start - start % 3600000 FROM slots \
    WHERE id >= ? AND id < ? AND start >= ? AND start < ? ORDER BY 1";

/// Slots of one length.
#[derive(Clone, Copy)]
struct Ring {
    /// Its first id.
    first: u64,
    /// Slots.
    length: u64,
    /// Of a slot, in milliseconds.
    span: u64,
}

const MINUTES: Ring = Ring { first: 0, length: 24 * 60, span: MINUTE_MS };
const HOURS_OF_YEAR: Ring = Ring { first: 10_000, length: 366 * 24, span: HOUR_MS };
const DAYS: Ring = Ring { first: 20_000, length: 366, span: DAY_MS };

/// The id of the sums since the beginning. Its `start` is the hour before which everything is in them.
const EVER: u64 = 30_000;

/// Later than everything.
const NEVER: u64 = 1 << 52;

impl Ring {
    const fn id(self, start: u64) -> u64 {
        self.first + start / self.span % self.length
    }

    fn params(self, from: u64, until: u64) -> [tern_ports::Value; 4] {
        [self.first.into(), (self.first + self.length).into(), from.into(), until.into()]
    }
}

/// The object's tables.
pub struct Slots<'a, S> {
    sql: &'a S,
}

impl<'a, S: Sql> Slots<'a, S> {
    /// Opens the tables, which are made if there are none.
    ///
    /// # Errors
    /// Of the database.
    pub fn open(sql: &'a S) -> Result<Self, SqlError> {
        SCHEMA.create(sql)?;
        Ok(Self { sql })
    }

    /// Adds a frame that arrived at `now`.
    ///
    /// # Errors
    /// For a frame that is none; of the database, and then nothing was added.
    pub fn record(&self, now: Millis, frame: &[u8]) -> Result<(), MetricsError> {
        let frame = decode(frame)?.with_region_summed();
        self.sql.transaction(|| {
            let (rolled, ever) = self.rolled()?;
            // Should the clock go back, no minute is added to that is summed up already.
            let minute = (now.0 - now.0 % MINUTE_MS).max(rolled);
            self.roll(rolled, minute - minute % HOUR_MS, ever)?;
            let id = MINUTES.id(minute);
            let mut sums = self.slot(id, minute)?;
            sums.merge(&frame);
            self.write(id, minute, &sums)
        })
    }

    /// The sums since the beginning.
    ///
    /// # Errors
    /// Of the database.
    pub fn ever(&self) -> Result<Snapshot, MetricsError> {
        let (rolled, mut sums) = self.rolled()?;
        self.add_sums(MINUTES, rolled, NEVER, &mut sums)?;
        Ok(sums)
    }

    /// What is shown at `now` of the time before it.
    ///
    /// # Errors
    /// Of the database.
    pub fn view(&self, now: Millis, range: Range) -> Result<View, MetricsError> {
        let (from, (rolled, _)) = (now.0.saturating_sub(range.span_ms()), self.rolled()?);
        let ring = if range == Range::Year { DAYS } else { HOURS_OF_YEAR };
        let mut sums = Snapshot::default();
        self.add_sums(ring, from, NEVER, &mut sums)?;
        self.add_sums(MINUTES, rolled.max(from), NEVER, &mut sums)?;
        let points = if range == Range::Day {
            self.totals(MINUTES, from)?
        } else {
            [self.totals(ring, from)?, self.totals(MINUTES, rolled.max(from))?].concat()
        };
        let points = charted(range, now.0, &points);
        Ok(View { range, now_ms: now.0, sums, points, troubles: None })
    }

    /// Up to when everything is in the sums since the beginning, and those sums.
    fn rolled(&self) -> Result<(u64, Snapshot), MetricsError> {
        let rows = self.sql.query(READ, &[EVER.into()])?;
        rows.first().map_or_else(|| Ok((0, Snapshot::default())), sums_of)
    }

    /// Brings the minutes from `rolled` to `until` where they belong.
    fn roll(&self, rolled: u64, until: u64, mut ever: Snapshot) -> Result<(), MetricsError> {
        if until <= rolled {
            return Ok(());
        }
        let hours = self.sql.query(HOURS, &MINUTES.params(rolled, until))?;
        for start in hours.iter().filter_map(|row| row.int(0)) {
            let mut hour = Snapshot::default();
            self.add_sums(MINUTES, start, start + HOUR_MS, &mut hour)?;
            self.write(HOURS_OF_YEAR.id(start), start, &hour)?;
            let day = start - start % DAY_MS;
            let mut sums = self.slot(DAYS.id(day), day)?;
            sums.merge(&hour);
            self.write(DAYS.id(day), day, &sums)?;
            ever.merge(&hour);
        }
        if hours.is_empty() { Ok(()) } else { self.write(EVER, until, &ever) }
    }

    /// The sums of one slot; none where it has those of another time.
    fn slot(&self, id: u64, start: u64) -> Result<Snapshot, MetricsError> {
        let rows = self.sql.query(READ, &[id.into()])?;
        let row = rows.first().filter(|row| row.int(0) == Some(start));
        row.map_or_else(|| Ok(Snapshot::default()), |row| sums_of(row).map(|(_, sums)| sums))
    }

    fn write(&self, id: u64, start: u64, sums: &Snapshot) -> Result<(), MetricsError> {
        let (total, sums) = (encode_series(&sums.total()), encode(sums));
        self.sql.query(WRITE, &[id.into(), start.into(), total.into(), sums.into()])?;
        Ok(())
    }

    fn add_sums(&self, ring: Ring, from: u64, until: u64, sums: &mut Snapshot) -> Result<(), MetricsError> {
        let [mut first, end, from, until] = ring.params(from, until);
        loop {
            let rows = self.sql.query(SUMS, &[first, end.clone(), from.clone(), until.clone()])?;
            for row in &rows {
                sums.merge(&sums_of(row)?.1);
            }
            match rows.last().and_then(|row| row.int(2)) {
                Some(last) => first = last.saturating_add(1).into(),
                None => return Ok(()),
            }
        }
    }

    fn totals(&self, ring: Ring, from: u64) -> Result<Vec<(u64, Series)>, MetricsError> {
        let rows = self.sql.query(TOTALS, &ring.params(from, NEVER))?;
        rows.iter()
            .map(|row| Ok((start_of(row)?, decode_series(row.blob(1).unwrap_or_default()).map_err(damaged)?)))
            .collect()
    }
}

fn start_of(row: &Row) -> Result<u64, SqlError> {
    row.int(0).ok_or_else(|| SqlError("a slot without a start".to_owned()))
}

fn sums_of(row: &Row) -> Result<(u64, Snapshot), MetricsError> {
    Ok((start_of(row)?, decode(row.blob(1).unwrap_or_default()).map_err(damaged)?))
}

/// What is kept is ours, so that it is nobody else's fault.
fn damaged(error: CodecError) -> SqlError {
    SqlError(error.to_string())
}

/// The points of a chart.
fn charted(range: Range, now: u64, slots: &[(u64, Series)]) -> Vec<Series> {
    let mut points = vec![Series::default(); range.points()];
    for (start, series) in slots {
        let place = View::place(range, now, *start);
        if let Some(point) = place.and_then(|place| points.get_mut(place)) {
            point.merge(series);
        }
    }
    points
}
