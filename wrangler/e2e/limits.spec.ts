// Rate limits: 429 with the time to wait, apart by user, class and address, exact where a password is guessed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, okay, refused, text, unique, User, type Answer, type Json } from './support/client.ts';
import { Browser } from './support/pages.ts';
import { own, uncontrolled } from './support/server.ts';

const LIMITS = {
  message: { burst: 5, per_hour: 3_600 }, create_room: { burst: 2, per_hour: 3_600 },
  login: { burst: 30, per_hour: 3_600 }, password: { burst: 4, per_hour: 90 }, register: { burst: 3, per_hour: 3_600 },
};
const server = uncontrolled ? undefined : await own({ flags: ['--open-registration'], vars: { LIMITS } });
const base = server?.base ?? '';

function limited(answer: Answer): number {
  const { retry_after_ms } = refused(answer, 429, 'M_LIMIT_EXCEEDED');
  assert.ok(retry_after_ms > 0 && retry_after_ms <= 60_000, answer.text);
  assert.equal(answer.headers.get('retry-after'), String(Math.ceil(retry_after_ms / 1000)));
  return retry_after_ms;
}

/** Signs up from an address of its own, so that the tests do not use up each other's. */
async function person(ip: string): Promise<User> {
  const body = { username: unique(), password: unique('Pw-'), auth: { type: 'm.login.dummy' } };
  return new User(base, body.password, okay(await ask(base, 'POST', '/register', { body, headers: { 'cf-connecting-ip': ip } })));
}

function from(ip: string, user: string, password: string): Promise<Answer> {
  const body = { type: 'm.login.password', identifier: { type: 'm.id.user', user }, password };
  return ask(base, 'POST', '/login', { body, headers: { 'cf-connecting-ip': ip } });
}

test('messages are limited per user and class, and go on after the time that was told', { skip: uncontrolled }, async () => {
  const [alice, bob] = [await person('192.0.2.1'), await person('192.0.2.1')];
  const room = await alice.createRoom();
  await bob.join(room);
  const send = (user: User) => user.call('PUT', `/rooms/${encodeURIComponent(room)}/send/m.room.message/${unique()}`, { body: text('x') });
  const answers = await Promise.all(Array.from({ length: 12 }, () => send(alice)));
  const refusals = answers.filter(({ status }) => status === 429);
  assert.ok(refusals.length >= 5 && refusals.length <= 7, `${refusals.length} of 12 were refused`);
  const wait = Math.max(...refusals.map(limited));
  okay(await send(bob));
  okay(await alice.call('GET', '/joined_rooms'));
  await new Promise((resolve) => { setTimeout(resolve, wait); });
  okay(await send(alice));
});

test('a password is guessed at no more often than said, from many addresses and at once', { skip: uncontrolled }, async () => {
  const alice = await person('192.0.2.2');
  const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => from(`198.51.100.${i}`, alice.id, `guess ${i}`)));
  const heard = answers.filter(({ status }) => status === 403).length;
  assert.ok(heard >= 4 && heard <= 4 + 5, `${heard} guesses were heard`);
  limited(answers.find(({ status }) => status === 429)!);
  limited(await from('203.0.113.1', alice.id, alice.password));
  await alice.get('/account/whoami');
});

test('an address is limited, whichever names it tries, and one IPv6 network is one address', { skip: uncontrolled }, async () => {
  const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => from(`2001:db8:7:7::${i.toString(16)}`, unique('nobody'), 'guess')));
  const heard = answers.filter(({ status }) => status === 403).length;
  assert.ok(heard >= 30 && heard <= 40, `${heard} guesses were heard`);
  refused(await from('2001:db8:7:8::1', unique('nobody'), 'guess'), 403, 'M_FORBIDDEN');
});

test('the pages are limited with the API: a password guessed at on both, an account made on both', { skip: uncontrolled }, async () => {
  const alice = await person('192.0.2.3');
  const guess = async (ip: string, password: string) => {
    const browser = new Browser(base);
    const page = await browser.get('/account/sign-in');
    return browser.submit(page, '/account/sign-in', { username: alice.name, password }, { 'cf-connecting-ip': ip });
  };
  const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => guess(`198.51.101.${i}`, `guess ${i}`)));
  const heard = answers.filter(({ status }) => status === 403).length;
  assert.ok(heard >= 4 && heard <= 4 + 5, `${heard} guesses were heard`);
  assert.ok(answers.every(({ status }) => status === 403 || status === 429), String(answers.map(({ status }) => status)));
  assert.equal((await guess('203.0.113.2', alice.password)).status, 429, 'the right one as well');
  limited(await from('203.0.113.3', alice.id, alice.password));

  const browser = new Browser(base);
  const form = await browser.get('/account/register');
  const made = await Promise.all(Array.from({ length: 12 }, () => {
    const password = unique('Pw-');
    return browser.submit(form, '/account/register', { username: unique(), password, repeat: password }, { 'cf-connecting-ip': '192.0.2.10' });
  }));
  assert.ok(made.some(({ status }) => status === 429), String(made.map(({ status }) => status)));
});

test('registrations are limited by address, after the challenge', { skip: uncontrolled }, async () => {
  const headers = { 'cf-connecting-ip': '192.0.2.9' };
  const attempt = (auth?: Json) => ask(base, 'POST', '/register', {
    body: { username: unique(), password: unique('Pw-'), inhibit_login: true, auth }, headers,
  });
  for (let i = 0; i < 10; i += 1) assert.equal((await attempt()).status, 401);
  const answers = await Promise.all(Array.from({ length: 12 }, () => attempt({ type: 'm.login.dummy' })));
  assert.ok(answers.some(({ status }) => status === 429));
  limited(answers.find(({ status }) => status === 429)!);
});
