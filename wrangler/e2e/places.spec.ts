// A token of either sync is a place in every room: in messages both ways, relations, threads and members.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, bodies, history, pair, refused, register, text, unique, type Json, type User } from './support/client.ts';
import { FULL } from './support/full.ts';
import { shared } from './support/server.ts';
import { Classic, Sliding, follow, says, type Loop } from './support/sync.ts';

const base = await shared();

async function talk(user: User, room: string, from: number, through: number): Promise<void> {
  for (let n = from; n <= through; n += 1) await user.send(room, `m${n}`);
}

const names = (from: number, through: number) => Array.from({ length: through - from + 1 }, (_, n) => `m${from + n}`);
const TAKES: [string, (user: User) => Loop, (loop: any) => string][] = [
  ['next_batch of classic sync', (user) => new Classic(user, { filter: '{"room":{"timeline":{"limit":1}}}' }), (loop) => loop.since],
  ['pos of sliding sync', (user) => new Sliding(user, { limit: 1 }), (loop) => loop.pos],
  ['pos of sliding sync as merged', (user) => new Sliding(user, { limit: 1, shape: 'stable' }), (loop) => loop.pos],
];

for (const [name, begin, token] of TAKES) {
  test(`${name}: from it forwards comes what is new, backwards what was there, and both stop at it`, async () => {
    const [alice, bob, room] = await pair(base);
    await talk(alice, room, 1, 5);
    const loop = begin(bob);
    await follow(loop, 'm5', (json) => says(json, room, 'm5'));
    const here = token(loop);
    await talk(alice, room, 6, 9);
    await follow(loop, 'm9', (json) => says(json, room, 'm9'));
    const page = (query: Json) => bob.get(at`/rooms/${room}/messages`, { limit: 50, ...query });
    assert.deepEqual(bodies((await page({ dir: 'f', from: here })).chunk), names(6, 9));
    assert.deepEqual(bodies((await page({ dir: 'b', from: here })).chunk), names(1, 5).reverse());
    assert.deepEqual(bodies((await page({ dir: 'b', to: here })).chunk), names(6, 9).reverse());
    assert.deepEqual(bodies((await page({ dir: 'f', to: here })).chunk), names(1, 5));
    assert.deepEqual(bodies((await page({ dir: 'b', from: token(loop), to: here })).chunk), names(6, 9).reverse());
    assert.deepEqual((await page({ dir: 'f', from: token(loop) })).chunk, []);
    assert.deepEqual(bodies(await history(bob, room, 'f', 2, { to: here })), names(1, 5));
  });

  // What differs between the two shapes of sliding sync is spelling.
  const same = name === 'pos of sliding sync as merged' && !FULL;
  test(`${name}: it is a place in a room where nothing has happened for long, and after more than the inbox holds`, { skip: same && 'played with --full' }, async () => {
    const [alice, bob, busy] = await pair(base);
    const still = await alice.createRoom();
    await bob.join(still);
    await alice.send(still, 'once');
    const loop = begin(bob);
    await follow(loop, 'once', (json) => says(json, still, 'once'));
    await talk(alice, busy, 1, 2);
    await follow(loop, 'm2', (json) => says(json, busy, 'm2'));
    const here = token(loop);
    await talk(alice, busy, 3, 130);
    await follow(loop, 'm130', (json) => says(json, busy, 'm130'));
    await alice.send(still, 'again');
    const page = (room: string, query: Json) => bob.get(at`/rooms/${room}/messages`, { limit: 200, ...query });
    assert.deepEqual(bodies((await page(busy, { dir: 'b', to: here })).chunk), names(3, 130).reverse());
    assert.deepEqual(bodies((await page(busy, { dir: 'f', from: here })).chunk), names(3, 130));
    assert.deepEqual(bodies((await page(still, { dir: 'f', from: here })).chunk), ['again']);
    assert.deepEqual(bodies((await page(still, { dir: 'b', from: here })).chunk), ['once']);
  });

  test(`${name}: relations, threads and members as they were there`, async () => {
    const [alice, bob, room] = await pair(base);
    const root = await alice.send(room, 'root');
    const relates = (n: number, rel_type: string, event_id: string) => alice.put(
      at`/rooms/${room}/send/m.room.message/${unique('t')}`, { ...text(`m${n}`), 'm.relates_to': { rel_type, event_id } });
    for (const n of [1, 2]) await relates(n, 'm.thread', root);
    const loop = begin(bob);
    await follow(loop, 'm2', (json) => says(json, room, 'm2'));
    const here = token(loop);
    for (const n of [3, 4]) await relates(n, 'm.thread', root);
    const carol = await register(base);
    await carol.join(room);
    const second = await alice.send(room, 'second root');
    await relates(5, 'm.thread', second);
    await follow(loop, 'm5', (json) => says(json, room, 'm5'));
    const related = async (query: Json) =>
      bodies((await bob.get(at`/_matrix/client/v1/rooms/${room}/relations/${root}`, { limit: 50, ...query })).chunk);
    assert.deepEqual(await related({ dir: 'f', from: here }), ['m3', 'm4']);
    assert.deepEqual(await related({ dir: 'b', from: here }), ['m2', 'm1']);
    assert.deepEqual(await related({ dir: 'b', to: here }), ['m4', 'm3']);
    const threads = async (query: Json) => bodies((await bob.get(at`/_matrix/client/v1/rooms/${room}/threads`, query)).chunk);
    assert.deepEqual(await threads({}), ['second root', 'root']);
    // The first thread has moved on since: its newest event is not before the place.
    assert.deepEqual(await threads({ from: here }), []);
    const members = async (query: Json) =>
      (await bob.get(at`/rooms/${room}/members`, query)).chunk.map(({ state_key }: Json) => state_key).sort();
    assert.deepEqual(await members({ at: here }), [alice.id, bob.id].sort());
    assert.deepEqual(await members({ at: token(loop) }), [alice.id, bob.id, carol.id].sort());
  });
}

test('a token from before the join has all of the room on either side that was before or after', async () => {
  const alice = await register(base);
  const bob = await register(base);
  const loop = new Classic(bob);
  await loop.poll(0);
  const here = loop.since!;
  const room = await alice.createRoom();
  await talk(alice, room, 1, 3);
  await bob.join(room);
  await talk(alice, room, 4, 5);
  await follow(loop, 'm5', (json) => says(json, room, 'm5'));
  const page = (query: Json) => bob.get(at`/rooms/${room}/messages`, { limit: 50, ...query });
  assert.deepEqual(bodies((await page({ dir: 'f', from: here })).chunk), names(1, 5));
  assert.deepEqual(bodies((await page({ dir: 'b', from: here })).chunk), names(1, 3).reverse());
  assert.deepEqual(bodies((await page({ dir: 'b', to: here })).chunk), names(1, 5).reverse());
});

test('in a room that was left a token leads no further than the leaving', async () => {
  const [alice, bob, room] = await pair(base);
  await talk(alice, room, 1, 2);
  const loop = new Classic(bob);
  await follow(loop, 'm2', (json) => says(json, room, 'm2'));
  const here = loop.since!;
  await talk(alice, room, 3, 3);
  await bob.leave(room);
  await talk(alice, room, 4, 4);
  await follow(loop, 'the leaving', (json) => json.rooms?.leave?.[room]);
  const page = (from: string) => bob.get(at`/rooms/${room}/messages`, { dir: 'f', limit: 50, from });
  assert.deepEqual(bodies((await page(here)).chunk), ['m3']);
  assert.deepEqual(bodies((await page(loop.since!)).chunk), []);
});

test("tokens of others and made-up ones open nothing and break nothing", async () => {
  const [alice, bob, room] = await pair(base);
  await talk(alice, room, 1, 2);
  const loop = new Classic(alice);
  await follow(loop, 'm2', (json) => says(json, room, 'm2'));
  const stranger = await register(base);
  for (const from of [loop.since!, 's1', 'pzik0zj', 's9007199254740991', 's18446744073709551615', 'p3w5e11264sgsf']) {
    const path = at`/rooms/${room}/messages`;
    refused(await stranger.call('GET', path, { query: { dir: 'f', from } }), 403, 'M_FORBIDDEN');
    assert.equal((await bob.call('GET', path, { query: { dir: 'f', from } })).status, 200, from);
  }
  for (const from of ['s', 'p', 's1_', 's-1', 'p+1', 'x1', '12345', 's99999999999999999999', 'pzzzzzzzzzzzzzzzz', 't1_1']) {
    for (const path of [at`/rooms/${room}/messages`, at`/_matrix/client/v1/rooms/${room}/threads`]) {
      refused(await bob.call('GET', path, { query: { dir: 'f', from } }), 400, 'M_INVALID_PARAM');
    }
  }
});
