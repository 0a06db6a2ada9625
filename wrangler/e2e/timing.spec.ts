// What a request cost is told to whoever asks, and to nobody else.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, pair, text, unique } from './support/client.ts';
import { shared } from './support/server.ts';
import { Sliding, SLIDING } from './support/sync.ts';
import { ASKING, figures } from './support/timing.ts';

const base = await shared();
test('only a request that asks is told what it cost', async () => {
  const [alice] = await pair(base);
  const { headers } = await alice.call('GET', '/account/whoami');
  assert.equal(headers.get('server-timing'), null);
});

test('a send is one object request that writes rows, and an idle sync one that writes none', async () => {
  const [alice, , room] = await pair(base);
  const loop = new Sliding(alice);
  for (let quiet = false; !quiet; ) quiet = (await loop.poll(300)).bytes <= 60;
  const path = at`/rooms/${room}/send/m.room.message/${unique('t')}`;
  const sent = await alice.call('PUT', path, { body: text('measured'), headers: ASKING });
  const send = figures(sent.headers.get('server-timing'));
  assert.deepEqual(Object.keys(send), ['auth', 'object', 'storage', 'total', 'hops', 'storage-calls', 'rows']);
  assert.ok(send.hops! >= 1 && send.rows! >= 1, JSON.stringify(send));
  assert.ok(send.total! >= send.object!, 'what was waited for is part of the whole');
  for (let quiet = false; !quiet; ) quiet = (await loop.poll(300)).bytes <= 60;
  const idle = await alice.call('POST', SLIDING.unstable, { query: { pos: loop.pos }, body: loop.body, headers: ASKING });
  const { hops, rows, 'storage-calls': storage } = figures(idle.headers.get('server-timing'));
  assert.deepEqual({ hops, storage, rows }, { hops: 1, storage: 0, rows: 0 });
});

test('a refusal tells its cost, too', async () => {
  const [alice] = await pair(base);
  const answer = await alice.call('GET', '/account/whoami', { token: 'nonsense', headers: ASKING });
  assert.equal(answer.status, 401);
  assert.equal(figures(answer.headers.get('server-timing')).hops, 0);
});
