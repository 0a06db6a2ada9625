// Lists of sliding sync (MSC4186, "Lists" and "SlidingRoomFilter"), by a table: one account with rooms of every kind, one
// row per rule of the text, in both shapes.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { at, people, register, type Json, type User } from './support/client.ts';
import { shared } from './support/server.ts';
import { Sliding, follow, knows } from './support/sync.ts';

const base = await shared();
type Shape = 'unstable' | 'stable';
const SHAPES = ['unstable', 'stable'] as const;

let alice: User;
let bob: User;
/** Rooms by the names used in the tables. */
const rooms: Record<string, string> = {};

/** The names of rooms in an answer, in the order of the table's account. */
const named = (json: Json): string[] =>
  Object.entries(rooms).filter(([, room]) => json.rooms?.[room]).map(([name]) => name);

function list(shape: Shape, filters: Json, ranges: [number, number][] | undefined = [[0, 99]]): Json {
  return shape === 'unstable'
    ? { timeline_limit: 1, required_state: [], filters, ...(ranges ? { ranges } : {}) }
    : { timeline_limit: 1, required_state: {}, filters, ...(ranges ? { range: ranges[0] } : {}) };
}

function ask(shape: Shape, lists: Json): Promise<Json> {
  const loop = new Sliding(alice, { shape });
  loop.body = { conn_id: 'table', lists };
  return loop.poll(0).then(({ json }) => json);
}

before(async () => {
  [alice, bob] = await people(base, 2);
  const make = async (name: string, fields: Json = {}) => (rooms[name] = await alice.createRoom({ name, ...fields }));
  await make('plain');
  await make('Project Tern');
  await make('direct');
  await make('secret', { initial_state: [{ type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }] });
  await make('favourite');
  await make('low');
  await make('both');
  await make('space', { creation_content: { type: 'm.space' } });
  await make('subspace', { creation_content: { type: 'm.space' } });
  await make('odd', { creation_content: { type: 'org.example.odd' } });
  for (const [space, child] of [['space', 'plain'], ['space', 'subspace'], ['subspace', 'odd']]) {
    await alice.setState(rooms[space], 'm.space.child', { via: [alice.server] }, rooms[child]);
  }
  const tag = (name: string, tag: string) => alice.put(at`/user/${alice.id}/rooms/${rooms[name]}/tags/${tag}`, { order: 0.5 });
  await tag('favourite', 'm.favourite');
  await tag('low', 'm.lowpriority');
  await tag('both', 'm.favourite');
  await tag('both', 'm.lowpriority');
  await alice.put(at`/user/${alice.id}/account_data/m.direct`, { [bob.id]: [rooms.direct] });
  rooms.invited = await bob.createRoom({ name: 'invited', preset: 'private_chat' });
  await bob.invite(rooms.invited, alice);
  rooms['not joined space'] = await bob.createRoom({ name: 'not joined', creation_content: { type: 'm.space' } });
  await bob.setState(rooms['not joined space'], 'm.space.child', { via: [bob.server] }, rooms.plain);
  rooms['left'] = await bob.createRoom({ name: 'left' });
  await alice.join(rooms.left);
  await alice.leave(rooms.left);
  rooms['kicked'] = await bob.createRoom({ name: 'kicked' });
  await alice.join(rooms.kicked);
  await bob.post(at`/rooms/${rooms.kicked}/kick`, { user_id: alice.id });
  rooms['banned, never joined'] = await bob.createRoom({ name: 'banned' });
  await bob.post(at`/rooms/${rooms['banned, never joined']}/ban`, { user_id: alice.id });
  rooms['uninvited'] = await bob.createRoom({ name: 'uninvited', preset: 'private_chat' });
  await bob.invite(rooms.uninvited, alice);
  await bob.post(at`/rooms/${rooms.uninvited}/kick`, { user_id: alice.id });
  await knows(alice, ['invited', 'kicked', 'odd'].map((name) => rooms[name]));
});

const JOINED = ['plain', 'Project Tern', 'direct', 'secret', 'favourite', 'low', 'both', 'space', 'subspace', 'odd'];
const without = (...names: string[]) => [...JOINED, 'invited', 'kicked'].filter((name) => !names.includes(name));

/** What the text says, the filter, the rooms it leaves; a function where the shapes differ in a name. */
const FILTERS: [rule: string, filters: (shape: Shape) => Json, left: string[]][] = [
  ['no filter: joined, invited and kicked rooms; not those left before, nor a ban or a withdrawn invite', () => ({}), without()],
  ['is_dm: only rooms of m.direct', () => ({ is_dm: true }), ['direct']],
  ['is_dm false: only others', () => ({ is_dm: false }), without('direct')],
  ['is_encrypted', () => ({ is_encrypted: true }), ['secret']],
  ['is_encrypted false', () => ({ is_encrypted: false }), without('secret')],
  ['is_invited: only invites', (shape) => (shape === 'unstable' ? { is_invite: true } : { is_invited: true }), ['invited']],
  ['is_invited false: none', (shape) => (shape === 'unstable' ? { is_invite: false } : { is_invited: false }), without('invited')],
  ['room_types: one of them', () => ({ room_types: ['m.space'] }), ['space', 'subspace']],
  ['room_types: null is a room without a type', () => ({ room_types: [null, 'org.example.odd'] }), without('space', 'subspace')],
  ['not_room_types', () => ({ not_room_types: ['m.space'] }), without('space', 'subspace')],
  ['not_room_types wins over room_types', () => ({ room_types: ['m.space', 'org.example.odd'], not_room_types: ['m.space'] }), ['odd']],
  ['tags: any of them', () => ({ tags: ['m.favourite', 'org.example.none'] }), ['favourite', 'both']],
  ['not_tags', () => ({ not_tags: ['m.favourite', 'm.lowpriority'] }), without('favourite', 'low', 'both')],
  ['not_tags wins over tags', () => ({ tags: ['m.favourite'], not_tags: ['m.lowpriority'] }), ['favourite']],
  ['spaces: direct children of joined spaces, without subspaces', () => ({ spaces: [rooms.space] }), ['plain', 'subspace']],
  ['spaces: children of any of them', () => ({ spaces: [rooms.space, rooms.subspace] }), ['plain', 'subspace', 'odd']],
  ['spaces: unknown and not joined ones are ignored', () => ({ spaces: ['!none:example.org', rooms['not joined space']] }), []],
  ['several filters must all hold', () => ({ is_dm: false, not_room_types: ['m.space'], tags: ['m.lowpriority'] }), ['low', 'both']],
];

for (const shape of SHAPES) {
  test(`${shape}: every filter leaves the rooms it should, and counts them`, async () => {
    for (const [rule, filters, left] of FILTERS) {
      const json = await ask(shape, { it: list(shape, filters(shape)) });
      assert.deepEqual(named(json), left, rule);
      assert.equal(json.lists.it.count, left.length, `count of ${rule}`);
    }
  });

  test(`${shape}: the count is of the filtered list, whatever the range; no range is all of it`, async () => {
    const all = without().length;
    for (const [ranges, shown] of [[[[0, 0]], 1], [[[0, 3]], 4], [[[3, 4]], 2], [[[50, 60]], 0], [undefined, all]] as const) {
      const json = await ask(shape, { it: list(shape, {}, ranges as [number, number][] | undefined) });
      assert.deepEqual([Object.keys(json.rooms ?? {}).length, json.lists.it.count], [shown, all], JSON.stringify(ranges));
    }
  });

  test(`${shape}: rooms are listed by their last activity of any kind, and bump_stamp moves with messages alone`, async () => {
    const carol = await register(base);
    const [older, newer] = [await carol.createRoom({ name: 'older' }), await carol.createRoom({ name: 'newer' })];
    await carol.send(newer, 'proper');
    await knows(carol, [newer], 'proper');
    const top = new Sliding(carol, { shape });
    top.body = { lists: { top: list(shape, {}, [[0, 0]]) } };
    const first = (await top.poll(0)).json;
    assert.deepEqual(Object.keys(first.rooms), [newer]);
    const stamps = new Sliding(carol, { shape, conn: 'stamps' });
    const before = (await stamps.poll(0)).json.rooms;
    assert.ok(before[newer].bump_stamp > before[older].bump_stamp);
    await carol.setState(older, 'm.room.topic', { topic: 'of no weight' });
    const risen = (await follow(top, 'the older room', (json) => json.rooms?.[older])).at(-1);
    assert.deepEqual(Object.keys(risen.rooms), [older], 'a topic is activity');
    const after = (await follow(stamps, 'the topic', (json) => json.rooms?.[older])).at(-1).rooms[older];
    assert.equal(after.bump_stamp, undefined, 'but no reason to bump');
    await carol.send(older, 'of weight');
    const bumped = (await follow(stamps, 'the message', (json) => json.rooms?.[older]?.timeline)).at(-1).rooms[older];
    assert.ok(bumped.bump_stamp > before[newer].bump_stamp);
  });

  test(`${shape}: a room that comes to match shows up, and what a list is made of may change on a live connection`, async () => {
    const carol = await register(base);
    const room = await carol.createRoom({ name: 'Growing' });
    await knows(carol, [room]);
    const loop = new Sliding(carol, { shape });
    loop.body = { lists: { dms: list(shape, { is_dm: true }), tagged: list(shape, { tags: ['u.x'] }), secret: list(shape, { is_encrypted: true }) } };
    const first = (await loop.poll(0)).json;
    assert.deepEqual(Object.values(first.lists).map((one: any) => one.count), [0, 0, 0]);
    const counts: Json = {};
    const grows = async (name: string, change: Promise<unknown>) => {
      await change;
      const answers = await follow(loop, name, (json) => (json.lists?.[name]?.count ?? 0) > 0);
      for (const json of answers) Object.assign(counts, json.lists);
      return answers.at(-1);
    };
    const shown = await grows('dms', carol.put(at`/user/${carol.id}/account_data/m.direct`, { [bob.id]: [room] }));
    assert.deepEqual([shown.rooms[room].initial, shown.rooms[room].is_dm], [true, true]);
    await grows('tagged', carol.put(at`/user/${carol.id}/rooms/${room}/tags/u.x`, {}));
    await grows('secret', carol.setState(room, 'm.room.encryption', { algorithm: 'm.megolm.v1.aes-sha2' }));
    await carol.put(at`/user/${carol.id}/account_data/m.direct`, {});
    const gone = (await follow(loop, 'no direct chat', (json) => json.lists?.dms?.count === 0)).at(-1);
    assert.equal(gone.rooms?.[room]?.is_dm, false);
    loop.body.lists = { all: list(shape, {}) };
    const changed = (await loop.poll(0)).json;
    assert.equal(changed.lists.all.count, 1);
    assert.equal(changed.rooms?.[room], undefined, 'known already');
  });
}

test('unstable: room_name_like matches anywhere in the name, whatever the case', async () => {
  for (const [like, left] of [['tern', ['Project Tern']], ['PROJECT', ['Project Tern']], ['sp', ['space', 'subspace']], ['nothing like it', []]] as const) {
    assert.deepEqual(named(await ask('unstable', { it: list('unstable', { room_name_like: like }) })), left, like);
  }
});

test('unstable: several ranges are one window', async () => {
  const json = await ask('unstable', { it: list('unstable', {}, [[0, 1], [4, 5]]) });
  assert.equal(Object.keys(json.rooms).length, 4);
});

test('stable: a room names the lists it is in, and one that is only subscribed to names none', async () => {
  const loop = new Sliding(alice, { shape: 'stable' });
  loop.body = {
    lists: { dms: list('stable', { is_dm: true }), all: list('stable', { not_room_types: ['m.space'] }) },
    room_subscriptions: { [rooms.space]: { timeline_limit: 1, required_state: {} } },
  };
  const { json } = await loop.poll(0);
  assert.deepEqual(json.rooms[rooms.direct].lists.sort(), ['all', 'dms']);
  assert.deepEqual(json.rooms[rooms.plain].lists, ['all']);
  assert.equal(json.rooms[rooms.space].lists, undefined);
  assert.deepEqual(['plain', 'invited', 'kicked'].map((name) => json.rooms[rooms[name]].membership), ['join', 'invite', 'leave']);
});
