//! Events as rows, and the SQL that several commands share.

use ruma::EventId;
use tern_model::{MatrixError, Millis, RawJson, RoomSeq, StoredEvent};
use tern_ports::{Row, wire::sync::VisibilityFacts};

/// `m.room.member`.
pub(crate) const MEMBER: &str = "m.room.member";

/// The columns of an event `e`, to be read by [`stored_event`].
macro_rules! event_columns {
    () => {
        $crate::rows::event_columns!("e.state_key")
    };
    ($state_key:literal) => {
        concat!(
            "e.pos & 4294967295 AS seq, e.event_id AS event_id, e.kind AS kind, e.sender AS sender, ",
            $state_key,
            " AS state_key, e.ts AS ts, e.pdu AS pdu, e.unsigned AS unsigned, e.txn AS txn"
        )
    };
}

/// How many they are.
pub(crate) const EVENT_COLUMNS: usize = 9;

/// As `event_columns!`, without the state key of events that did not become state.
macro_rules! effective_columns {
    () => {
        $crate::rows::event_columns!(
            "iif(e.state_key IS NULL OR EXISTS (SELECT 1 FROM state_deltas d WHERE d.room = e.pos >> 32 \
               AND d.kind = e.kind AND d.state_key = e.state_key AND d.pos = e.pos AND d.event IS NULL), \
             e.state_key, NULL)"
        )
    };
}

/// `span`: for each ask in the JSON list `?1` of a room that is stored here, which positions it wants.
///
/// An ask is `[room_id, user_id, after, until, limit, oldest first, pattern set, lazy, replaced]`. `span` has `i` (the
/// ask's index), `room` (its number), `user_id`, `after`, `patterns`, `lazy`, `replaced`, `head` (newest stored), and the
/// wanted range: above `low`, up to `high`.
macro_rules! span {
    () => {
        "WITH ask AS MATERIALIZED (\
           SELECT a.key AS i, r.num AS room, a.value ->> 1 AS user_id, a.value ->> 2 AS after, \
                  a.value ->> 3 AS until, a.value ->> 4 AS most, a.value ->> 5 AS oldest, \
                  a.value ->> 6 AS patterns, a.value ->> 7 AS lazy, a.value ->> 8 AS replaced, \
                  coalesce((SELECT e.pos & 4294967295 FROM events e \
                    WHERE e.pos > (r.num << 32) AND e.pos < ((r.num + 1) << 32) \
                    ORDER BY e.pos DESC LIMIT 1), 0) AS head \
           FROM json_each(?1) a CROSS JOIN rooms r ON r.room_id = a.value ->> 0\
         ), capped AS (\
           SELECT *, min(coalesce(until, head), head) AS top FROM ask\
         ), span AS MATERIALIZED (\
           SELECT i, room, user_id, after, patterns, lazy, replaced, head, \
                  CASE WHEN oldest THEN after ELSE max(after, top - most) END AS low, \
                  CASE WHEN oldest THEN min(top, after + most) ELSE top END AS high \
           FROM capped\
         )"
    };
}

/// The visibility facts of each row of `span` (which needs `i`, `room`, `user_id`, `low`): the values that hold at `low`
/// and every change after it. To be read by [`add_fact`].
macro_rules! facts {
    () => {
        ", fact AS (\
           SELECT i, room, low, 'm.room.history_visibility' AS kind, '' AS state_key, \
                  '$.content.history_visibility' AS path FROM span \
           UNION ALL \
           SELECT i, room, low, 'm.room.member', user_id, '$.content.membership' FROM span\
         ) \
         SELECT f.i AS i, f.kind AS kind, d.pos & 4294967295 AS seq, e.pdu ->> f.path AS value \
         FROM fact f CROSS JOIN state_deltas d \
           ON d.room = f.room AND d.kind = f.kind AND d.state_key = f.state_key \
           AND d.pos >= coalesce((SELECT p.pos FROM state_deltas p \
             WHERE p.room = f.room AND p.kind = f.kind AND p.state_key = f.state_key \
             AND p.pos <= (f.room << 32) + f.low ORDER BY p.pos DESC LIMIT 1), 0) \
         LEFT JOIN events e ON e.pos = coalesce(d.event, d.pos)"
    };
}

/// Columns that say of each row how large it is: `bytes` of its ask and of those before it, its `place` in its ask.
macro_rules! sizes {
    ($ask:literal) => {
        concat!(
            "sum(length(CAST(e.pdu AS BLOB)) + coalesce(length(CAST(e.unsigned AS BLOB)), 0)) OVER (ORDER BY ",
            $ask,
            ".i) AS bytes, row_number() OVER (PARTITION BY ",
            $ask,
            ".i) AS place"
        )
    };
}

/// Rows of `sized`, which has `event_columns!` and `sizes!`: of the first asks as many as have `?3` bytes together, of ask
/// `?4` in any case, and of each other one the first row, without PDU.
macro_rules! within {
    ($more:literal) => {
        concat!(
            "SELECT i AS i, seq AS seq, event_id AS event_id, kind AS kind, sender AS sender, state_key AS state_key, \
               ts AS ts, iif(fits, pdu, NULL) AS pdu, iif(fits, unsigned, NULL) AS unsigned, txn AS txn",
            $more,
            " FROM (SELECT *, bytes <= ?3 OR i = ?4 AS fits FROM sized) WHERE fits OR place = 1"
        )
    };
}

pub(crate) use {effective_columns, event_columns, facts, sizes, span, within};

/// A row of `within!` stands for an ask that did not fit.
pub(crate) fn is_over(row: &Row, from: usize) -> bool {
    row.text(from + 6).is_none()
}

/// Reads the columns of `event_columns!`, the first of which is at `from`.
pub(crate) fn stored_event(row: &Row, from: usize) -> Result<StoredEvent, MatrixError> {
    read_event(row, from).ok_or_else(MatrixError::unavailable)
}

fn read_event(row: &Row, from: usize) -> Option<StoredEvent> {
    let txn = match row.text(from + 8) {
        Some(txn) => Some(serde_json::from_str(txn).ok()?),
        None => None,
    };
    let unsigned = match row.string(from + 7) {
        Some(unsigned) => Some(RawJson::parse(unsigned).ok()?),
        None => None,
    };
    Some(StoredEvent {
        seq: RoomSeq(row.int(from)?),
        event_id: EventId::parse(row.text(from + 1)?).ok()?,
        kind: row.string(from + 2)?,
        sender: row.string(from + 3)?,
        state_key: row.string(from + 4),
        ts: Millis(row.int(from + 5)?),
        pdu: RawJson::parse(row.string(from + 6)?).ok()?,
        unsigned,
        txn,
    })
}

/// Reads a row of `facts!`. A value that is not text, or of an event that state resolution took away, is
/// kept as an empty one, which no rule knows.
pub(crate) fn add_fact(facts: &mut VisibilityFacts, row: &Row) {
    let Some(seq) = row.int(2).map(RoomSeq) else { return };
    let value = row.string(3).unwrap_or_default();
    let list = if row.text(1) == Some(MEMBER) { &mut facts.membership } else { &mut facts.history };
    let at = list.partition_point(|(earlier, _)| *earlier < seq);
    list.insert(at, (seq, value));
}
