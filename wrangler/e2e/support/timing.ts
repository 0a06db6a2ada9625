// What a request cost, as `Server-Timing` tells whoever asks.
import assert from 'node:assert/strict';

/** Headers of a request that asks. */
export const ASKING = { 'x-tern-timing': '1' };

/** Durations and counts of a `Server-Timing` header, by name. */
export function figures(header: string | null): Record<string, number> {
  const entries = (header ?? '').split(', ').map((metric) => /^([a-z-]+);(?:dur|desc)=(\d+)$/.exec(metric));
  assert.ok(entries.every(Boolean), `not as expected: ${header}`);
  return Object.fromEntries(entries.map((entry) => [entry![1]!, Number(entry![2])]));
}
