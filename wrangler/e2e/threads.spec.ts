// Thread subscriptions (MSC4306, MSC4308): endpoints, the sliding sync extension, conflicts, and what notifies.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, eventually, okay, pair, people, refused, unique, type Answer, type Json, type User } from './support/client.ts';
import { shared } from './support/server.ts';
import { Sliding, delivers } from './support/sync.ts';

const base = await shared();
const EXTENSION = 'io.element.msc4308.thread_subscriptions';
const LIST = '/_matrix/client/unstable/io.element.msc4308/thread_subscriptions';
const CONFLICT = 'IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION';

function subscription(user: User, method: 'GET' | 'PUT' | 'DELETE', room: string, root: string, body?: Json): Promise<Answer> {
  return user.call(method, at`/_matrix/client/unstable/io.element.msc4306/rooms/${room}/thread/${root}/subscription`, { body });
}

async function reply(user: User, room: string, root: string, more: Json = {}): Promise<string> {
  const relation = { 'm.relates_to': { rel_type: 'm.thread', event_id: root } };
  const content = { msgtype: 'm.text', body: 'in the thread', ...relation, ...more };
  return (await user.put(at`/rooms/${room}/send/m.room.message/${unique('t')}`, content)).event_id;
}

function withThreads(user: User, limit?: number): Sliding {
  const loop = new Sliding(user);
  loop.body.extensions[EXTENSION] = { enabled: true, limit };
  return loop;
}

test('a thread is followed, left, and followed again only because of something newer', async () => {
  const [alice, bob, room] = await pair(base);
  const root = await alice.send(room, 'root');
  const first = await reply(bob, room, root);
  refused(await subscription(alice, 'GET', room, root), 404, 'M_NOT_FOUND');
  okay(await subscription(alice, 'DELETE', room, root));
  okay(await subscription(alice, 'PUT', room, root, { automatic: first }));
  assert.deepEqual(okay(await subscription(alice, 'GET', room, root)), { automatic: true });
  okay(await subscription(alice, 'PUT', room, root, {}));
  assert.deepEqual(okay(await subscription(alice, 'GET', room, root)), { automatic: false });
  okay(await subscription(alice, 'DELETE', room, root));
  refused(await subscription(alice, 'PUT', room, root, { automatic: first }), 409, CONFLICT);
  const later = await reply(bob, room, root);
  okay(await subscription(alice, 'PUT', room, root, { automatic: later }));
  refused(await subscription(alice, 'PUT', room, later, { automatic: first }), 400, 'IO.ELEMENT.MSC4306.M_NOT_IN_THREAD');
  refused(await subscription(alice, 'PUT', room, '$none', {}), 404, 'M_NOT_FOUND');
  const [stranger] = await people(base, 1);
  const hidden = await alice.createRoom({ preset: 'private_chat' });
  const secret = await alice.send(hidden, 'root');
  for (const method of ['PUT', 'DELETE'] as const) {
    refused(await subscription(stranger!, method, hidden, secret, {}), 404, 'M_NOT_FOUND');
  }
});

test('a subscription made elsewhere is in the answer of a parked poll', async (t) => {
  const [alice, , room] = await pair(base);
  const phone = await alice.login();
  const root = await alice.send(room, 'root');
  const loop = withThreads(phone);
  const told = (json: Json): Json => json.extensions?.[EXTENSION] ?? {};
  await delivers(t, loop, () => subscription(alice, 'PUT', room, root, {}), (json) =>
    told(json).subscribed?.[room]?.[root]?.automatic === false);
  await delivers(t, loop, () => subscription(alice, 'DELETE', room, root), (json) =>
    told(json).unsubscribed?.[room]?.[root]?.bump_stamp > 0);
});

test('what does not fit an answer is in pages, each change once', async () => {
  const [alice, , room] = await pair(base);
  const roots: string[] = [];
  for (let n = 0; n < 5; n += 1) {
    roots.push(await alice.send(room, `root ${n}`));
    okay(await subscription(alice, 'PUT', room, roots[n]!, {}));
  }
  const loop = withThreads(alice, 2);
  const told = (await loop.poll(0)).json.extensions[EXTENSION];
  assert.deepEqual(Object.keys(told.subscribed[room]).sort(), roots.slice(3).sort());
  const seen = Object.keys(told.subscribed[room]);
  for (let from = told.prev_batch; from; ) {
    const page = await alice.get(LIST, { dir: 'b', from, limit: 2, to: loop.pos });
    seen.push(...Object.keys(page.subscribed[room]));
    from = page.end;
  }
  assert.deepEqual(seen.sort(), [...roots].sort());
  const all = await alice.get(LIST, { dir: 'b' });
  assert.equal(Object.keys(all.subscribed[room]).length, 5);
  refused(await alice.call('GET', LIST), 400, 'M_MISSING_PARAM');
  refused(await alice.call('GET', LIST, { query: { dir: 'f' } }), 400, 'M_INVALID_PARAM');
  refused(await alice.call('GET', LIST, { query: { dir: 'b', limit: 0 } }), 400, 'M_INVALID_PARAM');
  refused(await alice.call('GET', LIST, { query: { dir: 'b', from: 'x' } }), 400, 'M_INVALID_PARAM');
});

test('threads that are followed notify, others only when they mention', async () => {
  const [alice, bob, room] = await pair(base);
  await alice.put(at`/pushrules/global/room/${room}`, { actions: [] });
  const root = await alice.send(room, 'root');
  const other = await alice.send(room, 'other root');
  okay(await subscription(alice, 'PUT', room, root, {}));
  await reply(bob, room, other);
  await reply(bob, room, root);
  await reply(bob, room, other, { 'm.mentions': { user_ids: [alice.id] } });
  await bob.send(room, 'the room is muted');
  await eventually('two notifications, one of them a highlight', async () => {
    const loop = new Sliding(alice, { conn: unique('c'), limit: 20 });
    const shown = (await loop.poll(0)).json.rooms[room];
    return shown.timeline.at(-1)?.content?.body === 'the room is muted' && shown.notification_count === 2
      && shown.highlight_count === 1;
  });
});

test('the server says that it can', async () => {
  const [alice] = await people(base, 1);
  const { unstable_features: features } = await alice!.get('/_matrix/client/versions');
  assert.equal(features['org.matrix.msc4306'], true);
});
