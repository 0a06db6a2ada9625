// matrix-nio, as published, is a full client of this server.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { python } from './support/python.ts';
import { shared } from './support/server.ts';

const base = await shared();

test('matrix-nio: two users register, log in, meet in a room and chat live', async (t) => {
  const script = join(import.meta.dirname, 'nio_chat.py');
  const shown = await new Promise<string[]>((resolve, reject) => {
    execFile(python(), [script, base], { timeout: 120_000 }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${error.message}\n${stdout}\n${stderr}`));
      else resolve(stdout.trim().split('\n'));
    });
  });
  shown.forEach((claim) => t.diagnostic(claim));
  assert.equal(shown.length, 5, 'every claim of nio_chat.py was shown');
});
