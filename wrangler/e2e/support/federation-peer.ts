// Another server, as far as this one can tell: serves its key over loopback, and signs requests, rightly or not.
import { createPublicKey, generateKeyPairSync, sign, verify, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { buffer, text } from 'node:stream/consumers';
import { after } from 'node:test';
import type { Json } from './client.ts';

const DAY = 24 * 3_600_000;
/** What comes before the 32 bytes of an Ed25519 key (RFC 8410). */
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');

export const unpadded = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64').replace(/=+$/, '');

/** Canonical JSON of values whose numbers are whole. */
export function canonical(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(',')}}`;
}

/** Whether `name` has signed an object with this key. */
export function isSigned(object: Json, name: string, keyId: string, publicKey: string): boolean {
  const { signatures, unsigned, ...rest } = object;
  const key = createPublicKey({ key: Buffer.concat([SPKI, Buffer.from(publicKey, 'base64')]), format: 'der', type: 'spki' });
  return verify(null, Buffer.from(canonical(rest)), key, Buffer.from(signatures[name][keyId], 'base64'));
}

export interface Reply {
  status: number;
  text: string;
  json: Json;
  bytes: Buffer;
  type: string;
}

export interface Signed {
  /** Sent as it is; `content` is its canonical form. */
  body?: string;
  content?: string;
  /** What is signed instead of what is sent. */
  signedTarget?: string;
  signedMethod?: string;
  /** Whom it says that it is for, and whom it is signed for. */
  destination?: string;
  signedFor?: string;
  /** Changes the header. */
  header?: (header: string) => string | undefined;
}

/** What a peer answers to a request, JSON or `raw` bytes of a type; nothing for a connection that ends without an answer. */
export type Served = { status: number; body?: Json; raw?: Uint8Array; type?: string } | undefined;

export class Peer {
  readonly keyId = `ed25519:k${Math.random().toString(36).slice(2, 8)}`;
  readonly #keys = generateKeyPairSync('ed25519');
  readonly #server: Server;
  name = '';
  /** How often the key was asked for. */
  fetches = 0;
  validUntil = () => Date.now() + DAY;
  /** Changes what is said of the key after it was signed. */
  bend: (answer: Json) => Json = (answer) => answer;
  /** What else it serves: method, target, the `Authorization` header, body. */
  serve: (method: string, target: string, authorization: string, body: string) => Served = () =>
    ({ status: 404, body: { errcode: 'M_UNRECOGNIZED', error: '?' } });

  constructor() {
    this.#server = createServer((incoming, response) => void this.#answer(incoming, response));
  }

  async #answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(incoming);
    const known = incoming.url === '/_matrix/key/v2/server';
    if (known) this.fetches += 1;
    const served = known
      ? { status: 200, body: this.bend(this.keys()) }
      : this.serve(incoming.method!, incoming.url!, incoming.headers.authorization ?? '', body);
    if (!served) return void incoming.socket.destroy();
    response.writeHead(served.status, { 'content-type': served.type ?? 'application/json' });
    response.end(served.raw ?? JSON.stringify(served.body));
  }

  async start(): Promise<this> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    const address = this.#server.address();
    this.name = `127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
    after(() => {
      this.#server.closeAllConnections();
      this.#server.close();
    });
    return this;
  }

  /** It goes away: nobody listens any more. */
  async goAway(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  /** It listens again where it did. */
  async comeBack(): Promise<void> {
    this.#server.listen(Number(this.name.split(':')[1]), '127.0.0.1');
    await once(this.#server, 'listening');
  }

  get publicKey(): string {
    return unpadded(this.#keys.publicKey.export({ format: 'der', type: 'spki' }).subarray(SPKI.length));
  }

  #sign(content: string, key: KeyObject = this.#keys.privateKey): string {
    return unpadded(sign(null, Buffer.from(content), key));
  }

  /** Signs a text, as of an event. */
  sign(content: string): string {
    return this.#sign(content);
  }

  keys(): Json {
    const answer: Json = {
      server_name: this.name, valid_until_ts: this.validUntil(), old_verify_keys: {},
      verify_keys: { [this.keyId]: { key: this.publicKey } },
    };
    return { ...answer, signatures: { [this.name]: { [this.keyId]: this.#sign(canonical(answer)) } } };
  }

  /** Sends a request to a server, with the path and the query byte for byte. */
  async send(base: string, server: string, method: string, target: string, signed: Signed = {}): Promise<Reply> {
    const content = signed.content ?? (signed.body === undefined ? undefined : canonical(JSON.parse(signed.body)));
    const parts = [
      `"destination":${JSON.stringify(signed.signedFor ?? server)}`, `"method":${JSON.stringify(signed.signedMethod ?? method)}`,
      `"origin":${JSON.stringify(this.name)}`, `"uri":${JSON.stringify(signed.signedTarget ?? target)}`,
    ];
    const text_ = `{${content === undefined ? '' : `"content":${content},`}${parts.join(',')}}`;
    const destination = signed.destination ?? server;
    const honest = `X-Matrix origin="${this.name}",key="${this.keyId}",sig="${this.#sign(text_)}",destination="${destination}"`;
    const authorization = signed.header ? signed.header(honest) : honest;
    const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
    if (signed.body !== undefined) headers['content-type'] = 'application/json';
    const { hostname, port } = new URL(base);
    const sent = request({ hostname, port, method, path: target, headers });
    sent.end(signed.body);
    const [response] = await once(sent, 'response');
    const bytes = await buffer(response);
    const reply = bytes.toString();
    let json: Json;
    try {
      json = JSON.parse(reply);
    } catch {
      json = undefined;
    }
    return { status: response.statusCode!, text: reply, json, bytes, type: response.headers['content-type'] ?? '' };
  }
}
