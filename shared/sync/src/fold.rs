//! Rooms that are too many for a connection's row, in parts.

use std::collections::BTreeMap;

use crate::hash::fingerprint;
use crate::lines::{self, Line};
use crate::sent::{PARTS, Parts};

/// Most rooms kept in the connection's row.
const MOST_ROOMS_IN_ROW: usize = 64;

pub(crate) fn part_of(room_id: &str) -> u8 {
    u8::try_from(fingerprint(room_id) % u64::from(PARTS)).unwrap_or_default()
}

/// A part that is missing makes its rooms unknown: they are sent again, from scratch.
pub(crate) fn read_part(mask: u16, parts: &dyn Parts, number: u8) -> String {
    if mask & (1 << number) == 0 {
        return String::new();
    }
    parts.part(number).unwrap_or_default()
}

/// The move of rooms from the row into parts.
pub(crate) struct Fold {
    pub(crate) mask: u16,
    pub(crate) parts: Vec<(u8, String)>,
}

impl Fold {
    /// Sorts `sent` into parts, if there are too many of them for the row.
    pub(crate) fn of(mask: u16, sent: &[Line<'_>], parts: &dyn Parts) -> Option<Self> {
        if sent.len() <= MOST_ROOMS_IN_ROW {
            return None;
        }
        let mut touched: BTreeMap<u8, Vec<Line<'_>>> = BTreeMap::new();
        for line in sent {
            let Some(room_id) = line.room_id() else { continue };
            touched.entry(part_of(&room_id)).or_default().push(*line);
        }
        let parts = touched.iter().map(|(number, fresh)| {
            let stored = read_part(mask, parts, *number);
            let mut all: Vec<_> = lines::lines(&stored).collect();
            lines::renew(&mut all, fresh);
            (*number, lines::settled(&all))
        });
        let parts: Vec<_> = parts.collect();
        Some(Self { mask: touched.keys().fold(mask, |mask, number| mask | (1 << number)), parts })
    }
}
