// Calls between two people go through relays, which know a name by the signature that is its password; those of several
// over a transport that the server names (MSC4143).
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { ask, okay, refused, register } from './support/client.ts';
import { own, shared, uncontrolled } from './support/server.ts';

const TURN = { uris: ['turn:turn.example.org?transport=udp', 'turns:turn.example.org'], ttl: 600 };
const SECRET = 'what the relays know';
const PATH = '/_matrix/client/v3/voip/turnServer';

test('a user gets a name for the relays that is good for as long as it says', { skip: uncontrolled }, async () => {
  const server = await own({ vars: { TURN, TURN_SECRET: SECRET } });
  const user = await register(server.base);
  const { username, password, ...told } = await user.get(PATH);
  assert.deepEqual(told, TURN);
  const [end, ...id] = username.split(':');
  assert.equal(id.join(':'), user.id);
  assert.ok(Math.abs(Number(end) - Date.now() / 1_000 - TURN.ttl) < 60, end);
  assert.equal(password, createHmac('sha1', SECRET).update(username).digest('base64'));
  refused(await ask(server.base, 'GET', PATH), 401, 'M_MISSING_TOKEN');
});

test('without relays there are none to be found', async () => {
  const user = await register(await shared());
  refused(await user.call('GET', PATH), 404, 'M_NOT_FOUND');
});

const TRANSPORTS = [{ type: 'livekit', livekit_service_url: 'https://rtc.example.org' }];
const PATHS = ['/_matrix/client/v1/rtc/transports', '/_matrix/client/unstable/org.matrix.msc4143/rtc/transports'];

test('the transports of calls are told to users, and to older clients where they look for the server', { skip: uncontrolled }, async () => {
  const server = await own({ vars: { RTC_TRANSPORTS: TRANSPORTS } });
  const user = await register(server.base);
  for (const path of PATHS) {
    assert.deepEqual(await user.get(path), { rtc_transports: TRANSPORTS });
    refused(await ask(server.base, 'GET', path), 401, 'M_MISSING_TOKEN');
  }
  const known = okay(await ask(server.base, 'GET', '/.well-known/matrix/client'));
  assert.deepEqual(known['org.matrix.msc4143.rtc_foci'], TRANSPORTS);
});

test('without transports no calls of several people are offered', async () => {
  const base = await shared();
  const user = await register(base);
  for (const path of PATHS) assert.deepEqual(await user.get(path), { rtc_transports: [] });
  const known = okay(await ask(base, 'GET', '/.well-known/matrix/client'));
  assert.equal(known['org.matrix.msc4143.rtc_foci'], undefined);
});
