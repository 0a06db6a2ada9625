// What users here do reaches another server: all of it, in order, each transaction under one id, whatever breaks.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ask, eventually, okay, register, type Json } from './support/client.ts';
import { Visitor } from './support/federation-events.ts';
import { Peer, type Served } from './support/federation-peer.ts';
import { own, uncontrolled } from './support/server.ts';

const skip = uncontrolled;
const server = skip ? undefined! : await own({ vars: { OUTBOUND_PRIVATE: 'true' } });
const SEND = '/_matrix/federation/v1/send/';
const TAKEN: Served = { status: 200, body: { pdus: {} } };

interface Transaction {
  id: string;
  bodies: string[];
}

/** A server whose user is in a room of this one's, and what it was sent. */
class Guest extends Peer {
  /** Every transaction that came, whatever it was answered. */
  readonly came: Transaction[] = [];
  /** Bodies of messages in transactions that were taken, each transaction once. */
  readonly taken: string[] = [];
  readonly #done = new Set<string>();
  /** What it answers to transactions. */
  answers: () => Served = () => TAKEN;
  readonly failures: string[] = [];

  constructor() {
    super();
    this.serve = (method, target, authorization, body) => {
      if (!target.startsWith(SEND)) return { status: 404, body: { errcode: 'M_UNRECOGNIZED', error: '?' } };
      return this.#receive(method, target, authorization, JSON.parse(body));
    };
  }

  #receive(method: string, target: string, authorization: string, body: Json): Served {
    if (method !== 'PUT') this.failures.push(`${method} ${target}`);
    if (!authorization.includes(`destination="${this.name}"`)) this.failures.push(authorization);
    if (body.pdus.length > 50) this.failures.push(`${body.pdus.length} events`);
    const id = target.slice(SEND.length);
    const bodies = body.pdus.filter((pdu: Json) => pdu.type === 'm.room.message').map((pdu: Json) => pdu.content.body);
    this.came.push({ id, bodies });
    const served = this.answers();
    if (served?.status === 200 && !this.#done.has(id)) {
      this.#done.add(id);
      this.taken.push(...bodies);
    }
    return served;
  }
}

async function stage() {
  const guest = await new Guest().start() as Guest;
  const alice = await register(server.base);
  const room = await alice.createRoom();
  await new Visitor(guest, server.base, alice.server, room, 'guest').join();
  return { guest, alice, room };
}

const token = () => JSON.parse(readFileSync(join(server.state, 'keys.json'), 'utf8')).admin_token;
const admin = (method: string, path: string) =>
  ask(server.base, method, `/_tern/admin/v1/federation/destinations/${path}`, { token: token() });
const retry = async (guest: Guest) => okay(await admin('POST', `${encodeURIComponent(guest.name)}/retry`));
const numbered = (from: number, until: number) => Array.from({ length: until - from + 1 }, (_, n) => `${from + n}`);

async function arrives(guest: Guest, expected: string[], within = 20_000): Promise<void> {
  await eventually(`${expected.length} messages arrive, ${guest.taken.length} did`, async () => guest.taken.length >= expected.length, within);
  assert.deepEqual(guest.taken, expected);
  assert.deepEqual(guest.failures, []);
}

test('messages arrive in order, once', { skip }, async () => {
  const { guest, alice, room } = await stage();
  for (const body of numbered(1, 20)) await alice.send(room, body);
  await arrives(guest, numbered(1, 20));
  // Many at a time.
  await Promise.all(numbered(21, 60).map((body) => alice.send(room, body)));
  await eventually('all arrive', async () => guest.taken.length === 60);
  assert.deepEqual([...guest.taken].sort(), [...numbered(1, 60)].sort());
  assert.equal(new Set(guest.came.map(({ id }) => id)).size, guest.came.length, 'no transaction came twice');
});

test('a server that fails is sent the same again, and then what waited', { skip }, async () => {
  const { guest, alice, room } = await stage();
  for (const fault of [() => ({ status: 500, body: {} }), () => undefined, () => ({ status: 429, body: {} })] as (() => Served)[]) {
    const [before, came] = [guest.taken.length, guest.came.length];
    guest.answers = fault;
    const bodies = numbered(before + 1, before + 5);
    for (const body of bodies) await alice.send(room, body);
    await eventually('it is tried', async () => guest.came.length > came);
    const probe = await eventually('it is known to fail', async () => {
      const shown = okay(await admin('GET', encodeURIComponent(guest.name)));
      return shown.failures > 0 && shown;
    });
    assert.ok(probe.rooms_pending === 1 && probe.sending && probe.retry_at > Date.now(), JSON.stringify(probe));
    guest.answers = () => TAKEN;
    await retry(guest);
    await arrives(guest, numbered(1, before + 5));
    const tries = guest.came.slice(came);
    assert.equal(tries[0].id, tries[1].id, 'under the same id');
    assert.deepEqual(tries[0].bodies, tries[1].bodies, 'with the same in it');
  }
  const shown = okay(await admin('GET', encodeURIComponent(guest.name)));
  assert.deepEqual([shown.failures, shown.rooms_pending, shown.retry_at], [0, 0, null]);
});

test('a server that was away gets all of it when it asks something', { skip }, async () => {
  const { guest, alice, room } = await stage();
  await guest.goAway();
  for (const body of numbered(1, 10)) await alice.send(room, body);
  await eventually('it is known to be away', async () => okay(await admin('GET', encodeURIComponent(guest.name))).failures > 0);
  await guest.comeBack();
  assert.deepEqual(guest.taken, []);
  await retry(guest);
  await arrives(guest, numbered(1, 10));
});

test('servers that fail again and again are listed until they are back', { skip }, async () => {
  const { guest, alice, room } = await stage();
  const listed = async () => {
    const { destinations } = okay(await ask(server.base, 'GET', '/_tern/admin/v1/federation/destinations', { token: token() }));
    return destinations.find(({ server_name }: { server_name: string }) => server_name === guest.name);
  };
  assert.equal(await listed(), undefined);
  await guest.goAway();
  await alice.send(room, '1');
  const shown = await eventually('it is listed', async () => {
    await retry(guest);
    return listed();
  });
  assert.ok(shown.failures >= 2 && shown.rooms_pending === 1 && shown.since <= Date.now(), JSON.stringify(shown));
  await guest.comeBack();
  await retry(guest);
  await arrives(guest, ['1']);
  await eventually('it is not listed any more', async () => !(await listed()));
});

test('a power cut loses nothing and sends nothing under another id', { skip }, async () => {
  const { guest, alice, room } = await stage();
  // The transaction has come, and no answer has gone back before the cut.
  guest.answers = () => undefined;
  for (const body of numbered(1, 5)) await alice.send(room, body);
  await eventually('it is tried', async () => guest.came.length > 0);
  server.killWorkerd();
  await server.recover();
  guest.answers = () => TAKEN;
  await alice.send(room, '6');
  await retry(guest);
  await arrives(guest, numbered(1, 6), 60_000);
  const first = guest.came[0];
  assert.ok(guest.came.slice(1).some(({ id, bodies }) => id === first.id && bodies.join() === first.bodies.join()), 'the same again');
});

test('a server that has left, or that the operator keeps out, is sent nothing', { skip }, async () => {
  const { guest, alice, room } = await stage();
  await alice.send(room, '1');
  await arrives(guest, ['1']);
  await alice.post(`/rooms/${encodeURIComponent(room)}/ban`, { user_id: `@guest:${guest.name}` });
  await eventually('it hears that its user is banned', async () => guest.came.length === 2);
  for (const body of ['2', '3']) await alice.send(room, body);
  // Another server of another room is told meanwhile: whatever was to be sent has been.
  const other = await stage();
  await other.alice.send(other.room, 'x');
  await arrives(other.guest, ['x']);
  assert.deepEqual(guest.taken, ['1']);
});

test('the administrator alone asks about other servers', { skip }, async () => {
  const alice = await register(server.base);
  const path = '/_tern/admin/v1/federation/destinations/a.example';
  assert.equal((await ask(server.base, 'GET', path, { token: alice.token })).status, 401);
  assert.equal(okay(await admin('GET', 'a.example')).rooms_pending, 0, 'nothing of one that was never met');
  assert.equal((await admin('GET', encodeURIComponent('not a server'))).json.errcode, 'M_INVALID_PARAM');
});
