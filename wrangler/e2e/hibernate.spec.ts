// A waiting poll does not keep the UserHub in memory: its constructor runs again while a poll waits.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ask, at, okay, pair, type User } from './support/client.ts';
import { adminToken, shared } from './support/server.ts';
import { Classic, Sliding, park, says, type Loop } from './support/sync.ts';

const base = await shared();
const token = adminToken();
const skip = token ? false : 'the state folder is not known (TERN_STATE), so there is no admin token';

/** Idle objects hibernate after 10 s; a poll waiting for this long has outlived one. */
const ASLEEP_MS = 14_000;

async function constructed(user: User): Promise<number> {
  const { constructed } = okay(await ask(base, 'GET', at`/_tern/admin/v1/hubs/user/${user.id}`, { token }));
  assert.ok(Number.isInteger(constructed) && constructed >= 1, `constructed: ${constructed}`);
  return constructed;
}

const LOOPS: Record<string, (user: User) => Loop> = {
  'sliding sync': (user) => new Sliding(user),
  'classic sync': (user) => new Classic(user),
};

describe('while a poll is parked', { concurrency: true }, () => {
  for (const [name, open] of Object.entries(LOOPS)) {
    test(`${name}: the hub of a user who waits sleeps, and the waking message is in that same response`, { skip }, async (t) => {
      const [alice, bob, room] = await pair(base);
      const loop = open(alice);
      const parked = await park(loop, 25_000);
      const awake = await constructed(alice);
      assert.equal(await constructed(alice), awake, 'a count of constructor runs, not of requests');

      let early = false;
      parked.answer.then(() => { early = true; }, () => { early = true; });
      await new Promise((resolve) => setTimeout(resolve, ASLEEP_MS));
      assert.equal(early, false, 'the poll was still parked');

      const start = performance.now();
      await bob.send(room, 'rise');
      const answer = await parked.answer;
      const ms = performance.now() - start;
      assert.ok(says(answer.json, room, 'rise'), answer.text);
      const after = await constructed(alice);
      assert.ok(after > awake, `constructed ${after} times, ${awake} before: the hub stayed resident while the poll was parked`);
      t.diagnostic(`${name}: constructor ran again, delivered ${ms.toFixed(0)} ms after a sleep of ${ASLEEP_MS / 1000} s`);
    });
  }
});

test('the admin endpoint answers only to the admin token', { skip }, async () => {
  const [alice] = await pair(base);
  const path = at`/_tern/admin/v1/hubs/user/${alice.id}`;
  for (const wrong of [undefined, alice.token, 'guess']) {
    const answer = await ask(base, 'GET', path, { token: wrong });
    assert.ok([401, 403].includes(answer.status), `${answer.status} for ${wrong ? 'a wrong token' : 'no token'}`);
  }
});
