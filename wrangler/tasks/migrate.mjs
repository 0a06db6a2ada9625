// Applies D1 migrations to the local databases, kept account of as `wrangler d1 migrations apply` does it, so that
// either may continue where the other stopped.

import { readFile, readdir } from "node:fs/promises";
import path from "node:path";
import { unstable_splitSqlQuery as splitSqlQuery } from "wrangler";

const CREATE_TABLE = `CREATE TABLE IF NOT EXISTS d1_migrations(
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  name       TEXT UNIQUE,
  applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
)`;

async function migrationFiles(directory) {
  const names = (await readdir(directory)).filter((name) => name.endsWith(".sql")).sort();
  if (names.length === 0) throw new Error(`no migrations in ${directory}`);
  return names;
}

/** One atomic batch per file: a migration is applied wholly and recorded, or not at all. */
async function migrateDatabase(database, directory) {
  await database.prepare(CREATE_TABLE).run();
  const { results } = await database.prepare("SELECT name FROM d1_migrations").all();
  const applied = new Set(results.map((row) => row.name));
  const fresh = (await migrationFiles(directory)).filter((name) => !applied.has(name));
  for (const name of fresh) {
    const sql = await readFile(path.join(directory, name), "utf8");
    const statements = splitSqlQuery(sql).map((statement) => database.prepare(statement));
    const record = database.prepare("INSERT INTO d1_migrations (name) VALUES (?)").bind(name);
    await database.batch([...statements, record]);
  }
  return fresh;
}

/** Brings every database of a worker's configuration up to date. */
export async function migrate(miniflare, config, say) {
  const base = path.dirname(config.configPath);
  const jobs = config.d1_databases.map(async ({ binding, migrations_dir: directory }) => {
    const database = await miniflare.getD1Database(binding, config.name);
    const applied = await migrateDatabase(database, path.resolve(base, directory));
    if (applied.length > 0) say(`${binding}: applied ${applied.join(", ")}`);
  });
  await Promise.all(jobs);
}
