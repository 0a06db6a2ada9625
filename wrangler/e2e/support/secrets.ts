// What the server must never write into its logs: collected from the traffic of the run, looked for in the logs after it.
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import type { Json } from './http.ts';

/** Requests whose bodies are keys, ciphertext or credentials from end to end. */
const SEALED = /\/(keys|room_keys|sendToDevice|login|register|refresh|account|dehydrated_device)(\/|\?|$)|\/send\/m\.room\.encrypted\//;
/** Members that are secret wherever they stand. */
const NAMED = new Set(['password', 'new_password', 'access_token', 'refresh_token', 'login_token', 'token', 'ciphertext']);
/** Keys, signatures, ciphertexts and tokens as they look in JSON; identifiers begin with a sigil, types contain dots. */
const OPAQUE = /^[\w+/=-]{24,}$/;
/** Shapes that are never right in a log, whoever sent them: a JWT, an access token, the beginning of an Olm or Megolm message. */
const SHAPES = /eyJ[\w-]{8,}\.eyJ|\bta_[\w-]{60,}|\bAw[og]A[\w+/]{20,}/;
const GRAM = 8;

const found = new Set<string>();
const file = process.env.TERN_SECRETS;

/** Notes a secret this process has used. */
export function secret(value: string): void {
  if (value.length >= GRAM) found.add(value);
}

function collect(value: Json, sealed: boolean, name = ''): void {
  if (typeof value === 'string') {
    if (NAMED.has(name) || (sealed && OPAQUE.test(value))) secret(value);
  } else if (value && typeof value === 'object') {
    for (const [key, inner] of Object.entries(value)) collect(inner, sealed, key);
  }
}

function parsed(text: unknown): Json {
  try {
    return typeof text === 'string' ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
}

/** From now on every request of this process is looked through. */
export function watchRequests(): void {
  const ask = globalThis.fetch;
  globalThis.fetch = async (input, init) => {
    const url = String(input instanceof Request ? input.url : input);
    const sealed = SEALED.test(url);
    collect(parsed(init?.body), sealed);
    const bearer = new Headers(init?.headers).get('authorization')?.replace(/^Bearer /, '');
    if (bearer) secret(bearer);
    const answer = await ask(input, init);
    if (sealed) collect(parsed(await answer.clone().text()), false);
    return answer;
  };
}

/** What was used so far, by this process alone. */
export function secrets(): ReadonlySet<string> {
  return found;
}

if (file) {
  watchRequests();
  process.on('exit', () => appendFileSync(file, [...found].map((value) => value + '\n').join('')));
}

/** What all processes of the run have used. */
export function secretsOf(path: string): Set<string> {
  return new Set(existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : []);
}

/** The lines of a log that carry a secret, with the secret shortened. */
export function leaks(log: string[], secrets: Iterable<string>): string[] {
  const whole = log.join('\n');
  const grams = new Set<string>();
  for (let place = 0; place + GRAM <= whole.length; place += 1) grams.add(whole.slice(place, place + GRAM));
  const told = log.filter((line) => SHAPES.test(line)).map((line) => `looks like a secret: ${line.slice(0, 200)}`);
  for (const value of secrets) {
    if (!grams.has(value.slice(0, GRAM)) || !whole.includes(value)) continue;
    const line = log.find((text) => text.includes(value))!;
    told.push(`${value.slice(0, 4)}… (${value.length} characters) is in: ${line.replaceAll(value, '***').slice(0, 200)}`);
  }
  return told;
}
