// A waiting sync gets what happens in that same response: one poll each, no second request.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, brief, okay, pair, people, refused, register, text, unique, type User } from './support/client.ts';
import { sized } from './support/full.ts';
import { publish } from './support/keys.ts';
import { shared } from './support/server.ts';
import {
  Classic, Sliding, delivers, follow, hasRead, knows, park, says, SLIDING, types, type Loop,
} from './support/sync.ts';

const base = await shared();

const LOOPS: Record<string, (user: User) => Loop> = {
  'sliding sync, unstable path': (user) => new Sliding(user),
  'sliding sync, stable path': (user) => new Sliding(user, { shape: 'stable' }),
  'classic sync': (user) => new Classic(user),
};

for (const [name, open] of Object.entries(LOOPS)) {
  test(`${name}: a message reaches the parked poll in that response`, async (t) => {
    const [alice, bob, room] = await pair(base);
    await delivers(t, open(alice), () => bob.send(room, 'wake up'), (json) => says(json, room, 'wake up'));
  });

  test(`${name}: typing reaches the parked poll, and so does its end`, async (t) => {
    const [alice, bob, room] = await pair(base);
    const loop = open(alice);
    await delivers(t, loop, () => bob.typing(room), (json) => types(bob, json, room));
    await delivers(t, loop, () => bob.typing(room, false), (json) => !types(bob, json, room) && JSON.stringify(json).includes('m.typing'));
  });

  test(`${name}: a receipt reaches the parked poll in that response`, async (t) => {
    const [alice, bob, room] = await pair(base);
    const event = await alice.send(room, 'read me');
    await delivers(t, open(alice), () => bob.receipt(room, event), (json) => hasRead(bob, json, room, event));
  });

  test(`${name}: an invite reaches the parked poll in that response`, async (t) => {
    const [alice, bob] = await people(base, 2);
    const room = await bob.createRoom({ preset: 'private_chat', name: 'Burrow' });
    await delivers(t, open(alice), () => bob.invite(room, alice), (json) => {
      const state = json.rooms?.invite?.[room]?.invite_state?.events
        ?? json.rooms?.[room]?.stripped_state ?? json.rooms?.[room]?.invite_state ?? [];
      const named = state.some((event: any) => event.type === 'm.room.name' && event.content.name === 'Burrow');
      return named && state.some((event: any) => event.type === 'm.room.member' && event.state_key === alice.id);
    });
  });

  test(`${name}: global account data set on another device reaches the parked poll`, async (t) => {
    const alice = await register(base);
    const tablet = await alice.login();
    const set = () => tablet.put(at`/user/${alice.id}/account_data/org.example.colour`, { colour: 'red' });
    await delivers(t, open(alice), set, (json) => {
      const events = json.extensions?.account_data?.global ?? json.account_data?.events ?? [];
      return events.some((event: any) => event.type === 'org.example.colour' && event.content.colour === 'red');
    });
  });

  test(`${name}: account data of a room set on another device reaches the parked poll`, async (t) => {
    const alice = await register(base);
    const room = await alice.createRoom();
    const tablet = await alice.login();
    const set = () => tablet.put(at`/user/${alice.id}/rooms/${room}/account_data/org.example.note`, { note: 'tern' });
    await delivers(t, open(alice), set, (json) => {
      const events = json.extensions?.account_data?.rooms?.[room] ?? json.rooms?.join?.[room]?.account_data?.events ?? [];
      return events.some((event: any) => event.type === 'org.example.note' && event.content.note === 'tern');
    });
  });

  test(`${name}: a to-device message reaches the parked poll in that response`, async (t) => {
    const [alice, bob] = await people(base, 2);
    const messages = { [alice.id]: { [alice.device]: { secret: 'squawk' } } };
    const send = () => bob.put(at`/sendToDevice/org.example.ping/${unique()}`, { messages });
    await delivers(t, open(alice), send, (json) => {
      const events = json.extensions?.to_device?.events ?? json.to_device?.events ?? [];
      return events.some((event: any) => event.type === 'org.example.ping' && event.sender === bob.id
        && event.content.secret === 'squawk');
    });
  });

  test(`${name}: a new device of somebody in the room reaches the parked poll`, async (t) => {
    const [alice, bob] = await pair(base);
    await delivers(t, open(alice), () => publish(bob), (json) => {
      const lists = json.extensions?.e2ee?.device_lists ?? json.device_lists;
      return lists?.changed?.includes(bob.id);
    });
  });

  test(`${name}: a parked poll with nothing to say is held for its timeout and then answers`, async () => {
    const { answer } = await park(open(await register(base)), 2_000);
    const { ms } = await answer;
    assert.ok(ms >= 1_900 && ms < 6_000, `held for ${ms} ms`);
  });
}

for (const shape of ['unstable', 'stable'] as const) {
  test(`sliding sync, ${shape} path: the same pos again gets the byte-identical answer`, async () => {
    const [alice, bob, room] = await pair(base);
    const [loop, witness] = [new Sliding(alice, { shape }), new Sliding(alice, { shape, conn: 'witness' })];
    await park(loop, 1_000).then(({ answer }) => answer);
    const pos = loop.pos;
    await bob.send(room, 'once');
    await follow(witness, 'the first message', (json) => says(json, room, 'once'));
    const first = await loop.request(pos, 0);
    assert.ok(says(okay(first), room, 'once'));
    await bob.typing(room);
    await bob.send(room, 'twice');
    await follow(witness, 'the second message', (json) => says(json, room, 'twice'));
    const again = await loop.request(pos, 0);
    assert.ok(again.text === first.text, `not the same answer:\n${first.text}\n${again.text}`);
    loop.pos = first.json.pos;
    const next = await loop.poll(0);
    assert.ok(says(next.json, room, 'twice') && !says(next.json, room, 'once'), brief(next));
  });

  test(`sliding sync, ${shape} path: an unknown pos answers 400 M_UNKNOWN_POS`, async () => {
    const [alice, bob] = await people(base, 2);
    const loop = new Sliding(alice, { shape });
    await loop.poll(0);
    const stranger = new Sliding(bob, { shape });
    for (const pos of ['garbage', '0', `${loop.pos}987654321`]) {
      refused(await loop.request(pos, 0), 400, 'M_UNKNOWN_POS');
    }
    refused(await stranger.request(loop.pos, 0), 400, 'M_UNKNOWN_POS');
    refused(await loop.request(loop.pos, 0, { ...loop.body, conn_id: 'other' }), 400, 'M_UNKNOWN_POS');
  });

  test(`sliding sync, ${shape} path: a second device has a connection of its own under the same conn_id`, async (t) => {
    const [alice, bob, room] = await pair(base);
    const tablet = await alice.login();
    const [one, two] = [new Sliding(alice, { shape }), new Sliding(tablet, { shape })];
    await delivers(t, one, () => bob.send(room, 'to both'), (json) => says(json, room, 'to both'));
    const first = await two.poll(0);
    assert.equal(first.json.rooms[room].initial, true, 'the second device starts from the beginning');
    assert.ok(says(first.json, room, 'to both'));
    refused(await two.request(one.pos, 0), 400, 'M_UNKNOWN_POS');
    const parked = [await park(one), await park(two)];
    await bob.send(room, 'again to both');
    for (const { answer } of parked) assert.ok(says((await answer).json, room, 'again to both'));
  });

  test(`sliding sync, ${shape} path: two connections of one device are independent`, async () => {
    const [alice, bob, room] = await pair(base);
    const [one, two] = [new Sliding(alice, { shape, conn: 'a' }), new Sliding(alice, { shape, conn: 'b' })];
    await one.poll(0);
    await two.poll(0);
    await bob.send(room, 'to both loops');
    await follow(one, 'the message', (json) => says(json, room, 'to both loops'));
    await follow(two, 'the message', (json) => says(json, room, 'to both loops'));
  });
}

for (const rooms of [10, ...sized([], [500])]) {
  test(`an idle sliding sync with ${rooms} rooms has a body of at most 60 bytes`, { timeout: 600_000 }, async (t) => {
    const alice = await register(base);
    const made: string[] = [];
    while (made.length < rooms) {
      made.push(...await Promise.all(Array.from({ length: 10 }, () => alice.createRoom())));
      await Promise.all(made.slice(-10).map((room) => alice.send(room, 'hello')));
    }
    await knows(alice, made, 'hello');
    for (const shape of ['unstable', 'stable'] as const) {
      const loop = new Sliding(alice, { shape, last: rooms - 1, limit: 1 });
      const initial = await loop.poll(0);
      assert.equal(Object.keys(initial.json.rooms).length, rooms);
      const { answer } = await park(loop, 1_500);
      const idle = [await answer, await loop.poll(0)];
      for (const { bytes, json } of idle) {
        assert.ok(bytes <= 60, `${bytes} bytes: ${JSON.stringify(json).slice(0, 400)}`);
      }
      t.diagnostic(`${shape}: ${idle[1].bytes} bytes in ${idle[1].ms.toFixed(1)} ms`);
    }
  });
}

test('classic sync: the same since again gets the message again', async () => {
  const [alice, bob, room] = await pair(base);
  const loop = new Classic(alice);
  await loop.poll(0);
  const since = loop.since;
  await bob.send(room, 'once');
  await follow(loop, 'the message', (json) => says(json, room, 'once'));
  loop.since = since;
  await follow(loop, 'the message again', (json) => says(json, room, 'once'));
});

test('the sender of a message has it in a sync that starts after the answer', async () => {
  const [alice, , room] = await pair(base);
  const loop = new Sliding(alice);
  await loop.poll(0);
  okay(await alice.call('PUT', at`/rooms/${room}/send/m.room.message/${unique()}`, { body: text('mine') }));
  await follow(loop, 'own message', (json) => says(json, room, 'mine'));
});

test('an abandoned poll loses nothing', async () => {
  const [alice, bob, room] = await pair(base);
  const loop = new Sliding(alice);
  await park(loop, 1_500).then(({ answer }) => answer);
  const gone = new AbortController();
  const request = fetch(`${base}${SLIDING.unstable}?timeout=20000&pos=${encodeURIComponent(loop.pos!)}`, {
    method: 'POST', body: JSON.stringify(loop.body), signal: gone.signal,
    headers: { authorization: `Bearer ${alice.token}`, 'content-type': 'application/json' },
  });
  const sent = bob.send(room, 'while you looked away');
  gone.abort();
  await assert.rejects(request);
  await sent;
  await follow(loop, 'the message', (json) => says(json, room, 'while you looked away'));
});
