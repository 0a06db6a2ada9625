// The commands of the task runner, as an operator types them.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { CHECKOUT } from './server.ts';

/** `cargo xtask …`; what it said, whether it went well or not. */
export function xtask(...args: string[]): Promise<{ ok: boolean; stdout: string; said: string }> {
  return new Promise((resolve) => {
    execFile('cargo', ['xtask', ...args], { cwd: CHECKOUT }, (error, stdout, stderr) => resolve({ ok: !error, stdout, said: stdout + stderr }));
  });
}

/** The same of one that has to go well. */
export async function did(...args: string[]): Promise<{ stdout: string; said: string }> {
  const { ok, ...rest } = await xtask(...args);
  assert.ok(ok, `${args.join(' ')}: ${rest.said}`);
  return rest;
}
