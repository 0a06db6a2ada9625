// Account data that is deleted (MSC3391), by its owner or with its device (MSC3890), as each sync tells it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, at, okay, people, refused, type Json, type User } from './support/client.ts';
import { shared } from './support/server.ts';
import { Classic, Sliding, delivers, follow, type Loop } from './support/sync.ts';

const base = await shared();
const TYPE = 'org.example.kept';

/** Account data in an answer of either sync: global, or of a room. */
function told(json: Json, room?: string): Json[] {
  const sliding = json.extensions?.account_data;
  if (room) return json.rooms?.join?.[room]?.account_data?.events ?? sliding?.rooms?.[room] ?? [];
  return json.account_data?.events ?? sliding?.global ?? [];
}

const content = (json: Json, type: string, room?: string): Json | undefined => told(json, room).find((event) => event.type === type)?.content;
const isEmpty = (found: Json | undefined) => found !== undefined && Object.keys(found).length === 0;

const loops = (user: User): Loop[] =>
  [new Classic(user), new Sliding(user), new Sliding(user, { shape: 'stable', conn: 'stable' })];

for (const [name, prefix] of [['stable', '/_matrix/client/v3'], ['unstable', '/_matrix/client/unstable/org.matrix.msc3391']] as const) {
  test(`${name}: what is deleted is gone, told once to who knew it, and to nobody who comes later`, async () => {
    const [alice] = await people(base, 1);
    const room = await alice!.createRoom();
    for (const place of [undefined, room]) {
      const path = at`/user/${alice!.id}` + (place ? at`/rooms/${place}` : '') + at`/account_data/${TYPE}`;
      await alice!.put(path, { a: 1 });
      const known = loops(alice!);
      for (const loop of known) await follow(loop, 'the entry', (json) => content(json, TYPE, place)?.a === 1);
      await alice!.delete(prefix + path);
      for (const loop of known) await follow(loop, 'its end', (json) => isEmpty(content(json, TYPE, place)));
      refused(await alice!.call('GET', path), 404, 'M_NOT_FOUND');
      for (const loop of loops(await alice!.login())) {
        const first = (await loop.poll(0)).json;
        assert.equal(content(first, TYPE, place), undefined, 'a new client hears nothing of it');
      }
      await alice!.delete(prefix + path);
      await alice!.put(path, { a: 2 });
      for (const loop of known) await follow(loop, 'the new entry', (json) => content(json, TYPE, place)?.a === 2);
    }
  });
}

test('an empty content deletes as well', async () => {
  const [alice] = await people(base, 1);
  const path = at`/user/${alice!.id}/account_data/${TYPE}`;
  await alice!.put(path, { a: 1 });
  const loop = new Classic(alice!);
  await loop.poll(0);
  await alice!.put(path, {});
  await follow(loop, 'its end', (json) => isEmpty(content(json, TYPE)));
  refused(await alice!.call('GET', path), 404, 'M_NOT_FOUND');
});

test('a deletion wakes a parked poll', async (t) => {
  const [alice] = await people(base, 1);
  const path = at`/user/${alice!.id}/account_data/${TYPE}`;
  await alice!.put(path, { a: 1 });
  await delivers(t, new Classic(alice!), () => alice!.delete(path), (json) => isEmpty(content(json, TYPE)));
});

test('what the server keeps, or another user, cannot be deleted', async () => {
  const [alice, bob] = await people(base, 2);
  for (const type of ['m.push_rules', 'm.fully_read']) {
    refused(await alice!.call('DELETE', at`/user/${alice!.id}/account_data/${type}`), 405, 'M_BAD_JSON');
  }
  refused(await bob!.call('DELETE', at`/user/${alice!.id}/account_data/${TYPE}`), 403, 'M_FORBIDDEN');
});

test('what is kept of a device goes with it, and other devices hear that', async () => {
  const [alice] = await people(base, 1);
  const other = await alice!.login();
  const types = ['m', 'org.matrix.msc3890'].map((prefix) => `${prefix}.local_notification_settings.${other.device}`);
  const own = `m.local_notification_settings.${alice!.device}`;
  for (const type of [...types, own]) await alice!.put(at`/user/${alice!.id}/account_data/${type}`, { is_silenced: true });
  const loop = new Classic(alice!);
  await loop.poll(0);
  await other.post('/logout');
  const ended = new Set<string>();
  await follow(loop, 'both entries end', (json) => {
    for (const type of types) if (isEmpty(content(json, type))) ended.add(type);
    return ended.size === 2;
  });
  for (const type of types) refused(await alice!.call('GET', at`/user/${alice!.id}/account_data/${type}`), 404, 'M_NOT_FOUND');
  assert.deepEqual(await alice!.get(at`/user/${alice!.id}/account_data/${own}`), { is_silenced: true });
});

test('the server says that account data can be deleted', async () => {
  const { unstable_features: features } = okay(await ask(base, 'GET', '/_matrix/client/versions'));
  for (const name of ['msc3391', 'msc3890']) assert.equal(features[`org.matrix.${name}`], true, name);
});
