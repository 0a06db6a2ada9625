// What somebody outside sees of a deployment, as facts: `cargo xtask doctor` judges them. One JSON object on stdout.
//
// Certificates are looked at but not insisted on, so that a bad one does not hide the rest. Nothing secret is sent.

import http from "node:http";
import https from "node:https";
import tls from "node:tls";
import { parseArgs } from "node:util";

import { addresses, ask, handshake } from "./outside.mjs";

const IDLE_REQUESTS = 7;
const ORIGIN = "https://doctor.invalid";
const POST_QUANTUM = "X25519MLKEM768";
const CLIENT = "/_matrix/client";
const PREFLIGHT = {
  "origin": ORIGIN,
  "access-control-request-method": "PUT",
  "access-control-request-headers": "authorization, content-type",
};

/** Name, method, path, headers, body. */
const PROBES = [
  ["versions", "GET", `${CLIENT}/versions`, { origin: ORIGIN }],
  ["compressed", "GET", `${CLIENT}/versions`, { "accept-encoding": "br, gzip" }],
  ["well_known_client", "GET", "/.well-known/matrix/client", { origin: ORIGIN }],
  ["well_known_server", "GET", "/.well-known/matrix/server"],
  ["auth_metadata", "GET", `${CLIENT}/v1/auth_metadata`, { origin: ORIGIN }],
  ["login", "GET", `${CLIENT}/v3/login`, { origin: ORIGIN }],
  ["register", "POST", `${CLIENT}/v3/register`, { "content-type": "application/json" }, "{}"],
  ["preflight", "OPTIONS", `${CLIENT}/v3/account/whoami`, PREFLIGHT],
  ["unknown", "GET", `${CLIENT}/v3/tern_doctor_asks_for_nothing`, { origin: ORIGIN }],
  ["token", "GET", `${CLIENT}/v3/account/whoami`, { authorization: "Bearer tern_doctor_has_no_token" }],
  ["put", "PUT", `${CLIENT}/v3/pushrules/global/override/tern_doctor`, { "content-type": "application/json" }, "{}"],
  ["delete", "DELETE", `${CLIENT}/v3/pushrules/global/override/tern_doctor`],
  ["encoded", "GET", `${CLIENT}/v3/rooms/%21tern%2Fdoctor/joined_members`],
  ["keys", "GET", "/_matrix/key/v2/server"],
  ["admin", "GET", "/_tern/admin/v1/users"],
];

const { values: options } = parseArgs({
  options: { "url": { type: "string" }, "server-name": { type: "string" }, "wait": { type: "string" } },
});

/** A handshake that offers nothing else: that it succeeds is the proof. */
async function postQuantum(url, host) {
  try {
    tls.createSecureContext({ ecdhCurve: POST_QUANTUM });
  } catch {
    return "unsupported";
  }
  const { error } = await handshake(url, host, { ecdhCurve: POST_QUANTUM, minVersion: "TLSv1.3" });
  if (error === undefined) return "negotiated";
  return /HANDSHAKE_FAILURE|ALERT|ECONNRESET/u.test(error) ? "refused" : "failed";
}

/** One request after the other on a connection that is there already. */
async function idle(url) {
  const module = url.protocol === "https:" ? https : http;
  const agent = new module.Agent({ keepAlive: true, maxSockets: 1 });
  const times = [];
  for (let left = IDLE_REQUESTS; left >= 0; left -= 1) {
    const answer = await ask(new URL(`${CLIENT}/versions`, url), { agent });
    if (answer.error) break;
    // The first one opens the connection.
    if (left < IDLE_REQUESTS) times.push(answer.took_ms);
  }
  agent.destroy();
  return times;
}

async function gather(url, serverName) {
  const host = url.hostname.replace(/^\[|\]$/gu, "");
  const facts = { base: url.origin, host, server_name: serverName, dns: await addresses(host), answers: {} };
  if (facts.dns.error) return facts;
  if (url.protocol === "https:") {
    facts.tls = await handshake(url, host);
    facts.post_quantum = facts.tls.error ? "failed" : await postQuantum(url, host);
    if (!url.port) facts.answers.plain = await ask(new URL(`http://${url.hostname}${CLIENT}/versions`));
  }
  for (const [name, method, path, headers, body] of PROBES) {
    facts.answers[name] = await ask(new URL(path, url), { method, headers, body });
  }
  if (serverName) {
    const scheme = url.protocol === "https:" ? "https" : "http";
    for (const kind of ["client", "server"]) {
      const place = new URL(`${scheme}://${serverName.replace(/:\d+$/u, "")}/.well-known/matrix/${kind}`);
      facts.answers[`name_${kind}`] = await ask(place, { headers: { origin: ORIGIN } });
    }
  }
  facts.idle_ms = await idle(url);
  return facts;
}

/** Until the address answers as a homeserver does, or the time is over. */
async function wait(url, seconds) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const answer = await ask(new URL(`${CLIENT}/versions`, url));
    if (answer.status === 200) return true;
    if (Date.now() > deadline) return false;
    await new Promise((resolve) => { setTimeout(resolve, 2000); });
  }
}

const url = new URL(options.url);
if (options.wait) process.exit(await wait(url, Number(options.wait)) ? 0 : 1);
process.stdout.write(JSON.stringify(await gather(url, options["server-name"])));
