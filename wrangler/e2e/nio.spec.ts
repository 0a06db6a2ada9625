// matrix-nio, as published, is a full client of this server.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { python } from './support/python.ts';
import { shared } from './support/server.ts';

const base = await shared();

/** Runs a script, which prints a line for each claim that it has shown. */
async function shows(t: TestContext, name: string, claims: number): Promise<void> {
  const script = join(import.meta.dirname, name);
  const shown = await new Promise<string[]>((resolve, reject) => {
    execFile(python(), [script, base], { timeout: 120_000 }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${error.message}\n${stdout}\n${stderr}`));
      else resolve(stdout.trim().split('\n'));
    });
  });
  shown.forEach((claim) => t.diagnostic(claim));
  assert.equal(shown.length, claims, `every claim of ${name} was shown`);
}

test('matrix-nio: two users register, log in, meet in a room and chat live', (t) => shows(t, 'nio_chat.py', 5));

test('matrix-nio: a bot that leaves, is kicked or banned, or declines in a room of version 12 goes on syncing', (t) => shows(t, 'nio_leave.py', 4));
