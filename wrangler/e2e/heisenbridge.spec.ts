// A bridge as people run it, unmodified, between a room here and a channel of IRC: both ways, and through a power cut.
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { at, bodies, eventually, register, type Json, type User } from './support/client.ts';
import { Irc } from './support/irc.ts';
import { CHECKOUT, freePort, own, uncontrolled } from './support/server.ts';
import { did } from './support/xtask.ts';

const PYTHON = [join(CHECKOUT, '.tools/heisenbridge/bin/python'), process.env.TERN_HEISENBRIDGE_PYTHON].find((path) => path && existsSync(path));
const skip = uncontrolled || (PYTHON ? false : 'NOT RUN: heisenbridge is not installed (TERN_HEISENBRIDGE_PYTHON names a Python that has it)');
const CHANNEL = '#tern';
const WITHIN = 60_000;

/** The registration that the bridge writes for the operator, and the operator adds as it is. */
async function generate(file: string, port: number, state: string): Promise<void> {
  const made = spawnSync(PYTHON!, ['-m', 'heisenbridge', '-c', file, '-l', '127.0.0.1', '-p', String(port), '--generate'], { encoding: 'utf8' });
  assert.equal(made.status, 0, made.stderr);
  const { said } = await did('appservice', 'add', file, '--state', state);
  assert.doesNotMatch(said, /left out/, 'the server knows every key');
}

class Bridge {
  readonly lines: string[] = [];
  readonly #child: ChildProcess;

  constructor(folder: string, port: number, base: string) {
    const args = ['-m', 'heisenbridge', '-v', '-c', join(folder, 'registration.yaml'), '-l', '127.0.0.1', '-p', String(port), base];
    this.#child = spawn(PYTHON!, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => this.lines.push(line));
    }
    after(() => this.#child.kill('SIGKILL'));
  }

  get tail(): string {
    return this.lines.slice(-30).join('\n');
  }
}

/** Bodies of the newest events of a room. */
async function newest(user: User, room: string): Promise<string[]> {
  return bodies((await user.get(at`/rooms/${room}/messages`, { dir: 'b', limit: 100 })).chunk);
}

/** The room whose invite the user has by a name that begins so. */
async function invited(user: User, name: string): Promise<string> {
  return eventually(`an invite to ${name}`, async () => {
    const { rooms } = await user.get('/sync', { timeout: 0 });
    const named = (room: Json) => room.invite_state.events.some((event: Json) => event.type === 'm.room.name' && event.content.name.startsWith(name));
    return Object.entries(rooms?.invite ?? {}).find(([, room]) => named(room))?.[0];
  }, WITHIN);
}

test('a channel of IRC and a room here, through heisenbridge', { skip }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tern-e2e-heisenbridge-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const [irc, port] = [await new Irc().start(), await freePort()];
  const server = await own({ vars: { OUTBOUND_PRIVATE: 'true' } });
  await generate(join(folder, 'registration.yaml'), port, server.state);
  await server.restart();
  const bridge = new Bridge(folder, port, server.base);
  const alice = await register(server.base);
  const explain = (error: Error) => {
    throw new Error(`${error.message}\n${bridge.tail}`);
  };

  // The owner of a bridge is who speaks to it first.
  const bot = `@heisenbridge:${alice.server}`;
  await eventually('the bridge is there', async () => bridge.lines.some((line) => line.includes('bridge is now running')), WITHIN).catch(explain);
  const control = await alice.createRoom({ preset: 'trusted_private_chat', is_direct: true, invite: [bot] });
  const told = (room: string, text: string) =>
    eventually(`"${text}" is told`, async () => (await newest(alice, room)).some((body) => body.includes(text)), WITHIN).catch(explain);
  await eventually('the bridge joins', async () => (await alice.state(control, 'm.room.member', bot)).membership === 'join', WITHIN).catch(explain);
  await alice.send(control, 'addnetwork test');
  await told(control, 'Network added');
  await alice.send(control, `addserver test 127.0.0.1 ${irc.port}`);
  await told(control, 'Server added');
  await alice.send(control, 'open test');
  const network = await invited(alice, 'test').catch(explain) as string;
  await alice.join(network);
  await alice.send(network, 'nick anna');
  await told(network, 'anna');
  await alice.send(network, 'connect');
  await told(network, 'Welcome');
  await alice.send(network, `join ${CHANNEL}`);
  const channel = await invited(alice, CHANNEL).catch(explain) as string;
  await alice.join(channel);

  irc.join('bert', CHANNEL);
  irc.say('bert', CHANNEL, 'hello from IRC');
  await told(channel, 'hello from IRC');
  await alice.send(channel, 'hello from Matrix');
  const heard = () => irc.said.filter(({ channel: where }) => where === CHANNEL).map(({ text }) => text);
  await eventually('IRC hears it', async () => heard().includes('hello from Matrix'), WITHIN).catch(explain);
  const { chunk } = await alice.get(at`/rooms/${channel}/messages`, { dir: 'b', limit: 100 });
  const said = chunk.find((event: Json) => event.content?.body === 'hello from IRC');
  assert.match(said.sender, /^@irc_.*bert.*:/, 'people of IRC are users here');

  // A power cut; the bridge does not notice.
  server.killWorkerd();
  await server.recover();
  const numbers = Array.from({ length: 8 }, (_, number) => `number ${number + 1}`);
  for (const number of numbers) await alice.send(channel, number);
  await eventually('IRC hears all', async () => heard().includes(numbers.at(-1)!), WITHIN).catch(explain);
  assert.deepEqual(heard().filter((text) => text.startsWith('number')), numbers, 'in order, once');
  irc.say('bert', CHANNEL, 'still there');
  await told(channel, 'still there');
  assert.ok(!readFileSync(join(folder, 'registration.yaml'), 'utf8').includes(alice.token));
});
