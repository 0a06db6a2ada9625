// What belongs to one account: profile, account data, tags, filters, push rules, receipts, typing, discovery.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, at, eventually, okay, pair, people, refused, register, unique, type Json, type User } from './support/client.ts';
import { shared } from './support/server.ts';
import { Classic, Sliding, delivers, ephemeral, follow, hasRead, knows, park, timeline, types } from './support/sync.ts';

const base = await shared();

test('discovery: versions, capabilities, well-known and login flows say what is there', async () => {
  const alice = await register(base);
  const versions = okay(await ask(base, 'GET', '/_matrix/client/versions'));
  assert.ok(versions.versions.includes('v1.11'));
  assert.equal(versions.unstable_features['org.matrix.simplified_msc3575'], true);
  const { capabilities } = await alice.get('/capabilities');
  const rooms = capabilities['m.room_versions'];
  assert.equal(rooms.default, '12');
  for (const version of ['6', '7', '8', '9', '10', '11', '12']) assert.equal(rooms.available[version], 'stable');
  const client = okay(await ask(base, 'GET', '/.well-known/matrix/client'));
  assert.match(client['m.homeserver'].base_url, /^https?:\/\//);
  assert.equal(typeof okay(await ask(base, 'GET', '/.well-known/matrix/server'))['m.server'], 'string');
  const { flows } = okay(await ask(base, 'GET', '/login'));
  assert.ok(flows.some(({ type }: Json) => type === 'm.login.password'));
});

test('profile: readable by all, written by its owner, absent fields are 404', async () => {
  const [alice, bob] = await people(base, 2);
  const field = (name: string) => at`/profile/${alice.id}/${name}`;
  await alice.put(field('displayname'), { displayname: 'Alice 🐦' });
  await alice.put(field('avatar_url'), { avatar_url: 'mxc://example.org/bird' });
  const whole = okay(await ask(base, 'GET', at`/profile/${alice.id}`));
  assert.deepEqual([whole.displayname, whole.avatar_url], ['Alice 🐦', 'mxc://example.org/bird']);
  assert.deepEqual(await bob.get(field('displayname')), { displayname: 'Alice 🐦' });
  refused(await bob.call('PUT', field('displayname'), { body: { displayname: 'x' } }), 403, 'M_FORBIDDEN');
  refused(await ask(base, 'GET', at`/profile/${'@nobody:' + alice.server}`), 404, 'M_NOT_FOUND');
  refused(await ask(base, 'GET', at`/profile/${bob.id}/avatar_url`), 404, 'M_NOT_FOUND');
});

test('profile: a change reaches the member events of every joined room, and those who watch', async (t) => {
  const [alice, bob, room] = await pair(base);
  const other = await alice.createRoom();
  const left = await alice.createRoom();
  await bob.join(left);
  await alice.leave(left);
  const rename = () => alice.put(at`/profile/${alice.id}/displayname`, { displayname: 'Fulmar' });
  await delivers(t, new Sliding(bob), rename, (json) => timeline(json, room).some((event) =>
    event.type === 'm.room.member' && event.state_key === alice.id && event.content.displayname === 'Fulmar'));
  for (const joined of [room, other]) {
    await eventually('the name in the member event', async () =>
      (await alice.state(joined, 'm.room.member', alice.id)).displayname === 'Fulmar');
  }
  assert.notEqual((await bob.state(left, 'm.room.member', alice.id)).displayname, 'Fulmar');
  const { joined } = await bob.get(at`/rooms/${room}/joined_members`);
  assert.equal(joined[alice.id].display_name, 'Fulmar');
});

test('profile: a later room and a later join carry name and avatar', async () => {
  const [alice, bob] = await people(base, 2);
  for (const user of [alice, bob]) {
    await user.put(at`/profile/${user.id}/displayname`, { displayname: `Name of ${user.name}` });
    await user.put(at`/profile/${user.id}/avatar_url`, { avatar_url: 'mxc://example.org/x' });
  }
  const room = await alice.createRoom();
  await bob.join(room);
  for (const user of [alice, bob]) {
    const member = await alice.state(room, 'm.room.member', user.id);
    assert.deepEqual([member.displayname, member.avatar_url], [`Name of ${user.name}`, 'mxc://example.org/x']);
  }
});

test('account data: global and per room, kept apart, in the next sync of each device', async () => {
  const alice = await register(base);
  const room = await alice.createRoom();
  const path = at`/user/${alice.id}/account_data/org.example.a`;
  const inRoom = at`/user/${alice.id}/rooms/${room}/account_data/org.example.a`;
  refused(await alice.call('GET', path), 404, 'M_NOT_FOUND');
  await alice.put(path, { place: 'world' });
  await alice.put(inRoom, { place: 'room' });
  assert.deepEqual(await alice.get(path), { place: 'world' });
  assert.deepEqual(await alice.get(inRoom), { place: 'room' });
  await knows(alice, [room]);
  const { json } = await new Classic(await alice.login()).poll(0);
  const of = (events: Json[] = []) => events.find(({ type }) => type === 'org.example.a')?.content;
  assert.deepEqual(of(json.account_data.events), { place: 'world' });
  assert.deepEqual(of(json.rooms.join[room].account_data.events), { place: 'room' });
  for (const type of ['m.fully_read', 'm.push_rules']) {
    const answer = await alice.call('PUT', at`/user/${alice.id}/account_data/${type}`, { body: {} });
    assert.equal(answer.status, 405, `${type} is managed by the server: ${answer.text}`);
  }
});

test('tags: set, listed, told to sync as m.tag, removed', async (t) => {
  const alice = await register(base);
  const room = await alice.createRoom();
  const tags = at`/user/${alice.id}/rooms/${room}/tags`;
  const told = (json: Json) => (json.extensions?.account_data?.rooms?.[room] ?? [])
    .find(({ type }: Json) => type === 'm.tag')?.content.tags;
  const loop = new Sliding(alice);
  await delivers(t, loop, () => alice.put(tags + '/m.favourite', { order: 0.25 }), (json) => told(json)?.['m.favourite']?.order === 0.25);
  await alice.put(tags + '/u.work', {});
  assert.deepEqual(await alice.get(tags), { tags: { 'm.favourite': { order: 0.25 }, 'u.work': {} } });
  await delivers(t, loop, () => alice.delete(tags + '/m.favourite'), (json) => told(json) && !told(json)['m.favourite']);
  assert.deepEqual(await alice.get(tags), { tags: { 'u.work': {} } });
});

test('filters: what was stored is what is read, and is used by sync', async () => {
  const [alice, bob, room] = await pair(base);
  const filter = { room: { timeline: { limit: 3, types: ['m.room.message'] }, rooms: [room] }, event_fields: ['type', 'content'] };
  const { filter_id } = await alice.post(at`/user/${alice.id}/filter`, filter);
  assert.deepEqual(await alice.get(at`/user/${alice.id}/filter/${filter_id}`), filter);
  refused(await alice.call('GET', at`/user/${alice.id}/filter/${filter_id}9999`), 404, 'M_NOT_FOUND');
  for (let n = 0; n < 5; n += 1) await bob.send(room, `m${n}`);
  await knows(alice, [room], 'm4');
  const json = await alice.get('/sync', { filter: filter_id, timeout: 0 });
  const events = json.rooms.join[room].timeline.events;
  assert.deepEqual(events.map((event: Json) => event.content.body), ['m2', 'm3', 'm4']);
  assert.ok(events.every((event: Json) => event.sender === undefined), 'event_fields leaves only what it names');
});

test('receipts: public ones reach others, private ones only the own devices', async (t) => {
  const [alice, bob, room] = await pair(base);
  const event = await bob.send(room, 'hello');
  const tablet = new Sliding(await alice.login());
  const watcher = new Sliding(bob);
  await watcher.poll(0);
  await delivers(t, tablet, () => alice.receipt(room, event, 'm.read.private'), (json) => hasRead(alice, json, room, event, 'm.read.private'));
  await alice.receipt(room, event, 'm.read');
  const answers = await follow(watcher, 'the public receipt', (json) => hasRead(alice, json, room, event));
  assert.ok(!JSON.stringify(answers).includes('m.read.private'), 'a private receipt is private');
  const later = await new Classic(bob).poll(0);
  assert.ok(hasRead(alice, later.json, room, event) && !later.text.includes('m.read.private'));
});

test('receipts: one per thread, told with its thread id', async () => {
  const [alice, bob, room] = await pair(base);
  const root = await bob.send(room, 'root');
  const relation = { 'm.relates_to': { rel_type: 'm.thread', event_id: root } };
  const { event_id: reply } = await bob.put(at`/rooms/${room}/send/m.room.message/r`, { msgtype: 'm.text', body: 'reply', ...relation });
  await alice.receipt(room, root, 'm.read', { thread_id: 'main' });
  await alice.receipt(room, reply, 'm.read', { thread_id: root });
  const answers = await follow(new Classic(bob), 'the receipt in the thread', (json) => hasRead(alice, json, room, reply));
  const receipts = answers.flatMap((json) => ephemeral(json, room, 'm.receipt'));
  const content = Object.assign({}, ...receipts.map((receipt) => receipt.content));
  assert.equal(content[root]['m.read'][alice.id].thread_id, 'main');
  assert.equal(content[reply]['m.read'][alice.id].thread_id, root);
  assert.equal(typeof content[root]['m.read'][alice.id].ts, 'number');
});

test('read markers: fully_read becomes account data, read a receipt, in one call', async () => {
  const [alice, bob, room] = await pair(base);
  const [one, two] = [await bob.send(room, 'one'), await bob.send(room, 'two')];
  const loop = new Sliding(bob);
  await park(loop, 500).then(({ answer }) => answer);
  await alice.post(at`/rooms/${room}/read_markers`, { 'm.fully_read': one, 'm.read': two, 'm.read.private': two });
  assert.deepEqual(await alice.get(at`/user/${alice.id}/rooms/${room}/account_data/m.fully_read`), { event_id: one });
  await follow(loop, 'the receipt', (json) => hasRead(alice, json, room, two));
  await alice.receipt(room, two, 'm.fully_read');
  assert.deepEqual(await alice.get(at`/user/${alice.id}/rooms/${room}/account_data/m.fully_read`), { event_id: two });
});

test('typing: whoever leaves or is put out types no more, for either side', async () => {
  for (const out of ['leave', 'kick', 'ban'] as const) {
    const [alice, bob, room] = await pair(base);
    const loops = [new Classic(alice), new Sliding(alice)];
    await bob.typing(room);
    await alice.typing(room);
    for (const loop of loops) await follow(loop, 'Bob types', (json) => types(bob, json, room));
    if (out === 'leave') await bob.leave(room);
    else await alice.post(at`/rooms/${room}/${out}`, { user_id: bob.id });
    for (const loop of loops) {
      await follow(loop, `the end after ${out}`, (json) => ephemeral(json, room, 'm.typing').length > 0 && !types(bob, json, room), 8_000);
    }
    await alice.typing(room, false);
    if (out === 'ban') await alice.post(at`/rooms/${room}/unban`, { user_id: bob.id });
    await bob.join(room);
    const back = await new Classic(bob).next();
    assert.ok(!types(alice, back, room), 'who typed before is not said to type now');
  }
});

test('receipts: a thread that the event is not in is refused, and so is what names none', async () => {
  const [alice, bob, room] = await pair(base);
  const root = await alice.send(room, 'root');
  const relate = async (rel_type: string, event_id: string) => {
    const content = { msgtype: 'm.text', body: 'about it', 'm.relates_to': { rel_type, event_id } };
    return (await bob.put(at`/rooms/${room}/send/m.room.message/${unique('t')}`, content)).event_id as string;
  };
  const inside = await relate('m.thread', root);
  const aboutInside = await relate('m.reference', inside);
  const aboutRoot = await relate('m.reference', root);
  const plain = await bob.send(room, 'plain');
  const read = (event: string, thread_id: unknown) =>
    alice.call('POST', at`/rooms/${room}/receipt/m.read/${event}`, { body: { thread_id } });
  for (const [event, good, bad] of [
    [inside, root, 'main'], [aboutInside, root, 'main'], [root, 'main', inside], [aboutRoot, 'main', root], [plain, 'main', root],
  ] as const) {
    refused(await read(event, bad), 400, 'M_INVALID_PARAM');
    okay(await read(event, good));
  }
  for (const none of ['', 'Main', 'x', 7, {}, `$${'x'.repeat(255)}`]) refused(await read(plain, none), 400, 'M_INVALID_PARAM');
});

test('typing: ends by itself after its timeout', async (t) => {
  const [alice, bob, room] = await pair(base);
  const loop = new Sliding(bob);
  const type = () => alice.put(at`/rooms/${room}/typing/${alice.id}`, { typing: true, timeout: 1_000 });
  await delivers(t, loop, type, (json) => types(alice, json, room));
  const start = performance.now();
  await follow(loop, 'the end of typing', (json) => ephemeral(json, room, 'm.typing').length > 0 && !types(alice, json, room), 10_000);
  assert.ok(performance.now() - start < 8_000);
});

test('push rules: the default set is there; rules can be added, changed, switched off and removed', async () => {
  const alice = await register(base);
  const { global } = await alice.get('/pushrules/');
  for (const kind of ['override', 'underride', 'content', 'room', 'sender']) assert.ok(Array.isArray(global[kind] ?? []), kind);
  const ids = [...global.override, ...global.underride].map(({ rule_id }: Json) => rule_id);
  for (const id of ['.m.rule.master', '.m.rule.invite_for_me', '.m.rule.member_event', '.m.rule.message', '.m.rule.encrypted']) {
    assert.ok(ids.includes(id), id);
  }
  const rule = at`/pushrules/global/room/${'!room:example.org'}`;
  await alice.put(rule, { actions: ['notify'] });
  assert.deepEqual((await alice.get(rule)).actions, ['notify']);
  await alice.put(rule + '/actions', { actions: [] });
  await alice.put(rule + '/enabled', { enabled: false });
  assert.deepEqual(await alice.get(rule + '/enabled'), { enabled: false });
  assert.deepEqual(await alice.get(rule + '/actions'), { actions: [] });
  const told = (await new Classic(alice).poll(0)).json.account_data.events.find(({ type }: Json) => type === 'm.push_rules');
  assert.ok(JSON.stringify(told.content).includes('!room:example.org'));
  await alice.delete(rule);
  refused(await alice.call('GET', rule), 404, 'M_NOT_FOUND');
  const refusal = await alice.call('DELETE', '/pushrules/global/override/.m.rule.master');
  assert.ok(refusal.status >= 400 && refusal.status < 500 && refusal.json?.errcode, refusal.text);
});

test('to-device: to one device, to all of them by *, once per transaction, until acknowledged', async () => {
  const [alice, bob]: User[] = await people(base, 2);
  const tablet = await alice.login();
  const send = (device: string, n: number, txn: string) =>
    bob.put(at`/sendToDevice/org.example.ping/${txn}`, { messages: { [alice.id]: { [device]: { n } } } });
  await send(alice.device, 1, 'one');
  await send(alice.device, 1, 'one');
  await send('*', 2, 'all');
  const received = (json: Json) => json.to_device?.events?.map(({ content }: Json) => content.n) ?? [];
  const first = new Classic(alice);
  const again = await follow(first, 'both messages', (json) => received(json).includes(2));
  assert.deepEqual(again.flatMap(received), [1, 2]);
  assert.deepEqual(received((await new Classic(tablet).poll(0)).json), [2]);
  assert.deepEqual(received((await first.poll(0)).json), [], 'the new token acknowledged them');
  const sliding = await new Sliding(alice).poll(0);
  assert.deepEqual(sliding.json.extensions?.to_device?.events ?? [], [], 'in every other sync too');
});
