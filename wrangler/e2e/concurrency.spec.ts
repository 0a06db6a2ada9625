// Many senders at once in one room: one order for everyone, nothing lost, nothing twice.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, history, okay, people, register, text, unique, type Json, type User } from './support/client.ts';
import { sized } from './support/full.ts';
import { shared } from './support/server.ts';
import { Classic, Sliding, timeline, type Loop } from './support/sync.ts';

const base = await shared();
const SENDERS = sized(16, 50);
const EACH = 4;

function ids(events: Json[]): string[] {
  return events.filter((event) => event.type === 'm.room.message').map((event) => event.event_id);
}

/** The messages between what is known and the start of a limited timeline, as a client fetches them. */
async function gap(user: User, room: string, from: string, known: Set<string>): Promise<string[]> {
  const missed: string[] = [];
  for (let token: string | undefined = from; token;) {
    const page = await user.get(at`/rooms/${room}/messages`, { dir: 'b', limit: 20, from: token });
    for (const id of ids(page.chunk)) {
      if (known.has(id)) return missed.reverse();
      missed.push(id);
    }
    token = page.end;
  }
  throw new Error('the gap has no lower end');
}

/** Reads along while others send, until it has seen so many messages. */
async function readAlong(loop: Loop, room: string, count: number, known: string): Promise<string[]> {
  const seen: string[] = [known];
  const read = async (timeout: number) => {
    const { json } = await loop.poll(timeout);
    const part = json.rooms?.[room] ?? json.rooms?.join?.[room]?.timeline;
    if (part?.limited) seen.push(...await gap(loop.user, room, part.prev_batch, new Set(seen)));
    seen.push(...ids(timeline(json, room)));
  };
  const end = performance.now() + 60_000;
  while (seen.length <= count && performance.now() < end) await read(2_000);
  await read(500); // nothing may come after the last one
  return seen.slice(1);
}

test(`${SENDERS} concurrent senders in one room: one order in every sync and every pagination`, { timeout: 300_000 }, async (t) => {
  const users = await people(base, SENDERS);
  const [owner, ...others] = users;
  const room = await owner.createRoom();
  for (const user of others) await user.join(room);
  const quiet = await owner.send(room, 'ready');
  const filter = JSON.stringify({ room: { timeline: { limit: 20 } } });
  const loops: Loop[] = [new Sliding(users[0], { limit: 20 }), new Sliding(users[1], { limit: 20, shape: 'stable' }),
    new Classic(users[2], { filter }), new Classic(users[3], { filter })];
  for (const loop of loops) {
    while (!ids(timeline((await loop.poll(0)).json, room)).includes(quiet));
  }

  const readers = loops.map((loop) => readAlong(loop, room, SENDERS * EACH, quiet));
  const start = performance.now();
  const acknowledged: string[] = [];
  await Promise.all(users.map(async (user: User) => {
    for (let n = 0; n < EACH; n += 1) {
      const path = at`/rooms/${room}/send/m.room.message/${unique('t')}`;
      acknowledged.push(okay(await user.call('PUT', path, { body: text(`${user.name} ${n}`) })).event_id);
    }
  }));
  t.diagnostic(`${acknowledged.length} sends in ${(performance.now() - start).toFixed(0)} ms`);
  assert.equal(new Set(acknowledged).size, SENDERS * EACH, 'every send got an event of its own');

  const reference = ids(await history(owner, room, 'f', 100)).filter((id) => id !== quiet);
  assert.deepEqual([...reference].sort(), [...acknowledged].sort(), 'history has every acknowledged event once');
  for (const [n, reader] of readers.entries()) {
    assert.deepEqual(await reader, reference, `live reader ${n} has the order of history`);
  }
  for (const user of [users[4], users[5]]) {
    for (const limit of [1, 10]) {
      for (const dir of ['f', 'b'] as const) {
        const events = ids(await history(user, room, dir, limit)).filter((id) => id !== quiet);
        if (dir === 'b') events.reverse();
        assert.deepEqual(events, reference, `by ${limit}, direction ${dir}`);
      }
    }
  }
});

test('one sender keeps the order of its own sends', async () => {
  const [alice, bob] = await people(base, 2);
  const room = await alice.createRoom();
  await bob.join(room);
  const mine: string[] = [];
  await Promise.all([
    (async () => { for (let n = 0; n < 20; n += 1) mine.push(await alice.send(room, `a${n}`)); })(),
    (async () => { for (let n = 0; n < 20; n += 1) await bob.send(room, `b${n}`); })(),
  ]);
  const order = ids(await history(bob, room, 'f', 50));
  assert.deepEqual(order.filter((id) => mine.includes(id)), mine);
});

test('the same transaction id sent many times at once is one event', async () => {
  const [alice, bob] = await people(base, 2);
  const room = await alice.createRoom();
  await bob.join(room);
  const answers = await Promise.all(Array.from({ length: 20 }, () => alice.send(room, 'only once', 'same')));
  assert.equal(new Set(answers).size, 1);
  assert.deepEqual(ids(await history(bob, room, 'b', 50)), [answers[0]]);
});

test('of many users who register one name at once exactly one succeeds', async () => {
  const username = unique();
  const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => register(base, { username })));
  assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
});

test('of many rooms created at once under one alias exactly one gets it', async () => {
  const alice = (await people(base, 1))[0];
  const name = unique('alias');
  const answers = await Promise.all(Array.from({ length: 8 }, () =>
    alice.call('POST', '/createRoom', { body: { room_alias_name: name } })));
  assert.equal(answers.filter(({ status }) => status === 200).length, 1);
  assert.ok(answers.every(({ status, json }) => status === 200 || json.errcode === 'M_ROOM_IN_USE'));
});

test('joins, leaves and invites at once end in one membership per user for everyone', async () => {
  const [owner, ...guests] = await people(base, 11);
  const room = await owner.createRoom();
  await Promise.all(guests.map((guest) => guest.join(room)));
  await Promise.all(guests.map((guest, n) => (n % 2 ? guest.leave(room) : guest.send(room, 'hello'))));
  const { joined } = await owner.get(at`/rooms/${room}/joined_members`);
  const staying = [owner, ...guests.filter((_, n) => n % 2 === 0)].map(({ id }) => id);
  assert.deepEqual(Object.keys(joined).sort(), staying.sort());
  const { chunk } = await owner.get(at`/rooms/${room}/members`);
  assert.equal(chunk.length, 11);
  assert.equal(chunk.filter((event: Json) => event.content.membership === 'leave').length, 5);
});
