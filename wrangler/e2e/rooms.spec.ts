// Rooms: creation with every preset and field, memberships, and who may do what.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, brief, eventually, okay, pair, people, refused, register, text, unique, type Answer, type Json, type User } from './support/client.ts';
import { shared } from './support/server.ts';

const base = await shared();
const VERSIONS = ['6', '7', '8', '9', '10', '11', '12'];

const PRESETS: Record<string, [join: string, visibility: string, guests: string]> = {
  private_chat: ['invite', 'shared', 'can_join'],
  trusted_private_chat: ['invite', 'shared', 'can_join'],
  public_chat: ['public', 'shared', 'forbidden'],
};

for (const [preset, [join, visibility, guests]] of Object.entries(PRESETS)) {
  test(`createRoom: preset ${preset} sets join rules, history visibility and guest access`, async () => {
    const alice = await register(base);
    const room = await alice.createRoom({ preset });
    assert.equal((await alice.state(room, 'm.room.join_rules')).join_rule, join);
    assert.equal((await alice.state(room, 'm.room.history_visibility')).history_visibility, visibility);
    const access = await alice.call('GET', at`/rooms/${room}/state/m.room.guest_access`);
    assert.equal(access.json.guest_access ?? 'forbidden', guests);
    assert.equal((await alice.state(room, 'm.room.member', alice.id)).membership, 'join');
  });
}

test('createRoom: without a preset the visibility chooses it', async () => {
  const alice = await register(base);
  const rule = async (fields: Json) =>
    (await alice.state((await alice.post('/createRoom', fields)).room_id, 'm.room.join_rules')).join_rule;
  assert.equal(await rule({}), 'invite');
  assert.equal(await rule({ visibility: 'private' }), 'invite');
  assert.equal(await rule({ visibility: 'public' }), 'public');
});

test('createRoom: the default version is 12, whose room id is the hash of its create event', async () => {
  const alice = await register(base);
  const room = await alice.createRoom();
  const { chunk } = await alice.get(at`/rooms/${room}/messages`, { dir: 'f', limit: 1 });
  assert.equal(chunk[0].type, 'm.room.create');
  assert.equal(chunk[0].content.room_version, '12');
  assert.equal(chunk[0].event_id, '$' + room.slice(1));
  assert.match(room, /^![A-Za-z0-9_-]{43}$/);
  const levels = await alice.state(room, 'm.room.power_levels');
  assert.equal(levels.users?.[alice.id], undefined, 'the creator of a version 12 room is above all levels');
});

for (const version of VERSIONS) {
  test(`room version ${version}: create, join, talk, set state, redact, leave`, async () => {
    const [alice, bob] = await people(base, 2);
    const room = await alice.createRoom({ room_version: version, name: 'Ledge' });
    assert.equal((await alice.state(room, 'm.room.create')).room_version, version);
    if (version !== '12') assert.ok(room.endsWith(':' + alice.server), room);
    await bob.join(room);
    const event = await bob.send(room, 'hello');
    assert.match(event, /^\$[A-Za-z0-9_-]{43}$/, 'an event id is the reference hash');
    await alice.setState(room, 'm.room.topic', { topic: 'fish' });
    const { event_id } = await alice.put(at`/rooms/${room}/redact/${event}/${unique()}`, { reason: 'rude' });
    const redacted = await bob.get(at`/rooms/${room}/event/${event}`);
    assert.deepEqual(redacted.content, {});
    assert.equal(redacted.unsigned.redacted_because.event_id, event_id);
    await bob.leave(room);
    assert.equal((await alice.state(room, 'm.room.member', bob.id)).membership, 'leave');
  });
}

test('createRoom: name, topic, alias, direct invites, initial state, creation content and levels are all used', async () => {
  const [alice, bob, carol] = await people(base, 3);
  const alias = unique('nest');
  const room = await alice.createRoom({
    preset: 'private_chat', name: 'Nest', topic: 'eggs', room_alias_name: alias, invite: [bob.id, carol.id], is_direct: true,
    initial_state: [
      { type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } },
      { type: 'm.room.join_rules', content: { join_rule: 'knock' } },
      { type: 'org.example.kind', state_key: 'key', content: { n: 1 } },
      { type: 'm.room.name', content: { name: 'overridden' } },
    ],
    creation_content: { type: 'm.space', 'm.federate': false, room_version: '6' },
    power_level_content_override: { events_default: 7, users: { [bob.id]: 55 }, events: { 'm.room.topic': 0 } },
  });
  const create = await alice.state(room, 'm.room.create');
  assert.equal(create.type, 'm.space');
  assert.equal(create['m.federate'], false);
  assert.equal(create.room_version, '12');
  assert.equal((await alice.state(room, 'm.room.name')).name, 'Nest');
  assert.equal((await alice.state(room, 'm.room.topic')).topic, 'eggs');
  assert.equal((await alice.state(room, 'm.room.canonical_alias')).alias, `#${alias}:${alice.server}`);
  assert.equal((await alice.state(room, 'm.room.encryption')).algorithm, 'm.megolm.v1.aes-sha2');
  assert.equal((await alice.state(room, 'm.room.join_rules')).join_rule, 'knock', 'initial state goes before the preset');
  assert.deepEqual(await alice.state(room, 'org.example.kind', 'key'), { n: 1 });
  const levels = await alice.state(room, 'm.room.power_levels');
  assert.equal(levels.events_default, 7);
  assert.equal(levels.users[bob.id], 55);
  assert.equal(levels.events['m.room.topic'], 0);
  for (const guest of [bob, carol]) {
    const member = await alice.state(room, 'm.room.member', guest.id);
    assert.equal(member.membership, 'invite');
    assert.equal(member.is_direct, true);
  }
});

test('createRoom: invitees of a trusted private chat are as mighty as the creator', async () => {
  const [alice, bob] = await people(base, 2);
  for (const room_version of ['11', '12']) {
    const room = await alice.createRoom({ preset: 'trusted_private_chat', invite: [bob.id], room_version });
    await bob.join(room);
    const create = await alice.state(room, 'm.room.create');
    const levels = await alice.state(room, 'm.room.power_levels');
    if (room_version === '11') assert.equal(levels.users[bob.id], levels.users[alice.id]);
    else assert.deepEqual(create.additional_creators, [bob.id]);
    await bob.setState(room, 'm.room.power_levels', { ...levels, events_default: 1 });
  }
});

test('join: by invite, by id, by alias, twice over; not without an invite', async () => {
  const [alice, bob, carol] = await people(base, 3);
  const room_alias_name = unique('cliff');
  const open = await alice.createRoom({ room_alias_name });
  const alias = `#${room_alias_name}:${alice.server}`;
  assert.equal((await bob.post(at`/join/${alias}`)).room_id, open);
  assert.equal((await carol.post(at`/join/${open}`)).room_id, open);
  assert.equal((await carol.join(open)).room_id, open, 'joining again is no error');
  okay(await bob.call('POST', at`/rooms/${open}/join`));

  const closed = await alice.createRoom({ preset: 'private_chat' });
  refused(await bob.call('POST', at`/rooms/${closed}/join`, { body: {} }), 403, 'M_FORBIDDEN');
  await alice.invite(closed, bob);
  await bob.join(closed);
  await eventually('both in joined_rooms', async () =>
    String((await bob.get('/joined_rooms')).joined_rooms.sort()) === String([closed, open].sort()));
});

test('invite: only by members, not of members or the banned; can be rejected and withdrawn', async () => {
  const [alice, bob, carol] = await people(base, 3);
  const room = await alice.createRoom({ preset: 'private_chat' });
  await alice.invite(room, bob);
  refused(await bob.call('POST', at`/rooms/${room}/invite`, { body: { user_id: carol.id } }), 403, 'M_FORBIDDEN');
  await bob.leave(room);
  assert.equal((await alice.state(room, 'm.room.member', bob.id)).membership, 'leave');
  refused(await bob.call('POST', at`/rooms/${room}/join`, { body: {} }), 403, 'M_FORBIDDEN');
  await alice.invite(room, bob);
  await alice.post(at`/rooms/${room}/kick`, { user_id: bob.id, reason: 'changed my mind' });
  refused(await bob.call('POST', at`/rooms/${room}/join`, { body: {} }), 403, 'M_FORBIDDEN');
  await alice.invite(room, bob);
  await bob.join(room);
  refused(await alice.call('POST', at`/rooms/${room}/invite`, { body: { user_id: bob.id } }), 403, 'M_FORBIDDEN');
  await alice.post(at`/rooms/${room}/ban`, { user_id: carol.id });
  shut(await bob.call('POST', at`/rooms/${room}/invite`, { body: { user_id: carol.id } }));
});

test('kick, ban, unban: with reasons; the banned cannot return until unbanned', async () => {
  const [alice, bob, room] = await pair(base);
  await alice.post(at`/rooms/${room}/kick`, { user_id: bob.id, reason: 'noise' });
  assert.deepEqual(await membership(alice, room, bob), ['leave', 'noise']);
  await bob.join(room);
  await alice.post(at`/rooms/${room}/ban`, { user_id: bob.id, reason: 'more noise' });
  assert.deepEqual(await membership(alice, room, bob), ['ban', 'more noise']);
  shut(await bob.call('POST', at`/rooms/${room}/join`, { body: {} }));
  refused(await bob.call('PUT', at`/rooms/${room}/send/m.room.message/${unique()}`, { body: text('x') }), 403, 'M_FORBIDDEN');
  await bob.call('POST', at`/rooms/${room}/forget`, { body: {} });
  shut(await bob.call('POST', at`/rooms/${room}/join`, { body: {} }));
  await alice.post(at`/rooms/${room}/unban`, { user_id: bob.id, reason: 'quiet now' });
  assert.deepEqual(await membership(alice, room, bob), ['leave', 'quiet now']);
  await bob.join(room);
});

test('a reason that fits into no event is refused as such, whoever gives it about whom', async () => {
  const [alice, bob, room] = await pair(base);
  const reason = 'x'.repeat(70_000);
  await bob.post(at`/rooms/${room}/leave`, {});
  for (const action of ['kick', 'ban', 'unban', 'invite']) {
    const answer = await alice.call('POST', at`/rooms/${room}/${action}`, { body: { user_id: bob.id, reason } });
    refused(answer, 413, 'M_TOO_LARGE');
  }
  refused(await bob.call('POST', at`/rooms/${room}/join`, { body: { reason } }), 413, 'M_TOO_LARGE');
});

test('nobody is invited by mail address, since there is no identity server; no network is bridged', async () => {
  const [alice, , room] = await pair(base);
  const invite = { id_server: 'id.example', id_access_token: 'x', medium: 'email', address: 'guest@mail.example' };
  refused(await alice.call('POST', at`/rooms/${room}/invite`, { body: invite }), 403, 'M_FORBIDDEN');
  for (const [kind, parameter] of [['location', 'alias'], ['user', 'userid']] as const) {
    refused(await alice.call('GET', `/thirdparty/${kind}`), 400, 'M_MISSING_PARAM');
    assert.deepEqual(okay(await alice.call('GET', `/thirdparty/${kind}`, { query: { [parameter]: 'x' } })), []);
    refused(await alice.call('GET', `/thirdparty/${kind}/irc`), 404, 'M_NOT_FOUND');
  }
});

/** Refused, with an errcode that may say more than M_FORBIDDEN, as M_BAD_STATE about the banned does. */
function shut(answer: Answer): void {
  assert.ok([400, 403].includes(answer.status) && answer.json?.errcode?.startsWith('M_'), brief(answer));
}

async function membership(user: User, room: string, target: User): Promise<[string, string]> {
  const member = await user.state(room, 'm.room.member', target.id);
  return [member.membership, member.reason];
}

/** What someone with power 0 must not do in a room of others; each was possible in the proof of concept. */
const HOLES: Record<string, (bob: User, alice: User, zoe: User, room: string) => [string, string, Json]> = {
  'set the name': (_bob, _alice, _zoe, room) => ['PUT', at`/rooms/${room}/state/m.room.name/`, { name: 'mine' }],
  'take the power levels': (bob, alice, _zoe, room) =>
    ['PUT', at`/rooms/${room}/state/m.room.power_levels/`, { users: { [bob.id]: 100, [alice.id]: 0 } }],
  'kick the owner': (_bob, alice, _zoe, room) => ['POST', at`/rooms/${room}/kick`, { user_id: alice.id }],
  'ban the owner': (_bob, alice, _zoe, room) => ['POST', at`/rooms/${room}/ban`, { user_id: alice.id }],
  'force someone in': (_bob, _alice, zoe, room) => ['PUT', at`/rooms/${room}/state/m.room.member/${zoe.id}`, { membership: 'join' }],
  'replace the create event': (bob, _alice, _zoe, room) =>
    ['PUT', at`/rooms/${room}/state/m.room.create/`, { creator: bob.id, room_version: '6' }],
  'set state under the id of another': (_bob, alice, _zoe, room) => ['PUT', at`/rooms/${room}/state/org.example.x/${alice.id}`, { n: 1 }],
  'open the join rules': (_bob, _alice, _zoe, room) => ['PUT', at`/rooms/${room}/state/m.room.join_rules/`, { join_rule: 'public' }],
  'show the history to all': (_bob, _alice, _zoe, room) =>
    ['PUT', at`/rooms/${room}/state/m.room.history_visibility/`, { history_visibility: 'world_readable' }],
};

for (const [deed, request] of Object.entries(HOLES)) {
  test(`power 0 does not suffice to ${deed}`, async () => {
    const [alice, bob, zoe] = await people(base, 3);
    const events = { 'org.example.x': 0 };
    const room = await alice.createRoom({ power_level_content_override: { events } });
    await bob.join(room);
    const state = () => alice.get(at`/rooms/${room}/state`).then((all: Json[]) => all.map(({ event_id }) => event_id).sort());
    const before = await state();
    const [method, path, body] = request(bob, alice, zoe, room);
    shut(await bob.call(method, path, { body }));
    assert.deepEqual(await state(), before, 'nothing changed');
  });
}

test('not even the creator replaces the create event or joins for someone else', async () => {
  const [alice, bob] = await people(base, 2);
  const room = await alice.createRoom();
  for (const [type, key, content] of [
    ['m.room.create', '', { room_version: '12' }], ['m.room.member', bob.id, { membership: 'join' }],
  ] as const) shut(await alice.call('PUT', at`/rooms/${room}/state/${type}/${key}`, { body: content }));
});

test('events_default binds those below it, and a level given by state counts at once', async () => {
  const [alice, bob, room] = await pair(base);
  const levels = await alice.state(room, 'm.room.power_levels');
  const send = () => bob.call('PUT', at`/rooms/${room}/send/m.room.message/${unique()}`, { body: text('x') });
  okay(await send());
  await alice.setState(room, 'm.room.power_levels', { ...levels, events_default: 50 });
  refused(await send(), 403, 'M_FORBIDDEN');
  await alice.setState(room, 'm.room.power_levels', { ...levels, events_default: 50, users: { ...levels.users, [bob.id]: 50 } });
  okay(await send());
  const more = { ...levels, users: { ...levels.users, [bob.id]: 100 } };
  refused(await bob.call('PUT', at`/rooms/${room}/state/m.room.power_levels/`, { body: more }), 403, 'M_FORBIDDEN');
});

test('someone who was kicked or never joined reads nothing that came later', async () => {
  const [alice, bob, room] = await pair(base);
  await alice.post(at`/rooms/${room}/kick`, { user_id: bob.id });
  const secret = await alice.send(room, 'after the kick');
  refused(await bob.call('GET', at`/rooms/${room}/event/${secret}`), 404, 'M_NOT_FOUND');
  const answer = await bob.call('GET', at`/rooms/${room}/messages`, { query: { dir: 'b', limit: 50 } });
  assert.ok(!answer.text.includes('after the kick'));
  const body = { room_subscriptions: { [room]: { timeline_limit: 20, required_state: [['*', '*']] } }, lists: {} };
  for (const user of [bob, await register(base)]) {
    const sync = await user.call('POST', '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync', { body });
    assert.ok(!okay(sync).rooms?.[room]?.timeline?.some((event: Json) => event.event_id === secret), sync.text);
    assert.ok(!sync.text.includes('after the kick'));
  }
});

test('a canonical alias has to lead to the room', async () => {
  const [alice, bob, room] = await pair(base);
  const alias = (name: string) => `#${name}:${alice.server}`;
  const [own, other] = [alias(unique('own')), alias(unique('other'))];
  const elsewhere = await bob.createRoom();
  await alice.put(at`/directory/room/${own}`, { room_id: room });
  await bob.put(at`/directory/room/${other}`, { room_id: elsewhere });
  const set = (content: Json) => alice.call('PUT', at`/rooms/${room}/state/m.room.canonical_alias`, { body: content });
  for (const [content, errcode] of [
    [{ alias: other }, 'M_BAD_ALIAS'],
    [{ alias: alias(unique('none')) }, 'M_BAD_ALIAS'],
    [{ alias: own, alt_aliases: [other] }, 'M_BAD_ALIAS'],
    [{ alias: 'own' }, 'M_INVALID_PARAM'],
    [{ alt_aliases: [room] }, 'M_INVALID_PARAM'],
    [{ alt_aliases: own }, 'M_INVALID_PARAM'],
    [{ alias: 7 }, 'M_INVALID_PARAM'],
  ] as const) {
    refused(await set(content), 400, errcode);
  }
  okay(await set({ alias: own, alt_aliases: [own] }));
  okay(await set({ alias: own }));
  assert.equal((await bob.state(room, 'm.room.canonical_alias')).alias, own);
  okay(await set({}));
});

test('an alias that exists is not given again, to its own room as little as to another', async () => {
  const [alice, bob, room] = await pair(base);
  const elsewhere = await bob.createRoom();
  const path = at`/directory/room/${`#${unique('alias')}:${alice.server}`}`;
  await alice.put(path, { room_id: room });
  for (const [user, room_id] of [[alice, room], [bob, room], [bob, elsewhere]] as const) {
    refused(await user.call('PUT', path, { body: { room_id } }), 409, 'M_UNKNOWN');
  }
  assert.equal((await alice.get(path)).room_id, room);
});
