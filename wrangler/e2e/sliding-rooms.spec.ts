// Rooms in sliding sync (MSC4186, "Room results"), by what happened to the user and to the room, in both shapes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, bodies, pair, people, type Json, type User } from './support/client.ts';
import { shared } from './support/server.ts';
import { Sliding, follow, knows, park } from './support/sync.ts';

const base = await shared();

interface Scene {
  alice: User;
  bob: User;
  room: string;
  /** Bob's connection. */
  loop: Sliding;
}

/** What bob's connection is told of the room after `happens`, when it is told anything. */
type Case = [rule: string, preset: string, happens: (scene: Scene) => Promise<unknown>, told: (part: Json, scene: Scene, shape: 'unstable' | 'stable') => void];

const stripped = (part: Json, shape: string): Json[] => part[shape === 'stable' ? 'stripped_state' : 'invite_state'] ?? [];
const own = (part: Json, scene: Scene, membership: string) => {
  const events = [...(part.timeline ?? []), ...(part.required_state ?? []), ...(part.stripped_state ?? [])];
  assert.ok(events.some((event) => event.type === 'm.room.member' && event.state_key === scene.bob.id && event.content.membership === membership), `no ${membership} of the user's own`);
};

const CASES: Case[] = [
  ['an invite brings stripped state and no more', 'private_chat', ({ alice, bob, room }) => alice.invite(room, bob), (part, scene, shape) => {
    const kinds = stripped(part, shape).map((event) => event.type);
    for (const kind of ['m.room.create', 'm.room.name', 'm.room.join_rules', 'm.room.member']) assert.ok(kinds.includes(kind), kind);
    for (const event of stripped(part, shape)) assert.deepEqual(Object.keys(event).sort(), ['content', 'sender', 'state_key', 'type']);
    for (const field of ['timeline', 'required_state', 'joined_count', 'name', 'prev_batch']) assert.equal(part[field], undefined, field);
    assert.ok(part.bump_stamp > 0);
  }],
  ['an invite accepted shows the room as new', 'private_chat', async ({ alice, bob, room }) => {
    await alice.invite(room, bob);
    await bob.join(room);
  }, (part, scene) => {
    assert.deepEqual([part.initial, part.name, part.joined_count], [true, 'Told', 2]);
    own(part, scene, 'join');
  }],
  ['leaving is told to a connection that has shown the room, with the own event', 'public_chat', async ({ bob, room, loop }) => {
    await bob.join(room);
    await follow(loop, 'the room', (json) => json.rooms?.[room]);
    await bob.leave(room);
  }, (part, scene) => own(part, scene, 'leave')],
  ['a kick is told', 'public_chat', async ({ alice, bob, room }) => {
    await bob.join(room);
    await alice.post(at`/rooms/${room}/kick`, { user_id: bob.id, reason: 'why' });
  }, (part, scene) => own(part, scene, 'leave')],
  ['a ban is told', 'public_chat', async ({ alice, bob, room }) => {
    await bob.join(room);
    await alice.post(at`/rooms/${room}/ban`, { user_id: bob.id });
  }, (part, scene) => own(part, scene, 'ban')],
  ['who comes back sees the room as new, up to date', 'public_chat', async ({ alice, bob, room }) => {
    await bob.join(room);
    await bob.leave(room);
    await alice.send(room, 'while away');
    await bob.join(room);
    await alice.send(room, 'back again');
  }, (part, scene) => {
    assert.ok(bodies(part.timeline).includes('back again'));
    own(part, scene, 'join');
  }],
];

/** Merges the answers of one connection as a client does. */
function merged(answers: Json[], room: string): Json {
  let part: Json = {};
  for (const answer of answers) {
    const next = answer.rooms?.[room];
    if (next) part = next.initial ? next : { ...part, ...next, timeline: [...(part.timeline ?? []), ...(next.timeline ?? [])], required_state: [...(part.required_state ?? []), ...(next.required_state ?? [])] };
  }
  return part;
}

for (const shape of ['unstable', 'stable'] as const) {
  test(`${shape}: what a user is told of a room by what happened to them`, async (t) => {
    for (const [rule, preset, happens, told] of CASES) {
      await t.test(rule, async () => {
        const [alice, bob] = await people(base, 2);
        const room = await alice.createRoom({ preset, name: 'Told' });
        const loop = new Sliding(bob, { shape });
        const scene = { alice, bob, room, loop };
        await loop.poll(0);
        await happens(scene);
        let answers: Json[] = [];
        await follow(loop, rule, (json) => {
          answers = [...answers, json];
          try {
            told(merged(answers, room), scene, shape);
            return true;
          } catch {
            return false;
          }
        }).catch(() => told(merged(answers, room), scene, shape));
      });
    }
  });

  test(`${shape}: a rejected and a withdrawn invite go away, and a knock comes and goes`, async () => {
    const [alice, bob] = await people(base, 2);
    for (const ends of [(room: string) => bob.leave(room), (room: string) => alice.post(at`/rooms/${room}/kick`, { user_id: bob.id })]) {
      const room = await alice.createRoom({ preset: 'private_chat' });
      const loop = new Sliding(bob, { shape });
      await alice.invite(room, bob);
      await follow(loop, 'the invite', (json) => json.rooms?.[room]);
      await ends(room);
      const last = (await follow(loop, 'its end', (json) => json.rooms?.[room])).at(-1).rooms[room];
      assert.ok(JSON.stringify(last).includes('"leave"'));
      assert.equal(stripped(last, 'unstable').length, 0);
      const fresh = new Sliding(bob, { shape, conn: 'fresh' });
      assert.equal((await fresh.poll(0)).json.rooms?.[room], undefined, 'and is nothing to a new connection');
    }
    const room = await alice.createRoom({ initial_state: [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }] });
    const loop = new Sliding(bob, { shape });
    await loop.poll(0);
    await bob.setState(room, 'm.room.member', { membership: 'knock' }, bob.id);
    const knocked = (await follow(loop, 'the knock', (json) => json.rooms?.[room])).at(-1).rooms[room];
    assert.ok(stripped(knocked, shape).some((event) => event.type === 'm.room.create'));
    assert.equal(knocked.timeline, undefined);
  });

  test(`${shape}: what ends is told once, and later to a new connection only if others ended it`, async (t) => {
    const knock = [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }];
    const enter = ({ bob, room }: Scene) => bob.join(room);
    const away = (action: string) => ({ alice, bob, room }: Scene) => alice.post(at`/rooms/${room}/${action}`, { user_id: bob.id });
    const go = ({ bob, room }: Scene) => bob.leave(room);
    const ends: [rule: string, begins: (scene: Scene) => Promise<unknown>, ends: (scene: Scene) => Promise<unknown>, stays: boolean][] = [
      ['a leave', enter, go, false], ['a kick', enter, away('kick'), true], ['a ban', enter, away('ban'), true],
      ['a rejected invite', ({ alice, bob, room }) => alice.invite(room, bob), go, false],
      ['a withdrawn invite', ({ alice, bob, room }) => alice.invite(room, bob), away('kick'), false],
      ['a knock taken back', ({ bob, room }) => bob.post(at`/knock/${room}`), go, false],
      ['a rejected knock', ({ bob, room }) => bob.post(at`/knock/${room}`), away('kick'), false],
    ];
    await Promise.all(ends.map(([rule, begins, ending, stays]) => t.test(rule, async () => {
      const [alice, bob] = await people(base, 2);
      const room = await alice!.createRoom(begins === enter ? {} : { preset: 'private_chat', initial_state: knock });
      const loop = new Sliding(bob!, { shape });
      const scene = { alice: alice!, bob: bob!, room, loop };
      await begins(scene);
      await follow(loop, 'the room', (json) => json.rooms?.[room]);
      await ending(scene);
      const ended = (json: Json) => JSON.stringify(json.rooms?.[room] ?? '').match(/"membership":"(leave|ban)"/);
      await follow(loop, rule, ended);
      await alice!.send(room, 'among us');
      const { json } = await (await park(loop, 500)).answer;
      assert.equal(json.rooms, undefined, 'once');
      const fresh = (await new Sliding(bob!, { shape, conn: 'fresh' }).poll(0)).json;
      assert.equal(Boolean(fresh.rooms?.[room]), stays);
      assert.ok(!JSON.stringify(fresh).includes('among us'));
    })));
  });

  test(`${shape}: a subscription shows a room the user was in, and none they never were in`, async () => {
    const [alice, bob] = await people(base, 2);
    const [left, hidden] = [await alice!.createRoom(), await alice!.createRoom({ preset: 'private_chat' })];
    await bob!.join(left);
    await alice!.send(left, 'last words');
    await bob!.leave(left);
    for (const room of [left, hidden]) await alice!.send(room, 'among us');
    const loop = new Sliding(bob!, { shape });
    const wanted = { timeline_limit: 5, required_state: shape === 'unstable' ? [['m.room.create', '']] : { include: [{ type: 'm.room.create' }] } };
    loop.body = { room_subscriptions: { [left]: wanted, [hidden]: wanted } };
    const answers = await follow(loop, 'the room they left', (json) => json.rooms?.[left]);
    const shown = answers.at(-1).rooms;
    assert.deepEqual(Object.keys(shown), [left]);
    assert.ok(bodies(shown[left].timeline).includes('last words'));
    assert.ok(!JSON.stringify(answers).includes('among us'));
  });

  test(`${shape}: a room forgotten is gone, also from a live connection`, async () => {
    const [alice, bob, room] = await pair(base);
    const loop = new Sliding(bob, { shape });
    await loop.poll(0);
    await bob.leave(room);
    await follow(loop, 'the leave', (json) => JSON.stringify(json.rooms?.[room] ?? {}).includes('"leave"'));
    await bob.post(at`/rooms/${room}/forget`);
    await alice.send(room, 'unheard');
    const parked = await park(loop, 500);
    const { json } = await parked.answer;
    assert.equal(json.rooms?.[room], undefined);
    assert.equal(json.lists?.all?.count ?? 0, 0);
    const fresh = new Sliding(bob, { shape, conn: 'fresh' });
    assert.equal((await fresh.poll(0)).json.rooms?.[room], undefined);
  });

  test(`${shape}: heroes stand in for a name, with their faces, and go when there is one`, async () => {
    const [alice, bob, carol] = await people(base, 3);
    await bob.put(at`/profile/${bob.id}/displayname`, { displayname: 'Bob B.' });
    const room = await alice.createRoom();
    for (const user of [bob, carol]) await user.join(room);
    await knows(alice, [room]);
    const loop = new Sliding(alice, { shape });
    const part = merged(await follow(loop, 'three', (json) => json.rooms?.[room]?.joined_count === 3), room);
    assert.deepEqual(part.heroes.map((hero: Json) => hero.user_id).sort(), [bob.id, carol.id].sort());
    assert.equal(part.heroes.find((hero: Json) => hero.user_id === bob.id).displayname, 'Bob B.');
    assert.equal(part.name ?? null, null);
    await alice.setState(room, 'm.room.name', { name: 'Named' });
    await follow(loop, 'the name', (json) => json.rooms?.[room]?.name === 'Named');
    const fresh = new Sliding(alice, { shape, conn: 'fresh' });
    assert.equal((await fresh.poll(0)).json.rooms[room].heroes, undefined);
    await alice.setState(room, 'm.room.name', {});
    const unnamed = (await follow(loop, 'no name', (json) => json.rooms?.[room] && 'name' in json.rooms[room])).at(-1).rooms[room];
    assert.equal(unnamed.name, null);
    assert.equal(unnamed.heroes.length, 2);
  });

  test(`${shape}: name, avatar and counts are told when they change`, async () => {
    const [alice, bob, room] = await pair(base, { name: 'One' });
    const loop = new Sliding(alice, { shape });
    await follow(loop, 'two', (json) => json.rooms?.[room]?.joined_count === 2);
    const next = async (claim: string, field: string) =>
      (await follow(loop, claim, (json) => json.rooms?.[room]?.[field] !== undefined)).at(-1).rooms[room];
    await alice.setState(room, 'm.room.avatar', { url: 'mxc://example.org/one' });
    assert.equal((await next('an avatar', 'avatar')).avatar, 'mxc://example.org/one');
    await alice.setState(room, 'm.room.avatar', {});
    assert.equal((await next('no avatar', 'avatar')).avatar, null);
    const [carol] = await people(base, 1);
    await alice.invite(room, carol);
    assert.equal((await next('an invite', 'invited_count')).invited_count, 1);
    await bob.leave(room);
    const left = await next('a leave', 'joined_count');
    assert.deepEqual([left.joined_count, left.name], [1, undefined]);
  });

  test(`${shape}: a tombstone is told as state, and the room stays`, async () => {
    const [alice, bob, room] = await pair(base);
    const loop = new Sliding(bob, { shape });
    const kinds = shape === 'unstable' ? [['m.room.tombstone', '']] : { include: [{ type: 'm.room.tombstone', state_key: '' }] };
    loop.body.lists.all.required_state = kinds;
    await loop.poll(0);
    const successor = await alice.createRoom();
    await alice.setState(room, 'm.room.tombstone', { body: 'moved', replacement_room: successor });
    const part = (await follow(loop, 'the tombstone', (json) => json.rooms?.[room]?.required_state)).at(-1).rooms[room];
    assert.equal(part.required_state[0].content.replacement_room, successor);
    const fresh = new Sliding(bob, { shape, conn: 'fresh' });
    assert.ok((await fresh.poll(0)).json.rooms[room]);
  });

  test(`${shape}: num_live counts what happened since the last request, also in a room that is new to the list`, async () => {
    const [alice, bob, room] = await pair(base);
    for (const body of ['old', 'older']) await bob.send(room, body);
    await knows(alice, [room], 'older');
    const quiet = await alice.createRoom();
    await knows(alice, [quiet]);
    const loop = new Sliding(alice, { shape, last: 0, limit: 5 });
    loop.body.extensions = {};
    const first = (await loop.poll(0)).json.rooms;
    assert.deepEqual(Object.keys(first), [quiet]);
    assert.equal(first[quiet].num_live ?? 0, 0);
    await bob.send(room, 'new');
    const part = (await follow(loop, 'the room', (json) => json.rooms?.[room])).at(-1).rooms[room];
    assert.deepEqual([part.initial, part.num_live, part.timeline.length > 1], [true, 1, true]);
  });
}
