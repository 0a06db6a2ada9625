// How another server is found and what it says of itself, as facts: `cargo xtask federation check` judges them. One JSON object
// on stdout. Server-Server API, "Resolving server names" and "Retrieving server keys".

import { createPublicKey, verify } from "node:crypto";
import dns from "node:dns/promises";
import net from "node:net";

import { addresses, ask, handshake } from "./outside.mjs";

const DEFAULT_PORT = 8448;
const MOST_REDIRECTS = 5;
/** What comes before the 32 bytes of an Ed25519 key (RFC 8410). */
const SPKI = Buffer.from("302a300506032b6570032100", "hex");

/** Host and port of a name of a server; nothing for what is none. */
function parsed(name) {
  const match = /^(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::(\d{1,5}))?$/iu.exec(name);
  if (!match || (match[2] && Number(match[2]) > 65_535)) return null;
  const host = match[1].toLowerCase();
  const literal = net.isIP(host.replace(/^\[|\]$/gu, "")) !== 0;
  return { host, port: match[2] ? Number(match[2]) : null, literal };
}

/** With redirects followed, as everybody does for this file. */
async function wellKnown(host) {
  let url = new URL(`https://${host}/.well-known/matrix/server`);
  for (let left = MOST_REDIRECTS; ; left -= 1) {
    const answer = await ask(url);
    const location = answer.headers?.location;
    if (answer.error || answer.status < 300 || answer.status > 399 || !location || left === 0) return answer;
    url = new URL(location, url);
    if (url.protocol !== "https:") return { ...answer, error: "a redirect leads away from https:" };
  }
}

function delegated({ error, status, body }) {
  if (error || status !== 200) return null;
  try {
    return parsed(JSON.parse(body)["m.server"] ?? "");
  } catch {
    return null;
  }
}

/** The first of two names of the service that has records. */
async function service(host) {
  for (const name of [`_matrix-fed._tcp.${host}`, `_matrix._tcp.${host}`]) {
    try {
      const records = await dns.resolveSrv(name);
      if (records.length > 0) return { name, targets: records.map((record) => ({ host: record.name, port: record.port })) };
    } catch {
      // There is none.
    }
  }
  return null;
}

/** Where the server is. */
async function find(server, facts) {
  if (server.literal || server.port) return { host: server.host, port: server.port ?? DEFAULT_PORT };
  facts.well_known = await wellKnown(server.host);
  const other = delegated(facts.well_known);
  facts.delegated = other && `${other.host}${other.port ? `:${other.port}` : ""}`;
  const last = other ?? server;
  if (last.literal || last.port) return { host: last.host, port: last.port ?? DEFAULT_PORT };
  facts.service = await service(last.host);
  const target = facts.service?.targets[0];
  // The certificate is that of the name, wherever the record leads.
  return target ? { host: last.host, port: target.port, through: target.host } : { host: last.host, port: DEFAULT_PORT };
}

function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const fields = Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`);
  return `{${fields.join(",")}}`;
}

/** Which of its keys have signed what a server says of them. */
function signatures(name, body) {
  try {
    const { signatures: made, unsigned: _, ...rest } = JSON.parse(body);
    const text = Buffer.from(canonical(rest));
    return Object.fromEntries(Object.entries(rest.verify_keys ?? {}).map(([id, { key }]) => {
      const der = Buffer.concat([SPKI, Buffer.from(key, "base64")]);
      const signature = Buffer.from(made?.[name]?.[id] ?? "", "base64");
      try {
        return [id, verify(null, text, createPublicKey({ key: der, format: "der", type: "spki" }), signature)];
      } catch {
        return [id, false];
      }
    }));
  } catch {
    return {};
  }
}

async function gather(name) {
  const facts = { name, at_ms: Date.now() };
  const server = parsed(name);
  if (!server) return facts;
  const way = await find(server, facts);
  facts.way = way;
  const at = (way.through ?? way.host).replace(/^\[|\]$/gu, "");
  facts.dns = await addresses(at);
  if (facts.dns.error) return facts;
  // Servers of one machine, as tests have them, speak without TLS to each other.
  const scheme = /^127\./u.test(at) || at === "::1" ? "http" : "https";
  const url = new URL(`${scheme}://${way.through ?? way.host}:${way.port}`);
  const host = way.host.replace(/^\[|\]$/gu, "");
  if (scheme === "https") facts.tls = await handshake(url, host);
  const headers = { host: way.port === DEFAULT_PORT && !server.port ? way.host : `${way.host}:${way.port}` };
  facts.version = await ask(new URL("/_matrix/federation/v1/version", url), { headers, servername: host });
  facts.keys = await ask(new URL("/_matrix/key/v2/server", url), { headers, servername: host });
  facts.signed = signatures(name.toLowerCase(), facts.keys.body ?? "");
  return facts;
}

process.stdout.write(JSON.stringify(await gather(process.argv[2] ?? "")));
