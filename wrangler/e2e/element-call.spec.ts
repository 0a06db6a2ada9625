// Element Call's embedded package, as published, runs as a widget in Chromium against this server: it finds the transport,
// joins and leaves, and when its page is killed its membership ends by itself. The media service is a stand-in.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { missing } from './support/chromium.ts';
import { CallStage } from './support/call-stage.ts';
import { ask, eventually, okay, pair, type Json, type User } from './support/client.ts';
import { own, uncontrolled } from './support/server.ts';
import { Classic } from './support/sync.ts';

const skip = uncontrolled || missing;
const stage = skip ? undefined! : await new CallStage().start();
const server = skip ? undefined! : await own({ vars: { RTC_TRANSPORTS: [stage.transport] } });
after(async () => {
  await stage?.stop();
});

const STATE = 'org.matrix.msc3401.call.member';
/** The page loads, the call begins; and a leave that was scheduled comes within ten seconds. */
const SOON_MS = 60_000;

async function call(): Promise<[User, User, string]> {
  return pair(server.base, { power_level_content_override: { events: { [STATE]: 0 } } });
}

/** The contents of the memberships in a room's state. */
async function members(witness: User, room: string): Promise<Json[]> {
  const state: Json = await witness.get(`/rooms/${encodeURIComponent(room)}/state`);
  return state.filter((event: Json) => event.type === STATE).map((event: Json) => event.content);
}

const joined = (witness: User, room: string) => eventually('a membership', async () => {
  const [content] = await members(witness, room);
  return content && Object.keys(content).length > 0 && content;
}, SOON_MS);

const left = (witness: User, room: string) => eventually('the end of the membership', async () => {
  const [content] = await members(witness, room);
  return content && Object.keys(content).length === 0;
}, SOON_MS);

test('Element Call joins over the transport that the server names, and leaves', { skip }, async () => {
  const [alice, bob, room] = await call();
  const page = await stage.open(alice, room, 'compatibility');
  const content = await joined(bob, room);
  assert.ok(JSON.stringify(content).includes(stage.transport.livekit_service_url), JSON.stringify(content));
  const { openid_token: token } = stage.asked.at(-1)!;
  const known = okay(await ask(server.base, 'GET', '/_matrix/federation/v1/openid/userinfo', { query: { access_token: token.access_token } }));
  assert.equal(known.sub, alice.id);
  await page.evaluate('window.leave()');
  await left(bob, room);
  await page.close();
});

test('when the page is killed its membership ends by itself', { skip }, async () => {
  const [alice, bob, room] = await call();
  const page = await stage.open(alice, room, 'compatibility');
  await joined(bob, room);
  await page.close();
  await left(bob, room);
});

test('with sticky events it joins and, killed, leaves without any state', { skip }, async () => {
  const [alice, bob, room] = await call();
  const loop = new Classic(bob);
  const sticky: Json[] = [];
  const news = (claim: string, is: (event: Json) => boolean) => eventually(claim, async () => {
    const told = okay(await loop.poll(1_000)).rooms?.join?.[room] ?? {};
    sticky.push(...(told.timeline?.events ?? []), ...(told.msc4354_sticky?.events ?? []));
    return sticky.find((event) => event.msc4354_sticky && event.sender === alice.id && is(event));
  }, SOON_MS);
  const page = await stage.open(alice, room, 'matrix_2_0');
  const membership = await news('a sticky membership', (event) => JSON.stringify(event.content).includes('livekit'));
  assert.ok(membership.unsigned.msc4354_sticky_duration_ttl_ms > 0);
  await page.close();
  const key = membership.content.msc4354_sticky_key;
  await news('a sticky end', (event) => event.content.msc4354_sticky_key === key && event.event_id !== membership.event_id
    && !JSON.stringify(event.content).includes('livekit'));
  assert.deepEqual(await members(bob, room), []);
});
