// Rooms of this server with people of Synapse in them: Synapse 1.163.2 joins, speaks, and goes, in every room version that counts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, at, bodies, eventually, history, okay, register, unique, type Json, type User } from './support/client.ts';
import { sized } from './support/full.ts';
import { uncontrolled } from './support/server.ts';
import { federation, missing } from './support/synapse.ts';
import type { Fault } from './support/tls-front.ts';

const skip = uncontrolled || missing;
const { tern, synapse, toTern, toSynapse } = skip ? undefined! : await federation();
const [alice, bob] = skip ? [undefined!, undefined!] : [await register(tern.base), await register(synapse.base)];

const VERSIONS = sized(['6', '12'], ['6', '7', '8', '9', '10', '11', '12']);
const PATIENCE_MS = 30_000;

/** A user of Synapse enters a room of this server. */
const enter = (user: User, room: string) =>
  eventually(`${user.id} is in ${room}`, async () => {
    const answer = await ask(user.base, 'POST', at`/join/${room}`, { token: user.token, query: { via: toTern.name, server_name: toTern.name }, body: {} });
    return answer.status === 200;
  }, PATIENCE_MS);

const texts = async (user: User, room: string) => bodies((await history(user, room, 'f', 100)));
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
  test(`a room of version ${version}: joined by alias, spoken in from both sides, left`, { skip }, async () => {
    const name = unique('room');
    const room = await alice.createRoom({ room_version: version, room_alias_name: name, name });
    await say(alice, room, ['before anybody came']);
    const joined = await eventually('the alias leads in', async () => {
      const answer = await ask(synapse.base, 'POST', at`/join/${`#${name}:${toTern.name}`}`, { token: bob.token, body: {} });
      return answer.status === 200 && answer.json;
    }, PATIENCE_MS);
    assert.equal(joined.room_id, room);
    await becomes(alice, room, bob, 'join');
    assert.deepEqual((await bob.state(room, 'm.room.name')).name, name);

    const [ours, theirs] = [series('ours', 25), series('theirs', 25)];
    await Promise.all([say(alice, room, ours), say(bob, room, theirs)]);
    await Promise.all([hears(alice, room, theirs), hears(bob, room, ours)]);
    for (const user of [alice, bob]) {
      const read = await texts(user, room);
      assert.deepEqual(read.filter((text) => text.startsWith('ours')), ours, `ours in order, for ${user.id}`);
      assert.deepEqual(read.filter((text) => text.startsWith('theirs')), theirs, `theirs in order, for ${user.id}`);
    }

    await alice.setState(room, 'm.room.topic', { topic: 'from here' });
    await eventually('the topic arrives', async () => (await bob.get(at`/rooms/${room}/state`)).some((event: Json) => event.content.topic === 'from here'), PATIENCE_MS);
    const said = await bob.send(room, 'taken back');
    await hears(alice, room, ['taken back']);
    await bob.put(at`/rooms/${room}/redact/${said}/${unique('t')}`, {});
    await eventually('the redaction arrives', async () => !(await texts(alice, room)).includes('taken back'), PATIENCE_MS);

    await bob.leave(room);
    await becomes(alice, room, bob, 'leave');
  });
}

test('kicked, banned and let in again', { skip }, async () => {
  const room = await alice.createRoom({});
  await enter(bob, room);
  await becomes(alice, room, bob, 'join');
  await alice.post(at`/rooms/${room}/kick`, { user_id: bob.id, reason: 'out' });
  await becomes(bob, room, bob, 'leave');
  await alice.post(at`/rooms/${room}/ban`, { user_id: bob.id });
  const refused = await ask(synapse.base, 'POST', at`/join/${room}`, { token: bob.token, query: { via: toTern.name, server_name: toTern.name }, body: {} });
  assert.equal(refused.status, 403, JSON.stringify(refused.json));
  await alice.post(at`/rooms/${room}/unban`, { user_id: bob.id });
  await enter(bob, room);
  await becomes(alice, room, bob, 'join');
});

test('who joins sees no more of the past than the room shows', { skip }, async () => {
  const room = await alice.createRoom({ initial_state: [{ type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'joined' } }] });
  await say(alice, room, ['nobody else reads this']);
  await enter(bob, room);
  await say(alice, room, ['for both']);
  await hears(bob, room, ['for both']);
  assert.ok(!(await texts(bob, room)).includes('nobody else reads this'));
});

test('a knock is asked for and let in', { skip }, async () => {
  const room = await alice.createRoom({ preset: 'private_chat', initial_state: [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }] });
  okay(await ask(synapse.base, 'POST', at`/knock/${room}`, { token: bob.token, query: { via: toTern.name, server_name: toTern.name }, body: {} }));
  await becomes(alice, room, bob, 'knock');
});

test('what is sent while the other side hangs up, has too much to do, or while we lose power arrives once and in order', { skip }, async () => {
  const room = await alice.createRoom({});
  await enter(bob, room);
  await becomes(alice, room, bob, 'join');
  const busy = { status: 429, body: '{"errcode":"M_LIMIT_EXCEEDED","error":"?"}', headers: { 'retry-after': '1' } };
  const faults: Fault[] = ['close', busy, busy];
  let tries = 0;
  toSynapse.fault = (method, target) => (method === 'PUT' && target.includes('/send/') ? faults[tries++] : undefined);
  const messages: string[] = [];
  const talk = async (about: string) => {
    const more = series(`said while ${about}`, 5);
    await say(alice, room, more);
    messages.push(...more);
  };
  await talk('it hangs up');
  await eventually('a transaction failed', async () => tries > 0, PATIENCE_MS);
  await talk('it waits');
  tern.killWorkerd();
  await tern.recover();
  await talk('it is back');
  await hears(bob, room, messages, 60_000);
  assert.deepEqual((await texts(bob, room)).filter((text) => text.startsWith('said while')), messages);
  assert.ok(tries > faults.length, 'all failures were met');
});
