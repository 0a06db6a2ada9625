// SYNC.md says which test shows what: every test that it names has to exist.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CHECKOUT } from './support/server.ts';

const TABLE = readFileSync(join(import.meta.dirname, 'SYNC.md'), 'utf8');

/** Rows of the tables, without their heads. */
const rows = TABLE.split('\n').filter((line) => line.startsWith('| ') && !/^\| what \|/.test(line));

/** A title as it stands in a spec, where it may begin with the shape or the kind of sync it is run for. */
function titled(spec: string, title: string): boolean {
  const literal = title.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll("'", "\\\\?'");
  return new RegExp(`\\btest\\((['\`])(?:[^'\`\\n]*\\$\\{\\w+\\}[^'\`\\n:]*: )?${literal}\\1`).test(spec);
}

/** Whether `where: what` of a row is a test. */
function exists(named: string): boolean {
  const [where, what] = [named.slice(0, named.indexOf(': ')), named.slice(named.indexOf(': ') + 2)];
  const file = where.endsWith('.rs') ? join(CHECKOUT, where) : join(import.meta.dirname, `${where}.spec.ts`);
  if (!existsSync(file)) return false;
  const text = readFileSync(file, 'utf8');
  return where.endsWith('.rs') ? new RegExp(`#\\[test\\]\\nfn ${what}\\(`).test(text) : titled(text, what);
}

test('every row of SYNC.md names tests that exist', () => {
  assert.ok(rows.length > 50, `${rows.length} rows`);
  const named = rows.map((row) => [row, [...row.split(' | ').at(-1)!.matchAll(/`([^`]+)`/g)].map((match) => match[1]!)] as const);
  assert.deepEqual(named.filter(([, tests]) => tests.length === 0).map(([row]) => row), [], 'rows without a test');
  assert.deepEqual(named.flatMap(([, tests]) => tests).filter((one) => !exists(one)), [], 'tests that do not exist');
});
