// A registration of an application service: from the YAML that bridges write to what the server reads (Application Service
// API, "Registration"; the same rules as `shared/auth/src/appservice.rs`). Complaints name fields and lines and show nothing
// of a file, for it holds tokens.

import { LineCounter, parseDocument } from "yaml";

/** Largest file, in bytes. */
export const LARGEST = 64 * 1024;
/** How often an alias may stand for nodes with aliases of their own, multiplied. */
const MOST_ALIASES = 100;
const SHORTEST_TOKEN = 16;
const LONGEST_ID = 200;
/** With "@", ":" and the shortest name of a server, 255. */
const LONGEST_LOCALPART = 252;
/** How many unknown keys are named. */
const MOST_NAMED = 20;

/** What the parser finds, in the words of an operator. All else is "no YAML". */
const PROBLEMS = {
  DUPLICATE_KEY: "this key is there already",
  MULTIPLE_DOCS: "a second document begins here",
  NON_STRING_KEY: "this key is no text",
  TAB_AS_INDENT: "tabs do not indent in YAML",
  TAG_RESOLVE_FAILED: "this tag is not known",
};

/** A file that cannot be used; `reasons` are for the operator. */
export class Unusable extends Error {
  constructor(reasons) {
    super(reasons.join("; "));
    this.reasons = reasons;
  }
}

const bytesOf = (text) => Buffer.byteLength(text);
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

function decoded(bytes) {
  if (bytes.length > LARGEST) throw new Unusable([`it is larger than ${LARGEST / 1024} KiB`]);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Unusable(["it is not text in UTF-8"]);
  }
}

/** The document as plain values. */
function parsed(bytes) {
  const [text, lineCounter] = [decoded(bytes), new LineCounter()];
  let document;
  try {
    // Pretty errors would show the line.
    document = parseDocument(text, { lineCounter, prettyErrors: false, stringKeys: true });
  } catch {
    throw new Unusable(["it is no YAML"]);
  }
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem) {
    throw new Unusable([`line ${lineCounter.linePos(problem.pos[0]).line}: ${PROBLEMS[problem.code] ?? "this is no YAML"}`]);
  }
  try {
    return document.toJS({ maxAliasCount: MOST_ALIASES });
  } catch {
    throw new Unusable(["its aliases (*) name nothing, or stand for too much"]);
  }
}

/** Reads fields, and gathers what is wrong with them and which are not known. */
class Reader {
  wrong = [];
  unknown = new Set();

  /** Those of `fields` that have a value, each as its reader has it. */
  object(value, name, fields) {
    if (!isObject(value)) {
      this.wrong.push(`${name} has no keys`);
      return {};
    }
    for (const key of Object.keys(value)) if (!Object.hasOwn(fields, key)) this.unknown.add(key);
    const given = Object.keys(fields).filter((key) => Object.hasOwn(value, key) && value[key] !== null);
    return Object.fromEntries(given.map((key) => [key, fields[key](this, value[key], name ? `${name}.${key}` : key)]));
  }

  list(value, name, item) {
    if (Array.isArray(value)) return value.map((one, place) => item(this, one, `${name}[${place}]`));
    this.wrong.push(`${name} is no list`);
    return [];
  }

  /** `refusal` says what is wrong with a text, if anything is. */
  text(value, name, refusal = () => undefined) {
    const reason = typeof value === "string" && value.isWellFormed() ? refusal(value) : "is no text; put it in quotes";
    if (reason) this.wrong.push(`${name} ${reason}`);
    return value;
  }

  flag(value, name) {
    if (typeof value !== "boolean") this.wrong.push(`${name} is neither true nor false`);
    return value;
  }
}

const text = (reader, value, name) => reader.text(value, name);
const flag = (reader, value, name) => reader.flag(value, name);
const listOf = (item) => (reader, value, name) => reader.list(value, name, item);

const id = (reader, value, name) => reader.text(value, name, (found) =>
  found === "" || bytesOf(found) > LONGEST_ID ? `is empty or longer than ${LONGEST_ID} bytes` : undefined);

const token = (reader, value, name) => reader.text(value, name, (found) =>
  bytesOf(found) < SHORTEST_TOKEN ? `is shorter than ${SHORTEST_TOKEN} characters` : undefined);

const localpart = (reader, value, name) => reader.text(value, name, (found) =>
  found === "" || bytesOf(found) > LONGEST_LOCALPART || /[:\0]/u.test(found)
    ? "is no localpart: the part of the user id between @ and :" : undefined);

const address = (reader, value, name) => reader.text(value, name, (found) => {
  const url = found === "" || URL.parse(found);
  if (url === true) return undefined;
  if (!["http:", "https:"].includes(url?.protocol)) return "is no address that begins with http:// or https://";
  return url.username || url.password ? "has a user name or a password in it, with which the server asks nothing" : undefined;
});

const namespace = (reader, value, name) => {
  const found = reader.object(value, name, { exclusive: flag, regex: text });
  if (isObject(value) && found.regex === undefined) reader.wrong.push(`${name} has no regex`);
  return found;
};

const namespaces = (reader, value, name) =>
  reader.object(value, name, { users: listOf(namespace), aliases: listOf(namespace), rooms: listOf(namespace) });

/** What the server knows (`shared/model/src/appservice.rs`); whatever else is in a file it would ignore. */
const FIELDS = {
  "id": id,
  "url": address,
  "as_token": token,
  "hs_token": token,
  "sender_localpart": localpart,
  "rate_limited": flag,
  "namespaces": namespaces,
  "protocols": listOf(text),
  "receive_ephemeral": flag,
  "de.sorunome.msc2409.push_ephemeral": flag,
  "org.matrix.msc3202": flag,
};
const REQUIRED = ["id", "as_token", "hs_token", "sender_localpart"];

/**
 * The registration in a file, without keys that have no value or are not known, and the names of the latter.
 * Throws `Unusable`.
 */
export function readRegistration(bytes) {
  const value = parsed(bytes);
  if (!isObject(value)) throw new Unusable(["it is no registration: it has no keys such as `id` and `as_token`"]);
  const reader = new Reader();
  const registration = reader.object(value, "", FIELDS);
  const missing = REQUIRED.filter((field) => registration[field] === undefined).map((field) => `${field} is missing`);
  const wrong = [...missing, ...reader.wrong];
  if (wrong.length > 0) throw new Unusable(wrong.slice(0, MOST_NAMED));
  const unknown = [...reader.unknown].slice(0, MOST_NAMED).map((key) => JSON.stringify(key.slice(0, 100)));
  return { registration: { url: null, ...registration }, unknown };
}
