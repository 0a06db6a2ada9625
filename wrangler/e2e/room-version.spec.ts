// The version of rooms whose creators name none, as the operator sets it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refused, register } from './support/client.ts';
import { own, shared, uncontrolled } from './support/server.ts';

test('rooms are of the version that the operator set, and capabilities say so', { skip: uncontrolled }, async () => {
  const server = await own({ vars: { DEFAULT_ROOM_VERSION: '11' } });
  const user = await register(server.base);
  const { default: version, available } = (await user.get('/capabilities')).capabilities['m.room_versions'];
  assert.equal(version, '11');
  assert.equal(available['12'], 'stable');
  // As a library does that knows nothing of version 12.
  const levels = { users: { [user.id]: 100 }, events: { 'm.space.child': 50 } };
  const space = await user.createRoom({ creation_content: { type: 'm.space' }, power_level_content_override: levels });
  assert.equal((await user.state(space, 'm.room.create')).room_version, '11');
  const named = await user.createRoom({ room_version: '12' });
  assert.equal((await user.state(named, 'm.room.create')).room_version, '12', 'whoever names one gets it');
  refused(await user.call('POST', '/createRoom', { body: { room_version: '5' } }), 400, 'M_UNSUPPORTED_ROOM_VERSION');
});

test('without that they are of the one that the specification recommends', async () => {
  const user = await register(await shared());
  assert.equal((await user.get('/capabilities')).capabilities['m.room_versions'].default, '12');
  assert.equal((await user.state(await user.createRoom(), 'm.room.create')).room_version, '12');
});
