// Runs the end-to-end specs: `node wrangler/e2e/run.ts [--release] [--full] [--only NAME[,NAME]]`.
// Specs that leave the server alone share one; those that kill or configure it start their own.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { freePort, Server } from './support/server.ts';

const OWN = ['cost.spec.ts', 'durability.spec.ts', 'launcher.spec.ts'];
const TEST_TIMEOUT_MS = 240_000;

const { values } = parseArgs({
  options: { release: { type: 'boolean' }, full: { type: 'boolean' }, only: { type: 'string' } },
});
const only = values.only?.split(',');
const specs = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.spec.ts'))
  .filter((file) => !only || only.includes(file.slice(0, -'.spec.ts'.length)))
  .sort();
if (specs.length === 0) throw new Error(`no spec named ${values.only}`);
if (values.release) process.env.TERN_RELEASE = '1';
if (values.full) process.env.TERN_FULL = '1';

function test(files: string[], concurrency: number, env: Record<string, string>): Promise<number> {
  const args = ['--test', `--test-concurrency=${concurrency}`, `--test-timeout=${TEST_TIMEOUT_MS}`,
    '--test-reporter=spec', ...files.map((file) => join(import.meta.dirname, file))];
  const child = spawn(process.execPath, args, { stdio: 'inherit', env: { ...process.env, ...env } });
  return new Promise((resolve) => child.on('close', (code) => resolve(code ?? 1)));
}

let failed = 0;
const together = specs.filter((file) => !OWN.includes(file));
if (together.length > 0 && process.env.TERN_URL) {
  failed |= await test(together, 2, {});
} else if (together.length > 0) {
  const server = new Server(await freePort());
  try {
    await server.start();
    failed |= await test(together, 2, { TERN_URL: server.base, TERN_STATE: server.state });
  } finally {
    await server.stop();
  }
  if (failed) console.error(`last words of the shared server:\n${server.tail()}`);
  server.removeState();
}
const alone = specs.filter((file) => OWN.includes(file));
if (alone.length > 0) failed |= await test(alone, 1, {});
process.exitCode = failed ? 1 : 0;
