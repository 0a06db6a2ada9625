// What was acknowledged is there, exactly once and in one order, after power cuts and storage outages.
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test, type TestContext } from 'node:test';
import { at, bodies, eventually, history, pair, text, unique, type Answer, type User } from './support/client.ts';
import { own, uncontrolled, type Server } from './support/server.ts';
import { Classic, Sliding, delivers, follow, says, timeline } from './support/sync.ts';

const FLAGS = ['--open-registration', '--unlimited', '--chaos'];
const SENDS = 200;
const KILLS = 5;
const OUTAGE_MS = 10_000;

interface Acknowledged {
  event: string;
  body: string;
}

/** One send, repeated under its transaction id until it is acknowledged, as a phone does. */
async function insist(user: User, room: string, body: string): Promise<Acknowledged & { tries: number }> {
  const txn = unique('t');
  let last: Answer | undefined;
  for (let tries = 1, end = performance.now() + 120_000; performance.now() < end; tries += 1) {
    last = await user.call('PUT', at`/rooms/${room}/send/m.room.message/${txn}`, { body: text(body), within: 20_000 })
      .catch(() => undefined);
    if (last?.status === 200) return { event: last.json.event_id, body, tries };
    assert.ok(!last || last.status >= 500, `refused for good: ${last?.status} ${last?.text}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`never acknowledged: ${body}; last answer ${last?.status} ${last?.text}`);
}

/** Kills workerd a moment after each of some random counts of acknowledged sends. */
class Reaper {
  readonly #server: Server;
  readonly #at: number[];
  #work: Promise<void> = Promise.resolve();
  kills = 0;

  constructor(server: Server, kills: number, sends: number) {
    this.#server = server;
    const slice = Math.floor(sends / kills);
    this.#at = Array.from({ length: kills }, (_, n) => n * slice + randomInt(slice));
  }

  acknowledged(count: number): void {
    if (!this.#at.includes(count)) return;
    this.#work = this.#work.then(async () => {
      await new Promise((resolve) => setTimeout(resolve, randomInt(40)));
      this.#server.killWorkerd();
      this.kills += 1;
      await this.#server.recover();
    });
  }

  done(): Promise<void> {
    return this.#work;
  }
}

async function isWhole(t: TestContext, readers: User[], room: string, sent: Acknowledged[]): Promise<string[]> {
  const views = [];
  for (const reader of readers) {
    for (const limit of [10, 100]) {
      views.push((await history(reader, room, 'f', limit)).filter((event) => event.type === 'm.room.message'));
    }
  }
  const ids = views[0].map((event) => event.event_id);
  assert.equal(new Set(ids).size, ids.length, 'no event twice');
  assert.deepEqual([...ids].sort(), sent.map(({ event }) => event).sort(), 'exactly the acknowledged events');
  const counted = bodies(views[0]).sort();
  assert.deepEqual(counted, sent.map(({ body }) => body).sort(), 'each text once');
  for (const view of views.slice(1)) assert.deepEqual(view.map((event) => event.event_id), ids, 'one order for both users');
  t.diagnostic(`${ids.length} events in one order for ${readers.length} users`);
  return ids;
}

/** A reader who holds on through the cuts: every message of the room in the order sync told it. */
async function listen(user: User, room: string, count: number, ended: () => boolean): Promise<string[]> {
  const loop = new Classic(user, { filter: JSON.stringify({ room: { timeline: { limit: 100 } } }) });
  const heard: string[] = [];
  let late = 0;
  while (heard.length < count && late < 15) {
    const answer = await loop.poll(1_000).catch(() => undefined);
    const events = timeline(answer?.json ?? {}, room).filter((event) => event.type === 'm.room.message');
    heard.push(...events.map((event) => event.event_id));
    if (!answer) await new Promise((resolve) => setTimeout(resolve, 100));
    if (ended() && events.length === 0) late += 1;
  }
  return heard;
}

test(`${SENDS} acknowledged sends outlive ${KILLS} SIGKILLs of workerd, exactly once and in one order`, { skip: uncontrolled, timeout: 900_000 }, async (t) => {
  const server = await own({ flags: FLAGS });
  const [alice, bob, room] = await pair(server.base);
  const reaper = new Reaper(server, KILLS, SENDS);
  const sent: Acknowledged[] = [];
  let retried = 0;

  async function sender(user: User): Promise<void> {
    for (let n = 0; n < SENDS / 4; n += 1) {
      const { tries, ...acknowledged } = await insist(user, room, `${user.name} ${unique('')}`);
      sent.push(acknowledged);
      if (tries > 1) retried += 1;
      reaper.acknowledged(sent.length);
    }
  }
  let over = false;
  const listener = listen(bob, room, SENDS, () => over);
  listener.catch(() => {}); // awaited below
  await Promise.all([sender(alice), sender(alice), sender(bob), sender(bob)]);
  await reaper.done();
  over = true;
  assert.equal(sent.length, SENDS);
  assert.equal(reaper.kills, KILLS);
  t.diagnostic(`${KILLS} kills, ${retried} sends had to be repeated`);

  const order = await isWhole(t, [alice, bob], room, sent);
  assert.deepEqual(await listener, order, 'sync told every event once, in the order of history');
  await server.restart();
  assert.deepEqual(await isWhole(t, [alice, bob], room, sent), order);

  const loop = new Sliding(alice, { limit: 20 });
  await follow(loop, 'the newest message', (json) => timeline(json, room).length > 0);
  await delivers(t, loop, () => bob.send(room, 'still here'), (json) => says(json, room, 'still here'));
});

test(`with storage failing for ${OUTAGE_MS / 1000} s under load every send still answers 200, and history is whole afterwards`, { skip: uncontrolled, timeout: 600_000 }, async (t) => {
  const server = await own({ flags: FLAGS });
  const [alice, bob, room] = await pair(server.base);
  const sent: Acknowledged[] = [];
  let slowest = 0;

  async function sender(user: User, until: number): Promise<void> {
    while (performance.now() < until) {
      const body = `${user.name} ${unique('')}`;
      const answer = await user.call('PUT', at`/rooms/${room}/send/m.room.message/${unique('t')}`, { body: text(body), within: 5_000 });
      assert.equal(answer.status, 200, `during the outage: ${answer.status} ${answer.text}`);
      slowest = Math.max(slowest, answer.ms);
      sent.push({ event: answer.json.event_id, body });
    }
  }

  const before = performance.now() + 1_000;
  await Promise.all([sender(alice, before), sender(bob, before)]);
  const count = sent.length;
  await server.failStorage(OUTAGE_MS);
  const end = performance.now() + OUTAGE_MS + 1_000;
  const load = Promise.all([sender(alice, end), sender(alice, end), sender(bob, end), sender(bob, end)]);
  load.catch(() => {}); // awaited below
  const loop = new Sliding(bob, { limit: 50 });
  let live = 0;
  while (performance.now() < end) {
    if (timeline((await loop.poll(1_000)).json, room).length > 0) live += 1;
  }
  await load;
  const during = sent.length - count;
  assert.ok(during >= 20, `only ${during} sends in ${OUTAGE_MS / 1000} s`);
  const { failed } = await server.storageCalls();
  assert.ok(failed > 0, 'storage was asked and failed');
  assert.ok(live >= 10, `the conversation went on live, in ${live} sync answers`);
  t.diagnostic(`${during} sends during the outage, slowest ${slowest.toFixed(0)} ms, ${live} sync answers with news, ${failed} storage calls failed`);

  await eventually('history is complete', async () => {
    const events = await history(alice, room, 'b', 100).catch(() => []);
    return bodies(events).length >= sent.length;
  }, 60_000);
  await isWhole(t, [alice, bob], room, sent);
  await server.restart();
  await isWhole(t, [alice, bob], room, sent);
});

test('a sync connection outlives a SIGKILL of workerd: the same pos gets the same bytes, and what follows is told once', { skip: uncontrolled, timeout: 600_000 }, async () => {
  const server = await own({ flags: FLAGS });
  const [alice, bob, room] = await pair(server.base);
  const loops = (['unstable', 'stable'] as const).map((shape) => new Sliding(alice, { shape, conn: shape }));
  const classic = new Classic(alice);
  for (const loop of [...loops, classic]) {
    await loop.poll(0);
    await follow(loop, 'the room', () => true);
  }
  await bob.send(room, 'before the cut');
  await follow(new Sliding(alice, { conn: 'witness' }), 'it', (json) => says(json, room, 'before the cut'));
  for (const loop of loops) loop.body.extensions = {};
  const told = await Promise.all(loops.map((loop) => loop.request(loop.pos, 0)));
  server.killWorkerd();
  await server.recover();
  for (const [index, loop] of loops.entries()) {
    const again = await loop.request(loop.pos, 0);
    assert.equal(again.text, told[index]!.text, 'the answer may have been lost in the cut');
    assert.ok(says(again.json, room, 'before the cut'));
    loop.pos = again.json.pos;
  }
  await follow(classic, 'what came before', (json) => says(json, room, 'before the cut'));
  await bob.send(room, 'after the cut');
  for (const loop of [...loops, classic]) {
    const answers = await follow(loop, 'what came after', (json) => says(json, room, 'after the cut'));
    assert.deepEqual(answers.flatMap((json) => bodies(timeline(json, room))), ['after the cut']);
  }
});
