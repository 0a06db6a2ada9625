//! How much of a room the inbox holds: so many events, and so many bytes. What goes is loaded again as what lies before
//! any inbox is, in a slice; what of it is unread stays counted, and when it came stays known.

use tern_model::RoomSeq;
use tern_ports::{Sql, SqlError};

use super::{
    counting::pack_before,
    store::{inbox, inbox_bytes, places, resolved, rooms::RoomRow},
    transaction::Transaction,
};

/// Events kept per room.
pub(super) const KEPT: u64 = 50;
/// How many more there may be before the surplus goes, so that not every message costs a deleted row.
const SURPLUS: u64 = 25;
/// Events kept at most, when the storage worker is far behind.
const MOST_KEPT: u64 = 500;

/// Bytes of a room's events with which the older half goes: a sync reads all of a room's inbox at once.
const MOST_BYTES: u64 = 1 << 20;
/// Bytes that every room may have, whatever others have: a dozen messages and more.
const OWN_BYTES: u64 = 16 << 10;
/// What all rooms may have together beyond that: a sync of many rooms holds all their inboxes. It is looked at whenever a room
/// has grown by what is its own.
const SHARED_BYTES: u64 = 4 << 20;

/// Drops the oldest events when there are too many, or too large ones. Of many, those that storage does not have yet stay,
/// within reason. `before` is what the room's events weighed before the new ones.
pub(super) fn trim(tx: &Transaction<'_, impl Sql>, row: &mut RoomRow, before: Option<u64>) -> Result<(), SqlError> {
    let (many, large) = (too_many(row), too_large(tx.sql, row, before)?);
    let Some(from) = many.max(large) else { return Ok(()) };
    pack_before(tx.sql, row, from)?;
    retire(tx.sql, row, from)?;
    if large.is_some() {
        // Rows that new events may have anyway are one thing, large ones another.
        inbox::drop_before(tx.sql, &row.room_id, from)?;
    }
    if row.resolved.0 > 0 {
        resolved::drop_before(tx.sql, &row.room_id, from)?;
    }
    row.inbox_from = row.inbox_from.max(from);
    Ok(())
}

/// Takes events before `from` out of the inbox.
pub(super) fn retire(sql: &impl Sql, row: &mut RoomRow, from: RoomSeq) -> Result<(), SqlError> {
    let bytes = places::retire(sql, row, from)?;
    row.inbox_bytes = row.inbox_bytes.map(|held| held.saturating_sub(bytes));
    Ok(())
}

/// A room has grown by what is its own: other rooms look at its row for that.
pub(super) fn has_grown(before: &RoomRow, after: &RoomRow) -> bool {
    let own = |row: &RoomRow| row.inbox_bytes.map(|held| held / OWN_BYTES);
    own(before) != own(after)
}

fn too_many(row: &RoomRow) -> Option<RoomSeq> {
    let held = row.newest.next().0 - row.inbox_from.0;
    if held <= KEPT + SURPLUS {
        return None;
    }
    let newest = row.newest.0;
    let wanted = (newest + 1 - KEPT).min(row.forwarded.next().0);
    let least = (newest + 1).saturating_sub(MOST_KEPT);
    Some(RoomSeq(wanted.max(least))).filter(|from| *from > row.inbox_from)
}

/// From where on a room's events are kept that are too large together. The figure of the row is what they weigh at most: what
/// was redacted since may be less, so all are looked at before any goes.
fn too_large(sql: &impl Sql, row: &mut RoomRow, before: Option<u64>) -> Result<Option<RoomSeq>, SqlError> {
    let Some(most) = most_bytes(sql, row, before)? else { return Ok(None) };
    let sizes = inbox_bytes::sizes(sql, &row.room_id, row.spare)?;
    let held: u64 = sizes.iter().map(|(_, bytes)| bytes).sum();
    row.inbox_bytes = Some(held);
    // The newest stays, whatever it weighs.
    if held <= most || sizes.len() < 2 {
        return Ok(None);
    }
    let (kept, mut all) = (if most < MOST_BYTES { most } else { MOST_BYTES / 2 }, 0);
    let fits = |(_, bytes): &&(RoomSeq, u64)| {
        all += *bytes;
        all <= kept
    };
    Ok(sizes.iter().take_while(fits).last().or(sizes.first()).map(|(seq, _)| *seq))
}

/// What a room's events may weigh, if that may be less than they do.
fn most_bytes(sql: &impl Sql, row: &RoomRow, before: Option<u64>) -> Result<Option<u64>, SqlError> {
    let (Some(held), Some(before)) = (row.inbox_bytes, before) else { return Ok(Some(MOST_BYTES)) };
    if held > MOST_BYTES {
        return Ok(Some(MOST_BYTES));
    }
    if held <= OWN_BYTES || held / OWN_BYTES == before / OWN_BYTES {
        return Ok(None);
    }
    let others = inbox_bytes::beyond(sql, OWN_BYTES, &row.room_id)?;
    Ok((others + held > SHARED_BYTES + OWN_BYTES).then_some(OWN_BYTES))
}
