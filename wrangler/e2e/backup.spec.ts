// A backup made while people write, and an empty server that becomes what it was: same tokens, same positions, same bytes.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { at, bodies, history, okay, pair, register, unique, type User } from './support/client.ts';
import { publish } from './support/keys.ts';
import { download, upload } from './support/media.ts';
import { CHECKOUT, own, Server, uncontrolled } from './support/server.ts';
import { Sliding, delivers, says } from './support/sync.ts';
import { did, xtask } from './support/xtask.ts';

const ENCRYPTION = { type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } };

/** `cargo xtask …`, killed with all it started as soon as it has said `when`. */
function cut(when: RegExp, ...args: string[]): Promise<void> {
  const child = spawn('cargo', ['xtask', ...args], { cwd: CHECKOUT, detached: true, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  return new Promise((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      if (when.test(said)) process.kill(-child.pid!, 'SIGKILL');
    });
    child.on('close', (_, signal) => (signal === 'SIGKILL' ? resolve() : reject(new Error(`${args.join(' ')} was not cut: ${said}`))));
  });
}

/** Requests whose answers are to be the same later, to the byte. */
async function recorded(user: User, room: string): Promise<string[]> {
  const answers = [
    await user.call('GET', at`/rooms/${room}/messages`, { query: { dir: 'b', limit: 50 } }),
    await user.call('GET', at`/rooms/${room}/state`),
    await user.call('GET', at`/rooms/${room}/joined_members`),
    await user.call('GET', at`/user/${user.id}/account_data/org.example.kept`),
    await user.call('GET', '/account/whoami'),
    await user.call('POST', '/keys/query', { body: { device_keys: { [user.id]: [] } } }),
  ];
  for (const answer of answers) okay(answer);
  return answers.map((answer) => answer.text);
}

test('a server is backed up while people write, and restored into an empty folder', { skip: uncontrolled, timeout: 240_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tern-backup-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const [vault, key, other] = [join(folder, 'vault'), join(folder, 'key'), join(folder, 'other')];
  writeFileSync(key, randomBytes(32));
  writeFileSync(other, randomBytes(32));

  const server = await own();
  const [alice, bob, busy] = await pair(server.base);
  const carol = await register(server.base);
  const quiet = await alice.createRoom({ name: 'Quiet', preset: 'public_chat', initial_state: [ENCRYPTION] });
  await carol.join(quiet);
  await publish(carol);
  const content = randomBytes(6 << 20);
  const media = await upload(carol, new Uint8Array(content));
  for (let n = 0; n < 5; n += 1) {
    const sealed = { algorithm: 'm.megolm.v1.aes-sha2', ciphertext: `c${n}`, session_id: 's', device_id: alice.device, sender_key: 'k' };
    okay(await alice.call('PUT', at`/rooms/${quiet}/send/m.room.encrypted/${unique('t')}`, { body: sealed }));
  }
  okay(await carol.call('PUT', at`/user/${carol.id}/account_data/org.example.kept`, { body: { a: [1, null, 'ü'] } }));
  const loop = new Sliding(carol);
  await loop.poll(0);
  const messages = { [carol.id]: { [carol.device]: { waiting: true } } };
  okay(await alice.call('PUT', at`/sendToDevice/org.example.waits/${unique('t')}`, { body: { messages } }));
  const asked = await loop.request(loop.pos, 5_000);
  assert.ok(asked.text.includes('org.example.waits'), asked.text);
  const before = await recorded(carol, quiet);

  const backup = ['backup', vault, '--key-file', key];
  await did(...backup, '--state', server.state);
  const sent: string[] = [];
  let over = false;
  const writing = (async () => {
    while (!over) {
      const body = unique('m');
      await alice.send(busy, body);
      sent.push(body);
    }
  })();
  await new Promise<void>((resolve) => { const wait = setInterval(() => { if (sent.length > 3) { clearInterval(wait); resolve(); } }, 20); });
  const sure = sent.length;
  await cut(/^users: /mu, ...backup, '--state', server.state);
  await did(...backup, '--verify');
  const { said } = await did(...backup, '--state', server.state);
  over = true;
  await writing;
  t.diagnostic(`${sent.length} messages meanwhile; ${said.trim().split('\n').filter((line) => /read|rows|files/.test(line)).join('; ')}`);
  assert.match(said, /media: 0 read, 1 known/u, 'content is read once');
  await did(...backup, '--verify');
  assert.equal((await xtask('backup', vault, '--key-file', other, '--verify')).ok, false, 'another key opens nothing');
  const files = readdirSync(vault, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  assert.ok(files.some((file) => file.name === 'manifest.sealed') && files.length > 10, `${files.length} files`);
  for (const file of files) {
    const bytes = readFileSync(join(file.parentPath, file.name));
    // Texts are compressed before they are sealed, and are between a nonce of 12 bytes and a tag of 16; content is as it is.
    for (const sealed of [bytes, bytes.subarray(12, -16)]) assert.throws(() => gunzipSync(sealed), `${file.name} can be read`);
    for (let at = 0; at < content.length; at += 1 << 20) {
      assert.ok(!bytes.includes(content.subarray(at, at + 64)), `${file.name} has the content`);
    }
  }
  const full = await xtask('restore', vault, '--key-file', key, '--state', server.state);
  assert.ok(!full.ok && full.said.includes('409'), `a server with users is left alone: ${full.said}`);
  const strange = await xtask(...backup, '--state', (await own()).state);
  assert.ok(!strange.ok && strange.said.includes('has no users'), `a folder is of one server: ${strange.said}`);
  await did(...backup, '--verify');

  await server.stop();
  const state = mkdtempSync(join(folder, 'state-'));
  const restore = ['restore', vault, '--key-file', key, '--state', state];
  await cut(/^users: /mu, ...restore);
  await cut(/^media: /mu, ...restore);
  await cut(/^databases: written/mu, ...restore);
  await did(...restore);
  const twice = await xtask(...restore);
  assert.ok(!twice.ok && twice.said.includes('409'), `what is over is over: ${twice.said}`);
  const again = new Server(server.port, { state });
  after(() => again.stop());
  await again.start();

  assert.deepEqual(await recorded(carol, quiet), before);
  assert.equal((await loop.request(loop.pos, 0)).text, asked.text, 'the same position, the same bytes');
  assert.ok((await download(carol, media)).bytes.equals(content));
  const kept = bodies(await history(bob, busy, 'f', 100));
  assert.deepEqual(kept, sent.slice(0, kept.length), 'in their order, none twice');
  assert.ok(kept.length >= sure, `${kept.length} of at least ${sure} messages`);
  const next = unique('next');
  await delivers(t, new Sliding(bob), () => alice.send(busy, next), (json) => says(json, busy, next));
  await delivers(t, loop, () => alice.send(quiet, next), (json) => says(json, quiet, next));
  assert.deepEqual(bodies(await history(bob, busy, 'f', 100)), [...kept, next]);
});
