//! The database loses what is not durable and refuses what the platform refuses.

use tern_ports::{Sql, SqlError, Value};

use tern_testkit::Sqlite;

fn count(sqlite: &Sqlite) -> Option<u64> {
    sqlite.query("SELECT count(*) FROM t", &[]).unwrap()[0].int(0)
}

fn fresh() -> Sqlite {
    let sqlite = Sqlite::memory();
    sqlite.script("CREATE TABLE t (x INTEGER PRIMARY KEY, y TEXT) STRICT");
    sqlite.make_durable();
    sqlite
}

#[test]
fn a_failed_transaction_leaves_nothing() {
    let sqlite = fresh();
    let failed = sqlite.transaction(|| {
        sqlite.query("INSERT INTO t VALUES (1, 'a')", &[])?;
        sqlite.query("INSERT INTO t VALUES (?, ?)", &[1_u64.into(), "b".into()])
    });
    assert!(failed.is_err());
    assert_eq!(count(&sqlite), Some(0));
    assert!(sqlite.transaction(|| sqlite.transaction(|| Ok::<_, SqlError>(()))).is_err());
}

#[test]
fn a_crash_loses_what_was_not_durable_and_nothing_else() {
    let sqlite = fresh();
    sqlite.query("INSERT INTO t VALUES (1, 'a')", &[]).unwrap();
    sqlite.make_durable();
    sqlite.query("INSERT INTO t VALUES (2, 'b')", &[]).unwrap();
    assert_eq!(count(&sqlite), Some(2));
    sqlite.crash();
    assert_eq!(count(&sqlite), Some(1));
}

#[test]
fn what_the_platform_refuses_is_refused() {
    let sqlite = fresh();
    assert!(sqlite.query("BEGIN", &[]).is_err());
    assert!(sqlite.query("INSERT INTO t VALUES (?, 'a')", &[]).is_err());
    assert!(sqlite.query("INSERT INTO t VALUES (?, 'a')", &[Value::Int(1 << 60)]).is_err());
    let many = vec!["?"; 101].join(", ");
    let params = vec![Value::Null; 101];
    assert!(sqlite.query(&format!("SELECT coalesce({many})"), &params).is_err());
}

#[test]
fn numbers_are_bound_as_the_platform_binds_them() {
    let sqlite = fresh();
    let bound = sqlite.query("SELECT typeof(?1)", &[Value::Int(5)]).unwrap();
    assert_eq!(bound[0].text(0), Some("real"));
    let kept = sqlite.query("INSERT INTO t VALUES (?1, NULL) RETURNING typeof(x)", &[Value::Int(5)]).unwrap();
    assert_eq!(kept[0].text(0), Some("integer"));
}

#[test]
fn rows_written_counts_changes() {
    let sqlite = fresh();
    let before = sqlite.rows_written();
    sqlite.query("INSERT INTO t VALUES (1, 'a'), (2, 'b')", &[]).unwrap();
    sqlite.query("SELECT * FROM t", &[]).unwrap();
    assert_eq!(sqlite.rows_written() - before, 2);
}
