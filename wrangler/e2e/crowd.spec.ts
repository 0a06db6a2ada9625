// Many phones that wait at once: their polls wait in one workerd, whose memory stays flat while events trickle in,
// and a burst that concerns them all reaches every one of them. The isolate that does all of this (the polls, both kinds of
// objects) stays far below what the platform gives it.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { bodies, register, type User } from './support/client.ts';
import { FULL, sized } from './support/full.ts';
import { isolate } from './support/isolate.ts';
import { Memory } from './support/media.ts';
import { own, uncontrolled } from './support/server.ts';
import { Sliding } from './support/sync.ts';

const PHONES = sized(50, 1_000);
const MINUTES = sized(0.25, 10);
const EVENTS_PER_SECOND = sized(10, 20);
const POLL_MS = 30_000;
/** A thousand hubs on one disk wait for its `fsync` more than for anything else, and memory is what is looked at here. */
const FOLDER = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
/** Everything is up to its working size after so much of the time. */
const WARM = 0.3;
/** What ten minutes may add to the memory of the process, in percent of what it had when warm. */
const GROWTH = 10;
/** What the platform gives an isolate, in MB. */
const ISOLATE = 128;

/** One phone: polls again and again, and keeps what it was told. */
class Phone {
  readonly user: User;
  readonly room: string;
  readonly heard = new Set<string>();
  polls = 0;
  #loop: Sliding;
  #over = false;

  constructor(user: User, room: string) {
    this.user = user;
    this.room = room;
    this.#loop = new Sliding(user, { limit: 20 });
  }

  async live(): Promise<void> {
    while (!this.#over) {
      const { json } = await this.#loop.poll(POLL_MS);
      this.polls += 1;
      for (const body of bodies(json.rooms?.[this.room]?.timeline ?? [])) {
        assert.ok(!this.heard.has(body), `${body} was told twice`);
        this.heard.add(body);
      }
    }
  }

  hangUp(): void {
    this.#over = true;
  }
}

/** Runs `work` on all items, a few at a time. */
async function each<T, R>(items: T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results = new Array<R>(items.length);
  const queue = items.entries();
  const worker = async () => {
    for (const [n, item] of queue) results[n] = await work(item);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  return results;
}

/** Pairs of phones, each pair in a room of its own. */
async function couples(base: string): Promise<Phone[]> {
  const pairs = await each(Array.from({ length: PHONES / 2 }), async () => {
    const [one, other] = [await register(base), await register(base)];
    const room = await one.createRoom();
    await other.join(room);
    return [new Phone(one, room), new Phone(other, room)];
  });
  return pairs.flat();
}

/** Waits for a condition, and no longer when a phone has failed. */
async function until(lives: Promise<unknown>, claim: string, within: number, holds: () => boolean): Promise<number> {
  const start = performance.now();
  while (!holds()) {
    assert.ok(performance.now() - start < within, `not within ${within} ms: ${claim}`);
    await Promise.race([lives, new Promise((resolve) => setTimeout(resolve, 50))]);
  }
  return performance.now() - start;
}

/** Sends at an even rate for as long as asked, each time from the next phone; returns how many were sent. */
async function trickle(phones: Phone[], seconds: number, between: () => void): Promise<number> {
  const start = performance.now();
  const sends: Promise<string>[] = [];
  for (let n = 0; n < seconds * EVENTS_PER_SECOND; n += 1) {
    const due = start + (n * 1_000) / EVENTS_PER_SECOND;
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
    const phone = phones[n % phones.length];
    sends.push(phone.user.send(phone.room, `drop ${n}`));
    if (n % EVENTS_PER_SECOND === 0) between();
  }
  return (await Promise.all(sends)).length;
}

test(`${PHONES} parked polls: flat memory under ${EVENTS_PER_SECOND} events a second, then a burst reaches all`, { skip: uncontrolled, timeout: 3_600_000 }, async (t) => {
  const server = await own({ folder: FOLDER, flags: ['--open-registration', '--unlimited', '--inspect'] });
  const phones = await couples(server.base);
  const lives = Promise.all(phones.map((phone) => phone.live()));
  lives.catch(() => {}); // awaited below
  await until(lives, 'every phone has had its first answer', 300_000, () => phones.every((phone) => phone.polls > 0));

  const samples: number[] = [];
  const read = () => samples.push(Memory.of(server.state)!.idle);
  const sent = await trickle(phones, MINUTES * 60, read);
  const count = () => phones.reduce((sum, phone) => sum + phone.heard.size, 0);
  await until(lives, 'both ends of a room heard every message', 60_000, () => count() === 2 * sent);
  const warm = samples.slice(Math.ceil(samples.length * WARM));
  const [first, last] = [warm.slice(0, 5), warm.slice(-5)].map((some) => some.reduce((a, b) => a + b, 0) / some.length);
  t.diagnostic(`${sent} events to ${2 * sent} deliveries in ${MINUTES * 60} s; workerd ${first.toFixed(0)} MB when warm, ${last.toFixed(0)} MB at the end`);
  const parked = await isolate(server);
  if (FULL) assert.ok(last <= first * (1 + GROWTH / 100), `grew from ${first} to ${last} MB`);

  const rooms = phones.filter((_, n) => n % 2 === 0);
  const sending = Promise.all(rooms.map((phone) => phone.user.send(phone.room, 'burst')));
  const ms = await until(lives, 'the burst reached every phone', 120_000, () => phones.every((phone) => phone.heard.has('burst')));
  await sending;
  t.diagnostic(`burst: ${phones.length} deliveries after ${ms.toFixed(0)} ms`);
  const after = await isolate(server);
  for (const [when, { heap, wasm }] of Object.entries({ 'before the burst': parked, 'after it': after })) {
    t.diagnostic(`isolate ${when}: ${heap.toFixed(1)} MB of heap, ${wasm.toFixed(1)} MB of WebAssembly`);
    assert.ok(wasm > 0 && heap + wasm < ISOLATE, `${heap} + ${wasm} MB`);
  }
  for (const phone of phones) phone.hangUp();
  await Promise.all(rooms.map((phone) => phone.user.send(phone.room, 'good night')));
  await lives;
});
