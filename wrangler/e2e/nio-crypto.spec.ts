// matrix-nio with its end-to-end encryption, unmodified, with itself.
import { after, test } from 'node:test';
import { nio } from './support/nio-peer.ts';
import { converse, exchange } from './support/peers.ts';
import { shared } from './support/server.ts';

const base = await shared();
const ROUNDS = 10;
const FILE = 200_000;
after(() => setTimeout(() => process.exit(), 500));

test('matrix-nio: an encrypted conversation of two, with files', async (t) => {
  const peers = [await nio(t, base), await nio(t, base)];
  await converse(peers, ROUNDS);
  await exchange(peers, FILE);
});
