//! The numbered tables of every class of objects.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{cell::Cell, collections::BTreeMap};

use tern_object_kit::schema::Schema;
use tern_ports::{Row, Sql, SqlError, Value};
use tern_small_objects::{device_sign_in, one_time_store};
use tern_testkit::Sqlite;

const CLASSES: [(&str, &Schema); 4] = [
    ("room", &tern_room_hub::SCHEMA),
    ("user", &tern_user_hub::SCHEMA),
    ("gate", &one_time_store::SCHEMA),
    ("handoff", &device_sign_in::SCHEMA),
];

/// Tables, columns and indices by name. The order of columns is that of their coming, which nothing may rely on.
fn shape(sqlite: &Sqlite) -> BTreeMap<String, Vec<String>> {
    let found = "SELECT name, type, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'";
    let objects = sqlite.query(found, &[]).unwrap();
    let described = objects.iter().map(|row| {
        let name = row.string(0).unwrap();
        let mut parts = match row.text(1) {
            Some("table") => sqlite.columns(&format!("SELECT * FROM {name}")).unwrap(),
            _ => vec![row.string(2).unwrap()],
        };
        parts.sort_unstable();
        (name, parts)
    });
    described.collect()
}

fn made(schema: &Schema) -> Sqlite {
    let sqlite = Sqlite::memory();
    schema.create(&sqlite).unwrap();
    sqlite
}

/// The object as the build that had only the first `steps` left it, without a number if it stored none.
fn left_by(schema: &Schema, steps: usize) -> Sqlite {
    let sqlite = Sqlite::memory();
    let then = Schema { steps: schema.steps.get(..steps).unwrap(), ..*schema };
    if steps > schema.signs.len() {
        then.create(&sqlite).unwrap();
    } else {
        then.steps.iter().copied().flatten().for_each(|statement| drop(sqlite.query(statement, &[]).unwrap()));
    }
    sqlite
}

#[test]
fn every_earlier_build_ends_where_a_new_object_starts() {
    for (name, schema) in CLASSES {
        let today = shape(&made(schema));
        assert!(today.len() > 1, "{name}: {today:?}");
        for steps in 1..=schema.steps.len() {
            let sqlite = left_by(schema, steps);
            assert!(schema.renew(&sqlite).unwrap(), "{name} from step {steps}: there is something to renew");
            assert_eq!(shape(&sqlite), today, "{name} from step {steps}");
            assert_eq!(schema.taken(&sqlite).unwrap(), schema.steps.len(), "{name} from step {steps}");
        }
    }
}

#[test]
fn an_object_without_tables_stays_empty() {
    for (name, schema) in CLASSES {
        let sqlite = Sqlite::memory();
        assert!(!schema.renew(&sqlite).unwrap(), "{name}");
        assert!(shape(&sqlite).is_empty(), "{name}");
    }
}

#[test]
fn what_is_up_to_date_costs_one_read_and_no_row() {
    for (name, schema) in CLASSES {
        let sqlite = made(schema);
        let before = (sqlite.statements(), sqlite.rows_written());
        assert!(schema.renew(&sqlite).unwrap(), "{name}");
        assert_eq!((sqlite.statements(), sqlite.rows_written()), (before.0 + 1, before.1), "{name}");
    }
}

/// A database that refuses statements after a number of them.
struct Failing(Sqlite, Cell<u32>);

impl Sql for Failing {
    fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Row>, SqlError> {
        let left = self.1.get().checked_sub(1).ok_or_else(|| SqlError("full".to_owned()))?;
        self.1.set(left);
        self.0.query(sql, params)
    }

    fn transaction<T, E: From<SqlError>>(&self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.0.transaction(work)
    }

    fn rows_written(&self) -> u64 {
        self.0.rows_written()
    }
}

#[test]
fn a_renewal_that_fails_leaves_what_was_there() {
    for (name, schema) in CLASSES {
        let before = shape(&left_by(schema, 1));
        let mut allowed = 0;
        loop {
            let failing = Failing(left_by(schema, 1), Cell::new(allowed));
            if schema.renew(&failing).is_ok() {
                break;
            }
            assert_eq!(shape(&failing.0), before, "{name} after {allowed} statements");
            allowed += 1;
            assert!(allowed < 100, "{name} is renewed at last");
        }
    }
}
