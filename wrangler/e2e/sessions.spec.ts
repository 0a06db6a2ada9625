// Accounts and sessions: registration, login, refresh, logout that bites, devices.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ask, at, eventually, login, okay, pair, people, refused, register, text, unique, User, type Answer, type Json,
} from './support/client.ts';
import { shared } from './support/server.ts';
import { Classic, Sliding, follow, park, says } from './support/sync.ts';

const base = await shared();
/** A logout is effective at once in the user's hub, and everywhere else within this time. */
const LOGOUT_MS = 5_000;

function identifier(user: string): Json {
  return { type: 'm.id.user', user };
}

test('devices have a name, an address and a time, if only empty', async () => {
  const alice = await register(base);
  const { devices } = await alice.get('/devices');
  assert.equal(devices.length, 1);
  for (const device of [devices[0], await alice.get(at`/devices/${alice.device}`)]) {
    const { device_id, display_name, last_seen_ip, last_seen_ts } = device;
    assert.deepEqual([device_id, display_name, typeof last_seen_ip, Number.isInteger(last_seen_ts)], [alice.device, '', 'string', true]);
  }
});

test('registration: the flows first, then an account through the dummy stage', async () => {
  const body = { username: unique(), password: unique('Pw-'), device_id: 'NEST', initial_device_display_name: 'my nest' };
  const first = await ask(base, 'POST', '/register', { body });
  assert.equal(first.status, 401, first.text);
  assert.ok(first.json.flows.some(({ stages }: Json) => stages.length === 1 && stages[0] === 'm.login.dummy'));
  const auth = { type: 'm.login.dummy', session: first.json.session };
  const account = okay(await ask(base, 'POST', '/register', { body: { ...body, auth } }));
  assert.ok(account.user_id.startsWith(`@${body.username}:`));
  assert.equal(account.device_id, 'NEST');
  const user = new User(base, body.password, account);
  assert.deepEqual(await user.get('/account/whoami').then(({ user_id, device_id }) => [user_id, device_id]), [user.id, 'NEST']);
  assert.equal((await user.get('/devices/NEST')).display_name, 'my nest');
});

test('registration: without a login, without a name, not as a guest', async () => {
  const attempt = async (body: Json, query = {}) => {
    const full = { password: unique('Pw-'), ...body };
    const first = await ask(base, 'POST', '/register', { body: full, query });
    if (first.status !== 401) return first;
    return ask(base, 'POST', '/register', { body: { ...full, auth: { type: 'm.login.dummy', session: first.json.session } }, query });
  };
  const quiet = okay(await attempt({ username: unique(), inhibit_login: true }));
  assert.deepEqual([typeof quiet.user_id, quiet.access_token, quiet.device_id], ['string', undefined, undefined]);
  const nameless = okay(await attempt({}));
  assert.match(nameless.user_id, /^@[a-z0-9._=/+-]+:/);
  refused(await attempt({}, { kind: 'guest' }), 403, 'M_FORBIDDEN');
  assert.deepEqual(okay(await ask(base, 'GET', '/register/available', { query: { username: unique() } })), { available: true });
});

test('registration: an empty name is no name', async () => {
  const body = { username: '', password: unique('Pw-'), auth: { type: 'm.login.dummy' } };
  refused(await ask(base, 'POST', '/register', { body }), 400, 'M_INVALID_USERNAME');
});

test('login: OAuth clients are told to prefer the pages, by the stable and the older name', async () => {
  const { flows } = okay(await ask(base, 'GET', '/login'));
  const sso = flows.find((flow: Json) => flow.type === 'm.login.sso');
  assert.equal(sso.oauth_aware_preferred, true);
  assert.equal(sso['org.matrix.msc3824.delegated_oidc_compatibility'], true);
});

test('registration tokens: an unknown one is not valid', async () => {
  const path = '/_matrix/client/v1/register/m.login.registration_token/validity';
  const answer = await ask(base, 'GET', path, { query: { token: 'guess' } });
  if (answer.status !== 403) assert.deepEqual(okay(answer), { valid: false });
});

test('login: by localpart and by full id, each time a new device', async () => {
  const alice = await register(base);
  const sessions = [await login(base, alice.name, alice.password), await login(base, alice.id, alice.password)].map(okay);
  const body = { type: 'm.login.password', user: alice.name, password: alice.password };
  sessions.push(okay(await ask(base, 'POST', '/login', { body })));
  assert.ok(sessions.every(({ user_id }) => user_id === alice.id));
  assert.equal(new Set([alice.device, ...sessions.map(({ device_id }) => device_id)]).size, 4);
  for (const session of sessions) await new User(base, '', session).get('/account/whoami');
});

test('login: a wrong password and an unknown user are refused alike', async () => {
  const alice = await register(base);
  const wrong = refused(await login(base, alice.id, 'wrong'), 403, 'M_FORBIDDEN');
  const nobody = refused(await login(base, unique('nobody'), 'wrong'), 403, 'M_FORBIDDEN');
  assert.equal(wrong.error, nobody.error, 'the answer does not tell who exists');
  refused(await login(base, `@${alice.name}:elsewhere.example`, alice.password), 403, 'M_FORBIDDEN');
});

test('login without a password is refused, whatever the type', async () => {
  const alice = await register(base);
  for (const body of [
    { type: 'm.login.dummy', identifier: identifier(alice.name) }, { type: 'm.login.dummy', user: alice.id },
    { type: 'm.login.password', identifier: identifier(alice.name) },
    { type: 'm.login.password', identifier: identifier(alice.name), password: '' },
    { type: 'm.login.token', token: alice.token }, { type: 'm.login.application_service', identifier: identifier(alice.name) },
    { type: 'org.example.odd', identifier: identifier(alice.name) }, {},
  ]) {
    const answer = await ask(base, 'POST', '/login', { body });
    assert.ok(answer.status >= 400 && answer.status < 500, `${JSON.stringify(body)}: ${answer.status} ${answer.text}`);
    assert.equal(answer.json.access_token, undefined);
  }
});

test('login with the id of a known device takes it over: the older token ends', async () => {
  const alice = await register(base);
  const again = await alice.login({ device_id: alice.device, initial_device_display_name: 'ignored' });
  assert.equal(again.device, alice.device);
  assert.notEqual(again.token, alice.token);
  await again.get('/account/whoami');
  await ends(alice);
  assert.equal((await again.get('/devices')).devices.length, 1);
});

test('refresh: new tokens work, the old refresh token ends once a new one is used', async () => {
  const alice = await register(base, { refresh_token: true });
  assert.equal(typeof alice.refreshToken, 'string', 'a refresh token where the client asked for it');
  const refresh = (token: string | undefined) => ask(base, 'POST', '/refresh', { body: { refresh_token: token } });
  const lost = okay(await refresh(alice.refreshToken));
  const got = okay(await refresh(alice.refreshToken));
  assert.ok(lost.access_token && got.access_token, 'a lost answer can be asked for again');
  assert.ok(Number.isInteger(got.expires_in_ms) && got.expires_in_ms > 0);
  const fresh = new User(base, '', { ...got, user_id: alice.id, device_id: alice.device });
  assert.equal((await fresh.get('/account/whoami')).device_id, alice.device, 'refresh keeps the device');
  const next = okay(await refresh(got.refresh_token));
  await new User(base, '', { ...next, user_id: alice.id, device_id: alice.device }).get('/account/whoami');
  refused(await refresh(alice.refreshToken), 401, 'M_UNKNOWN_TOKEN');
  refused(await refresh('nonsense'), 401, 'M_UNKNOWN_TOKEN');
  refused(await refresh(got.access_token), 401, 'M_UNKNOWN_TOKEN');
  assert.equal((await alice.call('GET', '/account/whoami', { token: next.refresh_token })).status, 401, 'a refresh token opens nothing else');
});

test('login and register give refresh tokens only to clients that ask', async () => {
  const alice = await register(base);
  assert.equal(alice.refreshToken, undefined);
  const asked = okay(await login(base, alice.id, alice.password, { refresh_token: true }));
  assert.equal(typeof asked.refresh_token, 'string');
  assert.ok(asked.expires_in_ms > 0);
});

/** The token is refused everywhere within the stated time, for good and not softly. */
async function ends(user: User): Promise<void> {
  const room = '!any:example.org';
  const uses: [string, () => Promise<Answer>][] = [
    ['whoami', () => user.call('GET', '/account/whoami')],
    ['send', () => user.call('PUT', at`/rooms/${room}/send/m.room.message/${unique()}`, { body: text('x') })],
    ['create', () => user.call('POST', '/createRoom', { body: {} })],
  ];
  for (const [name, use] of uses) {
    const answer = await eventually(`${name} is refused`, async () => {
      const one = await use();
      return one.status === 401 && one;
    }, LOGOUT_MS);
    const { soft_logout } = refused(answer, 401, 'M_UNKNOWN_TOKEN');
    assert.ok(!soft_logout, 'the session is destroyed, not only its token');
  }
}

test('logout bites at once on both syncs, account data and devices, and within 5 s on everything else', async (t) => {
  const [alice, bob, room] = await pair(base);
  const phone = await alice.login();
  await phone.send(room, 'still here');
  await phone.get('/sync', { timeout: 0 });
  await phone.post('/logout');
  refused(await phone.call('GET', '/sync', { query: { timeout: 0 } }), 401, 'M_UNKNOWN_TOKEN');
  refused(await new Sliding(phone).request(undefined, 0), 401, 'M_UNKNOWN_TOKEN');
  refused(await phone.call('GET', '/devices'), 401, 'M_UNKNOWN_TOKEN');
  refused(await phone.call('PUT', at`/user/${alice.id}/account_data/org.example.x`, { body: {} }), 401, 'M_UNKNOWN_TOKEN');
  const start = performance.now();
  await ends(phone);
  t.diagnostic(`refused everywhere after ${(performance.now() - start).toFixed(0)} ms`);
  await alice.send(room, 'the other device stays');
  await bob.get('/account/whoami');
});

test('what is sent after a logout does not reach the parked poll of that device', async () => {
  const [alice, bob, room] = await pair(base);
  const phone = new Sliding(await alice.login());
  const { answer } = await park(phone, 5_000);
  okay(await confirmed(alice, 'DELETE', at`/devices/${phone.user.device}`));
  await bob.send(room, 'not for the lost phone');
  const outcome = await answer.catch((error: Error) => error.message);
  assert.ok(typeof outcome === 'string' ? outcome.includes('M_UNKNOWN_TOKEN') : !says(outcome.json, room, 'not for the lost phone'), String(outcome));
});

test('logout/all ends every session and leaves the account', async () => {
  const alice = await register(base);
  const others = [await alice.login(), await alice.login()];
  await others[0].post('/logout/all');
  for (const user of [alice, ...others]) await ends(user);
  const back = await alice.login();
  assert.deepEqual((await back.get('/devices')).devices.map(({ device_id }: Json) => device_id), [back.device]);
});

test('devices: listed, shown, renamed; those of others and unknown ones are 404', async () => {
  const [alice, bob] = await people(base, 2);
  const tablet = await alice.login({ initial_device_display_name: 'tablet' });
  const { devices } = await alice.get('/devices');
  assert.deepEqual(devices.map(({ device_id }: Json) => device_id).sort(), [alice.device, tablet.device].sort());
  assert.equal(devices.find(({ device_id }: Json) => device_id === tablet.device).display_name, 'tablet');
  await alice.put(at`/devices/${tablet.device}`, { display_name: 'old tablet' });
  assert.equal((await tablet.get(at`/devices/${tablet.device}`)).display_name, 'old tablet');
  for (const id of [bob.device, 'NONE']) {
    refused(await alice.call('GET', at`/devices/${id}`), 404, 'M_NOT_FOUND');
    refused(await alice.call('PUT', at`/devices/${id}`, { body: { display_name: 'x' } }), 404, 'M_NOT_FOUND');
  }
});

/** Does what needs the password: asks once for the flows, then again with the password stage of that session. */
async function confirmed(user: User, method: string, path: string, body: Json = {}, secret = user.password): Promise<Answer> {
  const first = await user.call(method, path, { body });
  assert.equal(first.status, 401, first.text);
  assert.ok(first.json.flows.some(({ stages }: Json) => stages.includes('m.login.password')), first.text);
  const auth = { type: 'm.login.password', session: first.json.session, identifier: identifier(user.id), password: secret };
  return user.call(method, path, { body: { ...body, auth } });
}

test('devices: deleted only after the password is given again, and their sessions end', async () => {
  const alice = await register(base);
  const phones = [await alice.login(), await alice.login(), await alice.login()];
  const path = at`/devices/${phones[0].device}`;
  const attempts = [{ type: 'm.login.bogus' }, { type: 'm.login.dummy' }, { type: 'm.login.password' }, {}]
    .map((auth) => alice.call('DELETE', path, { body: { auth } }));
  for (const answer of [...await Promise.all(attempts), await confirmed(alice, 'DELETE', path, {}, 'wrong')]) {
    assert.ok(answer.status >= 400 && answer.status < 500, `${answer.status} ${answer.text}`);
  }
  await phones[0].get('/sync', { timeout: 0 });
  okay(await confirmed(alice, 'DELETE', path));
  await ends(phones[0]);
  okay(await confirmed(alice, 'POST', '/delete_devices', { devices: phones.slice(1).map(({ device }) => device) }));
  for (const phone of phones.slice(1)) await ends(phone);
  assert.deepEqual((await alice.get('/devices')).devices.map(({ device_id }: Json) => device_id), [alice.device]);
});

test('a new session starts with everything the account has', async () => {
  const [alice, bob, room] = await pair(base);
  await bob.send(room, 'waiting for you');
  for (const loop of [new Classic(await alice.login()), new Sliding(await alice.login())]) {
    await follow(loop, 'the message', (json) => says(json, room, 'waiting for you'));
  }
});
