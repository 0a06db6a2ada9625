// Reading a server while people use it. The order is what makes the parts agree (shared/decisions/0049-backup.md): users
// before rooms, rooms before databases, databases before media.

import { Refusal, each, objectPath } from "./administration.mjs";

const AT_ONCE = 4;
/** An object that changes during its export is begun again so often. */
const TRIES = 20;

/** Pages of a table, as texts of lists of rows, and each row parsed. */
async function* pages(server, database, table) {
  for (let after = null; ;) {
    const question = `{"rows":{"database":"${database}","table":"${table}","after":${after}}}`;
    const text = await server.ask("backup/databases", question);
    const cut = text.lastIndexOf(',"next":');
    const [rows, next] = [text.slice('{"rows":'.length, cut), text.slice(cut + ',"next":'.length, -1)];
    if (next === "null") return;
    yield rows;
    after = next;
  }
}

async function column(server, table, name) {
  const values = [];
  for await (const rows of pages(server, "GLOBAL", table)) values.push(...JSON.parse(rows).map((row) => row[name]));
  return values;
}

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

/**
 * All pages of one version, each to `keep` as it comes; of a version that is gone before the last page, all over again. Nothing when
 * there is no such object; `unchanged` when the known one holds.
 */
async function pagesOf(server, kind, name, known, keep) {
  const path = `backup/${objectPath(kind, name)}`;
  for (let tries = 1; tries <= TRIES; tries += 1) {
    let page = JSON.parse(await server.ask(path, { version: known?.version }));
    if (page.absent) return undefined;
    if (page.unchanged) return "unchanged";
    const found = { version: page.version, schema: page.schema, pages: 0 };
    for (;;) {
      keep(page.tables, found.pages);
      found.pages += 1;
      if (!page.next) return found;
      page = JSON.parse(await server.ask(path, { version: found.version, ...page.next }));
      if (page.changed || page.absent) break;
    }
    // Another moment, so as not to keep step with whoever writes regularly.
    await pause(Math.random() * 100 * tries);
  }
  throw new Error(`${name} changed ${TRIES} times while it was read; try again when less is going on there`);
}

/** Values of a column in a page of an object. */
function values(tables, table, name) {
  return tables.filter((part) => part.name === table)
    .flatMap((part) => { const at = part.columns.indexOf(name); return part.rows.map((row) => row[at]); });
}

/** What of a page the rest of the backup needs. */
const FACTS = {
  users: (tables) => ({ rooms: values(tables, "room", "room_id") }),
  // Up to there the room's events are in the database, whole.
  rooms: (tables) => ({ stored: values(tables, "head", "forwarded"), servers: values(tables, "servers", "server") }),
  destinations: () => ({}),
  services: () => ({}),
};

function joined(facts) {
  const all = {};
  for (const [name, found] of facts.flatMap(Object.entries)) (all[name] ??= []).push(...found);
  return all;
}

/** Objects of a class. An object is one entry for its pages, and one that names them. */
async function objects(server, vault, say, kind, names) {
  const made = [];
  let [read, kept] = [0, 0];
  await each(names, AT_ONCE, async (name) => {
    const key = `${kind}/${name}`;
    const known = vault.known(key);
    const pagesKnown = known && Array.from({ length: known.pages }, (_, n) => vault.known(`${key}#${n}`));
    const facts = [];
    const keep = (tables, number) => {
      vault.put(`${key}#${number}`, JSON.stringify({ tables }));
      facts.length = number;
      facts.push(FACTS[kind](tables));
    };
    const found = await pagesOf(server, kind, name, pagesKnown?.every(Boolean) ? known : undefined, keep).catch((error) => {
      // A name that no object here can have.
      if (error instanceof Refusal && error.status === 404) return undefined;
      throw error;
    });
    if (found === undefined) return;
    if (found === "unchanged") {
      kept += 1;
      for (const entry of [...pagesKnown, known]) vault.keep(entry);
      made.push(known);
      return;
    }
    read += 1;
    vault.put(key, "", { object: name, ...found, ...joined(facts) });
    made.push(vault.known(key));
  });
  say(`${kind}: ${read} read, ${kept} unchanged`);
  return made;
}

/** The other way round than they are written: what others refer to is read last, so that nothing refers to what is missing. */
async function databases(server, vault, say) {
  const { databases: list } = JSON.parse(await server.ask("backup/databases", { list: {} }));
  for (const { name, tables } of list) {
    let rowsRead = 0;
    for (const table of [...tables].reverse()) {
      let number = 0;
      for await (const rows of pages(server, name, table)) {
        rowsRead += JSON.parse(rows).length;
        vault.put(`databases/${name}/${table}#${number}`, rows, { database: name, table });
        number += 1;
      }
    }
    say(`${name}: ${rowsRead} rows`);
  }
}

async function media(server, vault, say) {
  let [read, kept] = [0, 0];
  const keys = await column(server, "blobs", "object");
  await each(keys, AT_ONCE, async (key) => {
    const known = vault.known(`media/${key}`);
    if (known) {
      kept += 1;
      return vault.keep(known);
    }
    try {
      const reply = await server.send("GET", `backup/media/${encodeURIComponent(key)}`);
      await vault.putStream(`media/${key}`, reply.body);
      read += 1;
    } catch (error) {
      // Nobody had it any more.
      if (!(error instanceof Refusal && error.status === 404)) throw error;
    }
  });
  say(`media: ${read} read, ${kept} known`);
}

const serverOf = (userId) => userId.slice(userId.indexOf(":") + 1);

/** A folder is of one server: a run against another, or against one that was emptied, would end the backup that is there. */
function admitServer(vault, accounts) {
  const known = vault.list("users/").find((entry) => entry.object !== undefined);
  if (!known) return;
  const [there, here] = [serverOf(known.object), accounts.length > 0 ? serverOf(accounts[0]) : undefined];
  if (there === here) return;
  throw new Error(`the folder has a backup of ${there}; this server ${here ? `is ${here}` : "has no users"}: use another folder`);
}

export async function backUp(server, vault, say) {
  const accounts = await column(server, "users", "user_id");
  admitServer(vault, accounts);
  await server.ask("backup/record/backup", {});
  const users = await objects(server, vault, say, "users", accounts);
  const placed = await column(server, "placements", "room_id");
  const names = new Set([...placed, ...users.flatMap((user) => user.rooms)]);
  const rooms = await objects(server, vault, say, "rooms", names);
  // Servers that share no room may have been written to as well.
  const others = [...await column(server, "server_keys", "server"), ...await column(server, "server_troubles", "server")];
  await objects(server, vault, say, "destinations", new Set([...rooms.flatMap((room) => room.servers), ...others]));
  const { appservices } = await server.get("appservices");
  await objects(server, vault, say, "services", appservices.map((service) => service.id));
  await databases(server, vault, say);
  await media(server, vault, say);
}
