// The link between this server and Synapse 1.163.2 is cut, or one of them fails, while both sides of a room go on: afterwards both
// have every event that was acknowledged, once, and the same state.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as passed } from 'node:timers/promises';
import { ask, at, bodies, eventually, history, register, unique, type Json, type User } from './support/client.ts';
import { sized } from './support/full.ts';
import { uncontrolled } from './support/server.ts';
import { federation, missing } from './support/synapse.ts';
import type { Fault } from './support/tls-front.ts';

const skip = uncontrolled || missing;
const { tern, synapse, toTern, toSynapse } = skip ? undefined! : await federation();
const [alice, bob] = skip ? [undefined!, undefined!] : [await register(tern.base), await register(synapse.base)];

const EACH = sized(25, 100);
const PATIENCE_MS = 30_000;
const HEALING_MS = 90_000;
/** Types that both sides set while they do not hear each other. */
const CONTESTED = ['m.room.topic', 'm.room.name'];

/** A room of this server in which both may do everything. */
async function shared(): Promise<string> {
  const users = { [alice.id]: 100, [bob.id]: 100 };
  const room = await alice.createRoom({ room_version: '10', power_level_content_override: { users } });
  await eventually('bob is in', async () => {
    const answer = await bob.call('POST', at`/join/${room}`, { query: { via: toTern.name, server_name: toTern.name }, body: {} });
    return answer.status === 200;
  }, PATIENCE_MS);
  await said(bob, room, 'hello');
  await reads(alice, room, 'hello');
  return room;
}

/** Says something until it is acknowledged, with one transaction id, as clients do. */
async function said(user: User, room: string, body: string): Promise<void> {
  const txn = unique('t');
  await eventually(`${body} is acknowledged`, async () => {
    const path = at`/rooms/${room}/send/m.room.message/${txn}`;
    const answer = await user.call('PUT', path, { body: { msgtype: 'm.text', body } }).catch(() => undefined);
    return answer?.status === 200;
  }, PATIENCE_MS);
}

async function speaks(user: User, room: string, prefix: string): Promise<string[]> {
  const words = Array.from({ length: EACH }, (_, n) => `${prefix} ${n}`);
  for (const [n, word] of words.entries()) {
    await said(user, room, word);
    if (n % 10 !== 5) continue;
    for (const type of CONTESTED) {
      const field = type.slice('m.room.'.length);
      await eventually(`${type} is set`, async () => {
        const answer = await user.call('PUT', at`/rooms/${room}/state/${type}/`, { body: { [field]: `${prefix} ${n}` } }).catch(() => undefined);
        return answer?.status === 200;
      }, PATIENCE_MS);
    }
  }
  return words;
}

const heard = async (user: User, room: string) => bodies(await history(user, room, 'b', 100)).reverse();
const reads = (user: User, room: string, body: string) =>
  eventually(`${user.id} reads ${body}`, async () => (await heard(user, room)).includes(body), PATIENCE_MS);

async function currentState(user: User, room: string): Promise<string[]> {
  const events: Json[] = await user.get(at`/rooms/${room}/state`);
  return events.map(({ type, state_key, event_id }) => `${type} ${state_key} ${event_id}`).sort();
}

/** What must hold on both sides once they hear each other again. */
async function converged(room: string, [ours, theirs]: [string[], string[]]): Promise<void> {
  await Promise.all([said(alice, room, 'healed here'), said(bob, room, 'healed there')]);
  const wanted = [...ours, ...theirs, 'healed here', 'healed there'];
  for (const user of [alice, bob]) {
    await eventually(`${user.id} has everything`, async () => {
      const all = new Set(await heard(user, room));
      return wanted.every((body) => all.has(body));
    }, HEALING_MS).catch(async (error) => {
      const all = new Set(await heard(user, room));
      throw new Error(`${error.message}: ${wanted.filter((body) => !all.has(body)).length} of ${wanted.length} are missing`);
    });
    const all = await heard(user, room);
    for (const side of [ours, theirs]) {
      assert.deepEqual(all.filter((body) => side.includes(body)).toSorted(byNumber), side, `each of them once, for ${user.id}`);
    }
  }
  await eventually('both sides have one state', async () => {
    const [here, there] = await Promise.all([currentState(alice, room), currentState(bob, room)]);
    return here.join() === there.join();
  }, HEALING_MS);
  await fewExtremities(room);
}

const byNumber = (one: string, other: string) => Number(one.split(' ').at(-1)) - Number(other.split(' ').at(-1));

/** What comes after both heard each other stands on at most two events, whoever sends it. */
async function fewExtremities(room: string): Promise<void> {
  await eventually('an event stands on at most two', async () => {
    const before = toSynapse.passed.length;
    await said(alice, room, unique('last'));
    const sent = await eventually('the transaction with it', async () => toSynapse.passed.slice(before)
      .filter(({ method, target, status }) => method === 'PUT' && target.includes('/send/') && status === 200)
      .flatMap(({ body }) => JSON.parse(body).pdus as Json[])
      .find((pdu) => pdu.room_id === room && pdu.content?.body?.startsWith('last')), PATIENCE_MS);
    return sent.prev_events.length <= 2;
  }, PATIENCE_MS);
}

/** Both ways of the link. */
function link(fault: (method: string, target: string) => Fault | undefined): void {
  for (const front of [toTern, toSynapse]) front.fault = fault;
}

test('a link that is cut both ways', { skip }, async () => {
  const room = await shared();
  link(() => 'close');
  const spoken = await Promise.all([speaks(alice, room, 'ours'), speaks(bob, room, 'theirs')]);
  link(() => undefined);
  await converged(room, spoken);
});

test('a peer that fails in every way, while this server loses power five times', { skip }, async () => {
  const room = await shared();
  const error = (status: number, errcode: string): Fault => ({ status, body: JSON.stringify({ errcode, error: '?' }) });
  const faults: Fault[] = [error(500, 'M_UNKNOWN'), error(429, 'M_LIMIT_EXCEEDED'), error(401, 'M_UNAUTHORIZED'), 'close'];
  let requests = 0;
  const isTransaction = (method: string, target: string) => method === 'PUT' && target.includes('/send/');
  toSynapse.fault = (method, target) => (isTransaction(method, target) && requests < 12 ? faults[requests++ % faults.length] : undefined);
  const powerCuts = (async () => {
    for (let cut = 0; cut < 5; cut += 1) {
      await passed(1_500); // the point is any moment
      tern.killWorkerd();
      await tern.recover();
    }
  })();
  const [ours, theirs] = await Promise.all([speaks(alice, room, 'ours'), speaks(bob, room, 'theirs'), powerCuts]);
  requests = Number.POSITIVE_INFINITY;
  await converged(room, [ours, theirs]);
});
