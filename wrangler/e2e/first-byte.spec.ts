// How long the sign-in page takes to its first byte, beside the least that any answer of this worker takes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shared } from './support/server.ts';

const ROUNDS = 60;
const FLOOR = '/_matrix/client/versions';
const PAGE = '/account/sign-in';

/** Milliseconds to the first byte: headers are there, nothing of the body has been read. */
async function firstByte(address: string): Promise<number> {
  const start = performance.now();
  const answer = await fetch(address, { redirect: 'manual', headers: { accept: 'text/html' } });
  const spent = performance.now() - start;
  assert.equal(answer.status, 200);
  await answer.arrayBuffer();
  return spent;
}

const median = (times: number[]) => times.toSorted((one, other) => one - other)[times.length >> 1]!;

test('the sign-in page begins within three times the floor', async (t) => {
  const base = await shared();
  const times: Record<string, number[]> = { [FLOOR]: [], [PAGE]: [] };
  // In turns, so that whatever else the machine does meets both.
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const path of [FLOOR, PAGE]) times[path]!.push(await firstByte(base + path));
  }
  const [floor, page] = [median(times[FLOOR]!), median(times[PAGE]!)];
  t.diagnostic(`floor ${floor.toFixed(2)} ms, sign-in page ${page.toFixed(2)} ms, ${(page / floor).toFixed(2)} times`);
  assert.ok(page <= 3 * floor, `${page.toFixed(2)} ms is more than three times ${floor.toFixed(2)} ms`);
});
