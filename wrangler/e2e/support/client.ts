// A thin Matrix client: one `User` per account and device, and a few calls by their spec names.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { ask, at, brief, type Answer, type Ask, type Json } from './http.ts';

export { at, ask, brief, type Answer, type Ask, type Json };

/** A name no other test has. */
export function unique(prefix = 'u'): string {
  return `${prefix}${randomBytes(6).toString('hex')}`;
}

export function okay(answer: Answer): Json {
  assert.equal(answer.status, 200, brief(answer));
  assert.equal(typeof answer.json, 'object', brief(answer));
  return answer.json;
}

export function refused(answer: Answer, status: number, errcode: string): Json {
  assert.equal(answer.status, status, `${brief(answer)}; expected ${status} ${errcode}`);
  assert.equal(answer.json?.errcode, errcode, brief(answer));
  assert.equal(typeof answer.json.error, 'string', `no "error" text: ${brief(answer)}`);
  return answer.json;
}

export class User {
  readonly base: string;
  readonly id: string;
  readonly device: string;
  readonly password: string;
  token: string;
  refreshToken: string | undefined;

  constructor(base: string, password: string, session: Json) {
    this.base = base;
    this.password = password;
    this.id = session.user_id;
    this.device = session.device_id;
    this.token = session.access_token;
    this.refreshToken = session.refresh_token;
  }

  get name(): string {
    return this.id.slice(1, this.id.indexOf(':'));
  }

  get server(): string {
    return this.id.slice(this.id.indexOf(':') + 1);
  }

  call(method: string, path: string, options: Ask = {}): Promise<Answer> {
    return ask(this.base, method, path, { token: this.token, ...options });
  }

  async get(path: string, query?: Ask['query']): Promise<Json> {
    return okay(await this.call('GET', path, { query }));
  }

  async put(path: string, body: unknown = {}): Promise<Json> {
    return okay(await this.call('PUT', path, { body }));
  }

  async post(path: string, body: unknown = {}): Promise<Json> {
    return okay(await this.call('POST', path, { body }));
  }

  async delete(path: string, body?: unknown): Promise<Json> {
    return okay(await this.call('DELETE', path, { body }));
  }

  async createRoom(fields: Json = {}): Promise<string> {
    return (await this.post('/createRoom', { preset: 'public_chat', ...fields })).room_id;
  }

  join(room: string): Promise<Json> {
    return this.post(at`/rooms/${room}/join`);
  }

  invite(room: string, user: User): Promise<Json> {
    return this.post(at`/rooms/${room}/invite`, { user_id: user.id });
  }

  leave(room: string): Promise<Json> {
    return this.post(at`/rooms/${room}/leave`);
  }

  async send(room: string, body: string, txn = unique('t')): Promise<string> {
    return (await this.put(at`/rooms/${room}/send/m.room.message/${txn}`, text(body))).event_id;
  }

  async setState(room: string, type: string, content: Json, key = ''): Promise<string> {
    return (await this.put(at`/rooms/${room}/state/${type}/${key}`, content)).event_id;
  }

  state(room: string, type: string, key = ''): Promise<Json> {
    return this.get(at`/rooms/${room}/state/${type}/${key}`);
  }

  typing(room: string, typing = true): Promise<Json> {
    const body = typing ? { typing, timeout: 30_000 } : { typing };
    return this.put(at`/rooms/${room}/typing/${this.id}`, body);
  }

  receipt(room: string, event: string, type = 'm.read', body: Json = {}): Promise<Json> {
    return this.post(at`/rooms/${room}/receipt/${type}/${event}`, body);
  }

  /** A second device of the same account. */
  async login(fields: Json = {}): Promise<User> {
    return new User(this.base, this.password, okay(await login(this.base, this.id, this.password, fields)));
  }
}

export function text(body: string): Json {
  return { msgtype: 'm.text', body };
}

/** The texts of the messages among some events. */
export function bodies(events: Json[]): string[] {
  return events.filter((event) => event.type === 'm.room.message').map((event) => event.content.body);
}

export function login(base: string, user: string, password: string, fields: Json = {}): Promise<Answer> {
  const identifier = { type: 'm.id.user', user };
  return ask(base, 'POST', '/login', { body: { type: 'm.login.password', identifier, password, ...fields } });
}

/** Registers through the dummy stage, as two requests or as one, whichever the server asks for. */
export async function register(base: string, fields: Json = {}): Promise<User> {
  const password = unique('Pw-');
  const body = { username: unique(), password, ...fields };
  let answer = await ask(base, 'POST', '/register', { body });
  if (answer.status === 401) {
    const auth = { type: 'm.login.dummy', session: answer.json?.session };
    answer = await ask(base, 'POST', '/register', { body: { ...body, auth } });
  }
  return new User(base, password, okay(answer));
}

export function people(base: string, count: number): Promise<User[]> {
  return Promise.all(Array.from({ length: count }, () => register(base)));
}

/** Two users joined to a new room of the first. */
export async function pair(base: string, fields: Json = {}): Promise<[User, User, string]> {
  const [alice, bob] = await people(base, 2);
  const room = await alice.createRoom(fields);
  await bob.join(room);
  return [alice, bob, room];
}

/** All events of a room in one direction, by pages of `limit`. */
export async function history(user: User, room: string, dir: 'f' | 'b', limit: number, query: Ask['query'] = {}): Promise<Json[]> {
  const events: Json[] = [];
  let from: string | undefined;
  for (let page = 0; page < 5_000; page += 1) {
    const answer = await user.get(at`/rooms/${room}/messages`, { dir, limit, from, ...query });
    assert.ok(answer.chunk.length <= limit, `a page of ${answer.chunk.length} for limit ${limit}`);
    events.push(...answer.chunk);
    if (!answer.end) return events;
    assert.notEqual(answer.end, from, 'pagination stands still');
    from = answer.end;
  }
  throw new Error('pagination does not end');
}

/** Asks again until the condition holds, without a fixed sleep; fails after `within` milliseconds. */
export async function eventually<T>(claim: string, check: () => Promise<T | undefined | false>, within = 10_000): Promise<T> {
  const end = performance.now() + within;
  for (let pause = 20; ; pause = Math.min(pause * 2, 500)) {
    const found = await check();
    if (found) return found;
    if (performance.now() > end) throw new Error(`not within ${within} ms: ${claim}`);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}
