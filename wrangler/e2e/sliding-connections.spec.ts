// Connections of sliding sync (MSC4186, "Connections"): lost answers, doubled requests, several loops of one device.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bodies, brief, eventually, okay, pair, people, refused, register, type Json } from './support/client.ts';
import { shared } from './support/server.ts';
import { Sliding, follow, knows, park, says, types } from './support/sync.ts';

const base = await shared();

for (const shape of ['unstable', 'stable'] as const) {
  test(`${shape}: the same pos gets the same bytes, and going on from them nothing is lost or shown twice`, async () => {
    const [alice, bob, room] = await pair(base);
    const loop = new Sliding(alice, { shape });
    loop.body.extensions = {};
    await loop.poll(0);
    await bob.send(room, 'one');
    await knows(alice, [room], 'one');
    const told = okay(await loop.request(loop.pos, 0));
    await bob.send(room, 'two');
    await knows(alice, [room], 'two');
    const again = await loop.request(loop.pos, 0);
    assert.equal(JSON.stringify(okay(again)), JSON.stringify(told), 'the answer may have been lost');
    loop.pos = told.pos;
    assert.deepEqual(bodies((await loop.poll(0)).json.rooms[room].timeline), ['two']);
  });

  test(`${shape}: another body with the same pos is answered from the same state`, async () => {
    const [alice, bob, room] = await pair(base);
    const loop = new Sliding(alice, { shape });
    loop.body.extensions = {};
    await loop.poll(0);
    await bob.send(room, 'one');
    await knows(alice, [room], 'one');
    const first = okay(await loop.request(loop.pos, 0));
    const body = structuredClone(loop.body);
    body.lists.all.timeline_limit = 1;
    const second = okay(await loop.request(loop.pos, 0, body));
    assert.notEqual(second.pos, first.pos);
    assert.ok(says(first, room, 'one') && says(second, room, 'one'), 'the first answer may never have arrived');
  });

  test(`${shape}: two requests in flight with one pos: both are answered, and the client may go on from either`, async () => {
    const [alice, bob, room] = await pair(base);
    for (const chosen of [0, 1]) {
      const loop = new Sliding(alice, { shape, conn: `flight${chosen}` });
      loop.body.extensions = {};
      const parked = await park(loop);
      const second = loop.request(loop.pos, 20_000);
      await bob.send(room, `news ${chosen}`);
      const answers = [await parked.answer, await second];
      for (const answer of answers) assert.ok(says(okay(answer), room, `news ${chosen}`), brief(answer));
      loop.pos = answers[chosen].json.pos;
      await bob.send(room, `more ${chosen}`);
      const next = await follow(loop, 'what came next', (json) => says(json, room, `more ${chosen}`));
      assert.ok(!next.some((json) => says(json, room, `news ${chosen}`)), 'not again');
    }
  });

  test(`${shape}: a poll that its client gave up leaves nothing behind and loses nothing`, async () => {
    const [alice, bob, room] = await pair(base);
    const loop = new Sliding(alice, { shape });
    loop.body.extensions = {};
    await park(loop, 500).then(({ answer }) => answer);
    const given = loop.user.token;
    const path = shape === 'stable' ? '/_matrix/client/v4/sync' : `/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?pos=${loop.pos}&timeout=20000`;
    const body = shape === 'stable' ? { ...loop.body, pos: loop.pos, timeout: 20_000 } : loop.body;
    const gave = new AbortController();
    const lost = fetch(base + path, { method: 'POST', headers: { authorization: `Bearer ${given}` }, body: JSON.stringify(body), signal: gave.signal });
    await new Promise((resolve) => setTimeout(resolve, 300));
    gave.abort();
    await assert.rejects(lost);
    await bob.send(room, 'while away');
    const answers = await follow(loop, 'it', (json) => says(json, room, 'while away'));
    assert.equal(answers.filter((json) => says(json, room, 'while away')).length, 1);
  });

  test(`${shape}: loops with other conn_ids, and of other devices, know nothing of each other`, async () => {
    const [alice, bob, room] = await pair(base);
    await bob.send(room, 'one');
    await knows(alice, [room], 'one');
    const phone = await alice.login();
    const loops = [new Sliding(alice, { shape }), new Sliding(alice, { shape, conn: 'other' }), new Sliding(phone, { shape })];
    for (const loop of loops) assert.equal((await loop.poll(0)).json.rooms[room].initial, true);
    assert.equal(new Set(loops.map((loop) => loop.pos)).size, 3);
    for (const [one, other] of [[0, 1], [1, 2], [2, 0]]) {
      refused(await loops[one].request(loops[other].pos, 0), 400, 'M_UNKNOWN_POS');
    }
    for (const loop of loops) assert.equal((await loop.poll(0)).json.rooms?.[room], undefined, 'unharmed');
  });

  test(`${shape}: an unknown pos is M_UNKNOWN_POS: none of ours, one from before, one of a connection started over`, async () => {
    const [alice, bob, room] = await pair(base);
    const loop = new Sliding(alice, { shape });
    for (const pos of ['1', 'x', '-1', '0_0', '123456789', 's1']) refused(await loop.request(pos, 0), 400, 'M_UNKNOWN_POS');
    const { json: first } = await loop.poll(0);
    for (let n = 0; n < 3; n += 1) {
      await bob.send(room, `m${n}`);
      await follow(loop, `m${n}`, (json) => says(json, room, `m${n}`));
    }
    refused(await loop.request(first.pos, 0), 400, 'M_UNKNOWN_POS');
    const last = loop.pos;
    loop.pos = undefined;
    assert.equal((await loop.poll(0)).json.rooms[room].initial, true);
    const { json } = await loop.poll(0);
    assert.equal(json.rooms, undefined);
    refused(await loop.request(last, 0), 400, 'M_UNKNOWN_POS');
  });

  test(`${shape}: typing goes with pos, is told again to who asks again, and hides nothing that follows`, async () => {
    const [alice, bob, room] = await pair(base);
    const loop = new Sliding(alice, { shape });
    const parked = await park(loop);
    const before = loop.pos;
    await bob.typing(room);
    const first = okay(await parked.answer);
    assert.ok(types(bob, first, room));
    assert.equal(Object.keys(first.extensions).length, 1);
    assert.ok(types(bob, okay(await loop.request(before, 0)), room), 'the answer may have been lost');
    await bob.typing(room, false);
    await follow(loop, 'the end of it', (json) => json.extensions?.typing && !types(bob, json, room));
    await bob.send(room, 'typed');
    const answers = await follow(loop, 'what was typed', (json) => says(json, room, 'typed'));
    assert.ok(!answers.some((json) => types(bob, json, room)));
  });

  test(`${shape}: required_state and timeline_limit may grow on a live connection: what is missing comes at once`, async () => {
    const [alice, bob, room] = await pair(base, { name: 'Grown', topic: 'Of old' });
    for (const body of ['a', 'b', 'c', 'd']) await bob.send(room, body);
    await knows(alice, [room], 'd');
    const rule = (limit: number, kinds: string[]): Json => shape === 'unstable'
      ? { ranges: [[0, 9]], timeline_limit: limit, required_state: kinds.map((kind) => [kind, '']) }
      : { range: [0, 9], timeline_limit: limit, required_state: { include: kinds.map((type) => ({ type, state_key: '' })) } };
    const loop = new Sliding(alice, { shape });
    const step = async (limit: number, kinds: string[]) => {
      loop.body = { lists: { all: rule(limit, kinds) } };
      return (await loop.poll(0)).json.rooms?.[room];
    };
    const types = (part: Json) => (part?.required_state ?? []).map((event: Json) => event.type).sort();
    const expanded = shape === 'unstable' ? 'unstable_expanded_timeline' : 'expanded_timeline';
    const first = await step(1, ['m.room.name']);
    assert.deepEqual([bodies(first.timeline), types(first)], [['d'], ['m.room.name']]);
    const more = await step(1, ['m.room.name', 'm.room.topic']);
    assert.deepEqual([types(more), more.timeline ?? [], more.initial], [['m.room.topic'], [], undefined]);
    const longer = await step(3, ['m.room.name', 'm.room.topic']);
    assert.deepEqual([bodies(longer.timeline), longer[expanded], types(longer), longer.num_live ?? 0], [['b', 'c', 'd'], true, [], 0]);
    assert.equal(await step(1, ['m.room.name']), undefined, 'less is no news');
    assert.equal(await step(3, ['m.room.name', 'm.room.topic']), undefined, 'nor is what was told before');
    const wild = await step(3, shape === 'unstable' ? ['m.room.name', 'm.room.topic', '*'] : ['m.room.name', 'm.room.topic', 'm.room.create', 'm.room.power_levels']);
    assert.ok(types(wild).includes('m.room.create') && types(wild).includes('m.room.power_levels'));
  });
}

test('a device has room for 16 connections; of more, the one that was longest unused is M_UNKNOWN_POS', async () => {
  const alice = await register(base);
  const loops = Array.from({ length: 17 }, (_, n) => new Sliding(alice, { conn: `c${n}` }));
  for (const loop of loops) await loop.poll(0);
  refused(await loops[0]!.request(loops[0]!.pos, 0), 400, 'M_UNKNOWN_POS');
  for (const loop of loops.slice(1)) okay(await loop.request(loop.pos, 0));
});

test('a list is not parked behind an encryption loop of the same device: each is woken by its own news', async () => {
  const [alice, bob] = await people(base, 2);
  const room = await alice.createRoom();
  await bob.join(room);
  const list = new Sliding(alice);
  list.body.extensions = {};
  const encryption = new Sliding(alice, { conn: 'encryption' });
  encryption.body = { conn_id: 'encryption', extensions: { to_device: { enabled: true }, e2ee: { enabled: true } } };
  const [one, other] = [await park(list), await park(encryption)];
  await bob.send(room, 'for the list');
  assert.ok(says((await one.answer).json, room, 'for the list'));
  const messages = { [alice.id]: { '*': { n: 1 } } };
  await bob.put('/sendToDevice/org.example.note/t1', { messages });
  const { json } = await other.answer;
  assert.deepEqual(json.extensions.to_device.events[0].content, { n: 1 });
  assert.equal(json.rooms, undefined);
});

test('an idle poll is answered at the end of its time with the same pos', async () => {
  const alice = await register(base);
  const loop = new Sliding(alice);
  await eventually('quiet', async () => Object.keys((await loop.poll(0)).json.extensions ?? {}).length === 0);
  const pos = loop.pos;
  const start = performance.now();
  const { json, bytes } = await loop.poll(1_500);
  assert.ok(performance.now() - start >= 1_400);
  assert.equal(json.pos, pos);
  assert.ok(bytes < 80, `${bytes} bytes`);
});
