// Writing a backup into an empty server. All of it may be repeated: a run that was cut is run again.

import { randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import { each, objectPath } from "./administration.mjs";

const AT_ONCE = 4;
const ROOMS_AT_ONCE = 100;
const KINDS = ["users", "rooms", "destinations", "services"];

/** The entries that name objects of a class. */
const objectsOf = (vault, kind) => vault.list(`${kind}/`).filter((entry) => entry.object !== undefined);

/** The tables in the order in which they are written. */
async function tablesOf(server, vault) {
  const { databases: list } = JSON.parse(await server.ask("backup/databases", { list: {} }));
  const tables = list.flatMap(({ name, tables: names }) => names.map((table) => [name, table]));
  const there = new Set(tables.map(([database, table]) => `${database}/${table}`));
  const lost = vault.list("databases/").find(({ database, table }) => !there.has(`${database}/${table}`));
  if (lost && list.every(({ name }) => name !== lost.database)) {
    throw new Error(`the server has no ${lost.database}: bind as many databases as the old one had`);
  }
  if (lost) throw new Error(`the server has no table ${lost.table} in ${lost.database}: the backup is of a newer build`);
  return tables;
}

/** Writes the databases, and takes away what was stored after a room was read: the room stores it again. */
async function rows(server, vault, run, databases) {
  for (const [database, table] of await tablesOf(server, vault)) {
    for (const entry of vault.list(`databases/${database}/${table}#`)) {
      const question = JSON.stringify({ restore: run, database, table }).slice(0, -1);
      await databases(`{"write":${question},"rows":${vault.get(entry)}}}`);
    }
  }
  const heads = objectsOf(vault, "rooms").map((entry) => [entry.object, entry.stored[0] ?? 0]);
  for (let at = 0; at < heads.length; at += ROOMS_AT_ONCE) {
    await databases({ trim: { restore: run, rooms: heads.slice(at, at + ROOMS_AT_ONCE) } });
  }
}

export async function restore(server, vault, say) {
  const id = vault.previous;
  // Of two runs of one restore the later one goes on, and the other is refused.
  const run = `${id}.${randomUUID()}`;
  const root = `restore/${run}`;
  const databases = (question) => server.ask(`${root}/databases`, question);
  await server.ask("backup/record/restore", {});
  const { written } = JSON.parse(await databases({ begin: { restore: run } }));

  const write = (kind, entry, body) => server.ask(`${root}/${objectPath(kind, entry.object)}`, body);
  const fill = async (kind, entry, number) => {
    const page = vault.get(vault.need(`${kind}/${entry.object}#${number}`));
    const { next } = JSON.parse(await write(kind, entry, `{"id":"${id}","number":${number},"schema":${entry.schema},"page":${page}}`));
    return next;
  };
  for (const kind of KINDS) {
    const entries = objectsOf(vault, kind);
    await each(entries, AT_ONCE, async (entry) => {
      // The object knows which page it wants next: after a cut, not the first.
      for (let number = 0, sent = 0; number < entry.pages; sent += 1) {
        if (sent > 2 * entry.pages) throw new Error(`${entry.object} does not take its pages`);
        number = await fill(kind, entry, number);
      }
      await write(kind, entry, { id, number: entry.pages, schema: entry.schema });
    });
    say(`${kind}: ${entries.length}`);
  }

  const contents = vault.list("media/");
  await each(contents, AT_ONCE, (entry) => server.send(
    "PUT",
    `${root}/media/${encodeURIComponent(entry.name.slice("media/".length))}`,
    async () => Readable.toWeb(await vault.getStream(entry)),
  ));
  say(`media: ${contents.length}`);

  // Rooms that have begun to go on store events of their own: from then on nothing is written over them.
  if (!written) {
    await rows(server, vault, run, databases);
    await databases({ written: { restore: run } });
  }
  say("databases: written");

  // Until an object is woken it answers nothing. Whom it calls is woken before it.
  for (const kind of [...KINDS].reverse()) {
    await each(objectsOf(vault, kind), AT_ONCE, (entry) => write(kind, entry, { id, number: 0, wake: true }));
  }
  await databases({ end: { restore: run } });
  await server.ask("backup/record/restored", {});
}
