//! The storage worker without the platform.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    rc::Rc,
};

use futures::future::FutureExt;
use tern_ports::{Row, Sql, SqlError, Target, Unreachable};
use tern_storage::{Database, Databases, ShardMap, Statement, Storage};

/// Shards of a storage worker under test, as `wrangler/storage-worker.jsonc` has them.
pub const SHARDS: u8 = 4;

use crate::{Network, Sqlite, executor::yield_once, network::Exchange};

/// D1 as the storage worker has it: GLOBAL and the shards, each a SQLite database made by the real migrations. What real
/// D1 would refuse or garble is an error here too.
pub struct D1 {
    global: Sqlite,
    shards: Vec<Sqlite>,
    /// While set, every batch fails.
    pub outage: Cell<bool>,
    /// How many of the shards are configured.
    pub configured: Cell<u8>,
    /// Sizes that are told instead of the real ones.
    pub sizes: RefCell<BTreeMap<Database, u64>>,
    batches: RefCell<Vec<(Database, Vec<Statement>)>>,
}

impl Default for D1 {
    fn default() -> Self {
        Self {
            global: migrated("global"),
            // One more, should a test add it.
            shards: (0..=SHARDS).map(|_| migrated("events")).collect(),
            outage: Cell::new(false),
            configured: Cell::new(SHARDS),
            sizes: RefCell::default(),
            batches: RefCell::default(),
        }
    }
}

impl D1 {
    /// One of the databases, to look into.
    ///
    /// # Panics
    /// For a shard that does not exist.
    pub fn database(&self, database: Database) -> &Sqlite {
        match database {
            Database::Global => &self.global,
            Database::Shard(shard) => self.shards.get(usize::from(shard)).expect("the shard exists"),
        }
    }

    /// The batches since this was last asked, in order.
    pub fn take_batches(&self) -> Vec<(Database, Vec<Statement>)> {
        self.batches.take()
    }

    /// Rows written so far in all databases, as they are billed.
    pub fn rows_written(&self) -> u64 {
        self.shards.iter().map(Sql::rows_written).sum::<u64>() + self.global.rows_written()
    }

    fn run(&self, database: Database, statements: &[Statement]) -> Result<Vec<Vec<Row>>, SqlError> {
        if self.outage.get() {
            return Err(SqlError("D1_ERROR: Network connection lost".to_owned()));
        }
        let sqlite = self.database(database);
        let rows = sqlite.transaction(|| {
            let rows = statements.iter().map(|statement| {
                refuse_equal_names(&sqlite.columns(statement.sql)?)?;
                sqlite.query(statement.sql, &statement.params)
            });
            rows.collect()
        });
        sqlite.make_durable();
        rows
    }
}

impl Databases for D1 {
    async fn batch(&self, database: Database, statements: Vec<Statement>) -> Result<Vec<Vec<Row>>, SqlError> {
        yield_once().await;
        let rows = self.run(database, &statements);
        self.batches.borrow_mut().push((database, statements));
        rows
    }

    fn shards(&self) -> u8 {
        self.configured.get()
    }

    async fn size(&self, database: Database) -> Result<u64, SqlError> {
        let told = self.sizes.borrow().get(&database).copied();
        Ok(told.unwrap_or_else(|| self.database(database).bytes()))
    }
}

/// D1 hands a row over as an object.
fn refuse_equal_names(names: &[String]) -> Result<(), SqlError> {
    let distinct: BTreeSet<_> = names.iter().collect();
    let plain = names.iter().all(|name| name.starts_with(|first: char| first.is_ascii_lowercase()));
    if distinct.len() != names.len() || !plain {
        return Err(SqlError(format!("columns need names of their own: {names:?}")));
    }
    Ok(())
}

fn migrated(folder: &str) -> Sqlite {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wrangler/migrations").join(folder);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("the folder of migrations is there")
        .map(|entry| entry.expect("its entries can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no migrations in {}", folder.display());
    let sqlite = Sqlite::memory().planning();
    for file in files {
        sqlite.script(&fs::read_to_string(file).expect("the migration can be read"));
    }
    sqlite.make_durable();
    sqlite
}

/// The storage worker on [`D1`].
#[derive(Default)]
pub struct StorageNode {
    /// Its databases.
    pub d1: Rc<D1>,
    shards: ShardMap,
}

impl StorageNode {
    /// A storage worker with empty databases.
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    /// The worker in another isolate: same databases, nothing remembered.
    #[must_use]
    pub fn restarted(&self) -> Rc<Self> {
        Rc::new(Self { d1: Rc::clone(&self.d1), shards: ShardMap::default() })
    }

    /// Answers one frame.
    pub async fn answer(&self, frame: &[u8]) -> Vec<u8> {
        Storage { databases: &*self.d1, shards: &self.shards }.answer(frame).await
    }
}

/// So that a storage worker can be the whole network of a test.
pub struct StorageOnly(pub Rc<StorageNode>);

impl Network for StorageOnly {
    fn exchange(&self, target: Target, frame: Vec<u8>) -> Exchange {
        let node = Rc::clone(&self.0);
        async move {
            match target {
                Target::Storage => Ok(node.answer(&frame).await),
                _ => Err(Unreachable("only the storage worker is there".to_owned())),
            }
        }
        .boxed_local()
    }
}
