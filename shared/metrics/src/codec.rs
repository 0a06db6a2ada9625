//! The bytes of sums: in a frame, and where they are kept. Numbers are LEB128, texts have their length before them.
//!
//! ```text
//! version, entries, { kind, name, method, counters, { counter }, buckets that are not empty, { bucket, number } }
//! ```
//!
//! Counters that a reader does not know are passed over, those that it misses are zero: two builds may meet.

use crate::{
    series::{BUCKETS, COUNTERS, Series},
    snapshot::{Kind, MOST_ENTRIES, MOST_NAME, Snapshot},
};

/// The version of the bytes.
const VERSION: u64 = 1;

/// Longest frame, in bytes: below what a row of the platform's SQLite may have.
pub const MOST_BYTES: usize = 1 << 20;

/// Most counters that a newer build may have.
const MOST_COUNTERS: u64 = 64;

/// Why bytes are no sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Too long, or too many entries.
    #[error("metrics: too large")]
    TooLarge,
    /// Of a version that is not known.
    #[error("metrics: unknown version")]
    Version,
    /// Broken off, with something behind, or with what cannot be.
    #[error("metrics: malformed")]
    Malformed,
}

/// The bytes of sums.
pub fn encode(snapshot: &Snapshot) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes, VERSION);
    put(&mut bytes, snapshot.entries().len() as u64);
    for entry in snapshot.entries() {
        put(&mut bytes, entry.kind as u64);
        put_text(&mut bytes, &entry.name);
        put_text(&mut bytes, &entry.method);
        put_series(&mut bytes, &entry.series);
    }
    bytes
}

/// The bytes of sums without a name.
pub fn encode_series(series: &Series) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_series(&mut bytes, series);
    bytes
}

fn put_series(bytes: &mut Vec<u8>, series: &Series) {
    put(bytes, COUNTERS as u64);
    for number in series.counters {
        put(bytes, number);
    }
    let filled = series.buckets.iter().filter(|number| **number > 0).count();
    put(bytes, filled as u64);
    for (place, number) in (0..).zip(series.buckets) {
        if number > 0 {
            put(bytes, place);
            put(bytes, number);
        }
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put(bytes, text.len() as u64);
    bytes.extend_from_slice(text.as_bytes());
}

#[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Reads [`encode`].
///
/// # Errors
/// For whatever it did not write.
pub fn decode(bytes: &[u8]) -> Result<Snapshot, CodecError> {
    if bytes.len() > MOST_BYTES {
        return Err(CodecError::TooLarge);
    }
    let mut reader = Reader(bytes);
    if reader.number()? != VERSION {
        return Err(CodecError::Version);
    }
    let entries = reader.number()?;
    if entries > MOST_ENTRIES as u64 + 2 {
        return Err(CodecError::TooLarge);
    }
    let mut snapshot = Snapshot::default();
    for _ in 0..entries {
        let kind = reader.kind()?;
        let (name, method, series) = (reader.text()?, reader.text()?, reader.series()?);
        snapshot.add(kind, name, method, &mut |sums| sums.merge(&series));
    }
    reader.end(snapshot)
}

/// Reads [`encode_series`].
///
/// # Errors
/// For whatever it did not write.
pub fn decode_series(bytes: &[u8]) -> Result<Series, CodecError> {
    let mut reader = Reader(bytes);
    let series = reader.series()?;
    reader.end(series)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Result<u64, CodecError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(CodecError::Malformed)?;
            self.0 = rest;
            let part = u64::from(byte & 0x7f);
            if (part << shift) >> shift != part {
                return Err(CodecError::Malformed);
            }
            number |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(CodecError::Malformed)
    }

    fn text(&mut self) -> Result<&'a str, CodecError> {
        let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if length > MOST_NAME {
            return Err(CodecError::TooLarge);
        }
        let (text, rest) = self.0.split_at_checked(length).ok_or(CodecError::Malformed)?;
        self.0 = rest;
        let printable = text.iter().all(|byte| (0x20..0x7f).contains(byte));
        str::from_utf8(text).ok().filter(|_| printable).ok_or(CodecError::Malformed)
    }

    fn kind(&mut self) -> Result<Kind, CodecError> {
        match self.number()? {
            0 => Ok(Kind::Route),
            1 => Ok(Kind::Region),
            _ => Err(CodecError::Malformed),
        }
    }

    fn series(&mut self) -> Result<Series, CodecError> {
        let mut series = Series::default();
        let counters = self.number()?;
        if counters > MOST_COUNTERS {
            return Err(CodecError::TooLarge);
        }
        for place in 0..counters {
            let number = self.number()?;
            if let Some(sum) = usize::try_from(place).ok().and_then(|place| series.counters.get_mut(place)) {
                *sum = number;
            }
        }
        let filled = self.number()?;
        if filled > BUCKETS as u64 {
            return Err(CodecError::TooLarge);
        }
        for _ in 0..filled {
            let place = usize::try_from(self.number()?).unwrap_or(usize::MAX);
            *series.buckets.get_mut(place).ok_or(CodecError::Malformed)? = self.number()?;
        }
        Ok(series)
    }

    fn end<T>(self, read: T) -> Result<T, CodecError> {
        if self.0.is_empty() { Ok(read) } else { Err(CodecError::Malformed) }
    }
}
