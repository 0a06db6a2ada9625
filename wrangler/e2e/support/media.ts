// Content: what goes up and comes down as bytes rather than JSON.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { address, type Answer } from './http.ts';
import { okay, type User } from './client.ts';

export const DOWNLOAD = '/_matrix/client/v1/media/download/';

export interface Content {
  status: number;
  headers: Headers;
  bytes: Buffer;
  errcode: string | undefined;
}

/** Uploads and returns the part of the URI after `mxc://`. */
export async function upload(user: User, bytes: Uint8Array<ArrayBuffer> | string, type = 'application/octet-stream', name?: string): Promise<string> {
  return named(await tryUpload(user, bytes, type, name));
}

export function tryUpload(user: User, bytes: Uint8Array<ArrayBuffer> | string, type: string, name?: string): Promise<Answer> {
  return user.call('POST', '/_matrix/media/v3/upload', { raw: bytes, query: { filename: name }, headers: { 'content-type': type } });
}

export function named(answer: Answer): string {
  return okay(answer).content_uri.replace(/^mxc:\/\//u, '');
}

export async function download(user: User | undefined, path: string, options: { base?: string; method?: string; headers?: Record<string, string> } = {}): Promise<Content> {
  const url = address(options.base ?? user!.base, path.startsWith('/') ? path : DOWNLOAD + path);
  const headers: Record<string, string> = { 'accept-encoding': 'identity', ...options.headers };
  if (user) headers.authorization = `Bearer ${user.token}`;
  const response = await fetch(url, { method: options.method ?? 'GET', headers, signal: AbortSignal.timeout(60_000) });
  const bytes = Buffer.from(await response.arrayBuffer());
  const isJson = response.headers.get('content-type') === 'application/json' && response.status >= 400;
  return { status: response.status, headers: response.headers, bytes, errcode: isJson ? JSON.parse(bytes.toString()).errcode : undefined };
}

/** Bytes that no compression helps with, the same for the same seed, one chunk at a time. */
export function* noise(length: number, seed: number, chunk = 256 << 10): Generator<Uint8Array<ArrayBuffer>> {
  let state = seed | 1;
  for (let done = 0; done < length; done += chunk) {
    const words = new Uint32Array(Math.ceil(Math.min(chunk, length - done) / 4));
    for (let at = 0; at < words.length; at += 1) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      words[at] = state;
    }
    yield new Uint8Array(words.buffer, 0, Math.min(chunk, length - done));
  }
}

export function sha256(chunks: Iterable<Uint8Array>): string {
  const hash = createHash('sha256');
  for (const chunk of chunks) hash.update(chunk);
  return hash.digest('hex');
}

/** Memory of the server's workerd, when its state folder is known. */
export class Memory {
  readonly #proc: string;
  readonly idle: number;

  constructor(pid: number) {
    this.#proc = `/proc/${pid}`;
    writeFileSync(join(this.#proc, 'clear_refs'), '5'); // the peak starts from here
    this.idle = this.#read('VmRSS');
  }

  static of(state: string | undefined): Memory | undefined {
    if (!state || process.platform !== 'linux') return undefined;
    return new Memory(JSON.parse(readFileSync(join(state, 'server.json'), 'utf8')).workerd);
  }

  /** Megabytes above idle at the worst moment since. */
  peak(): number {
    return this.#read('VmHWM') - this.idle;
  }

  #read(field: string): number {
    const line = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'mu').exec(readFileSync(join(this.#proc, 'status'), 'utf8'));
    return Number(line![1]) / 1024;
  }
}
