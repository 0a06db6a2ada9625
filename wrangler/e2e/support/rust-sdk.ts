// matrix-rust-sdk: builds the package of scenarios once and plays one with whatever help it asks for.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { Companion } from './companion.ts';
import { FULL } from './full.ts';
import type { Json } from './http.ts';
import { Remote } from './peers.ts';
import { secret } from './secrets.ts';
import { CHECKOUT } from './server.ts';

const PACKAGE = join(CHECKOUT, 'wrangler/e2e/rust-sdk');
/** Several hundred crates; kept apart from the server's own, so that neither build disturbs the other. */
const TARGET = process.env.TERN_RUST_SDK_TARGET ?? join(PACKAGE, 'target');
const PROGRAM = join(TARGET, 'debug/tern-rust-sdk-scenarios');

/** Why the scenarios are not played, else false. Their build takes minutes, too long for every run. */
export const notPlayed: string | false = FULL ? false
  : 'NOT RUN: matrix-rust-sdk takes minutes to build; it runs under --full';

export function build(): Promise<void> {
  const args = ['build', '--locked', '--manifest-path', join(PACKAGE, 'Cargo.toml')];
  const child = spawn('cargo', args, { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, CARGO_TARGET_DIR: TARGET } });
  const said: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (text) => said.push(text));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => code === 0 ? resolve() : reject(new Error(`cargo ended with ${code}:\n${said.join('').slice(-8_000)}`)));
  });
}

/** What a scenario may ask for, by name; what is returned goes back to it. */
export type Help = Record<string, (wanted: Json) => Promise<Json | void>>;

/** Plays a scenario to its end. Every claim it shows becomes a line of the report. */
export async function play(t: TestContext, name: string, base: string, help: Help = {}): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'tern-rust-sdk-'));
  const scenario = new Companion(PROGRAM, [name, base, folder]);
  let shown = 0;
  try {
    for (let line = await scenario.hear(); line; line = await scenario.hear()) {
      if (line.secret) secret(line.secret);
      else if (line.shown) {
        t.diagnostic(line.shown);
        shown += 1;
      } else {
        const given = await help[line.ask]?.(line.with);
        scenario.tell({ done: line.ask, ...given });
      }
    }
    await scenario.end();
  } finally {
    await scenario.dismiss();
    rmSync(folder, { recursive: true, force: true });
  }
  return shown;
}

/** One encrypted client that does what it is told. */
export async function rust(t: TestContext, base: string): Promise<Remote> {
  const folder = mkdtempSync(join(tmpdir(), 'tern-rust-sdk-'));
  const peer = await Remote.start('rust', PROGRAM, ['peer', base, folder]);
  t.after(async () => {
    await peer.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  return peer;
}
