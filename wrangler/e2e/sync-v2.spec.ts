// Classic /sync: every section of the answer, and what each parameter and filter does to it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, bodies, okay, pair, people, refused, register, unique, type Json, type User } from './support/client.ts';
import { shared } from './support/server.ts';
import { Classic, Sliding, follow, knows, park, says } from './support/sync.ts';

const base = await shared();

const limit = (count: number) => ({ filter: JSON.stringify({ room: { timeline: { limit: count } } }) });
const keys = (events: Json[]) => events.map(({ type, state_key }) => `${type}|${state_key}`);

/** An initial sync that has everything up to that message. */
async function initial(user: User, room: string, last: string, query: Classic['query'] = {}): Promise<[Json, Classic]> {
  await follow(new Classic(user, limit(10)), last, (json) => says(json, room, last));
  const loop = new Classic(user, query);
  return [await loop.next(), loop];
}

test('initial: a joined room with its timeline, state before it and summary', async () => {
  const [alice, bob, room] = await pair(base, { name: 'Rock' });
  await alice.setState(room, 'm.room.topic', { topic: 'gulls' });
  for (let n = 1; n <= 5; n += 1) await bob.send(room, `m${n}`);
  const [json] = await initial(alice, room, 'm5', limit(3));
  const joined = json.rooms.join[room];
  assert.deepEqual(bodies(joined.timeline.events), ['m3', 'm4', 'm5']);
  assert.equal(joined.timeline.limited, true);
  assert.equal(typeof joined.timeline.prev_batch, 'string');
  const state = keys(joined.state.events);
  for (const key of ['m.room.create|', 'm.room.name|', 'm.room.topic|', 'm.room.power_levels|', 'm.room.join_rules|',
    `m.room.member|${alice.id}`, `m.room.member|${bob.id}`]) assert.equal(state.filter((one) => one === key).length, 1, key);
  assert.equal(joined.summary['m.joined_member_count'], 2);
  assert.equal(joined.summary['m.invited_member_count'] ?? 0, 0);
  for (const event of joined.timeline.events) {
    assert.ok(event.event_id && event.sender === bob.id && event.origin_server_ts > 0 && !('room_id' in event), JSON.stringify(event));
  }
});

test('initial: a short room comes whole, with no state beside it and limited false', async () => {
  const alice = await register(base);
  const room = await alice.createRoom();
  await alice.send(room, 'hello');
  const [json] = await initial(alice, room, 'hello', limit(50));
  const joined = json.rooms.join[room];
  assert.equal(joined.timeline.events[0].type, 'm.room.create');
  assert.notEqual(joined.timeline.limited, true);
  assert.deepEqual(joined.state?.events ?? [], []);
});

test('a room without a name has heroes', async () => {
  const [alice, bob, room] = await pair(base);
  await bob.send(room, 'hi');
  const [json] = await initial(alice, room, 'hi');
  assert.deepEqual(json.rooms.join[room].summary['m.heroes'], [bob.id]);
});

test('incremental: only what is new, in order, then nothing', async () => {
  const [alice, bob, room] = await pair(base);
  const other = await alice.createRoom();
  await bob.send(room, 'ready');
  const [, loop] = await initial(alice, room, 'ready');
  const ids = [await bob.send(room, 'one'), await alice.send(room, 'two')];
  await alice.setState(room, 'm.room.topic', { topic: 'three' });
  const answers = await follow(loop, 'the topic', (json) => JSON.stringify(json).includes('"three"'));
  const events = answers.flatMap((json) => json.rooms?.join?.[room]?.timeline.events ?? []);
  assert.deepEqual(events.map(({ event_id }) => event_id).slice(0, 2), ids);
  assert.equal(events.length, 3);
  for (const json of answers) {
    assert.equal(json.rooms?.join?.[other], undefined, 'a quiet room is left out');
    assert.notEqual(json.rooms?.join?.[room]?.timeline.limited, true);
    assert.deepEqual(json.rooms?.join?.[room]?.state?.events ?? [], [], 'state in the timeline is not repeated in state');
  }
  await park(loop, 500).then(({ answer }) => answer);
  const idle = await loop.next();
  assert.deepEqual(Object.keys(idle.rooms?.join ?? {}), []);
});

test('a gap: the newest events, limited, prev_batch at the gap, and the state that changed inside it', async () => {
  const [alice, bob, room] = await pair(base);
  await bob.send(room, 'ready');
  const [, loop] = await initial(alice, room, 'ready', limit(3));
  await alice.setState(room, 'm.room.topic', { topic: 'in the gap' });
  for (let n = 1; n <= 8; n += 1) await bob.send(room, `m${n}`);
  await follow(new Classic(alice, limit(10)), 'm8', (json) => says(json, room, 'm8'));
  const joined = (await loop.next()).rooms.join[room];
  assert.deepEqual(bodies(joined.timeline.events), ['m6', 'm7', 'm8']);
  assert.equal(joined.timeline.limited, true);
  assert.ok(joined.state.events.some(({ type, content }: Json) => type === 'm.room.topic' && content.topic === 'in the gap'));
  const query = { dir: 'b', limit: 2, from: joined.timeline.prev_batch };
  assert.deepEqual(bodies((await alice.get(at`/rooms/${room}/messages`, query)).chunk), ['m5', 'm4']);
});

test('use_state_after: state_after in place of state, with what the timeline changed', async () => {
  const [alice, bob, room] = await pair(base);
  await bob.send(room, 'ready');
  const [json, loop] = await initial(alice, room, 'ready', { use_state_after: true });
  const first = json.rooms.join[room];
  assert.equal(first.state, undefined);
  assert.ok(keys(first.state_after.events).includes('m.room.create|'), 'all state at the end of the timeline');
  await alice.setState(room, 'm.room.topic', { topic: 'new' });
  const [told] = (await follow(loop, 'the topic', (next) => JSON.stringify(next).includes('m.room.topic'))).slice(-1);
  const joined = told.rooms.join[room];
  assert.deepEqual(keys(joined.timeline.events), ['m.room.topic|']);
  assert.deepEqual(keys(joined.state_after.events), ['m.room.topic|']);
  await bob.send(room, 'no state');
  const [plain] = (await follow(loop, 'the message', (next) => says(next, room, 'no state'))).slice(-1);
  assert.deepEqual(plain.rooms.join[room].state_after, { events: [] }, 'the field is there even when empty');
  assert.equal(plain.rooms.join[room].state, undefined);
  const [proposed] = await initial(alice, room, 'no state', { 'org.matrix.msc4222.use_state_after': true });
  assert.ok(keys(proposed.rooms.join[room]['org.matrix.msc4222.state_after'].events).includes('m.room.create|'), 'by the name it was asked by');
});

test('full_state: all state again, in an incremental sync too', async () => {
  const [alice, bob, room] = await pair(base);
  await bob.send(room, 'ready');
  const [, loop] = await initial(alice, room, 'ready');
  await park(loop, 500).then(({ answer }) => answer);
  loop.query.full_state = true;
  const joined = (await loop.next()).rooms.join[room];
  const state = keys(joined.state.events);
  for (const key of ['m.room.create|', 'm.room.power_levels|', `m.room.member|${bob.id}`]) assert.ok(state.includes(key), key);
});

test('filters: event types, senders, rooms and not_rooms, state and ephemeral kinds', async () => {
  const [alice, bob, room] = await pair(base);
  const other = await alice.createRoom();
  await knows(alice, [other]);
  await bob.send(room, 'from bob');
  await alice.send(room, 'from alice');
  const ask = async (filter: Json) => (await initial(alice, room, 'from alice', { filter: JSON.stringify(filter) }))[0];
  const timeline = async (filter: Json) => (await ask({ room: { timeline: filter } })).rooms.join[room].timeline.events;
  assert.deepEqual(bodies(await timeline({ senders: [bob.id], types: ['m.room.message'] })), ['from bob']);
  assert.deepEqual(bodies(await timeline({ not_senders: [bob.id] })), ['from alice']);
  assert.ok((await timeline({ types: ['m.room.m*'] })).every(({ type }: Json) => ['m.room.message', 'm.room.member'].includes(type)));
  assert.deepEqual(bodies(await timeline({ not_types: ['m.room.message'] })), []);
  assert.deepEqual(Object.keys((await ask({ room: { rooms: [room] } })).rooms.join), [room]);
  assert.deepEqual(Object.keys((await ask({ room: { not_rooms: [room] } })).rooms.join), [other]);
  const few = (await ask({ room: { state: { types: ['m.room.create'] }, timeline: { limit: 1 } } })).rooms.join[room];
  assert.deepEqual(keys(few.state.events), ['m.room.create|']);
  await bob.typing(room);
  const quiet = await ask({ room: { ephemeral: { not_types: ['m.typing'] } }, account_data: { types: [] } });
  assert.deepEqual(quiet.rooms.join[room].ephemeral?.events ?? [], []);
  assert.deepEqual(quiet.account_data?.events ?? [], []);
});

/** What a filter says, and what is left of one room in which Bob sent two messages, one of them with a `url`. */
const NARROWED: [rule: string, filter: (room: string, bob: User) => Json, left: (json: Json, room: string) => unknown, expected: unknown][] = [
  ['contains_url', () => ({ room: { timeline: { contains_url: true } } }), (json, room) => bodies(json.rooms.join[room].timeline.events), ['with url']],
  ['contains_url false', () => ({ room: { timeline: { contains_url: false, types: ['m.room.message'] } } }),
    (json, room) => bodies(json.rooms.join[room].timeline.events), ['plain']],
  ['event_fields', () => ({ event_fields: ['content.body'], room: { timeline: { limit: 1 } } }),
    (json, room) => json.rooms.join[room].timeline.events[0].content, { body: 'with url' }],
  ['state not_types', () => ({ room: { timeline: { limit: 1 }, state: { not_types: ['m.room.*'] } } }),
    (json, room) => json.rooms.join[room].state?.events ?? [], []],
  ['state senders', (_room, bob) => ({ room: { timeline: { limit: 1 }, state: { senders: [bob.id] } } }),
    (json, room) => new Set(json.rooms.join[room].state.events.map(({ type }: Json) => type)), new Set(['m.room.member'])],
  ['timeline rooms', () => ({ room: { timeline: { rooms: [] } } }), (json, room) => json.rooms.join?.[room]?.timeline?.events ?? [], []],
  ['timeline not_rooms', (room) => ({ room: { timeline: { not_rooms: [room] } } }), (json, room) => json.rooms.join?.[room]?.timeline?.events ?? [], []],
  ['account_data of rooms', () => ({ room: { account_data: { types: ['org.example.b'] } } }),
    (json, room) => json.rooms.join[room].account_data.events.map(({ type }: Json) => type), ['org.example.b']],
  ['account_data', () => ({ account_data: { types: ['org.example.*'], not_types: ['org.example.a'] } }),
    (json) => json.account_data.events.map(({ type }: Json) => type), ['org.example.b']],
  ['ephemeral types', () => ({ room: { ephemeral: { types: ['m.typing'] } } }),
    (json, room) => json.rooms.join[room].ephemeral.events.map(({ type }: Json) => type), ['m.typing']],
  ['ephemeral not_rooms', (room) => ({ room: { ephemeral: { not_rooms: [room] } } }), (json, room) => json.rooms.join[room].ephemeral?.events ?? [], []],
];

test('filters by a table: urls, fields, state, rooms of a section, account data, ephemeral kinds', async () => {
  const [alice, bob, room] = await pair(base);
  await bob.send(room, 'plain');
  for (const type of ['org.example.a', 'org.example.b']) {
    await alice.put(at`/user/${alice.id}/account_data/${type}`, { n: 1 });
    await alice.put(at`/user/${alice.id}/rooms/${room}/account_data/${type}`, { n: 1 });
  }
  const image = { msgtype: 'm.image', body: 'with url', url: 'mxc://example.org/x' };
  const { event_id } = await bob.put(at`/rooms/${room}/send/m.room.message/${unique('t')}`, image);
  await bob.receipt(room, event_id);
  await bob.typing(room);
  await follow(new Classic(alice), 'all of it', (json) => JSON.stringify(json.rooms?.join?.[room]?.ephemeral ?? '').includes('m.typing')
    && JSON.stringify(json).includes('m.receipt') && says(json, room, 'with url'));
  const wrong: string[] = [];
  for (const [rule, filter, left, expected] of NARROWED) {
    const json = await new Classic(alice, { filter: JSON.stringify(filter(room, bob)) }).next();
    try {
      assert.deepEqual(left(json, room), expected);
    } catch (error) {
      wrong.push(`${rule}: ${(error as Error).message}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('knock section: stripped state, once; gone after the invite, and left when it is refused', async () => {
  const [alice, bob] = await people(base, 2);
  const rules = [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }];
  for (const end of ['invite', 'kick'] as const) {
    const room = await alice.createRoom({ name: 'Door', preset: 'private_chat', initial_state: rules });
    const loop = new Classic(bob);
    await bob.post(at`/knock/${room}`);
    const knocked = (await follow(loop, 'the knock', (json) => json.rooms?.knock?.[room])).at(-1).rooms.knock[room];
    for (const key of ['m.room.create|', 'm.room.name|', `m.room.member|${bob.id}`]) assert.ok(keys(knocked.knock_state.events).includes(key), key);
    await park(loop, 500).then(({ answer }) => answer);
    assert.equal((await loop.next()).rooms?.knock?.[room], undefined, 'told once');
    await alice.post(at`/rooms/${room}/${end}`, { user_id: bob.id });
    const section = end === 'invite' ? 'invite' : 'leave';
    const { rooms } = (await follow(loop, end, (json) => json.rooms?.[section]?.[room])).at(-1);
    assert.equal(rooms.knock?.[room], undefined);
    assert.equal((await new Classic(bob).next()).rooms?.knock?.[room], undefined);
  }
});

test('a sync with full_state does not wait, and one without a timeout neither', async () => {
  const alice = await register(base);
  const loop = new Classic(alice);
  await park(loop, 500).then(({ answer }) => answer);
  for (const query of [{ full_state: true, timeout: 20_000 }, {}]) {
    const { ms } = await alice.call('GET', '/sync', { query: { since: loop.since, ...query } });
    assert.ok(ms < 10_000, `held for ${ms} ms`);
  }
});

test('lazy members: those who speak, and oneself at first', async () => {
  const [alice, ...others] = await people(base, 6);
  const room = await alice.createRoom({ name: 'a name, so that no heroes ride along' });
  for (const user of others) await user.join(room);
  const [bob, carol] = others;
  for (let n = 1; n <= 4; n += 1) await bob.send(room, `m${n}`);
  const filter = JSON.stringify({ room: { state: { lazy_load_members: true }, timeline: { limit: 2 } } });
  const [json, loop] = await initial(alice, room, 'm4', { filter });
  const members = (part: Json) => (part.state?.events ?? []).filter(({ type }: Json) => type === 'm.room.member')
    .map(({ state_key }: Json) => state_key).sort();
  assert.deepEqual(members(json.rooms.join[room]), [alice.id, bob.id].sort());
  assert.equal(json.rooms.join[room].summary['m.joined_member_count'], 6);
  await carol.send(room, 'me too');
  const [told] = (await follow(loop, 'carol', (next) => says(next, room, 'me too'))).slice(-1);
  assert.deepEqual(members(told.rooms.join[room]), [carol.id]);
});

test('invite: stripped state with name, the invite itself and who invited; gone after the join', async () => {
  const [alice, bob] = await people(base, 2);
  const room = await alice.createRoom({ preset: 'private_chat', name: 'Ledge', invite: [bob.id] });
  const loop = new Classic(bob);
  const [json] = (await follow(loop, 'the invite', (next) => next.rooms?.invite?.[room])).slice(-1);
  const { events } = json.rooms.invite[room].invite_state;
  assert.ok(events.every(({ state_key, sender, content }: Json) => state_key !== undefined && sender && content));
  for (const key of ['m.room.create|', 'm.room.join_rules|', 'm.room.name|', `m.room.member|${bob.id}`]) {
    assert.ok(keys(events).includes(key), key);
  }
  const invite = events.find(({ state_key }: Json) => state_key === bob.id);
  assert.deepEqual([invite.content.membership, invite.sender], ['invite', alice.id]);
  assert.equal(json.rooms.join?.[room], undefined);
  await park(loop, 500).then(({ answer }) => answer);
  assert.equal((await loop.next()).rooms?.invite?.[room], undefined, 'a pending invite is told once, not with every sync');
  await bob.join(room);
  const [after] = (await follow(loop, 'the join', (next) => next.rooms?.join?.[room])).slice(-1);
  assert.equal(after.rooms.invite?.[room], undefined);
  const fresh = await new Classic(bob).next();
  assert.equal(fresh.rooms.invite?.[room], undefined);
  assert.ok(fresh.rooms.join[room]);
});

test('a newly joined room comes whole in an incremental sync, however old it is', async () => {
  const [alice, bob] = await people(base, 2);
  const room = await alice.createRoom({ name: 'Old' });
  for (let n = 1; n <= 15; n += 1) await alice.send(room, `m${n}`);
  const loop = new Classic(bob);
  await loop.next();
  await bob.join(room);
  const [json] = (await follow(loop, 'the room', (next) => next.rooms?.join?.[room])).slice(-1);
  const joined = json.rooms.join[room];
  const all = [...(joined.state?.events ?? []), ...joined.timeline.events];
  for (const key of ['m.room.create|', 'm.room.name|', `m.room.member|${alice.id}`, `m.room.member|${bob.id}`]) {
    assert.ok(keys(all).includes(key), key);
  }
  assert.equal(joined.timeline.limited, true);
  assert.equal(joined.timeline.events.at(-1).state_key, bob.id);
  assert.ok(bodies(joined.timeline.events).includes('m15'));
});

for (const [how, part] of Object.entries({
  leave: (_alice: User, bob: User, room: string) => bob.leave(room),
  kick: (alice: User, bob: User, room: string) => alice.post(at`/rooms/${room}/kick`, { user_id: bob.id }),
  ban: (alice: User, bob: User, room: string) => alice.post(at`/rooms/${room}/ban`, { user_id: bob.id }),
})) {
  test(`leave section: a ${how} is told, with what came before it and nothing after`, async () => {
    const [alice, bob, room] = await pair(base);
    await alice.send(room, 'ready');
    const [, loop] = await initial(bob, room, 'ready');
    await alice.send(room, 'before');
    await part(alice, bob, room);
    await alice.send(room, 'after');
    const answers = await follow(loop, 'the departure', (json) => json.rooms?.leave?.[room]);
    const left = answers.at(-1).rooms.leave[room];
    assert.equal(left.timeline.events.at(-1).state_key, bob.id);
    assert.equal(left.timeline.events.at(-1).content.membership, how === 'ban' ? 'ban' : 'leave');
    assert.ok(JSON.stringify(answers).includes('before') && !JSON.stringify(answers).includes('"after"'));
    assert.equal(answers.at(-1).rooms.join?.[room], undefined);
    const plain = await new Classic(bob).next();
    if (how === 'leave') assert.equal(plain.rooms?.leave?.[room], undefined, 'rooms left by oneself only on request');
    const filter = JSON.stringify({ room: { include_leave: true } });
    const archived = await new Classic(bob, { filter }).next();
    assert.ok(archived.rooms.leave[room], 'include_leave shows it');
    assert.ok(!JSON.stringify(archived.rooms.leave[room]).includes('"after"'));
  });
}

test('a rejected invite and a withdrawn one are told as left', async () => {
  const [alice, bob] = await people(base, 2);
  for (const end of ['reject', 'withdraw']) {
    const room = await alice.createRoom({ preset: 'private_chat', invite: [bob.id] });
    const loop = new Classic(bob);
    await follow(loop, 'the invite', (json) => json.rooms?.invite?.[room]);
    if (end === 'reject') await bob.leave(room);
    else await alice.post(at`/rooms/${room}/kick`, { user_id: bob.id });
    await follow(loop, `the ${end}`, (json) => json.rooms?.leave?.[room]);
  }
});

test('the sender finds the transaction id of a message in its own sync, others do not', async () => {
  const [alice, bob, room] = await pair(base);
  const loops = [new Classic(alice), new Classic(bob), new Classic(await alice.login())];
  for (const loop of loops) await loop.next();
  const txn = unique('t');
  await alice.send(room, 'mine', txn);
  const seen = await Promise.all(loops.map(async (loop) => {
    const [json] = (await follow(loop, 'the message', (next) => says(next, room, 'mine'))).slice(-1);
    return json.rooms.join[room].timeline.events.find((event: Json) => event.content.body === 'mine').unsigned?.transaction_id;
  }));
  assert.deepEqual(seen, [txn, undefined, undefined]);
});

test('one-time key counts are there for a device, and a token of another user is refused or harmless', async () => {
  const [alice, bob, room] = await pair(base);
  await alice.send(room, 'secret of alice');
  const mine = new Classic(alice);
  const json = await mine.next();
  assert.equal(json.device_one_time_keys_count, undefined, 'nothing can run out that was never there');
  await alice.post('/keys/upload', { fallback_keys: {}, one_time_keys: { 'signed_curve25519:A': { key: 'a', signatures: {} } } });
  assert.equal((await mine.next()).device_one_time_keys_count.signed_curve25519, 1);
  const stranger = await register(base);
  const answer = await stranger.call('GET', '/sync', { query: { since: mine.since, timeout: 0 } });
  assert.ok(answer.status === 400 || !answer.text.includes('secret of alice'), answer.text);
  refused(await bob.call('GET', '/sync', { token: null }), 401, 'M_MISSING_TOKEN');
});

test('a timeline that begins anew tells what is said about its events, on both syncs', async () => {
  const [alice, bob, room] = await pair(base);
  for (let number = 0; number < 12; number += 1) await alice.send(room, `old ${number}`);
  const root = await alice.send(room, 'root');
  const relate = async (user: User, body: string, relation: Json, more: Json = {}) =>
    (await user.put(at`/rooms/${room}/send/m.room.message/${unique()}`, { msgtype: 'm.text', body, ...more, 'm.relates_to': relation })).event_id;
  const edit = await relate(alice, '* better', { rel_type: 'm.replace', event_id: root }, { 'm.new_content': { msgtype: 'm.text', body: 'better' } });
  await relate(alice, 'first reply', { rel_type: 'm.thread', event_id: root });
  const reply = await relate(bob, 'second reply', { rel_type: 'm.thread', event_id: root });
  await relate(bob, '* second reply, mended', { rel_type: 'm.replace', event_id: reply }, { 'm.new_content': { msgtype: 'm.text', body: 'mended' } });
  const reference = await relate(bob, 'as was said', { rel_type: 'm.reference', event_id: root });
  await alice.send(room, 'last');
  const [classic] = await initial(bob, room, 'last', limit(8));
  const sliding = okay(await new Sliding(bob, { limit: 8 }).poll(0));
  const { timeline } = classic.rooms.join[room];
  assert.equal(timeline.limited, true);
  for (const events of [timeline.events, sliding.rooms[room].timeline] as Json[][]) {
    const told = events.find((event) => event.event_id === root)!.unsigned['m.relations'];
    assert.equal(told['m.replace'].event_id, edit);
    assert.equal(told['m.thread'].count, 2);
    assert.equal(told['m.thread'].current_user_participated, true);
    assert.equal(told['m.thread'].latest_event.event_id, reply);
    assert.equal(told['m.thread'].latest_event.unsigned['m.relations']['m.replace'].content['m.new_content'].body, 'mended');
    assert.deepEqual(told['m.reference'].chunk, [{ event_id: reference }]);
    assert.ok(events.filter((event) => event.content.body === 'last').every((event) => !event.unsigned?.['m.relations']));
  }
});
