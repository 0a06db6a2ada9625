// Presence: who syncs is online, and those who share a room hear of it in the poll that waits.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, pair, people, refused, register, type Json, type User } from './support/client.ts';
import { shared } from './support/server.ts';
import { Classic, follow, park } from './support/sync.ts';

const base = await shared();

/** What an answer tells of somebody's presence. */
function presence(json: Json, user: User): Json | undefined {
  return json.presence?.events?.find((event: Json) => event.type === 'm.presence' && event.sender === user.id)?.content;
}

function status(user: User, body: Json): Promise<Json> {
  return user.put(at`/presence/${user.id}/status`, body);
}

test('a parked poll hears who comes online and what they say of it', async () => {
  const [alice, bob] = await pair(base);
  const loop = new Classic(alice);
  await park(loop, 500).then(({ answer }) => answer);
  const coming = follow(loop, 'Bob is online', (json) => presence(json, bob)?.presence === 'online');
  await new Classic(bob).poll(0);
  const shown = presence((await coming).at(-1), bob);
  assert.equal(shown.currently_active, true);
  assert.ok(shown.last_active_ago < 60_000);
  const away = follow(loop, 'Bob is away', (json) => presence(json, bob)?.presence === 'unavailable');
  await status(bob, { presence: 'unavailable', status_msg: 'at the sea' });
  assert.equal(presence((await away).at(-1), bob).status_msg, 'at the sea');
  const read = await alice.get(at`/presence/${bob.id}/status`);
  assert.deepEqual([read.presence, read.status_msg], ['unavailable', 'at the sea']);
  const filtered = new Classic(alice, { filter: JSON.stringify({ presence: { types: [] } }) });
  assert.equal(presence(await filtered.next(), bob), undefined);
});

test('whoever comes online hears who is there, and a client may ask not to be seen', async () => {
  const [alice, bob] = await pair(base);
  await new Classic(bob, { set_presence: 'offline' }).poll(0);
  assert.equal((await bob.get(at`/presence/${bob.id}/status`)).presence, 'offline');
  await status(bob, { presence: 'online', status_msg: 'here' });
  const seen = await follow(new Classic(alice), 'Bob is there', (json) => presence(json, bob));
  assert.equal(presence(seen.at(-1), bob).status_msg, 'here');
});

test('people who are already there see each other when they begin to share a room', async () => {
  const [alice, bob] = await people(base, 2) as [User, User];
  const loops = [new Classic(alice), new Classic(bob)];
  for (const loop of loops) await loop.poll(0);
  const room = await alice.createRoom({ preset: 'public_chat' });
  const carol = await register(base);
  const watch = await park(loops[0]!, 20_000);
  await bob.post(at`/join/${room}`, {});
  const live = [follow(loops[1]!, 'Alice is online', (json) => presence(json, alice)?.presence === 'online')];
  const woken = (await watch.answer).json;
  if (!presence(woken, bob)) live.push(follow(loops[0]!, 'Bob is online', (json) => presence(json, bob)?.presence === 'online'));
  await Promise.all(live);
  for (const [user, other] of [[alice, bob], [bob, alice]] as [User, User][]) {
    assert.equal(presence(await new Classic(user).next(), other)?.presence, 'online', 'a first sync');
  }
  const whole = new Classic(alice, { full_state: true });
  whole.since = loops[0]!.since;
  assert.equal(presence(await whole.next(), bob)?.presence, 'online', 'and one of the full state');
  // Who joins without being there shows nothing, and hears of the others with the first sync that asks.
  await carol.post(at`/join/${room}`, {});
  const loop = new Classic(carol, { set_presence: 'offline' });
  await follow(loop, 'Carol sees Alice', (json) => presence(json, alice)?.presence === 'online');
});

test('strangers are not told, and nobody speaks for others', async () => {
  const [alice, bob] = await people(base, 2);
  refused(await alice!.call('GET', at`/presence/${bob!.id}/status`), 403, 'M_FORBIDDEN');
  refused(await alice!.call('PUT', at`/presence/${bob!.id}/status`, { body: { presence: 'online' } }), 403, 'M_FORBIDDEN');
  refused(await alice!.call('PUT', at`/presence/${alice!.id}/status`, { body: { presence: 'busy' } }), 400, 'M_BAD_JSON');
  refused(await alice!.call('GET', '/sync', { query: { set_presence: 'busy' } }), 400, 'M_INVALID_PARAM');
});
