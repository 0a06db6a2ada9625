// The server under test: started as a newcomer starts it, killed as a power cut does.
import { spawn, type ChildProcess } from 'node:child_process';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { after } from 'node:test';
import { eventually } from './client.ts';

export const CHECKOUT = resolve(import.meta.dirname, '../../..');

/** The first start builds both workers, which takes minutes on a cold checkout. */
const FIRST_START_MS = 25 * 60_000;
const NEXT_START_MS = 90_000;

export interface Options {
  flags?: string[];
  state?: string;
  /** Where the server's own state folder is made. */
  folder?: string;
  /** Further environment of the launcher. */
  env?: Record<string, string>;
  /** Further variables of the public worker. */
  vars?: Record<string, unknown>;
}

export class Server {
  readonly port: number;
  readonly state: string;
  readonly flags: string[];
  readonly env: Record<string, string>;
  /** What came on stdout, which is to be the ready line alone. */
  stdout: string[] = [];
  stderr: string[] = [];
  workerd = 0;
  starts = 0;
  #child: ChildProcess | undefined;
  #ready = false;
  #owned: boolean;

  constructor(port: number, options: Options = {}) {
    this.port = port;
    this.#owned = !options.state;
    this.state = options.state ?? mkdtempSync(join(options.folder ?? tmpdir(), 'tern-e2e-'));
    this.flags = options.flags ?? ['--open-registration', '--unlimited'];
    if (process.env.TERN_RELEASE && !this.flags.includes('--release')) this.flags = [...this.flags, '--release'];
    this.env = options.env ?? {};
    if (options.vars) writeFileSync(join(this.state, 'vars.json'), JSON.stringify(options.vars));
  }

  get base(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async start(): Promise<this> {
    const args = ['xtask', 'dev', '--port', String(this.port), '--state', this.state, ...this.flags];
    const child = spawn('cargo', args, { cwd: CHECKOUT, stdio: 'pipe', detached: true, env: { ...process.env, ...this.env } });
    this.#child = child;
    this.#ready = false;
    createInterface({ input: child.stdout! }).on('line', (line) => {
      this.stdout.push(line);
      keep(line);
      if (line === `ready: ${this.base}`) this.#ready = true;
    });
    createInterface({ input: child.stderr! }).on('line', (line) => this.#heard(line));
    child.stdin!.on('error', () => {}); // the process may be gone; its exit is what is judged
    child.on('error', (error) => this.#heard(`cannot start cargo: ${error.message}`));
    const limit = this.starts === 0 ? FIRST_START_MS : NEXT_START_MS;
    this.starts += 1;
    await eventually('the ready line', async () => {
      if (!this.running) throw new Error(`the server ended with ${child.exitCode}:\n${this.tail()}`);
      return this.#ready;
    }, limit).catch((error) => {
      throw new Error(`${error.message}\n${this.tail()}`);
    });
    return this;
  }

  #heard(line: string): void {
    this.stderr.push(line);
    keep(line);
    const pid = /^workerd: (\d+)$/.exec(line)?.[1];
    if (pid) this.workerd = Number(pid);
    if (process.env.TERN_ECHO) console.error(`[${this.port}] ${line}`);
  }

  /** Where DevTools find the isolates. Needs `--inspect`. */
  get inspector(): string {
    return /^inspector: (\S+)$/m.exec(this.stderr.join('\n'))![1]!;
  }

  tail(): string {
    return this.stderr.slice(-40).join('\n');
  }

  /** SIGTERM, as Ctrl-C would. A process that outlives it is killed and reported. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (!child?.pid) return;
    const group = -child.pid;
    if (this.running) child.kill('SIGTERM');
    this.#child = undefined;
    await eventually('every process of the server ends on SIGTERM', async () => !signal(group, 0), 30_000)
      .catch((error) => {
        signal(group, 'SIGKILL');
        throw error;
      });
  }

  /** A power cut for workerd: no handler runs, nothing is flushed. */
  killWorkerd(): void {
    if (!this.workerd) throw new Error(`no "workerd: PID" line on stderr:\n${this.tail()}`);
    const pid = this.workerd;
    this.workerd = 0;
    process.kill(pid, 'SIGKILL');
  }

  /** Waits until requests succeed again after a kill, by the launcher's own doing or by a new start. */
  async recover(): Promise<void> {
    const alone = eventually('workerd starts again', async () => {
      if (!this.running) return 'ended';
      return this.workerd && (await this.answers()) && 'running';
    }, NEXT_START_MS);
    if ((await alone) === 'ended') await this.start();
  }

  async answers(): Promise<boolean> {
    try {
      return (await fetch(this.base + '/_matrix/client/versions', { signal: AbortSignal.timeout(2_000) })).ok;
    } catch {
      return false;
    }
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** Sends a control line to a `--chaos` server; resolves to the figures in its answer on stderr. */
  async #control(line: string, answer: RegExp): Promise<number[]> {
    const before = this.stderr.length;
    this.#child?.stdin?.write(line + '\n');
    const found = await eventually(`the answer to "${line}"`, async () =>
      this.stderr.slice(before).map((text) => answer.exec(text)).find(Boolean));
    return found!.slice(1).map(Number);
  }

  /** The storage worker fails for that long, in several ways. Needs `--chaos`. */
  async failStorage(ms: number): Promise<void> {
    await this.#control(`storage-fail ${ms}`, /^chaos: storage fails for (\d+) ms$/);
  }

  /** Calls of the storage worker so far, and how many of them were made to fail. Needs `--chaos`. */
  async storageCalls(): Promise<{ calls: number; failed: number }> {
    const [calls, failed] = await this.#control('storage-calls', /^chaos: storage calls (\d+), failed (\d+)$/);
    return { calls, failed };
  }

  /** The workers find the public host `name` at `url`. Needs `--chaos`. */
  async host(name: string, url: string): Promise<void> {
    await this.#control(`host ${name} ${url}`, /^chaos: \S+ is at \S+$/);
  }

  removeState(): void {
    if (this.#owned) rmSync(this.state, { recursive: true, force: true });
  }
}

/** Keeps a line for the search through all logs at the end of the run. */
function keep(line: string): void {
  if (process.env.TERN_LOG) appendFileSync(process.env.TERN_LOG, line + '\n');
}

/** Whether there was a process or group to receive the signal; 0 only asks. */
function signal(pid: number, name: 0 | 'SIGKILL'): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}

export function freePort(): Promise<number> {
  return new Promise((found, failed) => {
    const probe = createServer().once('error', failed);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => found(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

/** A server of this spec's own; it is stopped after the tests of the file. */
export async function own(options: Options = {}): Promise<Server> {
  const server = new Server(await freePort(), options);
  after(async () => {
    await server.stop();
    server.removeState();
  });
  return server.start();
}

/** Why a spec that kills or configures its server cannot run against a foreign one; else false. */
export const uncontrolled: string | false = process.env.TERN_URL ? 'TERN_URL is set, this needs a server of its own' : false;

/** The base address all specs share: TERN_URL, or a server started for this file alone. */
export async function shared(): Promise<string> {
  const given = process.env.TERN_URL;
  if (given) return given.replace(/\/$/, '');
  const server = await own();
  process.env.TERN_STATE = server.state;
  return server.base;
}

/** The admin token of the shared server, when its state folder is known. */
export function adminToken(): string | undefined {
  const keys = join(process.env.TERN_STATE ?? '', 'keys.json');
  return process.env.TERN_STATE && existsSync(keys) ? JSON.parse(readFileSync(keys, 'utf8')).admin_token : undefined;
}
