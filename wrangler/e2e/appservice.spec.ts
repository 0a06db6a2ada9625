// Application services: what they may do with their tokens, and what they and everybody else may not.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { text as textOf } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { ask, at, eventually, login, okay, refused, register, text, unique, type Ask, type Json, type User } from './support/client.ts';
import { CrossSigning } from './support/keys.ts';
import { own, uncontrolled } from './support/server.ts';

const skip = uncontrolled;
const tokens = { as: unique('as-token-of-the-bridge-'), hs: unique('hs-token-of-the-bridge-'), other: unique('as-token-of-another-') };

/** The service itself, as far as it is asked for a ping; transactions are another spec's. */
const asked: Json[] = [];
let status = 200;
/** What it knows of third-party networks, by path. */
const networks: Record<string, Json> = {
  '/protocol/irc': { user_fields: ['nick'], location_fields: ['channel'], icon: 'mxc://x/y', field_types: {}, instances: [{ desc: 'Libera', network_id: 'libera', fields: {} }] },
  '/location/irc?channel=%23tern': [{ alias: '#_bridge_tern:x', protocol: 'irc', fields: { channel: '#tern' } }],
  '/user?userid=%40_bridge_x%3Ax': [{ userid: '@_bridge_x:x', protocol: 'irc', fields: {} }],
};
/** What it makes when it is asked for an alias. */
const makes = new Map<string, () => Promise<unknown>>();
const service = createServer(async (request, response) => {
  const [path, token] = [request.url!, request.headers.authorization];
  const answer = (code: number, body: unknown = {}) => response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  const body = await textOf(request);
  if (path.endsWith('/ping')) {
    asked.push({ path, token, body: JSON.parse(body) });
    return answer(status);
  }
  if (path.startsWith('/_matrix/app/v1/transactions/')) return answer(200);
  if (token !== `Bearer ${tokens.hs}`) return answer(403, { errcode: 'M_FORBIDDEN' });
  const network = networks[path.replace('/_matrix/app/v1/thirdparty', '')];
  const make = makes.get(decodeURIComponent(path.replace('/_matrix/app/v1/rooms/', '')));
  if (make) await make();
  return network || make ? answer(200, network) : answer(404, { errcode: 'M_NOT_FOUND' });
});
let url = '';
if (!skip) {
  service.listen(0, '127.0.0.1');
  await once(service, 'listening');
  const address = service.address();
  url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
  after(() => {
    service.closeAllConnections();
    service.close();
  });
}

const namespaces = (name: string) => ({
  users: [{ exclusive: true, regex: `@_${name}_.*:` }, { exclusive: false, regex: `@${name}guest.*:` }],
  aliases: [{ exclusive: true, regex: `#_${name}_.*:` }], rooms: [],
});
const server = skip ? undefined! : await own({
  vars: {
    OUTBOUND_PRIVATE: 'true',
    APPSERVICES: [
      { id: 'bridge', url, as_token: tokens.as, hs_token: tokens.hs, sender_localpart: 'bridgebot', rate_limited: false, namespaces: namespaces('bridge'), protocols: ['irc'] },
      { id: 'other', url: null, as_token: tokens.other, hs_token: unique('hs-token-of-another-'), sender_localpart: 'otherbot', namespaces: namespaces('other') },
    ],
  },
});
const base = server?.base;
const as = (method: string, path: string, user_id?: string, options: Ask = {}) =>
  ask(base, method, path, { token: tokens.as, ...options, query: { user_id, ...options.query } });
const type = 'm.login.application_service';
const make = (username: string | undefined, token: string | null = tokens.as, fields: Json = {}) =>
  ask(base, 'POST', '/register', { token, body: { type, username, ...fields } });
const enter = (user: string, token: string | null = tokens.as) =>
  ask(base, 'POST', '/login', { token, body: { type, identifier: { type: 'm.id.user', user } } });

/** A user of the bridge, without a session. */
async function ghost(): Promise<{ name: string; id: string }> {
  const name = unique('_bridge_');
  const made = okay(await make(name, tokens.as, { inhibit_login: true }));
  assert.deepEqual(Object.keys(made), ['user_id']);
  return { name, id: made.user_id };
}

test('a service is its own user, and those of its namespaces that it has registered', { skip }, async () => {
  const own = okay(await as('GET', '/account/whoami'));
  assert.match(own.user_id, /^@bridgebot:/);
  assert.equal(own.device_id, undefined);
  const { id } = await ghost();
  assert.equal(okay(await as('GET', '/account/whoami', id)).user_id, id);
  refused(await as('GET', '/account/whoami', id.replace('_bridge_', '_bridge_nobody')), 403, 'M_FORBIDDEN');
  okay(await as('PUT', at`/profile/${id}/displayname`, id, { body: { displayname: 'Ghost' } }));
  const room = okay(await as('POST', '/createRoom', own.user_id, { body: { preset: 'public_chat' } })).room_id;
  okay(await as('POST', at`/rooms/${room}/join`, id));
  const path = at`/rooms/${room}/send/m.room.message/${unique('t')}`;
  const sent = okay(await as('PUT', path, id, { body: text('boo') })).event_id;
  assert.equal(okay(await as('PUT', path, id, { body: text('boo') })).event_id, sent, 'a transaction is one');
  const event = okay(await as('GET', at`/rooms/${room}/event/${sent}`));
  assert.deepEqual([event.sender, event.content.body], [id, 'boo']);
  assert.deepEqual(okay(await as('GET', '/joined_rooms', id)).joined_rooms, [room]);
});

test('a service acts as nobody else', { skip }, async () => {
  const alice = await register(base);
  const stranger = `@_other_x:${alice.server}`;
  okay(await make('_other_x', tokens.other, { inhibit_login: true }));
  for (const user_id of [alice.id, stranger, `@otherbot:${alice.server}`, '@_bridge_x:elsewhere.example', `@x_bridge_x:${alice.server}`]) {
    refused(await as('GET', '/account/whoami', user_id), 403, 'M_FORBIDDEN');
    refused(await as('GET', '/sync', user_id, { query: { device_id: alice.device } }), 403, 'M_FORBIDDEN');
    refused(await enter(user_id), 400, 'M_EXCLUSIVE');
  }
  refused(await as('GET', '/account/whoami', 'alice'), 400, 'M_INVALID_PARAM');
  for (const token of ['', tokens.as.slice(0, -1), tokens.as + 'x', tokens.hs]) {
    assert.equal((await ask(base, 'GET', '/account/whoami', { token, query: { user_id: alice.id } })).status, 401, token);
    assert.equal((await make(unique('_bridge_'), token)).status, 401, token);
  }
  refused(await ask(base, 'GET', '/account/whoami', { query: { access_token: tokens.as } }), 401, 'M_MISSING_TOKEN');
  refused(await ask(base, 'GET', '/_tern/admin/v1/users', { token: tokens.as }), 401, 'M_UNKNOWN_TOKEN');
  // A user's token acts as its user, whoever the query names.
  assert.equal(okay(await alice.call('GET', '/account/whoami', { query: { user_id: stranger } })).user_id, alice.id);
});

test('names that belong to a service alone are nobody else\'s', { skip }, async () => {
  for (const username of [unique('_bridge_'), 'bridgebot', unique('_BRIDGE_')]) {
    refused(await ask(base, 'POST', '/register', { body: { username, password: unique('Pw-') } }), 400, 'M_EXCLUSIVE');
    refused(await ask(base, 'GET', '/register/available', { query: { username } }), 400, 'M_EXCLUSIVE');
    refused(await make(username, tokens.other), 400, 'M_EXCLUSIVE');
  }
  refused(await make(unique('anybody')), 400, 'M_EXCLUSIVE');
  refused(await make(undefined), 400, 'M_MISSING_PARAM');
  const { name } = await ghost();
  refused(await make(name), 400, 'M_USER_IN_USE');
  const shared = await register(base, { username: unique('bridgeguest') });
  assert.equal(okay(await as('GET', '/account/whoami', shared.id)).user_id, shared.id, 'what is not exclusive is both\'s');
});

test('aliases that belong to a service alone are made and removed by it alone', { skip }, async () => {
  const alice = await register(base);
  const room = await alice.createRoom();
  const name = unique('_bridge_');
  const alias = `#${name}:${alice.server}`;
  const path = at`/directory/room/${alias}`;
  refused(await alice.call('PUT', path, { body: { room_id: room } }), 400, 'M_EXCLUSIVE');
  refused(await alice.call('POST', '/createRoom', { body: { room_alias_name: name } }), 400, 'M_EXCLUSIVE');
  refused(await ask(base, 'PUT', path, { token: tokens.other, body: { room_id: room } }), 400, 'M_EXCLUSIVE');
  refused(await alice.call('GET', path), 404, 'M_NOT_FOUND');
  const made = okay(await as('POST', '/createRoom', undefined, { body: { room_alias_name: name, preset: 'public_chat' } })).room_id;
  assert.equal((await alice.get(path)).room_id, made);
  refused(await alice.call('DELETE', path), 400, 'M_EXCLUSIVE');
  okay(await as('DELETE', path));
  refused(await alice.call('GET', path), 404, 'M_NOT_FOUND');
});

test('a service lists rooms for its networks, and nobody else does', { skip }, async () => {
  const alice = await register(base);
  const room = await alice.createRoom({ preset: 'public_chat', name: unique('Harbour ') });
  const path = at`/directory/list/appservice/${'irc'}/${room}`;
  const listed = async (body: Json) => (await alice.post('/publicRooms', { limit: 500, ...body })).chunk.map(({ room_id }: Json) => room_id).includes(room);
  refused(await alice.call('PUT', path, { body: { visibility: 'public' } }), 403, 'M_FORBIDDEN');
  refused(await as('PUT', path, undefined, { body: { visibility: 'odd' } }), 400, 'M_INVALID_PARAM');
  refused(await as('PUT', path, undefined, { body: {} }), 400, 'M_MISSING_PARAM');
  refused(await as('PUT', at`/directory/list/appservice/irc/${'!nobody:' + alice.server}`, undefined, { body: { visibility: 'public' } }), 404, 'M_NOT_FOUND');
  await eventually('the room is known beyond its hub', async () => (await as('PUT', path, undefined, { body: { visibility: 'public' } })).status === 200);
  await eventually('and so is what it shows', () => listed({ include_all_networks: true }));
  okay(await ask(base, 'PUT', path.replace('irc', 'xmpp'), { token: tokens.other, body: { visibility: 'private' } }));
  assert.deepEqual(
    await Promise.all([{}, { third_party_instance_id: 'bridge|irc' }, { third_party_instance_id: 'other|irc' }, { third_party_instance_id: '' }, { include_all_networks: true }].map(listed)),
    [false, true, false, false, true],
  );
  refused(await alice.call('POST', '/publicRooms', { body: { third_party_instance_id: 'bridge|irc', include_all_networks: true } }), 400, 'M_INVALID_PARAM');
  okay(await as('PUT', path, undefined, { body: { visibility: 'private' } }));
  assert.ok(!await listed({ include_all_networks: true }));
});

test('a service signs its users in; no password does', { skip }, async () => {
  const { name, id } = await ghost();
  assert.ok(okay(await ask(base, 'GET', '/login')).flows.some((flow: Json) => flow.type === type));
  const session = okay(await enter(name));
  const mine = okay(await ask(base, 'GET', '/account/whoami', { token: session.access_token }));
  assert.deepEqual([mine.user_id, mine.device_id], [id, session.device_id]);
  refused(await enter(name, tokens.other), 400, 'M_EXCLUSIVE');
  refused(await enter(name, null), 401, 'M_MISSING_TOKEN');
  refused(await enter(name, session.access_token), 401, 'M_UNKNOWN_TOKEN');
  for (const password of ['', tokens.as, 'null']) refused(await login(base, id, password), 403, 'M_FORBIDDEN');
  // As that device it syncs, and as none; but keys have an owner.
  okay(await as('GET', '/sync', id, { query: { device_id: session.device_id } }));
  refused(await as('POST', '/keys/upload', id, { body: {} }), 400, 'M_MISSING_PARAM');
  refused(await as('GET', '/sync', id, { query: { device_id: 'NOBODYS' } }), 400, 'M_UNKNOWN_DEVICE');
  okay(await ask(base, 'POST', '/logout', { token: session.access_token }));
  refused(await as('GET', '/sync', id, { query: { device_id: session.device_id } }), 400, 'M_UNKNOWN_DEVICE');
});

test('a service syncs as no device, and a poll that waits is told the news', { skip }, async () => {
  const { id } = await ghost();
  const room = okay(await as('POST', '/createRoom', id, { body: { preset: 'public_chat' } })).room_id;
  const first = await eventually('the room is in sync', async () => {
    const answer = okay(await as('GET', '/sync', id));
    return answer.rooms?.join?.[room] && answer;
  });
  assert.equal(first.to_device, undefined);
  const alice = await register(base);
  const waiting = as('GET', '/sync', id, { query: { since: first.next_batch, timeout: 20_000 } });
  await alice.post(at`/join/${room}`, {});
  const { timeline } = okay(await waiting).rooms.join[room];
  assert.deepEqual(timeline.events.map(({ type, sender }: Json) => [type, sender]), [['m.room.member', alice.id]]);
  okay(await as('POST', '/_matrix/client/v4/sync', id, { body: { lists: { all: { range: [0, 9], timeline_limit: 1, required_state: { include: [] } } } } }));
});

test('a service makes devices of its users and removes them without a password', { skip }, async () => {
  const { id } = await ghost();
  const path = at`/devices/${'BRIDGE'}`;
  const put = (name: string) => as('PUT', path, id, { body: { display_name: name } });
  assert.equal((await put('bridge')).status, 201);
  assert.equal((await put('renamed')).status, 200);
  assert.equal(okay(await as('GET', path, id)).display_name, 'renamed');
  okay(await as('GET', '/sync', id, { query: { device_id: 'BRIDGE' } }));
  assert.equal((await as('PUT', at`/devices/${'x'.repeat(256)}`, id, { body: {} })).status, 400);
  assert.equal((await as('PUT', at`/devices/${'SECOND'}`, id, { body: {} })).status, 201);
  okay(await as('DELETE', path, id));
  okay(await as('POST', '/delete_devices', id, { body: { devices: ['SECOND', 'NOBODYS'] } }));
  assert.deepEqual(okay(await as('GET', '/devices', id)).devices, []);
  const alice = await register(base);
  refused(await alice.call('PUT', path, { body: { display_name: 'mine' } }), 404, 'M_NOT_FOUND');
  assert.equal((await alice.call('DELETE', at`/devices/${alice.device}`, { body: {} })).status, 401, 'others prove who they are');
});

test('a service needs no password to replace keys and to end its users', { skip }, async () => {
  const { id } = await ghost();
  for (const _ of ['first', 'others']) {
    okay(await as('POST', '/keys/device_signing/upload', id, { body: new CrossSigning({ id } as User).upload() }));
  }
  okay(await as('POST', '/account/deactivate', id, { body: {} }));
  refused(await as('GET', '/account/whoami', id), 403, 'M_FORBIDDEN');
  const alice = await register(base);
  assert.equal((await alice.call('POST', '/account/deactivate', { body: {} })).status, 401, 'others prove who they are');
});

test('third-party networks are those that services bridge to', { skip }, async () => {
  const alice = await register(base);
  const protocols = await alice.get('/thirdparty/protocols');
  assert.deepEqual(Object.keys(protocols), ['irc']);
  assert.deepEqual(protocols.irc.instances, [{ desc: 'Libera', network_id: 'libera', fields: {}, instance_id: 'bridge|libera' }]);
  assert.deepEqual(await alice.get('/thirdparty/protocol/irc'), protocols.irc);
  refused(await alice.call('GET', '/thirdparty/protocol/xmpp'), 404, 'M_NOT_FOUND');
  const found = okay(await alice.call('GET', '/thirdparty/location/irc', { query: { channel: '#tern' } }));
  assert.equal(found[0].alias, '#_bridge_tern:x');
  assert.deepEqual(okay(await alice.call('GET', '/thirdparty/location/irc', { query: { channel: '#other' } })), []);
  assert.equal(okay(await alice.call('GET', '/thirdparty/user', { query: { userid: '@_bridge_x:x' } })).length, 1);
  refused(await alice.call('GET', '/thirdparty/user/xmpp'), 404, 'M_NOT_FOUND');
});

test('a service makes the room of an alias when it is asked for', { skip }, async () => {
  const alice = await register(base);
  const name = unique('_bridge_');
  const alias = `#${name}:${alice.server}`;
  refused(await alice.call('GET', at`/directory/room/${alias}`), 404, 'M_NOT_FOUND');
  makes.set(alias, () => as('POST', '/createRoom', undefined, { body: { room_alias_name: name, preset: 'public_chat' } }));
  const joined = okay(await alice.call('POST', at`/join/${alias}`, { body: {} }));
  assert.equal((await alice.get(at`/directory/room/${alias}`)).room_id, joined.room_id);
});

test('a service says when something was said, and nobody else does', { skip }, async () => {
  const { id } = await ghost();
  const room = okay(await as('POST', '/createRoom', id, { body: { preset: 'public_chat' } })).room_id;
  const told = async (sent: Json) => okay(await as('GET', at`/rooms/${room}/event/${sent.event_id}`, id)).origin_server_ts;
  const send = (ts: unknown, name = unique('t')) =>
    as('PUT', at`/rooms/${room}/send/m.room.message/${name}`, id, { query: { ts: String(ts) }, body: text('long ago') });
  assert.equal(await told(okay(await send(1_234))), 1_234);
  const state = (ts: string) => as('PUT', at`/rooms/${room}/state/m.room.topic`, id, { query: { ts }, body: { topic: ts } });
  assert.equal(await told(okay(await state('5678'))), 5_678);
  for (const ts of ['-1', 'yesterday', '1.5', String(2 ** 53), '1e3']) refused(await send(ts), 400, 'M_INVALID_PARAM');
  const query = { ts: '99', 'org.matrix.msc4140.delay': 50 };
  okay(await as('PUT', at`/rooms/${room}/send/m.room.message/${unique('t')}`, id, { query, body: text('later') }));
  await eventually('the delayed one is there', async () => {
    const { chunk } = okay(await as('GET', at`/rooms/${room}/messages`, id, { query: { dir: 'b' } }));
    return chunk.some(({ content, origin_server_ts }: Json) => content.body === 'later' && origin_server_ts === 99);
  });
  const alice = await register(base);
  await alice.post(at`/join/${room}`, {});
  const own = await alice.call('PUT', at`/rooms/${room}/send/m.room.message/${unique('t')}`, { query: { ts: '1234' }, body: text('now') });
  assert.ok(Math.abs(await told(okay(own)) - Date.now()) < 60_000);
});

test('a service asks for a ping, itself and with its secret', { skip }, async () => {
  const ping = (id: string, token: string, body: Json = {}) =>
    ask(base, 'POST', at`/_matrix/client/v1/appservice/${id}/ping`, { token, body });
  const alice = await register(base);
  assert.equal(typeof okay(await ping('bridge', tokens.as, { transaction_id: 'here' })).duration_ms, 'number');
  assert.deepEqual(asked, [{ path: '/_matrix/app/v1/ping', token: `Bearer ${tokens.hs}`, body: { transaction_id: 'here' } }]);
  refused(await ping('other', tokens.as), 403, 'M_FORBIDDEN');
  refused(await ping('bridge', tokens.other), 403, 'M_FORBIDDEN');
  refused(await ping('bridge', alice.token), 403, 'M_FORBIDDEN');
  refused(await ping('other', tokens.other), 400, 'M_URL_NOT_SET');
  status = 403;
  const told = refused(await ping('bridge', tokens.as), 502, 'M_BAD_STATUS');
  assert.equal(told.status, 403);
  assert.equal(asked.length, 2);
  service.closeAllConnections();
  await new Promise((resolve) => service.close(resolve));
  refused(await ping('bridge', tokens.as), 502, 'M_CONNECTION_FAILED');
});
