// Encryption between this server and Synapse 1.163.2: keys, changed devices, to-device messages, typing and receipts, both ways.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, at, eventually, okay, register, unique, type Json, type User } from './support/client.ts';
import { CrossSigning, CURVE, publish } from './support/keys.ts';
import { uncontrolled } from './support/server.ts';
import { federation, missing } from './support/synapse.ts';
import { Classic, ephemeral, follow, hasRead, Sliding, types } from './support/sync.ts';

const skip = uncontrolled || missing;
const { tern, synapse, toTern, toSynapse } = skip ? undefined! : await federation();
const PATIENCE_MS = 30_000;

/** A user here and one of Synapse, in a room of this server. */
async function together(): Promise<[User, User, string]> {
  const [alice, bob] = [await register(tern.base), await register(synapse.base)];
  const room = await alice.createRoom({});
  await eventually('Synapse is in the room', async () => {
    const query = { via: toTern.name, server_name: toTern.name };
    return (await ask(bob.base, 'POST', at`/join/${room}`, { token: bob.token, query, body: {} })).status === 200;
  }, PATIENCE_MS);
  await eventually('its user is seen', async () => {
    const { json } = await alice.call('GET', at`/rooms/${room}/state/m.room.member/${bob.id}`);
    return json?.membership === 'join';
  }, PATIENCE_MS);
  return [alice, bob, room];
}

const query = (asker: User, of: User) => asker.post('/keys/query', { device_keys: { [of.id]: [] } });
const devicesOf = async (asker: User, of: User) => Object.keys((await query(asker, of)).device_keys?.[of.id] ?? {});
const sees = (asker: User, of: User, device: string) =>
  eventually(`${asker.id} sees ${device} of ${of.id}`, async () => (await devicesOf(asker, of)).includes(device), PATIENCE_MS);

async function crossSign(user: User): Promise<CrossSigning> {
  const keys = new CrossSigning(user);
  const first = await user.call('POST', '/keys/device_signing/upload', { body: keys.upload() });
  if (first.status === 401) {
    const identifier = { type: 'm.id.user', user: user.id };
    const auth = { type: 'm.login.password', identifier, password: user.password, session: first.json.session };
    okay(await user.call('POST', '/keys/device_signing/upload', { body: { ...keys.upload(), auth } }));
  } else okay(first);
  return keys;
}

test('keys are looked up and claimed from both sides', { skip }, async () => {
  const [alice, bob] = await together();
  for (const [asker, of] of [[alice, bob], [bob, alice]] as const) {
    const key = await publish(of);
    const signing = await crossSign(of);
    await of.post('/keys/upload', { one_time_keys: key.oneTime(['A', 'B']) });
    await sees(asker, of, of.device);
    const seen = await eventually('cross-signing keys are seen as well', async () => {
      const answer = await query(asker, of);
      return answer.master_keys?.[of.id] && answer;
    }, PATIENCE_MS);
    assert.deepEqual(seen.device_keys[of.id][of.device].keys, key.identity().keys);
    assert.deepEqual(seen.master_keys[of.id].keys, signing.master.forUsage('master').keys);
    assert.ok(seen.self_signing_keys[of.id].signatures[of.id], 'signed by the master key');
    assert.equal(seen.user_signing_keys?.[of.id], undefined, 'which concerns nobody else');
    const claim = async (): Promise<string | undefined> => {
      const { one_time_keys } = await asker.post('/keys/claim', { one_time_keys: { [of.id]: { [of.device]: CURVE } } });
      return Object.keys(one_time_keys[of.id]?.[of.device] ?? {})[0];
    };
    const claimed = [await claim(), await claim()];
    assert.deepEqual(claimed.toSorted(), [`${CURVE}:A`, `${CURVE}:B`], 'each once');
    assert.equal(await claim(), undefined);
  }
});

test('a server that cannot be asked is a failure, and nobody else is', { skip }, async () => {
  const [alice, bob] = await together();
  await publish(bob);
  await sees(alice, bob, bob.device);
  const nobody = '@nobody:localhost:1';
  const seen = await alice.post('/keys/query', { device_keys: { [alice.id]: [], [bob.id]: [], [nobody]: [] } });
  assert.deepEqual(Object.keys(seen.failures), ['localhost:1']);
  assert.ok(seen.device_keys[bob.id][bob.device] && seen.device_keys[alice.id]);
  const claimed = await alice.post('/keys/claim', { one_time_keys: { [nobody]: { D: CURVE } } });
  assert.deepEqual(Object.keys(claimed.failures), ['localhost:1']);
});

test('changed devices of Synapse users are told in both syncs, and what was kept of them goes', { skip }, async () => {
  const [alice, bob] = await together();
  await publish(bob);
  await sees(alice, bob, bob.device);
  const [classic, sliding] = [new Classic(alice), new Sliding(alice)];
  await Promise.all([classic.poll(0), sliding.poll(0)]);
  const asked = () => toSynapse.passed.filter(({ target }) => target.endsWith('/user/keys/query')).length;
  await eventually('what is true is not asked for again', async () => {
    const before = asked();
    return (await devicesOf(alice, bob)).includes(bob.device) && asked() === before;
  }, PATIENCE_MS);
  const second = await bob.login();
  await publish(second);
  await Promise.all([
    follow(classic, 'classic sync tells', (json) => json.device_lists?.changed?.includes(bob.id), PATIENCE_MS),
    follow(sliding, 'sliding sync tells', (json) => json.extensions?.e2ee?.device_lists?.changed?.includes(bob.id), PATIENCE_MS),
  ]);
  await sees(alice, bob, second.device);
});

test('50 to-device messages each way arrive once and in order, though connections break and this server is killed', { skip }, async () => {
  const [alice, bob] = await together();
  await Promise.all([publish(alice), publish(bob)]);
  await Promise.all([sees(alice, bob, bob.device), sees(bob, alice, alice.device)]);
  const COUNT = 50;
  let [ours, theirs] = [0, 0];
  toSynapse.fault = (method, target) => (method === 'PUT' && target.includes('/send/') && ours++ < 2 ? 'close' : undefined);
  toTern.fault = (method, target) => (method === 'PUT' && target.includes('/send/') && theirs++ < 1 ? 'close' : undefined);
  const tell = (from: User, to: User, n: number) =>
    from.put(at`/sendToDevice/m.test/${unique('t')}`, { messages: { [to.id]: { [to.device]: { n } } } });
  for (let n = 0; n < COUNT; n += 1) {
    if (n === COUNT / 2) {
      tern.killWorkerd();
      await tern.recover();
    }
    await Promise.all([tell(alice, bob, n), tell(bob, alice, n)]);
  }
  const hears = async (user: User) => {
    const heard: number[] = [];
    await follow(new Classic(user), `${user.id} hears all`, (json) => {
      for (const event of json.to_device?.events ?? []) if (event.type === 'm.test') heard.push(event.content.n);
      return heard.length >= COUNT;
    }, 120_000);
    return heard;
  };
  const all = Array.from({ length: COUNT }, (_, n) => n);
  const [byAlice, byBob] = await Promise.all([hears(alice), hears(bob)]);
  assert.deepEqual(byAlice, all, 'of Synapse, here');
  assert.deepEqual(byBob, all, 'of this server, at Synapse');
  assert.ok(ours > 2 && theirs > 1, 'connections were broken on both ways');
});

test('changed devices of users here are told to Synapse', { skip }, async () => {
  const [alice, bob] = await together();
  await publish(alice);
  await sees(bob, alice, alice.device);
  const classic = new Classic(bob);
  await classic.poll(0);
  const second = await alice.login();
  await publish(second);
  await follow(classic, 'Synapse tells', (json) => json.device_lists?.changed?.includes(alice.id), PATIENCE_MS);
  await sees(bob, alice, second.device);
  await crossSign(alice);
  await eventually('cross-signing keys arrive', async () => (await query(bob, alice)).master_keys?.[alice.id], PATIENCE_MS);
  await second.post('/logout');
  await eventually('a device that has gone is gone there', async () => !(await devicesOf(bob, alice)).includes(second.device), PATIENCE_MS);
});

test('typing and receipts are seen on both sides', { skip }, async () => {
  const [alice, bob, room] = await together();
  const event = await alice.send(room, 'read me');
  await eventually('it arrives', async () => (await bob.call('GET', at`/rooms/${room}/event/${event}`)).status === 200, PATIENCE_MS);
  const [here, sliding, there] = [new Classic(alice), new Sliding(alice), new Classic(bob)];
  await Promise.all([here.poll(0), sliding.poll(0), there.poll(0)]);
  await bob.typing(room);
  await Promise.all([here, sliding].map((loop) => follow(loop, 'typing at Synapse is seen here', (json) => types(bob, json, room), PATIENCE_MS)));
  await bob.typing(room, false);
  const stopped = (json: Json) => ephemeral(json, room, 'm.typing').some((event) => !event.content.user_ids.includes(bob.id));
  await follow(here, 'and its end', stopped, PATIENCE_MS);
  await alice.typing(room);
  await follow(there, 'typing here is seen at Synapse', (json) => types(alice, json, room), PATIENCE_MS);
  await bob.receipt(room, event);
  await Promise.all([here, sliding].map((loop) => follow(loop, 'a receipt of Synapse is seen here', (json) => hasRead(bob, json, room, event), PATIENCE_MS)));
  const second = await bob.send(room, 'and me');
  await eventually('that arrives, too', async () => (await alice.call('GET', at`/rooms/${room}/event/${second}`)).status === 200, PATIENCE_MS);
  await alice.receipt(room, second);
  await follow(there, 'a receipt of here is seen at Synapse', (json) => hasRead(alice, json, room, second), PATIENCE_MS);
});
