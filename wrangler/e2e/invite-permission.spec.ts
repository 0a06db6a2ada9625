// Who may invite a user (Client-Server API, "Invite permission"; the lists of MSC4155): a blocked invite is refused to
// whoever sends it, an ignored one is made and shown to nobody, and what waits is judged again when the rules change.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, at, okay, people, refused, type Json, type User } from './support/client.ts';
import { shared } from './support/server.ts';
import { Classic, Sliding, follow, type Loop } from './support/sync.ts';

const base = await shared();

const STABLE = 'm.invite_permission_config';
const UNSTABLE = ['org.matrix.msc4155.invite_permission_config', 'org.matrix.msc4380.invite_permission_config'];

function permit(user: User, content: Json, type = STABLE): Promise<Json> {
  return user.put(at`/user/${user.id}/account_data/${type}`, content);
}

/** Whether an answer of either sync shows the room as an invite. */
const shows = (room: string) => (json: Json) => Boolean(json.rooms?.invite?.[room] ?? json.rooms?.[room]?.invite_state ?? json.rooms?.[room]?.stripped_state);

const loops = (user: User): Loop[] =>
  [new Classic(user), new Sliding(user), new Sliding(user, { shape: 'stable', conn: 'stable' })];

/** Nothing shows the invite up to what comes after it. */
async function isHidden(user: User, room: string, loop: Loop): Promise<void> {
  const later = await user.createRoom();
  const answers = await follow(loop, 'a later room', (json) => json.rooms?.[later] ?? json.rooms?.join?.[later]);
  assert.ok(!answers.some(shows(room)), 'the invite is hidden');
}

test('whoever blocks all invites cannot be invited in any way, and can again afterwards', async () => {
  const [alice, bob] = await people(base, 2);
  const room = await bob.createRoom();
  for (const type of [STABLE, UNSTABLE[1]!]) {
    await permit(alice, { default_action: 'block' }, type);
    const member = at`/rooms/${room}/state/m.room.member/${alice.id}`;
    refused(await bob.call('POST', at`/rooms/${room}/invite`, { body: { user_id: alice.id } }), 403, 'M_INVITE_BLOCKED');
    refused(await bob.call('PUT', member, { body: { membership: 'invite' } }), 403, 'M_INVITE_BLOCKED');
    refused(await bob.call('POST', '/createRoom', { body: { invite: [alice.id] } }), 403, 'M_INVITE_BLOCKED');
    const delayed = { body: { membership: 'invite' }, query: { 'org.matrix.msc4140.delay': 1_000 } };
    refused(await bob.call('PUT', member, delayed), 403, 'M_INVITE_BLOCKED');
    const { chunk } = await bob.get(at`/rooms/${room}/members`, { membership: 'invite' });
    assert.deepEqual(chunk, [], 'nobody was invited');
    await permit(alice, {}, type);
  }
  await bob.invite(room, alice);
  await follow(new Classic(alice), 'the invite', shows(room));
  await alice.join(room);
});

test('an invite that waits is not shown while invites are blocked, in either sync', async () => {
  const [alice, bob] = await people(base, 2);
  const room = await bob.createRoom({ invite: [alice.id] });
  await follow(new Classic(alice), 'the invite', shows(room));
  await permit(alice, { default_action: 'block' });
  const all = loops(alice);
  for (const loop of all) await isHidden(alice, room, loop);
  assert.equal((await bob.state(room, 'm.room.member', alice.id)).membership, 'invite', 'the room says so still');
  await alice.delete(at`/user/${alice.id}/account_data/${STABLE}`);
  for (const loop of all) await follow(loop, 'the invite', shows(room));
});

test('lists of users and servers allow, ignore and block; users come before servers', async () => {
  const [alice, friend, bore, foe] = await people(base, 4);
  for (const type of [STABLE, UNSTABLE[0]!]) {
    const lists = { allowed_users: [`@${friend!.name}:*`], ignored_users: [bore!.id], blocked_servers: ['*'] };
    await permit(alice!, lists, type);
    const invite = async (by: User) => by.call('POST', '/createRoom', { body: { invite: [alice!.id] } });
    refused(await invite(foe!), 403, 'M_INVITE_BLOCKED');
    const hidden = okay(await invite(bore!)).room_id;
    const shown = okay(await invite(friend!)).room_id;
    for (const loop of loops(alice!)) {
      const answers = await follow(loop, "the friend's invite", shows(shown));
      assert.ok(!answers.some(shows(hidden)), 'the ignored one is not there');
    }
    assert.equal((await bore!.state(hidden, 'm.room.member', alice!.id)).membership, 'invite', 'whom it is ignored does not know');
    await permit(alice!, { ...lists, enabled: false }, type);
    await follow(new Classic(alice!), 'what was ignored', shows(hidden));
    await alice!.leave(hidden);
    await alice!.leave(shown);
    await permit(alice!, { blocked_servers: ['*'], ignored_users: [1] }, type);
    okay(await invite(foe!));
    await permit(alice!, {}, type);
  }
});

test('rules too long to be held against every invite are refused, and the server says what it can', async () => {
  const [alice] = await people(base, 1);
  const many = Array.from({ length: 4_000 }, (_, index) => `@somebody${index}:example.org`);
  const path = at`/user/${alice!.id}/account_data/${STABLE}`;
  refused(await alice!.call('PUT', path, { body: { blocked_users: many } }), 413, 'M_TOO_LARGE');
  const { unstable_features: features } = okay(await ask(base, 'GET', '/_matrix/client/versions'));
  for (const name of ['msc4155', 'msc4380', 'msc4380.stable']) assert.equal(features[`org.matrix.${name}`], true, name);
});
