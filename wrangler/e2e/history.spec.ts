// What a room remembers: state, single events, pages of history, members; redaction and forgetting.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  at, bodies, eventually, history, okay, pair, people, refused, register, text, unique, type Json, type User,
} from './support/client.ts';
import { shared } from './support/server.ts';
import { Classic, Sliding, follow, says, timeline } from './support/sync.ts';

const base = await shared();

async function talk(user: User, room: string, count: number): Promise<string[]> {
  const events: string[] = [];
  for (let n = 1; n <= count; n += 1) events.push(await user.send(room, `m${n}`));
  return events;
}

test('state: written and read with key, without key, and with a trailing slash', async () => {
  const alice = await register(base);
  const room = await alice.createRoom();
  const path = (rest: string) => at`/rooms/${room}` + rest;
  await alice.put(path('/state/org.example.a'), { n: 1 });
  assert.deepEqual(await alice.get(path('/state/org.example.a/')), { n: 1 });
  await alice.put(path('/state/org.example.a/'), { n: 2 });
  assert.deepEqual(await alice.get(path('/state/org.example.a')), { n: 2 });
  await alice.put(path('/state/org.example.a/key'), { n: 3 });
  assert.deepEqual(await alice.get(path('/state/org.example.a/key')), { n: 3 });
  assert.deepEqual(await alice.get(path('/state/org.example.a')), { n: 2 });
  await alice.put(path('/state/org.example.a/with%2Fslash'), { n: 4 });
  assert.deepEqual(await alice.get(path('/state/org.example.a/with%2Fslash')), { n: 4 });
  refused(await alice.call('GET', path('/state/org.example.a/none')), 404, 'M_NOT_FOUND');
  refused(await alice.call('GET', path('/state/org.example.b')), 404, 'M_NOT_FOUND');
  const whole = await alice.get(path('/state/org.example.a/key'), { format: 'event' });
  assert.deepEqual([whole.content, whole.state_key, whole.sender, whole.room_id], [{ n: 3 }, 'key', alice.id, room]);
});

test('state: the whole of it has each key once, in client format', async () => {
  const [alice, bob, room] = await pair(base);
  await alice.setState(room, 'm.room.topic', { topic: 'one' });
  const last = await alice.setState(room, 'm.room.topic', { topic: 'two' });
  const state: Json[] = await bob.get(at`/rooms/${room}/state`);
  const keys = state.map(({ type, state_key }) => `${type} ${state_key}`);
  assert.equal(new Set(keys).size, keys.length);
  for (const wanted of ['m.room.create ', 'm.room.power_levels ', 'm.room.join_rules ', `m.room.member ${alice.id}`, `m.room.member ${bob.id}`]) {
    assert.ok(keys.includes(wanted), wanted);
  }
  const topic = state.find(({ type }) => type === 'm.room.topic');
  assert.equal(topic.event_id, last);
  for (const field of ['content', 'event_id', 'origin_server_ts', 'room_id', 'sender', 'state_key', 'type']) assert.ok(field in topic, field);
  for (const field of ['auth_events', 'prev_events', 'hashes', 'signatures', 'depth']) assert.ok(!(field in topic), field);
});

test('event: readable by members, with the transaction id only for the device that sent it', async () => {
  const [alice, bob, room] = await pair(base);
  const txn = unique('t');
  const id = await alice.send(room, 'mine', txn);
  const own = await alice.get(at`/rooms/${room}/event/${id}`);
  assert.equal(own.unsigned.transaction_id, txn);
  assert.deepEqual([own.event_id, own.type, own.sender, own.content.body], [id, 'm.room.message', alice.id, 'mine']);
  const others = await bob.get(at`/rooms/${room}/event/${id}`);
  assert.equal(others.unsigned?.transaction_id, undefined);
  const stranger = await register(base);
  refused(await stranger.call('GET', at`/rooms/${room}/event/${id}`), 404, 'M_NOT_FOUND');
});

test('messages: both directions give the whole room, newest first and oldest first', async () => {
  const [alice, bob, room] = await pair(base);
  await talk(alice, room, 25);
  const down = await history(bob, room, 'b', 7);
  const up = await history(bob, room, 'f', 7);
  assert.deepEqual(down.map(({ event_id }) => event_id).reverse(), up.map(({ event_id }) => event_id));
  assert.deepEqual(bodies(up), Array.from({ length: 25 }, (_, n) => `m${n + 1}`));
  assert.equal(up[0].type, 'm.room.create');
  assert.ok(up.every((event) => event.room_id === room));
});

test('messages: a page ends where the next begins, and `to` stops it', async () => {
  const [alice, , room] = await pair(base);
  await talk(alice, room, 10);
  const page = (query: Json) => alice.get(at`/rooms/${room}/messages`, { dir: 'b', limit: 4, ...query });
  const one = await page({});
  const two = await page({ from: one.end });
  assert.deepEqual(bodies(one.chunk), ['m10', 'm9', 'm8', 'm7']);
  assert.deepEqual(bodies(two.chunk), ['m6', 'm5', 'm4', 'm3']);
  assert.equal(two.start, one.end);
  const back = await page({ from: two.start, dir: 'f', limit: 2 });
  assert.deepEqual(bodies(back.chunk), ['m7', 'm8'], 'a token is a place, good for both directions');
  const stopped = await page({ from: one.start, to: one.end, limit: 50 });
  assert.deepEqual(bodies(stopped.chunk), bodies(one.chunk));
});

test('messages: prev_batch of both syncs continues just before their timeline', async () => {
  const [alice, bob, room] = await pair(base);
  await talk(alice, room, 12);
  const classic = new Classic(bob, { filter: JSON.stringify({ room: { timeline: { limit: 5 } } }) });
  const [v2] = (await follow(classic, 'the last message', (json) => says(json, room, 'm12'))).slice(-1);
  const sliding = new Sliding(bob, { limit: 5 });
  const [v5] = (await follow(sliding, 'the last message', (json) => says(json, room, 'm12'))).slice(-1);
  for (const part of [v2.rooms.join[room].timeline, v5.rooms[room]]) {
    assert.equal(part.limited, true);
    const query = { dir: 'b', limit: 3, from: part.prev_batch };
    assert.deepEqual(bodies((await bob.get(at`/rooms/${room}/messages`, query)).chunk), ['m7', 'm6', 'm5']);
  }
});

test('messages: filters by type, sender and rooms; lazy members ride along', async () => {
  const [alice, bob, room] = await pair(base);
  await talk(alice, room, 3);
  await bob.send(room, 'from bob');
  await alice.setState(room, 'm.room.topic', { topic: 'x' });
  const page = async (filter: Json) =>
    alice.get(at`/rooms/${room}/messages`, { dir: 'b', limit: 50, filter: JSON.stringify(filter) });
  assert.deepEqual((await page({ types: ['m.room.topic'] })).chunk.map(({ type }: Json) => type), ['m.room.topic']);
  assert.deepEqual(bodies((await page({ senders: [bob.id], types: ['m.room.message'] })).chunk), ['from bob']);
  assert.ok(!bodies((await page({ not_senders: [bob.id] })).chunk).includes('from bob'));
  assert.deepEqual((await page({ not_types: ['*'] })).chunk, []);
  const lazy = await page({ lazy_load_members: true, types: ['m.room.message'], senders: [bob.id] });
  assert.deepEqual(lazy.state.map(({ type, state_key }: Json) => [type, state_key]), [['m.room.member', bob.id]]);
});

test('messages: with joined visibility nothing from before the join is shown, with shared everything', async () => {
  const [alice, bob] = await people(base, 2);
  for (const [visibility, sees] of [['joined', false], ['shared', true]] as const) {
    const room = await alice.createRoom({
      initial_state: [{ type: 'm.room.history_visibility', content: { history_visibility: visibility } }],
    });
    const event = await alice.send(room, 'before');
    await bob.join(room);
    await alice.send(room, 'after');
    const seen = bodies(await history(bob, room, 'b', 50));
    assert.deepEqual(seen, sees ? ['after', 'before'] : ['after'], visibility);
    assert.equal((await bob.call('GET', at`/rooms/${room}/event/${event}`)).status, sees ? 200 : 404);
  }
});

test('someone who left still reads what was there, and nothing later', async () => {
  const [alice, bob, room] = await pair(base);
  await alice.send(room, 'before');
  await alice.setState(room, 'm.room.topic', { topic: 'old' });
  await bob.leave(room);
  await alice.send(room, 'after');
  await alice.setState(room, 'm.room.topic', { topic: 'new' });
  assert.deepEqual(bodies(await history(bob, room, 'b', 50)), ['before']);
  assert.equal((await bob.state(room, 'm.room.topic')).topic, 'old');
});

test('redact: content goes everywhere, the event stays, a repeat is idempotent', async () => {
  const [alice, bob, room] = await pair(base);
  const id = await bob.send(room, 'regret');
  const path = at`/rooms/${room}/redact/${id}/same`;
  const { event_id } = await alice.put(path, { reason: 'calm' });
  assert.equal((await alice.put(path, { reason: 'calm' })).event_id, event_id);
  const event = await bob.get(at`/rooms/${room}/event/${id}`);
  assert.deepEqual(event.content, {});
  assert.equal(event.unsigned.redacted_because.content.reason, 'calm');
  const all = await history(bob, room, 'b', 50);
  assert.ok(!JSON.stringify(all).includes('regret'));
  const redaction = all.find((other) => other.event_id === event_id);
  assert.equal(redaction.type, 'm.room.redaction');
  assert.equal(redaction.redacts ?? redaction.content.redacts, id);
  const sync = await new Sliding(bob).poll(0);
  assert.ok(!sync.text.includes('regret'));
});

test('redact: own events freely, those of others only with power', async () => {
  const [alice, bob, room] = await pair(base);
  const hers = await alice.send(room, 'hers');
  const his = await bob.send(room, 'his');
  await bob.put(at`/rooms/${room}/redact/${his}/${unique()}`);
  refused(await bob.call('PUT', at`/rooms/${room}/redact/${hers}/${unique()}`, { body: {} }), 403, 'M_FORBIDDEN');
  assert.equal((await bob.get(at`/rooms/${room}/event/${hers}`)).content.body, 'hers');
});

test('send: state types, empty bodies and encrypted content pass as they are', async () => {
  const [alice, , room] = await pair(base);
  const content = { algorithm: 'm.megolm.v1.aes-sha2', ciphertext: 'AwgA…é\u2028"\\', nested: { list: [1, null, true, 'x'] } };
  const { event_id } = await alice.put(at`/rooms/${room}/send/m.room.encrypted/${unique()}`, content);
  assert.deepEqual((await alice.get(at`/rooms/${room}/event/${event_id}`)).content, content);
  okay(await alice.call('PUT', at`/rooms/${room}/send/org.example.empty/${unique()}`, { body: {} }));
});

test('members: all, by membership, without a membership, at a point in time', async () => {
  const [alice, bob, carol, dave] = await people(base, 4);
  const room = await alice.createRoom({ invite: [dave.id] });
  await bob.join(room);
  await carol.join(room);
  const { start: point } = await alice.get(at`/rooms/${room}/messages`, { dir: 'b', limit: 1 });
  await carol.leave(room);
  const members = async (query: Json = {}) => {
    const { chunk } = await alice.get(at`/rooms/${room}/members`, query);
    return Object.fromEntries(chunk.map((event: Json) => [event.state_key, event.content.membership]));
  };
  assert.deepEqual(await members(), { [alice.id]: 'join', [bob.id]: 'join', [carol.id]: 'leave', [dave.id]: 'invite' });
  assert.deepEqual(await members({ membership: 'join' }), { [alice.id]: 'join', [bob.id]: 'join' });
  assert.deepEqual(await members({ not_membership: 'join' }), { [carol.id]: 'leave', [dave.id]: 'invite' });
  assert.equal((await members({ at: point }))[carol.id], 'join');
  const { joined } = await bob.get(at`/rooms/${room}/joined_members`);
  assert.deepEqual(Object.keys(joined).sort(), [alice.id, bob.id].sort());
});

test('joined_rooms: only what is joined', async () => {
  const [alice, bob] = await people(base, 2);
  const [stay, go, invited] = [await alice.createRoom(), await alice.createRoom(), await alice.createRoom({ invite: [bob.id] })];
  await bob.join(stay);
  await bob.join(go);
  await bob.leave(go);
  const joined = (user: User, rooms: string[]) => eventually(`only ${rooms}`, async () =>
    String((await user.get('/joined_rooms')).joined_rooms.sort()) === String(rooms.sort()));
  await joined(bob, [stay]);
  await joined(alice, [stay, go, invited]);
});

test('forget: only after leaving; then the room is gone from view until a new invite', async () => {
  const [alice, bob] = await people(base, 2);
  const room = await alice.createRoom({ preset: 'private_chat', invite: [bob.id] });
  await bob.join(room);
  await alice.send(room, 'remember');
  const early = await bob.call('POST', at`/rooms/${room}/forget`, { body: {} });
  assert.ok(early.status === 400 && early.json.errcode, early.text);
  await bob.leave(room);
  okay(await bob.call('POST', at`/rooms/${room}/forget`, { body: {} }));
  refused(await bob.call('GET', at`/rooms/${room}/messages`, { query: { dir: 'b' } }), 403, 'M_FORBIDDEN');
  const filter = JSON.stringify({ room: { include_leave: true } });
  assert.equal((await bob.get('/sync', { filter, timeout: 0 })).rooms?.leave?.[room], undefined);
  await alice.invite(room, bob);
  await bob.join(room);
  assert.ok(bodies(await history(bob, room, 'b', 50)).includes('remember'));
});

test('the sender of a message is never wrong: an event is sent by the owner of the token', async () => {
  const [alice, bob, room] = await pair(base);
  const body = { ...text('x'), sender: alice.id, event_id: '$forged', room_id: '!other:x' };
  const { event_id } = await bob.put(at`/rooms/${room}/send/m.room.message/${unique()}`, body);
  const event = await alice.get(at`/rooms/${room}/event/${event_id}`);
  assert.equal(event.sender, bob.id);
  assert.equal(event.room_id, room);
});

test('messages can be asked for by what relates to them', async () => {
  const [alice, bob, room] = await pair(base);
  const [thread, liked, plain] = [await alice.send(room, 'thread'), await alice.send(room, 'liked'), await alice.send(room, 'plain')];
  const relate = (user: User, type: string, relation: Json) =>
    user.put(at`/rooms/${room}/send/${type}/${unique()}`, { ...text('about it'), 'm.relates_to': relation });
  await relate(bob, 'm.room.message', { rel_type: 'm.thread', event_id: thread });
  await relate(alice, 'm.reaction', { rel_type: 'm.annotation', event_id: liked, key: '+' });
  const found = async (filter: Json) => {
    const query = { dir: 'b', limit: 50, filter: JSON.stringify(filter) };
    return (await alice.get(at`/rooms/${room}/messages`, query)).chunk.map((event: Json) => event.event_id);
  };
  assert.deepEqual(await found({ related_by_rel_types: ['m.thread'] }), [thread]);
  assert.deepEqual(await found({ related_by_rel_types: ['m.thread', 'm.annotation'] }), [liked, thread]);
  assert.deepEqual(await found({ related_by_senders: [bob.id] }), [thread]);
  assert.deepEqual(await found({ related_by_senders: [bob.id], related_by_rel_types: ['m.annotation'] }), []);
  assert.ok((await found({ types: ['m.room.message'] })).includes(plain));
});
