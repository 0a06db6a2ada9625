// What the tests count as billed rows is what the platform counts: one list, run on SQLite by the testkit and here on workerd.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { convertV4MiniflareOptions, Miniflare } from 'miniflare';
import { CHECKOUT } from './support/server.ts';

const WORKER = `
import { DurableObject } from 'cloudflare:workers';
export class Counter extends DurableObject {
  async fetch(request) {
    const statements = await request.json();
    return Response.json(statements.map((statement) => {
      const cursor = this.ctx.storage.sql.exec(statement);
      cursor.toArray();
      return cursor.rowsWritten;
    }));
  }
}
export default { fetch: (request, env) => env.COUNTER.get(env.COUNTER.idFromName('counter')).fetch(request) };
`;

test('statements write as many rows on workerd as the budgets say', async () => {
  const list = readFileSync(join(CHECKOUT, 'shared/testkit/tests/billed-rows.json'), 'utf8');
  const { tables, statements } = JSON.parse(list) as { tables: string[]; statements: [string, number][] };
  const miniflare = new Miniflare(convertV4MiniflareOptions({
    modules: true,
    script: WORKER,
    compatibilityDate: '2025-09-01',
    durableObjects: { COUNTER: { className: 'Counter', useSQLite: true } },
    telemetry: { enabled: false },
  }));
  try {
    const count = async (sql: string[]): Promise<number[]> => {
      const answer = await miniflare.dispatchFetch('http://counter/', { method: 'POST', body: JSON.stringify(sql) });
      return (await answer.json()) as number[];
    };
    await count(tables);
    const counted = await count(statements.map(([sql]) => sql));
    assert.deepEqual(statements.map(([sql], index) => [sql, counted[index]]), statements);
  } finally {
    await miniflare.dispose();
  }
});
