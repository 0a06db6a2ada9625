// The server's logs tell of its troubles and never of what people said, of their keys or of their tokens.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, eventually, login, pair, unique } from './support/client.ts';
import { leaks, secrets, watchRequests } from './support/secrets.ts';
import { own, uncontrolled } from './support/server.ts';

const OUTAGE_MS = 2_000;

test('a secret in a log is found, whole, in a token and by its shape', () => {
  const log = ['sync: no answer', 'told "Pw-0123456789ab" to nobody', 'Bearer eyJhbGciOiJI.eyJzdWIiOiJ', 'key AwgAEnACgAkLmt6qF84IKAysTGiYHs'];
  assert.deepEqual(leaks(log.slice(0, 1), ['Pw-0123456789ab']), []);
  assert.equal(leaks(log.slice(0, 2), ['Pw-0123456789ab', 'Pw-another-one']).length, 1);
  assert.equal(leaks(log, []).length, 2);
});

test('an outage under encrypted traffic is logged without ciphertext, keys, tokens or passwords', { skip: uncontrolled }, async (t) => {
  if (!process.env.TERN_SECRETS) watchRequests();
  const server = await own({ flags: ['--open-registration', '--unlimited', '--chaos'] });
  const [alice, bob, room] = await pair(server.base);
  await server.failStorage(OUTAGE_MS);
  const end = performance.now() + OUTAGE_MS;
  const opaque = () => Buffer.from(unique() + unique() + unique() + unique()).toString('base64');
  while (performance.now() < end) {
    const content = { algorithm: 'm.megolm.v1.aes-sha2', ciphertext: opaque(), session_id: opaque(), sender_key: opaque() };
    await alice.call('PUT', at`/rooms/${room}/send/m.room.encrypted/${unique('t')}`, { body: content });
    const messages = { [bob.id]: { [bob.device]: { algorithm: 'm.olm.v1.curve25519-aes-sha2', ciphertext: { [opaque()]: { type: 0, body: opaque() } } } } };
    await alice.call('PUT', at`/sendToDevice/m.room.encrypted/${unique('t')}`, { body: { messages } });
    await alice.call('PUT', at`/room_keys/keys/${room}/${opaque()}`, { query: { version: '1' }, body: { session_data: { ciphertext: opaque(), mac: opaque() } } });
    await alice.call('POST', '/keys/upload', { body: { one_time_keys: { [`signed_curve25519:${unique()}`]: { key: opaque() } } } });
    await login(server.base, alice.id, unique('Pw-wrong-'));
    await login(server.base, alice.id, alice.password);
  }
  await eventually('the outage is in the log', async () => server.stderr.some((line) => /storage|D1|events/i.test(line)));
  assert.ok(secrets().size > 50, `${secrets().size} secrets were used`);
  assert.deepEqual(leaks([...server.stdout, ...server.stderr], secrets()), []);
  t.diagnostic(`none of ${secrets().size} secrets in ${server.stderr.length} lines of log`);
});
