//! What users report to the operator.

use tern_model::MatrixError;
use tern_ports::wire::{Done, directory::FileReport};

use crate::{
    Storage,
    sql::{Database, Databases, Statement, run},
};

const REPORT: &str = "INSERT INTO reports (reporter, room_id, event_id, user_id, reason, ts) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

/// One write.
pub(crate) async fn file_report<D: Databases>(storage: &Storage<'_, D>, ask: FileReport) -> Result<Done, MatrixError> {
    let params = [
        ask.reporter.as_str().into(),
        ask.room_id.as_ref().map(|id| id.as_str()).into(),
        ask.event_id.as_ref().map(|id| id.as_str()).into(),
        ask.user_id.as_ref().map(|id| id.as_str()).into(),
        ask.reason.into(),
        ask.ts.0.into(),
    ];
    run(&storage.databases, Database::Global, [Statement::new(REPORT, params)]).await?;
    Ok(Done {})
}
