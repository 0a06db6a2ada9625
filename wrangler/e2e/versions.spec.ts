// What later versions of the specification have added and no other spec shows; `VERSIONS.md` says which test shows what.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, at, eventually, okay, pair, people, refused, unique, type Json } from './support/client.ts';
import { shared } from './support/server.ts';
import { Classic, Sliding, follow, knows, timeline } from './support/sync.ts';

const base = await shared();
const V1 = '/_matrix/client/v1';

test('/versions names every version that VERSIONS.md shows, and capabilities what can be negotiated', async () => {
  const { versions } = okay(await ask(base, 'GET', '/_matrix/client/versions'));
  assert.deepEqual(versions, Array.from({ length: 19 }, (_, index) => `v1.${index + 1}`));
  const [alice] = await people(base, 1);
  const { capabilities } = await alice!.get('/capabilities');
  for (const name of ['m.set_displayname', 'm.set_avatar_url', 'm.profile_fields', 'm.get_login_token', 'm.change_password']) {
    assert.equal(capabilities[name].enabled, true, name);
  }
  assert.equal(capabilities['m.forget_forced_upon_leave'].enabled, false);
  assert.equal(typeof capabilities['m.3pid_changes'].enabled, 'boolean');
  assert.equal(capabilities['m.account_moderation'], undefined, 'of administrators alone');
});

test('rooms, events and users are reported, with a reason or without', async () => {
  const [alice, bob, room] = await pair(base);
  const event = await alice.send(room, 'spam');
  const [of, about, whom] = [at`/rooms/${room}/report`, at`/rooms/${room}/report/${event}`, at`/users/${alice.id}/report`];
  for (const path of [of, about, whom]) {
    for (const body of [{ reason: '' }, { reason: 'spam' }]) assert.deepEqual(await bob.post(path, body), {}, path);
  }
  for (const body of [{}, { score: -100 }]) assert.deepEqual(await bob.post(about, body), {}, 'without a reason, whatever the score');
  for (const path of [of, whom]) refused(await bob.call('POST', path, { body: {} }), 400, 'M_MISSING_PARAM');
  refused(await ask(base, 'POST', at`/rooms/${room}/report`, { body: {} }), 401, 'M_MISSING_TOKEN');
});

test('joins and knocks take via', async () => {
  const [alice, bob] = await people(base, 2);
  const open = await alice!.createRoom();
  const closed = await alice!.createRoom({ initial_state: [{ type: 'm.room.join_rules', content: { join_rule: 'knock' } }] });
  const query = { via: 'elsewhere.example' };
  okay(await bob!.call('POST', at`/join/${open}`, { query, body: {} }));
  okay(await bob!.call('POST', at`/knock/${closed}`, { query, body: {} }));
});

test('a room is marked as unread, and each sync tells', async () => {
  const [alice] = await people(base, 1);
  const room = await alice!.createRoom();
  const loops = [new Classic(alice!), new Sliding(alice!)];
  for (const loop of loops) await loop.poll(0);
  await alice!.put(at`/user/${alice!.id}/rooms/${room}/account_data/m.marked_unread`, { unread: true });
  for (const loop of loops) {
    await follow(loop, 'the mark', (json) => {
      const data = json.rooms?.join?.[room]?.account_data?.events ?? json.extensions?.account_data?.rooms?.[room] ?? [];
      return data.some((event: Json) => event.type === 'm.marked_unread' && event.content.unread === true);
    });
  }
});

test('the summary of a room and the rooms of a space say version, encryption and who may come in', async () => {
  const [alice, bob] = await people(base, 2);
  const space = await alice!.createRoom({ creation_content: { type: 'm.space' } });
  const restricted = { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: space }] };
  const room = await alice!.createRoom({ room_version: '11', name: 'Ledge', initial_state: [
    { type: 'm.room.encryption', content: { algorithm: 'm.megolm.v1.aes-sha2' } },
    { type: 'm.room.join_rules', content: restricted },
    { type: 'm.space.parent', state_key: space, content: { via: [alice!.server] } },
  ] });
  await alice!.setState(space, 'm.space.child', { via: [alice!.server] }, room);
  await bob!.join(space);
  const expected = { room_version: '11', encryption: 'm.megolm.v1.aes-sha2', allowed_room_ids: [space] };
  const part = ({ room_version, encryption, allowed_room_ids }: Json) => ({ room_version, encryption, allowed_room_ids });
  const summary = await bob!.get(`${V1}${at`/room_summary/${room}`}`);
  assert.deepEqual(part(summary), expected);
  assert.deepEqual([summary.name, summary.join_rule, summary.num_joined_members], ['Ledge', 'restricted', 1]);
  await eventually('the room among those of the space', async () => {
    const { rooms } = await bob!.get(`${V1}${at`/rooms/${space}/hierarchy`}`);
    const found = rooms.find((one: Json) => one.room_id === room);
    return found && JSON.stringify(part(found)) === JSON.stringify(expected);
  });
});

test('profiles have fields of any name, a time zone among them', async () => {
  const [alice, bob] = await people(base, 2);
  const field = (name: string) => at`/profile/${alice!.id}/${name}`;
  await alice!.put(field('m.tz'), { 'm.tz': 'Europe/London' });
  await alice!.put(field('org.example.bird'), { 'org.example.bird': { kind: 'tern' } });
  const profile = await bob!.get(at`/profile/${alice!.id}`);
  assert.deepEqual([profile['m.tz'], profile['org.example.bird']], ['Europe/London', { kind: 'tern' }]);
  assert.deepEqual(await bob!.get(field('m.tz')), { 'm.tz': 'Europe/London' });
  await alice!.delete(field('m.tz'));
  refused(await bob!.call('GET', field('m.tz')), 404, 'M_NOT_FOUND');
  refused(await bob!.call('DELETE', field('org.example.bird')), 403, 'M_FORBIDDEN');
});

test('a state event is given as its content or as a whole, and says what it replaces', async () => {
  const [alice, bob, room] = await pair(base);
  const first = await alice.setState(room, 'm.room.topic', { topic: 'one' });
  const second = await alice.setState(room, 'm.room.topic', { topic: 'two', 'm.topic': { 'm.text': [{ body: 'two' }] } });
  const path = at`/rooms/${room}/state/m.room.topic/`;
  assert.equal((await bob.get(path)).topic, 'two');
  assert.equal((await bob.get(path, { format: 'content' })).topic, 'two');
  const event = await bob.get(path, { format: 'event' });
  assert.deepEqual([event.event_id, event.sender, event.content.topic], [second, alice.id, 'two']);
  assert.deepEqual(event.content['m.topic'], { 'm.text': [{ body: 'two' }] }, 'rich topics come as they are');
  await knows(bob, [room]);
  const told = await follow(new Classic(bob), 'the topic', (json) => timeline(json, room).some(({ event_id }) => event_id === second));
  const seen = timeline(told.at(-1)!, room).find(({ event_id }) => event_id === second)!;
  assert.equal(seen.unsigned.replaces_state, first);
});

test('stripped state has the create event, of invites and of knocks', async () => {
  const [alice, bob] = await people(base, 2);
  const invited = await alice!.createRoom({ invite: [bob!.id] });
  const closed = await alice!.createRoom({ initial_state: [{ type: 'm.room.join_rules', content: { join_rule: 'knock' } }] });
  await bob!.post(at`/knock/${closed}`);
  const create = (events: Json[]) => events.some((event) => event.type === 'm.room.create' && event.sender === alice!.id);
  const loop = new Classic(bob!);
  const seen = new Set<string>();
  await follow(loop, 'both rooms', ({ rooms }) => {
    if (create(rooms?.invite?.[invited]?.invite_state?.events ?? [])) seen.add(invited);
    if (create(rooms?.knock?.[closed]?.knock_state?.events ?? [])) seen.add(closed);
    return seen.size === 2;
  });
});

test('rooms in common are listed, and nothing of other rooms', async () => {
  const [alice, bob, room] = await pair(base);
  const other = await alice.createRoom();
  await knows(bob, [room]);
  const mutual = async () => okay(await bob.call('GET', `${V1}/mutual_rooms`, { query: { user_id: alice.id } }));
  assert.deepEqual((await mutual()).joined, [room]);
  await bob.join(other);
  await eventually('both rooms', async () => (await mutual()).joined.length === 2);
  await bob.leave(room);
  await eventually('the other room', async () => JSON.stringify((await mutual()).joined) === JSON.stringify([other]));
});

test('the directory lists rooms by what they show, whatever their join rule', async () => {
  const [alice] = await people(base, 1);
  const name = unique('Listed ');
  const initial_state = [{ type: 'm.room.join_rules', content: { join_rule: 'knock' } }];
  const room = await alice!.createRoom({ visibility: 'public', name, initial_state });
  await eventually('the listed room', async () => {
    const { chunk } = await alice!.post('/publicRooms', { filter: { generic_search_term: name } });
    return chunk.some((one: Json) => one.room_id === room && one.join_rule === 'knock');
  });
});

test('the tokens of a context lead on from both of its ends', async () => {
  const [alice, bob, room] = await pair(base);
  const sent: string[] = [];
  for (let index = 0; index < 5; index += 1) sent.push(await alice.send(room, `${index}`));
  const context = await bob.get(at`/rooms/${room}/context/${sent[2]!}`, { limit: 2 });
  assert.deepEqual([...context.events_before, ...context.events_after].map(({ event_id }: Json) => event_id), [sent[1], sent[3]]);
  const page = async (dir: string, from: string) =>
    (await bob.get(at`/rooms/${room}/messages`, { dir, from, limit: 1 })).chunk.map(({ event_id }: Json) => event_id);
  assert.deepEqual(await page('b', context.start), [sent[0]]);
  assert.deepEqual(await page('f', context.end), [sent[4]]);
});

test('account data of later versions is kept as it is: recent emoji, image packs, key backup', async () => {
  const [alice] = await people(base, 1);
  const kept: [string, Json][] = [
    ['m.recent_emoji', { recent_emoji: [{ emoji: '🐦', total: 3 }] }],
    ['m.image_pack.rooms', { rooms: {} }],
    ['m.key_backup', { enabled: true }],
  ];
  for (const [type, content] of kept) {
    await alice!.put(at`/user/${alice!.id}/account_data/${type}`, content);
    assert.deepEqual(await alice!.get(at`/user/${alice!.id}/account_data/${type}`), content);
  }
});
