// matrix-rust-sdk and matrix-sdk-ui, as published: the SDK inside Element X. Only under --full, see README.md.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { build, notPlayed, play } from './support/rust-sdk.ts';
import { own, shared, uncontrolled } from './support/server.ts';

const BUILD_MS = 90 * 60_000;
const skip = notPlayed;
const timeout = 600_000;

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
