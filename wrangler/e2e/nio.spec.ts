// matrix-nio, as published, is a full client of this server.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CHECKOUT, shared } from './support/server.ts';

const base = await shared();

function python(): string {
  const venv = join(CHECKOUT, '.tools/venv/bin/python');
  const found = existsSync(venv) ? venv : process.env.TERN_PYTHON;
  if (!found) throw new Error('no .tools/venv with requirements.txt in it; name a Python that has matrix-nio in TERN_PYTHON');
  return found;
}

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
