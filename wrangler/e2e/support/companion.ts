// A program that is spoken to in lines of JSON: a scenario or a client in another language.
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';
import type { Json } from './http.ts';

const SHOWN_LINES = 40;

export class Companion {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterableIterator<string>;
  readonly #stdout: Interface;
  readonly #said: string[] = [];
  readonly #ended: Promise<number | null>;

  constructor(command: string, args: string[]) {
    this.name = args[0] ?? command;
    this.#child = spawn(command, args, { stdio: 'pipe', env: { ...process.env, RUST_BACKTRACE: '0' } });
    this.#stdout = createInterface({ input: this.#child.stdout! });
    this.#lines = this.#stdout[Symbol.asyncIterator]() as AsyncIterableIterator<string>;
    createInterface({ input: this.#child.stderr! }).on('line', (line) => this.#said.push(line));
    this.#child.stdin!.on('error', () => {}); // its exit is what is judged
    this.#ended = new Promise((resolve) => {
      this.#child.on('error', (error) => {
        this.#said.push(error.message);
        resolve(null);
      });
      this.#child.on('close', resolve);
    });
  }

  /** The next line it says, or undefined at its end. */
  async hear(): Promise<Json | undefined> {
    const { value, done } = await this.#lines.next();
    return done ? undefined : JSON.parse(value);
  }

  tell(message: Json): void {
    this.#child.stdin!.write(JSON.stringify(message) + '\n');
  }

  /** Its exit code, and its last words where that is not 0. */
  async end(): Promise<void> {
    const code = await this.#ended;
    if (code !== 0) throw new Error(`${this.name} ended with ${code}:\n${this.tail()}`);
  }

  tail(): string {
    return this.#said.slice(-SHOWN_LINES).join('\n');
  }

  /** No more orders; killed if it does not end by that. */
  async dismiss(): Promise<void> {
    this.#child.stdin!.end();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 10_000);
    await this.#ended;
    clearTimeout(timer);
    this.#stdout.close();
  }
}
