// Writing a backup into an empty server. All of it may be repeated: a run that was cut is run again.

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
  if (lost) throw new Error(`the server has no ${lost.table} in ${lost.database}: bind as many databases as the old one had`);
  return tables;
}

export async function restore(server, vault, say) {
  const id = vault.previous;
  const root = `restore/${encodeURIComponent(id)}`;
  const databases = (question) => server.ask(`${root}/databases`, question);
  await server.ask("backup/record/restore", {});
  await databases({ begin: { restore: id } });

  const write = (kind, entry, body) => server.ask(`${root}/${objectPath(kind, entry.object)}`, body);
  for (const kind of KINDS) {
    const entries = objectsOf(vault, kind);
    await each(entries, AT_ONCE, async (entry) => {
      for (let number = 0; number < entry.pages; number += 1) {
        const page = vault.get(vault.known(`${kind}/${entry.object}#${number}`));
        await write(kind, entry, `{"id":${JSON.stringify(id)},"number":${number},"page":${page}}`);
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

  for (const [database, table] of await tablesOf(server, vault)) {
    for (const entry of vault.list(`databases/${database}/${table}#`)) {
      const rows = vault.get(entry);
      await databases(`{"write":${JSON.stringify({ restore: id, database, table }).slice(0, -1)},"rows":${rows}}}`);
    }
  }
  say("databases: written");

  // What was stored after a room was read, the room stores again.
  const heads = objectsOf(vault, "rooms").map((entry) => [entry.object, entry.stored]);
  for (let at = 0; at < heads.length; at += ROOMS_AT_ONCE) {
    await databases({ trim: { restore: id, rooms: heads.slice(at, at + ROOMS_AT_ONCE) } });
  }
  for (const kind of KINDS) {
    await each(objectsOf(vault, kind), AT_ONCE, (entry) => write(kind, entry, { id, number: 0, wake: true }));
  }
  await databases({ end: { restore: id } });
  await server.ask("backup/record/restored", {});
}
