// Runs the end-to-end specs: `node wrangler/e2e/run.ts [--release] [--full] [--only NAME[,NAME]]`.
// Specs that leave the server alone share one; those that kill, configure or measure it start their own.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { leaks, secretsOf } from './support/secrets.ts';
import { freePort, Server } from './support/server.ts';

/** They have a server of their own, and measure it, kill it or have a browser wait for it: one after the other. */
const ALONE = [
  'calls.spec.ts', 'cost.spec.ts', 'crowd.spec.ts', 'durability.spec.ts', 'element-call.spec.ts', 'large-rooms.spec.ts', 'launcher.spec.ts',
  'limits.spec.ts', 'media.spec.ts', 'push.spec.ts', 'relays.spec.ts', 'rust-sdk.spec.ts', 'state-bytes.spec.ts', 'synapse-partition.spec.ts',
];
/** They have a server of their own, which mostly waits for them: two at once. */
const OWN = [
  'appservice-add.spec.ts', 'appservice-transactions.spec.ts', 'appservice.spec.ts', 'backup.spec.ts', 'billed-rows.spec.ts',
  'federation-media.spec.ts', 'federation-rooms.spec.ts', 'federation-send.spec.ts', 'federation.spec.ts', 'guards.spec.ts',
  'heisenbridge.spec.ts', 'keys.spec.ts', 'logs.spec.ts', 'mail.spec.ts', 'metrics.spec.ts', 'oauth-client.spec.ts', 'openid.spec.ts',
  'pages-further.spec.ts', 'previews.spec.ts', 'room-version.spec.ts', 'synapse-crypto.spec.ts', 'synapse-encryption.spec.ts',
  'synapse-join.spec.ts', 'synapse-media.spec.ts', 'synapse-rooms.spec.ts', 'synapse.spec.ts', 'upstream.spec.ts',
];
/** For a whole file too, and one of `--full` builds matrix-rust-sdk first. */
const TEST_TIMEOUT_MS = process.argv.includes('--full') ? 120 * 60_000 : 240_000;

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

/** Every process of the run writes there what it used that is secret, and what its servers logged. */
const records = mkdtempSync(join(tmpdir(), 'tern-e2e-run-'));
process.env.TERN_SECRETS = join(records, 'secrets');
process.env.TERN_LOG = join(records, 'log');

/** No log of any server of this run may carry what the clients kept secret. */
function logsAreSilent(): boolean {
  const log = existsSync(process.env.TERN_LOG!) ? readFileSync(process.env.TERN_LOG!, 'utf8').split('\n') : [];
  const used = secretsOf(process.env.TERN_SECRETS!);
  const told = leaks(log, used);
  console.log(`${told.length ? '✖' : '✔'} ${used.size} passwords, tokens, keys and ciphertexts, ${log.length} lines of log: ${told.length} leaks`);
  for (const line of told) console.error(`  ${line}`);
  return told.length === 0;
}

let failed = 0;
const together = specs.filter((file) => !OWN.includes(file) && !ALONE.includes(file));
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
const own = specs.filter((file) => OWN.includes(file));
if (own.length > 0) failed |= await test(own, 2, {});
const alone = specs.filter((file) => ALONE.includes(file));
if (alone.length > 0) failed |= await test(alone, 1, {});
if (!logsAreSilent()) failed |= 1;
rmSync(records, { recursive: true, force: true });
process.exitCode = failed ? 1 : 0;
