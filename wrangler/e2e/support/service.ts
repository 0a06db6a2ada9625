// An application service on loopback that holds every transaction against the specification.
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { text } from 'node:stream/consumers';
import { after } from 'node:test';
import { unique, type Json } from './client.ts';

/** What is answered to a transaction: a status, or nothing at all. */
export type Verdict = number | 'silence';

export interface Transaction {
  id: string;
  events: Json[];
  body: Json;
}

export class Service {
  readonly id: string;
  readonly tokens = { as: unique('as-token-of-a-service-'), hs: unique('hs-token-of-a-service-') };
  /** Every transaction that came, whatever it was answered. */
  readonly came: Transaction[] = [];
  /** Events of transactions that were taken, each transaction once. */
  readonly events: Json[] = [];
  /** What is not as the specification says. */
  readonly failures: string[] = [];
  verdict: () => Verdict = () => 200;
  /** Users that it makes when it is asked for them. */
  makes: (user: string) => Promise<boolean> = async () => false;
  readonly #taken = new Set<string>();
  #busy = 0;
  #server: Server | undefined;
  #port = 0;
  #ends = false;

  constructor(id: string) {
    this.id = id;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** What the operator registers. */
  registration(namespaces: Json, more: Json = {}): Json {
    return { id: this.id, url: this.url, as_token: this.tokens.as, hs_token: this.tokens.hs, sender_localpart: `${this.id}bot`, rate_limited: false, namespaces, ...more };
  }

  async start(): Promise<this> {
    this.#server = createServer(async (request, response) => {
      const { status, body } = await this.#serve(request.method!, request.url!, request.headers.authorization, await text(request));
      if (status) response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      else response.destroy();
    });
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    const address = this.#server.address();
    this.#port = typeof address === 'object' && address ? address.port : 0;
    // Within a test it would be stopped at the end of that.
    if (!this.#ends) after(() => this.stop());
    this.#ends = true;
    return this;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  }

  async #serve(method: string, target: string, authorization: string | undefined, body: string): Promise<{ status: number; body: Json }> {
    if (authorization !== `Bearer ${this.tokens.hs}`) this.failures.push(`${target}: ${authorization}`);
    if (target.includes('?')) this.failures.push(target);
    const id = /^\/_matrix\/app\/v1\/transactions\/([^/]+)$/.exec(target)?.[1];
    const user = /^\/_matrix\/app\/v1\/users\/([^/]+)$/.exec(target)?.[1];
    if (user && (await this.makes(decodeURIComponent(user)))) return { status: 200, body: {} };
    if (target === '/_matrix/app/v1/ping') return { status: 200, body: {} };
    if (!id) return { status: 404, body: { errcode: 'M_NOT_FOUND', error: '?' } };
    if (method !== 'PUT') this.failures.push(`${method} ${target}`);
    return this.#receive(decodeURIComponent(id), body);
  }

  async #receive(id: string, text: string): Promise<{ status: number; body: Json }> {
    if (text.length > 600 * 1024) this.failures.push(`${text.length} bytes`);
    const body = JSON.parse(text);
    const events: Json[] = body.events;
    if (!Array.isArray(events) || events.length > 100) this.failures.push(`${events?.length} events`);
    this.#busy += 1;
    if (this.#busy > 1) this.failures.push('two transactions at a time');
    for (const event of events) {
      for (const key of ['event_id', 'room_id', 'sender', 'type']) {
        if (typeof event[key] !== 'string') this.failures.push(`${key} of ${JSON.stringify(event)}`);
      }
      if (typeof event.origin_server_ts !== 'number' || typeof event.content !== 'object') this.failures.push(JSON.stringify(event));
      for (const key of ['auth_events', 'prev_events', 'hashes', 'signatures']) if (key in event) this.failures.push(`${key} of a client's event`);
      if (event.unsigned?.transaction_id) this.failures.push('somebody else\'s transaction id');
    }
    const before = this.came.find((other) => other.id === id);
    if (before && before.events.map((event) => event.event_id).join() !== events.map((event) => event.event_id).join()) {
      this.failures.push(`${id} came with other events`);
    }
    this.came.push({ id, events, body });
    // Whoever would send another meanwhile has the time to.
    await new Promise((resolve) => setImmediate(resolve));
    this.#busy -= 1;
    const verdict = this.verdict();
    if (verdict === 200 && !this.#taken.has(id)) {
      this.#taken.add(id);
      this.events.push(...events);
    }
    return { status: verdict === 'silence' ? 0 : verdict, body: {} };
  }

  /** Bodies of the messages that were taken. */
  bodies(room?: string): string[] {
    return this.events.filter((event) => event.type === 'm.room.message' && (!room || event.room_id === room)).map((event) => event.content.body);
  }
}
