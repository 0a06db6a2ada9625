// One HTTP exchange with the server under test: status, headers, exact bytes, time taken.
import './secrets.ts';

export type Json = any;

export interface Ask {
  body?: unknown;
  /** Sent as it is, in place of `body`. */
  raw?: string | Uint8Array<ArrayBuffer>;
  query?: Record<string, string | number | boolean | undefined>;
  token?: string | null;
  headers?: Record<string, string>;
  /** A request that takes longer than this is hung, which is a failure. Milliseconds. */
  within?: number;
}

export interface Answer {
  status: number;
  headers: Headers;
  bytes: number;
  text: string;
  /** The parsed body, or undefined when it is not JSON. */
  json: Json;
  ms: number;
  what: string;
}

/** Path with each value percent-encoded: at`/rooms/${room}/join`. */
export function at(parts: TemplateStringsArray, ...values: string[]): string {
  return parts.reduce((path, part, i) => path + encodeURIComponent(values[i - 1] ?? '') + part);
}

export function address(base: string, path: string, query: Ask['query'] = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  const search = new URLSearchParams(given.map(([key, value]) => [key, String(value)])).toString();
  const full = path.startsWith('/_') || path.startsWith('/.') ? path : '/_matrix/client/v3' + path;
  return base + full + (search ? '?' + search : '');
}

export async function ask(base: string, method: string, path: string, ask: Ask = {}): Promise<Answer> {
  const headers: Record<string, string> = { 'accept-encoding': 'identity', ...ask.headers };
  if (ask.token) headers.authorization = `Bearer ${ask.token}`;
  const body = ask.raw ?? (ask.body === undefined ? undefined : JSON.stringify(ask.body));
  if (body !== undefined) headers['content-type'] ??= 'application/json';
  const url = address(base, path, ask.query);
  const start = performance.now();
  const response = await fetch(url, {
    method, headers, body, redirect: 'manual', signal: AbortSignal.timeout(ask.within ?? 60_000),
  });
  const bytes = new Uint8Array(await response.arrayBuffer());
  const text = new TextDecoder().decode(bytes);
  let json: Json;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  return {
    status: response.status, headers: response.headers, bytes: bytes.length, text, json,
    ms: performance.now() - start, what: `${method} ${url.slice(base.length)}`,
  };
}

export function brief(answer: Answer): string {
  return `${answer.what} answered ${answer.status} ${answer.text.slice(0, 300)}`;
}
