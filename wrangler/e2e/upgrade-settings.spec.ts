// What is the user's own goes along when a room is replaced: tags, the place among direct chats, push rules.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, eventually, people, refused, type Json, type User } from './support/client.ts';
import { shared } from './support/server.ts';
import { Classic, Sliding, follow, says, type Loop } from './support/sync.ts';

const base = await shared();
const PEER = '@peer:example.org';
const TAGS = { 'm.favourite': { order: 0.5 }, 'u.work': {} };

const loops = (user: User): Loop[] =>
  [new Classic(user), new Sliding(user), new Sliding(user, { shape: 'stable', conn: 'stable' })];

/** Account data in an answer of either sync: global, or of a room. */
function content(json: Json, type: string, room?: string): Json | undefined {
  const sliding = json.extensions?.account_data;
  const events: Json[] = room
    ? json.rooms?.join?.[room]?.account_data?.events ?? sliding?.rooms?.[room] ?? []
    : json.account_data?.events ?? sliding?.global ?? [];
  return events.find((event) => event.type === type)?.content;
}

const directOf = (user: User): Promise<Json> => user.get(at`/user/${user.id}/account_data/m.direct`);
const tagsOf = async (user: User, room: string): Promise<Json> => (await user.get(at`/user/${user.id}/rooms/${room}/tags`)).tags;

/** Mutes a room as clients do, and has its messages notify by the rule of the room, which is switched off if so wished. */
async function mute(user: User, room: string, enabled: boolean): Promise<void> {
  const conditions = [{ kind: 'event_match', key: 'room_id', pattern: room }];
  await user.put(at`/pushrules/global/override/${room}`, { actions: [], conditions });
  await user.put(at`/pushrules/global/room/${room}`, { actions: ['notify'] });
  for (const kind of ['override', 'room']) await user.put(at`/pushrules/global/${kind}/${room}/enabled`, { enabled });
}

/** Sets everything that is to go along. */
async function settle(user: User, room: string, enabled: boolean): Promise<void> {
  for (const [tag, order] of Object.entries(TAGS)) await user.put(at`/user/${user.id}/rooms/${room}/tags/${tag}`, order);
  await user.put(at`/user/${user.id}/account_data/m.direct`, { [PEER]: [room] });
  await mute(user, room, enabled);
}

/** Settings are copied with the news of the join or the tombstone, which may follow the answer. */
async function keeps(user: User, old: string, room: string, enabled: boolean): Promise<void> {
  await eventually('the tags of the old room', async () => Object.keys(await tagsOf(user, room)).length > 0);
  assert.deepEqual(await tagsOf(user, room), TAGS);
  assert.deepEqual(await directOf(user), { [PEER]: [old, room] });
  for (const id of [old, room]) {
    const override = await user.get(at`/pushrules/global/override/${id}`);
    assert.deepEqual(override.conditions, [{ kind: 'event_match', key: 'room_id', pattern: id }]);
    assert.deepEqual([override.actions, override.enabled], [[], enabled]);
    const rule = await user.get(at`/pushrules/global/room/${id}`);
    assert.deepEqual([rule.actions, rule.enabled], [['notify'], enabled]);
  }
}

async function hasNothing(user: User, room: string): Promise<void> {
  assert.deepEqual(await tagsOf(user, room), {});
  assert.ok(!JSON.stringify(await directOf(user)).includes(room));
  for (const kind of ['override', 'room']) refused(await user.call('GET', at`/pushrules/global/${kind}/${room}`), 404, 'M_NOT_FOUND');
}

/** The sync tells of all three. */
async function tells(loop: Loop, room: string): Promise<void> {
  const missing = new Set(['m.tag', 'm.direct', 'm.push_rules']);
  await follow(loop, 'settings of the new room', (json) => {
    if (content(json, 'm.tag', room)?.tags['m.favourite']) missing.delete('m.tag');
    if (content(json, 'm.direct')?.[PEER].includes(room)) missing.delete('m.direct');
    const rules: Json[] = content(json, 'm.push_rules')?.global.override ?? [];
    if (rules.some((rule) => rule.rule_id === room)) missing.delete('m.push_rules');
    return missing.size === 0;
  });
}

const upgrade = async (user: User, room: string): Promise<string> =>
  (await user.post(at`/rooms/${room}/upgrade`, { new_version: '12' })).replacement_room;

/** The first user's room with everybody in it. */
async function together(count: number): Promise<[User[], string]> {
  const users = await people(base, count);
  const room = await users[0]!.createRoom({ room_version: '11' });
  for (const user of users.slice(1)) await user.join(room);
  return [users, room];
}

test('tags, direct chats and push rules go along, whoever upgrades and however others join, and each sync tells', async () => {
  const [users, old] = await together(3);
  const [alice, bob, carol] = users as [User, User, User];
  const switched = (user: User) => user !== carol;
  for (const user of users) await settle(user, old, switched(user));
  const known = new Map(users.map((user) => [user, loops(user)]));
  for (const loop of [...known.values()].flat()) await loop.poll(0);
  const next = await upgrade(alice, old);
  await bob.post(at`/join/${next}`);
  await carol.setState(next, 'm.room.member', { membership: 'join' }, carol.id);
  for (const user of users) {
    await keeps(user, old, next, switched(user));
    for (const loop of known.get(user)!) await tells(loop, next);
  }
});

test('a muted room is as quiet after its upgrade, and one whose rules are switched off as loud', async () => {
  const [users, old] = await together(3);
  const [alice, bob, carol] = users as [User, User, User];
  await settle(bob, old, true);
  await settle(carol, old, false);
  const next = await upgrade(alice, old);
  for (const [user, count] of [[bob, 0], [carol, 1]] as const) {
    await user.join(next);
    const body = `for ${user.id}`;
    const loop = new Classic(user);
    await loop.poll(0);
    await alice.send(next, body);
    const answers = await follow(loop, 'the message', (json) => says(json, next, body));
    assert.equal(answers.at(-1)!.rooms.join[next].unread_notifications.notification_count, count);
  }
});

test('what the new room has of its own stays', async () => {
  const [users, old] = await together(2);
  const [alice, bob] = users as [User, User];
  await settle(bob, old, true);
  const next = await upgrade(alice, old);
  await bob.put(at`/user/${bob.id}/rooms/${next}/tags/m.favourite`, { order: 0.1 });
  await mute(bob, next, false);
  await bob.join(next);
  assert.deepEqual(await tagsOf(bob, next), { ...TAGS, 'm.favourite': { order: 0.1 } });
  for (const kind of ['override', 'room']) assert.equal((await bob.get(at`/pushrules/global/${kind}/${next}`)).enabled, false);
});

test('a room that only claims to replace another one gets nothing of it', async () => {
  const [users, old] = await together(2);
  const [alice, bob] = users as [User, User];
  const [mallory, dave] = (await people(base, 2)) as [User, User];
  await settle(bob, old, true);
  const claim = () => mallory.createRoom({ creation_content: { predecessor: { room_id: old, event_id: '$claimed' } } });
  const before = await claim();
  await bob.join(before);
  await hasNothing(bob, before);
  const next = await upgrade(alice, old);
  await bob.join(next);
  await keeps(bob, old, next, true);
  const after = await claim();
  await bob.join(after);
  for (const room of [before, after]) await hasNothing(bob, room);
  // Nor does who was never in the old room get anything, not even what is set for it.
  await settle(dave, old, true);
  await dave.join(next);
  await hasNothing(dave, next);
});

test('settings that were deleted in the new room do not come back with the next join', async () => {
  const [users, old] = await together(2);
  const [alice, bob] = users as [User, User];
  await settle(bob, old, true);
  const next = await upgrade(alice, old);
  await bob.join(next);
  await keeps(bob, old, next, true);
  for (const tag of Object.keys(TAGS)) await bob.delete(at`/user/${bob.id}/rooms/${next}/tags/${tag}`);
  for (const kind of ['override', 'room']) await bob.delete(at`/pushrules/global/${kind}/${next}`);
  await bob.put(at`/user/${bob.id}/account_data/m.direct`, { [PEER]: [old] });
  await bob.leave(next);
  await bob.join(next);
  await hasNothing(bob, next);
});
