// A room with the largest state that is allowed, every event of it in the place of one as large: it can be joined, synced, read
// and left, and the isolate that has the hubs and the public worker stays below what the platform gives it.
// Only under --full: it takes the isolate to its limit.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test, type TestContext } from 'node:test';
import { at, okay, people, refused, type Json, type User } from './support/client.ts';
import { FULL } from './support/full.ts';
import { isolate } from './support/isolate.ts';
import { own, uncontrolled, type Server } from './support/server.ts';
import { Classic, Sliding } from './support/sync.ts';

const FOLDER = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
const KIND = 'org.example.large';
/** Most of an event. */
const BYTES = 60_000;
const BUDGET = 4 << 20;
/** What the platform gives an isolate, in MB. */
const ISOLATE = 128;
const WITHIN = 120_000;

/** Sets state until there is no place for more, then each piece of it again; how many pieces there are. */
async function fill(user: User, room: string): Promise<number> {
  const set = (key: number, letter: string) =>
    user.call('PUT', at`/rooms/${room}/state/${KIND}/${String(key)}`, { body: { text: letter.repeat(BYTES) } });
  let held = 0;
  for (;;) {
    const answer = await set(held, 'a');
    if (answer.status !== 200) {
      refused(answer, 413, 'M_TOO_LARGE');
      break;
    }
    held += 1;
  }
  assert.ok(held * BYTES < BUDGET && held * BYTES > BUDGET * 0.95, `${held} events`);
  for (let key = 0; key < held; key += 1) okay(await set(key, 'b'));
  return held;
}

const large = (events: Json[]): number => events.filter((event) => event.type === KIND).length;

/** What was measured, which is the most there ever was: the memory of a module does not shrink. */
async function measure(t: TestContext, server: Server, when: string): Promise<void> {
  const { heap, wasm } = await isolate(server);
  t.diagnostic(`isolate after ${when}: ${heap.toFixed(1)} MB of heap, ${wasm.toFixed(1)} MB of WebAssembly`);
  assert.ok(wasm > 0 && heap + wasm < ISOLATE, `${when}: ${heap} + ${wasm} MB`);
}

function everything(user: User, conn: string): Sliding {
  const loop = new Sliding(user, { conn });
  loop.body.lists.all.required_state = [['*', '*']];
  return loop;
}

test('a room with the largest state is joined, synced, read and left', { skip: uncontrolled || !FULL, timeout: 900_000 }, async (t) => {
  const server = await own({ folder: FOLDER, flags: ['--open-registration', '--unlimited', '--inspect'] });
  const [alice, bob] = await people(server.base, 2);
  const room = await alice.createRoom();
  const held = await fill(alice, room);
  await measure(t, server, `${2 * held} sends`);

  await bob.join(room);
  const sliding = everything(bob, 'all');
  const { json, bytes } = await sliding.poll(0);
  assert.equal(large(json.rooms[room].required_state), held, 'all of it, at once');
  t.diagnostic(`sliding sync: ${(bytes / 1e6).toFixed(1)} MB`);
  await measure(t, server, 'sliding sync');

  const classic = new Classic(bob);
  const first = await classic.next();
  const joined = first.rooms.join[room];
  const keys = new Set([...joined.state.events, ...joined.timeline.events].filter(({ type }) => type === KIND).map((event: Json) => event.state_key));
  assert.equal(keys.size, held, 'state and timeline together are all of it');
  await measure(t, server, 'classic sync');

  const state = okay(await bob.call('GET', at`/rooms/${room}/state`, { within: WITHIN })) as Json[];
  assert.equal(large(state), held);
  const members = okay(await bob.call('GET', at`/rooms/${room}/members`)).chunk as Json[];
  assert.deepEqual(members.map(({ state_key }) => state_key).sort(), [alice.id, bob.id].sort());
  okay(await bob.call('GET', at`/rooms/${room}/initialSync`, { within: WITHIN }));
  await measure(t, server, 'state');

  await alice.send(room, 'still here');
  await bob.leave(room);
  const after = (await classic.next()).rooms.leave[room];
  assert.ok(after, 'the leaving is told');
  okay(await bob.call('GET', at`/rooms/${room}/state`, { within: WITHIN }));
  await measure(t, server, 'leaving');

  // Who is let in finds a second one beside it: the next answer goes on where the first was full.
  const other = await alice.createRoom();
  await fill(alice, other);
  const carol = (await people(server.base, 1))[0]!;
  await carol.join(room);
  await carol.join(other);
  const loop = everything(carol, 'two');
  const told: Json[] = [];
  for (let answers = 0; answers < 4 && told.length < 2; answers += 1) {
    const { rooms = {} } = (await loop.poll(0)).json;
    const whole = Object.values(rooms as Json).filter((room: any) => large(room.required_state ?? []) > 0);
    assert.ok(whole.length <= 1, 'one at a time');
    told.push(...whole);
  }
  assert.deepEqual(told.map((room) => large(room.required_state)), [held, held]);
  await measure(t, server, 'two of them by sliding sync');
  const refusal = await carol.call('GET', '/sync', { within: WITHIN });
  refused(refusal, 413, 'M_TOO_LARGE');
  const filter = JSON.stringify({ room: { not_rooms: [other] } });
  okay(await carol.call('GET', '/sync', { query: { filter }, within: WITHIN }));
  await carol.leave(other);
  okay(await carol.call('GET', '/sync', { within: WITHIN }));
  await measure(t, server, 'all of it');
});
