//! The room in one row. An ordinary event leaves it as it is: what it moves is read from the newest event when the room
//! wakes.

use ruma::OwnedEventId;
use tern_model::{Millis, RoomSeq};
use tern_ports::{Row, Sql, SqlError};
use tern_room::Version;

use super::store::{Store, damaged, event_id_of};

/// The room in one row.
///
/// As long as the newest event is the only extremity, `newest`, `depth`, `extremities` and `tail_bytes` of the row may be
/// behind the events.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) version: &'static Version,
    /// Position of the newest event; zero only while the room is being made.
    pub(crate) newest: RoomSeq,
    /// Depth of the newest event.
    pub(crate) depth: u64,
    /// The forward extremities in the order in which they came: with only local events, the newest one.
    pub(crate) extremities: Vec<OwnedEventId>,
    /// Up to here the storage worker has the events. In memory it may be ahead of the row.
    pub(crate) forwarded: RoomSeq,
    /// Up to here members' hubs were told, or stand among the failed recipients. In memory it may be ahead of the row.
    pub(crate) announced: RoomSeq,
    /// Up to here events were trimmed, except those of the current state.
    pub(crate) tail: RoomSeq,
    /// Members with membership `join`.
    pub(crate) joined: u64,
    /// Members with membership `invite`.
    pub(crate) invited: u64,
    /// The last position at which the state moved otherwise than by the event there taking its place; zero in a room that
    /// never forked. Its truth is the table `turns`.
    pub(crate) resolved: RoomSeq,
    /// Only those who listen are told: the table `listeners`. Once so, always so.
    pub(crate) large: bool,
    /// Until when some event may be sticky; zero while there is none.
    pub(crate) sticky: Millis,
    /// What the current state weighs; not yet counted in a room of an earlier build.
    pub(crate) state_bytes: Option<u64>,
    /// What the events above `tail` weigh, as the table has them; likewise.
    pub(crate) tail_bytes: Option<u64>,
    /// Extremities were given up, and the state of then is resolved along with those kept. Its truth is the table `forks`.
    pub(crate) former: bool,
}

impl Head {
    /// A room without events.
    pub(crate) fn empty(version: &'static Version) -> Self {
        let zero = RoomSeq::default();
        Self {
            version,
            newest: zero,
            depth: 0,
            extremities: Vec::new(),
            forwarded: zero,
            announced: zero,
            tail: zero,
            joined: 0,
            invited: 0,
            resolved: zero,
            large: false,
            sticky: Millis::default(),
            state_bytes: Some(0),
            tail_bytes: Some(0),
            former: false,
        }
    }
}

/// What of a head no event tells.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unmoved {
    tail: RoomSeq,
    joined: u64,
    invited: u64,
    resolved: RoomSeq,
    large: bool,
    sticky: Millis,
    state_bytes: Option<u64>,
    former: bool,
}

impl Unmoved {
    pub(crate) fn of(head: &Head) -> Self {
        let &Head { tail, joined, invited, resolved, large, sticky, state_bytes, former, .. } = head;
        Self { tail, joined, invited, resolved, large, sticky, state_bytes, former }
    }
}

impl<S: Sql> Store<'_, S> {
    /// The head, of a room that exists.
    pub(crate) fn head(self) -> Result<Option<Head>, SqlError> {
        let rows = self.0.query(
            "SELECT version, newest, depth, extremities, forwarded, announced, tail, joined, invited,
                 (SELECT coalesce(max(seq), 0) FROM turns), large, sticky, state_bytes, tail_bytes,
                 EXISTS (SELECT 1 FROM forks WHERE event_id = '') FROM head",
            &[],
        )?;
        let head = rows.first().map(head_of).transpose()?;
        head.map(|head| self.caught_up(head)).transpose()
    }

    /// A head whose row was not written with the newest events: they tell where the room is.
    fn caught_up(self, mut head: Head) -> Result<Head, SqlError> {
        let newest = self.0.query(
            "SELECT seq, event_id, pdu ->> '$.depth' FROM events WHERE seq > ? ORDER BY seq DESC LIMIT 1",
            &[head.newest.0.into()],
        )?;
        let Some(row) = newest.first() else { return Ok(head) };
        if let Some(bytes) = head.tail_bytes {
            head.tail_bytes = Some(bytes.saturating_add(self.bytes_after(head.newest)?));
        }
        let number = |index| row.int(index).ok_or_else(|| damaged("the newest event"));
        head.newest = RoomSeq(number(0)?);
        head.depth = number(2)?;
        head.extremities = vec![event_id_of(row, 1)?];
        Ok(head)
    }

    /// Writes the head, for the first time or again: one row.
    pub(crate) fn write_head(self, head: &Head) -> Result<(), SqlError> {
        let extremities = serde_json::to_string(&head.extremities).map_err(damaged)?;
        let params = [
            head.version.id.into(),
            head.newest.0.into(),
            head.depth.into(),
            extremities.into(),
            head.forwarded.0.into(),
            head.announced.0.into(),
            head.tail.0.into(),
            head.joined.into(),
            head.invited.into(),
            head.large.into(),
            head.sticky.0.into(),
            head.state_bytes.into(),
            head.tail_bytes.into(),
        ];
        self.0.query(
            "INSERT INTO head (id, version, newest, depth, extremities, forwarded, announced, tail, joined, invited,
                 large, sticky, state_bytes, tail_bytes)
             VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET version = excluded.version, newest = excluded.newest, depth = excluded.depth,
                 extremities = excluded.extremities, forwarded = excluded.forwarded, announced = excluded.announced,
                 tail = excluded.tail, joined = excluded.joined, invited = excluded.invited,
                 large = excluded.large, sticky = excluded.sticky, state_bytes = excluded.state_bytes,
                 tail_bytes = excluded.tail_bytes",
            &params,
        )?;
        Ok(())
    }
}

fn head_of(row: &Row) -> Result<Head, SqlError> {
    let number = |index| row.int(index).ok_or_else(|| SqlError(format!("head column {index} is damaged")));
    let version = row.text(0).unwrap_or_default();
    Ok(Head {
        version: Version::known(version).ok_or_else(|| SqlError(format!("room version `{version}` is unknown")))?,
        newest: RoomSeq(number(1)?),
        depth: number(2)?,
        extremities: serde_json::from_str(row.text(3).unwrap_or_default()).map_err(damaged)?,
        forwarded: RoomSeq(number(4)?),
        announced: RoomSeq(number(5)?),
        tail: RoomSeq(number(6)?),
        joined: number(7)?,
        invited: number(8)?,
        resolved: RoomSeq(number(9)?),
        large: row.flag(10),
        sticky: Millis(number(11)?),
        state_bytes: row.int(12),
        tail_bytes: row.int(13),
        former: row.flag(14),
    })
}
