//! One row per room of the user: what every message changes.

use std::collections::BTreeMap;

use ruma::{OwnedRoomId, RoomId};
use tern_model::{Millis, RoomSeq, StreamPos};
use tern_ports::{Row, Sql, SqlError};
use tern_push::{Counts, Slot, UnreadCounts};
use tern_sync::Membership;

use super::hub::Hub;

/// See `tern_sync::RoomView` for what the fields mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoomRow {
    pub(crate) room_id: OwnedRoomId,
    pub(crate) membership: Membership,
    pub(crate) removed: bool,
    pub(crate) forgotten: bool,
    pub(crate) pos: StreamPos,
    pub(crate) relisted: StreamPos,
    pub(crate) activity: StreamPos,
    pub(crate) bump: Millis,
    pub(crate) newest: RoomSeq,
    pub(crate) inbox_from: RoomSeq,
    pub(crate) joined: RoomSeq,
    /// Up to here the storage worker has the room's events.
    pub(crate) forwarded: RoomSeq,
    /// What is unread.
    pub(crate) unread_counts: UnreadCounts,
    /// Some of what is unread is packed.
    pub(crate) packed: bool,
    /// Position of the newest change by state resolution, zero for none.
    pub(crate) resolved: RoomSeq,
    /// What the events that are held of it weigh, at most; `None` until they are counted.
    pub(crate) inbox_bytes: Option<u64>,
    /// Rows of events before this one are for new events.
    pub(crate) spare: RoomSeq,
}

/// What an ordinary event moves. Of its room: position, activity, bump, notifications, highlights, how far storage is, and one
/// more than what the inbox weighs, zero where that was not counted. Of the hub: from where on events may not have been pushed, and when one came that has to be.
pub(crate) type Figures = [u64; 9];

impl RoomRow {
    /// A room of which nothing is known yet.
    pub(crate) fn unknown(room_id: &RoomId) -> Self {
        Self {
            room_id: room_id.to_owned(),
            membership: Membership::Leave,
            removed: false,
            forgotten: true,
            pos: StreamPos(0),
            relisted: StreamPos(0),
            activity: StreamPos(0),
            bump: Millis(0),
            newest: RoomSeq(0),
            inbox_from: RoomSeq(1),
            joined: RoomSeq(0),
            forwarded: RoomSeq(0),
            unread_counts: UnreadCounts::default(),
            packed: false,
            resolved: RoomSeq(0),
            inbox_bytes: Some(0),
            spare: RoomSeq(0),
        }
    }
}

impl RoomRow {
    /// What the room's newest event says of it.
    pub(crate) fn figures(&self, hub: &Hub) -> Figures {
        let Counts { notifications, highlights } = self.unread_counts.main.counts;
        let (pos, activity, bump, forwarded) = (self.pos.0, self.activity.0, self.bump.0, self.forwarded.0);
        let bytes = self.inbox_bytes.map_or(0, |bytes| bytes.saturating_add(1));
        [pos, activity, bump, notifications, highlights, forwarded, bytes, hub.push_from.0, hub.push_at.0]
    }

    /// The room after an event that says so.
    pub(crate) fn with(mut self, newest: RoomSeq, figures: Figures) -> Self {
        let [pos, activity, bump, notifications, highlights, forwarded, bytes, ..] = figures;
        (self.pos, self.activity, self.bump) = (StreamPos(pos), StreamPos(activity), Millis(bump));
        (self.newest, self.forwarded, self.inbox_bytes) = (newest, RoomSeq(forwarded), bytes.checked_sub(1));
        self.unread_counts.main.counts = Counts { notifications, highlights };
        self
    }

    /// The list of rooms shows it as unread: something counts, or it is an invite.
    pub(crate) fn is_unread(&self) -> bool {
        match self.membership {
            Membership::Join => !self.unread_counts.is_clear(),
            Membership::Invite => true,
            _ => false,
        }
    }
}

const COLUMNS: &str = "room_id, membership, removed, forgotten, pos, relisted, activity, bump, newest, inbox_from, \
                       joined, forwarded, notifications, highlights, read, read_main, threads, packed, turned, \
                       inbox_bytes, spare";

fn room(row: &Row) -> Option<RoomRow> {
    Some(RoomRow {
        room_id: row.text(0)?.try_into().ok()?,
        membership: Membership::parse(row.text(1)?)?,
        removed: row.flag(2),
        forgotten: row.flag(3),
        pos: StreamPos(row.int(4)?),
        relisted: StreamPos(row.int(5)?),
        activity: StreamPos(row.int(6)?),
        bump: Millis(row.int(7)?),
        newest: RoomSeq(row.int(8)?),
        inbox_from: RoomSeq(row.int(9)?),
        joined: RoomSeq(row.int(10)?),
        forwarded: RoomSeq(row.int(11)?),
        unread_counts: unread_counts(row)?,
        packed: row.flag(17),
        resolved: RoomSeq(row.int(18)?),
        inbox_bytes: row.int(19),
        spare: RoomSeq(row.int(20)?),
    })
}

fn unread_counts(row: &Row) -> Option<UnreadCounts> {
    let counts = Counts { notifications: row.int(12)?, highlights: row.int(13)? };
    let threads = row.text(16).and_then(|text| serde_json::from_str::<BTreeMap<String, Slot>>(text).ok());
    let counts = UnreadCounts {
        read: RoomSeq(row.int(14)?),
        main: Slot { counts, read: RoomSeq(row.int(15)?) },
        threads: threads.unwrap_or_default(),
    };
    Some(counts.bounded())
}

pub(crate) fn load(sql: &impl Sql, room_id: &RoomId) -> Result<Option<RoomRow>, SqlError> {
    let rows = sql.query(&format!("SELECT {COLUMNS} FROM room WHERE room_id = ?"), &[room_id.as_str().into()])?;
    Ok(rows.first().and_then(room))
}

/// Since when, and from where on, events may not have been pushed.
pub(crate) type Pushes = (Millis, StreamPos);

pub(crate) fn pushes([.., from, at]: Figures) -> Pushes {
    (Millis(at), StreamPos(from))
}

/// A room as its newest event has left it.
pub(crate) struct Told {
    pub(crate) row: RoomRow,
    /// The room's row does not say so.
    pub(crate) behind: bool,
    /// When the event came.
    pub(crate) pos: StreamPos,
    /// What it says of pushes.
    pub(crate) push: Pushes,
}

/// The rooms of a JSON array of ids, in its order.
pub(crate) fn recent(sql: &impl Sql, ids: &str) -> Result<Vec<Told>, SqlError> {
    let columns = COLUMNS.replace("room_id,", "r.room_id,").replace(" pos,", " r.pos,");
    let rows = sql.query(
        &format!(
            "SELECT {columns}, i.seq, i.pos, i.figures FROM json_each(?) j CROSS JOIN room r ON r.room_id = j.value
             LEFT JOIN inbox i ON i.room_id = r.room_id AND i.seq =
                 (SELECT seq FROM inbox n WHERE n.room_id = r.room_id ORDER BY seq DESC LIMIT 1)
             ORDER BY j.key"
        ),
        &[ids.into()],
    )?;
    Ok(rows.iter().filter_map(told).collect())
}

fn told(row: &Row) -> Option<Told> {
    let stored = room(row)?;
    let newest = row.int(21).map_or(stored.newest, RoomSeq);
    let figures = row.text(23).and_then(|text| serde_json::from_str::<Figures>(text).ok());
    let push = figures.map(pushes).unwrap_or_default();
    let pos = StreamPos(row.int(22).unwrap_or_default());
    Some(match figures.filter(|_| newest > stored.newest) {
        Some(figures) => Told { row: stored.with(newest, figures), behind: true, pos, push },
        None => Told { row: stored, behind: false, pos, push },
    })
}

/// All rooms that are not forgotten.
pub(crate) fn all(sql: &impl Sql) -> Result<Vec<RoomRow>, SqlError> {
    let rows = sql.query(&format!("SELECT {COLUMNS} FROM room WHERE forgotten = 0"), &[])?;
    Ok(rows.iter().filter_map(room).collect())
}

/// Rooms that may be unread, among them all invites, and that changed at `since` or later.
pub(crate) fn unread(sql: &impl Sql, since: StreamPos) -> Result<Vec<RoomRow>, SqlError> {
    let rows = sql.query(
        &format!(
            "SELECT {COLUMNS} FROM room WHERE pos >= ? AND forgotten = 0 AND (membership = 'invite' OR
             membership = 'join' AND (notifications > 0 OR threads IS NOT NULL))"
        ),
        &[since.0.into()],
    )?;
    Ok(rows.iter().filter_map(room).collect())
}

/// Ids of rooms changed after `after`, forgotten ones left out.
pub(crate) fn changed(sql: &impl Sql, after: StreamPos) -> Result<Vec<OwnedRoomId>, SqlError> {
    let rows = sql.query("SELECT room_id FROM room WHERE pos > ? AND forgotten = 0", &[after.0.into()])?;
    Ok(rows.iter().filter_map(|row| row.text(0)?.try_into().ok()).collect())
}

/// Rooms that are forgotten and changed after `after`.
pub(crate) fn forgotten(sql: &impl Sql, after: StreamPos) -> Result<Vec<RoomRow>, SqlError> {
    let sql_text = format!("SELECT {COLUMNS} FROM room WHERE pos > ? AND forgotten = 1");
    Ok(sql.query(&sql_text, &[after.0.into()])?.iter().filter_map(room).collect())
}

/// Ids of joined rooms after `after`, in order of id.
pub(crate) fn joined(sql: &impl Sql, after: &str, limit: u64) -> Result<Vec<OwnedRoomId>, SqlError> {
    let rows = sql.query(
        "SELECT room_id FROM room WHERE room_id > ? AND membership = 'join' ORDER BY room_id LIMIT +?",
        &[after.into(), limit.into()],
    )?;
    Ok(rows.iter().filter_map(|row| row.text(0)?.try_into().ok()).collect())
}

pub(crate) fn write(sql: &impl Sql, row: &RoomRow) -> Result<(), SqlError> {
    let threads = Some(&row.unread_counts.threads).filter(|threads| !threads.is_empty());
    // Our own types always serialise.
    let threads = threads.and_then(|threads| serde_json::to_string(threads).ok());
    sql.query(
        "INSERT INTO room (room_id, membership, removed, forgotten, pos, relisted, activity, bump, newest, inbox_from,
         joined, forwarded, notifications, highlights, read, read_main, threads, packed,
         turned, inbox_bytes, spare) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET
         membership = excluded.membership, removed = excluded.removed, forgotten = excluded.forgotten,
         pos = excluded.pos, relisted = excluded.relisted, activity = excluded.activity, bump = excluded.bump,
         newest = excluded.newest, inbox_from = excluded.inbox_from, joined = excluded.joined,
         forwarded = excluded.forwarded, notifications = excluded.notifications, highlights = excluded.highlights,
         read = excluded.read, read_main = excluded.read_main, threads = excluded.threads, packed = excluded.packed,
         turned = excluded.turned, inbox_bytes = excluded.inbox_bytes, spare = excluded.spare",
        &[
            row.room_id.as_str().into(),
            row.membership.as_str().into(),
            row.removed.into(),
            row.forgotten.into(),
            row.pos.0.into(),
            row.relisted.0.into(),
            row.activity.0.into(),
            row.bump.0.into(),
            row.newest.0.into(),
            row.inbox_from.0.into(),
            row.joined.0.into(),
            row.forwarded.0.into(),
            row.unread_counts.main.counts.notifications.into(),
            row.unread_counts.main.counts.highlights.into(),
            row.unread_counts.read.0.into(),
            row.unread_counts.main.read.0.into(),
            threads.into(),
            row.packed.into(),
            row.resolved.0.into(),
            row.inbox_bytes.into(),
            row.spare.0.into(),
        ],
    )?;
    Ok(())
}
