// What other servers can ask: keys for everybody, the rest with a signature.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, eventually, okay, register, unique, type Json } from './support/client.ts';
import { isSigned, Peer, type Reply, type Signed } from './support/federation-peer.ts';
import { CURVE, publish } from './support/keys.ts';
import { own, uncontrolled } from './support/server.ts';

const skip = uncontrolled;
const server = skip ? undefined! : await own({ vars: { OUTBOUND_PRIVATE: 'true' } });
const base = server?.base;
const peer = skip ? undefined! : await new Peer().start();
const alice = skip ? undefined! : await register(base);
const us: string = skip ? '' : alice.server;

const V1 = '/_matrix/federation/v1';
const HOUR = 3_600_000;

const send = (method: string, target: string, signed: Signed = {}, by = peer) => by.send(base, us, method, target, signed);
const get = (target: string) => send('GET', V1 + target);
const post = (target: string, body: Json) => send('POST', V1 + target, { body: JSON.stringify(body) });
const fails = (reply: Reply, status: number, errcode: string) =>
  assert.deepEqual([reply.status, reply.json?.errcode], [status, errcode], reply.text);
const succeeds = (reply: Reply): Json => {
  assert.equal(reply.status, 200, reply.text);
  return reply.json;
};

test('the server says which key it has, signed with it, and what it is', { skip }, async () => {
  const keys = okay(await ask(base, 'GET', '/_matrix/key/v2/server'));
  const [[keyId, { key }]] = Object.entries<Json>(keys.verify_keys) as [[string, Json]];
  assert.equal(keys.server_name, us);
  assert.ok(isSigned(keys, us, keyId, key), 'it is signed');
  const left = keys.valid_until_ts - Date.now();
  assert.ok(left > 11.9 * HOUR && left <= 24 * HOUR, `good for ${left} ms`);
  assert.deepEqual(okay(await ask(base, 'GET', `/_matrix/key/v2/server/${encodeURIComponent(keyId)}`)), keys);
  assert.equal(okay(await ask(base, 'GET', `${V1}/version`)).server.name, 'Tern');
  assert.equal(okay(await ask(base, 'GET', '/.well-known/matrix/server'))['m.server'], new URL(base).host);
});

test('a signed request is answered, and the key is asked for once', { skip }, async () => {
  const target = `/query/profile?user_id=${encodeURIComponent(alice.id)}`;
  for (let i = 0; i < 5; i++) succeeds(await get(target));
  assert.equal(peer.fetches, 1);
  // However it is written.
  const written: ((header: string) => string)[] = [
    (header) => header.replace('X-Matrix', 'x-matrix'), (header) => header.replaceAll('"', ''),
    (header) => header.replaceAll(',', ' , '), (header) => `${header},unknown="x"`,
    (header) => header.replace(/,destination=.*/, ''), (header) => `Bearer abc, ${header}`,
  ];
  for (const header of written) succeeds(await send('GET', V1 + target, { header }));
  // Unescaped, and with what the platform escapes on the way.
  succeeds(await get(`/query/profile?user_id=${alice.id}&x='a'`));
});

test('whatever is wrong with a signature is 401', { skip }, async () => {
  const target = `${V1}/query/profile?user_id=${encodeURIComponent(alice.id)}`;
  const wrong: Signed[] = [
    { header: () => undefined }, { header: () => 'X-Matrix nonsense' }, { header: () => `Bearer ${alice.token}` },
    { destination: 'other.example' }, { signedFor: 'other.example' }, { signedMethod: 'PUT' }, { signedTarget: target + '&x=1' },
    { content: '{}' }, { header: (header) => header.replace(peer.keyId, peer.keyId + 'x') },
    { header: (header) => header.replace('sig="', 'sig="AA') }, { header: (header) => header.replace(peer.name, '127.0.0.1:9') },
  ];
  for (const signed of wrong) fails(await send('GET', target, signed), 401, 'M_UNAUTHORIZED');
  for (const path of ['/publicRooms', '/user/keys/query', '/user/keys/claim']) {
    fails(await send('POST', V1 + path, { body: '{}', header: () => undefined }), 401, 'M_UNAUTHORIZED');
    fails(await send('POST', V1 + path, { body: '{"a":1}', content: '{"a":2}' }), 401, 'M_UNAUTHORIZED');
  }
  fails(await send('POST', `${V1}/publicRooms`, { body: '{', content: '{}' }), 400, 'M_NOT_JSON');
});

test('a key has to be good now, and to have signed itself', { skip }, async () => {
  const target = `/query/profile?user_id=${encodeURIComponent(alice.id)}`;
  const late = await new Peer().start();
  late.validUntil = () => Date.now() - 1_000;
  fails(await send('GET', V1 + target, {}, late), 401, 'M_UNAUTHORIZED');
  const bent = await new Peer().start();
  bent.bend = (answer) => ({ ...answer, valid_until_ts: answer.valid_until_ts + 1 });
  fails(await send('GET', V1 + target, {}, bent), 401, 'M_UNAUTHORIZED');
  assert.deepEqual([late.fetches, bent.fetches], [1, 1]);
});

test('numbers are signed as they are written', { skip }, async () => {
  const body = '{ "limit": 1, "z": [1.50, 1e20, 1152921504606846976], "a": "\\u00e9" }';
  const content = '{"a":"é","limit":1,"z":[1.50,1e20,1152921504606846976]}';
  succeeds(await send('POST', `${V1}/publicRooms`, { body, content }));
});

test('profiles, aliases and the directory', { skip }, async () => {
  const profile = await get(`/query/profile?user_id=${encodeURIComponent(alice.id)}&field=displayname`);
  assert.deepEqual(Object.keys(succeeds(profile)).filter((key) => key !== 'displayname'), []);
  fails(await get('/query/profile'), 400, 'M_MISSING_PARAM');
  fails(await get(`/query/profile?user_id=${encodeURIComponent(`@nobody${unique('x')}:${us}`)}`), 404, 'M_NOT_FOUND');
  fails(await get('/query/profile?user_id=%40a%3Aother.example'), 400, 'M_INVALID_PARAM');
  fails(await get('/query/nonsense'), 404, 'M_NOT_FOUND');
  const name = unique('alias');
  const { room_id: room } = okay(await ask(base, 'POST', '/createRoom',
    { token: alice.token, body: { room_alias_name: name, visibility: 'public', preset: 'public_chat', name } }));
  const found = succeeds(await get(`/query/directory?room_alias=${encodeURIComponent(`#${name}:${us}`)}`));
  assert.deepEqual(found, { room_id: room, servers: [us] });
  fails(await get(`/query/directory?room_alias=${encodeURIComponent(`#not${name}:${us}`)}`), 404, 'M_NOT_FOUND');
  fails(await get('/query/directory?room_alias=%23a%3Aother.example'), 400, 'M_INVALID_PARAM');
  await eventually('the room is listed', async () => {
    const { chunk } = succeeds(await post('/publicRooms', { filter: { generic_search_term: name } }));
    return chunk.length === 1 && chunk[0].room_id === room;
  });
  assert.ok(succeeds(await get('/publicRooms?limit=1')).chunk.length <= 1);
  // Rooms are read by those who are in them.
  const [create] = okay(await ask(base, 'GET', `/rooms/${encodeURIComponent(room)}/state`, { token: alice.token }));
  const [r, e] = [encodeURIComponent(room), encodeURIComponent(create.event_id)];
  for (const path of [`/state/${r}?event_id=${e}`, `/state_ids/${r}?event_id=${e}`, `/event_auth/${r}/${e}`, `/backfill/${r}?v=${e}&limit=10`]) {
    fails(await get(path), 403, 'M_FORBIDDEN');
  }
  fails(await post(`/get_missing_events/${r}`, { latest_events: [create.event_id], earliest_events: [] }), 403, 'M_FORBIDDEN');
  fails(await get(`/state/${r}`), 400, 'M_MISSING_PARAM');
  fails(await get(`/backfill/${r}`), 400, 'M_MISSING_PARAM');
  fails(await get('/event/%24nonsense'), 404, 'M_NOT_FOUND');
});

test('a space is shown with the rooms in it that others could enter', { skip }, async () => {
  const create = (fields: Json): Promise<string> => alice.createRoom({ name: unique('room'), ...fields });
  const [open, closed] = [await create({}), await create({ preset: 'private_chat' })];
  const space = await create({ creation_content: { type: 'm.space' } });
  const hidden = await create({ creation_content: { type: 'm.space' }, preset: 'private_chat' });
  for (const child of [open, closed, `!unknown:${us}`]) await alice.setState(space, 'm.space.child', { via: [us], suggested: child === open }, child);
  const path = (room: string, query = '') => `/hierarchy/${encodeURIComponent(room)}${query}`;
  const found = await eventually('the space is shown', async () => {
    const { status, json } = await get(path(space));
    const known = status === 200 && json.children.length + json.inaccessible_children.length === 2;
    return known && json.room.children_state.length === 3 && json;
  });
  assert.equal(found.room.room_id, space);
  assert.deepEqual([found.children[0].room_id, found.inaccessible_children], [open, [closed]]);
  const suggested = succeeds(await get(path(space, '?suggested_only=true')));
  assert.deepEqual([suggested.room.children_state.length, suggested.children.length, suggested.inaccessible_children], [1, 1, []]);
  for (const room of [hidden, `!nowhere:${us}`]) fails(await get(path(room)), 404, 'M_NOT_FOUND');
  const time = `/timestamp_to_event/${encodeURIComponent(open)}`;
  fails(await get(`${time}?ts=1&dir=f`), 403, 'M_FORBIDDEN');
  fails(await get(`${time}?dir=f`), 400, 'M_MISSING_PARAM');
});

test('invites to addresses', { skip }, async () => {
  const room = `!r:${us}`;
  const event = { type: 'm.room.member', room_id: room, sender: alice.id, state_key: `@eve:${peer.name}`, content: { membership: 'invite' } };
  const target = `${V1}/exchange_third_party_invite/${encodeURIComponent(room)}`;
  fails(await send('PUT', target, { body: JSON.stringify(event) }), 403, 'M_FORBIDDEN');
  fails(await send('PUT', target, { body: '{}' }), 400, 'M_BAD_JSON');
  const asked: [string, Json][] = [];
  const before = peer.serve;
  peer.serve = (method, path, _, body) => {
    asked.push([`${method} ${path}`, JSON.parse(body)]);
    return { status: 200, body: {} };
  };
  const signed = { mxid: alice.id, token: 't', signatures: {} };
  const invite = { address: 'a@example.org', medium: 'email', mxid: alice.id, room_id: `!r:${peer.name}`, sender: `@eve:${peer.name}`, signed };
  const bound = (invites: Json[]) =>
    ask(base, 'PUT', `${V1}/3pid/onbind`, { body: { address: 'a@example.org', medium: 'email', mxid: alice.id, invites } });
  okay(await bound([]));
  okay(await bound([invite]));
  peer.serve = before;
  assert.deepEqual(asked.map(([what, body]) => [what, body.state_key, body.content.third_party_invite.signed]), [
    [`PUT ${V1}/exchange_third_party_invite/${encodeURIComponent(invite.room_id).replace('!', '%21')}`, alice.id, signed],
  ]);
});

test('devices and keys of users here, and of nobody else', { skip }, async () => {
  const key = await publish(alice);
  const foreign = '@a:other.example';
  const queried = succeeds(await post('/user/keys/query', { device_keys: { [alice.id]: [], [foreign]: [] } }));
  assert.deepEqual(Object.keys(queried.device_keys), [alice.id]);
  assert.deepEqual(Object.keys(queried.device_keys[alice.id]), [alice.device]);
  const listed = succeeds(await get(`/user/devices/${encodeURIComponent(alice.id)}`));
  assert.equal(listed.user_id, alice.id);
  assert.deepEqual(listed.devices.map((one: Json) => [one.device_id, one.keys.keys]), [[alice.device, key.identity().keys]]);
  fails(await get(`/user/devices/${encodeURIComponent(foreign)}`), 404, 'M_NOT_FOUND');
  await alice.post('/keys/upload', { one_time_keys: key.oneTime(['AAAA']) });
  const wanted = { one_time_keys: { [alice.id]: { [alice.device]: CURVE }, [foreign]: {} } };
  const [claimed, again] = [succeeds(await post('/user/keys/claim', wanted)), succeeds(await post('/user/keys/claim', wanted))];
  assert.deepEqual(Object.keys(claimed.one_time_keys[alice.id][alice.device]), [`${CURVE}:AAAA`]);
  assert.deepEqual(again, { one_time_keys: {} }, 'a key is given out once');
});

test('as a notary it passes on what others have signed, with its own signature', { skip }, async () => {
  const own_ = okay(await ask(base, 'GET', '/_matrix/key/v2/server'));
  const [[keyId, { key }]] = Object.entries<Json>(own_.verify_keys) as [[string, Json]];
  const body = { server_keys: { [peer.name]: { [peer.keyId]: { minimum_valid_until_ts: Date.now() } }, [us]: {}, '127.0.0.1:9': {} } };
  const { server_keys: found } = okay(await ask(base, 'POST', '/_matrix/key/v2/query', { body }));
  assert.deepEqual(found.map((one: Json) => one.server_name).sort(), [peer.name, us].sort(), 'who cannot be asked is left out');
  const passed = found.find((one: Json) => one.server_name === peer.name);
  assert.ok(isSigned(passed, peer.name, peer.keyId, peer.publicKey) && isSigned(passed, us, keyId, key));
  const one = okay(await ask(base, 'GET', `/_matrix/key/v2/query/${encodeURIComponent(peer.name)}`));
  assert.deepEqual(one.server_keys, [passed]);
  assert.equal((await ask(base, 'POST', '/_matrix/key/v2/query', { body: {} })).json.errcode, 'M_BAD_JSON');
});

test('what is not there is not there', { skip }, async () => {
  fails(await get('/nonsense'), 404, 'M_UNRECOGNIZED');
  fails(await send('DELETE', `${V1}/publicRooms`), 405, 'M_UNRECOGNIZED');
});
