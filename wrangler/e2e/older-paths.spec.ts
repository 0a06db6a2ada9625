// Clients that know the specification of before v1.1, and requests that any client may make of any endpoint.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, at, okay, refused, register, text, unique, User } from './support/client.ts';
import { shared } from './support/server.ts';

const base = await shared();
const R0 = '/_matrix/client/r0';

test('a client of r0 signs up, signs in, makes a room, sends and syncs', async () => {
  const body = { username: unique(), password: unique('Pw-'), auth: { type: 'm.login.dummy' } };
  const made = okay(await ask(base, 'POST', `${R0}/register`, { body }));
  assert.ok(okay(await ask(base, 'GET', `${R0}/login`)).flows.length > 0);
  const identifier = { type: 'm.id.user', user: made.user_id };
  const login = { type: 'm.login.password', identifier, password: body.password };
  const user = new User(base, body.password, okay(await ask(base, 'POST', `${R0}/login`, { body: login })));
  const { room_id } = okay(await user.call('POST', `${R0}/createRoom`, { body: {} }));
  const sent = okay(await user.call('PUT', R0 + at`/rooms/${room_id}/send/m.room.message/${unique()}`, { body: text('old') }));
  const { rooms } = okay(await user.call('GET', `${R0}/sync`));
  const events = rooms.join[room_id].timeline.events;
  assert.ok(events.some((event: { event_id: string }) => event.event_id === sent.event_id));
  refused(await user.call('GET', `${R0}/nothing`), 404, 'M_UNRECOGNIZED');
  refused(await user.call('PATCH', `${R0}/createRoom`), 405, 'M_UNRECOGNIZED');
});

test('media of r0 and v1 are those of v3, and what v1 has of its own stays', async () => {
  const user = await register(base);
  for (const version of ['r0', 'v1']) {
    const upload = await user.call('POST', `/_matrix/media/${version}/upload`, { raw: version, headers: { 'content-type': 'text/plain' } });
    assert.match(okay(upload).content_uri, /^mxc:/);
    assert.ok(okay(await user.call('GET', `/_matrix/media/${version}/config`))['m.upload.size'] > 0);
  }
  assert.match(okay(await user.call('POST', '/_matrix/media/v1/create')).content_uri, /^mxc:/);
});

test('nobody has a pusher, and only who is signed in may ask', async () => {
  const user = await register(base);
  assert.deepEqual((await user.get('/pushers')).pushers, []);
  refused(await ask(base, 'GET', '/pushers'), 401, 'M_MISSING_TOKEN');
});

test('HEAD is answered wherever GET is, with its status and headers and no body', async () => {
  const user = await register(base);
  const room = await user.createRoom();
  const paths = ['/_matrix/client/versions', '/.well-known/matrix/client', '/account/whoami', '/sync', '/joined_rooms',
    at`/rooms/${room}/state`, at`/rooms/${room}/messages`, '/pushrules/', '/nothing', at`/rooms/${'!no:where'}/state`];
  for (const path of paths) {
    const [get, head] = [await user.call('GET', path), await user.call('HEAD', path)];
    assert.equal(head.status, get.status, head.what);
    assert.equal(head.headers.get('content-type'), get.headers.get('content-type'), head.what);
    assert.equal(head.bytes, 0, head.what);
  }
  assert.equal((await user.call('HEAD', '/createRoom')).status, 405);
});

test('a filter that no sync can use is refused by name, when it is stored and when it is sent along', async () => {
  const user = await register(base);
  const filter = { room: { timeline: { limit: 'ten' } } };
  const stored = refused(await user.call('POST', at`/user/${user.id}/filter`, { body: filter }), 400, 'M_BAD_JSON');
  assert.match(stored.error, /room\.timeline\.limit/);
  const inline = refused(await user.call('GET', '/sync', { query: { filter: JSON.stringify(filter) } }), 400, 'M_BAD_JSON');
  assert.match(inline.error, /room\.timeline\.limit/);
});
