// Sync loops, and the measurement of what a waiting long-poll is woken by.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { at, bodies, brief, okay, type Answer, type Json, type User } from './client.ts';

/** How long a poll must have been quiet to count as waiting. Nothing outside the server shows it. */
const QUIET_MS = 400;
/** Timeout of a waiting poll; delivery has to come long before. */
export const PARK_MS = 20_000;
export const LATE_MS = 5_000;

export const SLIDING = {
  unstable: '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync',
  stable: '/_matrix/client/v4/sync',
};

export interface Loop {
  user: User;
  /** One request; advances the position when it is answered. */
  poll(timeout: number): Promise<Answer>;
}

/** Sliding sync connection: a list over all rooms and all extensions, in either request shape. */
export class Sliding implements Loop {
  user: User;
  shape: 'unstable' | 'stable';
  pos: string | undefined;
  body: Json;

  constructor(user: User, options: { shape?: 'unstable' | 'stable'; limit?: number; conn?: string; last?: number } = {}) {
    this.user = user;
    this.shape = options.shape ?? 'unstable';
    const last = options.last ?? 99;
    const pairs = [['m.room.name', ''], ['m.room.create', ''], ['m.room.member', '$LAZY'], ['m.room.member', '$ME']];
    const include = [{ type: 'm.room.name', state_key: '' }, { type: 'm.room.create', state_key: '' },
      { type: 'm.room.member', state_key: user.id }];
    const rule = this.shape === 'stable'
      ? { range: [0, last], required_state: { include, lazy_members: true } }
      : { ranges: [[0, last]], required_state: pairs };
    const extensions: Json = {};
    for (const name of ['to_device', 'e2ee', 'account_data', 'typing', 'receipts']) extensions[name] = { enabled: true };
    this.body = { conn_id: options.conn ?? 'main', lists: { all: { ...rule, timeline_limit: options.limit ?? 20 } }, extensions };
  }

  /** The request at a given position, without moving on. */
  request(pos: string | undefined, timeout: number, body: Json = this.body): Promise<Answer> {
    const where = { pos, timeout };
    const within = timeout + 30_000;
    return this.shape === 'stable'
      ? this.user.call('POST', SLIDING.stable, { body: { ...body, ...where }, within })
      : this.user.call('POST', SLIDING.unstable, { body, query: where, within });
  }

  async poll(timeout: number): Promise<Answer> {
    const answer = await this.request(this.pos, timeout);
    const json = okay(answer);
    assert.equal(typeof json.pos, 'string', brief(answer));
    this.pos = json.pos;
    const since = json.extensions?.to_device?.next_batch;
    if (since) this.body.extensions.to_device.since = since;
    return answer;
  }
}

/** Classic `/sync`. */
export class Classic implements Loop {
  user: User;
  since: string | undefined;
  query: Record<string, string | number | boolean | undefined>;

  constructor(user: User, query: Classic['query'] = {}) {
    this.user = user;
    this.query = query;
  }

  async poll(timeout: number): Promise<Answer> {
    const query = { ...this.query, since: this.since, timeout };
    const answer = await this.user.call('GET', '/sync', { query, within: timeout + 30_000 });
    this.since = okay(answer).next_batch;
    assert.equal(typeof this.since, 'string', brief(answer));
    return answer;
  }

  async next(timeout = 0): Promise<Json> {
    return (await this.poll(timeout)).json;
  }
}

/** Polls at once until `seen`; answers given on the way are kept. */
export async function follow(loop: Loop, claim: string, seen: (json: Json) => unknown, within = 15_000): Promise<Json[]> {
  const answers: Json[] = [];
  const end = performance.now() + within;
  while (performance.now() < end) {
    const { json } = await loop.poll(Math.max(1, Math.min(2_000, Math.round(end - performance.now()))));
    answers.push(json);
    if (seen(json)) return answers;
  }
  throw new Error(`not in sync within ${within} ms: ${claim}`);
}

/** Waits until the user's sync knows these rooms, by a connection of its own; announcing follows the answer of a send. */
export async function knows(user: User, rooms: string[], body?: string): Promise<void> {
  const missing = new Set(rooms);
  const loop = new Sliding(user, { conn: 'witness', last: 999 });
  await follow(loop, `${rooms.length} rooms${body ? ` with "${body}"` : ''}`, (json) => {
    for (const room of missing) if (body ? says(json, room, body) : json.rooms?.[room]) missing.delete(room);
    return missing.size === 0;
  }, 60_000);
}

/** A request that has stayed unanswered: what the loop had to tell before is told. */
export async function park(loop: Loop, timeout = PARK_MS): Promise<{ answer: Promise<Answer> }> {
  await loop.poll(0);
  for (let told = 0; told < 30; told += 1) {
    const answer = loop.poll(timeout);
    const early = await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, QUIET_MS))]);
    if (!early) {
      answer.catch(() => {}); // seen by whoever awaits it
      return { answer };
    }
  }
  throw new Error('the sync never became quiet');
}

/** Holds a poll, fires the trigger, and demands the data in the answer of that very poll. */
export async function delivers(t: TestContext, loop: Loop, trigger: () => Promise<unknown>, seen: (json: Json) => unknown): Promise<Answer> {
  const parked = await park(loop);
  const start = performance.now();
  const fired = trigger();
  fired.catch(() => {}); // awaited below
  const answer = await parked.answer;
  const ms = performance.now() - start;
  await fired;
  assert.ok(seen(answer.json), `the poll came back without it after ${ms.toFixed(0)} ms: ${brief(answer)}`);
  assert.ok(ms < LATE_MS, `delivered only after ${ms.toFixed(0)} ms`);
  t.diagnostic(`${t.name}: delivered after ${ms.toFixed(1)} ms in ${answer.bytes} bytes`);
  return answer;
}

/** Timeline of one room in an answer of either kind of sync. */
export function timeline(json: Json, room: string): Json[] {
  return json.rooms?.[room]?.timeline ?? json.rooms?.join?.[room]?.timeline?.events ?? [];
}

export function says(json: Json, room: string, body: string): boolean {
  return bodies(timeline(json, room)).includes(body);
}

/** Ephemeral events of one room of one type, in either kind of sync. */
export function ephemeral(json: Json, room: string, type: 'm.typing' | 'm.receipt'): Json[] {
  const extension = json.extensions?.[type === 'm.typing' ? 'typing' : 'receipts']?.rooms?.[room];
  const events = extension ? [extension] : json.rooms?.join?.[room]?.ephemeral?.events ?? [];
  return events.filter((event: Json) => event.type === type);
}

export function types(user: User, json: Json, room: string): boolean {
  return ephemeral(json, room, 'm.typing').some((event) => event.content.user_ids.includes(user.id));
}

export function hasRead(user: User, json: Json, room: string, event: string, type = 'm.read'): boolean {
  return ephemeral(json, room, 'm.receipt').some((receipt) => receipt.content[event]?.[type]?.[user.id]);
}
