// The folder of a backup: sealed files, and a manifest that names them, written last. What a run has finished is noted at
// once, so that the next one goes on from there; files that the manifest does not name are deleted after it is written.

import { createHash, randomBytes, randomUUID } from "node:crypto";
import {
  appendFileSync, closeSync, createReadStream, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync,
} from "node:fs";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { Writable } from "node:stream";
import { gunzipSync, gzipSync } from "node:zlib";
import { folderKey, seal, sealStream, sha256, unseal, unsealStream, writeWhole } from "./sealed.mjs";

const FILE = /^[0-9a-f]{32}$/u;
const OURS = /^[0-9a-f]{32}(\.draft)?$/u;

function alive(pid) {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return error.code === "EPERM";
  }
  // A killed process keeps its id until its parent reaps it.
  const stat = `/proc/${pid}/stat`;
  return !existsSync(stat) || !/\) [ZX] /u.test(readFileSync(stat, "latin1"));
}

export class Vault {
  #folder;
  #key;
  /** By name: file, hash of the file, hash of the content, and what is known of it. */
  #known = new Map();
  #entries = new Map();
  id = randomUUID();
  complete = false;

  constructor(folder, secret, make) {
    this.#folder = folder;
    if (make) this.#claim();
    this.#key = folderKey(folder, secret, make);
    const manifest = this.#path("manifest.sealed");
    if (existsSync(manifest)) {
      const { id, entries } = JSON.parse(gunzipSync(unseal(this.#key, "manifest", readFileSync(manifest))));
      this.complete = true;
      this.previous = id;
      for (const entry of entries) this.#known.set(entry.name, entry);
    } else if (!make) {
      throw new Error(`the backup in ${folder} was never finished; run \`cargo xtask backup\` again`);
    }
    if (make) this.#recall();
  }

  #path(...parts) {
    return path.join(this.#folder, ...parts);
  }

  /** The folder is this run's, and of backups alone. A run that was killed left its claim behind. */
  #claim() {
    const files = this.#path("files");
    if (!existsSync(files)) {
      if (existsSync(this.#folder) && readdirSync(this.#folder).length > 0) throw new Error(`${this.#folder} holds something else than a backup`);
      mkdirSync(files, { recursive: true, mode: 0o700 });
    } else if (readdirSync(files).some((file) => !OURS.test(file))) {
      throw new Error(`${files} holds something else than a backup`);
    }
    const claim = this.#path("running");
    if (existsSync(claim)) {
      const pid = Number(readFileSync(claim, "utf8"));
      if (pid && pid !== process.pid && alive(pid)) throw new Error(`process ${pid} is writing a backup there; if it is not, delete ${claim}`);
      rmSync(claim, { force: true });
    }
    writeFileSync(claim, String(process.pid), { flag: "wx", mode: 0o600 });
    process.once("exit", () => rmSync(claim, { force: true }));
  }

  /** What a run that was cut has finished. A line that was cut itself tells nothing. */
  #recall() {
    const file = this.#path("progress");
    if (!existsSync(file)) return;
    for (const line of readFileSync(file, "utf8").split("\n")) {
      try {
        const entry = JSON.parse(unseal(this.#key, "progress", Buffer.from(line, "base64")));
        this.#known.set(entry.name, entry);
      } catch {
        continue;
      }
    }
  }

  #note(entry) {
    this.#entries.set(entry.name, entry);
    this.#known.set(entry.name, entry);
    const line = seal(this.#key, "progress", Buffer.from(JSON.stringify(entry))).toString("base64");
    appendFileSync(this.#path("progress"), `${line}\n`, { mode: 0o600 });
  }

  /** Entries of the finished backup whose names begin so, in the order in which they were made. */
  list(prefix) {
    return [...this.#known.values()].filter((entry) => entry.name.startsWith(prefix));
  }

  known(name) {
    const entry = this.#known.get(name);
    return entry && existsSync(this.#file(entry)) ? entry : undefined;
  }

  /** What must be there. */
  need(name) {
    const entry = this.known(name);
    if (!entry) throw new Error(`${name} is not in the backup, or its file is gone`);
    return entry;
  }

  #file(entry) {
    if (!FILE.test(entry.file)) throw new Error(`the manifest names ${JSON.stringify(entry.file)}, which is none of its files`);
    return this.#path("files", entry.file);
  }

  /** It is as it was. */
  keep(entry) {
    this.#entries.set(entry.name, entry);
  }

  /** Keeps a text; one that is there already is not written again. */
  put(name, text, facts = {}) {
    const content = sha256(text);
    const known = this.known(name);
    if (known?.content === content) return this.#note({ ...known, ...facts });
    const file = randomBytes(16).toString("hex");
    const bytes = seal(this.#key, name, gzipSync(text));
    writeWhole(this.#path("files", file), bytes, { flush: true });
    return this.#note({ name, file, sha256: sha256(bytes), content, ...facts });
  }

  async putStream(name, body) {
    const file = randomBytes(16).toString("hex");
    const written = await sealStream(this.#key, name, body, this.#path("files", file));
    this.#note({ name, file, ...written });
  }

  get(entry) {
    const bytes = readFileSync(this.#file(entry));
    if (sha256(bytes) !== entry.sha256) throw new Error(`${entry.name} is damaged`);
    return gunzipSync(unseal(this.#key, entry.name, bytes)).toString("utf8");
  }

  getStream(entry) {
    return unsealStream(this.#key, entry.name, this.#file(entry));
  }

  /** Reads a file to its end as it will be read when it is needed. */
  async verify(entry) {
    if (entry.content !== undefined) {
      if (sha256(this.get(entry)) !== entry.content) throw new Error(`${entry.name} is damaged`);
      return;
    }
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(this.#file(entry))) hash.update(chunk);
    if (hash.digest("hex") !== entry.sha256) throw new Error(`${entry.name} is damaged`);
    let size = 0;
    const sink = new Writable({ write(chunk, _, done) { size += chunk.length; done(); } });
    await pipeline(await this.getStream(entry), sink);
    if (size !== entry.size) throw new Error(`${entry.name} is damaged`);
  }

  /** The manifest, and then an end to what it does not name. */
  finish() {
    const entries = [...this.#entries.values()];
    const lost = entries.find((entry) => !existsSync(this.#file(entry)));
    if (lost) throw new Error(`the file of ${lost.name} is gone; run the backup again`);
    this.#flush("files");
    const manifest = gzipSync(JSON.stringify({ id: this.id, entries }));
    writeWhole(this.#path("manifest.sealed"), seal(this.#key, "manifest", manifest), { flush: true });
    this.#flush();
    rmSync(this.#path("progress"), { force: true });
    const named = new Set(entries.map((entry) => entry.file));
    for (const file of readdirSync(this.#path("files"))) {
      if (OURS.test(file) && !named.has(file)) rmSync(this.#path("files", file), { force: true });
    }
    return entries.length;
  }

  /** The names in a folder outlive a power cut. Where folders cannot be opened, as on Windows, that is left to the system. */
  #flush(...parts) {
    if (process.platform === "win32") return;
    const folder = openSync(this.#path(...parts), "r");
    fsyncSync(folder);
    closeSync(folder);
  }
}
