// The registrations that an operator keeps: the variable APPSERVICES in `vars.json` of a state folder, the secret of that
// name in `secrets.json` of a deployment. Everything else in those files stays as it is.

import { existsSync, readFileSync } from "node:fs";
import { BlockList, isIPv6 } from "node:net";
import path from "node:path";
import { runningServer } from "./instance.mjs";
import { writeWhole } from "./sealed.mjs";

const NAME = "APPSERVICES";
/** What Cloudflare takes as one secret, in bytes. */
const LARGEST_SECRET = 5 * 1024;

/** The parser's own complaint would show what is there. */
function json(text, where) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${where} is no JSON`);
  }
}

/** The object in a file, empty when there is none. */
function read(file) {
  const content = existsSync(file) ? json(readFileSync(file, "utf8"), file) : {};
  if (typeof content !== "object" || content === null || Array.isArray(content)) throw new Error(`${file} is no JSON object`);
  return content;
}

/** The list, which may be written as JSON or as a string of JSON. */
function listIn(file, content) {
  const value = content[NAME] ?? [];
  const list = typeof value === "string" ? json(value || "[]", `${NAME} in ${file}`) : value;
  if (!Array.isArray(list) || !list.every((service) => typeof service?.id === "string")) {
    throw new Error(`${NAME} in ${file} is no list of registrations`);
  }
  return list;
}

/** Of a local server. */
class StateFolder {
  constructor(folder) {
    if (!existsSync(path.join(folder, "keys.json"))) {
      throw new Error(`${folder} is not the folder of a server; start one with \`cargo xtask dev\``);
    }
    this.folder = folder;
    this.file = path.join(folder, "vars.json");
    this.content = read(this.file);
  }

  written(list) {
    return list;
  }

  async next() {
    const running = await runningServer(this.folder);
    return running
      ? `the server at ${running.address} runs and knows nothing of it: stop it, and start it again with \`cargo xtask dev\``
      : "the server reads it at its next start: `cargo xtask dev`";
  }

  /** What stands between the server and this address. */
  obstacle(url) {
    if (String(this.content.OUTBOUND_PRIVATE) === "true" || !isPrivate(url)) return undefined;
    return `${url} is no address of the public Internet: put "OUTBOUND_PRIVATE": "true" into ${this.file}, else it is not reached`;
  }
}

/** Of a server on Cloudflare. */
class Deployment {
  constructor(folder) {
    this.name = path.basename(folder);
    this.folder = folder;
    this.file = path.join(folder, "secrets.json");
    // Without the other secrets a deployment would begin with none.
    if (!existsSync(this.file)) throw new Error(`${this.file} is missing: \`cargo xtask deploy ${this.name}\` makes it`);
    if (NAME in read(path.join(folder, "vars.json"))) {
      throw new Error(`${NAME} is in vars.json of ${folder}; it has tokens in it, so move it into secrets.json, as a string`);
    }
    this.content = read(this.file);
  }

  /** A string even when it is empty: a secret that is not sent stays as it was. */
  written(list) {
    const text = JSON.stringify(list);
    if (Buffer.byteLength(text) > LARGEST_SECRET) {
      throw new Error(`all registrations together have ${Buffer.byteLength(text)} bytes; Cloudflare takes ${LARGEST_SECRET} as one secret`);
    }
    return text;
  }

  async next() {
    const verb = read(path.join(this.folder, "record.json")).deployed ? "upgrade" : "deploy";
    return `nothing has changed on Cloudflare yet: \`cargo xtask ${verb} ${this.name}\``;
  }

  obstacle(url) {
    return isPrivate(url)
      ? `${url} is no address of the public Internet, and Cloudflare reaches no other: give it a tunnel, and \`url\` the tunnel's address`
      : undefined;
  }
}

export const openStore = ({ state, deployment }) => (deployment ? new Deployment(deployment) : new StateFolder(state));

export const listOf = (store) => listIn(store.file, store.content);

/** Writes the list, and all else that the file had, whole or not at all. */
export function save(store, list) {
  const content = { ...store.content, [NAME]: store.written(list) };
  writeWhole(store.file, `${JSON.stringify(content, null, 2)}\n`, { flush: true });
}

/** The list with one more; one of the same id is replaced if that is wanted. Whoever shows a token or a name is one service. */
export function added(list, registration, replace) {
  const others = list.filter(({ id }) => id !== registration.id);
  if (others.length < list.length && !replace) {
    throw new Error(`${registration.id} is registered already; with --replace this registration takes its place`);
  }
  for (const field of ["as_token", "hs_token", "sender_localpart"]) {
    const other = others.find((service) => service[field] === registration[field]);
    if (other) throw new Error(`${field} is that of ${other.id} already; have the bridge write another`);
  }
  return [...others, registration];
}

const PRIVATE = new BlockList();
for (const [network, bits] of [["0.0.0.0", 8], ["10.0.0.0", 8], ["100.64.0.0", 10], ["127.0.0.0", 8], ["169.254.0.0", 16],
  ["172.16.0.0", 12], ["192.168.0.0", 16]]) PRIVATE.addSubnet(network, bits);
const GLOBAL_V6 = new BlockList();
GLOBAL_V6.addSubnet("2000::", 3, "ipv6");

/** As far as an operator may have meant it; the server's own list is `shared/ports/src/outbound/address.rs`. */
function isPrivate(url) {
  if (!url) return false;
  const host = new URL(url).hostname.replace(/^\[|\]$|\.$/gu, "");
  if (isIPv6(host)) return !GLOBAL_V6.check(host, "ipv6");
  return PRIVATE.check(host) || !host.includes(".") || /\.(localhost|local|internal|home\.arpa|lan|test|invalid)$/u.test(host);
}
