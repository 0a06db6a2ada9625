// Authorisation rules that another server left out, each shown by a refusal and by what is allowed beside it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, okay, pair, people, refused, register, unique, type Json, type User } from './support/client.ts';
import { shared } from './support/server.ts';

const base = await shared();

const put = (user: User, room: string, type: string, content: Json, key = '') =>
  user.call('PUT', at`/rooms/${room}/state/${type}/${key}`, { body: content });

const redact = (user: User, room: string, event: string) =>
  user.call('PUT', at`/rooms/${room}/redact/${event}/${unique()}`, { body: {} });

test('only the sender and those with the power redact', async () => {
  const [alice, bob, room] = await pair(base);
  const carol = await register(base);
  await carol.join(room);
  const event = await bob.send(room, 'mine');
  refused(await redact(carol, room, event), 403, 'M_FORBIDDEN');
  assert.equal((await alice.get(at`/rooms/${room}/event/${event}`)).content.body, 'mine');
  okay(await redact(bob, room, event));
  okay(await redact(alice, room, await bob.send(room, 'moderated')));
});

test('an entry of the power levels above the own level can be neither removed nor changed', async () => {
  const [alice, bob, room] = await pair(base, { room_version: '11' });
  const levels = await alice.state(room, 'm.room.power_levels');
  const events = { ...levels.events, 'm.room.power_levels': 50, 'org.example.guarded': 75 };
  const now = { ...levels, events, ban: 75, users: { ...levels.users, [bob.id]: 50 } };
  await alice.setState(room, 'm.room.power_levels', now);
  const { 'org.example.guarded': _, ...without } = events;
  const { ban: __, ...unbanned } = now;
  const { [alice.id]: ___, ...usersWithout } = now.users;
  for (const content of [
    { ...now, events: without }, { ...now, events: { ...events, 'org.example.guarded': 10 } },
    unbanned, { ...now, ban: 50 }, { ...now, users: usersWithout }, { ...now, users_default: 75 },
  ]) {
    refused(await put(bob, room, 'm.room.power_levels', content), 403, 'M_FORBIDDEN');
  }
  okay(await put(bob, room, 'm.room.power_levels', { ...now, events: { ...events, 'org.example.free': 50 } }));
});

test('levels written as text count up to version 9 and are refused after it', async () => {
  for (const [room_version, good] of [['9', true], ['10', false], ['12', false]] as const) {
    const [alice, bob, room] = await pair(base, { room_version });
    const levels = await alice.state(room, 'm.room.power_levels');
    const answer = await put(alice, room, 'm.room.power_levels', { ...levels, users: { ...levels.users, [bob.id]: '50' } });
    assert.equal(answer.status, good ? 200 : 400, `version ${room_version}: ${JSON.stringify(answer.json)}`);
    assert.equal((await put(bob, room, 'm.room.topic', { topic: 'x' })).status, good ? 200 : 403, `version ${room_version}`);
  }
});

test('what is wrong in the content of state is the mistake of whoever sends it, not a lack of power', async () => {
  const [alice, bob, room] = await pair(base);
  const levels = await alice.state(room, 'm.room.power_levels');
  for (const user of [alice, bob]) {
    refused(await put(user, room, 'm.room.create', { room_version: '12' }), 400, 'M_BAD_STATE');
    for (const wrong of [{ ban: 'x' }, { users: { nobody: 50 } }, { events: { 'm.room.name': '1' } }, { users: { ...levels.users, [alice.id]: 100 } }]) {
      refused(await put(user, room, 'm.room.power_levels', { ...levels, ...wrong }), 400, 'M_BAD_JSON');
    }
  }
  refused(await put(alice, room, 'm.room.member', { membership: 'gone' }, bob.id), 400, 'M_BAD_JSON');
  refused(await put(alice, room, 'm.room.member', { membership: 'ban' }, 'bob'), 400, 'M_BAD_JSON');
});

test('the word of who let a member in is the server\'s: in a member\'s own update it is dropped', async () => {
  const [alice, bob, room] = await pair(base);
  for (const name of [alice.id, '@somebody:elsewhere.example', 7]) {
    const displayname = unique('name');
    okay(await put(bob, room, 'm.room.member', { membership: 'join', displayname, join_authorised_via_users_server: name }, bob.id));
    assert.deepEqual(await alice.state(room, 'm.room.member', bob.id), { membership: 'join', displayname });
  }
});

test('a redaction that is sent as an event redacts in every version, with the power for it, or is refused', async () => {
  for (const room_version of ['6', '10', '11', '12']) {
    const [alice, bob, room] = await pair(base, { room_version });
    const send = (user: User, content: Json) => user.call('PUT', at`/rooms/${room}/send/m.room.redaction/${unique()}`, { body: content });
    const event = await alice.send(room, 'of Alice');
    refused(await send(bob, { redacts: event }), 403, 'M_FORBIDDEN');
    assert.equal((await alice.get(at`/rooms/${room}/event/${event}`)).content.body, 'of Alice');
    refused(await send(bob, { reason: 'nothing named' }), 400, 'M_BAD_JSON');
    const own = await bob.send(room, 'of Bob');
    const sent = okay(await send(bob, { redacts: own, reason: 'mine' })).event_id;
    okay(await send(alice, { redacts: event }));
    for (const id of [own, event]) assert.deepEqual((await bob.get(at`/rooms/${room}/event/${id}`)).content, {}, `version ${room_version}`);
    const redaction = await bob.get(at`/rooms/${room}/event/${sent}`);
    assert.equal(redaction.content.reason, 'mine');
    assert.equal(redaction.redacts ?? redaction.content.redacts, own);
  }
});

test('levels written as text are numbers in the room of an upgrade', async () => {
  for (const room_version of ['6', '9']) {
    const [alice, bob, room] = await pair(base, { room_version });
    const levels = await alice.state(room, 'm.room.power_levels');
    await alice.setState(room, 'm.room.power_levels', {
      ...levels, ban: '60', users: { [alice.id]: '100', [bob.id]: ' 50 ' }, events: { 'm.room.name': '70' }, notifications: { room: '20' },
    });
    for (const new_version of ['10', '12']) {
      const old = new_version === '10' ? room : await alice.createRoom({ room_version, power_level_content_override: { users: { [alice.id]: '100', [bob.id]: '50' }, ban: '60', notifications: { room: '20' } } });
      const next = (await alice.post(at`/rooms/${old}/upgrade`, { new_version })).replacement_room;
      const now = await alice.state(next, 'm.room.power_levels');
      assert.equal(now.ban, 60, `${room_version} to ${new_version}`);
      assert.equal(now.notifications.room, 20);
      assert.deepEqual(now.users, new_version === '10' ? { [alice.id]: 100, [bob.id]: 50 } : { [bob.id]: 50 });
    }
  }
});

test('a bad condition of a join rule is passed over, and shuts nobody out', async () => {
  const [alice, bob, carol] = await people(base, 3);
  const club = await alice.createRoom();
  await bob.join(club);
  const condition = { type: 'm.room_membership', room_id: club };
  const room = await alice.createRoom({ preset: 'private_chat', initial_state: [{ type: 'm.room.join_rules', content: {
    join_rule: 'restricted', allow: [5, null, { type: 'm.room_membership', room_id: 7 }, { type: 'm.room_membership', room_id: 'club' }, condition],
  } }] });
  refused(await carol.call('POST', at`/rooms/${room}/join`, { body: {} }), 403, 'M_FORBIDDEN');
  await bob.join(room);
});

test('a restricted room lets in who is in an allowed room, and nobody else', async () => {
  const [alice, bob, carol] = await people(base, 3);
  const club = await alice.createRoom();
  await bob.join(club);
  const room = await alice.createRoom({ preset: 'private_chat', initial_state: [{
    type: 'm.room.join_rules',
    content: { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: club }] },
  }] });
  refused(await carol.call('POST', at`/rooms/${room}/join`, { body: {} }), 403, 'M_FORBIDDEN');
  await bob.join(room);
  await alice.post(at`/rooms/${room}/kick`, { user_id: bob.id });
  await alice.post(at`/rooms/${club}/kick`, { user_id: bob.id });
  refused(await bob.call('POST', at`/rooms/${room}/join`, { body: {} }), 403, 'M_FORBIDDEN');
});

test('creators of a version 12 room are above all levels, and of a version 11 room are not', async () => {
  for (const room_version of ['11', '12']) {
    const [alice, bob, room] = await pair(base, { room_version });
    const levels = await alice.state(room, 'm.room.power_levels');
    const users = room_version === '12' ? { [bob.id]: 100 } : { [alice.id]: 100, [bob.id]: 100 };
    await alice.setState(room, 'm.room.power_levels', { ...levels, users });
    const kick = await bob.call('POST', at`/rooms/${room}/kick`, { body: { user_id: alice.id } });
    refused(kick, 403, 'M_FORBIDDEN');
    const listed = await put(alice, room, 'm.room.power_levels', { ...levels, users: { ...users, [alice.id]: 100 } });
    assert.equal(listed.status, room_version === '12' ? 400 : 200, `version ${room_version}: ${JSON.stringify(listed.json)}`);
    okay(await put(alice, room, 'm.room.name', { name: 'still mine' }));
  }
});

test('a third-party invite is good only with the token and the key that the room knows', async () => {
  const [alice, , room] = await pair(base, { preset: 'private_chat', initial_state: [
    { type: 'm.room.join_rules', content: { join_rule: 'public' } },
  ] });
  const guest = await register(base);
  const invite = (token: string) => put(alice, room, 'm.room.member', {
    membership: 'invite', third_party_invite: { display_name: 'guest', signed: {
      mxid: guest.id, token, signatures: { 'id.example': { 'ed25519:0': 'A'.repeat(86) } },
    } },
  }, guest.id);
  refused(await invite('no-such-token'), 403, 'M_FORBIDDEN');
  // A real key that signed nothing, and the key of all zeros, for which a signature of all zeros is often right.
  for (const public_key of ['A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg', 'A'.repeat(43)]) {
    for (let n = 0; n < 8; n += 1) {
      const token = unique();
      await alice.setState(room, 'm.room.third_party_invite', {
        display_name: 'guest', key_validity_url: 'https://id.example/valid', public_key, public_keys: [{ public_key }],
      }, token);
      refused(await invite(token), 403, 'M_FORBIDDEN');
    }
  }
});
