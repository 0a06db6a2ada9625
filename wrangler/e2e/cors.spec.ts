// CORS headers: one line, wherever a script may come to read the answer.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, okay, register, type Answer } from './support/client.ts';
import { shared } from './support/server.ts';

const base = await shared();
const origin = 'https://app.example.org';

function cors(answer: Answer): string[] {
  return [...answer.headers.keys()].filter((name) => name.startsWith('access-control-'));
}

const CASES: [method: string, path: string, status: number][] = [
  ['GET', '/_matrix/client/versions', 200], ['GET', '/.well-known/matrix/client', 200], ['GET', '/account/whoami', 401],
  ['GET', '/_matrix/client/v3/nothing', 404], ['PATCH', '/createRoom', 405], ['POST', '/login', 400],
];

test('what a cache may keep, and what needs no token, says so to everybody alike and in one line', async () => {
  const line = ['access-control-allow-origin'];
  for (const [method, path, status] of CASES) {
    const answer = await ask(base, method, path);
    assert.equal(answer.status, status, answer.what);
    assert.deepEqual(cors(answer), line, answer.what);
  }
  const user = await register(base);
  const upload = await user.call('POST', '/_matrix/media/v3/upload', { raw: 'kept', headers: { 'content-type': 'text/plain' } });
  const path = `/_matrix/client/v1/media/download/${okay(upload).content_uri.slice('mxc://'.length)}`;
  const kept = await user.call('GET', path);
  assert.match(kept.headers.get('cache-control')!, /max-age/);
  assert.deepEqual(cors(kept), line, 'a picture that an app loaded first can be read by a script later');
});

test('a sync of a client that is no browser carries no CORS header', async () => {
  assert.deepEqual(cors(await (await register(base)).call('GET', '/sync')), []);
});

test('with Origin every answer, errors too, lets any origin read it', async () => {
  for (const [method, path, status] of CASES) {
    const answer = await ask(base, method, path, { headers: { origin } });
    assert.equal(answer.status, status, answer.what);
    assert.equal(answer.headers.get('access-control-allow-origin'), '*', answer.what);
  }
  const user = await register(base);
  const answer = await user.call('GET', '/account/whoami', { headers: { origin } });
  assert.equal(answer.headers.get('access-control-allow-origin'), '*');
});

test('a preflight is answered without a token and without side effects', async () => {
  for (const path of ['/_matrix/client/v3/login', '/_matrix/client/v3/sync', '/_matrix/client/v3/createRoom', '/_matrix/client/v4/sync']) {
    const answer = await ask(base, 'OPTIONS', path, {
      headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,content-type' },
    });
    assert.ok([200, 204].includes(answer.status), `${answer.what}: ${answer.status}`);
    assert.equal(answer.headers.get('access-control-allow-origin'), '*');
    const methods = answer.headers.get('access-control-allow-methods') ?? '';
    for (const method of ['GET', 'POST', 'PUT', 'DELETE']) assert.ok(methods.includes(method), methods);
    const headers = (answer.headers.get('access-control-allow-headers') ?? '').toLowerCase();
    for (const name of ['x-requested-with', 'content-type', 'authorization']) assert.ok(headers.includes(name), headers);
  }
});
