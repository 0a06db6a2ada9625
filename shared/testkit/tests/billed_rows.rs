//! Rows are counted as the platform bills them: `billed-rows.json` says how many each statement writes, and the end-to-end tests
//! run the same list on workerd.

#![expect(clippy::unwrap_used, reason = "tests")]

use tern_ports::{Sql as _, Value};
use tern_testkit::Sqlite;

#[derive(serde::Deserialize)]
struct List {
    tables: Vec<String>,
    /// Statements to be run one after the other, and the rows that each writes.
    statements: Vec<(String, u64)>,
}

fn list() -> List {
    serde_json::from_str(include_str!("billed-rows.json")).unwrap()
}

fn database() -> Sqlite {
    let sqlite = Sqlite::memory();
    list().tables.iter().for_each(|table| sqlite.script(table));
    sqlite
}

#[test]
fn statements_write_the_rows_that_the_platform_bills() {
    let sqlite = database();
    for (sql, rows) in list().statements {
        let before = sqlite.rows_written();
        sqlite.query(&sql, &[]).unwrap();
        assert_eq!(sqlite.rows_written() - before, rows, "{sql}");
    }
}

#[test]
fn what_is_returned_is_what_was_asked_for() {
    let sqlite = database();
    let rows = sqlite.query("INSERT INTO event (seq, id, pdu) VALUES (1, 'a', '{}') RETURNING id", &[]).unwrap();
    assert_eq!(rows.iter().map(|row| row.0.clone()).collect::<Vec<_>>(), [[Value::Text("a".to_owned())]]);
    assert!(sqlite.query("INSERT INTO event (seq, id, pdu) VALUES (2, 'b', '{}')", &[]).unwrap().is_empty());
}
