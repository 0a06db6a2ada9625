// Sliding sync (MSC4186) in both shapes: lists, subscriptions, required state, timelines, each thing told once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, bodies, brief, okay, pair, people, refused, register, type Json, type User } from './support/client.ts';
import { shared } from './support/server.ts';
import { Sliding, delivers, follow, knows, park, says } from './support/sync.ts';

const base = await shared();
type Shape = 'unstable' | 'stable';

/** One list or subscription in the words of either shape; `*` as a key stands for all. */
function config(shape: Shape, wanted: [type: string, key: string][], limit: number, range?: [number, number]): Json {
  if (shape === 'unstable') return { timeline_limit: limit, required_state: wanted, ...(range ? { ranges: [range] } : {}) };
  const include = wanted.map(([type, key]) => ({ ...(type === '*' ? {} : { type }), ...(key === '*' ? {} : { state_key: key }) }));
  return { timeline_limit: limit, required_state: { include }, ...(range ? { range } : {}) };
}

/** A connection with exactly these lists and subscriptions and no extensions. */
function connect(user: User, shape: Shape, lists: Json, room_subscriptions: Json = {}): Sliding {
  const loop = new Sliding(user, { shape });
  loop.body = { conn_id: 'test', lists, room_subscriptions };
  return loop;
}

const keys = (events: Json[] = []) => events.map(({ type, state_key }) => `${type}|${state_key}`).sort();

for (const shape of ['unstable', 'stable'] as const) {
  const range = (last: number): [number, number] => [0, last];

  test(`${shape}: a list shows the rooms with the latest activity, counts all, and lets a quiet room in when it speaks`, async () => {
    const [alice, bob] = await people(base, 2);
    const rooms: string[] = [];
    for (let n = 0; n < 4; n += 1) {
      rooms.push(await alice.createRoom());
      await bob.join(rooms[n]);
    }
    for (const room of rooms) await alice.send(room, 'hello');
    await knows(alice, rooms, 'hello');
    const loop = connect(alice, shape, { top: config(shape, [], 1, range(1)) });
    const { json } = await loop.poll(0);
    assert.equal(json.lists.top.count, 4);
    assert.deepEqual(Object.keys(json.rooms).sort(), rooms.slice(2).sort());
    await bob.send(rooms[0], 'news');
    const [told] = (await follow(loop, 'the quiet room', (next) => says(next, rooms[0], 'news'))).slice(-1);
    assert.deepEqual(Object.keys(told.rooms), [rooms[0]], 'and only that one');
    assert.equal(told.rooms[rooms[0]].initial, true);
  });

  test(`${shape}: a grown range brings the other rooms, and those already there not again`, async () => {
    const alice = await register(base);
    const rooms = await Promise.all(Array.from({ length: 5 }, () => alice.createRoom()));
    await knows(alice, rooms);
    const lists = (last: number) => ({ all: config(shape, [], 1, range(last)) });
    const loop = connect(alice, shape, lists(1));
    const first = Object.keys((await loop.poll(0)).json.rooms);
    loop.body.lists = lists(4);
    const second = Object.keys((await loop.poll(0)).json.rooms);
    assert.deepEqual([first.length, second.length], [2, 3]);
    assert.equal(new Set([...first, ...second]).size, 5);
  });

  test(`${shape}: required_state is what was asked for: one key, all of a type, everything`, async () => {
    const [alice, bob, room] = await pair(base, { name: 'Shelf' });
    await alice.setState(room, 'org.example.kind', { n: 1 }, 'a');
    await alice.setState(room, 'org.example.kind', { n: 2 }, 'b');
    const last = await alice.send(room, 'ready');
    await knows(bob, [room], 'ready');
    const state = async (wanted: [string, string][]) =>
      (await connect(bob, shape, { all: config(shape, wanted, 1, range(9)) }).poll(0)).json.rooms[room].required_state;
    assert.deepEqual(keys(await state([['m.room.name', '']])), ['m.room.name|']);
    assert.deepEqual(keys(await state([['org.example.kind', '*']])), ['org.example.kind|a', 'org.example.kind|b']);
    assert.deepEqual(keys(await state([['org.example.kind', 'b'], ['m.room.none', '']])), ['org.example.kind|b']);
    assert.deepEqual(keys(await state([])), []);
    const all: Json[] = await bob.get(at`/rooms/${room}/state`);
    assert.deepEqual(keys(await state([['*', '*']])), keys(all));
    assert.equal((await bob.get(at`/rooms/${room}/event/${last}`)).content.body, 'ready');
  });

  test(`${shape}: lazy members bring the senders of the timeline and no one else, each once`, async () => {
    const [alice, bob, carol, dave] = await people(base, 4);
    const room = await alice.createRoom();
    for (const user of [bob, carol, dave]) await user.join(room);
    for (const [user, body] of [[carol, 'one'], [bob, 'two']] as const) await user.send(room, body);
    await knows(alice, [room], 'two');
    const lists = shape === 'unstable'
      ? { all: config(shape, [['m.room.member', '$LAZY'], ['m.room.member', '$ME']], 2, range(9)) }
      : { all: { timeline_limit: 2, range: range(9), required_state: { include: [{ type: 'm.room.member', state_key: alice.id }], lazy_members: true } } };
    const loop = connect(alice, shape, lists);
    const { json } = await loop.poll(0);
    assert.deepEqual(keys(json.rooms[room].required_state), [alice, bob, carol].map(({ id }) => `m.room.member|${id}`).sort());
    assert.equal(json.rooms[room].joined_count, 4);
    for (const [user, told] of [[bob, []], [dave, [`m.room.member|${dave.id}`]], [dave, []]] as const) {
      const event = await user.send(room, 'more');
      const [next] = (await follow(loop, 'it', (one) => JSON.stringify(one).includes(event))).slice(-1);
      assert.deepEqual(keys(next.rooms[room].required_state), told);
    }
  });

  test(`${shape}: a room is told whole once, then only what changed`, async () => {
    const [alice, bob, room] = await pair(base, { name: 'Before' });
    for (let n = 1; n <= 5; n += 1) await bob.send(room, `m${n}`);
    await knows(alice, [room], 'm5');
    const loop = connect(alice, shape, { all: config(shape, [['m.room.name', ''], ['m.room.topic', '']], 3, range(9)) });
    const first = (await loop.poll(0)).json.rooms[room];
    assert.deepEqual([first.initial, first.name, first.limited, first.joined_count], [true, 'Before', true, 2]);
    assert.deepEqual(bodies(first.timeline), ['m3', 'm4', 'm5']);
    assert.ok(first.bump_stamp > 0 && first.prev_batch);
    await bob.send(room, 'm6');
    const second = (await follow(loop, 'm6', (json) => says(json, room, 'm6'))).at(-1).rooms[room];
    assert.deepEqual(bodies(second.timeline), ['m6']);
    assert.equal(second.num_live, 1);
    for (const field of ['initial', 'limited']) assert.ok(!second[field], field);
    assert.deepEqual([second.name, second.required_state ?? []], [undefined, []], 'nothing that did not change');
    await alice.setState(room, 'm.room.name', { name: 'After' });
    const third = (await follow(loop, 'the name', (json) => json.rooms?.[room]?.name)).at(-1).rooms[room];
    assert.equal(third.name, 'After');
    assert.deepEqual(keys(third.required_state), ['m.room.name|']);
  });

  test(`${shape}: a gap has the newest events, limited, and prev_batch where it starts`, async () => {
    const [alice, bob, room] = await pair(base);
    const loop = connect(alice, shape, { all: config(shape, [], 2, range(9)) });
    await bob.send(room, 'm0');
    await follow(loop, 'm0', (json) => says(json, room, 'm0'));
    for (let n = 1; n <= 6; n += 1) await bob.send(room, `m${n}`);
    await knows(alice, [room], 'm6');
    const part = (await loop.poll(0)).json.rooms[room];
    assert.deepEqual(bodies(part.timeline), ['m5', 'm6']);
    assert.equal(part.limited, true);
    const query = { dir: 'b', limit: 2, from: part.prev_batch };
    assert.deepEqual(bodies((await alice.get(at`/rooms/${room}/messages`, query)).chunk), ['m4', 'm3']);
  });

  test(`${shape}: a subscription shows a room no list shows, with its own limit`, async (t) => {
    const [alice, bob, room] = await pair(base);
    for (let n = 1; n <= 4; n += 1) await bob.send(room, `m${n}`);
    await knows(alice, [room], 'm4');
    const busy = await alice.createRoom();
    await knows(alice, [busy]);
    const subscriptions = { [room]: config(shape, [['m.room.create', '']], 3), '!unknown:example.org': config(shape, [], 1) };
    const loop = connect(alice, shape, { top: config(shape, [], 1, range(0)) }, subscriptions);
    const { json } = await loop.poll(0);
    assert.deepEqual(Object.keys(json.rooms).sort(), [busy, room].sort());
    assert.deepEqual(bodies(json.rooms[room].timeline), ['m2', 'm3', 'm4']);
    assert.deepEqual(keys(json.rooms[room].required_state), ['m.room.create|']);
    await delivers(t, loop, () => bob.send(room, 'm5'), (next) => says(next, room, 'm5'));
  });

  test(`${shape}: extensions speak only when enabled and only when they have something to say`, async () => {
    const [alice, bob, room] = await pair(base);
    const loop = new Sliding(alice, { shape });
    loop.body.extensions = { typing: { enabled: true }, receipts: { enabled: false } };
    await park(loop, 500).then(({ answer }) => answer);
    const idle = await loop.poll(0);
    assert.deepEqual(Object.keys(idle.json.extensions ?? {}), [], brief(idle));
    const event = await alice.send(room, 'read me');
    await bob.receipt(room, event);
    await bob.typing(room);
    const answers = await follow(loop, 'typing', (json) => json.extensions?.typing?.rooms?.[room]);
    assert.ok(answers.every((json) => Object.keys(json.extensions ?? {}).every((name) => name === 'typing')));
  });

  test(`${shape}: the kicked are told so, and then nothing more of the room`, async () => {
    const [alice, bob, room] = await pair(base);
    const loop = new Sliding(bob, { shape });
    await park(loop, 500).then(({ answer }) => answer);
    await alice.post(at`/rooms/${room}/kick`, { user_id: bob.id });
    const answers = await follow(loop, 'the kick', (json) => json.rooms?.[room]);
    assert.ok(JSON.stringify(answers).includes('"leave"'));
    await alice.send(room, 'among us');
    await park(loop, 500).then(async ({ answer }) => assert.ok(!(await answer).text.includes('among us')));
  });

  test(`${shape}: more than 100 lists or subscriptions are refused`, async () => {
    const alice = await register(base);
    const many = (one: Json) => Object.fromEntries(Array.from({ length: 101 }, (_, n) => [`k${n}`, one]));
    const lists = { conn_id: 'x', lists: many(config(shape, [], 1, range(0))) };
    refused(await new Sliding(alice, { shape }).request(undefined, 0, lists), 400, 'M_INVALID_PARAM');
    okay(await new Sliding(alice, { shape }).request(undefined, 0, { conn_id: 'x' }));
  });
}
