// hydrogen-view-sdk, as published, in Chromium: it asks for the ways to sign in, signs in and syncs under `/_matrix/client/r0/`,
// without asking first which versions there are.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { missing } from './support/chromium.ts';
import { bodies, eventually, history, pair, register } from './support/client.ts';
import { HydrogenStage } from './support/hydrogen-stage.ts';
import { shared } from './support/server.ts';

const skip = missing;
const base = skip ? '' : await shared();
const stage = skip ? undefined! : await new HydrogenStage().start();
after(() => stage?.stop());

const R0 = '/_matrix/client/r0';

test('hydrogen signs in under r0, has its rooms after the first sync, hears and says what is new, and signs out', { skip }, async () => {
  const [alice, bob, room] = await pair(base);
  await bob.send(room, 'before');
  const asked: string[] = [];
  const page = await stage.open(base, asked);
  const outcome = await page.evaluate(([base, name, password]) => (window as any).signIn(base, name, password), [base, alice.name, alice.password]);
  assert.deepEqual(outcome, { status: 'Ready', failure: null, user: alice.id }, asked.join('\n'));
  for (const line of [`GET ${R0}/login 200`, `POST ${R0}/login 200`, `GET ${R0}/sync 200`]) assert.ok(asked.includes(line), asked.join('\n'));

  const texts = () => page.evaluate((room) => (window as any).texts(room), room);
  assert.deepEqual(await texts(), ['before']);
  await bob.send(room, 'live');
  await eventually('a live message', async () => (await texts()).includes('live'));
  await page.evaluate((room) => (window as any).say(room, 'from hydrogen'), room);
  await eventually('what hydrogen says', async () => bodies(await history(bob, room, 'f', 100)).includes('from hydrogen'));
  await page.evaluate(() => (window as any).signOut());
  assert.ok(asked.includes(`POST ${R0}/logout 200`), asked.join('\n'));
  assert.deepEqual(asked.filter((line) => / 5\d\d$/.test(line)), []);
});

test('hydrogen tells a wrong password from other trouble', { skip }, async () => {
  const user = await register(base);
  const asked: string[] = [];
  const page = await stage.open(base, asked);
  const outcome = await page.evaluate(([base, name]) => (window as any).signIn(base, name, 'wrong'), [base, user.name]);
  assert.deepEqual(outcome, { status: 'LoginFailed', failure: 'Credentials', user: null }, asked.join('\n'));
  assert.ok(asked.includes(`POST ${R0}/login 403`), asked.join('\n'));
});
