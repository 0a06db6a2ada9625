// matrix-rust-sdk and matrix-sdk-ui, as published: the SDK inside Element X. Only under --full, see README.md.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { hush, JsPeer } from './support/js-peer.ts';
import { nio } from './support/nio-peer.ts';
import { converse, exchange } from './support/peers.ts';
import { build, notPlayed, play, rust } from './support/rust-sdk.ts';
import { own, shared, uncontrolled } from './support/server.ts';

const BUILD_MS = 90 * 60_000;
const skip = notPlayed;
const timeout = 600_000;
const FILE = 200_000;
hush();
// matrix-js-sdk leaves the timers of its aborted polls behind; they would hold this process.
after(() => setTimeout(() => process.exit(), 500));

const server = notPlayed || uncontrolled ? undefined : await own();
const base = notPlayed ? '' : server?.base ?? await shared();

test('the scenarios build against the published SDK', { skip, timeout: BUILD_MS }, build);

test('SyncService, RoomListService and Timeline', { skip, timeout }, async (t) => {
  const restart = async () => {
    if (server) await server.restart();
    else t.diagnostic(`NOT RUN: the restart; ${uncontrolled}`);
  };
  assert.equal(await play(t, 'rooms', base, { restart }), 10, 'claims shown');
});

test('matrix-rust-sdk, matrix-js-sdk and matrix-nio read each other', { skip, timeout }, async (t) => {
  const js = await JsPeer.start(base);
  t.after(() => js.stop());
  const peers = [await rust(t, base), js, await nio(t, base)];
  await converse(peers, 5);
  await exchange(peers, FILE);
  await converse([js, peers[0]!, peers[2]!], 5);
});
