// Relays: where many listen, objects of their own tell the hubs, and every waiting poll has the news once.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { bodies, eventually, register, type User } from './support/client.ts';
import { own, uncontrolled, type Server } from './support/server.ts';
import { Sliding, ephemeral, park, says, timeline, types } from './support/sync.ts';

const MEMBERS = 40;
/** Four shares of ten, each of which is split among three relays more. */
const LIMITS = { large_room: 5, relay_above: 4 };
const RELAYS = 4 + 4 * 3;
const MESSAGES = 10;

interface Member {
  user: User;
  loop: Sliding;
  heard: string[];
}

/** Objects of a class that have ever been there: each has a database, also one that it writes nothing into. */
function objects(server: Server, name: string): number {
  const folders = readdirSync(server.state, { recursive: true, encoding: 'utf8' });
  const folder = folders.find((path) => path.endsWith(`-${name}`));
  return folder ? readdirSync(join(server.state, folder)).filter((file) => file.endsWith('.sqlite')).length : 0;
}

/** Alice's room, and the others in it. */
async function crowd(base: string): Promise<[User, string, Member[]]> {
  const alice = await register(base);
  const room = await alice.createRoom();
  const members: Member[] = [];
  while (members.length < MEMBERS) {
    members.push(...await Promise.all(Array.from({ length: 8 }, async () => {
      const user = await register(base);
      await user.join(room);
      return { user, loop: new Sliding(user), heard: [] };
    })));
  }
  return [alice, room, members];
}

/** Polls until the last of the messages is there. */
async function listen({ user, loop, heard }: Member, room: string, last: string, poll = () => loop.poll(20_000)): Promise<void> {
  await eventually(`${user.id} hears "${last}"`, async () => {
    const { json } = await poll();
    heard.push(...bodies(timeline(json, room)));
    return heard.includes(last);
  }, 60_000);
}

test(`a room of ${MEMBERS} tells its parked polls by relays, each once, also after a power cut`, { skip: uncontrolled, timeout: 600_000 }, async (t) => {
  const server = await own({ flags: ['--open-registration', '--unlimited'], vars: { LIMITS } });
  const [alice, room, members] = await crowd(server.base);
  const before = await Promise.all(members.map(({ loop }) => park(loop)));
  const start = performance.now();
  await alice.send(room, 'hello');
  const times = await Promise.all(before.map(async ({ answer }) => {
    const { json } = await answer;
    assert.ok(says(json, room, 'hello'), 'the parked poll itself has the message');
    return performance.now() - start;
  }));
  t.diagnostic(`${MEMBERS} parked polls answered after ${Math.min(...times).toFixed(0)} to ${Math.max(...times).toFixed(0)} ms`);
  const relays = objects(server, 'Relay');
  assert.ok(relays >= RELAYS, `${relays} relays were asked`);
  t.diagnostic(`${relays} relays`);

  const typed = await Promise.all(members.map(({ loop }) => park(loop)));
  await alice.typing(room);
  for (const { answer } of typed) {
    const { json } = await answer;
    assert.ok(types(alice, json, room), JSON.stringify(ephemeral(json, room, 'm.typing')));
  }

  const said = Array.from({ length: MESSAGES }, (_, n) => `message ${n}`);
  const heard = Promise.all(members.map((member) => listen(member, room, said.at(-1)!)));
  for (const body of said) await alice.send(room, body);
  await heard;
  for (const member of members) assert.deepEqual(member.heard, said, `${member.user.id} hears all, once, in order`);

  await alice.send(room, 'the last words');
  server.killWorkerd();
  await server.recover();
  await Promise.all(members.map((member) => listen(member, room, 'the last words', () => member.loop.poll(2_000))));
  for (const member of members) assert.deepEqual(member.heard, [...said, 'the last words'], member.user.id);
});
