// Synapse and Tern, each of which is another server to the other.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, eventually, okay, register, unique } from './support/client.ts';
import { uncontrolled } from './support/server.ts';
import { federation, missing } from './support/synapse.ts';

const skip = uncontrolled || missing;
const { tern, synapse, toTern } = skip ? undefined! : await federation();
const alice = skip ? undefined! : await register(tern.base, { username: unique('alice') });
const bob = skip ? undefined! : await register(synapse.base, { username: unique('bob') });

test('Synapse reads a profile, an alias and the directory of this server', { skip }, async () => {
  okay(await ask(tern.base, 'PUT', `/profile/${encodeURIComponent(alice.id)}/displayname`, { token: alice.token, body: { displayname: 'Alice' } }));
  const profile = okay(await ask(synapse.base, 'GET', `/profile/${encodeURIComponent(alice.id)}`, { token: bob.token }));
  assert.equal(profile.displayname, 'Alice');
  const name = unique('room');
  const room = await alice.createRoom({ name, preset: 'public_chat', visibility: 'public', room_alias_name: name });
  const found = okay(await ask(synapse.base, 'GET', `/directory/room/${encodeURIComponent(`#${name}:${toTern.name}`)}`, { token: bob.token }));
  assert.deepEqual([found.room_id, found.servers.includes(toTern.name)], [room, true]);
  await eventually('the room is in the directory', async () => {
    const { chunk } = okay(await ask(synapse.base, 'POST', '/publicRooms', {
      token: bob.token, query: { server: toTern.name }, body: { filter: { generic_search_term: name } },
    }));
    return chunk.length === 1 && chunk[0].room_id === room;
  });
  assert.ok(toTern.passed.every(({ status }) => status !== 401), 'every signature was good');
});
