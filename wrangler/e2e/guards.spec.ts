// What strangers cannot do: use up what others need, get around a limit by another path, guess without being counted.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, at, eventually, okay, refused, text, unique, User, type Answer, type Json } from './support/client.ts';
import { Browser } from './support/pages.ts';
import { own, uncontrolled } from './support/server.ts';

const LIMITS = {
  invite: { burst: 3, per_hour: 60 }, profile: { burst: 2, per_hour: 60 }, bad_token: { burst: 10, per_hour: 3_600 },
  password: { burst: 4, per_hour: 60 }, register_client: { burst: 4, per_hour: 60 }, report: { burst: 2, per_hour: 60 },
};
const skip = uncontrolled;
const server = skip ? undefined : await own({ flags: ['--open-registration'], vars: { LIMITS } });
const base = server?.base ?? '';

async function person(ip: string): Promise<User> {
  const body = { username: unique(), password: unique('Pw-'), auth: { type: 'm.login.dummy' } };
  return new User(base, body.password, okay(await ask(base, 'POST', '/register', { body, headers: { 'cf-connecting-ip': ip } })));
}

const limited = (answers: Answer[]) => answers.filter(({ status }) => status === 429).length;

test('an invite is an invite, whichever way it comes', { skip }, async () => {
  const alice = await person('192.0.2.1');
  const room = await alice.createRoom();
  const [byState, later, inBulk] = [await person('192.0.2.1'), await person('192.0.2.1'), await person('192.0.2.1')];
  for (const one of [byState, later]) await one.join(room);
  const target = () => `@${unique('nobody')}:${alice.server}`;
  const content = { membership: 'invite' };

  const invites = [];
  for (let i = 0; i < 6; i += 1) invites.push(await byState.call('PUT', at`/rooms/${room}/state/m.room.member/${target()}`, { body: content }));
  assert.ok(limited(invites) >= 2, String(invites.map(({ status }) => status)));
  okay(await byState.call('PUT', at`/rooms/${room}/send/m.room.message/${unique()}`, { body: text('not a message less') }));

  const delayed = [];
  for (let i = 0; i < 6; i += 1) {
    const path = at`/_matrix/client/unstable/org.matrix.msc4140/rooms/${room}/delayed_event/m.room.member/${unique()}`;
    delayed.push(await later.call('PUT', path, { body: { delay: 60_000, state_key: target(), content } }));
  }
  assert.ok(limited(delayed) >= 2, String(delayed.map(({ status }) => status)));

  const friends = await Promise.all(Array.from({ length: 4 }, () => person('192.0.2.2')));
  await inBulk.createRoom({ invite: friends.map(({ id }) => id) });
  const more = await inBulk.call('POST', '/createRoom', { body: { invite: [friends[0]!.id] } });
  refused(more, 429, 'M_LIMIT_EXCEEDED');
  await inBulk.createRoom();
});

test('a profile changed by member events is a profile changed', { skip }, async () => {
  const alice = await person('192.0.2.3');
  const room = await alice.createRoom();
  const answers = [];
  for (let i = 0; i < 5; i += 1) {
    const body = { membership: 'join', displayname: unique('Nick') };
    answers.push(await alice.call('PUT', at`/rooms/${room}/state/m.room.member/${alice.id}`, { body }));
  }
  assert.ok(limited(answers) >= 2, String(answers.map(({ status }) => status)));
});

test('a token that is no good is counted by its address, for administrators too', { skip }, async () => {
  const user = await person('192.0.2.9');
  for (const [ip, path] of [['192.0.2.4', '/account/whoami'], ['192.0.2.5', `${base}/_tern/admin/v1/users`]] as const) {
    const headers = { 'cf-connecting-ip': ip };
    const answers = [];
    for (let i = 0; i < 40; i += 1) answers.push(await ask(base, 'GET', path.replace(base, ''), { token: unique('guess'), headers }));
    const heard = answers.filter(({ status }) => status === 401).length;
    assert.ok(heard >= 10 && heard <= 30 && limited(answers) >= 10, `${path}: ${heard} were heard`);
    okay(await ask(base, 'GET', '/account/whoami', { token: user.token, headers }));
  }
});

test('strangers who guess a password keep its owner neither out nor from proving who they are', { skip }, async () => {
  const alice = await person('192.0.2.6');
  const from = (ip: string, password: string) => {
    const body = { type: 'm.login.password', identifier: { type: 'm.id.user', user: alice.id }, password };
    return ask(base, 'POST', '/login', { body, headers: { 'cf-connecting-ip': ip } });
  };
  const home = '192.0.2.6';
  for (let i = 0; i < 8; i += 1) okay(await from(home, alice.password));
  const guesses = [];
  for (let i = 0; i < 12; i += 1) guesses.push(await from(`198.51.100.${i}`, 'guess'));
  assert.ok(limited(guesses) >= 6, String(guesses.map(({ status }) => status)));
  refused(await from('203.0.113.1', alice.password), 429, 'M_LIMIT_EXCEEDED');
  okay(await from(home, alice.password));
  const challenge = await alice.call('POST', '/delete_devices', { body: { devices: ['NOSUCH'] } });
  const identifier = { type: 'm.id.user', user: alice.id };
  const auth = { type: 'm.login.password', identifier, password: alice.password, session: challenge.json.session };
  refused(await alice.call('POST', '/delete_devices', { body: { devices: [alice.device], auth } }), 401, 'M_FORBIDDEN');
  await alice.get('/account/whoami');
  okay(await alice.call('POST', '/delete_devices', { body: { devices: ['NOSUCH'], auth } }));
});

test('clients are registered so often from one address, in few words; reports are counted', { skip }, async () => {
  const register = (fields: Json, ip: string) => fetch(`${base}/oauth2/register`, {
    method: 'POST', headers: { 'content-type': 'application/json', 'cf-connecting-ip': ip },
    body: JSON.stringify({ client_uri: 'https://client.example/', redirect_uris: ['https://client.example/cb'], client_name: unique(), ...fields }),
  });
  const long = await register({ policy_uri: 'x'.repeat(9_000) }, '192.0.2.7');
  assert.deepEqual([long.status, (await long.json() as Json).error], [400, 'invalid_client_metadata']);
  const statuses = [];
  for (let i = 0; i < 8; i += 1) statuses.push((await register({}, '192.0.2.8')).status);
  assert.ok(statuses.includes(201) && statuses.some((status) => status === 503 || status === 429), String(statuses));

  const [alice, bob] = [await person('192.0.2.7'), await person('192.0.2.7')];
  const reports = [];
  for (let i = 0; i < 5; i += 1) reports.push(await alice.call('POST', at`/users/${bob.id}/report`, { body: { reason: 'x' } }));
  assert.ok(limited(reports) >= 1, String(reports.map(({ status }) => status)));
});

test('a link that asks for a new sign-in leaves the session as it is until there is one', { skip }, async () => {
  const [name, password] = [unique(), 'correct horse battery'];
  const browser = new Browser(base);
  await browser.register(name, password);
  const before = new Map(browser.cookies);
  const form = await browser.get('/account/sign-in?anew=true&continue=%2Faccount');
  assert.match(form.html, /name="password"/, 'asked again');
  assert.deepEqual(browser.cookies, before);
  assert.equal(new URL((await browser.get('/account')).url).pathname, '/account', 'still signed in');
  const done = await browser.submit(form, '/account/sign-in', { username: name, password });
  assert.equal(new URL(done.url).pathname, '/account');
  const old = new Browser(base);
  for (const [key, value] of before) old.cookies.set(key, value);
  assert.equal(new URL((await old.get('/account')).url).pathname, '/account/sign-in', 'the session before has ended');

  const client = await (await fetch(`${base}/oauth2/register`, {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ client_uri: 'https://co.uk/', redirect_uris: ['https://evil.co.uk/'] }),
  })).json() as Json;
  assert.equal(client.error, 'invalid_redirect_uri');
});

test('who may be found is who is known', { skip }, async () => {
  const [alice, bob, carol] = [await person('192.0.2.9'), await person('192.0.2.9'), await person('192.0.2.9')];
  const find = async (search_term: string): Promise<string[]> =>
    okay(await alice.call('POST', '/user_directory/search', { body: { search_term } })).results.map((user: Json) => user.user_id);
  assert.deepEqual(await find(bob.name.slice(0, 6)), []);
  const room = await alice.createRoom();
  await bob.join(room);
  const found = await eventually('Bob is found', async () => {
    const users = await find(bob.name.slice(0, 6));
    return users.length > 0 ? users : undefined;
  });
  assert.deepEqual(found, [bob.id]);
  assert.deepEqual(await find(carol.name), []);
  assert.deepEqual(await find(carol.id), [carol.id], 'who is named in full');
});
