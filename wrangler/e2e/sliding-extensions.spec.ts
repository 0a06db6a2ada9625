// Extensions of sliding sync (MSC3884, 3885, 3959, 3960, 3961, 4308), in both shapes: what each tells first, what later,
// of which rooms, and that each wakes a poll of its own and no other.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, okay, pair, unique, type Json, type User } from './support/client.ts';
import { CURVE, publish } from './support/keys.ts';
import { shared } from './support/server.ts';
import { Sliding, follow, hasRead, knows, park, types } from './support/sync.ts';

const base = await shared();
const SHAPES = ['unstable', 'stable'] as const;
const THREADS = 'io.element.msc4308.thread_subscriptions';
type Shape = (typeof SHAPES)[number];

/** A connection with these extensions and one list of all rooms; without a list for what is not about rooms. */
function only(user: User, shape: Shape, extensions: Json, listed = true): Sliding {
  const loop = new Sliding(user, { shape, conn: unique('c'), limit: 5 });
  loop.body = { conn_id: loop.body.conn_id, extensions, ...(listed ? { lists: loop.body.lists } : {}) };
  return loop;
}

interface Scene {
  alice: User;
  /** A second device of Alice's. */
  tablet: User;
  bob: User;
  room: string;
  root: string;
}

const note = (scene: Scene): Promise<Json> => {
  const messages = { [scene.alice.id]: { [scene.alice.device]: { n: 1 } } };
  return scene.bob.put(at`/sendToDevice/org.example.note/${unique()}`, { messages });
};

/** What happens, and the one extension it is news of. */
const NEWS: [extension: string, happens: (scene: Scene) => Promise<unknown>, told: (part: Json, scene: Scene) => unknown][] = [
  ['to_device', note, (part) => part.events[0].content.n === 1 && part.next_batch],
  ['e2ee', ({ bob }) => publish(bob), (part, { bob }) => part.device_lists.changed.includes(bob.id)],
  ['account_data', ({ tablet }) => tablet.put(at`/user/${tablet.id}/account_data/org.example.x`, { x: 1 }), (part) =>
    part.global.length === 1 && part.global[0].type === 'org.example.x'],
  ['receipts', ({ bob, room, root }) => bob.receipt(room, root), (part, { room, root }) => part.rooms[room].content[root]['m.read']],
  ['typing', ({ bob, room }) => bob.typing(room), (part, { bob, room }) => part.rooms[room].content.user_ids.includes(bob.id)],
  [THREADS, ({ tablet, room, root }) => tablet.put(at`/_matrix/client/unstable/io.element.msc4306/rooms/${room}/thread/${root}/subscription`, {}),
    (part, { room, root }) => part.subscribed[room][root].automatic === false],
];

for (const shape of SHAPES) {
  test(`${shape}: each extension wakes the poll that asked for it, and only that one`, async () => {
    const [alice, bob, room] = await pair(base);
    const [tablet, root] = [await alice.login(), await alice.send(room, 'root')];
    const scene = { alice, tablet, bob, room, root };
    const loops = NEWS.map(([name]) => only(alice, shape, { [name]: { enabled: true, ...(name === THREADS ? { limit: 10 } : {}) } }));
    const parked = await Promise.all(loops.map((loop) => park(loop)));
    for (const [index, [name, happens, told]] of NEWS.entries()) {
      await happens(scene);
      // Who was woken by something else has answered with it, or with nothing.
      const { json, text: answer } = await parked[index]!.answer;
      assert.deepEqual([Object.keys(json).sort(), Object.keys(json.extensions ?? {})], [['extensions', 'pos'], [name]], answer);
      assert.ok(told(json.extensions[name], scene), answer);
    }
  });

  test(`${shape}: to-device messages come again until their token comes back, at most limit at a time, and never after`, async () => {
    const [alice, bob, room] = await pair(base);
    for (let n = 0; n < 5; n += 1) await note({ alice, tablet: alice, bob, room, root: '' });
    const loop = only(alice, shape, { to_device: { enabled: true, limit: 3 } }, false);
    const first = (await loop.request(undefined, 0)).json;
    const again = okay(await only(alice, shape, loop.body.extensions, false).request(undefined, 0));
    assert.deepEqual(again.extensions.to_device.events, first.extensions.to_device.events, 'not acknowledged yet');
    assert.equal(first.extensions.to_device.events.length, 3);
    const since = (token: string): Json => ({ ...loop.body, extensions: { to_device: { enabled: true, limit: 3, since: token } } });
    const { next_batch: token } = first.extensions.to_device;
    const second = okay(await loop.request(first.pos, 0, since(token)));
    assert.equal(second.extensions.to_device.events.length, 2);
    const fresh = okay(await only(alice, shape, { to_device: { enabled: true } }, false).request(undefined, 0));
    assert.deepEqual(fresh.extensions.to_device.events, second.extensions.to_device.events, 'what was acknowledged is gone, the rest is not');
    const last = okay(await loop.request(second.pos, 0, since(second.extensions.to_device.next_batch)));
    assert.equal(last.extensions?.to_device?.events, undefined);
    assert.deepEqual(okay(await only(alice, shape, { to_device: { enabled: true } }, false).request(undefined, 0)).extensions?.to_device?.events ?? [], []);
  });

  test(`${shape}: e2ee has the key counts first, later what changed of them, and who is shared a room with no more`, async () => {
    const [alice, bob, room] = await pair(base);
    const key = await publish(alice);
    const loop = only(alice, shape, { e2ee: { enabled: true } }, false);
    const first = (await loop.poll(0)).json.extensions.e2ee;
    assert.deepEqual([first.device_one_time_keys_count, first.device_unused_fallback_key_types], [{ [CURVE]: 0 }, []]);
    const next = async (claim: string, seen: (part: Json) => unknown) =>
      (await follow(loop, claim, (json) => json.extensions?.e2ee && seen(json.extensions.e2ee))).at(-1).extensions.e2ee;
    await alice.post('/keys/upload', { one_time_keys: key.oneTime(['A']), fallback_keys: key.oneTime(['F']) });
    await next('one key', (part) => part.device_one_time_keys_count?.[CURVE] === 1 && part.device_unused_fallback_key_types?.includes(CURVE));
    const claim = { one_time_keys: { [alice.id]: { [alice.device]: CURVE } } };
    const parked = await park(loop);
    await bob.post('/keys/claim', claim);
    assert.equal((await parked.answer).json.extensions.e2ee.device_one_time_keys_count[CURVE], 0, 'a claim wakes the poll');
    await bob.post('/keys/claim', claim);
    const used = await next('the fallback key is used', (part) => part.device_unused_fallback_key_types);
    assert.deepEqual(used.device_unused_fallback_key_types, []);
    assert.equal(used.device_lists, undefined, 'nobody changed');
    await publish(bob);
    const changed = await next('Bob has a device', (part) => part.device_lists?.changed?.includes(bob.id));
    assert.equal(changed.device_one_time_keys_count, undefined, 'no count changed');
    await bob.leave(room);
    const left = await next('Bob is gone', (part) => part.device_lists?.left);
    assert.deepEqual([left.device_lists.left, left.device_lists.changed], [[bob.id], undefined]);
  });

  test(`${shape}: account data is whole at first and then what changes, of rooms only where the client knows the room`, async () => {
    const [alice, , known] = await pair(base);
    const hidden = await alice.createRoom();
    await alice.send(known, 'on top');
    await knows(alice, [known, hidden], undefined);
    await knows(alice, [known], 'on top');
    await alice.put(at`/user/${alice.id}/account_data/org.example.a`, { n: 1 });
    for (const room of [known, hidden]) await alice.put(at`/user/${alice.id}/rooms/${room}/account_data/org.example.r`, { n: 1 });
    const loop = only(alice, shape, { account_data: { enabled: true } });
    if (shape === 'stable') loop.body.lists.all.range = [0, 0];
    else loop.body.lists.all.ranges = [[0, 0]];
    const first = (await loop.poll(0)).json.extensions.account_data;
    for (const type of ['m.push_rules', 'org.example.a']) assert.ok(first.global.some((event: Json) => event.type === type), type);
    assert.deepEqual(Object.keys(first.rooms), [known]);
    await alice.put(at`/user/${alice.id}/rooms/${hidden}/account_data/org.example.r`, { n: 2 });
    await alice.put(at`/user/${alice.id}/rooms/${known}/account_data/org.example.s`, { n: 2 });
    await alice.put(at`/user/${alice.id}/account_data/org.example.b`, { n: 2 });
    const told = (await follow(loop, 'the last of it', (json) => json.extensions?.account_data?.global)).map((json) => json.extensions?.account_data ?? {});
    assert.deepEqual(told.flatMap(({ global = [] }) => global.map(({ type }: Json) => type)), ['org.example.b']);
    const rooms = told.flatMap(({ rooms = {} }) => Object.entries<Json[]>(rooms));
    assert.deepEqual(rooms.map(([room, events]) => [room, events.map(({ type }) => type)]), [[known, ['org.example.s']]]);
    loop.body.lists.all[shape === 'stable' ? 'range' : 'ranges'] = shape === 'stable' ? [0, 9] : [[0, 9]];
    const grown = (await loop.poll(0)).json.extensions.account_data;
    assert.deepEqual(grown.rooms[hidden].map(({ content }: Json) => content.n), [2], 'with the room that comes into the window');
  });

  test(`${shape}: typing and receipts of the rooms that lists and rooms name, and of a new room what there is`, async () => {
    const [alice, bob, one] = await pair(base);
    const two = await alice.createRoom();
    await bob.join(two);
    const events = [await alice.send(one, 'one'), await alice.send(two, 'two')];
    await knows(alice, [two], 'two');
    const scoped = (scope: Json) => only(alice, shape, { typing: { enabled: true, ...scope }, receipts: { enabled: true, ...scope } });
    const loops: [scope: string, loop: Sliding, heard: string[]][] = [
      ['everything', scoped({}), [one, two]],
      ['a room by name', scoped({ lists: [], rooms: [two] }), [two]],
      ['a list', scoped({ lists: ['all'], rooms: [] }), [one, two]],
      ['a list that is none', scoped({ lists: ['none'], rooms: [] }), []],
    ];
    for (const [, loop] of loops) await loop.poll(0);
    for (const [index, room] of [one, two].entries()) {
      await bob.receipt(room, events[index]!);
      await bob.typing(room);
    }
    for (const [scope, loop, heard] of loops) {
      const seen: Json[] = heard.length === 0 ? [(await loop.poll(300)).json] : [];
      for (const room of heard) {
        const told = () => seen.some((json) => types(bob, json, room)) && seen.some((json) => hasRead(bob, json, room, events[[one, two].indexOf(room)]!));
        if (!told()) await follow(loop, `${scope}: ${room}`, (json) => { seen.push(json); return told(); });
      }
      for (const room of [one, two]) assert.equal(seen.some((json) => types(bob, json, room)), heard.includes(room), scope);
    }
    const fresh = (await scoped({}).poll(0)).json;
    assert.ok(types(bob, fresh, one) && hasRead(bob, fresh, one, events[0]!), 'with the room itself');
    await bob.typing(one, false);
    await bob.typing(two, false);
    await follow(loops[0]![1], 'nobody types', (json) => json.extensions?.typing?.rooms?.[two] && !types(bob, json, two));
    assert.equal((await scoped({}).poll(0)).json.extensions?.typing, undefined, 'nothing to say');
  });

  test(`${shape}: private receipts are the user's own business, and of several receipts the last one is told`, async () => {
    const [alice, bob, room] = await pair(base);
    const events: string[] = [];
    for (let n = 0; n < 3; n += 1) events.push(await alice.send(room, `m${n}`));
    const [watcher, tablet] = [only(alice, shape, { receipts: { enabled: true } }), only(bob, shape, { receipts: { enabled: true } })];
    await Promise.all([watcher.poll(0), tablet.poll(0)]);
    await bob.receipt(room, events[0]!, 'm.read.private');
    await bob.receipt(room, events[1]!);
    await bob.receipt(room, events[2]!);
    const told = await follow(watcher, 'the last', (json) => hasRead(bob, json, room, events[2]!));
    assert.ok(!JSON.stringify(told).includes('m.read.private'));
    await follow(tablet, 'their own', (json) => hasRead(bob, json, room, events[2]!));
    const fresh = (await only(alice, shape, { receipts: { enabled: true } }).poll(0)).json;
    assert.ok(hasRead(bob, fresh, room, events[2]!) && !hasRead(bob, fresh, room, events[1]!));
    const own = (await only(bob, shape, { receipts: { enabled: true } }).poll(0)).json;
    assert.ok(hasRead(bob, own, room, events[0]!, 'm.read.private'));
  });
}
