// Administration of accounts: the documented interface, the specification's endpoints, and what they do to a user.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, at, eventually, login, okay, people, refused, register, text, unique, User, type Answer, type Json } from './support/client.ts';
import { adminToken, shared } from './support/server.ts';

const base = await shared();
const token = adminToken();
const skip = token ? false : 'TERN_STATE is not set: the token of the operator is not known';

function admin(method: string, path: string, body?: unknown, query?: Json): Promise<Answer> {
  return ask(base, method, '/_tern/admin/v1' + path, { token, body, query });
}

async function administrator(): Promise<User> {
  const [localpart, password] = [unique('admin'), unique('Pw-')];
  okay(await admin('POST', '/users', { localpart, password, admin: true }));
  return new User(base, password, okay(await login(base, localpart, password)));
}

const lock = (user: User) => at`/_matrix/client/v1/admin/lock/${user.id}`;
const suspend = (user: User) => at`/_matrix/client/v1/admin/suspend/${user.id}`;

test('nobody else than the operator administrates', async () => {
  const alice = await register(base);
  for (const [method, path] of [['GET', '/users'], ['GET', at`/users/${alice.id}`], ['PUT', at`/users/${alice.id}`],
    ['POST', at`/users/${alice.id}/deactivate`], ['GET', '/registration_tokens'], ['GET', '/audit']]) {
    for (const bearer of [undefined, alice.token, 'guess']) {
      const answer = await ask(base, method, '/_tern/admin/v1' + path, { token: bearer, body: method === 'GET' ? undefined : {} });
      assert.equal(answer.status, 401, `${method} ${path}: ${answer.text}`);
    }
  }
  refused(await alice.call('GET', lock(alice)), 403, 'M_FORBIDDEN');
  refused(await alice.call('PUT', suspend(alice), { body: { suspended: false } }), 403, 'M_FORBIDDEN');
  refused(await alice.call('GET', at`/admin/whois/${`@${unique()}:${alice.server}`}`), 403, 'M_FORBIDDEN');
  assert.equal((await alice.get(at`/admin/whois/${alice.id}`)).user_id, alice.id, 'everybody may ask about himself');
});

test('a locked user is locked out at once, and everything is as before afterwards', { skip }, async () => {
  const [root, [alice, bob]] = [await administrator(), await people(base, 2)];
  const waiting = alice.call('GET', '/sync', { query: { timeout: 20_000, since: (await alice.get('/sync')).next_batch } });
  assert.deepEqual(okay(await root.call('PUT', lock(alice), { body: { locked: true } })), { locked: true });
  for (const answer of [await waiting, await alice.call('GET', '/sync'), await alice.call('GET', '/devices'), await login(base, alice.id, alice.password)]) {
    assert.equal(refused(answer, 401, 'M_USER_LOCKED').soft_logout, true, answer.text);
  }
  assert.deepEqual(okay(await root.call('GET', lock(alice))), { locked: true });
  await bob.get('/account/whoami');
  okay(await root.call('PUT', lock(alice), { body: { locked: false } }));
  await alice.get('/account/whoami');
  okay(await root.call('PUT', lock(bob), { body: { locked: true } }));
  okay(await bob.call('POST', '/logout'));
});

test('a suspended user reads, leaves and takes back, and does nothing else', { skip }, async () => {
  const [root, [alice, bob]] = [await administrator(), await people(base, 2)];
  const room = await alice.createRoom();
  await bob.join(room);
  const own = await alice.send(room, 'mine');
  const others = await bob.send(room, 'his');
  const since = (await alice.get('/sync')).next_batch;
  okay(await root.call('PUT', suspend(alice), { body: { suspended: true } }));
  // Sync goes on, and does not make the session good for more.
  await alice.get('/sync', { since });
  await new Promise((resolve) => { setTimeout(resolve, 5_100); });
  const deny = async (method: string, path: string, body: Json = {}) =>
    refused(await alice.call(method, path, { body }), 403, 'M_USER_SUSPENDED');
  await alice.get('/sync', { since });
  await deny('PUT', at`/rooms/${room}/send/m.room.message/${unique()}`, text('no'));
  await deny('PUT', at`/rooms/${room}/state/m.room.topic/`, { topic: 'no' });
  await deny('POST', '/createRoom');
  await deny('POST', at`/rooms/${room}/invite`, { user_id: root.id });
  await deny('POST', at`/rooms/${room}/join`);
  await deny('PUT', at`/profile/${alice.id}/displayname`, { displayname: 'no' });
  await deny('PUT', at`/rooms/${room}/redact/${others}/${unique()}`);
  // Whatever way an event is scheduled, nor is anything left of it.
  const delay = { 'org.matrix.msc4140.delay': 600_000 };
  const delayed = at`/_matrix/client/unstable/org.matrix.msc4140/rooms/${room}/delayed_event/`;
  refused(await alice.call('PUT', at`/rooms/${room}/send/m.room.message/${unique()}`, { query: delay, body: text('no') }), 403, 'M_USER_SUSPENDED');
  refused(await alice.call('PUT', at`/rooms/${room}/state/m.room.topic/`, { query: delay, body: { topic: 'no' } }), 403, 'M_USER_SUSPENDED');
  await deny('PUT', `${delayed}m.room.message/${unique()}`, { delay: 600_000, content: text('no') });
  await deny('PUT', `${delayed}m.room.topic/${unique()}`, { delay: 600_000, state_key: '', content: { topic: 'no' } });
  assert.deepEqual((await alice.get('/_matrix/client/unstable/org.matrix.msc4140/delayed_events')).delayed_events, []);
  await alice.put(at`/rooms/${room}/redact/${own}/${unique()}`);
  assert.ok((await alice.get(at`/rooms/${room}/messages`, { dir: 'b' })).chunk.length > 0);
  await alice.receipt(room, others);
  await alice.put(at`/user/${alice.id}/account_data/org.example.note`, { kept: true });
  okay(await login(base, alice.id, alice.password));
  await alice.leave(room);
  okay(await root.call('PUT', suspend(alice), { body: { suspended: false } }));
  await alice.createRoom();
  okay(await root.call('PUT', suspend(alice), { body: { suspended: true } }));
  okay(await alice.call('POST', '/logout'));
});

test('whoever asks about somebody who never was, or invites them, leaves no trace', { skip }, async () => {
  const [alice, bob] = await people(base, 2);
  const nobody = `@${unique()}:${alice.server}`;
  const probe = () => admin('GET', at`/hubs/user/${nobody}`);
  refused(await probe(), 404, 'M_NOT_FOUND');
  const mutual = await alice.get('/_matrix/client/v1/mutual_rooms', { user_id: nobody });
  assert.deepEqual(mutual.joined, []);
  const room = await alice.createRoom({ invite: [nobody] });
  await bob.join(room);
  refused(await probe(), 404, 'M_NOT_FOUND');
  // Nobody else's delivery waits for it.
  const event = await alice.send(room, 'who is there?');
  await eventually('the others are told', async () => {
    const { rooms } = await bob.get('/sync');
    return rooms.join[room].timeline.events.some(({ event_id }: Json) => event_id === event);
  });
  refused(await probe(), 404, 'M_NOT_FOUND');
});

test('administrators do not act on administrators, nor on users who are not there', { skip }, async () => {
  const [root, other, alice] = [await administrator(), await administrator(), await register(base)];
  for (const target of [root, other]) {
    refused(await root.call('PUT', lock(target), { body: { locked: true } }), 403, 'M_FORBIDDEN');
    refused(await root.call('PUT', suspend(target), { body: { suspended: true } }), 403, 'M_FORBIDDEN');
  }
  const path = (id: string) => at`/_matrix/client/v1/admin/lock/${id}`;
  refused(await root.call('GET', path('@a:elsewhere.example')), 400, 'M_INVALID_PARAM');
  refused(await root.call('GET', path(`@${unique()}:${root.server}`)), 404, 'M_NOT_FOUND');
  refused(await root.call('PUT', lock(alice), { body: { locked: 'yes' } }), 400, 'M_BAD_JSON');
  assert.equal((await root.get('/capabilities')).capabilities['m.account_moderation'].lock, true);
  assert.equal((await alice.get('/capabilities')).capabilities['m.account_moderation'], undefined);
});

test('the operator lists, changes, signs out and ends accounts, and it is on record', { skip }, async () => {
  const alice = await register(base);
  const user = at`/users/${alice.name}`;
  const found = okay(await admin('GET', '/users', undefined, { search: alice.name })).users;
  assert.deepEqual(found.map((entry: Json) => entry.user_id), [alice.id]);
  const sessions = okay(await admin('GET', `${user}/sessions`)).sessions;
  assert.deepEqual(sessions.map((session: Json) => session.device_id), [alice.device]);
  okay(await admin('DELETE', `${user}/sessions/${alice.device}`));
  refused(await alice.call('GET', '/devices'), 401, 'M_UNKNOWN_TOKEN');
  okay(await admin('PUT', `${user}/password`, { password: 'Pw-reset' }));
  refused(await login(base, alice.id, alice.password), 403, 'M_FORBIDDEN');
  okay(await login(base, alice.id, 'Pw-reset'));
  assert.equal(okay(await admin('PUT', user, { admin: true, locked: true })).locked, true);
  okay(await admin('POST', `${user}/deactivate`, { erase: true }));
  refused(await admin('GET', user), 404, 'M_NOT_FOUND');
  refused(await login(base, alice.id, 'Pw-reset'), 403, 'M_FORBIDDEN');
  const { entries } = okay(await admin('GET', '/audit', undefined, { limit: 100 }));
  const actions = entries.filter((entry: Json) => entry.target === alice.id).map((entry: Json) => entry.action);
  assert.deepEqual(actions, ['deactivate', 'lock', 'make_admin', 'reset_password', 'sign_out']);
});

test('registration tokens are made, listed and taken away', { skip }, async () => {
  const made = okay(await admin('POST', '/registration_tokens', { uses_allowed: 1, expires_in_s: 3_600 }));
  assert.match(made.token, /^[A-Za-z0-9._~-]{1,64}$/);
  const path = '/_matrix/client/v1/register/m.login.registration_token/validity';
  const valid = async () => okay(await ask(base, 'GET', path, { query: { token: made.token } })).valid;
  assert.equal(await valid(), true);
  const list = okay(await admin('GET', '/registration_tokens')).registration_tokens;
  assert.equal(list.find((entry: Json) => entry.token === made.token).completed, 0);
  refused(await admin('POST', '/registration_tokens', { token: 'not a token' }), 400, 'M_INVALID_PARAM');
  okay(await admin('DELETE', at`/registration_tokens/${made.token}`));
  assert.equal(await valid(), false);
});
