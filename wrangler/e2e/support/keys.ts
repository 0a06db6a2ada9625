// The public objects that encrypting clients upload, signed as they sign them.
import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { type Json, type User } from './client.ts';

export const CURVE = 'signed_curve25519';

function canonical(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(',')}}`;
}

/** Unpadded base64. */
const base64 = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '');

/** An Ed25519 key of a user: of a device, or for cross-signing, where it is called by its public half. */
export class SigningKey {
  readonly user: string;
  readonly name: string;
  readonly publicKey: string;
  readonly #secret: KeyObject;

  constructor(user: User, device?: string) {
    const pair = generateKeyPairSync('ed25519');
    this.#secret = pair.privateKey;
    this.publicKey = base64(Buffer.from(pair.publicKey.export({ format: 'jwk' }).x!, 'base64url'));
    this.user = user.id;
    this.name = device ?? this.publicKey;
  }

  sign<T extends Json>(object: T): T {
    const { signatures = {}, unsigned: _, ...content } = object;
    const signature = base64(sign(null, Buffer.from(canonical(content)), this.#secret));
    const own = { ...signatures[this.user], [`ed25519:${this.name}`]: signature };
    return { ...object, signatures: { ...signatures, [this.user]: own } };
  }

  /** The identity keys of the device. */
  identity(): Json {
    const curve = base64(createHash('sha256').update(this.publicKey).digest());
    return this.sign({
      user_id: this.user, device_id: this.name, algorithms: ['m.olm.v1.curve25519-aes-sha2', 'm.megolm.v1.aes-sha2'],
      keys: { [`ed25519:${this.name}`]: this.publicKey, [`curve25519:${this.name}`]: curve },
    });
  }

  /** One-time keys of these ids. */
  oneTime(ids: string[]): Json {
    const key = (id: string): string => base64(createHash('sha256').update(this.publicKey + id).digest());
    return Object.fromEntries(ids.map((id) => [`${CURVE}:${id}`, this.sign({ key: key(id) })]));
  }

  forUsage(usage: string): Json {
    return { user_id: this.user, usage: [usage], keys: { [`ed25519:${this.publicKey}`]: this.publicKey } };
  }
}

/** A user's three cross-signing keys, as they are uploaded. */
export class CrossSigning {
  readonly master: SigningKey;
  readonly self: SigningKey;
  readonly other: SigningKey;

  constructor(user: User) {
    [this.master, this.self, this.other] = [new SigningKey(user), new SigningKey(user), new SigningKey(user)];
  }

  upload(): Json {
    return {
      master_key: this.master.forUsage('master'),
      self_signing_key: this.master.sign(this.self.forUsage('self_signing')),
      user_signing_key: this.master.sign(this.other.forUsage('user_signing')),
    };
  }
}

/** Publishes the device's identity keys; the key they are signed with. */
export async function publish(user: User): Promise<SigningKey> {
  const key = new SigningKey(user, user.device);
  await user.post('/keys/upload', { device_keys: key.identity() });
  return key;
}
