// Ignored users: nothing they say reaches the user, in any sync or page; state does, and their invites do not.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, bodies, history, pair, people, refused, text, unique, type Json, type User } from './support/client.ts';
import { shared } from './support/server.ts';
import { Classic, Sliding, follow, hasRead, knows, timeline, types, type Loop } from './support/sync.ts';

const base = await shared();

function ignore(user: User, ...others: User[]): Promise<Json> {
  const list = Object.fromEntries(others.map((other) => [other.id, {}]));
  return user.put(at`/user/${user.id}/account_data/m.ignored_user_list`, { ignored_users: list });
}

/** All that a room's timeline brought until a message of this text. */
async function until(loop: Loop, room: string, last: string): Promise<Json[]> {
  const answers = await follow(loop, last, (json) => bodies(timeline(json, room)).includes(last));
  return answers.flatMap((json) => timeline(json, room));
}

test('what an ignored user says is in neither sync, the state they change is', async () => {
  const [alice, bob, room] = await pair(base, { power_level_content_override: { events: { 'm.room.topic': 0 } } });
  const [carol] = await people(base, 1);
  await carol.join(room);
  await knows(alice, [room]);
  const loops: Loop[] = [new Classic(alice), new Sliding(alice), new Sliding(alice, { shape: 'stable', conn: 'stable' })];
  for (const loop of loops) await loop.poll(0);
  await ignore(alice, bob);
  await bob.send(room, 'unheard');
  await bob.setState(room, 'm.room.topic', { topic: 'seen' });
  await carol.send(room, 'heard');
  for (const loop of loops) {
    const events = await until(loop, room, 'heard');
    assert.deepEqual(bodies(events), ['heard']);
    assert.ok(events.some((event) => event.type === 'm.room.topic'), 'state comes through');
  }
  await ignore(alice);
  await bob.send(room, 'heard again');
  assert.ok(bodies(await until(loops[0]!, room, 'heard again')).length === 1, 'what was missed is not sent late');
});

test('nor is it in pages, around an event, in threads, or by its id', async () => {
  const [alice, bob, room] = await pair(base);
  const root = await alice.send(room, 'root');
  const thread = { 'm.relates_to': { rel_type: 'm.thread', event_id: root } };
  const unheard = { msgtype: 'm.text', body: 'unheard', ...thread };
  const said = (await bob.put(at`/rooms/${room}/send/m.room.message/${unique('t')}`, unheard)).event_id;
  await ignore(alice, bob);
  for (const dir of ['f', 'b'] as const) assert.deepEqual(bodies(await history(alice, room, dir, 10)), ['root']);
  const context = await alice.get(at`/rooms/${room}/context/${root}`);
  assert.deepEqual(bodies([...context.events_before, ...context.events_after]), []);
  refused(await alice.call('GET', at`/rooms/${room}/event/${said}`), 404, 'M_NOT_FOUND');
  refused(await alice.call('GET', at`/rooms/${room}/context/${said}`), 404, 'M_NOT_FOUND');
  assert.deepEqual((await alice.get(at`/_matrix/client/v1/rooms/${room}/relations/${root}`)).chunk, []);
  assert.deepEqual((await alice.get(at`/_matrix/client/v1/rooms/${room}/threads`)).chunk, [], 'it is no thread to her');
  assert.ok((await bob.get(at`/rooms/${room}/event/${said}`)).event_id, 'others see it');
});

test('threads and references are told without what they said, wherever they are told', async () => {
  const [alice, bob, room] = await pair(base);
  const [carol] = await people(base, 1);
  await carol!.join(room);
  const relate = async (user: User, body: string, rel_type: string, event_id: string): Promise<string> => {
    const content = { ...text(body), 'm.relates_to': { rel_type, event_id } };
    return (await user.put(at`/rooms/${room}/send/m.room.message/${unique('t')}`, content)).event_id;
  };
  const root = await alice.send(room, 'root');
  const bobs = await bob.send(room, 'of Bob');
  const heard = await relate(carol!, 'see above', 'm.reference', root);
  const unheard = await relate(bob, 'see nowhere', 'm.reference', root);
  const newest = await relate(carol!, 'heard', 'm.thread', root);
  await relate(carol!, 'heard as well', 'm.thread', bobs);
  const last = await relate(bob, 'unheard', 'm.thread', root);
  await alice.send(room, 'the end');
  for (const user of [alice, carol!]) await knows(user, [room], 'the end');
  await ignore(alice, bob);
  const threads = async (user: User): Promise<Json[]> => (await user.get(at`/_matrix/client/v1/rooms/${room}/threads`)).chunk;
  // From the root on: a timeline that begins anew tells by itself what its events say of each other.
  const limit = 8;
  const filter = JSON.stringify({ room: { timeline: { limit } } });
  const told = async (user: User): Promise<[string, Json][]> => {
    const synced = async (loop: Loop): Promise<Json[]> => timeline((await loop.poll(0)).json, room);
    const pages: [string, Json[]][] = [
      ['messages', await history(user, room, 'b', 50)],
      ['threads', await threads(user)],
      ['event', [await user.get(at`/rooms/${room}/event/${root}`)]],
      ['context', [(await user.get(at`/rooms/${room}/context/${root}`)).event]],
      ['around', (await user.get(at`/rooms/${room}/context/${heard}`, { limit: 20 })).events_before],
      ['classic sync', await synced(new Classic(user, { filter }))],
      ['sliding sync', await synced(new Sliding(user, { conn: unique('c'), limit }))],
      ['stable sliding sync', await synced(new Sliding(user, { shape: 'stable', conn: unique('c'), limit }))],
    ];
    return pages.map(([name, events]) => {
      const event = events.find(({ event_id }) => event_id === root);
      assert.ok(event?.unsigned?.['m.relations'], `${name} tells of the root`);
      return [name, event.unsigned['m.relations']];
    });
  };
  for (const [name, relations] of await told(alice)) {
    const thread = relations['m.thread'];
    assert.deepEqual([thread.count, thread.latest_event.event_id, thread.current_user_participated], [1, newest, true], name);
    assert.deepEqual(relations['m.reference'], { chunk: [{ event_id: heard }] }, name);
  }
  for (const [name, relations] of await told(carol!)) {
    const thread = relations['m.thread'];
    assert.deepEqual([thread.count, thread.latest_event.event_id, thread.current_user_participated], [2, last, true], name);
    assert.deepEqual(relations['m.reference'], { chunk: [{ event_id: heard }, { event_id: unheard }] }, name);
  }
  assert.deepEqual((await threads(carol!)).map((event) => [event.event_id, event.content.body]), [[root, 'root'], [bobs, 'of Bob']]);
  const hers = await threads(alice);
  assert.deepEqual(hers.map((event) => [event.event_id, event.content.body]), [[bobs, undefined], [root, 'root']]);
  assert.deepEqual([hers[0]!.content, hers[0]!.unsigned['m.relations']['m.thread'].count], [{}, 1], 'redacted, and told all the same');
});

test('invites by ignored users are not shown until they are ignored no more', async () => {
  const [alice, bob] = await people(base, 2);
  await ignore(alice, bob);
  const room = await bob.createRoom({ invite: [alice.id] });
  const open = await bob.createRoom();
  await alice.join(open);
  const loops: [Loop, (json: Json) => boolean][] = [
    [new Classic(alice), (json) => Boolean(json.rooms?.invite?.[room])],
    [new Sliding(alice), (json) => Boolean(json.rooms?.[room]?.invite_state)],
  ];
  for (const [loop, shown] of loops) {
    const answers = await follow(loop, 'the open room', (json) => json.rooms?.[open] ?? json.rooms?.join?.[open]);
    assert.ok(!answers.some(shown), 'the invite is hidden');
  }
  await ignore(alice);
  for (const [loop, shown] of loops) await follow(loop, 'the invite', shown);
});

test('neither are their typing, their receipts and their mentions', async () => {
  const [alice, bob, room] = await pair(base);
  const [carol] = await people(base, 1);
  await carol!.join(room);
  const event = await alice.send(room, 'read me');
  await knows(alice, [room], 'read me');
  await ignore(alice, bob);
  const loops: Loop[] = [new Classic(alice), new Sliding(alice), new Sliding(alice, { shape: 'stable', conn: 'stable' })];
  for (const loop of loops) await loop.poll(0);
  await bob.typing(room);
  await bob.receipt(room, event);
  const mention = { msgtype: 'm.text', body: 'you!', 'm.mentions': { user_ids: [alice.id] } };
  await bob.put(at`/rooms/${room}/send/m.room.message/${unique('t')}`, mention);
  await carol!.receipt(room, event);
  await carol!.typing(room);
  await carol!.send(room, 'heard');
  for (const loop of loops) {
    const seen: Json[] = [];
    await follow(loop, 'what Carol does', (json) => {
      seen.push(json);
      return seen.some((one) => bodies(timeline(one, room)).includes('heard')) && seen.some((one) => types(carol!, one, room))
        && seen.some((one) => hasRead(carol!, one, room, event));
    });
    assert.ok(!seen.some((json) => types(bob, json, room) || hasRead(bob, json, room, event)));
    const counts = seen.map((json) => json.rooms?.[room] ?? json.rooms?.join?.[room]?.unread_notifications).filter((part) => part?.highlight_count);
    assert.deepEqual(counts, [], 'no highlight');
  }
});
