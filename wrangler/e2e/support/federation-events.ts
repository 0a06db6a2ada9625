// Events of another server in rooms of version 10: hashes, ids, signatures, and how its users join.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { at, type Json } from './client.ts';
import { canonical, type Peer } from './federation-peer.ts';

export const VERSION = '10';

const KEPT = ['type', 'room_id', 'sender', 'state_key', 'content', 'hashes', 'signatures', 'depth', 'prev_events', 'prev_state',
  'auth_events', 'origin', 'origin_server_ts', 'membership'];
const CONTENT: Record<string, string[]> = {
  'm.room.member': ['membership', 'join_authorised_via_users_server'],
  'm.room.create': ['creator'],
  'm.room.join_rules': ['join_rule', 'allow'],
  'm.room.history_visibility': ['history_visibility'],
};

const unpadded = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64').replace(/=+$/, '');
const without = (object: Json, ...names: string[]): Json =>
  Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));
const only = (object: Json, names: string[]): Json =>
  Object.fromEntries(Object.entries(object).filter(([name]) => names.includes(name)));
const hash = (text: string) => createHash('sha256').update(text).digest();

function redacted(event: Json): Json {
  return { ...only(event, KEPT), content: only(event.content, CONTENT[event.type] ?? []) };
}

/** The id of an event: its reference hash. */
export function idOf(event: Json): string {
  return `$${hash(canonical(without(redacted(event), 'signatures', 'unsigned'))).toString('base64url')}`;
}

/** The event with its content hash and the peer's signature. */
export function sealed(peer: Peer, event: Json): Json {
  const hashed = { ...event, hashes: { sha256: unpadded(hash(canonical(without(event, 'unsigned', 'signatures', 'hashes')))) } };
  const signature = peer.signText(canonical(without(redacted(hashed), 'signatures', 'unsigned')));
  return { ...hashed, signatures: { [peer.name]: { [peer.keyId]: signature } } };
}

/** A user of the peer joins a room; the answer of `send_join`. */
export async function joinRoom(peer: Peer, base: string, server: string, room: string, user: string): Promise<Json> {
  const make = at`/_matrix/federation/v1/make_join/${room}/${user}` + `?ver=${VERSION}`;
  const template = await peer.send(base, server, 'GET', make);
  assert.equal(template.status, 200, template.text);
  const join = sealed(peer, { ...template.json.event, origin: peer.name, origin_server_ts: Date.now() });
  const target = at`/_matrix/federation/v2/send_join/${room}/${idOf(join)}`;
  const sent = await peer.send(base, server, 'PUT', target, { body: JSON.stringify(join) });
  assert.equal(sent.status, 200, sent.text);
  return sent.json;
}
