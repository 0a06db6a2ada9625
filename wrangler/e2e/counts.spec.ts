// Unread counts: equal in both syncs, ended by the right receipts, quiet where the user wants quiet.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, eventually, okay, pair, refused, unique, type Json, type User } from './support/client.ts';
import { shared } from './support/server.ts';
import { Classic, Sliding, delivers, follow, park, type Loop } from './support/sync.ts';

const base = await shared();
const FILTER = JSON.stringify({ room: { timeline: { limit: 1, unread_thread_notifications: true } } });

type Counts = { main: [number, number]; threads: Record<string, [number, number]> };

const both = (counts: Json): [number, number] => [counts?.notification_count ?? 0, counts?.highlight_count ?? 0];

/** What a fresh classic sync shows. */
async function counts(user: User, room: string): Promise<Counts> {
  const json = okay(await user.call('GET', '/sync', { query: { filter: FILTER, timeout: 0 } }));
  const shown = json.rooms.join[room];
  const threads = Object.entries(shown.unread_thread_notifications ?? {}).map(([root, unread]) => [root, both(unread)]);
  return { main: both(shown.unread_notifications), threads: Object.fromEntries(threads) };
}

/** What a fresh sliding sync shows. */
async function total(user: User, room: string): Promise<[number, number]> {
  const loop = new Sliding(user, { conn: `fresh${Math.random()}`, limit: 1 });
  return both((await loop.poll(0)).json.rooms[room]);
}

/** Announcing follows the answer of a request, so the counts are awaited. */
async function settles(user: User, room: string, wanted: Counts): Promise<void> {
  let seen: Counts | undefined;
  for (let round = 0; round < 50; round += 1) {
    seen = await counts(user, room);
    if (JSON.stringify(seen) === JSON.stringify(wanted)) break;
    await new Promise((next) => setTimeout(next, 100));
  }
  assert.deepEqual(seen, wanted);
  const sum = Object.values(wanted.threads).reduce((all, thread) => [all[0] + thread[0], all[1] + thread[1]], wanted.main);
  assert.deepEqual(await total(user, room), sum, 'sliding sync shows the sum');
}

async function say(user: User, room: string, content: Json): Promise<string> {
  const message = { msgtype: 'm.text', body: 'tern', ...content };
  return (await user.put(at`/rooms/${room}/send/m.room.message/${unique('t')}`, message)).event_id;
}

const thread = (root: string): Json => ({ 'm.relates_to': { rel_type: 'm.thread', event_id: root } });

test('messages, mentions and threads count, and the right receipts end it', async () => {
  const [alice, bob, room] = await pair(base);
  const first = await bob.send(room, 'one');
  const mention = await say(bob, room, { 'm.mentions': { user_ids: [alice.id] } });
  const reply = await say(bob, room, thread(first));
  await settles(alice, room, { main: [2, 1], threads: { [first]: [1, 0] } });
  await alice.post(at`/rooms/${room}/receipt/m.read.private/${reply}`, { thread_id: first });
  await settles(alice, room, { main: [2, 1], threads: {} });
  await alice.post(at`/rooms/${room}/receipt/m.read/${mention}`, { thread_id: 'main' });
  await settles(alice, room, { main: [0, 0], threads: {} });
  const later = await say(bob, room, thread(first));
  await bob.send(room, 'two');
  await settles(alice, room, { main: [1, 0], threads: { [first]: [1, 0] } });
  await alice.send(room, 'who writes has read');
  await settles(alice, room, { main: [0, 0], threads: { [first]: [1, 0] } });
  await alice.post(at`/rooms/${room}/receipt/m.read/${later}`, {});
  await settles(alice, room, { main: [0, 0], threads: {} });
});

test('what notified is listed in pages, with what was read and what highlights', async () => {
  const [alice, bob, room] = await pair(base);
  const other = (await bob.post('/createRoom', { preset: 'public_chat' })).room_id;
  await alice.post(at`/join/${other}`, {});
  const sent: string[] = [];
  for (const where of [room, other, room, other]) {
    sent.unshift(await say(bob, where, sent.length === 1 ? { 'm.mentions': { user_ids: [alice.id] } } : {}));
    // Two rooms tell in no order.
    await eventually('it is listed', async () => (await alice.get('/notifications')).notifications[0]?.event.event_id === sent[0]);
  }
  await alice.post(at`/rooms/${room}/receipt/m.read/${sent[1]!}`, {});
  const pages: Json[] = [];
  for (let from: string | undefined, more = true; more; more = from !== undefined) {
    const page = await alice.get('/notifications', { limit: 3, from });
    pages.push(...page.notifications);
    from = page.next_token;
  }
  const mine = pages.filter(({ event }) => event.type === 'm.room.message');
  assert.deepEqual(mine.map(({ event, room_id }) => [event.event_id, room_id]), sent.map((id, place) => [id, place % 2 ? room : other]));
  await eventually('the receipt counts', async () => {
    const { notifications } = await alice.get('/notifications');
    const read = (id: string) => notifications.find(({ event }: Json) => event.event_id === id).read;
    return read(sent[1]!) && read(sent[3]!) && !read(sent[0]!) && !read(sent[2]!);
  });
  const loud = (await alice.get('/notifications', { only: 'highlight' })).notifications;
  assert.deepEqual(loud.map(({ event }: Json) => event.event_id), [sent[2]]);
  assert.deepEqual(loud[0].actions, ['notify', { set_tweak: 'highlight' }]);
  assert.equal(loud[0].ts, loud[0].event.origin_server_ts);
  assert.deepEqual(await bob.get('/notifications', { only: 'highlight' }), { notifications: [] });
  for (const query of [{ limit: 0 }, { limit: 'x' }, { from: 'x' }, { only: 'loud' }]) {
    refused(await alice.call('GET', '/notifications', { query }), 400, 'M_INVALID_PARAM');
  }
});

test('redactions, muted rooms and ignored users are quiet', async () => {
  const [alice, bob, room] = await pair(base);
  const gone = await bob.send(room, 'never mind');
  await settles(alice, room, { main: [1, 0], threads: {} });
  await bob.put(at`/rooms/${room}/redact/${gone}/r1`, {});
  await settles(alice, room, { main: [0, 0], threads: {} });
  await alice.put(at`/pushrules/global/room/${room}`, { actions: [] });
  await bob.send(room, 'into the void');
  await say(bob, room, { 'm.mentions': { user_ids: [alice.id] } });
  await settles(alice, room, { main: [1, 1], threads: {} });
  await alice.put(at`/user/${alice.id}/account_data/m.ignored_user_list`, { ignored_users: { [bob.id]: {} } });
  const last = await say(bob, room, { 'm.mentions': { user_ids: [alice.id] } });
  await alice.post(at`/rooms/${room}/receipt/m.read/${last}`, {});
  await settles(alice, room, { main: [0, 0], threads: {} });
});

test('only who may notify a room highlights with a mention of everybody', async () => {
  const [alice, bob, room] = await pair(base);
  const everybody = { 'm.mentions': { room: true } };
  await say(alice, room, everybody);
  await say(bob, room, everybody);
  const mine = (await total(alice, room))[1] + (await total(bob, room))[1];
  assert.ok(mine <= 1, 'one of the two made the room');
});

const LOOPS: Record<string, (user: User) => Loop> = {
  'sliding sync': (user) => new Sliding(user),
  'classic sync': (user) => new Classic(user),
};

for (const [name, open] of Object.entries(LOOPS)) {
  test(`${name}: a message brings its count along, and a receipt on another device wakes the poll with the new one`, async (t) => {
    const [alice, bob, room] = await pair(base);
    const tablet = await alice.login();
    const unread = (json: Json) => json.rooms?.[room]?.notification_count
      ?? json.rooms?.join?.[room]?.unread_notifications?.notification_count;
    const loop = open(alice);
    let event = '';
    await delivers(t, loop, async () => { event = await bob.send(room, 'count me'); }, (json) => unread(json) === 1);
    const parked = await park(loop);
    await tablet.post(at`/rooms/${room}/receipt/m.read/${event}`, {});
    const answer = (await parked.answer).json;
    if (unread(answer) !== 0) await follow(loop, 'the count is zero', (json) => unread(json) === 0);
  });
}
