// Rooms that tell only those who are there: whoever is away misses nothing, whichever sync they come back with, and a
// send costs no hop for them. A restart of workerd makes hubs forget that a client was there just now, as time would.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ask, at, bodies, okay, people, text, unique, type Json, type User } from './support/client.ts';
import { own, uncontrolled } from './support/server.ts';
import { Classic, LATE_MS, SLIDING, Sliding, follow, hasRead, park, says, timeline, types, type Loop } from './support/sync.ts';
import { ASKING, figures } from './support/timing.ts';

/** Rooms with more members than this are large. */
const LARGE = 3;
const LIMITS = { large_room: LARGE };
const skip = uncontrolled;

const LOOPS: Record<string, (user: User) => Loop> = {
  'sliding sync, unstable': (user) => new Sliding(user, { conn: 'unstable' }),
  'sliding sync, stable': (user) => new Sliding(user, { shape: 'stable', conn: 'stable' }),
  'classic sync': (user) => new Classic(user),
};

/** A large room, and members who hold a position in it and are away: one with each kind of sync, and one who never synced. */
interface Hall {
  alice: User;
  room: string;
  /** A room in which something happened after all that the sleepers know of the large one. */
  other: string;
  sleepers: { name: string; user: User; loop: Loop }[];
  newcomer: User;
  /** Is there all the time. */
  present: Sliding;
}

const server = uncontrolled ? undefined : await own({ vars: { LIMITS } });
const base = server?.base ?? '';

/** A large room whose members have all been there. */
async function hall(version = '12'): Promise<Hall> {
  const names = Object.keys(LOOPS);
  const [alice, carol, newcomer, ...users] = await people(base, 3 + names.length);
  const [room, other] = [await alice!.createRoom({ name: 'Hall', room_version: version }), await alice!.createRoom({ name: 'Other' })];
  for (const user of [carol!, newcomer!, ...users]) for (const which of [room, other]) await user.join(which);
  const sleepers = names.map((name, index) => ({ name, user: users[index]!, loop: LOOPS[name]!(users[index]!) }));
  const last = await alice!.send(room, 'read');
  const end = await alice!.send(other, 'later');
  for (const { user, loop } of sleepers) {
    await Promise.all([user.receipt(room, last), user.receipt(other, end)]);
    const seen: Json[] = [];
    await follow(loop, 'all there is', (json) => {
      seen.push(json);
      return seen.some((one) => says(one, room, 'read')) && seen.some((one) => says(one, other, 'later'))
        && seen.some((one) => hasRead(user, one, room, last)) && seen.some((one) => hasRead(user, one, other, end));
    });
  }
  return { alice: alice!, room, other, sleepers, newcomer: newcomer!, present: new Sliding(carol!) };
}

/** Nobody but the present one is there any more. */
async function everybodyLeaves(): Promise<void> {
  server!.killWorkerd();
  await server!.recover();
}

/** How far the user's hub has been told of anything. */
async function position(user: User): Promise<number> {
  const token = JSON.parse(readFileSync(join(server!.state, 'keys.json'), 'utf8')).admin_token;
  return okay(await ask(base, 'GET', at`/_tern/admin/v1/hubs/user/${user.id}`, { token })).position;
}

/** Messages from a number on until two of them reached nobody but the present one; the number of the last. */
async function strikeOff(scene: Hall, from = 1): Promise<number> {
  const users = scene.sleepers.map(({ user }) => user);
  let quiet = 0;
  for (let sent = from; sent < from + 20; sent += 1) {
    const known = await Promise.all(users.map(position));
    await talk(scene, sent, sent);
    quiet = String(await Promise.all(users.map(position))) === String(known) ? quiet + 1 : 0;
    if (quiet === 2) return sent;
  }
  throw new Error('the room goes on telling those who are away');
}

async function talk({ alice, room, present }: Hall, from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n += 1) await alice.send(room, `m${n}`);
  await follow(present, `m${to}`, (json) => says(json, room, `m${to}`));
}

const part = (json: Json, room: string): Json => json.rooms?.[room] ?? json.rooms?.join?.[room];
const unread = (shown: Json): number | undefined =>
  shown.notification_count ?? shown.unread_notifications?.notification_count;

/** All messages since the position: of the answer's timeline, and of pages from its `prev_batch` on until `known`. */
async function missed(user: User, room: string, json: Json, known: string): Promise<string[]> {
  const shown = part(json, room);
  let found: Json[] = [...timeline(json, room)];
  if (!(shown.limited ?? shown.timeline.limited)) return bodies(found);
  for (let from = shown.prev_batch ?? shown.timeline.prev_batch; !bodies(found).includes(known); ) {
    assert.ok(from, `no way back to "${known}": ${bodies(found)}`);
    const page = await user.get(at`/rooms/${room}/messages`, { dir: 'b', limit: 30, from });
    found = [...page.chunk.reverse(), ...found];
    from = page.end;
  }
  const all = bodies(found);
  return all.slice(all.lastIndexOf(known) + 1);
}

/** Nobody who is away is asked about a message before its sender has the answer. */
async function sendsAtLittleCost({ alice, room }: Hall, body: string): Promise<void> {
  const path = at`/rooms/${room}/send/m.room.message/${unique('t')}`;
  const { headers } = await alice.call('PUT', path, { body: text(body), headers: ASKING });
  const { hops, rows, 'storage-calls': storage } = figures(headers.get('server-timing'));
  assert.deepEqual({ hops, storage }, { hops: 1, storage: 0 });
  assert.ok(rows! <= 8, `${rows} rows`);
}

/** A return costs a hop to the own hub and one for each room that has to be asked, and no storage call beyond one. */
async function returnsAtLittleCost(user: User): Promise<void> {
  const body = { conn_id: 'cost', lists: { all: { ranges: [[0, 0]], timeline_limit: 1, required_state: [] } } };
  const { headers } = await user.call('POST', SLIDING.unstable, { body, headers: ASKING });
  const { hops } = figures(headers.get('server-timing'));
  assert.ok(hops! >= 2 && hops! <= 3, `${hops} hops for two rooms`);
}

/** The room is over for the user, by a member event of their own. */
function ends(json: Json, room: string, user: User, membership: string): boolean {
  const shown = json.rooms?.leave?.[room] ?? json.rooms?.[room] ?? {};
  const events = [shown.timeline?.events ?? shown.timeline ?? [], shown.required_state ?? [], shown.stripped_state ?? []].flat();
  return events.some((event: Json) => event.state_key === user.id && event.content.membership === membership);
}

/** Polls that wait get what happens in the room at once. */
async function hears({ alice, room }: Hall, loops: Loop[]): Promise<void> {
  let event = '';
  const news: [happens: () => Promise<unknown>, heard: (json: Json) => boolean][] = [
    [async () => { event = await alice.send(room, 'to all'); }, (json) => says(json, room, 'to all')],
    [() => alice.typing(room), (json) => types(alice, json, room)],
    [() => alice.receipt(room, event), (json) => hasRead(alice, json, room, event)],
  ];
  for (const [happens, heard] of news) {
    const parked = await Promise.all(loops.map((loop) => park(loop)));
    const start = performance.now();
    await happens();
    for (const { answer } of parked) assert.ok(heard((await answer).json), (await answer).text);
    assert.ok(performance.now() - start < LATE_MS);
  }
}

const numbers = (to: number): string[] => Array.from({ length: to }, (_, index) => `m${index + 1}`);

/** What the first answer after an absence of `count` messages has to tell. */
async function comesBack({ room, other, newcomer, sleepers }: Hall, count: number): Promise<void> {
  for (const { name, user, loop } of sleepers) {
    const { json } = await loop.poll(0);
    assert.deepEqual(await missed(user, room, json, 'read'), numbers(count), `${name}: each message once and in order`);
    assert.equal(bodies(timeline(json, room)).at(-1), `m${count}`, `${name}: the newest is there at once`);
    if (name !== 'sliding sync, stable') assert.equal(unread(part(json, room)), count, `${name}: exact with the first answer`);
    assert.deepEqual(timeline(json, other), [], `${name}: nothing happened elsewhere`);
  }
  await returnsAtLittleCost(newcomer);
  for (const user of [newcomer, sleepers[1]!.user]) {
    const top = new Sliding(user, { conn: 'top', last: 0, limit: 5 });
    const { json } = await top.poll(0);
    assert.deepEqual(Object.keys(json.rooms), [room], 'the list has the room on top');
    assert.equal(unread(json.rooms[room]), user === newcomer ? count + 1 : count);
    const stamps = (await new Sliding(user, { conn: 'stamps' }).poll(0)).json.rooms;
    assert.ok(stamps[room].bump_stamp > stamps[other].bump_stamp);
  }
}

test('away for 5 messages, for 150, and through a power cut: all of it, and exact counts, with the first answer; nobody was troubled meanwhile', { skip }, async (t) => {
  const halls = await Promise.all([hall(), hall(), hall()]);
  const cut = halls[2]!;
  for (let n = 1; n <= 3; n += 1) await cut.alice.send(cut.room, `m${n}`);
  await everybodyLeaves();
  await comesBack(cut, await strikeOff(cut, 4));
  for (const [index, wanted] of [5, 150].entries()) {
    const scene = halls[index]!;
    const users = [...scene.sleepers.map(({ user }) => user), scene.newcomer];
    await scene.present.poll(0);
    const first = await strikeOff(scene);
    const count = Math.max(wanted, first + 1);
    const known = await Promise.all(users.map(position));
    await sendsAtLittleCost(scene, `m${first + 1}`);
    await talk(scene, first + 2, count);
    assert.deepEqual(await Promise.all(users.map(position)), known, 'the hubs of those who are away are left alone');
    await comesBack(scene, count);
    t.diagnostic(`${count} messages (${first} until the room was quiet) made up for by ${users.length} users`);
  }
  await hears(halls[0]!, halls[0]!.sleepers.map(({ loop }) => loop));
});

test('whoever missed a redaction that was then redacted itself does not count what it took away, in a room of version 10', { skip }, async () => {
  const scene = await hall('10');
  const { alice, room, sleepers } = scene;
  const gone = await alice.send(room, 'gone');
  for (const { loop } of sleepers) await follow(loop, 'what will go', (json) => says(json, room, 'gone'));
  await everybodyLeaves();
  await scene.present.poll(0);
  const first = await strikeOff(scene);
  const redact = async (event: string) => (await alice.put(at`/rooms/${room}/redact/${event}/${unique('r')}`)).event_id;
  await redact(await redact(gone));
  await talk(scene, first + 1, first + 120);
  for (const { name, loop } of sleepers) {
    const { json } = await loop.poll(0);
    if (name !== 'sliding sync, stable') assert.equal(unread(part(json, room)), first + 120, name);
  }
});

test('kicks, bans and invites reach those who are away, through a power cut; nothing after them does, and who joins later hears', { skip }, async () => {
  const [kicked, banned] = await Promise.all([hall(), hall()]);
  const [guest, late] = await people(base, 2);
  const invited = Object.values(LOOPS).map((open) => open(guest!));
  for (const loop of invited) await loop.poll(0);
  await everybodyLeaves();
  const said = new Map<string, number>();
  for (const [scene, action] of [[kicked, 'kick'], [banned, 'ban']] as const) {
    await scene.present.poll(0);
    const first = await strikeOff(scene);
    said.set(scene.room, first + 2);
    for (const n of [first + 1, first + 2]) await scene.alice.send(scene.room, `m${n}`);
    await Promise.all(scene.sleepers.map(({ user }) => scene.alice.post(at`/rooms/${scene.room}/${action}`, { user_id: user.id })));
    await scene.alice.send(scene.room, 'among us');
  }
  await kicked.alice.invite(kicked.room, guest!);
  await everybodyLeaves();
  for (const [{ room, sleepers }, membership] of [[kicked, 'leave'], [banned, 'ban']] as const) {
    for (const { name, user, loop } of sleepers) {
      const answers = await follow(loop, `${name}: the ${membership}`, (json) => ends(json, room, user, membership));
      assert.ok(!JSON.stringify(answers).includes('among us'), name);
      const told = answers.flatMap((json) => bodies(json.rooms?.leave?.[room]?.timeline.events ?? timeline(json, room)));
      assert.deepEqual(told, numbers(said.get(room)!), `${name}: what came before it`);
    }
  }
  for (const loop of invited) {
    await follow(loop, 'the invite', (json) => JSON.stringify(json.rooms?.invite?.[kicked.room] ?? json.rooms?.[kicked.room] ?? '').includes('"invite"'));
  }
  await late!.join(kicked.room);
  await hears(kicked, [new Sliding(late!)]);
});
