// What happens in rooms of an application service reaches it: all of it, in order, each transaction under one id,
// whatever breaks.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, at, eventually, okay, register, text, unique, type Ask, type Json } from './support/client.ts';
import { own, uncontrolled } from './support/server.ts';
import { Service } from './support/service.ts';

const skip = uncontrolled;
const bridge = new Service('bridge');
const other = new Service('other');
for (const service of skip ? [] : [bridge, other]) await service.start();
const users = (name: string) => ({ users: [{ exclusive: true, regex: `@_${name}_.*` }], aliases: [], rooms: [] });
const server = skip ? undefined! : await own({
  vars: { OUTBOUND_PRIVATE: 'true', APPSERVICES: [bridge.registration(users('bridge')), other.registration(users('other'), { receive_ephemeral: true })] },
});
const base = server?.base;
const as = (method: string, path: string, user_id?: string, options: Ask = {}, service = bridge) =>
  ask(base, method, path, { token: service.tokens.as, ...options, query: { user_id, ...options.query } });
const numbered = (from: number, until: number) => Array.from({ length: until - from + 1 }, (_, n) => `${from + n}`);

/** A user of the service. */
async function ghost(service = bridge): Promise<string> {
  const username = unique(`_${service.id}_`);
  const made = await ask(base, 'POST', '/register', { token: service.tokens.as, body: { type: 'm.login.application_service', username, inhibit_login: true } });
  return okay(made).user_id;
}

/** A room of a user's with a ghost in it. */
async function stage() {
  const [alice, id] = [await register(base), await ghost()];
  const room = await alice.createRoom();
  okay(await as('POST', at`/rooms/${room}/join`, id));
  return { alice, id, room };
}

const say = (id: string, room: string, body: string, service = bridge) =>
  as('PUT', at`/rooms/${room}/send/m.room.message/${unique('t')}`, id, { body: text(body) }, service).then(okay);

async function arrives(room: string, expected: string[], within = 20_000): Promise<void> {
  await eventually(`${expected.length} messages arrive`, async () => bridge.bodies(room).length >= expected.length, within);
  assert.deepEqual(bridge.bodies(room), expected);
  assert.deepEqual(bridge.failures, []);
}

const ping = () => as('POST', '/_matrix/client/v1/appservice/bridge/ping', undefined, { body: {} });

test('what is said in a room arrives in order, once, the service\'s own words too', { skip }, async () => {
  const { alice, id, room } = await stage();
  for (const body of numbered(1, 20)) await (Number(body) % 2 ? alice.send(room, body) : say(id, room, body));
  await arrives(room, numbered(1, 20));
  await Promise.all(numbered(21, 60).map((body) => alice.send(room, body)));
  await eventually('all arrive', async () => bridge.bodies(room).length === 60);
  const order = (await alice.get(at`/rooms/${room}/messages`, { dir: 'b', limit: 60 })).chunk.map((event: Json) => event.event_id).reverse();
  assert.deepEqual(bridge.events.filter((event) => event.room_id === room).slice(-60).map((event) => event.event_id), order, 'as the room has them');
  assert.equal(new Set(bridge.came.map((one) => one.id)).size, bridge.came.length, 'no transaction came twice');
  const first = bridge.events.find((event) => event.room_id === room)!;
  assert.deepEqual([first.type, first.state_key, first.content.membership], ['m.room.member', id, 'join'], 'nothing from before');
  assert.deepEqual(other.events, []);
});

test('a ghost\'s invite comes with what it is shown, its leaving comes, and nothing after', { skip }, async () => {
  const [alice, id] = [await register(base), await ghost()];
  const room = await alice.createRoom({ preset: 'private_chat', name: 'Harbour' });
  await alice.send(room, 'among us');
  // As bridges do it, in place of an invite.
  await alice.setState(room, 'm.room.member', { membership: 'invite' }, id);
  const here = () => bridge.events.filter((event) => event.room_id === room);
  const invite = await eventually('the invite arrives', async () => here()[0]);
  assert.deepEqual([invite.content.membership, invite.state_key], ['invite', id]);
  const name = invite.unsigned.invite_room_state.find((event: Json) => event.type === 'm.room.name');
  assert.equal(name.content.name, 'Harbour');
  await alice.send(room, 'still among us');
  okay(await as('PUT', at`/rooms/${room}/state/m.room.member/${id}`, id, { body: { membership: 'join' } }));
  await alice.send(room, 'welcome');
  okay(await as('PUT', at`/rooms/${room}/state/m.room.member/${id}`, id, { body: { membership: 'leave' } }));
  await alice.send(room, 'it is gone');
  const stranger = await stage();
  await stranger.alice.send(stranger.room, 'later');
  await arrives(stranger.room, ['later']);
  await eventually('it leaves', async () => here().length >= 4);
  assert.deepEqual(here().map((event) => event.content.membership ?? event.content.body), ['invite', 'join', 'welcome', 'leave']);
});

test('somebody whom the service has not made yet is asked for when they are invited or looked at', { skip }, async () => {
  const alice = await register(base);
  const [one, two] = [unique('_bridge_'), unique('_bridge_')].map((name) => `@${name}:${alice.server}`) as [string, string];
  const asked: string[] = [];
  bridge.makes = async (user) => {
    asked.push(user);
    const username = user.slice(1, user.indexOf(':'));
    okay(await ask(base, 'POST', '/register', { token: bridge.tokens.as, body: { type: 'm.login.application_service', username, inhibit_login: true } }));
    return true;
  };
  const room = await alice.createRoom();
  await alice.post(at`/rooms/${room}/invite`, { user_id: one });
  await eventually('the invite arrives', async () => bridge.events.some((event) => event.room_id === room && event.state_key === one));
  okay(await as('POST', at`/rooms/${room}/join`, one));
  okay(await alice.call('GET', at`/profile/${two}`));
  assert.deepEqual(asked, [one, two]);
  bridge.makes = async () => false;
  assert.equal((await alice.call('GET', at`/profile/${`@_bridge_nobody:${alice.server}`}`)).status, 404);
});

test('a service that asks for it sees typing and what was read', { skip }, async () => {
  const [alice, id] = [await register(base), await ghost(other)];
  const room = await alice.createRoom();
  okay(await as('POST', at`/rooms/${room}/join`, id, {}, other));
  const said = await say(id, room, 'hello', other);
  await eventually('it is heard', async () => other.bodies(room).length === 1);
  const seen = (type: string) => other.came.flatMap(({ body }) => body.ephemeral ?? []).filter((event: Json) => event.type === type && event.room_id === room);
  await alice.typing(room);
  await eventually('that she types', async () => seen('m.typing').some((event: Json) => event.content.user_ids.includes(alice.id)));
  await alice.receipt(room, said.event_id, 'm.read.private');
  await alice.receipt(room, said.event_id);
  const [read] = await eventually('that she has read it', async () => seen('m.receipt').length > 0 && seen('m.receipt'));
  assert.deepEqual(Object.keys(read.content[said.event_id]), ['m.read']);
  assert.ok(bridge.came.every(({ body }) => body.ephemeral === undefined), 'the other did not ask for it');
  assert.deepEqual(other.failures, []);
});

test('what fails is sent again as it was, and then what waited', { skip }, async () => {
  const { alice, room } = await stage();
  await eventually('the join arrives', async () => bridge.events.some((event) => event.room_id === room));
  for (const verdict of [500, 429, 401, 'silence'] as const) {
    const [before, came] = [bridge.bodies(room).length, bridge.came.length];
    let fails = 2;
    bridge.verdict = () => (fails-- > 0 ? verdict : 200);
    const bodies = numbered(before + 1, before + 5);
    for (const body of bodies) await alice.send(room, body);
    await arrives(room, numbered(1, before + 5));
    const tries = bridge.came.slice(came);
    assert.ok(tries.length >= 3 && tries[0]!.id === tries[1]!.id && tries[1]!.id === tries[2]!.id, 'under the same id');
  }
  bridge.verdict = () => 200;
});

test('a service that was away gets everything in order when it says that it is back', { skip }, async () => {
  const { alice, room } = await stage();
  await alice.send(room, '1');
  await arrives(room, ['1']);
  await bridge.stop();
  for (const body of numbered(2, 250)) await alice.send(room, body);
  await bridge.start();
  okay(await ping());
  await arrives(room, numbered(1, 250));
  const sizes = bridge.came.filter(({ events }) => events.some((event) => event.room_id === room)).map(({ events }) => events.length);
  assert.ok(sizes.length < 20, `${sizes}`);
});

test('a power cut loses nothing and sends nothing under another id', { skip }, async () => {
  const { alice, id, room } = await stage();
  await eventually('the join arrives', async () => bridge.events.some((event) => event.room_id === room));
  const came = bridge.came.length;
  // The transaction has come, and no answer has gone back before the cut.
  bridge.verdict = () => 'silence';
  for (const body of numbered(1, 5)) await alice.send(room, body);
  await eventually('it is tried', async () => bridge.came.length > came);
  const first = bridge.came[came]!;
  server.killWorkerd();
  await server.recover();
  bridge.verdict = () => 200;
  await say(id, room, '6');
  okay(await ping());
  await arrives(room, numbered(1, 6), 60_000);
  assert.ok(bridge.came.slice(came + 1).some((one) => one.id === first.id), 'the same again');
});

test('of two services each hears its own, and one that fails does not hold up the other', { skip }, async () => {
  const { alice, room } = await stage();
  const id = await ghost(other);
  okay(await as('POST', at`/rooms/${room}/join`, id, {}, other));
  await eventually('both are there', async () => other.events.some((event) => event.room_id === room));
  other.verdict = () => 503;
  await alice.send(room, 'one');
  await arrives(room, ['one']);
  assert.deepEqual(other.bodies(room), []);
  other.verdict = () => 200;
  await eventually('and the other later', async () => other.bodies(room).length === 1, 20_000);
  assert.deepEqual(other.failures, []);
});
