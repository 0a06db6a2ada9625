// Everything a server has, into a folder and back into an empty server, by the administration interface. Progress goes to
// stderr. See wrangler/README.md, "Backups".

import { existsSync, mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { isDeepStrictEqual, parseArgs } from "node:util";
import { announce, proxyVars, runningServer, withdraw } from "./instance.mjs";
import { Administration } from "./administration.mjs";
import { backUp } from "./backup-read.mjs";
import { restore } from "./backup-write.mjs";
import { writeWhole } from "./sealed.mjs";
import { Vault } from "./vault.mjs";

const say = (line) => process.stderr.write(`${line}\n`);
globalThis.console = new console.Console(process.stderr, process.stderr);

const { values: options, positionals: [deed] } = parseArgs({
  allowPositionals: true,
  options: {
    "state": { type: "string" },
    "folder": { type: "string" },
    "key-file": { type: "string" },
    "url": { type: "string" },
    "deployment": { type: "string" },
  },
});

/** A secret that the operator has: a file of at least 32 bytes, or a passphrase, which comes by the environment. */
function secret() {
  if (options["key-file"]) {
    const bytes = readFileSync(options["key-file"]);
    if (bytes.length < 32) throw new Error("a key file has at least 32 bytes: `head -c 32 /dev/urandom > FILE`");
    return bytes;
  }
  const passphrase = process.env.TERN_BACKUP_PASSPHRASE ?? "";
  delete process.env.TERN_BACKUP_PASSPHRASE;
  if (passphrase.length < 12) throw new Error("give --key-file, or a passphrase of at least 12 characters in TERN_BACKUP_PASSPHRASE");
  return Buffer.from(passphrase.normalize("NFC"));
}

/** Files that the server cannot tell: secrets and variables of a state folder or a deployment. */
function secretFiles() {
  if (options.url) return [];
  const folder = options.deployment ?? options.state;
  const names = options.deployment ? ["secrets.json", "vars.json", "settings.json"] : ["keys.json", "vars.json"];
  return names.map((name) => [name, path.join(folder, name)]);
}

/** Those that are here; what an earlier backup had of others stays in it. */
function keepSecrets(vault) {
  const here = new Map(secretFiles().filter(([, file]) => existsSync(file)).map(([name, file]) => [`secrets/${name}`, file]));
  for (const [name, file] of here) vault.put(name, readFileSync(file, "utf8"));
  for (const entry of vault.list("secrets/").filter(({ name }) => !here.has(name))) {
    vault.keep(vault.need(entry.name));
    say(`${entry.name}: not here, so it stays as the earlier backup has it`);
  }
}

/** What makes it the same server to clients and to other servers; all else may differ. */
const IDENTITY = {
  "keys.json": ["server_name", "signing_key", "token_key"],
  "secrets.json": ["SIGNING_KEY", "TOKEN_KEY"],
};

function isSameServer(name, one, other) {
  const fields = IDENTITY[name];
  if (!fields) return true;
  const [a, b] = [one, other].map((text) => JSON.parse(text));
  return fields.every((field) => isDeepStrictEqual(a[field], b[field]));
}

/** The secrets of the backup, where there are none yet; those that are there must be of the same server. True when some were missing. */
function bringSecrets(vault) {
  let missing = false;
  for (const [name, file] of secretFiles()) {
    const entry = vault.known(`secrets/${name}`);
    if (!entry) continue;
    const kept = vault.get(entry);
    if (!existsSync(file)) {
      mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
      writeWhole(file, kept, { flush: true });
      say(`${file} was written`);
      missing = true;
    } else if (!isSameServer(name, readFileSync(file, "utf8"), kept)) {
      throw new Error(`${file} is another server's than the backup's: tokens and signatures would be good for nothing`);
    }
  }
  return missing;
}

function readJson(folder, name) {
  const file = path.join(folder, name);
  if (!existsSync(file)) throw new Error(`${file} is missing: without it the server cannot be asked`);
  return JSON.parse(readFileSync(file, "utf8"));
}

/** One that is started for the purpose, and known to whoever would start another meanwhile. */
async function withOwnServer(token, work) {
  const { state } = options;
  const { freePort, startServer } = await import("./server.mjs");
  const port = await freePort(0);
  const onExit = (reason) => {
    withdraw(state);
    say(`error: workerd ended (${reason})`);
    process.exit(1);
  };
  const own = await startServer({ state, port, vars: proxyVars({ state, port }), say, onExit });
  announce(state, { address: own.address, pid: process.pid, workerd: own.workerd });
  try {
    return await work(new Administration(own.address, token));
  } finally {
    withdraw(state);
    await own.stop();
  }
}

/** The server: the running one of the state folder, one that is started for the purpose, or one elsewhere. */
async function withServer(work) {
  if (options.url || options.deployment) {
    const url = options.url ?? readJson(options.deployment, "settings.json").url;
    const token = options.url ? process.env.TERN_ADMIN_TOKEN : readJson(options.deployment, "secrets.json").ADMIN_TOKEN;
    if (!token) throw new Error("the administration token is missing: TERN_ADMIN_TOKEN");
    return work(new Administration(url, token));
  }
  const { admin_token: token } = readJson(options.state, "keys.json");
  const running = await runningServer(options.state);
  return running ? work(new Administration(running.address, token)) : withOwnServer(token, work);
}

async function verify() {
  const vault = new Vault(options.folder, secret(), false);
  const entries = vault.list("");
  for (const entry of entries) await vault.verify(entry);
  say(`${entries.length} files are as they were written`);
}

try {
  if (deed === "verify") {
    await verify();
  } else if (deed === "backup") {
    const vault = new Vault(options.folder, secret(), true);
    await withServer((server) => backUp(server, vault, say));
    keepSecrets(vault);
    say(`done: ${vault.finish()} files`);
  } else {
    const vault = new Vault(options.folder, secret(), false);
    if (bringSecrets(vault) && options.deployment) {
      throw new Error("now deploy with these secrets, and then restore again");
    }
    await withServer((server) => restore(server, vault, say));
    say("done: the backup is restored");
  }
  process.exit(0);
} catch (error) {
  say(`error: ${error.message}`);
  process.exit(1);
}
