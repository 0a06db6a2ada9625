// A hostile account that does what the rate limits let it, for a while (`--full`: five minutes): nobody else's hub grows beyond
// measure, nobody else's request takes twice as long, no alarm fails twice for the same cause.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { at, people, unique, type Answer, type Json, type User } from './support/client.ts';
import { own, uncontrolled, type Server } from './support/server.ts';
import { Sliding, says } from './support/sync.ts';

const FOLDER = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
const SECONDS = process.env.TERN_FULL ? 300 : 20;
/** Rounds that are measured before, and at least so many during. */
const ROUNDS = 15;
const LONG = 'x'.repeat(60_000);
const MB = 1 << 20;
/** What a hub may have more of, in MB, and what a room that is the hostile account's own may: its state is 8 of it. */
const GROWTH = 10;
const OWN_GROWTH = 26;
/** What a median of a few milliseconds may differ by in any case. */
const NOISE_MS = 15;

/** Bytes of every object's database, by file. */
function sizes(server: Server): Map<string, number> {
  const files = readdirSync(server.state, { recursive: true, encoding: 'utf8' });
  const hubs = files.filter((file) => /-(RoomHub|UserHub)\/[^/]+\.sqlite$/.test(file));
  return new Map(hubs.map((file) => [file, statSync(join(server.state, file)).size]));
}

const median = (numbers: number[]): number => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]!;

/** A message from the send to the sync of another, again and again: how long it took each time. */
async function talk(alice: User, loop: Sliding, room: string, goesOn: (round: number) => boolean): Promise<number[]> {
  const times: number[] = [];
  for (let round = 0; goesOn(round); round += 1) {
    const body = unique('said');
    const start = performance.now();
    await alice.send(room, body);
    for (let heard = false; !heard;) heard = says((await loop.poll(5_000)).json, room, body);
    times.push(performance.now() - start);
    await new Promise((resolve) => setTimeout(resolve, 250)); // at the pace of somebody who types, and within the limits
  }
  return times;
}

/** Whatever may be done, over and over; the statuses of the answers, with how many there were. */
class Mallory {
  readonly statuses = new Map<number, number>();
  readonly user: User;
  readonly room: string;
  readonly own: string;
  readonly victim: User;
  readonly event: string;
  over = false;
  #number = 0;

  constructor(user: User, room: string, own: string, victim: User, event: string) {
    this.user = user;
    this.room = room;
    this.own = own;
    this.victim = victim;
    this.event = event;
  }

  async #ask(method: string, path: string, body: Json): Promise<Answer> {
    const answer = await this.user.call(method, path, { body });
    this.statuses.set(answer.status, (this.statuses.get(answer.status) ?? 0) + 1);
    // Who is told to wait waits a little, or the loop would measure the limiter.
    if (answer.status === 429) await new Promise((resolve) => setTimeout(resolve, 200));
    return answer;
  }

  #say(content: Json): Promise<Answer> {
    return this.#ask('PUT', at`/rooms/${this.room}/send/m.room.message/${unique()}`, content);
  }

  /** Several of these run at the same time. */
  async rage(): Promise<void> {
    while (!this.over) {
      const n = this.#number++;
      const thread = `$${n}${'r'.repeat(200)}`;
      const deeds = [
        () => this.#say({ body: LONG }),
        () => this.#say({ body: 'x', 'm.relates_to': { rel_type: 'm.thread', event_id: thread } }),
        () => this.#ask('PUT', at`/rooms/${this.own}/state/org.example.junk/${String(n % 400)}`, { text: `${n}${LONG}` }),
        () => this.#say({ 'm.relates_to': { rel_type: 'm.annotation', event_id: this.event, key: `${n}${LONG}` } }),
        () => this.#ask('POST', at`/rooms/${this.room}/receipt/m.read/${this.event}`, { thread_id: thread }),
        () => this.#ask('PUT', at`/sendToDevice/m.room.encrypted/${unique()}`, { messages: { [this.victim.id]: { '*': { junk: LONG + LONG } } } }),
        () => this.#ask('PUT', at`/rooms/${this.own}/state/m.room.member/${`@${unique('nobody')}:${this.user.server}`}`, { membership: 'invite', reason: LONG }),
        () => this.#ask('GET', at`/rooms/${this.own}/state`, undefined),
        () => this.#ask('GET', '/sync', undefined),
        () => this.#ask('POST', '/user_directory/search', { search_term: 'a' }),
      ];
      await deeds[n % deeds.length]!();
    }
  }
}

test(`a hostile account for ${SECONDS} s`, { skip: uncontrolled, timeout: 900_000 }, async (t) => {
  const server = await own({ folder: FOLDER, flags: ['--open-registration'] });
  const [alice, bob, user] = await people(server.base, 3);
  const room = await alice.createRoom();
  const [loop, mine] = [new Sliding(bob, { limit: 5 }), await user.createRoom()];
  for (const one of [bob, user]) await one.join(room);
  await bob.join(mine);
  const event = await user.send(room, 'hello');
  await loop.poll(0);
  await talk(alice, loop, room, (round) => round < 3);
  const before = median(await talk(alice, loop, room, (round) => round < ROUNDS));
  const [start, silent] = [sizes(server), server.stderr.length];

  const mallory = new Mallory(user, room, mine, bob, event);
  const rage = Promise.all([mallory.rage(), mallory.rage()]);
  rage.catch(() => {}); // awaited below
  const end = performance.now() + SECONDS * 1_000;
  const times = await talk(alice, loop, room, (round) => round < ROUNDS || performance.now() < end);
  mallory.over = true;
  await rage;
  t.diagnostic(`answers: ${[...mallory.statuses].map(([status, count]) => `${count} × ${status}`).join(', ')}`);
  t.diagnostic(`a message until it is heard: ${before.toFixed(1)} ms before, ${median(times).toFixed(1)} ms during, ${Math.max(...times).toFixed(0)} ms at most`);
  assert.ok(![...mallory.statuses.keys()].some((status) => status >= 500 && status !== 507), 'the server does not fail');
  assert.ok(median(times) <= 2 * before + NOISE_MS, `${median(times)} ms, and ${before} ms before`);

  const grown = [...sizes(server)].map(([file, bytes]) => (bytes - (start.get(file) ?? 0)) / MB).sort((a, b) => b - a);
  t.diagnostic(`hubs grew by ${grown.slice(0, 4).map((megabytes) => megabytes.toFixed(1)).join(', ')} MB at most`);
  assert.ok(grown[0]! <= OWN_GROWTH, `${grown[0]} MB`);
  assert.ok(grown.slice(1).every((megabytes) => megabytes <= GROWTH), 'only the hostile room may hold more');

  const failures = server.stderr.slice(silent).filter((line) => /alarm/i.test(line) && /error|fail/i.test(line));
  const causes = new Set(failures.map((line) => line.replaceAll(/\d+/g, 'n')));
  assert.equal(failures.length, causes.size, `an alarm failed twice for the same cause:\n${failures.join('\n')}`);
});
