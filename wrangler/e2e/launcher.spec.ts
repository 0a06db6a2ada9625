// The commands: one line when ready, data kept, quick second start, side by side, closed to strangers by default.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { ask, at, bodies, history, login, okay, refused, register, unique, User, type Answer } from './support/client.ts';
import { CHECKOUT, own, uncontrolled } from './support/server.ts';

const RESTART_MS = 10_000;

function signUp(base: string, body: object): Promise<Answer> {
  return ask(base, 'POST', '/register', { body: { username: unique(), password: unique('Pw-'), ...body } });
}

/** `cargo xtask user add`, the password on stdin; resolves to what it prints. */
function addUser(state: string, name: string, password: string, ...flags: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const args = ['xtask', 'user', 'add', name, '--state', state, ...flags];
    const child = execFile('cargo', args, { cwd: CHECKOUT }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${error.message}\n${stderr}`));
      else resolve(stdout.trim());
    });
    child.stdin!.end(password + '\n');
  });
}

test('registration is closed by default, with dummy, without auth and with a made-up token', { skip: uncontrolled }, async () => {
  const { base } = await own({ flags: ['--unlimited'] });
  for (const auth of [undefined, { type: 'm.login.dummy' }, { type: 'm.login.registration_token', token: 'guess' }]) {
    refused(await signUp(base, { auth }), 403, 'M_FORBIDDEN');
  }
  const path = '/_matrix/client/v1/register/m.login.registration_token/validity';
  const validity = await ask(base, 'GET', path, { query: { token: 'guess' } });
  assert.ok(validity.status === 403 || okay(validity).valid === false, validity.text);
});

test('with a registration token only who knows it may register', { skip: uncontrolled }, async () => {
  const token = unique('invite');
  const { base } = await own({ flags: ['--unlimited'], env: { TERN_REGISTRATION_TOKEN: token } });
  const path = '/_matrix/client/v1/register/m.login.registration_token/validity';
  assert.deepEqual(okay(await ask(base, 'GET', path, { query: { token } })), { valid: true });
  assert.deepEqual(okay(await ask(base, 'GET', path, { query: { token: 'guess' } })), { valid: false });

  const credentials = { username: unique(), password: unique('Pw-') };
  const first = await signUp(base, credentials);
  assert.equal(first.status, 401, first.text);
  assert.ok(first.json.flows.every(({ stages }: { stages: string[] }) => stages.includes('m.login.registration_token')));
  const { session } = first.json;
  for (const auth of [{ type: 'm.login.dummy', session }, { type: 'm.login.registration_token', token: 'guess', session },
    { type: 'm.login.registration_token', session }]) {
    const answer = await signUp(base, { ...credentials, auth });
    assert.ok(answer.status >= 400 && answer.status < 500 && !answer.json.access_token, answer.text);
  }
  const account = okay(await signUp(base, { ...credentials, auth: { type: 'm.login.registration_token', token, session } }));
  await new User(base, '', account).get('/account/whoami');
});

test('one ready line; SIGTERM ends everything; the second start is quick and has all data', { skip: uncontrolled }, async (t) => {
  const server = await own();
  assert.deepEqual(server.stdout, [`ready: ${server.base}`]);
  assert.ok(await server.answers(), 'requests succeed once it is ready');
  const alice = await register(server.base);
  const room = await alice.createRoom({ name: 'Kept' });
  await alice.send(room, 'before the restart');
  const start = performance.now();
  await server.stop();
  assert.equal(await server.answers(), false, 'nobody listens after the stop');
  const stopped = performance.now();
  await server.start();
  const ms = performance.now() - stopped;
  t.diagnostic(`stopped in ${(stopped - start).toFixed(0)} ms, started again in ${ms.toFixed(0)} ms`);
  assert.ok(ms < RESTART_MS, `the second start took ${ms.toFixed(0)} ms`);
  assert.equal((await alice.state(room, 'm.room.name')).name, 'Kept', 'tokens and state outlive a restart');
  assert.deepEqual(bodies(await history(alice, room, 'b', 10)), ['before the restart']);
  okay(await login(server.base, alice.id, alice.password));
  assert.equal((await alice.get('/sync', { timeout: 0 })).rooms.join[room].timeline.events.length > 0, true);
});

test('two servers run side by side and know nothing of each other', { skip: uncontrolled }, async () => {
  const [one, two] = await Promise.all([own(), own()]);
  const alice = await register(one.base);
  const room = await alice.createRoom();
  refused(await ask(two.base, 'GET', '/account/whoami', { token: alice.token }), 401, 'M_UNKNOWN_TOKEN');
  const bob = await register(two.base, { username: alice.name });
  refused(await bob.call('GET', at`/rooms/${room}/state`), 403, 'M_FORBIDDEN');
});

test('user add makes accounts on a running and on a stopped server, administrators too', { skip: uncontrolled }, async () => {
  const server = await own({ flags: ['--unlimited'] });
  const [running, stopped] = [unique(), unique()];
  const id = await addUser(server.state, running, 'Pw-typed-1');
  assert.ok(id.startsWith(`@${running}:`), id);
  okay(await login(server.base, running, 'Pw-typed-1'));
  await assert.rejects(addUser(server.state, running, 'Pw-typed-1'), 'the name is taken');
  await server.stop();
  const made = await addUser(server.state, stopped, '', '--admin');
  const password = /^password: (\S+)$/m.exec(made)?.[1];
  assert.ok(password, `an empty password is made up and printed: ${made}`);
  await server.start();
  okay(await login(server.base, stopped, password));
});
