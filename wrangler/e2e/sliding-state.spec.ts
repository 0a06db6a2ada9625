// What of a room's state and timeline sliding sync sends (MSC4186, "RequiredStateRequest", "Lazy loaded memberships",
// "Combining room configs", "Changing room configs", "Common fields"), by tables, in both shapes.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { at, bodies, history, okay, pair, people, refused, register, unique, type Json, type User } from './support/client.ts';
import { shared } from './support/server.ts';
import { Sliding, SLIDING, follow, knows, says } from './support/sync.ts';

const base = await shared();
type Shape = 'unstable' | 'stable';
const SHAPES = ['unstable', 'stable'] as const;

/** A config in the words of either shape. */
interface Config {
  limit?: number;
  /** Pairs as the unstable shape has them, `*`, `$ME` and `$LAZY` among them. */
  state?: [string, string][];
  /** In place of `state`, for what only the stable shape can say. */
  required?: Json;
}

function config(user: User, shape: Shape, { limit = 1, state = [], required }: Config): Json {
  if (shape === 'unstable') return { timeline_limit: limit, required_state: state };
  const lazy = state.some(([, key]) => key === '$LAZY');
  const include = state.filter(([, key]) => key !== '$LAZY').map(([type, key]) => ({
    ...(type === '*' ? {} : { type }), ...(key === '*' ? {} : { state_key: key === '$ME' ? user.id : key }),
  }));
  return { timeline_limit: limit, required_state: required ?? { include, ...(lazy ? { lazy_members: true } : {}) } };
}

/** A connection with one list over everything. */
function listing(user: User, shape: Shape, wanted: Config, conn = unique('c')): Sliding {
  const loop = new Sliding(user, { shape });
  loop.body = { conn_id: conn, lists: { all: config(user, shape, wanted) } };
  if (shape === 'unstable') loop.body.lists.all.ranges = [[0, 99]];
  return loop;
}

const keys = (events: Json[] = []) => events.map(({ type, state_key }) => `${type}|${state_key}`).sort();
const member = (user: User) => `m.room.member|${user.id}`;

let alice: User;
let bob: User;
let carol: User;
let dave: User;
let room: string;
let everything: string[];

before(async () => {
  [alice, bob, carol, dave] = await people(base, 4) as [User, User, User, User];
  room = await alice.createRoom({ name: 'Shelf' });
  for (const user of [bob, carol, dave]) await user.join(room);
  for (const key of ['', 'a', 'b']) await alice.setState(room, 'org.example.kind', { key }, key);
  await alice.setState(room, 'org.example.other', { n: 1 }, 'a');
  await bob.send(room, 'one');
  await carol.send(room, 'two');
  await knows(alice, [room], 'two');
  everything = keys(await alice.get(at`/rooms/${room}/state`));
});

const members = (...users: User[]) => users.map(member);
const but = (...out: string[]) => everything.filter((key) => !out.includes(key));
const unlazy = (...kept: User[]) => everything.filter((key) => !key.startsWith('m.room.member|') || members(...kept).includes(key));

/** What the text says, what is asked for, and what comes; the last two messages are of Bob and Carol. */
const STATE: [rule: string, shapes: readonly Shape[], wanted: Config, told: () => string[]][] = [
  ['nothing', SHAPES, {}, () => []],
  ['a type and a key', SHAPES, { state: [['org.example.kind', 'a']] }, () => ['org.example.kind|a']],
  ['all keys of a type', SHAPES, { state: [['org.example.kind', '*']] }, () => ['org.example.kind|', 'org.example.kind|a', 'org.example.kind|b']],
  ['one key of all types', SHAPES, { state: [['*', 'a']] }, () => ['org.example.kind|a', 'org.example.other|a']],
  ['everything', SHAPES, { state: [['*', '*']] }, () => everything],
  ['oneself', SHAPES, { state: [['m.room.member', '$ME']] }, () => members(alice)],
  ['lazily: those who speak', SHAPES, { limit: 2, state: [['m.room.member', '$LAZY']] }, () => members(bob, carol)],
  ['lazily, a shorter timeline', SHAPES, { limit: 1, state: [['m.room.member', '$LAZY']] }, () => members(carol)],
  ['lazily, oneself, and one more', SHAPES, { limit: 1, state: [['m.room.member', '$LAZY'], ['m.room.member', '$ME']] }, () => members(alice, carol)],
  ['everything but members, who come lazily', SHAPES, { limit: 1, state: [['*', '*'], ['m.room.member', '$LAZY']] }, () => unlazy(carol)],
  ['a key that is not there', SHAPES, { state: [['org.example.kind', 'none'], ['org.example.none', '*']] }, () => []],
  ['everything with an exclusion', ['stable'], { required: { include: [{}], exclude: [{ type: 'm.room.create', state_key: '' }] } }, () => but('m.room.create|')],
  ['a type with a key excluded', ['stable'], { required: { include: [{ type: 'org.example.kind' }], exclude: [{ state_key: 'a' }] } },
    () => ['org.example.kind|', 'org.example.kind|b']],
  ['exclusions do not touch lazy members', ['stable'], { limit: 1, required: { include: [{}], exclude: [{ type: 'm.room.member' }], lazy_members: true } }, () => unlazy(carol)],
  ['an empty request', ['stable'], { required: {} }, () => []],
];

/** Types of events, and whether they are "proper" activity. */
const BUMPS: [type: string, content: Json, bumps: boolean][] = [
  ['m.room.message', { msgtype: 'm.text', body: 'x' }, true],
  ['m.room.encrypted', { algorithm: 'm.megolm.v1.aes-sha2', ciphertext: 'x' }, true],
  ['m.sticker', { body: 'x', url: 'mxc://example.org/x', info: {} }, true],
  ['m.call.invite', { call_id: 'x', version: 0, lifetime: 1, offer: { type: 'offer', sdp: 'x' } }, true],
  ['m.poll.start', { 'm.text': [{ body: 'x' }] }, true],
  ['m.reaction', { 'm.relates_to': { rel_type: 'm.annotation', event_id: '$x', key: 'x' } }, false],
  ['org.example.note', {}, false],
];

for (const shape of SHAPES) {
  test(`${shape}: required_state by the table: names, wildcards, oneself, lazy members, exclusions`, async () => {
    const wrong: string[] = [];
    for (const [rule, , wanted, told] of STATE.filter(([, shapes]) => shapes.includes(shape))) {
      const shown = keys((await listing(alice, shape, wanted).poll(0)).json.rooms[room].required_state);
      if (String(shown) !== String(told().sort())) wrong.push(`${rule}: ${shown}`);
    }
    assert.deepEqual(wrong, []);
  });

  test(`${shape}: a room of several lists and a subscription gets the longest timeline and all their state`, async () => {
    const loop = listing(alice, shape, { limit: 1, state: [['m.room.name', '']] });
    const second = config(alice, shape, { limit: 2, state: [['org.example.kind', 'a']] });
    loop.body.lists.second = shape === 'unstable' ? { ...second, ranges: [[0, 0]] } : { ...second, range: [0, 0] };
    loop.body.room_subscriptions = { [room]: config(alice, shape, { limit: 1, state: [['m.room.create', '']] }) };
    const shown = (await loop.poll(0)).json.rooms[room];
    assert.deepEqual(bodies(shown.timeline), ['one', 'two']);
    assert.deepEqual(keys(shown.required_state), ['m.room.create|', 'm.room.name|', 'org.example.kind|a']);
  });

  test(`${shape}: without a gap every change of a member is told, after one only those who speak, known or not`, async () => {
    const [eve, fred, hall] = await pair(base);
    const [gina, hugo] = await people(base, 2);
    await gina!.join(hall);
    await fred.send(hall, 'before');
    await knows(eve, [hall], 'before');
    const loop = listing(eve, shape, { limit: 2, state: [['m.room.member', '$LAZY']] });
    assert.deepEqual(keys((await loop.poll(0)).json.rooms[hall].required_state), members(fred, gina!).sort());
    await hugo!.join(hall);
    const joined = (await follow(loop, 'the join', (json) => json.rooms?.[hall])).at(-1).rooms[hall];
    assert.deepEqual(keys(joined.required_state), members(hugo!));
    await gina!.put(at`/profile/${gina!.id}/displayname`, { displayname: 'Gina' });
    const renamed = (await follow(loop, 'the name', (json) => json.rooms?.[hall]?.required_state)).at(-1).rooms[hall];
    assert.equal(renamed.required_state[0].content.displayname, 'Gina');
    for (const body of ['1', '2', '3']) await fred.send(hall, body);
    await knows(eve, [hall], '3');
    const gap = (await loop.poll(0)).json.rooms[hall];
    assert.deepEqual([gap.limited, keys(gap.required_state)], [true, members(fred)], 'the client has forgotten its members');
  });

  test(`${shape}: a timeline_limit beyond what the client holds sends the newest again at once, one it has grown into sends nothing`, async () => {
    const [eve, fred, hall] = await pair(base);
    for (const body of ['A', 'B']) await fred.send(hall, body);
    await knows(eve, [hall], 'B');
    const loop = listing(eve, shape, { limit: 1 });
    assert.deepEqual(bodies((await loop.poll(0)).json.rooms[hall].timeline), ['B']);
    for (const body of ['C', 'D']) {
      await fred.send(hall, body);
      await follow(loop, body, (json) => says(json, hall, body));
    }
    const raise = async (limit: number) => {
      loop.body.room_subscriptions = { [hall]: config(eve, shape, { limit }) };
      return (await loop.poll(0)).json.rooms?.[hall];
    };
    assert.equal(await raise(3), undefined, 'B, C and D have been seen');
    const four = await raise(4);
    assert.deepEqual(bodies(four.timeline), ['A', 'B', 'C', 'D']);
    assert.equal(four[shape === 'stable' ? 'expanded_timeline' : 'unstable_expanded_timeline'], true);
    assert.equal(await raise(1), undefined);
    await fred.send(hall, 'E');
    const next = (await follow(loop, 'E', (json) => says(json, hall, 'E'))).at(-1).rooms[hall];
    assert.deepEqual([bodies(next.timeline), next.expanded_timeline, next.unstable_expanded_timeline], [['E'], undefined, undefined]);
  });

  test(`${shape}: bump_stamp moves with proper activity alone, for who is not in the room with their membership`, async () => {
    const [eve, fred, hall] = await pair(base);
    const loop = listing(fred, shape, { limit: 1 });
    await follow(loop, 'the room', (json) => json.rooms?.[hall]);
    const wrong: string[] = [];
    for (const [type, content, bumps] of BUMPS) {
      const { event_id } = await eve.put(at`/rooms/${hall}/send/${type}/${unique('t')}`, content);
      const told = (await follow(loop, type, (json) => JSON.stringify(json).includes(event_id))).at(-1).rooms[hall];
      if ((told.bump_stamp !== undefined) !== bumps) wrong.push(`${type}: ${told.bump_stamp}`);
    }
    for (const type of ['m.room.topic', 'm.beacon_info']) {
      const event = await eve.setState(hall, type, { topic: 'x' });
      const told = (await follow(loop, type, (json) => JSON.stringify(json).includes(event))).at(-1).rooms[hall];
      if ((told.bump_stamp !== undefined) !== (type === 'm.beacon_info')) wrong.push(`${type}: ${told.bump_stamp}`);
    }
    assert.deepEqual(wrong, []);
    await fred.leave(hall);
    const left = (await follow(loop, 'the leave', (json) => json.rooms?.[hall])).at(-1).rooms[hall];
    assert.ok(left.bump_stamp > 0, 'when they left');
    const old = await eve.createRoom({ preset: 'private_chat' });
    const note = await eve.createRoom();
    await fred.join(note);
    await eve.send(note, 'newer than the invited room');
    await knows(fred, [note], 'newer than the invited room');
    await eve.invite(old, fred);
    const invited = await follow(loop, 'the invite', (json) => json.rooms?.[old]);
    const stamps = Object.assign({}, ...invited.map((json) => json.rooms ?? {}), ...[(await listing(fred, shape, {}).poll(0)).json.rooms]);
    assert.ok(stamps[old].bump_stamp >= stamps[note].bump_stamp, 'when they were invited');
  });

  test(`${shape}: prev_batch and pos go into messages and relations, and pages end where the room begins`, async () => {
    const [eve, fred, hall] = await pair(base);
    const root = await fred.send(hall, 'root');
    for (const body of ['1', '2']) {
      const relation = { 'm.relates_to': { rel_type: 'm.thread', event_id: root } };
      await fred.put(at`/rooms/${hall}/send/m.room.message/${unique('t')}`, { msgtype: 'm.text', body, ...relation });
    }
    await knows(eve, [hall], '2');
    const loop = listing(eve, shape, { limit: 2 });
    const shown = (await loop.poll(0)).json.rooms[hall];
    assert.deepEqual([bodies(shown.timeline), shown.limited], [['1', '2'], true]);
    const all = (await history(eve, hall, 'f', 100)).map(({ event_id }) => event_id);
    const pages: Json[] = [];
    for (let from = shown.prev_batch; from; ) {
      const page = await eve.get(at`/rooms/${hall}/messages`, { dir: 'b', limit: 3, from });
      pages.push(...page.chunk);
      from = page.end;
    }
    const seen = [...pages.reverse(), ...shown.timeline].map(({ event_id }) => event_id);
    assert.deepEqual(seen, all, 'each event once');
    const back = await eve.get(at`/rooms/${hall}/messages`, { dir: 'b', limit: 1, from: loop.pos });
    assert.deepEqual(bodies(back.chunk), ['2']);
    const related = await eve.get(at`/_matrix/client/v1/rooms/${hall}/relations/${root}`, { from: loop.pos });
    assert.deepEqual(bodies(related.chunk).sort(), ['1', '2']);
  });

  test(`${shape}: the sender's own device finds its transaction id, and a whole short room is not limited`, async () => {
    const eve = await register(base);
    const hall = await eve.createRoom();
    const txn = unique('t');
    await eve.send(hall, 'mine', txn);
    await knows(eve, [hall], 'mine');
    const phone = await eve.login();
    for (const [user, seen] of [[eve, txn], [phone, undefined]] as const) {
      const shown = (await listing(user, shape, { limit: 50 }).poll(0)).json.rooms[hall];
      assert.equal(shown.timeline.at(-1).unsigned?.transaction_id, seen);
      assert.equal(shown.timeline[0].type, 'm.room.create');
      assert.ok(!shown.limited);
    }
  });
}

/** A request that has to be refused, or be answered as if it were another. */
const REQUESTS: [rule: string, shape: Shape, query: Json, body: Json, errcode: string | undefined][] = [
  ['an unknown presence', 'stable', {}, { set_presence: 'busy' }, 'M_INVALID_PARAM'],
  ['an unknown presence', 'unstable', { set_presence: 'busy' }, {}, 'M_INVALID_PARAM'],
  ['a known presence', 'stable', {}, { set_presence: 'unavailable' }, undefined],
  ['a known presence', 'unstable', { set_presence: 'offline' }, {}, undefined],
  ['no timeline_limit', 'stable', {}, { lists: { all: { required_state: {} } } }, 'M_BAD_JSON'],
  ['no required_state', 'stable', {}, { lists: { all: { timeline_limit: 1 } } }, 'M_BAD_JSON'],
  ['a range upside down', 'stable', {}, { lists: { all: { timeline_limit: 1, required_state: {}, range: [5, 0] } } }, 'M_INVALID_PARAM'],
  ['a range of one number', 'stable', {}, { lists: { all: { timeline_limit: 1, required_state: {}, range: [5] } } }, 'M_BAD_JSON'],
  ['ranges upside down', 'unstable', {}, { lists: { all: { timeline_limit: 1, required_state: [], ranges: [[5, 0]] } } }, 'M_INVALID_PARAM'],
  ['the other shape of required_state', 'unstable', {}, { lists: { all: { timeline_limit: 1, required_state: { include: [] } } } }, 'M_BAD_JSON'],
  ['the other shape of required_state', 'stable', {}, { lists: { all: { timeline_limit: 1, required_state: [['*', '*']] } } }, 'M_BAD_JSON'],
  ['an extension nobody knows', 'stable', {}, { extensions: { 'org.example.none': { enabled: true } } }, undefined],
  ['a timeout without pos does not wait', 'stable', {}, { timeout: 20_000 }, undefined],
  ['a timeout without pos does not wait', 'unstable', { timeout: 20_000 }, {}, undefined],
  ['a whole body of nothing', 'unstable', {}, {}, undefined],
];

test('requests that make no sense are refused by name, others answered at once', async () => {
  const eve = await register(base);
  for (const [rule, shape, query, body, errcode] of REQUESTS) {
    const answer = await eve.call('POST', SLIDING[shape], { query, body, within: 5_000 });
    if (errcode) refused(answer, 400, errcode);
    else assert.equal(typeof okay(answer).pos, 'string', rule);
  }
  const echoed = await eve.call('POST', SLIDING.unstable, { body: { txn_id: 'mine' } });
  assert.equal(okay(echoed).txn_id, 'mine', 'unstable: txn_id comes back');
  const { unstable_features: features } = await eve.get('/_matrix/client/versions');
  assert.equal(features['org.matrix.simplified_msc3575'], true);
});
