// Registrations of application services: reads one, adds it to those of a server, lists them, removes one. Tokens are never
// shown. See wrangler/README.md, "Application services".

import { closeSync, openSync, readSync } from "node:fs";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { LARGEST, readRegistration } from "./registration.mjs";
import { added, listOf, openStore, save } from "./registrations.mjs";

const say = (line) => process.stderr.write(`${line}\n`);

const { values: options, positionals: [deed] } = parseArgs({
  allowPositionals: true,
  options: {
    state: { type: "string" },
    deployment: { type: "string" },
    file: { type: "string" },
    id: { type: "string" },
    replace: { type: "boolean" },
  },
});

/** At most one byte more than is allowed, whatever the file is. */
function beginning(file) {
  const [bytes, handle] = [Buffer.alloc(LARGEST + 1), openSync(file)];
  let length = 0;
  for (let more = 1; more > 0 && length < bytes.length; length += more) more = readSync(handle, bytes, length, bytes.length - length);
  closeSync(handle);
  return bytes.subarray(0, length);
}

/** The registration in a file goes to stdout, for the caller to look at its expressions. */
function read() {
  const { registration, unknown } = readRegistration(beginning(options.file));
  if (unknown.length > 0) say(`left out, because the server does not know it: ${unknown.join(", ")}`);
  process.stdout.write(JSON.stringify(registration));
}

/** Takes what `read` printed. */
async function add(store) {
  const registration = JSON.parse(await text(process.stdin));
  save(store, added(listOf(store), registration, options.replace));
  say(`${registration.id} is in ${store.file}`);
  const obstacle = store.obstacle(registration.url);
  if (obstacle) say(obstacle);
  say(await store.next());
}

function list(store) {
  for (const { id, url, sender_localpart } of listOf(store)) {
    process.stdout.write(`${JSON.stringify({ id, url: url ?? null, sender_localpart })}\n`);
  }
}

async function remove(store) {
  const services = listOf(store);
  const others = services.filter(({ id }) => id !== options.id);
  if (others.length === services.length) throw new Error(`${options.id} is not registered; \`cargo xtask appservice list\` shows what is`);
  save(store, others);
  say(`${options.id} is no longer in ${store.file}; what waits for it is dropped when the server learns of that`);
  say(await store.next());
}

try {
  if (deed === "read") read();
  else await { add, list, remove }[deed](openStore(options));
} catch (error) {
  for (const reason of error.reasons ?? [error.message]) say(`error: ${error.reasons ? `${options.file}: ` : ""}${reason}`);
  process.exitCode = 1;
}
