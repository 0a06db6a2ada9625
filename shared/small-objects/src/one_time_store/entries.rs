//! Entries that are kept in a one-time store for a while: stages of interactive authentication, login tokens, e-mail
//! validations. Taking them is reading and deleting in one turn of the object, so that of any number of takers one gets
//! them.

use std::collections::BTreeMap;

use tern_model::{MatrixError, Millis, RawJson};
use tern_ports::{
    ObjectHost, Sql, SqlError,
    wire::{
        Done,
        one_time_store::{Entries, StoreEntry},
    },
};

use super::OneTimeStoreActor;

impl<H: ObjectHost> OneTimeStoreActor<H> {
    pub(super) async fn store_entry(&self, ask: StoreEntry) -> Result<Done, MatrixError> {
        self.host.sql().query(
            "INSERT INTO note (name, value, until) VALUES (?, ?, ?)
             ON CONFLICT DO UPDATE SET value = excluded.value, until = excluded.until",
            &[ask.name.into(), ask.value.text().into(), ask.until.0.into()],
        )?;
        self.look_again(ask.until).await;
        Ok(Done {})
    }

    pub(super) fn read_entries(&self) -> Result<Entries, MatrixError> {
        if !self.is_there()? {
            return Ok(Entries::new());
        }
        let rows =
            self.host.sql().query("SELECT name, value FROM note WHERE until > ?", &[self.host.now().0.into()])?;
        let note = |row: &tern_ports::Row| Some((row.string(0)?, RawJson::parse(row.string(1)?).ok()?));
        Ok(rows.iter().filter_map(note).collect::<BTreeMap<_, _>>())
    }

    pub(super) fn take_entries(&self) -> Result<Entries, MatrixError> {
        if !self.is_there()? {
            return Ok(Entries::new());
        }
        self.host.sql().transaction(|| {
            let entries = self.read_entries()?;
            self.host.sql().query("DELETE FROM note", &[])?;
            Ok(entries)
        })
    }
}

/// When the last entry is worth nothing any more.
pub(super) fn until(sql: &impl Sql) -> Result<Millis, SqlError> {
    let rows = sql.query("SELECT coalesce(max(until), 0) FROM note", &[])?;
    Ok(Millis(rows.first().and_then(|row| row.int(0)).unwrap_or(0)))
}
