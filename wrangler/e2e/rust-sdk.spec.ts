// matrix-rust-sdk and matrix-sdk-ui, as published: the SDK inside Element X. Only under --full, see README.md.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { closeAll, LOOKS, missing, Window } from './support/chromium.ts';
import { ask, eventually, refused, unique } from './support/client.ts';
import type { Json } from './support/http.ts';
import { hush, JsPeer } from './support/js-peer.ts';
import { nio } from './support/nio-peer.ts';
import { converse, exchange } from './support/peers.ts';
import { build, notPlayed, play, rust } from './support/rust-sdk.ts';
import { own, shared, uncontrolled } from './support/server.ts';

const BUILD_MS = 90 * 60_000;
const skip = notPlayed;
const timeout = 600_000;
const FILE = 200_000;
/** New devices that are verified one after the other. */
const VERIFIED = 20;
/** How long a token may outlive its session. */
const SIGN_OUT_MS = 5_000;
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

test('each of twenty verified devices gets all secrets', { skip, timeout }, async (t) => {
  let left = VERIFIED;
  const another = async () => ({ another: --left > 0 });
  assert.equal(await play(t, 'verifications', base, { another }), VERIFIED, 'claims shown');
});

test('matrix-rust-sdk, matrix-js-sdk and matrix-nio read each other', { skip, timeout }, async (t) => {
  const js = await JsPeer.start(base);
  t.after(() => js.stop());
  const peers = [await rust(t, base), js, await nio(t, base)];
  await converse(peers, 5);
  await exchange(peers, FILE);
  await converse([js, peers[0]!, peers[2]!], 5);
});

test('OAuth in Chromium: an account, a QR code, restarts, sign-outs', { skip: skip || missing, timeout }, async (t) => {
  t.after(closeAll);
  const window = await Window.open('rust-sdk', LOOKS['phone-dark']!);
  const { page } = window;
  const press = (label: string) => page.getByRole('button', { name: label, exact: true }).click();
  const password = 'correct horse battery';
  const browse = async ({ url }: Json) => {
    await window.get(url);
    await page.getByRole('link', { name: 'Create account' }).click();
    await page.getByLabel('User name').fill(unique());
    await page.getByLabel('Password', { exact: true }).fill(password);
    await page.getByLabel('Password, once more').fill(password);
    await press('Create account');
    await page.getByRole('button', { name: 'Allow' }).waitFor();
    await window.look('consent');
    await press('Allow');
    await page.waitForURL(({ origin }) => origin !== base);
  };
  const approve = async ({ url }: Json) => {
    await window.get(url);
    await page.getByRole('button', { name: 'Allow' }).waitFor();
    await window.look('device-consent');
    await press('Allow');
    await page.getByRole('status').waitFor();
  };
  const restart = async () => {
    if (server) await server.restart();
    else t.diagnostic(`NOT RUN: the restart of the server; ${uncontrolled}`);
  };
  const signOut = async ({ device, token }: Json) => {
    await window.get(`${base}/account?action=org.matrix.device_delete&device_id=${encodeURIComponent(device)}`);
    await press('Sign out this session');
    await page.getByRole('status').waitFor();
    const start = performance.now();
    const answer = await eventually('the token is refused', async () => {
      const one = await ask(base, 'GET', '/account/whoami', { token });
      return one.status === 401 && one;
    }, SIGN_OUT_MS);
    assert.equal(refused(answer, 401, 'M_UNKNOWN_TOKEN').soft_logout, false);
    t.diagnostic(`refused ${(performance.now() - start).toFixed(0)} ms after the page said so`);
  };
  assert.equal(await play(t, 'sign-in', base, { browse, approve, restart, 'sign-out': signOut }), 7, 'claims shown');
});
