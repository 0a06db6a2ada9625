// Events as another server makes them: hashed, signed and with their ids, as in rooms of versions 11 and 12.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { unique, type Json } from './client.ts';
import { canonical, unpadded, type Peer, type Reply } from './federation-peer.ts';

const V1 = '/_matrix/federation/v1';
const V2 = '/_matrix/federation/v2';

const KEPT = ['event_id', 'type', 'room_id', 'sender', 'state_key', 'content', 'hashes', 'signatures', 'depth', 'prev_events',
  'auth_events', 'origin_server_ts'];
/** What redaction leaves of the contents of some types; of a create event, all. */
const KEPT_OF: Record<string, string[]> = {
  'm.room.member': ['membership', 'join_authorised_via_users_server'],
  'm.room.join_rules': ['join_rule', 'allow'],
  'm.room.history_visibility': ['history_visibility'],
  'm.room.redaction': ['redacts'],
  'm.room.power_levels': ['ban', 'events', 'events_default', 'invite', 'kick', 'redact', 'state_default', 'users', 'users_default'],
};

const sha256 = (value: Json) => createHash('sha256').update(canonical(value)).digest();

const only = (object: Json, keys: string[]): Json =>
  Object.fromEntries(Object.entries(object).filter(([key]) => keys.includes(key)));

function redacted(event: Json): Json {
  const content = event.type === 'm.room.create' ? event.content : only(event.content, KEPT_OF[event.type] ?? []);
  return { ...only(event, KEPT), content };
}

/** The id of an event that is hashed. */
export function idOf(event: Json): string {
  const { signatures, unsigned, ...rest } = redacted(event);
  return `$${unpadded(sha256(rest)).replaceAll('+', '-').replaceAll('/', '_')}`;
}

export interface Sealed {
  id: string;
  event: Json;
}

/** Hashes an event, and has a server sign it. */
export function seal(peer: Peer, draft: Json): Sealed {
  const { signatures: _, unsigned, hashes, ...bare } = draft;
  const hashed = { ...bare, hashes: { sha256: unpadded(sha256(bare)) } };
  const signed = peer.sign(canonical(redacted(hashed)));
  const event = { ...hashed, signatures: { [peer.name]: { [peer.keyId]: signed } } };
  return { id: idOf(event), event };
}

/** A user of another server, and what that server knows of one room. */
export class Visitor {
  readonly peer: Peer;
  readonly base: string;
  readonly us: string;
  readonly room: string;
  readonly user: string;
  version = '';
  /** Events that every further one of the user refers to. */
  auth: string[] = [];
  last = '';
  depth = 0;

  constructor(peer: Peer, base: string, us: string, room: string, name = unique('eve')) {
    this.peer = peer;
    this.base = base;
    this.us = us;
    this.room = room;
    this.user = `@${name}:${peer.name}`;
  }

  request(method: string, target: string, body?: Json): Promise<Reply> {
    return this.peer.send(this.base, this.us, method, target, body === undefined ? {} : { body: JSON.stringify(body) });
  }

  make(what: 'join' | 'leave' | 'knock', versions = ['11', '12'], user = this.user): Promise<Reply> {
    const query = versions.map((version, n) => `${n ? '&' : '?'}ver=${version}`).join('');
    return this.request('GET', `${V1}/make_${what}/${encodeURIComponent(this.room)}/${encodeURIComponent(user)}${query}`);
  }

  hand(what: 'join' | 'leave' | 'knock', { id, event }: Sealed, version = what === 'knock' ? 1 : 2, query = ''): Promise<Reply> {
    const path = `send_${what}/${encodeURIComponent(this.room)}/${encodeURIComponent(id)}${query}`;
    return this.request('PUT', `${version === 2 ? V2 : V1}/${path}`, event);
  }

  /** The template of a handshake, completed. */
  async completed(what: 'join' | 'leave' | 'knock'): Promise<Sealed> {
    const made = await this.make(what);
    assert.equal(made.status, 200, made.text);
    this.version = made.json.room_version;
    return seal(this.peer, made.json.event);
  }

  /** Joins through the server, and learns of the room what it says. */
  async join(): Promise<Json> {
    const join = await this.completed('join');
    const sent = await this.hand('join', join);
    assert.equal(sent.status, 200, sent.text);
    const find = (type: string) => sent.json.state.filter((event: Json) => event.type === type).map(idOf);
    // In version 12 the room's id stands for the create event.
    const create = this.version === '12' ? [] : find('m.room.create');
    this.auth = [...create, ...find('m.room.power_levels'), join.id];
    [this.last, this.depth] = [join.id, join.event.depth];
    return sent.json;
  }

  /** An event of the user's on the newest one of theirs. */
  event(fields: Json): Sealed {
    const sealed = seal(this.peer, {
      room_id: this.room, sender: this.user, origin_server_ts: Date.now(), auth_events: this.auth, prev_events: [this.last],
      depth: this.depth + 1, type: 'm.room.message', content: {}, ...fields,
    });
    [this.last, this.depth] = [sealed.id, this.depth + 1];
    return sealed;
  }

  message(body: string, fields: Json = {}): Sealed {
    return this.event({ content: { msgtype: 'm.text', body }, ...fields });
  }

  send(pdus: Json[], more: Json = {}, txn = unique('t')): Promise<Reply> {
    const body = { origin: this.peer.name, origin_server_ts: Date.now(), pdus, ...more };
    return this.request('PUT', `${V1}/send/${txn}`, body);
  }

  /** What is said of events that are sent. */
  async sent(events: Sealed[], txn?: string): Promise<Json[]> {
    const reply = await this.send(events.map(({ event }) => event), {}, txn);
    assert.equal(reply.status, 200, reply.text);
    return events.map(({ id }) => reply.json.pdus[id]);
  }
}
