// What people here and people of Synapse see of each other's servers: pictures, directories, profiles, spaces.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { ask, at, eventually, register, unique, type Json, type User } from './support/client.ts';
import { download, upload } from './support/media.ts';
import { CHECKOUT, uncontrolled } from './support/server.ts';
import { federation, missing, type Federation } from './support/synapse.ts';
import type { TlsFront } from './support/tls-front.ts';
import { png } from './support/web.ts';

const skip = uncontrolled || missing;
const { tern, synapse, toTern, toSynapse, ca } = skip ? ({} as Federation) : await federation();
const [alice, bob] = skip ? [undefined!, undefined!] : [await register(tern.base), await register(synapse.base)];
const [anna, ben] = skip ? [undefined!, undefined!] : [await register(tern.base), await register(synapse.base)];

const PATIENCE_MS = 30_000;
const THUMBNAIL = '/_matrix/client/v1/media/thumbnail/';

const requests = (front: TlsFront, about: string) => front.passed.filter(({ target }) => target.includes(about)).length;

for (const [from, to] of skip ? [] : [['here', 'Synapse'], ['Synapse', 'here']]) {
  test(`a picture that was uploaded at ${from} is seen at ${to}`, async () => {
    const [owner, reader, second, front]: [User, User, User, TlsFront] =
      to === 'here' ? [bob, alice, anna, toSynapse] : [alice, bob, ben, toTern];
    const picture = png(320, 240);
    const path = await upload(owner, picture, 'image/png', 'bird.png');
    const seen = await download(reader, path);
    assert.equal(seen.status, 200, seen.bytes.toString());
    assert.ok(seen.bytes.equals(picture));
    assert.equal(seen.headers.get('content-type'), 'image/png');
    assert.match(seen.headers.get('content-disposition') ?? '', /bird\.png/u);
    const id = path.split('/').at(-1)!;
    const before = requests(front, id);
    assert.ok(before > 0, 'it came from the other server');
    assert.ok((await download(second, path)).bytes.equals(picture));
    assert.equal(requests(front, id), before, 'the second reader asks nobody');
    const small = await download(reader, `${THUMBNAIL}${path}?width=96&height=96&method=crop`);
    assert.deepEqual([small.status, small.headers.get('content-type')?.split('/')[0]], [200, 'image']);
    if (to === 'here') {
      assert.equal(requests(front, id), before, 'thumbnails are made of the copy');
      const part = await download(reader, path, { headers: { range: 'bytes=1-3' } });
      assert.deepEqual([part.status, part.bytes.toString()], [206, 'PNG']);
      const head = await download(reader, path, { method: 'HEAD' });
      assert.deepEqual([head.status, head.headers.get('content-length')], [200, String(picture.length)]);
    }
  });
}

test('a thumbnail of a picture from here that Synapse has not got yet', { skip }, async () => {
  const path = await upload(alice, png(640, 480), 'image/png');
  const small = await eventually('the thumbnail comes', async () => {
    const answer = await download(ben, `${THUMBNAIL}${path}?width=96&height=96&method=crop`);
    return answer.status === 200 && answer;
  }, PATIENCE_MS);
  assert.match(small.headers.get('content-type')!, /^image\//u);
});

test('what nobody has is not found, on either side', { skip }, async () => {
  assert.equal((await download(alice, `${synapse.name}/${'x'.repeat(24)}`)).status, 404);
  assert.equal((await download(bob, `${toTern.name}/${'x'.repeat(24)}`)).status, 404);
});

test('the directory of the other side is searched, both ways', { skip }, async () => {
  const [ours, theirs] = [unique('ours'), unique('theirs')];
  const room = await alice.createRoom({ visibility: 'public', name: ours, room_alias_name: ours });
  const there = await bob.createRoom({ visibility: 'public', name: theirs, room_alias_name: theirs });
  const searched = (user: User, server: string, term: string) =>
    eventually(`${user.id} finds ${term}`, async () => {
      const body = { filter: { generic_search_term: term } };
      const { json } = await ask(user.base, 'POST', '/publicRooms', { token: user.token, query: { server }, body });
      return json?.chunk?.length === 1 && json.chunk[0].room_id;
    }, PATIENCE_MS);
  assert.equal(await searched(alice, synapse.name, theirs), there);
  assert.equal(await searched(bob, toTern.name, ours), room);
  const listed = await alice.get('/publicRooms', { server: synapse.name, limit: 50 });
  assert.ok(listed.chunk.some((entry: Json) => entry.room_id === there));
  const alias = await alice.get(at`/directory/room/${`#${theirs}:${synapse.name}`}`);
  assert.deepEqual([alias.room_id, alias.servers.includes(synapse.name)], [there, true]);
  assert.equal((await bob.get(at`/directory/room/${`#${ours}:${toTern.name}`}`)).room_id, room);
  assert.equal((await alice.call('GET', at`/directory/room/${`#no${theirs}:${synapse.name}`}`)).status, 404);
});

test('profiles are read, both ways', { skip }, async () => {
  for (const [owner, reader] of [[alice, bob], [bob, alice]] as const) {
    const name = unique('Name');
    await owner.put(at`/profile/${owner.id}/displayname`, { displayname: name });
    const profile = await eventually('the name is read', async () => {
      const { json } = await reader.call('GET', at`/profile/${owner.id}`);
      return json?.displayname === name && json;
    }, 90_000);
    assert.equal(profile.displayname, name);
    assert.equal((await reader.get(at`/profile/${owner.id}/displayname`)).displayname, name);
    const nobody = await reader.call('GET', at`/profile/${`@${unique('no')}:${owner.server}`}`);
    assert.equal(nobody.status, 404);
  }
});

test('spaces of the other side are looked through, both ways', { skip }, async () => {
  const within = async (owner: User, name: string, children: [string, string][]) => {
    const space = await owner.createRoom({ name, creation_content: { type: 'm.space' } });
    for (const [child, via] of children) await owner.setState(space, 'm.space.child', { via: [via], suggested: true }, child);
    return space;
  };
  for (const [owner, reader] of [[bob, alice], [alice, bob]] as const) {
    const name = unique('room');
    const room = await owner.createRoom({ name });
    const space = await within(owner, `${name} space`, [[room, owner.server]]);
    const own_ = await within(reader, `${name} own`, [[space, owner.server]]);
    const found = await eventually(`${reader.id} sees the space in the space`, async () => {
      const { json } = await reader.call('GET', at`/_matrix/client/v1/rooms/${own_}/hierarchy`);
      return json?.rooms?.length === 3 && json.rooms;
    }, PATIENCE_MS);
    assert.deepEqual(found.map((entry: Json) => entry.room_id), [own_, space, room]);
    assert.deepEqual(found.map((entry: Json) => entry.name), [`${name} own`, `${name} space`, name]);
  }
  // A room that nobody here is in, by its id and a server that knows it.
  const name = unique('room');
  const room = await bob.createRoom({ name });
  const summary = await alice.get(at`/_matrix/client/v1/room_summary/${room}`, { via: synapse.name });
  assert.deepEqual([summary.room_id, summary.name], [room, name]);
  const closed = await bob.createRoom({ name, preset: 'private_chat' });
  assert.equal((await alice.call('GET', at`/_matrix/client/v1/room_summary/${closed}`, { query: { via: synapse.name } })).status, 404);
});

test('an operator is told how a server is', { skip }, async () => {
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: ca };
  const check = async (name: string): Promise<Json> =>
    JSON.parse((await promisify(execFile)(process.execPath, [join(CHECKOUT, 'wrangler/tasks/federation.mjs'), name], { env })).stdout);
  for (const [front, software] of [[toSynapse, 'Synapse'], [toTern, 'Tern']] as const) {
    const facts = await check(front.name);
    assert.equal(facts.keys.status, 200, JSON.stringify(facts));
    assert.deepEqual(Object.values(facts.signed), [true]);
    assert.equal(JSON.parse(facts.version.body).server.name, software);
  }
  assert.ok((await check('127.0.0.1:9')).keys.error);
});
