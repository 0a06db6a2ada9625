// People of this server in rooms of Synapse 1.163.2: they join, speak, read what was said before, go and come back, in every room version
// that counts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, at, bodies, eventually, history, okay, register, refused, unique, type Answer, type Json, type User } from './support/client.ts';
import { sized } from './support/full.ts';
import { uncontrolled } from './support/server.ts';
import { federation, missing } from './support/synapse.ts';

const skip = uncontrolled || missing;
const { tern, synapse, toSynapse } = skip ? undefined! : await federation();
const [alice, bob] = skip ? [undefined!, undefined!] : [await register(tern.base), await register(synapse.base)];

const VERSIONS = sized(['6', '12'], ['6', '7', '8', '9', '10', '11', '12']);
const PATIENCE_MS = 30_000;

/** Whoever is of this server enters a room of Synapse. */
const enter = (user: User, room: string, via: Json = { via: toSynapse.name }): Promise<Answer> =>
  ask(user.base, 'POST', at`/join/${room}`, { token: user.token, query: via, body: {} });

const texts = async (user: User, room: string) => bodies(await history(user, room, 'f', 100));
const membership = async (user: User, room: string, of: User) =>
  (await ask(user.base, 'GET', at`/rooms/${room}/state/m.room.member/${of.id}`, { token: user.token })).json?.membership;
const becomes = (user: User, room: string, of: User, wanted: string) =>
  eventually(`${of.id} is seen as ${wanted} at ${user.base}`, async () => (await membership(user, room, of)) === wanted, PATIENCE_MS);
const hears = (user: User, room: string, wanted: string[], within = PATIENCE_MS) =>
  eventually(`${user.id} reads ${wanted.at(-1)}`, async () => (await texts(user, room)).includes(wanted.at(-1)!), within);
const series = (prefix: string, count: number) => Array.from({ length: count }, (_, n) => `${prefix} ${n}`);

async function say(user: User, room: string, messages: string[]): Promise<void> {
  for (const message of messages) await user.send(room, message);
}

for (const version of VERSIONS) {
  test(`a room of version ${version}: joined by alias, spoken in from both sides, left, joined again by its id`, { skip }, async () => {
    const name = unique('room');
    const room = await bob.createRoom({ room_version: version, room_alias_name: name, name });
    await say(bob, room, ['before anybody came']);
    const joined = okay(await enter(alice, `#${name}:${toSynapse.name}`, {}));
    assert.equal(joined.room_id, room);
    await becomes(bob, room, alice, 'join');
    assert.deepEqual((await alice.state(room, 'm.room.name')).name, name);
    assert.equal((await alice.state(room, 'm.room.member', bob.id)).membership, 'join');

    const past = bodies(await history(alice, room, 'b', 20));
    assert.ok(past.includes('before anybody came'), `what was said before is read: ${JSON.stringify(past)}`);

    const [ours, theirs] = [series('ours', 25), series('theirs', 25)];
    await Promise.all([say(alice, room, ours), say(bob, room, theirs)]);
    await Promise.all([hears(alice, room, theirs), hears(bob, room, ours)]);
    for (const user of [alice, bob]) {
      const read = await texts(user, room);
      assert.deepEqual(read.filter((text) => text.startsWith('ours')), ours, `ours in order, for ${user.id}`);
      assert.deepEqual(read.filter((text) => text.startsWith('theirs')), theirs, `theirs in order, for ${user.id}`);
    }

    await alice.leave(room);
    await becomes(bob, room, alice, 'leave');
    await bob.setState(room, 'm.room.topic', { topic: 'while nobody was there' });
    okay(await enter(alice, room));
    await becomes(bob, room, alice, 'join');
    assert.deepEqual((await alice.state(room, 'm.room.topic')).topic, 'while nobody was there');
    await say(bob, room, ['welcome']);
    await hears(alice, room, ['welcome']);
    await say(alice, room, ['thanks']);
    await hears(bob, room, ['thanks']);
  });
}

test('a room that lets nobody in, one that does not exist, and a server that is not there', { skip }, async () => {
  const room = await bob.createRoom({ preset: 'private_chat' });
  refused(await enter(alice, room), 403, 'M_FORBIDDEN');
  assert.ok([403, 404].includes((await enter(alice, `!nowhere:${toSynapse.name}`)).status));
  refused(await enter(alice, `#nowhere:${toSynapse.name}`), 404, 'M_NOT_FOUND');
  const gone = await enter(alice, '!nowhere:localhost:1', { via: 'localhost:1' });
  assert.ok(gone.status === 502 || gone.status === 504, JSON.stringify(gone.json));
});

test('who is in a room that lets its members in joins the other one', { skip }, async () => {
  const open = await bob.createRoom({});
  const join_rule = { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: open }] };
  const initial_state = [{ type: 'm.room.join_rules', state_key: '', content: join_rule }];
  const inner = await bob.createRoom({ preset: 'private_chat', room_version: '11', initial_state });
  assert.equal((await enter(alice, inner)).status, 403);
  okay(await enter(alice, open));
  await becomes(bob, open, alice, 'join');
  okay(await enter(alice, inner));
  await becomes(bob, inner, alice, 'join');
  await say(alice, inner, ['inside']);
  await hears(bob, inner, ['inside']);
});

let asked = 1;
/** The user sees an invite into the room. Synapse gives the same first sync the same answer for two minutes. */
const isInvited = (user: User, room: string) =>
  eventually(`${user.id} is invited to ${room}`, async () => {
    const filter = JSON.stringify({ presence: { limit: asked += 1 } });
    return Boolean((await user.get('/sync', { timeout: 0, filter })).rooms?.invite?.[room]);
  }, PATIENCE_MS);

test('an invite of Synapse is accepted, another one rejected and forgotten', { skip }, async () => {
  for (const room_version of ['11', '12']) {
    const room = await bob.createRoom({ preset: 'private_chat', room_version });
    await bob.invite(room, alice);
    await isInvited(alice, room);
    await alice.join(room);
    await becomes(bob, room, alice, 'join');
    await say(bob, room, ['hello']);
    await hears(alice, room, ['hello']);

    const unwanted = await bob.createRoom({ preset: 'private_chat', room_version });
    await bob.invite(unwanted, alice);
    await isInvited(alice, unwanted);
    await alice.leave(unwanted);
    await becomes(bob, unwanted, alice, 'leave');
    await alice.post(at`/rooms/${unwanted}/forget`);
    const { rooms } = await alice.get('/sync', { timeout: 0 });
    assert.equal(rooms?.invite?.[unwanted], undefined);
  }
});

test('a user of Synapse is invited, while a room is made and afterwards', { skip }, async () => {
  for (const room_version of ['10', '11', '12']) {
    const room = await alice.createRoom({ preset: 'private_chat', room_version });
    await alice.invite(room, bob);
    await isInvited(bob, room);
    await bob.join(room);
    await becomes(alice, room, bob, 'join');
    const direct = await alice.createRoom({ preset: 'trusted_private_chat', room_version, invite: [bob.id], is_direct: true });
    await becomes(alice, direct, bob, 'invite');
    await isInvited(bob, direct);
    await bob.join(direct);
    await becomes(alice, direct, bob, 'join');
    await say(bob, direct, ['just us']);
    await hears(alice, direct, ['just us']);
  }
  const room = await alice.createRoom({ preset: 'private_chat' });
  const gone = await ask(tern.base, 'POST', at`/rooms/${room}/invite`, { token: alice.token, body: { user_id: '@x:localhost:1' } });
  assert.ok(gone.status === 502 || gone.status === 504, JSON.stringify(gone.json));
});

test('a knock at a room of Synapse is answered by an invite', { skip }, async () => {
  const initial_state = [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }];
  const room = await bob.createRoom({ preset: 'private_chat', initial_state });
  okay(await ask(tern.base, 'POST', at`/knock/${room}`, { token: alice.token, query: { via: toSynapse.name }, body: { reason: 'please' } }));
  await becomes(bob, room, alice, 'knock');
  await bob.invite(room, alice);
  await isInvited(alice, room);
  await alice.join(room);
  await becomes(bob, room, alice, 'join');
});
