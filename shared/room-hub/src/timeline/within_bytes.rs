//! Reading events until there are so many, or until they weigh so much: what they weigh is known only once they are read, so
//! they are read a few at a time.

use tern_model::{RoomSeq, StoredEvent};
use tern_ports::{Sql, SqlError, wire::storage::AppendEvent};

use crate::timeline::{store::Store, tail_bytes::size};

/// Events read at once: at most some 2 MiB, and more than most turns have to read.
const PAGE: u32 = 16;

impl<S: Sql> Store<'_, S> {
    /// As [`Self::events`], no further than to so many bytes of them; at least one, if there is one.
    pub(crate) fn events_within(
        self,
        (after, until): (RoomSeq, RoomSeq),
        backwards: bool,
        limit: u32,
        bytes: u64,
    ) -> Result<Vec<StoredEvent>, SqlError> {
        within_bytes(limit, bytes, size, |last, limit| {
            let last = last.map(|event| event.seq);
            if backwards {
                let until = last.map_or(until, RoomSeq::previous);
                return if after < until { self.events(after, until, true, limit) } else { Ok(Vec::new()) };
            }
            self.events(last.unwrap_or(after), until, false, limit)
        })
    }

    /// As [`Self::journal`], no further than to so many bytes of it; at least one entry, if there is one.
    pub(crate) fn journal_within(self, after: RoomSeq, limit: u32, bytes: u64) -> Result<Vec<AppendEvent>, SqlError> {
        within_bytes(limit, bytes, size_of_entry, |last, limit| {
            self.journal(last.map_or(after, |entry| entry.event.seq), limit)
        })
    }
}

fn within_bytes<T>(
    most: u32,
    bytes: u64,
    size: impl Fn(&T) -> u64,
    mut more: impl FnMut(Option<&T>, u32) -> Result<Vec<T>, SqlError>,
) -> Result<Vec<T>, SqlError> {
    let (mut all, mut left, mut held) = (Vec::new(), most, 0);
    while left > 0 {
        let asked = left.min(PAGE);
        let some = more(all.last(), asked)?;
        let found = u32::try_from(some.len()).unwrap_or(u32::MAX);
        for one in some {
            held += size(&one);
            if held > bytes && !all.is_empty() {
                return Ok(all);
            }
            all.push(one);
        }
        left = if found < asked { 0 } else { left - asked };
    }
    Ok(all)
}

fn size_of_entry(entry: &AppendEvent) -> u64 {
    let redaction = entry.redaction.as_ref();
    let texts = redaction.map(|redaction| [Some(&redaction.pdu), redaction.unsigned.as_ref()]);
    let redacted: usize = texts.into_iter().flatten().flatten().map(|json| json.text().len()).sum();
    size(&entry.event) + redacted as u64
}
