//! State that state resolution changed, as far back as the inbox reaches.

use ruma::RoomId;
use tern_model::{NoticeEvent, ResolvedState, RoomSeq};
use tern_ports::{Row, Sql, SqlError};

use tern_object_kit::schema::Step;

pub(crate) const TABLE: Step = &[
    // `event` is JSON, or nothing where no event is state any more. Of each place the newest resolution change.
    "CREATE TABLE IF NOT EXISTS turned (
        room_id TEXT NOT NULL, kind TEXT NOT NULL, state_key TEXT NOT NULL, seq INTEGER NOT NULL, event TEXT,
        PRIMARY KEY (room_id, kind, state_key)
    ) STRICT, WITHOUT ROWID",
    // Position of the room's newest resolution change, zero for none.
    "ALTER TABLE room ADD COLUMN turned INTEGER NOT NULL DEFAULT 0",
];

pub(crate) fn put(sql: &impl Sql, room_id: &RoomId, resolved: &ResolvedState) -> Result<(), SqlError> {
    let event = resolved.event.as_ref().map(serde_json::to_string).transpose();
    let params = [
        room_id.as_str().into(),
        resolved.kind.as_str().into(),
        resolved.state_key.as_str().into(),
        resolved.seq.0.into(),
        event.map_err(|error| SqlError(error.to_string()))?.into(),
    ];
    sql.query("INSERT OR REPLACE INTO turned (room_id, kind, state_key, seq, event) VALUES (?, ?, ?, ?, ?)", &params)?;
    Ok(())
}

/// All resolution changes of a room, oldest first.
pub(crate) fn of_room(sql: &impl Sql, room_id: &RoomId) -> Result<Vec<ResolvedState>, SqlError> {
    let rows = sql.query(
        "SELECT kind, state_key, seq, event FROM turned WHERE room_id = +? ORDER BY seq",
        &[room_id.as_str().into()],
    )?;
    rows.iter().map(resolved).collect()
}

/// The newest resolution change of a place.
pub(crate) fn of_place(
    sql: &impl Sql,
    room_id: &RoomId,
    (kind, state_key): (&str, &str),
) -> Result<Option<ResolvedState>, SqlError> {
    let rows = sql.query(
        "SELECT kind, state_key, seq, event FROM turned WHERE room_id = ? AND kind = ? AND state_key = ?",
        &[room_id.as_str().into(), kind.into(), state_key.into()],
    )?;
    rows.first().map(resolved).transpose()
}

/// Drops resolution changes before `before`.
pub(crate) fn drop_before(sql: &impl Sql, room_id: &RoomId, before: RoomSeq) -> Result<(), SqlError> {
    sql.query("DELETE FROM turned WHERE room_id = ? AND seq < ?", &[room_id.as_str().into(), before.0.into()])?;
    Ok(())
}

fn resolved(row: &Row) -> Result<ResolvedState, SqlError> {
    let event = row.text(3).map(serde_json::from_str::<NoticeEvent>).transpose();
    Ok(ResolvedState {
        kind: row.string(0).unwrap_or_default(),
        state_key: row.string(1).unwrap_or_default(),
        seq: RoomSeq(row.int(2).unwrap_or_default()),
        event: event.map_err(|error| SqlError(error.to_string()))?,
    })
}
