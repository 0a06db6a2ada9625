// The deprecated syncs, and what Element Web asks of them: a room that one is not in, by id, by alias and out of a space.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { createClient, RoomEvent, type MatrixClient } from 'matrix-js-sdk';
import { logger } from 'matrix-js-sdk/lib/logger.js';
import { at, bodies, eventually, okay, pair, people, refused, register, unique, type Json, type User } from './support/client.ts';
import { shared } from './support/server.ts';
import { Classic, follow, says } from './support/sync.ts';

const base = await shared();
const OPEN = [{ type: 'm.room.history_visibility', content: { history_visibility: 'world_readable' } }];
const silent: any = { getChild: () => silent, trace() {}, debug() {}, info() {}, warn() {}, error() {}, log() {} };
(logger as any).disableAll?.();
after(() => setTimeout(() => process.exit(), 500)); // the SDK leaves timers of its polls behind

function sdk(user: User): MatrixClient {
  return createClient({ baseUrl: base, accessToken: user.token, userId: user.id, deviceId: user.device, logger: silent });
}

/** Alice's room, world-readable or not, with two messages and an alias. */
async function place(alice: User, open: boolean): Promise<{ room: string; alias: string }> {
  const room_alias_name = unique('peek');
  const room = await alice.createRoom({ room_alias_name, name: 'Town square', initial_state: open ? OPEN : [] });
  await alice.send(room, 'one');
  await alice.send(room, 'two');
  return { room, alias: `#${room_alias_name}:${alice.server}` };
}

const peeked = (room: any) => room.getLiveTimeline().getEvents().map((event: any) => event.getContent().body).filter(Boolean);

test('a world-readable room opens in Element Web by id and by alias, is live, and scrolls back', async () => {
  const [alice, bob] = await people(base, 2);
  const { room, alias } = await place(alice, true);
  for (let n = 1; n <= 30; n += 1) await alice.send(room, `m${n}`);
  const client = sdk(bob);
  assert.equal((await client.getRoomIdForAlias(alias)).room_id, room);
  const shown = await client.peekInRoom(room, 20);
  assert.deepEqual(peeked(shown).slice(-2), ['m29', 'm30']);
  assert.equal(shown.name, 'Town square');
  assert.equal(shown.currentState.getStateEvents('m.room.history_visibility', '')?.getContent().history_visibility, 'world_readable');
  await client.scrollback(shown, 30);
  assert.ok(peeked(shown).includes('one'), 'older messages come by messages.start');
  const live = new Promise<void>((seen) => client.on(RoomEvent.Timeline, (event) => event.getContent().body === 'now' && seen()));
  // The SDK listens from now on, which is when its request has come.
  await eventually('the poll is there', async () => {
    await alice.send(room, 'now');
    return Promise.race([live.then(() => true), new Promise<false>((late) => setTimeout(() => late(false), 4_000))]);
  }, 30_000);
  client.stopPeeking();
  assert.equal((await bob.get('/joined_rooms')).joined_rooms.length, 0, 'nobody has joined');
});

test('a room that may not be read gives 403 M_FORBIDDEN, by which Element Web offers to join it', async () => {
  const [alice, bob] = await people(base, 2);
  const { room, alias } = await place(alice, false);
  const client = sdk(bob);
  assert.equal((await client.getRoomIdForAlias(alias)).room_id, room);
  for (const id of [room, `!${unique()}:${alice.server}`]) {
    const refusal: any = await client.peekInRoom(id, 20).then(() => assert.fail('opened'), (error) => error);
    assert.deepEqual([refusal.httpStatus, refusal.errcode], [403, 'M_FORBIDDEN'], id);
    refused(await bob.call('GET', '/events', { query: { room_id: id, timeout: 0 } }), 403, 'M_FORBIDDEN');
  }
  await client.joinRoom(alias);
  assert.deepEqual(peeked(await client.peekInRoom(room, 20)).slice(-2), ['one', 'two']);
});

test("rooms of a space's list open or offer to be joined", async () => {
  const [alice, bob] = await people(base, 2);
  const [open, shut] = [await place(alice, true), await place(alice, false)];
  const space = await alice.createRoom({ creation_content: { type: 'm.space' } });
  for (const { room } of [open, shut]) await alice.setState(space, 'm.space.child', { via: [alice.server] }, room);
  const client = sdk(bob);
  const listed = await eventually('the children are listed', async () => {
    const { rooms } = await client.getRoomHierarchy(space, 20, 1, false);
    return rooms.length === 3 && rooms;
  });
  const readable = (id: string) => listed.find(({ room_id }) => room_id === id)?.world_readable;
  assert.deepEqual([readable(open.room), readable(shut.room)], [true, false]);
  assert.deepEqual(peeked(await client.peekInRoom(open.room, 20)), ['one', 'two']);
  const refusal: any = await client.peekInRoom(shut.room, 20).then(() => assert.fail('opened'), (error) => error);
  assert.equal(refusal.errcode, 'M_FORBIDDEN');
  refused(await bob.call('GET', at`/rooms/${shut.room}/initialSync`), 403, 'M_FORBIDDEN');
});

test('a room\'s snapshot: messages oldest first with places on both sides, state, account data, membership', async () => {
  const [alice, bob, room] = await pair(base);
  for (const body of ['one', 'two', 'three']) await alice.send(room, body);
  await bob.put(at`/user/${bob.id}/rooms/${room}/account_data/org.example.note`, { n: 1 });
  const shot = await bob.get(at`/rooms/${room}/initialSync`, { limit: 2 });
  assert.deepEqual([shot.room_id, shot.membership, bodies(shot.messages.chunk)], [room, 'join', ['two', 'three']]);
  assert.ok(shot.messages.chunk.every(({ room_id }: Json) => room_id === room));
  assert.equal(shot.state.filter(({ type }: Json) => type === 'm.room.member').length, 2);
  assert.deepEqual(shot.account_data, [{ type: 'org.example.note', content: { n: 1 } }]);
  assert.equal(shot.visibility, 'private');
  const page = (query: Json) => bob.get(at`/rooms/${room}/messages`, { limit: 50, ...query });
  assert.deepEqual(bodies((await page({ dir: 'b', from: shot.messages.start })).chunk), ['one']);
  await alice.send(room, 'four');
  assert.deepEqual(bodies((await page({ dir: 'f', from: shot.messages.end })).chunk), ['four']);
  await bob.leave(room);
  await alice.send(room, 'five');
  const left = await eventually('the leaving is known', async () => {
    const left = await bob.get(at`/rooms/${room}/initialSync`);
    return left.membership === 'leave' && left;
  });
  assert.deepEqual(bodies(left.messages.chunk), ['one', 'two', 'three', 'four'], 'as it was when they left');
});

test('the events of a room: what came since a place of either kind, at once or when it comes', async () => {
  const alice = await register(base);
  const bob = await register(base);
  const { room } = await place(alice, true);
  const ask = (query: Json) => bob.get('/events', { room_id: room, ...query });
  const first = await ask({ timeout: 0 });
  assert.deepEqual(first.chunk, []);
  await alice.send(room, 'three');
  const next = await ask({ from: first.end, timeout: 0 });
  assert.deepEqual([bodies(next.chunk), next.start], [['three'], first.end]);
  assert.equal(next.chunk[0].room_id, room);
  const waiting = ask({ from: next.end, timeout: 20_000 });
  await alice.send(room, 'four');
  assert.deepEqual(bodies((await waiting).chunk), ['four']);
  refused(await bob.call('GET', '/events', { query: { room_id: 'nothing' } }), 400, 'M_INVALID_PARAM');
  refused(await bob.call('GET', '/events', { query: { room_id: room, from: 'x' } }), 400, 'M_INVALID_PARAM');
});

test('all rooms: a snapshot, the events after it while a poll waits, and no to-device message is lost by it', async () => {
  const [alice, bob, room] = await pair(base);
  const invited = await alice.createRoom({ invite: [bob.id] });
  await alice.send(room, 'one');
  await bob.put(at`/user/${bob.id}/account_data/org.example.note`, { n: 1 });
  const sync = new Classic(bob);
  await follow(sync, 'all of it', (json) => says(json, room, 'one'));
  const shot = await eventually('both rooms are there', async () => {
    const shot = await bob.get('/initialSync', { limit: 2 });
    return shot.rooms.length === 2 && shot;
  });
  const of = (id: string) => shot.rooms.find(({ room_id }: Json) => room_id === id);
  assert.deepEqual([of(room).membership, bodies(of(room).messages.chunk)], ['join', ['one']]);
  assert.ok([...of(room).messages.chunk, ...of(room).state].every((event: Json) => event.room_id === room && event.event_id));
  assert.deepEqual([of(invited).membership, of(invited).invite.content.membership], ['invite', 'invite']);
  assert.ok(shot.account_data.some(({ type }: Json) => type === 'org.example.note'));
  assert.ok(Array.isArray(shot.presence));
  await alice.put(at`/sendToDevice/org.example.secret/${unique('t')}`, { messages: { [bob.id]: { [bob.device]: { n: 1 } } } });
  const waiting = bob.get('/events', { from: shot.end, timeout: 20_000 });
  await alice.send(room, 'two');
  const heard = await waiting;
  assert.deepEqual(bodies(heard.chunk), ['two']);
  assert.equal(heard.chunk[0].room_id, room);
  assert.deepEqual((await bob.get('/events', { from: heard.end, timeout: 0 })).chunk, []);
  const told = await follow(sync, 'the message', (json) => json.to_device?.events?.length);
  assert.equal(told.at(-1)!.to_device.events[0].type, 'org.example.secret');
  await bob.leave(room);
  const archived = await eventually('the room is archived', async () => {
    const { rooms } = await bob.get('/initialSync', { archived: true });
    return rooms.some(({ room_id, membership }: Json) => room_id === room && membership === 'leave');
  });
  assert.ok(archived);
  assert.ok(!(await bob.get('/initialSync')).rooms.some(({ room_id }: Json) => room_id === room));
});

test('an event by its id alone, for those who may see it', async () => {
  const [alice, bob, room] = await pair(base);
  const id = await alice.send(room, 'here');
  const stranger = await register(base);
  for (let look = 0; look < 2; look += 1) {
    const event = okay(await bob.call('GET', at`/events/${id}`));
    assert.deepEqual([event.event_id, event.room_id, event.content.body], [id, room, 'here']);
    refused(await stranger.call('GET', at`/events/${id}`), 404, 'M_NOT_FOUND');
    refused(await bob.call('GET', at`/events/${'$' + unique()}`), 404, 'M_NOT_FOUND');
    await alice.send(room, 'later');
  }
});
