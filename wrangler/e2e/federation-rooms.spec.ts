// Users of another server take part in rooms of this one: they join, talk, leave, knock and invite.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bodies, eventually, people, register, unique, type Json, type User } from './support/client.ts';
import { idOf, seal, Visitor, type Sealed } from './support/federation-events.ts';
import { isSigned, Peer, type Reply } from './support/federation-peer.ts';
import { own, uncontrolled } from './support/server.ts';
import { Classic, Sliding } from './support/sync.ts';

const skip = uncontrolled;
const server = skip ? undefined! : await own({ vars: { OUTBOUND_PRIVATE: 'true' } });
const base = server?.base;
const peer = skip ? undefined! : await new Peer().start();

const V1 = '/_matrix/federation/v1';
const V2 = '/_matrix/federation/v2';

const fails = (reply: Reply, status: number, errcode: string) =>
  assert.deepEqual([reply.status, reply.json?.errcode], [status, errcode], reply.text);
const succeeds = (reply: Reply): Json => {
  assert.equal(reply.status, 200, reply.text);
  return reply.json;
};

const visit = (user: User, room: string, by = peer) => new Visitor(by, base, user.server, room);
const membership = async (user: User, room: string, of: string): Promise<string | undefined> =>
  (await user.call('GET', `/rooms/${encodeURIComponent(room)}/state/m.room.member/${encodeURIComponent(of)}`)).json?.membership;

/** What a user hears of a room by each kind of sync. */
async function listen(user: User, room: string): Promise<() => Promise<[string[], string[]]>> {
  const [classic, sliding] = [new Classic(user), new Sliding(user)];
  const heard: [string[], string[]] = [[], []];
  const next = async (): Promise<[string[], string[]]> => {
    const [old, slid] = [(await classic.poll(0)).json, (await sliding.poll(0)).json];
    heard[0].push(...bodies(old.rooms?.join?.[room]?.timeline?.events ?? []));
    heard[1].push(...bodies(slid.rooms?.[room]?.timeline ?? []));
    return heard;
  };
  await next();
  return next;
}

/** Hears exactly these, in whatever way the user asks. */
async function hears(next: () => Promise<[string[], string[]]>, expected: string[]): Promise<void> {
  const heard = await eventually(`hears ${expected}`, async () => {
    const all = await next();
    return all.every((texts) => texts.length >= expected.length) && all;
  });
  for (const texts of heard) assert.deepEqual(texts, expected);
}

for (const version of ['11', '12']) {
  test(`a user of another server joins a room of version ${version} and talks`, { skip }, async () => {
    const alice = await register(base);
    const room = await alice.createRoom({ room_version: version, name: 'Nest' });
    const next = await listen(alice, room);
    const eve = visit(alice, room);
    const answer = await eve.join();
    assert.equal(await membership(alice, room, eve.user), 'join');
    assert.deepEqual([answer.origin, answer.members_omitted, answer.servers_in_room], [alice.server, false, [alice.server]]);
    const known = new Set([...answer.state, ...answer.auth_chain].map(idOf));
    const cited = [...answer.state, ...answer.auth_chain, answer.event].flatMap((event: Json) => event.auth_events);
    assert.ok(cited.every((id: string) => known.has(id)), 'the auth chain is closed');

    const said = [eve.message('one'), eve.message('two')];
    assert.deepEqual(await eve.sent(said, 'same'), [{}, {}]);
    await hears(next, ['one', 'two']);
    // Once more, by the same and by another id: the same answer, and nothing happens.
    assert.deepEqual(await eve.sent(said, 'same'), [{}, {}]);
    assert.deepEqual(await eve.sent(said), [{}, {}]);
    const third = eve.message('three');
    assert.deepEqual(await eve.sent([third]), [{}]);
    await hears(next, ['one', 'two', 'three']);
    // What is not known yet waits for it.
    const [early, late] = [eve.message('four'), eve.message('five')];
    assert.deepEqual(await eve.sent([late]), [{}]);
    assert.deepEqual(await eve.sent([early]), [{}]);
    await hears(next, ['one', 'two', 'three', 'four', 'five']);
  });
}

test('the same join again gets the same answer, also without members', { skip }, async () => {
  const [alice, bob, carol] = await people(base, 3);
  const room = await alice.createRoom({ room_version: '11', name: 'Nest' });
  for (const user of [bob, carol]) await user.join(room);
  const eve = visit(alice, room);
  const join = await eve.completed('join');
  const first = succeeds(await eve.hand('join', join));
  assert.deepEqual(succeeds(await eve.hand('join', join)), first);
  assert.deepEqual(succeeds(await eve.hand('join', join, 1)), [200, first]);
  const members = (answer: Json) => answer.state.filter((event: Json) => event.type === 'm.room.member').length;
  assert.equal(members(first), 3);
  const omitted = succeeds(await eve.hand('join', join, 2, '?omit_members=true'));
  assert.equal(omitted.members_omitted, true);
  const known = new Set([...omitted.state, ...omitted.auth_chain].map(idOf));
  assert.equal(known.size, omitted.state.length + omitted.auth_chain.length, 'nothing comes twice');
  assert.ok(omitted.event.auth_events.every((id: string) => known.has(id)));
});

test('only the event that is meant joins, and only who may', { skip }, async () => {
  const alice = await register(base);
  const room = await alice.createRoom({ room_version: '11' });
  const eve = visit(alice, room);
  fails(await eve.make('join', ['10']), 400, 'M_INCOMPATIBLE_ROOM_VERSION');
  assert.equal((await eve.make('join', ['10'])).json.room_version, '11');
  fails(await eve.make('join', []), 400, 'M_INCOMPATIBLE_ROOM_VERSION');
  fails(await eve.make('join', undefined, alice.id), 403, 'M_FORBIDDEN');
  fails(await visit(alice, `!nowhere:${alice.server}`).make('join'), 404, 'M_NOT_FOUND');
  const join = await eve.completed('join');
  const bent = (fields: Json): Sealed => seal(peer, { ...join.event, ...fields });
  const wrong: [Sealed, number, string][] = [
    [{ ...join, id: '$other' }, 400, 'M_INVALID_PARAM'],
    [bent({ type: 'm.room.message' }), 400, 'M_INVALID_PARAM'],
    [bent({ content: { membership: 'leave' } }), 400, 'M_INVALID_PARAM'],
    [bent({ room_id: `!other:${alice.server}` }), 400, 'M_INVALID_PARAM'],
    [bent({ state_key: `@other:${peer.name}` }), 400, 'M_INVALID_PARAM'],
    [bent({ sender: '@eve:other.example', state_key: '@eve:other.example' }), 403, 'M_FORBIDDEN'],
    [{ ...join, event: { ...join.event, signatures: { [peer.name]: { [peer.keyId]: 'AAAA' } } } }, 403, 'M_FORBIDDEN'],
    [{ ...join, event: { ...join.event, content: { membership: 'join', displayname: 'Mallory' } } }, 400, 'M_INVALID_PARAM'],
    [{ ...join, event: {} }, 400, 'M_BAD_JSON'],
  ];
  for (const version of [1, 2]) {
    for (const [sealed, status, errcode] of wrong) fails(await eve.hand('join', sealed, version), status, errcode);
    fails(await eve.hand('leave', join, version), 400, 'M_INVALID_PARAM');
  }
  fails(await eve.hand('knock', join), 400, 'M_INVALID_PARAM');
  await alice.post(`/rooms/${encodeURIComponent(room)}/ban`, { user_id: eve.user });
  fails(await eve.make('join'), 403, 'M_FORBIDDEN');
  fails(await eve.hand('join', join), 403, 'M_FORBIDDEN');
  assert.equal(await membership(alice, room, eve.user), 'ban');
});

test('what is forged is refused, and the rest of the transaction goes on', { skip }, async () => {
  const alice = await register(base);
  const room = await alice.createRoom({ room_version: '11' });
  const next = await listen(alice, room);
  const eve = visit(alice, room);
  await eve.join();
  const good = eve.message('good');
  const like = (fields: Json): Sealed => seal(peer, { ...good.event, ...fields });
  const unsigned = like({ content: { msgtype: 'm.text', body: 'bad signature' } });
  unsigned.event.signatures[peer.name][peer.keyId] = 'AAAA';
  const forged: [string, Sealed][] = [
    ['a bad signature', unsigned],
    ['a user of another server', like({ sender: '@mallory:other.example' })],
    ['a user of this server', like({ sender: alice.id })],
    ['a user who is not in the room', like({ sender: `@mallory:${peer.name}` })],
    ['power that nobody gave', like({ type: 'm.room.power_levels', state_key: '', content: { users: { [eve.user]: 100 } } })],
    ['a room that is not there', like({ room_id: `!nowhere:${alice.server}` })],
  ];
  const sent = await eve.sent([...forged.map(([, sealed]) => sealed), good]);
  for (const [index, [what]] of forged.entries()) assert.equal(typeof sent[index]?.error, 'string', `${what}: ${JSON.stringify(sent[index])}`);
  assert.deepEqual(sent.at(-1), {});
  // What is no event at all is no fault of the transaction either.
  const odd = await eve.send([{}, { room_id: room }, { room_id: 5 }, { ...good.event, depth: 1.5 }, good.event], { edus: [{ edu_type: 'org.example' }] });
  assert.deepEqual(succeeds(odd).pdus[good.id], {});
  await hears(next, ['good']);
  // A server that is kept out, and one whose user is banned.
  await alice.setState(room, 'm.room.server_acl', { allow: ['*'], deny: ['127.0.0.1'], allow_ip_literals: true });
  const [kept] = await eve.sent([eve.message('kept out')]);
  assert.equal(kept.errcode, 'M_FORBIDDEN', JSON.stringify(kept));
  fails(await eve.make('join'), 403, 'M_FORBIDDEN');
  await alice.setState(room, 'm.room.server_acl', { allow: ['*'], deny: [], allow_ip_literals: true });
  await alice.post(`/rooms/${encodeURIComponent(room)}/ban`, { user_id: eve.user });
  const ban = (await alice.get(`/rooms/${encodeURIComponent(room)}/state`)).find((event: Json) => event.state_key === eve.user);
  const afterBan = eve.event({ content: { msgtype: 'm.text', body: 'banned' }, prev_events: [ban.event_id], depth: 100 });
  assert.equal(typeof (await eve.sent([afterBan]))[0].error, 'string');
  await alice.send(room, 'last');
  await hears(next, ['good', 'last']);
});

test('a transaction has its bounds', { skip }, async () => {
  const alice = await register(base);
  const eve = visit(alice, await alice.createRoom({ room_version: '11' }));
  const many = (length: number) => Array.from({ length }, () => ({}));
  succeeds(await eve.send([]));
  succeeds(await eve.send(many(50), { edus: many(100) }));
  fails(await eve.send(many(51)), 400, 'M_BAD_JSON');
  fails(await eve.send([], { edus: many(101) }), 400, 'M_BAD_JSON');
  fails(await eve.request('PUT', `${V1}/send/x`, { edus: [] }), 400, 'M_BAD_JSON');
  // Longer than what clients may send, and too long.
  succeeds(await eve.send([{ pad: 'x'.repeat(6 << 20) }]));
  fails(await eve.send([{ pad: 'x'.repeat(14 << 20) }]), 413, 'M_TOO_LARGE');
  for (const target of ['/send/1', '/send_join/!a:b/$c', '/invite/!a:b/$c']) {
    fails(await peer.send(base, alice.server, 'PUT', V1 + target, { body: '{}', header: () => undefined }), 401, 'M_UNAUTHORIZED');
    fails(await eve.request('DELETE', V1 + target), 405, 'M_UNRECOGNIZED');
  }
  for (const target of [`${V1}/send`, `${V2}/send/1`, `${V2}/make_join/!a:b/@c:d`, `${V2}/send_knock/!a:b/$c`]) {
    fails(await eve.request('PUT', target, {}), 404, 'M_UNRECOGNIZED');
  }
});

test('an invite is rejected, a knock is made and retracted', { skip }, async () => {
  const alice = await register(base);
  const room = await alice.createRoom({ preset: 'private_chat', room_version: '11' });
  const eve = visit(alice, room);
  fails(await eve.make('join'), 403, 'M_FORBIDDEN');
  fails(await eve.make('leave'), 403, 'M_FORBIDDEN');
  fails(await eve.make('knock'), 403, 'M_FORBIDDEN');
  await alice.setState(room, 'm.room.join_rules', { join_rule: 'knock' });
  const knocked = succeeds(await eve.hand('knock', await eve.completed('knock')));
  assert.ok(knocked.knock_room_state.some((event: Json) => event.type === 'm.room.create' && event.signatures));
  assert.equal(await membership(alice, room, eve.user), 'knock');
  const retracted = await eve.completed('leave');
  assert.deepEqual(succeeds(await eve.hand('leave', retracted)), {});
  assert.deepEqual(succeeds(await eve.hand('leave', retracted, 1)), [200, {}]);
  assert.equal(await membership(alice, room, eve.user), 'leave');
  // Whoever is in leaves by an event like any other.
  await alice.setState(room, 'm.room.join_rules', { join_rule: 'public' });
  await eve.join();
  assert.deepEqual(await eve.sent([eve.event({ type: 'm.room.member', state_key: eve.user, content: { membership: 'leave' } })]), [{}]);
  assert.equal(await membership(alice, room, eve.user), 'leave');
});

test('members of a room may join a restricted one', { skip }, async () => {
  const alice = await register(base);
  const outer = await alice.createRoom({ room_version: '11' });
  const allow = [{ type: 'm.room_membership', room_id: outer }];
  const content = { join_rule: 'restricted', allow };
  const inner = await alice.createRoom({ room_version: '11', preset: 'private_chat', initial_state: [{ type: 'm.room.join_rules', content }] });
  const eve = visit(alice, inner);
  fails(await eve.make('join'), 403, 'M_FORBIDDEN');
  const outside = new Visitor(peer, base, alice.server, outer, eve.user.slice(1, eve.user.indexOf(':')));
  await outside.join();
  const made = succeeds(await eve.make('join'));
  assert.equal(made.event.content.join_authorised_via_users_server, alice.id);
  const { event } = await eve.join();
  assert.deepEqual(Object.keys(event.signatures).sort(), [alice.server, peer.name].sort());
});

test('a user of another server invites one of this, who sees it and rejects it', { skip }, async () => {
  const alice = await register(base);
  const [classic, sliding] = [new Classic(alice), new Sliding(alice)];
  await classic.poll(0);
  await sliding.poll(0);
  const room = `!${unique('room')}:${peer.name}`;
  const mallory = visit(alice, room);
  const invite = (fields: Json = {}): Sealed => seal(peer, {
    type: 'm.room.member', state_key: alice.id, sender: mallory.user, room_id: room, content: { membership: 'invite' },
    origin_server_ts: Date.now(), depth: 5, prev_events: ['$before'], auth_events: ['$create'], ...fields,
  });
  const shown = [{ type: 'm.room.name', state_key: '', sender: mallory.user, content: { name: 'Far away' } }];
  const put = ({ id, event }: Sealed, more: Json = {}) => mallory.request('PUT',
    `${V2}/invite/${encodeURIComponent(room)}/${encodeURIComponent(id)}`,
    { room_version: '11', event, invite_room_state: shown, ...more });
  const good = invite();
  fails(await put(good, { room_version: '99' }), 400, 'M_UNSUPPORTED_ROOM_VERSION');
  fails(await put({ ...good, id: '$other' }), 400, 'M_INVALID_PARAM');
  fails(await put(invite({ state_key: '@a:other.example' })), 400, 'M_INVALID_PARAM');
  fails(await put(invite({ state_key: `@${unique('nobody')}:${alice.server}` })), 404, 'M_NOT_FOUND');
  fails(await put(invite({ content: { membership: 'join' } })), 400, 'M_INVALID_PARAM');
  fails(await put(invite({ sender: '@a:other.example' })), 403, 'M_FORBIDDEN');
  fails(await put({ ...good, event: { ...good.event, signatures: { [peer.name]: { [peer.keyId]: 'AAAA' } } } }), 400, 'M_INVALID_PARAM');

  const { event } = succeeds(await put(good));
  const keys = (await (await fetch(`${base}/_matrix/key/v2/server`)).json()) as Json;
  const [[keyId, { key }]] = Object.entries<Json>(keys.verify_keys) as [[string, Json]];
  const redacted = { ...event, content: { membership: 'invite' } };
  assert.ok(isSigned(redacted, alice.server, keyId, key) && isSigned(redacted, peer.name, peer.keyId, peer.publicKey));
  succeeds(await put(good));
  await eventually('the invite is shown', async () => (await classic.poll(0)).json.rooms?.invite?.[room]?.invite_state.events
    .some((one: Json) => one.content.name === 'Far away'));
  await eventually('the invite is shown', async () => (await sliding.poll(0)).json.rooms?.[room]?.invite_state?.length === 2);

  await alice.leave(room);
  await eventually('the invite is gone', async () => (await classic.poll(0)).json.rooms?.leave?.[room]);
  assert.equal((await alice.call('POST', `/rooms/${encodeURIComponent(room)}/leave`)).status, 403);
  assert.equal((await new Classic(alice).poll(0)).json.rooms?.invite?.[room], undefined);
});
