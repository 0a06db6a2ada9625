// What a room must withstand: each test is a hole that another server had.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, at, bodies, eventually, history, pair, people, refused, register, unique, type Json, type User } from './support/client.ts';
import { FULL, sized } from './support/full.ts';
import { shared } from './support/server.ts';

const base = await shared();

const put = (user: User, room: string, type: string, content: Json, key = '') =>
  user.call('PUT', at`/rooms/${room}/state/${type}/${key}`, { body: content });

const say = (user: User, room: string, body: string) =>
  user.call('PUT', at`/rooms/${room}/send/m.room.message/${unique()}`, { body: { msgtype: 'm.text', body } });

async function timeline(user: User, room: string): Promise<string> {
  const answer = await user.call('GET', at`/rooms/${room}/messages`, { query: { dir: 'b', limit: 100 } });
  return JSON.stringify(answer.json);
}

/** What a sliding sync says of a room the user subscribes to, member or not. */
async function subscribed(user: User, room: string): Promise<Json | undefined> {
  const answer = await ask(base, 'POST', '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync', {
    token: user.token,
    body: { conn_id: unique(), room_subscriptions: { [room]: { timeline_limit: 50, required_state: [['*', '*']] } } },
  });
  assert.equal(answer.status, 200);
  return answer.json.rooms?.[room];
}

test('an ordinary member can neither set state nor raise themselves nor put the owner out', async () => {
  const [alice, bob, room] = await pair(base, { room_version: '11' });
  const levels = await alice.state(room, 'm.room.power_levels');
  refused(await put(bob, room, 'm.room.name', { name: 'mine' }), 403, 'M_FORBIDDEN');
  const coup = { ...levels, users: { [bob.id]: 100, [alice.id]: 0 } };
  refused(await put(bob, room, 'm.room.power_levels', coup), 403, 'M_FORBIDDEN');
  refused(await bob.call('POST', at`/rooms/${room}/kick`, { body: { user_id: alice.id } }), 403, 'M_FORBIDDEN');
  await alice.setState(room, 'm.room.power_levels', { ...levels, events_default: 50 });
  refused(await say(bob, room, 'hush'), 403, 'M_FORBIDDEN');
  assert.deepEqual((await alice.state(room, 'm.room.power_levels')).users, levels.users);
});

test('a member cannot grant more than they have, nor take from their equals', async () => {
  const [alice, bob, room] = await pair(base, { room_version: '11' });
  const carol = await register(base);
  await carol.join(room);
  const levels = await alice.state(room, 'm.room.power_levels');
  const users = { ...levels.users, [bob.id]: 50, [carol.id]: 50 };
  await alice.setState(room, 'm.room.power_levels', { ...levels, users, events: { ...levels.events, 'm.room.power_levels': 50 } });
  const now = await alice.state(room, 'm.room.power_levels');
  for (const change of [{ [bob.id]: 100 }, { [carol.id]: 0 }, { [alice.id]: 0 }]) {
    refused(await put(bob, room, 'm.room.power_levels', { ...now, users: { ...users, ...change } }), 403, 'M_FORBIDDEN');
  }
  refused(await put(bob, room, 'm.room.power_levels', { ...now, ban: 0, kick: 100 }), 403, 'M_FORBIDDEN');
});

test('nobody joins by the hand of another, and nobody is let in by a member event of their own making', async () => {
  const [alice, bob, room] = await pair(base, { preset: 'public_chat' });
  const zoe = await register(base);
  refused(await put(bob, room, 'm.room.member', { membership: 'join' }, zoe.id), 403, 'M_FORBIDDEN');
  const closed = await alice.createRoom({ preset: 'private_chat' });
  refused(await put(zoe, closed, 'm.room.member', { membership: 'join' }, zoe.id), 403, 'M_FORBIDDEN');
  const named = { membership: 'join', join_authorised_via_users_server: alice.id };
  refused(await put(zoe, closed, 'm.room.member', named, zoe.id), 403, 'M_FORBIDDEN');
  refused(await zoe.call('GET', at`/rooms/${closed}/state`), 403, 'M_FORBIDDEN');
});

test('the create event stays, whoever asks', async () => {
  const [alice, bob, room] = await pair(base);
  const create = await alice.state(room, 'm.room.create');
  for (const user of [alice, bob]) {
    refused(await put(user, room, 'm.room.create', { creator: user.id, room_version: '1' }), 400, 'M_BAD_STATE');
  }
  assert.deepEqual(await alice.state(room, 'm.room.create'), create);
});

test('a state key that is a user id belongs to that user', async () => {
  const [alice, bob, room] = await pair(base, { power_level_content_override: { state_default: 0 } });
  refused(await put(bob, room, 'org.example.mine', {}, alice.id), 403, 'M_FORBIDDEN');
  await bob.setState(room, 'org.example.mine', {}, bob.id);
});

test('a ban lasts: no way back in, and forgetting does not lift it', async () => {
  const [alice, bob, room] = await pair(base, { preset: 'public_chat' });
  await alice.post(at`/rooms/${room}/ban`, { user_id: bob.id });
  refused(await bob.call('POST', at`/rooms/${room}/join`, { body: {} }), 403, 'M_FORBIDDEN');
  refused(await bob.call('POST', at`/knock/${room}`, { body: {} }), 403, 'M_FORBIDDEN');
  refused(await put(bob, room, 'm.room.member', { membership: 'join' }, bob.id), 403, 'M_FORBIDDEN');
  await bob.post(at`/rooms/${room}/forget`);
  refused(await bob.call('POST', at`/rooms/${room}/join`, { body: {} }), 403, 'M_FORBIDDEN');
  refused(await say(bob, room, 'still here'), 403, 'M_FORBIDDEN');
  assert.equal((await alice.state(room, 'm.room.member', bob.id)).membership, 'ban');
});

test('who was kicked reads up to there and no further, by every way', async () => {
  const [alice, bob, room] = await pair(base, { preset: 'private_chat', initial_state: [
    { type: 'm.room.join_rules', content: { join_rule: 'public' } },
  ] });
  const root = await alice.send(room, 'before');
  await alice.post(at`/rooms/${room}/kick`, { user_id: bob.id });
  const secret = await alice.send(room, 'secret after');
  await alice.setState(room, 'm.room.topic', { topic: 'secret topic' });
  await alice.put(at`/rooms/${room}/send/m.room.message/${unique()}`, {
    msgtype: 'm.text', body: 'secret reply', 'm.relates_to': { rel_type: 'm.thread', event_id: root },
  });
  assert.match(await timeline(bob, room), /before/);
  const ways: Array<[string, Json?]> = [
    [at`/rooms/${room}/messages`, { dir: 'b', limit: 100 }], [at`/rooms/${room}/state`], [at`/rooms/${room}/members`],
    [at`/rooms/${room}/context/${root}`, { limit: 50 }], [at`/rooms/${room}/event/${root}`],
    [`/_matrix/client/v1/rooms/${encodeURIComponent(room)}/relations/${encodeURIComponent(root)}`],
    [`/_matrix/client/v1/rooms/${encodeURIComponent(room)}/threads`],
    [at`/sync`, { timeout: 0, filter: JSON.stringify({ room: { include_leave: true, timeline: { limit: 50 } } }) }],
  ];
  for (const [path, query] of ways) {
    const answer = await bob.call('GET', path, { query });
    assert.ok(!JSON.stringify(answer.json).includes('secret'), `${path} tells what came after: ${JSON.stringify(answer.json)}`);
  }
  refused(await bob.call('GET', at`/rooms/${room}/event/${secret}`), 404, 'M_NOT_FOUND');
  const found = await bob.post('/search', { search_categories: { room_events: { search_term: 'secret', filter: { rooms: [room] } } } });
  assert.equal(found.search_categories.room_events.count, 0);
  refused(await bob.call('GET', at`/rooms/${room}/joined_members`), 403, 'M_FORBIDDEN');
  assert.ok(!JSON.stringify((await subscribed(bob, room)) ?? {}).includes('secret'));
});

test('who knocks sees the door and not the room', async () => {
  const alice = await register(base);
  const knocker = await register(base);
  const room = await alice.createRoom({ preset: 'private_chat', name: 'Den', initial_state: [
    { type: 'm.room.join_rules', content: { join_rule: 'knock' } },
  ] });
  const secret = await alice.send(room, 'secret word');
  await knocker.post(at`/knock/${room}`, { reason: 'let me in' });
  for (const path of [at`/rooms/${room}/messages?dir=b`, at`/rooms/${room}/state`, at`/rooms/${room}/members`]) {
    refused(await knocker.call('GET', path), 403, 'M_FORBIDDEN');
  }
  refused(await knocker.call('GET', at`/rooms/${room}/event/${secret}`), 404, 'M_NOT_FOUND');
  assert.ok(!JSON.stringify((await subscribed(knocker, room)) ?? {}).includes('secret'));
  refused(await say(knocker, room, 'me first'), 403, 'M_FORBIDDEN');
});

test('history before the join stays closed where the room says so', async () => {
  for (const visibility of ['joined', 'invited']) {
    const alice = await register(base);
    const bob = await register(base);
    const room = await alice.createRoom({ preset: 'public_chat', initial_state: [
      { type: 'm.room.history_visibility', content: { history_visibility: visibility } },
    ] });
    const early = await alice.send(room, 'secret before');
    await bob.join(room);
    await alice.send(room, 'welcome');
    const seen = await timeline(bob, room);
    assert.ok(!seen.includes('secret before') && seen.includes('welcome'), visibility);
    refused(await bob.call('GET', at`/rooms/${room}/event/${early}`), 404, 'M_NOT_FOUND');
    refused(await bob.call('GET', at`/rooms/${room}/context/${early}`), 404, 'M_NOT_FOUND');
    assert.ok(!JSON.stringify((await subscribed(bob, room)) ?? {}).includes('secret before'));
  }
});

test('strangers learn nothing of a private room from summaries and spaces', async () => {
  const [alice, stranger] = await people(base, 2);
  const room = await alice.createRoom({ preset: 'private_chat', name: 'secret name' });
  const space = await alice.createRoom({ preset: 'public_chat', name: 'Square', creation_content: { type: 'm.space' } });
  await alice.setState(space, 'm.space.child', { via: [alice.server] }, room);
  const path = (tail: string) => `/_matrix/client/v1/${tail}`;
  const summary = path(`room_summary/${encodeURIComponent(room)}`);
  refused(await stranger.call('GET', summary), 404, 'M_NOT_FOUND');
  refused(await ask(base, 'GET', summary), 404, 'M_NOT_FOUND');
  refused(await stranger.call('GET', path(`rooms/${encodeURIComponent(room)}/hierarchy`)), 403, 'M_FORBIDDEN');
  const hierarchy = path(`rooms/${encodeURIComponent(space)}/hierarchy`);
  const own = await eventually('the owner sees both rooms', async () => {
    const answer = await alice.call('GET', hierarchy);
    return answer.json.rooms?.length === 2 && answer.json;
  });
  assert.equal(own.rooms[1].name, 'secret name');
  const strange = await stranger.get(hierarchy);
  assert.deepEqual(strange.rooms.map((shown: Json) => shown.room_id), [space]);
  assert.ok(!JSON.stringify(strange).includes('secret name'));
  assert.equal((await alice.get(summary)).membership, 'join');
});

test('the newest events come first, whole and once', async () => {
  const [alice, bob, room] = await pair(base);
  const sent = Array.from({ length: 130 }, (_, number) => `message ${number}`);
  for (let start = 0; start < sent.length; start += 10) {
    await Promise.all(sent.slice(start, start + 10).map((body, index) => (index % 2 ? alice : bob).send(room, body)));
  }
  const sync = await bob.get('/sync', { timeout: 0, filter: JSON.stringify({ room: { timeline: { limit: 20 } } }) });
  const { timeline } = sync.rooms.join[room];
  const newest = bodies((await bob.get(at`/rooms/${room}/messages`, { dir: 'b', limit: 20 })).chunk).reverse();
  assert.equal(timeline.limited, true);
  assert.deepEqual(bodies(timeline.events), newest);
  const before = bodies((await bob.get(at`/rooms/${room}/messages`, { dir: 'b', limit: 200, from: timeline.prev_batch })).chunk);
  assert.equal(new Set([...before, ...newest]).size, sent.length, 'between the sync and the pages nothing is missing');
});

test('every position is given once: paging by any size meets every event once, while others write', async () => {
  const [events, writers] = [sized(200, 50_000), 10];
  const people10 = await people(base, writers);
  const room = await people10[0]!.createRoom();
  await Promise.all(people10.slice(1).map((user) => user.join(room)));
  const each = events / writers;
  const texts = new Set<string>();
  await Promise.all(people10.map(async (user, index) => {
    for (let number = 0; number < each; number += 1) {
      const body = `${index}-${number}`;
      texts.add(body);
      await user.send(room, body);
    }
  }));
  let writing = true;
  const later = people10.map(async (user, index) => {
    for (let number = 0; writing; number += 1) await user.send(room, `late ${index}-${number}`);
  });
  for (const [dir, limit] of [['b', 100], ['f', 100], ['b', 7]] as const) {
    if (FULL && limit === 7) continue;
    const seen: string[] = [];
    const ids = new Set<string>();
    let from: string | undefined;
    for (;;) {
      const page = await people10[0]!.get(at`/rooms/${room}/messages`, { dir, limit, from });
      for (const event of page.chunk) {
        assert.ok(!ids.has(event.event_id), `${event.event_id} twice`);
        ids.add(event.event_id);
      }
      seen.push(...bodies(page.chunk).filter((body) => texts.has(body)));
      from = page.end;
      if (!from || (dir === 'f' && seen.length === texts.size)) break;
    }
    assert.equal(seen.length, texts.size, `${dir} by ${limit}`);
  }
  writing = false;
  await Promise.all(later);
  const all = await history(people10[0]!, room, 'b', 250);
  assert.equal(new Set(all.map((event) => event.event_id)).size, all.length);
});
