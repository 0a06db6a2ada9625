// matrix-js-sdk with its rust crypto, unmodified, on both sides: an encrypted room of this server with a user of Synapse 1.163.2.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { EventType, Preset } from 'matrix-js-sdk';
import { eventually } from './support/client.ts';
import { hush, JsPeer } from './support/js-peer.ts';
import { uncontrolled } from './support/server.ts';
import { federation, missing } from './support/synapse.ts';

const skip = uncontrolled || missing;
const { tern, synapse, toTern } = skip ? undefined! : await federation();
const ROUNDS = 10;
const PATIENCE_MS = 60_000;
hush();
// The SDK leaves the timers of its aborted polls behind; they would hold this process.
after(() => setTimeout(() => process.exit(), 500));

test('matrix-js-sdk here and at Synapse: messages are decrypted both ways, also those for a device that came later', { skip }, async (t) => {
  const alice = await JsPeer.start(tern.base);
  const bob = await JsPeer.start(synapse.base);
  t.after(() => Promise.all([alice, bob].map((peer) => peer.stop())));
  const encryption = { type: EventType.RoomEncryption, state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } };
  const { room_id: room } = await alice.client.createRoom({ preset: Preset.PublicChat, initial_state: [encryption] });
  await alice.enter(room);
  await eventually('the user of Synapse is in', () => bob.client.joinRoom(room, { viaServers: [toTern.name] }).then(() => true, () => false), PATIENCE_MS);
  await bob.enter(room);
  await Promise.all([alice.members(2), bob.members(2)]);
  for (let round = 0; round < ROUNDS; round += 1) {
    await alice.say(`from here ${round}`);
    assert.ok(await bob.hear(`from here ${round}`), 'it came encrypted');
    await bob.say(`from there ${round}`);
    assert.ok(await alice.hear(`from there ${round}`), 'it came encrypted');
  }
  const [second, third] = [await alice.device(), await bob.device()];
  t.after(() => Promise.all([second, third].map((peer) => peer.stop())));
  await Promise.all([second, third].map((peer) => peer.enter(room)));
  // Each side has to learn of the other one's new device before it speaks.
  const knows = (peer: JsPeer, of: JsPeer) =>
    eventually(`${peer.kind} knows the new device`, async () => {
      const devices = await peer.client.getCrypto()!.getUserDeviceInfo([of.user]);
      return devices.get(of.user)?.has(of.client.getDeviceId()!);
    }, PATIENCE_MS);
  await Promise.all([knows(alice, third), knows(bob, second)]);
  await alice.say('for all of you');
  await bob.say('and from me');
  for (const peer of [second, third, alice, bob]) {
    for (const text of ['for all of you', 'and from me']) assert.ok(await peer.hear(text), `${peer.kind} reads "${text}"`);
  }
  assert.deepEqual([await alice.sealed(), await bob.sealed()], [0, 0]);
});
