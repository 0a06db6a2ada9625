// Searching messages: what is found, in which order and company, and what never is.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, eventually, pair, people, refused, register, unique, type Json, type User } from './support/client.ts';
import { shared } from './support/server.ts';

const base = await shared();

async function search(user: User, search_term: string, criteria: Json = {}, next_batch?: string): Promise<Json> {
  const body = { search_categories: { room_events: { search_term, ...criteria } } };
  const answer = await user.call('POST', '/search', { body, query: { next_batch } });
  assert.equal(answer.status, 200, JSON.stringify(answer.json));
  return answer.json.search_categories.room_events;
}

const texts = (found: Json): string[] => found.results.map((hit: Json) => hit.result.content.body);

/** Searches until so many are found: the index is filled beside the answer to the sender. */
const finds = (user: User, term: string, count: number, criteria: Json = {}): Promise<Json> =>
  eventually(`${count} results for ${term}`, async () => {
    const found = await search(user, term, criteria);
    return found.results.length === count && found;
  });

test('messages, names and topics are found by their words, whatever their case', async () => {
  const [alice, bob, room] = await pair(base);
  const word = unique('Word');
  await alice.send(room, `The ${word} of the day`);
  await bob.send(room, `another ${word.toLowerCase()}, and`);
  await alice.setState(room, 'm.room.topic', { topic: `about ${word}` });
  await alice.setState(room, 'm.room.name', { name: `${word} house` });
  const found = await finds(bob, word.toUpperCase(), 4, { order_by: 'recent' });
  assert.equal(found.count, 4);
  assert.deepEqual(found.highlights, [word.toLowerCase()]);
  assert.deepEqual(found.results.map((hit: Json) => hit.result.type),
    ['m.room.name', 'm.room.topic', 'm.room.message', 'm.room.message']);
  assert.ok(found.results.every((hit: Json) => hit.result.room_id === room && hit.rank > 0 && !hit.context));
  assert.deepEqual(texts(await search(bob, `${word} day`)), [`The ${word} of the day`]);
  assert.deepEqual(texts(await search(bob, `"day ${word}"`)), []);
  const topics = await search(bob, word, { keys: ['content.topic'] });
  assert.deepEqual(topics.results.map((hit: Json) => hit.result.content.topic), [`about ${word}`]);
  const sent = await search(bob, word, { filter: { senders: [bob.id], types: ['m.room.message'] } });
  assert.deepEqual(texts(sent), [`another ${word.toLowerCase()}, and`]);
  assert.equal((await search(bob, word, { filter: { not_rooms: [room] } })).count, 0);
  assert.equal((await search(bob, unique('nothing'))).results.length, 0);
});

test('results come by rank or by age, page by page, each once', async () => {
  const [alice, bob, room] = await pair(base);
  const word = unique('rank');
  for (let number = 0; number < 12; number += 1) {
    await alice.send(room, `${word} ${'filler '.repeat(number)}${number}`);
  }
  await bob.send(room, `${word} ${word}`);
  await finds(bob, word, 13, { filter: { limit: 50 } });
  for (const order_by of ['rank', 'recent']) {
    const seen: string[] = [];
    let next: string | undefined;
    do {
      const page = await search(bob, word, { order_by, filter: { limit: 5 } }, next);
      assert.equal(page.count, 13);
      assert.ok(page.results.length <= 5);
      seen.push(...page.results.map((hit: Json) => hit.result.event_id));
      if (order_by === 'rank' && !next) assert.equal(texts(page)[0], `${word} ${word}`);
      next = page.next_batch;
    } while (next);
    assert.equal(new Set(seen).size, 13);
    assert.equal(seen.length, 13);
  }
  refused(await bob.call('POST', '/search', {
    body: { search_categories: { room_events: { search_term: word } } }, query: { next_batch: 'nonsense' },
  }), 400, 'M_INVALID_PARAM');
});

test('results bring what stands around them, who spoke, and the state of their rooms', async () => {
  const [alice, bob, room] = await pair(base);
  const word = unique('around');
  for (const body of ['one', 'two', `three ${word}`, 'four', 'five']) await alice.send(room, body);
  const event_context = { before_limit: 1, after_limit: 5, include_profile: true };
  const found = await finds(bob, word, 1, { event_context, include_state: true });
  const { context, result } = found.results[0];
  assert.deepEqual(context.events_before.map((event: Json) => event.content.body), ['two']);
  assert.deepEqual(context.events_after.map((event: Json) => event.content.body), ['four', 'five']);
  assert.equal(context.profile_info[alice.id].displayname, (await bob.state(room, 'm.room.member', alice.id)).displayname);
  assert.ok(found.state[room].some((event: Json) => event.type === 'm.room.create'));
  const before = await bob.get(at`/rooms/${room}/messages`, { dir: 'b', from: context.start, limit: 1 });
  assert.equal(before.chunk[0].content.body, 'one');
  await alice.put(at`/rooms/${room}/send/m.room.message/${unique()}`, {
    msgtype: 'm.text', body: '* better', 'm.new_content': { msgtype: 'm.text', body: 'better' },
    'm.relates_to': { rel_type: 'm.replace', event_id: result.event_id },
  });
  const edited = await search(bob, word);
  assert.equal(edited.results[0].result.unsigned['m.relations']['m.replace'].content['m.new_content'].body, 'better');
});

test('results are grouped by room and by sender, and each group has its own next page', async () => {
  const [alice, bob, room] = await pair(base);
  const other = await alice.createRoom();
  await bob.join(other);
  const word = unique('group');
  for (const where of [room, other]) for (const user of [alice, bob]) for (const n of [1, 2]) await user.send(where, `${word} ${n}`);
  const groupings = { group_by: [{ key: 'room_id' }, { key: 'sender' }] };
  await finds(bob, word, 8, { filter: { limit: 20 } });
  const found = await search(bob, word, { order_by: 'recent', groupings, filter: { limit: 5 } });
  const { room_id, sender } = found.groups;
  assert.deepEqual(Object.keys(room_id).sort(), [room, other].sort());
  assert.equal(room_id[other].results.length, 4);
  assert.equal(room_id[other].next_batch, undefined);
  assert.equal(room_id[room].results.length, 1);
  const rest = await search(bob, word, { order_by: 'recent', groupings, filter: { limit: 5 } }, room_id[room].next_batch);
  assert.equal(rest.results.length, 3);
  assert.ok(rest.results.every((hit: Json) => hit.result.room_id === room));
  const shown = new Set([...sender[alice.id].results, ...sender[bob.id].results]);
  assert.equal(shown.size, 5);
  const more = await search(bob, word, { order_by: 'recent', filter: { limit: 5 } }, sender[alice.id].next_batch);
  assert.ok(more.results.length > 0 && more.results.every((hit: Json) => hit.result.sender === alice.id && !shown.has(hit.result.event_id)));
});

test('nobody finds what they may not read', async () => {
  const [alice, bob, room] = await pair(base);
  const word = unique('hidden');
  const stranger = await register(base);
  const kept = await alice.createRoom({ preset: 'private_chat', initial_state: [
    { type: 'm.room.history_visibility', content: { history_visibility: 'joined' } },
  ] });
  await alice.send(room, `${word} seen`);
  await alice.send(kept, `${word} early`);
  await alice.invite(kept, bob);
  await bob.join(kept);
  await alice.send(kept, `${word} later`);
  await finds(alice, word, 3);
  const found = await finds(bob, word, 2);
  assert.ok(!JSON.stringify(found).includes('early'));
  assert.equal(found.count, 2, 'nor does the count tell');
  const around = await search(bob, word, { event_context: { before_limit: 20 } });
  assert.ok(!JSON.stringify(around).includes('early'));
  assert.equal((await search(stranger, word)).results.length, 0);
  assert.equal((await search(stranger, word, { filter: { rooms: [room, kept] } })).count, 0);
  await alice.post(at`/rooms/${kept}/kick`, { user_id: bob.id });
  await alice.send(kept, `${word} after the kick`);
  await finds(alice, word, 4);
  assert.deepEqual(texts(await search(bob, word)).sort(), [`${word} later`, `${word} seen`].sort());
  await bob.post(at`/rooms/${kept}/forget`);
  assert.deepEqual(texts(await search(bob, word)), [`${word} seen`]);
});

test('nobody finds what an ignored user said, nor sees it around what is found', async () => {
  const [alice, bob, room] = await pair(base);
  const word = unique('said');
  await alice.send(room, `mine ${word}`);
  await bob.send(room, `theirs ${word}`);
  await finds(alice, word, 2);
  await alice.put(at`/user/${alice.id}/account_data/m.ignored_user_list`, { ignored_users: { [bob.id]: {} } });
  const found = await search(alice, word, { event_context: {} });
  assert.deepEqual(texts(found), [`mine ${word}`]);
  assert.deepEqual(found.results[0].context.events_after, []);
  assert.equal((await search(bob, word)).results.length, 2);
});

test('a redacted message is not found any more', async () => {
  const [alice, bob, room] = await pair(base);
  const word = unique('gone');
  const event = await alice.send(room, `${word} for now`);
  await alice.send(room, `${word} for ever`);
  await finds(bob, word, 2);
  await alice.put(at`/rooms/${room}/redact/${event}/${unique()}`);
  assert.deepEqual(texts(await finds(bob, word, 1)), [`${word} for ever`]);
  assert.equal((await search(bob, 'now', { filter: { rooms: [room] } })).count, 0);
});

test('an encrypted room is never searched, not even for what was said in the clear', async () => {
  const [alice, bob] = await people(base, 2);
  const open = await alice.createRoom();
  const closed = await alice.createRoom({ initial_state: [
    { type: 'm.room.encryption', content: { algorithm: 'm.megolm.v1.aes-sha2' } },
  ] });
  const word = unique('sealed');
  for (const room of [open, closed]) {
    await bob.join(room);
    await alice.send(room, `${word} in ${room}`);
  }
  await finds(bob, word, 1);
  assert.deepEqual(texts(await search(bob, word)), [`${word} in ${open}`]);
  await alice.setState(open, 'm.room.encryption', { algorithm: 'm.megolm.v1.aes-sha2' });
  await alice.send(open, `${word} again`);
  await finds(bob, word, 0);
});

test('criteria that make no sense are refused', async () => {
  const user = await register(base);
  for (const [body, errcode] of [
    [{}, 'M_BAD_JSON'],
    [{ search_categories: { room_events: {} } }, 'M_BAD_JSON'],
    [{ search_categories: { room_events: { search_term: 'a', order_by: 'luck' } } }, 'M_INVALID_PARAM'],
    [{ search_categories: { room_events: { search_term: 'a', keys: ['content.secret'] } } }, 'M_INVALID_PARAM'],
    [{ search_categories: { room_events: { search_term: 'a'.repeat(1000) } } }, 'M_INVALID_PARAM'],
    [{ search_categories: { room_events: { search_term: 'a', filter: { types: 1 } } } }, 'M_INVALID_PARAM'],
  ] as const) {
    refused(await user.call('POST', '/search', { body }), 400, errcode);
  }
  const nothing = await user.post('/search', { search_categories: {} });
  assert.deepEqual(nothing, { search_categories: {} });
  for (const term of ['', '""', '* OR NEAR(', "'; DROP TABLE search; --"]) assert.equal((await search(user, term)).count, 0);
});
