// Compares how long two servers take for POST /keys/query of local users, asking them in turns:
//
//     node wrangler/e2e/compare-keys-query.ts http://127.0.0.1:8787 http://127.0.0.1:8008 [--users 100] [--rounds 100]
//
// Both need open registration and no rate limits. Prints the medians and the ratio of the first server's to the second's,
// with a 95 % bootstrap interval. Not a spec: it needs another homeserver.
import { parseArgs } from 'node:util';
import { okay, register, type Json, type User } from './support/client.ts';
import { CrossSigning, publish } from './support/keys.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { users: { type: 'string', default: '100' }, rounds: { type: 'string', default: '100' } },
});
const [users, rounds] = [Number(values.users), Number(values.rounds)];
if (positionals.length !== 2 || !(users > 0) || !(rounds > 1)) throw new Error('two base URLs, and numbers above zero');

const AT_ONCE = 5;
const WARM_UP = 5;

interface Side {
  asker: User;
  query: Json;
  times: number[];
  bytes: number;
}

/** Users with a device and cross-signing keys, and somebody who asks for all of them. */
async function prepare(base: string): Promise<Side> {
  const ids: string[] = [];
  while (ids.length < users) {
    const some = await Promise.all(Array.from({ length: Math.min(AT_ONCE, users - ids.length) }, () => register(base)));
    await Promise.all(some.map(async (user) => {
      await publish(user);
      await user.post('/keys/device_signing/upload', new CrossSigning(user).upload());
    }));
    ids.push(...some.map((user) => user.id));
  }
  const query = { device_keys: Object.fromEntries(ids.map((id) => [id, []])) };
  return { asker: await register(base), query, times: [], bytes: 0 };
}

async function ask(side: Side): Promise<number> {
  const answer = await side.asker.call('POST', '/keys/query', { body: side.query });
  const devices = Object.values<Json>(okay(answer).device_keys).filter((of) => Object.keys(of).length === 1);
  if (devices.length !== users) throw new Error(`${devices.length} of ${users} devices`);
  side.bytes = answer.bytes;
  return answer.ms;
}

function median(sorted: number[]): number {
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

const ascending = (numbers: number[]): number[] => numbers.toSorted((a, b) => a - b);

/** The 95 % interval of the ratio of two medians, by drawing samples again. */
function interval(ours: number[], theirs: number[]): [number, number] {
  const again = (times: number[]): number => median(ascending(times.map(() => times[Math.floor(Math.random() * times.length)]!)));
  const ratios = ascending(Array.from({ length: 2_000 }, () => again(ours) / again(theirs)));
  return [ratios[49]!, ratios[1_949]!];
}

const sides = await Promise.all(positionals.map(prepare));
for (let round = -WARM_UP; round < rounds; round += 1) {
  // Who is asked first changes, so that neither always meets the caches that the other left.
  for (const side of round % 2 ? sides : sides.toReversed()) {
    const ms = await ask(side);
    if (round >= 0) side.times.push(ms);
  }
}
for (const [index, side] of sides.entries()) {
  console.log(`${positionals[index]}: median ${median(ascending(side.times)).toFixed(1)} ms, ${side.bytes} bytes`);
}
const [ours, theirs] = [sides[0]!.times, sides[1]!.times];
const [low, high] = interval(ours, theirs);
const ratio = median(ascending(ours)) / median(ascending(theirs));
console.log(`${users} users, ${rounds} rounds: ratio of the medians ${ratio.toFixed(2)}, 95 % interval ${low.toFixed(2)} to ${high.toFixed(2)}`);
