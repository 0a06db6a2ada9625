// Classic /sync to the letter: left rooms, gaps, state before a timeline, key counts, forgotten rooms.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, bodies, pair, people, type Json, type User } from './support/client.ts';
import { CURVE, publish } from './support/keys.ts';
import { shared } from './support/server.ts';
import { Classic, LATE_MS, Sliding, follow, park, says } from './support/sync.ts';

const base = await shared();

const filtered = (room: Json) => ({ filter: JSON.stringify({ room }) });

/** A loop of a user who is told everything up to a message, and then looks away. */
async function upTo(user: User, room: string, last: string, query: Classic['query'] = {}): Promise<Classic> {
  const loop = new Classic(user, query);
  await follow(loop, last, (json) => says(json, room, last));
  return loop;
}

/** Waits until the user's hub has a message, by another device of sorts: a loop of its own. */
const arrived = (user: User, room: string, body: string) => upTo(user, room, body, filtered({ timeline: { limit: 50 } }));

test('a room that is over has a timeline and state in every answer, whichever way it ended', async () => {
  const endings: [string, (alice: User, bob: User, room: string) => Promise<unknown>][] = [
    ['leave', (_alice, bob, room) => bob.leave(room)],
    ['kick', (alice, bob, room) => alice.post(at`/rooms/${room}/kick`, { user_id: bob.id })],
    ['ban', (alice, bob, room) => alice.post(at`/rooms/${room}/ban`, { user_id: bob.id })],
  ];
  const filters = [{}, { timeline: { limit: 0 } }, { timeline: { types: [] }, state: { types: [] } }];
  for (const [how, end] of endings) {
    const [alice, bob, room] = await pair(base);
    const loops = filters.map((filter) => new Classic(bob, filtered(filter)));
    for (const loop of loops) await follow(loop, 'the room', (json) => json.rooms?.join?.[room]);
    await end(alice, bob, room);
    for (const loop of loops) {
      const left = (await follow(loop, how, (json) => json.rooms?.leave?.[room])).at(-1)!.rooms.leave[room];
      assert.ok(Array.isArray(left.timeline.events) && Array.isArray(left.state.events), `${how}: ${JSON.stringify(left)}`);
    }
  }
  const [alice, bob] = await people(base, 2);
  const room = await alice.createRoom({ preset: 'private_chat', invite: [bob.id] });
  const loop = new Classic(bob);
  await follow(loop, 'the invite', (json) => json.rooms?.invite?.[room]);
  await bob.leave(room);
  const left = (await follow(loop, 'the decline', (json) => json.rooms?.leave?.[room])).at(-1)!.rooms.leave[room];
  assert.deepEqual(left.state, { events: [] });
  assert.equal(left.timeline.events[0].content.membership, 'leave');
});

test('a timeline with room for no event says so with an empty list', async () => {
  const [alice, bob, room] = await pair(base);
  await bob.send(room, 'ready');
  const loop = await upTo(alice, room, 'ready');
  await bob.send(room, 'unseen');
  await arrived(alice, room, 'unseen');
  loop.query = filtered({ timeline: { limit: 0 } });
  const { timeline } = (await loop.next()).rooms.join[room];
  assert.deepEqual([timeline.events, timeline.limited], [[], true]);
});

// Element Web uploads its filter, names it in every request, and asks for `state_after` where a server offers it.
for (const messages of [5, 120]) {
  for (const stateAfter of [false, true]) {
    test(`lazily loaded members who come, go or are renamed before ${messages} messages are told${stateAfter ? ', in state_after too' : ''}`, async () => {
      const [alice, bob, carol, dave, erin] = (await people(base, 5)) as [User, User, User, User, User];
      const room = await alice.createRoom({ name: 'Lazy' });
      for (const user of [bob, dave, erin]) await user.join(room);
      await bob.send(room, 'ready');
      const filter = { room: { timeline: { limit: 2, unread_thread_notifications: true }, state: { lazy_load_members: true } } };
      const { filter_id } = await alice.post(at`/user/${alice.id}/filter`, filter);
      const query = { filter: filter_id, ...(stateAfter ? { use_state_after: true } : {}) };
      const loop = await upTo(alice, room, 'ready', query);
      await carol.join(room);
      await dave.leave(room);
      await erin.put(at`/profile/${erin.id}/displayname`, { displayname: 'Erin E.' });
      const member = await alice.get(at`/rooms/${room}/members`);
      assert.ok(member.chunk.length >= 5);
      for (let n = 1; n <= messages; n += 1) await bob.send(room, `m${n}`);
      await arrived(alice, room, `m${messages}`);
      const joined = (await loop.next()).rooms.join[room];
      assert.equal(joined.timeline.limited, true);
      assert.deepEqual(bodies(joined.timeline.events), [`m${messages - 1}`, `m${messages}`]);
      const told = (stateAfter ? joined.state_after : joined.state).events.filter(({ type }: Json) => type === 'm.room.member');
      const of = (user: User) => told.find(({ state_key }: Json) => state_key === user.id)?.content;
      assert.equal(of(carol)?.membership, 'join');
      assert.equal(of(dave)?.membership, 'leave');
      assert.equal(of(erin)?.displayname, 'Erin E.');
      assert.equal(of(bob)?.membership, 'join', 'who speaks, too');
    });
  }
}

test('state is that of the start of the timeline, although the timeline sets the same again', async () => {
  const [alice, bob, room] = await pair(base);
  await bob.send(room, 'ready');
  const few = filtered({ timeline: { limit: 2 } });
  const loops = [await upTo(alice, room, 'ready', few), await upTo(alice, room, 'ready', { ...few, full_state: true }), new Classic(alice, few)];
  const after = await upTo(alice, room, 'ready', { ...few, use_state_after: true });
  await alice.setState(room, 'org.example.key', { n: 1 });
  for (let n = 1; n <= 4; n += 1) await bob.send(room, `m${n}`);
  await alice.setState(room, 'org.example.key', { n: 2 });
  await bob.send(room, 'last');
  await arrived(alice, room, 'last');
  const held = (events: Json[]) => events.filter(({ type }) => type === 'org.example.key').map(({ content }) => content.n);
  for (const loop of loops) {
    const joined = (await loop.next()).rooms.join[room];
    assert.deepEqual(held(joined.timeline.events), [2]);
    assert.deepEqual(held(joined.state.events), [1]);
  }
  assert.deepEqual(held((await after.next()).rooms.join[room].state_after.events), [2]);
});

test('a one-time key that is claimed wakes a waiting classic sync, and its answer has the new count', async () => {
  const [alice, bob] = (await people(base, 2)) as [User, User];
  const key = await publish(alice);
  await alice.post('/keys/upload', { one_time_keys: key.oneTime(['A', 'B', 'C']) });
  const loop = new Classic(alice);
  const parked = await park(loop);
  const start = performance.now();
  await bob.post('/keys/claim', { one_time_keys: { [alice.id]: { [alice.device]: CURVE } } });
  const { json } = await parked.answer;
  assert.ok(performance.now() - start < LATE_MS);
  assert.equal(json.device_one_time_keys_count[CURVE], 2);
});

for (const shape of ['classic', 'unstable', 'stable'] as const) {
  test(`${shape}: a room left and forgotten between two syncs is told once to another device`, async () => {
    const [alice, bob, room] = await pair(base);
    await alice.send(room, 'ready');
    const loop = shape === 'classic' ? new Classic(bob) : new Sliding(bob, { shape });
    await follow(loop, 'the room', (json) => says(json, room, 'ready'));
    const other = await bob.login();
    await other.leave(room);
    await other.post(at`/rooms/${room}/forget`);
    const part = (json: Json) => (shape === 'classic' ? json.rooms?.leave?.[room] : json.rooms?.[room]);
    const told = part((await follow(loop, 'the end', part)).at(-1)!);
    const events = shape === 'classic' ? told.timeline.events : shape === 'stable' ? told.stripped_state : told.required_state;
    assert.ok(events.some(({ state_key, content }: Json) => state_key === bob.id && content.membership === 'leave'), JSON.stringify(told));
    const { answer } = await park(loop, 500);
    assert.equal(part((await answer).json), undefined, 'once');
    const fresh = shape === 'classic' ? new Classic(bob) : new Sliding(bob, { shape, conn: 'fresh' });
    assert.equal(part((await fresh.poll(0)).json), undefined);
  });
}

test('in an encrypted room every event says which membership its reader had at it, in both syncs and in pages', async () => {
  const [alice, bob] = (await people(base, 2)) as [User, User];
  const encryption = { type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } };
  const room = await alice.createRoom({ initial_state: [encryption] });
  await alice.send(room, 'before');
  await alice.invite(room, bob);
  await alice.send(room, 'invited');
  await bob.join(room);
  await alice.send(room, 'joined');
  const expected = { before: 'leave', invited: 'invite', joined: 'join' };
  const of = (events: Json[]) => Object.fromEntries(events.filter(({ type }) => type === 'm.room.message')
    .map(({ content, unsigned }) => [content.body, unsigned?.membership]));
  const loop = new Classic(bob);
  const [first] = (await follow(loop, 'joined', (json) => says(json, room, 'joined'))).slice(-1);
  assert.equal(of(first!.rooms.join[room].timeline.events).joined, 'join');
  assert.deepEqual(of((await new Classic(bob, filtered({ timeline: { limit: 50 } })).next()).rooms.join[room].timeline.events), expected);
  const { json } = await new Sliding(bob, { limit: 50 }).poll(0);
  assert.deepEqual(of(json.rooms[room].timeline), expected);
  assert.deepEqual(of((await bob.get(at`/rooms/${room}/messages`, { dir: 'b', limit: 50 })).chunk), expected);
  await alice.send(room, 'live');
  const [live] = (await follow(loop, 'live', (json) => says(json, room, 'live'))).slice(-1);
  assert.deepEqual(of(live!.rooms.join[room].timeline.events), { live: 'join' });
  await alice.post(at`/rooms/${room}/kick`, { user_id: bob.id });
  const [left] = (await follow(loop, 'the kick', (json) => json.rooms?.leave?.[room])).slice(-1);
  assert.equal(left!.rooms.leave[room].timeline.events.at(-1).unsigned.membership, 'leave', 'with what the event itself changes');
});

test('in a room that is not encrypted no event grows by it', async () => {
  const [alice, bob, room] = await pair(base);
  await bob.send(room, 'plain');
  const [json] = (await follow(new Classic(alice), 'plain', (one) => says(one, room, 'plain'))).slice(-1);
  assert.ok(json!.rooms.join[room].timeline.events.every(({ unsigned }: Json) => unsigned?.membership === undefined));
});
