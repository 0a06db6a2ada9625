// matrix-rust-sdk and matrix-sdk-ui, as published: the SDK inside Element X. Only under --full, see README.md.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { unique } from './support/client.ts';
import type { Json } from './support/http.ts';
import { hush, JsPeer } from './support/js-peer.ts';
import { nio } from './support/nio-peer.ts';
import { Browser } from './support/pages.ts';
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

test('encryption: verification, backup, files, rotation', { skip, timeout }, async (t) => {
  assert.equal(await play(t, 'encryption', base), 7, 'claims shown');
});

test('matrix-rust-sdk, matrix-js-sdk and matrix-nio read each other', { skip, timeout }, async (t) => {
  const js = await JsPeer.start(base);
  t.after(() => js.stop());
  const peers = [await rust(t, base), js, await nio(t, base)];
  await converse(peers, 5);
  await exchange(peers, FILE);
  await converse([js, peers[0]!, peers[2]!], 5);
});

test('OAuth: an account made in the browser, a QR code, a sign-out', { skip, timeout }, async (t) => {
  const browser = new Browser(base);
  const password = 'correct horse battery';
  const browse = async ({ url }: Json) => {
    const door = await browser.get(url + '&prompt=create');
    const consent = await browser.submit(door, '/account/register', { username: unique(), password, repeat: password });
    const back = await browser.submit(consent, '/oauth2/authorize', { decision: 'allow' });
    return { callback: back.headers.get('location') };
  };
  const approve = async ({ url }: Json) => {
    const done = await browser.submit(await browser.get(url), '/device', { decision: 'allow' });
    assert.match(done.html, /role="status"/);
  };
  const signOut = async ({ device }: Json) => {
    const page = await browser.get(`/account?action=org.matrix.device_delete&device_id=${encodeURIComponent(device)}`);
    await browser.submit(page, '/account/session/end');
  };
  assert.equal(await play(t, 'sign-in', base, { browse, approve, 'sign-out': signOut }), 5, 'claims shown');
});
