// Looking at a server from outside: requests and handshakes, as facts. For `doctor.mjs` and `federation.mjs`.

import dns from "node:dns/promises";
import http from "node:http";
import https from "node:https";
import net from "node:net";
import tls from "node:tls";
import zlib from "node:zlib";

const TIMEOUT_MS = 10_000;
const BODY_LIMIT = 256 * 1024;

function decoded(body, encoding) {
  if (encoding === "br") return zlib.brotliDecompressSync(body, { maxOutputLength: BODY_LIMIT });
  if (encoding === "gzip") return zlib.gunzipSync(body, { maxOutputLength: BODY_LIMIT });
  return body;
}

/** One request; whatever goes wrong is a fact as well. */
export function ask(url, { method = "GET", headers = {}, body, agent, servername } = {}) {
  const began = performance.now();
  return new Promise((resolve) => {
    const failed = (error) => resolve({ url: String(url), error: error.code ?? error.message });
    const module = url.protocol === "https:" ? https : http;
    const length = body === undefined ? {} : { "content-length": Buffer.byteLength(body) };
    const options = { method, headers: { ...headers, ...length }, agent, servername, rejectUnauthorized: false, timeout: TIMEOUT_MS };
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

/** The addresses of a host. */
export async function addresses(host) {
  if (net.isIP(host)) return { addresses: [host] };
  try {
    return { addresses: (await dns.lookup(host, { all: true })).map(({ address }) => address) };
  } catch (error) {
    return { addresses: [], error: error.code };
  }
}

/** A handshake with whoever is at `url`, who should be `host`. */
export function handshake(url, host, further = {}) {
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
