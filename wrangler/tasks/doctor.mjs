// What somebody outside sees of a deployment, as facts: `cargo xtask doctor` judges them. One JSON object on stdout.
//
// Certificates are looked at but not insisted on, so that a bad one does not hide the rest. Nothing secret is sent.

import dns from "node:dns/promises";
import http from "node:http";
import https from "node:https";
import net from "node:net";
import tls from "node:tls";
import { parseArgs } from "node:util";
import zlib from "node:zlib";

const TIMEOUT_MS = 10_000;
const BODY_LIMIT = 256 * 1024;
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

function decoded(body, encoding) {
  if (encoding === "br") return zlib.brotliDecompressSync(body, { maxOutputLength: BODY_LIMIT });
  if (encoding === "gzip") return zlib.gunzipSync(body, { maxOutputLength: BODY_LIMIT });
  return body;
}

function ask(url, { method = "GET", headers = {}, body, agent } = {}) {
  const began = performance.now();
  return new Promise((resolve) => {
    const failed = (error) => resolve({ url: String(url), error: error.code ?? error.message });
    const module = url.protocol === "https:" ? https : http;
    const length = body === undefined ? {} : { "content-length": Buffer.byteLength(body) };
    const options = { method, headers: { ...headers, ...length }, agent, rejectUnauthorized: false, timeout: TIMEOUT_MS };
    const request = module.request(url, options, (reply) => {
      const at = Date.now();
      const pieces = [];
      let bytes = 0;
      reply.on("data", (piece) => {
        bytes += piece.length;
        if (bytes <= BODY_LIMIT) pieces.push(piece);
      });
      reply.on("error", failed);
      reply.on("end", () => {
        const lines = Object.entries(reply.headersDistinct).map(([name, values]) => [name, values.join(", ")]);
        const answer = { url: String(url), status: reply.statusCode, headers: Object.fromEntries(lines), bytes };
        try {
          answer.body = decoded(Buffer.concat(pieces), reply.headers["content-encoding"]).toString("utf8");
          resolve({ ...answer, at_ms: at, took_ms: performance.now() - began });
        } catch (error) {
          failed(error);
        }
      });
    });
    // The idle limit of the socket and a limit of the whole: whoever sends a byte now and then is not waited for.
    const limit = setTimeout(() => request.destroy(Object.assign(new Error(), { code: "ETIMEDOUT" })), TIMEOUT_MS);
    request.once("timeout", () => request.destroy(Object.assign(new Error(), { code: "ETIMEDOUT" })));
    request.once("error", failed);
    request.once("close", () => clearTimeout(limit));
    request.end(body);
  });
}

async function addresses(host) {
  if (net.isIP(host)) return { addresses: [host] };
  try {
    return { addresses: (await dns.lookup(host, { all: true })).map(({ address }) => address) };
  } catch (error) {
    return { addresses: [], error: error.code };
  }
}

function handshake(url, host, further = {}) {
  return new Promise((resolve) => {
    const port = Number(url.port || 443);
    const servername = net.isIP(host) ? undefined : host;
    const socket = tls.connect({
      host, port, servername, rejectUnauthorized: false, ALPNProtocols: ["h2", "http/1.1"], ...further,
    });
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy(Object.assign(new Error(), { code: "ETIMEDOUT" })));
    socket.once("error", (error) => resolve({ error: error.code ?? error.message }));
    socket.once("secureConnect", () => {
      const certificate = socket.getPeerCertificate();
      resolve({
        protocol: socket.getProtocol(),
        alpn: socket.alpnProtocol || undefined,
        distrust: socket.authorized ? undefined : String(socket.authorizationError?.code ?? socket.authorizationError),
        expires_ms: Date.parse(certificate.valid_to) || undefined,
        issuer: certificate.issuer?.O ?? certificate.issuer?.CN,
      });
      socket.destroy();
    });
  });
}

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
