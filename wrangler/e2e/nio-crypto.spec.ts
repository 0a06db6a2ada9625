// matrix-nio with its end-to-end encryption, unmodified: with itself and with matrix-js-sdk.
import { after, test } from 'node:test';
import { hush, JsPeer } from './support/js-peer.ts';
import { nio } from './support/nio-peer.ts';
import { converse, exchange } from './support/peers.ts';
import { shared } from './support/server.ts';

const base = await shared();
const ROUNDS = 10;
const FILE = 200_000;
hush();
after(() => setTimeout(() => process.exit(), 500));

test('matrix-nio: an encrypted conversation of two, with files', async (t) => {
  const peers = [await nio(t, base), await nio(t, base)];
  await converse(peers, ROUNDS);
  await exchange(peers, FILE);
});

test("matrix-nio and matrix-js-sdk read each other and each other's files, whoever made the room", async (t) => {
  const peers = [await nio(t, base), await JsPeer.start(base), await JsPeer.start(base, 'sliding sync')];
  t.after(() => Promise.all(peers.slice(1).map((peer) => peer.stop())));
  await converse(peers, 3);
  await exchange(peers, FILE);
  await converse([peers[1]!, peers[0]!], 3);
});
