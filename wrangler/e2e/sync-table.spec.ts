// SYNC.md and VERSIONS.md say which test shows what: every test that they name has to exist.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CHECKOUT } from './support/server.ts';

/** Whose business a row may be, when no test of ours can show it. */
const OTHERS = /^(Clients|Federation|Identity servers|Push gateways|Application services|Text) only/;

/** Rows of a file's tables, without their heads, as cells. */
function rows(name: string): string[][] {
  const lines = readFileSync(join(import.meta.dirname, name), 'utf8').split('\n');
  const table = lines.filter((line) => line.startsWith('| ') && !/^\| what \|/.test(line));
  return table.map((line) => line.replace(/^\| /, '').replace(/ \|$/, '').split(' | '));
}

/** The tests that a row names. */
const named = (row: string[]): string[] => [...row.at(-1)!.matchAll(/`([^`]+)`/g)].map((match) => match[1]!);

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

for (const [name, least] of [['SYNC.md', 50], ['VERSIONS.md', 100]] as const) {
  test(`${name}: no cell is empty, and every test that a row names exists`, () => {
    const table = rows(name);
    assert.ok(table.length > least, `${table.length} rows`);
    assert.deepEqual(table.filter((row) => row.some((cell) => cell.trim() === '')), [], 'rows with an empty cell');
    assert.deepEqual(table.filter((row) => named(row).length === 0 && !OTHERS.test(row.at(-1)!)), [], 'rows without a test');
    assert.deepEqual(table.flatMap(named).filter((one) => !exists(one)), [], 'tests that do not exist');
  });
}

test('VERSIONS.md has a section for each version from v1.12 to the newest that is claimed', () => {
  const text = readFileSync(join(import.meta.dirname, 'VERSIONS.md'), 'utf8');
  const sections = [...text.matchAll(/^## (v1\.\d+)$/gm)].map((match) => match[1]);
  const source = readFileSync(join(CHECKOUT, 'proxy/src/routes/client/discovery.rs'), 'utf8');
  const claimed = [...source.matchAll(/"(v1\.(\d+))"/g)].filter((match) => Number(match[2]) >= 12).map((match) => match[1]);
  assert.deepEqual(sections, [...new Set(claimed)]);
});
