// matrix-js-sdk with its rust crypto in wasm, unmodified: encrypted conversations and key backup.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { ask, eventually } from './support/client.ts';
import { hush, JsPeer } from './support/js-peer.ts';
import { converse, exchange } from './support/peers.ts';
import { shared } from './support/server.ts';

const base = await shared();
const ROUNDS = 10;
const FILE = 200_000;
/** The SDK waits up to 10 s before it backs up, so that not all clients of a room do it at once. */
const BACKUP_MS = 25_000;
hush();
// The SDK leaves the timers of its aborted polls behind; they would hold this process.
after(() => setTimeout(() => process.exit(), 500));

test('matrix-js-sdk: an encrypted room, one on classic and one on sliding sync, and a restored backup', async (t) => {
  const alice = await JsPeer.start(base);
  const bob = await JsPeer.start(base, 'sliding sync');
  t.after(() => Promise.all([alice, bob].map((peer) => peer.stop())));
  await alice.secure();
  assert.equal(await alice.client.getCrypto()!.isCrossSigningReady(), true, 'cross-signing is ready');
  t.diagnostic('cross-signing, secret storage and backup are set up');

  const room = await converse([alice, bob], ROUNDS);
  t.diagnostic(`${ROUNDS} messages each way, all decrypted`);

  await exchange([alice, bob], FILE);
  t.diagnostic('a file each way, encrypted, uploaded, downloaded and decrypted');

  const sessions = await eventually('the sessions of both are in the backup', async () => {
    const { json } = await ask(base, 'GET', '/room_keys/version', { token: alice.client.getAccessToken() });
    return json.count >= 2 && json.count;
  }, BACKUP_MS);
  const second = await alice.device('classic sync', alice.recoveryKey);
  t.after(() => second.stop());
  assert.equal(await second.restore(), sessions, 'the new device imports every session');
  await second.enter(room);
  const texts = alice.texts();
  await second.until('what was said before it existed', () => second.texts().length === texts.length);
  assert.deepEqual(second.texts(), texts);
  assert.equal(await second.sealed(), 0, 'messages the new device could not decrypt');
  t.diagnostic(`a new device restores ${sessions} sessions from the backup and reads all ${texts.length} messages`);

  await bob.say('to both of your devices');
  assert.equal(await second.hear('to both of your devices'), true);
  assert.equal(await alice.hear('to both of your devices'), true);
});
