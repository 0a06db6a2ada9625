// The mails that a server with `--mail` has sent.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from './client.ts';
import type { Server } from './server.ts';

export interface Mail {
  from: string;
  to: string;
  subject: string;
  text: string;
}

export function mails(server: Server, to: string): Mail[] {
  const file = join(server.state, 'mail.jsonl');
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line)).filter((mail: Mail) => mail.to === to);
}

/** The mail number `count` to somebody, counted from one. */
export async function mail(server: Server, to: string, count = 1): Promise<Mail> {
  return (await eventually(`mail ${count} to ${to}`, async () => mails(server, to)[count - 1]))!;
}

/** The link in a mail. */
export function link(mail: Mail): URL {
  const found = /^http\S+$/m.exec(mail.text);
  assert.ok(found, `no link in ${mail.text}`);
  return new URL(found[0]);
}
