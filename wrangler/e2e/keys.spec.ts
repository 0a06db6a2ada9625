// End-to-end encryption: the server hands public keys on, each one-time key once, and never reads or logs what is secret.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, brief, login, okay, pair, people, refused, register, unique, type Json, type User } from './support/client.ts';
import { CrossSigning, CURVE, publish, SigningKey } from './support/keys.ts';
import { sized } from './support/full.ts';
import { own, shared, uncontrolled } from './support/server.ts';
import { Classic, follow, Sliding } from './support/sync.ts';

const base = await shared();
const KEYS = sized(150, 500);
const CLAIMS = sized(500, 2_000);
const CLIENTS = sized(15, 50);

const claimOf = (user: User): Json => ({ one_time_keys: { [user.id]: { [user.device]: CURVE } } });
const claimed = (json: Json, user: User): string | undefined => Object.keys(json.one_time_keys?.[user.id]?.[user.device] ?? {})[0];

test(`${KEYS} one-time keys, ${CLAIMS} claims of ${CLIENTS} clients and a power cut: no key twice, none lost`, { skip: uncontrolled, timeout: 600_000 }, async (t) => {
  const server = await own({ flags: ['--open-registration', '--unlimited'] });
  const alice = await register(server.base);
  const key = await publish(alice);
  const ids = Array.from({ length: KEYS }, (_, n) => `K${n}`);
  const secrets = key.oneTime(ids);
  okay(await alice.call('POST', '/keys/upload', { body: { one_time_keys: secrets, fallback_keys: key.oneTime(['FALL']) } }));
  const clients = await people(server.base, CLIENTS);
  const given: string[] = [];
  let [claims, unanswered, fallbacks] = [0, 0, 0];
  let recovered: Promise<void> = Promise.resolve();
  await Promise.all(clients.map(async (client) => {
    while (claims < CLAIMS) {
      claims += 1;
      if (claims === KEYS / 2) {
        server.killWorkerd();
        recovered = server.recover();
      }
      const answer = await client.call('POST', '/keys/claim', { body: claimOf(alice), within: 30_000 }).catch(() => undefined);
      const name = answer?.status === 200 ? claimed(answer.json, alice) : undefined;
      if (name === `${CURVE}:FALL`) fallbacks += 1;
      else if (name) given.push(name);
      else {
        unanswered += 1;
        await recovered;
      }
    }
  }));
  await recovered;
  const left = okay(await alice.call('POST', '/keys/upload', { body: {} })).one_time_key_counts[CURVE] ?? 0;
  assert.equal(new Set(given).size, given.length, 'no key twice');
  assert.equal(left, 0);
  assert.ok(KEYS - given.length <= unanswered, `${KEYS - given.length} keys are gone, and only ${unanswered} claims were cut off`);
  assert.ok(fallbacks > 0 && given.length + fallbacks + unanswered === claims, 'then the fallback key');
  const log = server.stderr.join('\n') + server.stdout.join('\n');
  for (const secret of [key.publicKey, ...Object.values<Json>(secrets).map((one) => one.key)]) assert.ok(!log.includes(secret), 'a key in the log');
  t.diagnostic(`${given.length} one-time keys, ${fallbacks} times the fallback key, ${unanswered} claims cut off`);
});

test('keys are uploaded, queried and claimed', async () => {
  const [alice, bob] = await people(base, 2);
  const key = await publish(alice);
  const counts = okay(await alice.call('POST', '/keys/upload', { body: { one_time_keys: key.oneTime(['A', 'B']) } }));
  assert.deepEqual(counts, { one_time_key_counts: { [CURVE]: 2 } });
  const nobody = `@${unique()}:${alice.server}`;
  const ask = { device_keys: { [alice.id]: [], [bob.id]: [], [nobody]: [], '@x:elsewhere.example': [] } };
  const seen = await bob.post('/keys/query', ask);
  assert.deepEqual(seen.device_keys[alice.id][alice.device].keys, key.identity().keys);
  assert.deepEqual(seen.device_keys[bob.id], {}, 'known, without keys');
  assert.deepEqual(seen.device_keys[nobody], {}, 'or clients would ask for ever');
  assert.equal(Object.keys(seen.device_keys).length, 3);
  const some = await bob.post('/keys/query', { device_keys: { [alice.id]: [alice.device, 'OTHER'] } });
  assert.deepEqual(some.device_keys, { [alice.id]: seen.device_keys[alice.id] });
  assert.deepEqual((await bob.post('/keys/query', { device_keys: { [alice.id]: ['OTHER'] } })).device_keys, { [alice.id]: {} });
  assert.deepEqual(Object.keys(seen.failures), ['elsewhere.example']);
  const names = Array.from({ length: 2_200 }, (_, index) => [`@n${index}-${unique()}:${alice.server}`, []]);
  const many = await bob.post('/keys/query', { device_keys: { ...Object.fromEntries(names), [alice.id]: [] } });
  assert.equal(Object.keys(many.device_keys).length, 2_201, 'in more than one piece');
  assert.deepEqual(many.device_keys[alice.id], seen.device_keys[alice.id]);
  const first = claimed(await bob.post('/keys/claim', claimOf(alice)), alice);
  const second = claimed(await bob.post('/keys/claim', claimOf(alice)), alice);
  assert.notEqual(first, second);
  assert.equal(claimed(await bob.post('/keys/claim', claimOf(alice)), alice), undefined);
  refused(await alice.call('POST', '/keys/upload', { body: { device_keys: { ...key.identity(), algorithms: [] } } }), 400, 'M_INVALID_SIGNATURE');
  refused(await bob.call('POST', '/keys/upload', { body: { device_keys: key.identity() } }), 400, 'M_INVALID_PARAM');
  refused(await bob.call('PUT', at`/sendToDevice/m.x/${unique()}`, { body: { messages: { [alice.id]: { '*': 'text' } } } }), 400, 'M_BAD_JSON');
  refused(await bob.call('GET', '/keys/changes', { query: { from: 'x', to: 'y' } }), 400, 'M_INVALID_PARAM');
});

test('cross-signing keys are free the first time, and take the password after that', async () => {
  const [alice, bob] = await people(base, 2);
  const device = await publish(alice);
  const keys = new CrossSigning(alice);
  okay(await alice.call('POST', '/keys/device_signing/upload', { body: keys.upload() }));
  okay(await alice.call('POST', '/keys/device_signing/upload', { body: keys.upload() }));
  const others = new CrossSigning(alice);
  const challenge = await alice.call('POST', '/keys/device_signing/upload', { body: others.upload() });
  assert.equal(challenge.status, 401, brief(challenge));
  const signed = { [alice.id]: { [alice.device]: keys.self.sign(device.identity()), NOBODY: keys.self.sign(device.identity()) } };
  const { failures } = await alice.post('/keys/signatures/upload', signed);
  assert.deepEqual(Object.keys(failures[alice.id]), ['NOBODY']);

  const bobs = new CrossSigning(bob);
  await bob.post('/keys/device_signing/upload', bobs.upload());
  const trust = { [bob.id]: { [bobs.master.publicKey]: keys.other.sign(bobs.master.forUsage('master')) } };
  assert.deepEqual((await alice.post('/keys/signatures/upload', trust)).failures, {});
  const query = { device_keys: { [alice.id]: [], [bob.id]: [] } };
  const [mine, theirs] = [await alice.post('/keys/query', query), await bob.post('/keys/query', query)];
  assert.ok(mine.device_keys[alice.id][alice.device].signatures[alice.id][`ed25519:${keys.self.publicKey}`]);
  assert.ok(mine.master_keys[bob.id].signatures[alice.id], 'Alice sees whom she trusts');
  assert.equal(theirs.master_keys[bob.id].signatures?.[alice.id], undefined, 'nobody else does');
  assert.deepEqual(Object.keys(theirs.user_signing_keys), [bob.id]);

  const auth = { type: 'm.login.password', identifier: { type: 'm.id.user', user: alice.id }, password: alice.password, session: challenge.json.session };
  okay(await alice.call('POST', '/keys/device_signing/upload', { body: { ...others.upload(), auth } }));
  const taken = await login(base, alice.id, alice.password, { device_id: others.master.publicKey });
  refused(taken, 403, 'M_FORBIDDEN');
  const replaced = await bob.post('/keys/query', query);
  assert.ok(replaced.master_keys[alice.id].keys[`ed25519:${others.master.publicKey}`]);
  assert.equal(replaced.device_keys[alice.id][alice.device].signatures[alice.id][`ed25519:${keys.self.publicKey}`], undefined);
});

test('counts follow claims in both syncs, and a sync gap tells whom to look up', async () => {
  const [alice, bob, room] = await pair(base);
  const key = await publish(alice);
  const [sliding, classic, bobs] = [new Sliding(alice), new Classic(alice), new Classic(bob)];
  await bobs.poll(0);
  const since = bobs.since!;
  await alice.post('/keys/upload', { one_time_keys: key.oneTime(['A', 'B']), fallback_keys: key.oneTime(['F']) });
  const both = async (count: number, fallback: string[]): Promise<void> => {
    const { json } = await classic.poll(0);
    assert.deepEqual([json.device_one_time_keys_count[CURVE], json.device_unused_fallback_key_types], [count, fallback]);
    await follow(sliding, `${count} keys`, (answer) => answer.extensions?.e2ee?.device_one_time_keys_count?.[CURVE] === count);
  };
  await both(2, [CURVE]);
  await bob.post('/keys/claim', claimOf(alice));
  await both(1, [CURVE]);
  for (let more = 0; more < 2; more += 1) await bob.post('/keys/claim', claimOf(alice));
  const { json } = await classic.poll(0);
  assert.deepEqual([json.device_one_time_keys_count[CURVE], json.device_unused_fallback_key_types], [0, []]);

  const tablet = await alice.login();
  await publish(tablet);
  await follow(bobs, 'the tablet', (answer) => answer.device_lists?.changed?.includes(alice.id));
  const changes = await bob.get('/keys/changes', { from: since, to: bobs.since });
  assert.deepEqual(changes, { changed: [alice.id], left: [] });
  await alice.leave(room);
  await follow(bobs, 'that Alice is gone', (answer) => answer.device_lists?.left?.includes(alice.id));
});

test('a device that signs out takes its keys along, and others hear of it', async () => {
  const [alice, bob] = await pair(base);
  const tablet = await alice.login();
  await publish(tablet);
  const bobs = new Classic(bob);
  await bobs.poll(0);
  await tablet.post('/logout');
  await follow(bobs, 'the logout', (json) => json.device_lists?.changed?.includes(alice.id));
  assert.deepEqual((await bob.post('/keys/query', { device_keys: { [alice.id]: [] } })).device_keys[alice.id], {});
});

test('a backup keeps the better key, and tells exactly how much there is', async () => {
  const alice = await register(base);
  refused(await alice.call('GET', '/room_keys/version'), 404, 'M_NOT_FOUND');
  const method = { algorithm: 'm.megolm_backup.v1.curve25519-aes-sha2', auth_data: { public_key: 'abc', signatures: {} } };
  const [old, { version }] = [await alice.post('/room_keys/version', method), await alice.post('/room_keys/version', method)];
  const session = (index: number, ciphertext: string): Json =>
    ({ first_message_index: index, forwarded_count: 0, is_verified: false, session_data: { ciphertext } });
  const [room, path] = ['!room:example.org', at`/room_keys/keys/${'!room:example.org'}/${'s1'}`];
  const put = async (index: number, text: string): Promise<Json> =>
    okay(await alice.call('PUT', path, { query: { version }, body: session(index, text) }));
  const first = await put(5, 'good');
  assert.equal(first.count, 1);
  assert.deepEqual(await put(9, 'worse'), first, 'a worse key changes nothing');
  const better = await put(1, 'better');
  assert.ok(better.count === 1 && better.etag !== first.etag);
  assert.equal((await alice.get(path, { version })).session_data.ciphertext, 'better');
  const rooms = { [room]: { sessions: Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`t${n}`, session(0, 'x'.repeat(500))])) } };
  const many = okay(await alice.call('PUT', '/room_keys/keys', { query: { version }, body: { rooms } }));
  assert.equal(many.count, 301);
  assert.equal(Object.keys((await alice.get('/room_keys/keys', { version })).rooms[room].sessions).length, 301);
  assert.deepEqual(await alice.get('/room_keys/version'), { ...method, version, ...many });
  const wrong = refused(await alice.call('PUT', path, { query: { version: old.version }, body: session(0, 'x') }), 403, 'M_WRONG_ROOM_KEYS_VERSION');
  assert.equal(wrong.current_version, version);
  assert.equal(okay(await alice.call('DELETE', path, { query: { version } })).count, 300);
  okay(await alice.call('DELETE', at`/room_keys/version/${version}`));
  refused(await alice.call('GET', path, { query: { version } }), 404, 'M_NOT_FOUND');
});

test('a backup larger than one page, and than an isolate, comes back whole', { timeout: 900_000 }, async (t) => {
  const count = sized(5_000, 100_000);
  const alice = await register(base);
  const method = { algorithm: 'm.megolm_backup.v1.curve25519-aes-sha2', auth_data: { public_key: 'abc', signatures: {} } };
  const { version } = await alice.post('/room_keys/version', method);
  const data = { ephemeral: 'e'.repeat(43), mac: 'm'.repeat(11), ciphertext: 'c'.repeat(700) };
  const session = (n: number): Json => ({ first_message_index: n, forwarded_count: 0, is_verified: true, session_data: data });
  for (let first = 0; first < count; first += 2_500) {
    const numbers = Array.from({ length: 2_500 }, (_, n) => first + n);
    const rooms = { [`!room${first}:example.org`]: { sessions: Object.fromEntries(numbers.map((n) => [`s${n}`, session(n)])) } };
    okay(await alice.call('PUT', '/room_keys/keys', { query: { version }, body: { rooms } }));
  }
  const whole = await alice.call('GET', '/room_keys/keys', { query: { version }, within: 300_000 });
  const rooms = Object.values<Json>(okay(whole).rooms);
  const indices = rooms.flatMap((room) => Object.values<Json>(room.sessions).map((one) => one.first_message_index));
  assert.deepEqual(indices.toSorted((a, b) => a - b), Array.from({ length: count }, (_, n) => n));
  assert.ok(rooms.length === count / 2_500 && rooms.every((room) => Object.keys(room.sessions).length === 2_500));
  const one = await alice.call('GET', at`/room_keys/keys/${'!room0:example.org'}`, { query: { version } });
  assert.deepEqual(okay(one), whole.json.rooms['!room0:example.org']);
  t.diagnostic(`${count} keys, ${whole.bytes} bytes in ${whole.ms.toFixed(0)} ms`);
});

test('an account that ends takes its keys and backups along', async () => {
  const [alice, bob] = await people(base, 2);
  await publish(alice);
  okay(await alice.call('POST', '/keys/device_signing/upload', { body: new CrossSigning(alice).upload() }));
  await alice.post('/room_keys/version', { algorithm: 'a', auth_data: {} });
  const challenge = await alice.call('POST', '/account/deactivate', { body: {} });
  const identifier = { type: 'm.id.user', user: alice.id };
  const auth = { type: 'm.login.password', identifier, password: alice.password, session: challenge.json.session };
  okay(await alice.call('POST', '/account/deactivate', { body: { auth } }));
  const left = await bob.post('/keys/query', { device_keys: { [alice.id]: [] } });
  assert.deepEqual([left.device_keys[alice.id], left.master_keys?.[alice.id]], [{}, undefined]);
});

test('a dehydrated device collects messages until it is taken over', async () => {
  const [alice, bob] = await people(base, 2);
  const path = '/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device';
  refused(await alice.call('GET', path), 404, 'M_NOT_FOUND');
  const dry = new SigningKey(alice, unique('DRY'));
  const body = { device_id: dry.name, device_data: { algorithm: 'm.dehydration.v2', data: 'sealed' }, device_keys: dry.identity(), one_time_keys: dry.oneTime(['A']) };
  assert.deepEqual(okay(await alice.call('PUT', path, { body })), { device_id: dry.name });
  assert.equal(claimed(await bob.post('/keys/claim', { one_time_keys: { [alice.id]: { [dry.name]: CURVE } } }), { id: alice.id, device: dry.name } as User), `${CURVE}:A`);
  await bob.put(at`/sendToDevice/org.example.key/${unique()}`, { messages: { [alice.id]: { [dry.name]: { n: 1 } } } });
  const events = `${path}/${dry.name}/events`;
  const page = okay(await alice.call('POST', events, { body: {} }));
  assert.deepEqual(page.events.map((event: Json) => event.content), [{ n: 1 }]);
  assert.deepEqual(okay(await alice.call('POST', events, { body: { next_batch: page.next_batch } })).events, []);
  assert.deepEqual(okay(await alice.call('GET', path)), { device_id: dry.name, device_data: body.device_data });
  assert.deepEqual(okay(await alice.call('DELETE', path)), { device_id: dry.name });
  assert.deepEqual((await bob.post('/keys/query', { device_keys: { [alice.id]: [] } })).device_keys[alice.id], {});
});
