//! The state of a room at a position: the newest delta up to there for each type and state key.

use tern_model::{MatrixError, RoomSeq, StoredEvent};
use tern_ports::{Row, wire::storage::StateAt};

use crate::{
    Storage,
    commands::ask::{AskRow, Pattern},
    rows::{EVENT_COLUMNS, event_columns, sizes, span, stored_event, within},
    sql::{Databases, Statement, json_list, run},
};

/// `chosen`: for each ask the positions of its state, and those at which it became state.
macro_rules! chosen {
    () => {
        concat!(
            span!(),
            ", wanted AS MATERIALIZED (\
       SELECT s.i AS i, s.room AS room, (s.room << 32) + s.high AS upto, \
              CASE WHEN p.value ->> 2 THEN 0 ELSE (s.room << 32) + s.after END AS since, \
              p.value ->> 0 AS kind, p.value ->> 1 AS state_key \
       FROM span s CROSS JOIN json_each(?2, '$[' || s.patterns || ']') p \
       UNION \
       SELECT s.i, s.room, (s.room << 32) + s.high, 0, 'm.room.member', e.sender \
       FROM span s CROSS JOIN events e ON e.pos > (s.room << 32) + s.low AND e.pos <= (s.room << 32) + s.high \
       WHERE s.lazy \
       UNION \
       SELECT s.i, s.room, (s.room << 32) + s.low, (s.room << 32) + s.after, e.kind, e.state_key \
       FROM span s CROSS JOIN events e ON e.pos > (s.room << 32) + s.low AND e.pos <= (s.room << 32) + s.high \
       WHERE s.replaced AND e.state_key IS NOT NULL\
     ), held AS (\
       SELECT w.i AS i, w.since AS since, d.pos AS pos, d.event AS event \
       FROM wanted w CROSS JOIN state_deltas d \
         ON d.room = w.room AND d.kind = w.kind AND d.state_key = w.state_key \
         AND d.pos = (SELECT p.pos FROM state_deltas p \
           WHERE p.room = w.room AND p.kind = w.kind AND p.state_key = w.state_key AND p.pos <= w.upto \
           ORDER BY p.pos DESC LIMIT 1) \
       WHERE w.kind IS NOT NULL AND w.state_key IS NOT NULL \
       UNION ALL \
       SELECT w.i, w.since, max(d.pos), d.event FROM wanted w CROSS JOIN state_deltas d \
         ON d.room = w.room AND d.kind = w.kind AND d.pos <= w.upto \
       WHERE w.kind IS NOT NULL AND w.state_key IS NULL GROUP BY w.i, d.kind, d.state_key \
       UNION ALL \
       SELECT w.i, w.since, max(d.pos), d.event FROM wanted w CROSS JOIN state_deltas d \
         ON d.room = w.room AND (w.state_key IS NULL OR d.state_key = w.state_key) AND d.pos <= w.upto \
       WHERE w.kind IS NULL GROUP BY w.i, d.kind, d.state_key\
     ), chosen AS MATERIALIZED (\
       SELECT DISTINCT i, pos, coalesce(event, pos) AS event FROM held WHERE pos > since\
     ) "
        )
    };
}

/// State for each ask in `?1`: what its set of patterns in `?2` matches and what changed after `after`, and with `lazy`
/// the members who sent events of the span, with `replaced` what was before it in the places that it sets. The three kinds of
/// pattern are three ways through the table's key. (`event` is that of the row with the greatest `pos`: so SQLite takes bare
/// columns beside `max`.)
pub(crate) const STATES: &str = concat!(
    chosen!(),
    "SELECT c.i AS i, ",
    event_columns!(),
    ", c.pos & 4294967295 AS became FROM chosen c CROSS JOIN events e ON e.pos = c.event"
);

/// As [`STATES`], within `?3` bytes: see `within!`.
pub(crate) const STATES_WITHIN: &str = concat!(
    chosen!(),
    ", sized AS (SELECT c.i AS i, ",
    event_columns!(),
    ", c.pos & 4294967295 AS became, ",
    sizes!("c"),
    " FROM chosen c CROSS JOIN events e ON e.pos = c.event) ",
    within!(", became AS became")
);

/// Reads a row of [`STATES`]; the position is that at which the event became state.
pub(crate) fn state_event(row: &Row) -> Result<StoredEvent, MatrixError> {
    let became = row.int(EVENT_COLUMNS + 1).map(RoomSeq).ok_or_else(MatrixError::unavailable)?;
    Ok(StoredEvent { seq: became, ..stored_event(row, 1)? })
}

/// One batch on the room's shard; nothing for a room that is not stored.
pub(crate) async fn state_at<D: Databases>(
    storage: &Storage<'_, D>,
    ask: StateAt,
) -> Result<Vec<StoredEvent>, MatrixError> {
    let Some(shard) = storage.shards.find_one(&storage.databases, &ask.room_id).await? else {
        return Ok(Vec::new());
    };
    let rows = json_list(&[AskRow(ask.room_id.as_str(), "", 0, Some(ask.at.0), 0, false, 0, false, false)])?;
    let patterns = json_list(&[[Pattern(ask.kind, ask.state_key, false)]])?;
    let [rows] = run(&storage.databases, shard, [Statement::new(STATES, [rows, patterns])]).await?;
    let mut events = rows.iter().map(state_event).collect::<Result<Vec<_>, _>>()?;
    events.sort_by_key(|event| event.seq);
    Ok(events)
}
