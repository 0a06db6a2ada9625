// Sticky events (MSC4354, MSC4480): they reach whoever is in the room while they are sticky, in both syncs, also delayed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, at, eventually, okay, pair, refused, register, unique, type Answer, type Json, type User } from './support/client.ts';
import { shared } from './support/server.ts';
import { Classic, Sliding } from './support/sync.ts';

const base = await shared();
const EXTENSION = 'org.matrix.msc4354.sticky_events';
const KIND = 'org.example.member';
const HOUR_MS = 3_600_000;

function stick(user: User, room: string, content: Json, query: Json = {}): Promise<Answer> {
  const path = at`/rooms/${room}/send/${KIND}/${unique()}`;
  return user.call('PUT', path, { body: content, query: { 'org.matrix.msc4354.sticky_duration_ms': HOUR_MS, ...query } });
}

const ids = (events: Json[] = []): string[] => events.map((event) => event.event_id);

/** Checks one event of a section, and that it says how long it lasts. */
function lasts(event: Json, id: string): void {
  assert.equal(event.event_id, id);
  assert.deepEqual(event.msc4354_sticky, { duration_ms: HOUR_MS });
  const left = event.unsigned.msc4354_sticky_duration_ttl_ms;
  assert.ok(left > 0 && left <= HOUR_MS, `${left}`);
}

async function busy(user: User, room: string): Promise<void> {
  for (let number = 0; number < 12; number += 1) await user.send(room, `${number}`);
}

test('the server says that it knows sticky events', async () => {
  const { unstable_features: features } = okay(await ask(base, 'GET', '/_matrix/client/versions'));
  assert.equal(features['org.matrix.msc4354'], true);
});

test('classic sync tells somebody in a gap, and somebody who joins later, what is sticky, once', async () => {
  const [alice, bob, room] = await pair(base);
  const phone = new Classic(bob);
  await phone.poll(0);
  const { event_id: id } = okay(await stick(alice, room, { in: 'call' }));
  await busy(alice, room);
  const joined = async (loop: Classic): Promise<Json | undefined> => okay(await loop.poll(0)).rooms?.join?.[room];
  const gap = await joined(phone);
  assert.equal(gap!.timeline.limited, true);
  lasts(gap!.msc4354_sticky.events[0], id);
  assert.equal((await joined(phone))?.msc4354_sticky, undefined);
  const carol = await register(base);
  const hers = new Classic(carol);
  await hers.poll(0);
  await carol.join(room);
  lasts((await joined(hers))!.msc4354_sticky.events[0], id);
  // What the timeline has is not told twice.
  const { event_id: next } = okay(await stick(alice, room, { in: 'call', again: true }));
  const shown = (await joined(phone))!;
  lasts(shown.timeline.events.at(-1), next);
  assert.equal(shown.msc4354_sticky, undefined);
});

for (const shape of ['unstable', 'stable'] as const) {
  test(`${shape}: sliding sync tells of rooms outside of its window, page by page, and to whoever joins`, async () => {
    const [alice, bob, room] = await pair(base);
    const sent = [];
    for (let number = 0; number < 3; number += 1) sent.push(okay(await stick(alice, room, { number })).event_id);
    await busy(alice, room);
    const other = await bob.createRoom();
    await bob.send(other, 'newest');
    const loop = new Sliding(bob, { shape, conn: unique('c'), last: 0, limit: 1 });
    loop.body.extensions = { [EXTENSION]: { enabled: true, limit: 2 } };
    const told: string[] = [];
    await eventually('all three', async () => {
      const answer = okay(await loop.poll(0));
      assert.equal(answer.rooms?.[room], undefined);
      const part = answer.extensions?.[EXTENSION];
      const events = part?.rooms?.[room]?.events ?? [];
      assert.ok(events.length <= 2);
      told.push(...ids(events));
      if (part) loop.body.extensions[EXTENSION].since = part.next_batch;
      return told.length >= 3;
    });
    assert.deepEqual(told, sent);
    const carol = await register(base);
    const hers = new Sliding(carol, { shape, conn: unique('c'), limit: 1 });
    hers.body.extensions = { [EXTENSION]: { enabled: true } };
    await hers.poll(0);
    await carol.join(room);
    const part = okay(await hers.poll(0)).extensions[EXTENSION];
    assert.deepEqual(ids(part.rooms[room].events), sent);
    lasts(part.rooms[room].events[0], sent[0]!);
  });
}

test('an event is sticky for an hour at most, and only a message is', async () => {
  const [alice, , room] = await pair(base);
  for (const duration of [HOUR_MS + 1, -1, 'soon']) {
    refused(await stick(alice, room, {}, { 'org.matrix.msc4354.sticky_duration_ms': duration }), 400, 'M_INVALID_PARAM');
  }
  const query = { 'org.matrix.msc4354.sticky_duration_ms': HOUR_MS };
  const { event_id: id } = okay(await alice.call('PUT', at`/rooms/${room}/state/${KIND}/x`, { body: { x: 1 }, query }));
  assert.equal((await alice.get(at`/rooms/${room}/event/${id}`)).msc4354_sticky, undefined);
});

test('what is redacted or has expired is sticky no more', async () => {
  const [alice, bob, room] = await pair(base);
  const { event_id: id } = okay(await stick(alice, room, { in: 'call' }));
  okay(await stick(alice, room, { in: 'haste' }, { 'org.matrix.msc4354.sticky_duration_ms': 1 }));
  await alice.put(at`/rooms/${room}/redact/${id}/${unique()}`, {});
  await busy(alice, room);
  const answer = okay(await new Classic(bob).poll(0));
  assert.equal(answer.rooms.join[room].msc4354_sticky, undefined);
});

test('a delayed event is sticky once it is sent', async () => {
  const [alice, bob, room] = await pair(base);
  const phone = new Classic(bob);
  await phone.poll(0);
  const { delay_id: delay } = okay(await stick(alice, room, { gone: true }, { 'org.matrix.msc4140.delay': 60_000 }));
  await busy(alice, room);
  assert.equal(okay(await phone.poll(0)).rooms.join[room].msc4354_sticky, undefined);
  okay(await ask(base, 'POST', at`/_matrix/client/unstable/org.matrix.msc4140/delayed_events/${delay}/send`, { body: {} }));
  await busy(alice, room);
  const [event] = okay(await phone.poll(0)).rooms.join[room].msc4354_sticky.events;
  assert.deepEqual(event.content, { gone: true });
  lasts(event, event.event_id);
});
