//! What only state changes change: a room's summary, and the stripped state of an invite or knock.

use std::{collections::BTreeMap, rc::Rc};

use ruma::{OwnedRoomId, RoomId};
use tern_model::{RawJson, RoomSummary};
use tern_ports::{Row, Sql, SqlError};

/// The facts of a room.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Facts {
    pub(crate) summary: Option<Rc<RoomSummary>>,
    pub(crate) stripped: Rc<[RawJson]>,
    /// The user's display name there.
    pub(crate) own_name: Option<Rc<str>>,
}

impl Default for Facts {
    fn default() -> Self {
        Self { summary: None, stripped: Rc::from([]), own_name: None }
    }
}

fn facts(row: &Row) -> Facts {
    let stripped = row.text(2).and_then(|text| serde_json::from_str::<Vec<RawJson>>(text).ok());
    Facts {
        summary: row.text(1).and_then(|text| serde_json::from_str(text).ok()).map(Rc::new),
        stripped: stripped.unwrap_or_default().into(),
        own_name: row.text(3).map(Rc::from),
    }
}

pub(crate) fn load(sql: &impl Sql, room_id: &RoomId) -> Result<Facts, SqlError> {
    let rows = sql.query(
        "SELECT room_id, summary, stripped, own_name FROM room_facts WHERE room_id = ?",
        &[room_id.as_str().into()],
    )?;
    Ok(rows.first().map(facts).unwrap_or_default())
}

pub(crate) fn all(sql: &impl Sql) -> Result<BTreeMap<OwnedRoomId, Facts>, SqlError> {
    let rows = sql.query("SELECT room_id, summary, stripped, own_name FROM room_facts", &[])?;
    Ok(rows.iter().filter_map(|row| Some((row.text(0)?.try_into().ok()?, facts(row)))).collect())
}

pub(crate) fn write(sql: &impl Sql, room_id: &RoomId, facts: &Facts) -> Result<(), SqlError> {
    // Our own types always serialise.
    let summary = facts.summary.as_deref().and_then(|summary| serde_json::to_string(summary).ok());
    let stripped = (!facts.stripped.is_empty()).then(|| serde_json::to_string(facts.stripped.as_ref()).ok()).flatten();
    sql.query(
        "INSERT INTO room_facts (room_id, summary, stripped, own_name) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET
         summary = excluded.summary, stripped = excluded.stripped, own_name = excluded.own_name",
        &[
            room_id.as_str().into(),
            summary.into(),
            stripped.into(),
            facts.own_name.as_deref().map(str::to_owned).into(),
        ],
    )?;
    Ok(())
}

pub(crate) fn delete(sql: &impl Sql, room_id: &RoomId) -> Result<(), SqlError> {
    sql.query("DELETE FROM room_facts WHERE room_id = ?", &[room_id.as_str().into()])?;
    Ok(())
}
