// Events chosen by how they relate to others (MSC3874), by each of its names, wherever a room's events are filtered.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, at, bodies, eventually, history, okay, people, unique, type Json } from './support/client.ts';
import { shared } from './support/server.ts';
import { Classic, knows, timeline } from './support/sync.ts';

const base = await shared();
const [alice] = await people(base, 1);
const room = await alice!.createRoom();
const root = await alice!.send(room, 'root tern');
for (const [body, rel_type] of [['threaded tern', 'm.thread'], ['referring tern', 'm.reference']] as const) {
  const content = { msgtype: 'm.text', body, 'm.relates_to': { rel_type, event_id: root } };
  await alice!.put(at`/rooms/${room}/send/m.room.message/${unique('t')}`, content);
}
await alice!.send(room, 'last tern');
await knows(alice!, [room], 'last tern');

const cases = (prefix: string): [filter: Json, expected: string[]][] => [
  [{ [`${prefix}not_rel_types`]: ['m.thread'] }, ['root tern', 'referring tern', 'last tern']],
  [{ [`${prefix}rel_types`]: ['m.thread'] }, ['threaded tern']],
  [{ [`${prefix}rel_types`]: ['m.thread', 'm.reference'], [`${prefix}not_rel_types`]: ['m.thread'] }, ['referring tern']],
  [{ [`${prefix}rel_types`]: [] }, []],
];

for (const [name, prefix] of [['stable', ''], ['unstable', 'org.matrix.msc3874.']] as const) {
  test(`${name}: messages, context, sync and search leave out what the filter does`, async () => {
    for (const [filter, expected] of cases(prefix)) {
      const text = JSON.stringify(filter);
      assert.deepEqual(bodies(await history(alice!, room, 'f', 10, { filter: text })), expected, `messages ${text}`);
      const { events_after: after } = await alice!.get(at`/rooms/${room}/context/${root}`, { filter: text, limit: 10 });
      assert.deepEqual(bodies(after), expected.filter((body) => body !== 'root tern'), `context ${text}`);
      const classic = new Classic(alice!, { filter: JSON.stringify({ room: { timeline: { ...filter, limit: 50 } } }) });
      assert.deepEqual(bodies(timeline(await classic.next(), room)), expected, `sync ${text}`);
      const search = { search_categories: { room_events: { search_term: 'tern', filter: { ...filter, rooms: [room] } } } };
      await eventually(`search ${text}`, async () => {
        const found = (await alice!.post('/search', search)).search_categories.room_events.results;
        return JSON.stringify(bodies(found.map((one: Json) => one.result)).sort()) === JSON.stringify([...expected].sort());
      });
    }
  });
}

test('the server says that it can', async () => {
  const { unstable_features: features } = okay(await ask(base, 'GET', '/_matrix/client/versions'));
  assert.equal(features['org.matrix.msc3874'], true);
});
