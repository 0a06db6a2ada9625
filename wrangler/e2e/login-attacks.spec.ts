// Ways into somebody else's account that were open elsewhere; each is refused here.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, at, login, okay, refused, register, unique, User, type Answer, type Json } from './support/client.ts';
import { shared } from './support/server.ts';

const base = await shared();

function password(user: User, secret: string, session?: string): Json {
  return { type: 'm.login.password', identifier: { type: 'm.id.user', user: user.id }, password: secret, session };
}

/** A challenge, and nothing else. */
function challenged(answer: Answer): Json {
  assert.equal(answer.status, 401, answer.text);
  assert.ok(Array.isArray(answer.json.flows) && answer.json.session, answer.text);
  assert.equal(answer.json.access_token, undefined);
  return answer.json;
}

test('no login without a proof: dummy, nothing, somebody else\'s tokens', async () => {
  const alice = await register(base);
  const identifier = { type: 'm.id.user', user: alice.name };
  for (const body of [
    { type: 'm.login.dummy', identifier }, { type: 'm.login.dummy', user: alice.name }, { type: 'm.login.password', identifier },
    { type: 'm.login.password', identifier, password: null }, { type: 'm.login.password', identifier, password: '' },
    { type: 'm.login.token', identifier }, { type: 'm.login.token', token: alice.token },
    { type: 'm.login.token', token: '' }, { type: 'm.login.sso', identifier }, { type: 'm.login.application_service', identifier },
  ]) {
    const answer = await ask(base, 'POST', '/login', { body });
    assert.ok([400, 401, 403].includes(answer.status), `${JSON.stringify(body)}: ${answer.text}`);
    assert.equal(answer.json.access_token, undefined, JSON.stringify(body));
  }
  okay(await login(base, alice.id, alice.password));
});

test('no deactivation, no new password, no removed device, no login token without the own password', async () => {
  const [alice, mallory] = await Promise.all([register(base), register(base)]);
  const other = await alice.login();
  const attempts: [string, string, Json][] = [
    ['POST', '/account/deactivate', {}], ['POST', '/account/password', { new_password: 'stolen' }],
    ['DELETE', at`/devices/${other.device}`, {}], ['POST', '/delete_devices', { devices: [other.device] }],
    ['POST', '/_matrix/client/v1/login/get_token', {}],
  ];
  for (const [method, path, body] of attempts) {
    const { session } = challenged(await alice.call(method, path, { body }));
    for (const auth of [
      {}, { type: 'm.login.password' }, { type: 'm.login.password', session }, { type: 'm.login.bogus', session }, { type: 'm.login.dummy', session },
      { type: 'm.login.token', session }, { session }, password(alice, 'wrong', session), password(mallory, mallory.password, session),
      { ...password(alice, alice.password), session: unique('s') },
    ]) {
      const answer = await alice.call(method, path, { body: { ...body, auth } });
      assert.ok(answer.status === 401 || answer.status === 400, `${path} ${JSON.stringify(auth)}: ${answer.status} ${answer.text}`);
    }
  }
  okay(await login(base, alice.id, alice.password));
  await other.get('/account/whoami');
});

test('a session of interactive authentication is good for one operation of one user', async () => {
  const [alice, bob] = await Promise.all([register(base), register(base)]);
  const { session } = challenged(await alice.call('POST', '/_matrix/client/v1/login/get_token', { body: {} }));
  challenged(await alice.call('POST', '/account/deactivate', { body: { auth: password(alice, alice.password, session) } }));
  challenged(await bob.call('POST', '/_matrix/client/v1/login/get_token', { body: { auth: password(bob, bob.password, session) } }));
  okay(await alice.call('POST', '/_matrix/client/v1/login/get_token', { body: { auth: password(alice, alice.password, session) } }));
});

test('a login token signs in one device, whatever the number of attempts', async () => {
  const alice = await register(base);
  const { session } = challenged(await alice.call('POST', '/_matrix/client/v1/login/get_token', { body: {} }));
  const path = '/_matrix/client/v1/login/get_token';
  const made = okay(await alice.call('POST', path, { body: { auth: password(alice, alice.password, session) } }));
  assert.ok(made.expires_in_ms <= 120_000);
  const body = { type: 'm.login.token', token: made.login_token };
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask(base, 'POST', '/login', { body })));
  const good = answers.filter(({ status }) => status === 200);
  assert.equal(good.length, 1);
  assert.equal(good[0].json.user_id, alice.id);
  answers.filter(({ status }) => status !== 200).forEach((answer) => refused(answer, 403, 'M_FORBIDDEN'));
});

test('signing in again with a known device ends that device\'s older session', async () => {
  const alice = await register(base);
  const again = await alice.login({ device_id: alice.device });
  assert.equal(again.device, alice.device);
  await again.get('/account/whoami');
  refused(await alice.call('GET', '/devices'), 401, 'M_UNKNOWN_TOKEN');
  const mallory = await register(base, { device_id: alice.device });
  await again.get('/account/whoami');
  assert.notEqual(mallory.id, again.id, 'a device id names a device of one user');
});

test('neither answers nor times tell who has an account', async () => {
  const alice = await register(base);
  const wrong = refused(await login(base, alice.id, 'wrong'), 403, 'M_FORBIDDEN');
  assert.deepEqual(refused(await login(base, unique('nobody'), 'wrong'), 403, 'M_FORBIDDEN'), wrong);
  const time = async (user: string) => {
    const times: number[] = [];
    for (let i = 0; i < 7; i += 1) times.push((await login(base, user, 'wrong')).ms);
    return times.sort((a, b) => a - b)[3];
  };
  const [known, unknown] = [await time(alice.id), await time(unique('nobody'))];
  // Without the hash an answer takes a few milliseconds; with it, tens.
  assert.ok(unknown > known / 3 && known > unknown / 3, `${known.toFixed(0)} ms for a user, ${unknown.toFixed(0)} ms for nobody`);
});

test('a changed password ends the other sessions, a deactivated account all, and the name stays taken', async () => {
  const alice = await register(base);
  const other = await alice.login();
  const auth = password(alice, alice.password);
  okay(await alice.call('POST', '/account/password', { body: { new_password: 'Pw-new-one', auth } }));
  await alice.get('/account/whoami');
  refused(await other.call('GET', '/devices'), 401, 'M_UNKNOWN_TOKEN');
  refused(await login(base, alice.id, alice.password), 403, 'M_FORBIDDEN');
  const room = await alice.createRoom();
  const bob = await register(base);
  await bob.join(room);
  const end = { auth: password(alice, 'Pw-new-one'), erase: true };
  assert.deepEqual(okay(await alice.call('POST', '/account/deactivate', { body: end })), { id_server_unbind_result: 'success' });
  refused(await alice.call('GET', '/devices'), 401, 'M_UNKNOWN_TOKEN');
  refused(await login(base, alice.id, 'Pw-new-one'), 403, 'M_FORBIDDEN');
  assert.equal((await bob.state(room, 'm.room.member', alice.id)).membership, 'leave');
  const taken = await ask(base, 'POST', '/register', { body: { username: alice.name, password: 'x' } });
  refused(taken, 400, 'M_USER_IN_USE');
});
