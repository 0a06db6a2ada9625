// What waiting costs: an idle or live sliding sync makes no storage call, whatever the number of rooms.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, register, type User } from './support/client.ts';
import { sized } from './support/full.ts';
import { own, uncontrolled, type Server } from './support/server.ts';
import { Sliding, follow, park, says } from './support/sync.ts';

const FLAGS = ['--open-registration', '--unlimited', '--chaos'];
/** Reports on what requests cost are calls of the storage worker, too. */
const QUIET = { METRICS_INTERVAL_MS: '0' };
const POLLS = 20;
/** With nobody doing anything, forwarding to storage is over when no call came for this long. */
const STILL_MS = 1_500;

/** Rooms of one user, each with a message, joined by a second user. */
async function populate(alice: User, bob: User, count: number): Promise<string[]> {
  const rooms: string[] = [];
  while (rooms.length < count) {
    const some = await Promise.all(Array.from({ length: Math.min(10, count - rooms.length) }, () => alice.createRoom()));
    await Promise.all(some.map(async (room) => {
      await bob.join(room);
      await bob.send(room, 'hello');
    }));
    rooms.push(...some);
  }
  return rooms;
}

async function still(server: Server): Promise<number> {
  return eventually('forwarding is over', async () => {
    const before = (await server.storageCalls()).calls;
    await new Promise((resolve) => setTimeout(resolve, STILL_MS));
    return (await server.storageCalls()).calls === before && before;
  }, 60_000);
}

for (const count of [10, ...sized([], [500])]) {
  test(`with ${count} rooms an idle sliding sync makes no storage call and has at most 60 bytes`, { skip: uncontrolled, timeout: 900_000 }, async (t) => {
    const server = await own({ flags: FLAGS, vars: QUIET });
    const [alice, bob] = [await register(server.base), await register(server.base)];
    const rooms = await populate(alice, bob, count);
    for (const shape of ['unstable', 'stable'] as const) {
      const loop = new Sliding(alice, { shape, last: count - 1, limit: 1 });
      await park(loop, 500).then(({ answer }) => answer);
      const before = await still(server);
      let slowest = 0;
      for (let n = 0; n < POLLS; n += 1) {
        const { bytes, ms, text } = await loop.poll(0);
        assert.ok(bytes <= 60, `${bytes} bytes: ${text.slice(0, 300)}`);
        slowest = Math.max(slowest, ms);
      }
      assert.equal((await server.storageCalls()).calls, before, 'idle polls do not reach storage');
      t.diagnostic(`${shape}, ${count} rooms: ${POLLS} idle polls, slowest ${slowest.toFixed(1)} ms, no storage call`);
    }

    const loop = new Sliding(alice, { last: count - 1, limit: 1 });
    await park(loop, 500).then(({ answer }) => answer);
    const before = await still(server);
    const sent = 5;
    for (let n = 0; n < sent; n += 1) {
      await bob.typing(rooms[0], n % 2 === 0);
      await bob.send(rooms[0], `live ${n}`);
      await follow(loop, 'the message', (json) => says(json, rooms[0], `live ${n}`));
    }
    const spent = (await still(server)) - before;
    assert.ok(spent <= sent, `${spent} storage calls for ${sent} messages: only their forwarding may call storage`);
    t.diagnostic(`${count} rooms: ${sent} messages sent and synced with ${spent} storage calls`);
  });
}
