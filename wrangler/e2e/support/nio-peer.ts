// matrix-nio as a peer; its keys live in a folder of their own.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { Remote } from './peers.ts';
import { python } from './python.ts';

export async function nio(t: TestContext, base: string): Promise<Remote> {
  const folder = mkdtempSync(join(tmpdir(), 'tern-nio-'));
  const script = join(import.meta.dirname, '../nio_peer.py');
  const peer = await Remote.start('nio', python(), [script, base, folder]);
  t.after(async () => {
    await peer.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  return peer;
}
