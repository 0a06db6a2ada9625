// Push rules (Client-Server API, "Push Rules"): the predefined ones, every condition and action, and the order of kinds,
// by a table. One account, one room a row; what counts is the same in both syncs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, okay, people, refused, unique, type Json, type User } from './support/client.ts';
import { shared } from './support/server.ts';
import { Sliding } from './support/sync.ts';

const base = await shared();

interface Row {
  rule: string;
  /** Unread and highlighted. */
  counts: [number, number];
  /** By Bob, unless it says otherwise; a message of these contents, unless there is a type. */
  content?: Json;
  type?: string;
  /** Of a state event. */
  key?: string;
  by?: 'alice' | 'carol';
  /** Further members, besides Alice and Bob. */
  others?: number;
  room?: Json;
  /** Rules made for it: kind, name, and the rule. */
  rules?: (room: string) => [kind: string, name: string, rule: Json, enabled?: boolean][];
}

let alice: User;
let bob: User;
let carol: User;
let dave: User;

/** An override rule that highlights what meets these conditions, in this room. */
const highlights = (...conditions: Json[]) => acts(['notify', { set_tweak: 'highlight' }], ...conditions);
/** An override rule with these actions for what meets these conditions, in this room. */
function acts(actions: Json[], ...conditions: Json[]): Row['rules'] {
  return (room) => [['override', unique('o'), { actions, conditions: [{ kind: 'event_match', key: 'room_id', pattern: room }, ...conditions] }]];
}

const says = (body: string, more: Json = {}): Json => ({ msgtype: 'm.text', body, ...more });
const relates = (rel_type: string): Json => ({ 'm.relates_to': { rel_type, event_id: '$event', key: 'x' } });
const may = (type: string): Json => ({ power_level_content_override: { events: { [type]: 0 } } });
const match = (key: string, pattern: string): Json => ({ kind: 'event_match', key, pattern });
const is = (key: string, value: Json): Json => ({ kind: 'event_property_is', key, value });
const contains = (key: string, value: Json): Json => ({ kind: 'event_property_contains', key, value });
const members = (count: string): Json => ({ kind: 'room_member_count', is: count });
const odd = says('An example', { n: 5, yes: true, none: null, list: ['one', 2], deep: { 'a.b': 'dot' } });

const rows = (): Row[] => [
  // Predefined rules.
  { rule: '.m.rule.room_one_to_one', content: says('x'), counts: [1, 0] },
  { rule: '.m.rule.message', content: says('x'), others: 1, counts: [1, 0] },
  { rule: '.m.rule.encrypted_room_one_to_one', type: 'm.room.encrypted', content: { ciphertext: 'x' }, counts: [1, 0] },
  { rule: '.m.rule.encrypted', type: 'm.room.encrypted', content: { ciphertext: 'x' }, others: 1, counts: [1, 0] },
  { rule: '.m.rule.call', type: 'm.call.invite', content: { call_id: 'x' }, counts: [1, 0] },
  { rule: '.m.rule.suppress_notices', content: { msgtype: 'm.notice', body: 'x' }, counts: [0, 0] },
  { rule: '.m.rule.suppress_edits', content: says('x', relates('m.replace')), counts: [0, 0] },
  { rule: '.m.rule.reaction', type: 'm.reaction', content: relates('m.annotation'), counts: [0, 0] },
  { rule: '.m.rule.is_user_mention', content: says('x', { 'm.mentions': { user_ids: ['@none:example.org', alice.id] } }), counts: [1, 1] },
  { rule: '.m.rule.is_user_mention, of somebody else', content: says('x', { 'm.mentions': { user_ids: [carol.id] } }), counts: [1, 0] },
  { rule: '.m.rule.is_room_mention', content: says('x', { 'm.mentions': { room: true } }), room: { power_level_content_override: { users: { [bob.id]: 50 } } }, counts: [1, 1] },
  { rule: '.m.rule.is_room_mention, of somebody without the power', content: says('x', { 'm.mentions': { room: true } }), counts: [1, 0] },
  { rule: '.m.rule.tombstone', type: 'm.room.tombstone', key: '', content: { body: 'x' }, room: may('m.room.tombstone'), counts: [1, 1] },
  { rule: '.m.rule.room.server_acl', type: 'm.room.server_acl', key: '', content: { allow: ['*'] }, room: may('m.room.server_acl'), counts: [0, 0] },
  { rule: '.m.rule.member_event', type: 'm.room.member', key: bob.id, content: { membership: 'join', displayname: 'B' }, counts: [0, 0] },
  ...['m', 'org.matrix.msc3381'].flatMap((name): Row[] => [
    { rule: `poll_start_one_to_one of ${name}`, type: `${name}.poll.start`, content: {}, counts: [1, 0] },
    { rule: `poll_start of ${name}`, type: `${name}.poll.start`, content: {}, others: 1, counts: [1, 0] },
    { rule: `poll_response of ${name}`, type: `${name}.poll.response`, content: relates('m.reference'), counts: [0, 0] },
    { rule: `poll_end_one_to_one of ${name}`, type: `${name}.poll.end`, content: relates('m.reference'), counts: [1, 0] },
    { rule: `poll_end of ${name}`, type: `${name}.poll.end`, content: relates('m.reference'), others: 1, counts: [1, 0] },
  ]),
  { rule: 'no rule for it', type: 'org.example.note', content: says('x'), counts: [0, 0] },
  { rule: 'state that nothing is said about', type: 'm.room.topic', key: '', content: { topic: 'x' }, room: may('m.room.topic'), counts: [0, 0] },
  { rule: 'the own messages', by: 'alice', content: says('x', { 'm.mentions': { user_ids: [alice.id] } }), counts: [0, 0] },
  // Conditions.
  { rule: 'event_match: a glob over whole words of the body', content: odd, rules: highlights(match('content.body', 'ex*ple')), counts: [1, 1] },
  { rule: 'event_match: no part of a word', content: odd, rules: highlights(match('content.body', 'xampl')), counts: [1, 0] },
  { rule: 'event_match: the type', content: odd, rules: highlights(match('type', 'm.room.mess*')), counts: [1, 1] },
  { rule: 'event_match: an escaped dot', content: odd, rules: highlights(match('content.deep.a\\.b', 'DOT')), counts: [1, 1] },
  { rule: 'event_match: not a number', content: odd, rules: highlights(match('content.n', '5')), counts: [1, 0] },
  { rule: 'event_property_is: a number', content: odd, rules: highlights(is('content.n', 5)), counts: [1, 1] },
  { rule: 'event_property_is: a flag', content: odd, rules: highlights(is('content.yes', true)), counts: [1, 1] },
  { rule: 'event_property_is: null', content: odd, rules: highlights(is('content.none', null)), counts: [1, 1] },
  { rule: 'event_property_is: not another kind of value', content: odd, rules: highlights(is('content.n', '5')), counts: [1, 0] },
  { rule: 'event_property_contains', content: odd, rules: highlights(contains('content.list', 2)), counts: [1, 1] },
  { rule: 'event_property_contains: not in it', content: odd, rules: highlights(contains('content.list', 'two')), counts: [1, 0] },
  { rule: 'contains_display_name', content: says('is al ice there?'), rules: highlights({ kind: 'contains_display_name' }), counts: [1, 1] },
  { rule: 'contains_display_name: not in it', content: says('is alice there?'), rules: highlights({ kind: 'contains_display_name' }), counts: [1, 0] },
  { rule: 'room_member_count', content: odd, others: 1, rules: highlights(members('3')), counts: [1, 1] },
  { rule: 'room_member_count: fewer', content: odd, rules: highlights(members('<3')), counts: [1, 1] },
  { rule: 'room_member_count: not as many', content: odd, rules: highlights(members('>=3')), counts: [1, 0] },
  { rule: 'sender_notification_permission', content: odd, room: { power_level_content_override: { users: { [bob.id]: 50 } } },
    rules: highlights({ kind: 'sender_notification_permission', key: 'room' }), counts: [1, 1] },
  { rule: 'sender_notification_permission: not enough', content: odd, rules: highlights({ kind: 'sender_notification_permission', key: 'room' }), counts: [1, 0] },
  { rule: 'a condition nobody knows', content: odd, rules: highlights({ kind: 'org.example.none' }), counts: [1, 0] },
  { rule: 'all conditions must hold', content: odd, rules: highlights(is('content.n', 5), is('content.n', 6)), counts: [1, 0] },
  // Actions.
  { rule: 'no actions', content: odd, rules: acts([]), counts: [0, 0] },
  { rule: 'dont_notify', content: odd, rules: acts(['dont_notify']), counts: [0, 0] },
  { rule: 'notify', type: 'org.example.note', content: odd, rules: acts(['notify']), counts: [1, 0] },
  { rule: 'a sound is no highlight', content: odd, rules: acts(['notify', { set_tweak: 'sound', value: 'default' }]), counts: [1, 0] },
  { rule: 'a highlight that is switched off', content: odd, rules: acts(['notify', { set_tweak: 'highlight', value: false }]), counts: [1, 0] },
  // Kinds and their order.
  { rule: 'content', content: says('a tern flies'), rules: () => [['content', unique('c'), { pattern: 'tern', actions: ['notify', { set_tweak: 'highlight' }] }]], counts: [1, 1] },
  { rule: 'room: muted', content: odd, rules: (room) => [['room', room, { actions: [] }]], counts: [0, 0] },
  { rule: 'room: muted, with a mention', content: says('x', { 'm.mentions': { user_ids: [alice.id] } }), rules: (room) => [['room', room, { actions: [] }]], counts: [1, 1] },
  { rule: 'sender', by: 'carol', others: 2, content: odd, rules: () => [['sender', carol.id, { actions: ['notify', { set_tweak: 'highlight' }] }]], counts: [1, 1] },
  { rule: 'room before sender', by: 'carol', others: 2, content: odd, rules: (room) => [['room', room, { actions: [] }]], counts: [0, 0] },
  { rule: 'override before room', content: odd, rules: (room) => [['room', room, { actions: [] }], ...highlights()!(room)], counts: [1, 1] },
  { rule: 'underride', type: 'org.example.late', content: odd, rules: () => [['underride', unique('u'), { actions: ['notify'], conditions: [match('type', 'org.example.late')] }]], counts: [1, 0] },
  { rule: 'switched off', content: odd, rules: (room) => [['room', room, { actions: [] }, false]], counts: [1, 0] },
];

/** The row's room with what happens in it; the room and the event. */
async function play(row: Row): Promise<[room: string, event: string]> {
  const room = await alice.createRoom(row.room);
  for (const user of [bob, carol, dave].slice(0, 1 + (row.others ?? 0))) await user.join(room);
  for (const [kind, name, rule, enabled] of row.rules?.(room) ?? []) {
    await alice.put(at`/pushrules/global/${kind}/${name}`, rule);
    if (enabled === false) await alice.put(at`/pushrules/global/${kind}/${name}/enabled`, { enabled });
  }
  const sender = { alice, carol, bob }[row.by ?? 'bob'];
  const type = row.type ?? 'm.room.message';
  if (row.key !== undefined) return [room, await sender.setState(room, type, row.content ?? {}, row.key)];
  return [room, (await sender.put(at`/rooms/${room}/send/${type}/${unique('t')}`, row.content)).event_id];
}

test('actions that are none are refused', async () => {
  const [alice] = await people(base, 1) as [User];
  for (const actions of [['shout'], ['notify', 'org.example.dance'], [{ sound: 'default' }], [null]]) {
    refused(await alice.call('PUT', '/pushrules/global/override/mine', { body: { actions, conditions: [] } }), 400, 'M_BAD_JSON');
    refused(await alice.call('PUT', '/pushrules/global/override/.m.rule.master/actions', { body: { actions } }), 400, 'M_BAD_JSON');
  }
  await alice.put('/pushrules/global/override/mine', { actions: ['notify', { set_tweak: 'sound', value: 'default' }, { set_tweak: 'org.example.glow' }], conditions: [] });
});

test('every predefined rule, condition, action and kind counts as it says, alike in both syncs', async () => {
  [alice, bob, carol, dave] = await people(base, 4) as [User, User, User, User];
  await alice.put(at`/profile/${alice.id}/displayname`, { displayname: 'Al Ice' });
  const table = rows();
  const played: [string, string][] = [];
  for (let from = 0; from < table.length; from += 8) played.push(...await Promise.all(table.slice(from, from + 8).map(play)));
  const loop = new Sliding(alice, { conn: unique('c'), limit: 1 });
  let shown: Json = {};
  for (let round = 0; round < 50; round += 1) {
    shown = (await new Sliding(alice, { conn: unique('c'), limit: 1 }).poll(0)).json.rooms;
    if (played.every(([room, event]) => shown[room].timeline.at(-1).event_id === event)) break;
  }
  const filter = JSON.stringify({ room: { timeline: { limit: 1 } } });
  const classic = okay(await alice.call('GET', '/sync', { query: { filter } })).rooms.join;
  const stable = (await new Sliding(alice, { shape: 'stable', limit: 1 }).poll(0)).json.rooms;
  const wrong: string[] = [];
  for (const [index, [room]] of played.entries()) {
    const { rule, counts } = table[index]!;
    const both = (part: Json) => [part?.notification_count ?? 0, part?.highlight_count ?? 0];
    const seen = [both(shown[room]), both(classic[room].unread_notifications)];
    if (String(seen) !== String([counts, counts])) wrong.push(`${rule}: ${JSON.stringify(seen)} instead of ${JSON.stringify(counts)}`);
    if (stable[room].notification_count !== undefined) wrong.push(`${rule}: the stable shape has no counts`);
  }
  assert.deepEqual(wrong, []);
  await alice.put('/pushrules/global/override/.m.rule.master/enabled', { enabled: true });
  const [room] = played[0]!;
  await bob.send(room, 'unheard');
  for (let seen = false; !seen; ) {
    const json = (await loop.poll(0)).json;
    seen = JSON.stringify(json.rooms?.[room] ?? '').includes('unheard');
    if (seen) assert.equal(json.rooms[room].notification_count, 1, '.m.rule.master: as many as before');
  }
});
