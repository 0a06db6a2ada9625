// Access tokens as their server makes them, for whoever plays somebody who knows a key: `shared/auth/src/token/compact.rs`.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';

const PREFIX = 'ta_';
const MAC = 16;
/** Which fields there are. */
const [EXPIRES, NONCE, RIGHTS] = [1, 2, 4];

export interface TokenFields {
  /** Seconds since the epoch. */
  issued?: number;
  /** Seconds. */
  lifetime?: number;
  localpart?: string;
}

/** The token with other fields and the MAC under this key, which `serverName` gives out. */
export function accessToken(key: Buffer, serverName: string, token: string, fields: TokenFields): string {
  assert.ok(token.startsWith(PREFIX));
  const body = Buffer.from(token.slice(PREFIX.length), 'base64url').subarray(0, -MAC);
  const flags = body[0]!;
  assert.ok(flags & EXPIRES, 'a token that ends');
  const rights = flags & RIGHTS ? 1 : 0;
  const name = 7 + (flags & NONCE ? 6 : 0) + rights;
  const rest = name + 1 + body[name]!;
  const numbers = Buffer.from(body.subarray(0, name));
  if (fields.issued !== undefined) numbers.writeUInt32BE(fields.issued, 1);
  if (fields.lifetime !== undefined) numbers.writeUInt16BE(fields.lifetime, 5);
  const localpart = fields.localpart === undefined ? body.subarray(name + 1, rest) : Buffer.from(fields.localpart);
  const written = Buffer.concat([numbers, Buffer.from([localpart.length]), localpart, body.subarray(rest)]);
  const mac = createHmac('sha256', key).update('tern derived 1\0').update(`access token\0${serverName}\0`).update(written).digest();
  return PREFIX + Buffer.concat([written, mac.subarray(0, MAC)]).toString('base64url');
}
