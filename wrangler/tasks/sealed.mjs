// Files that only the operator's passphrase or key file opens: AES-256-GCM under a key made by scrypt.
// A file is 12 bytes of nonce, the ciphertext and 16 bytes of tag; its logical name is authenticated with it.

import { createCipheriv, createDecipheriv, createHash, randomBytes, scryptSync } from "node:crypto";
import { once } from "node:events";
import { createReadStream, createWriteStream, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { open, stat } from "node:fs/promises";
import path from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";

const CIPHER = "aes-256-gcm";
const NONCE = 12;
const TAG = 16;
const HEADER = "tern-backup.json";
const COST = { N: 1 << 17, r: 8, p: 1 };
const MEMORY = 256 * 1024 * 1024;

export const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** Whole or not at all; with `flush` even when power is cut. */
export function writeWhole(file, content, { flush = false } = {}) {
  writeFileSync(`${file}.draft`, content, { mode: 0o600, flush });
  renameSync(`${file}.draft`, file);
}

/** The key of a folder; a folder without a header gets one if it may. */
export function folderKey(folder, secret, make) {
  const file = path.join(folder, HEADER);
  if (!existsSync(file)) {
    if (!make) throw new Error(`${folder} is not a backup`);
    const salt = randomBytes(32).toString("base64");
    const key = scryptSync(secret, Buffer.from(salt, "base64"), 32, { ...COST, maxmem: MEMORY });
    const check = seal(key, "check", Buffer.from("tern")).toString("base64");
    writeWhole(file, `${JSON.stringify({ format: 1, scrypt: { salt, ...COST }, check })}\n`, { flush: true });
    return key;
  }
  const { format, scrypt, check } = JSON.parse(readFileSync(file, "utf8"));
  if (format !== 1) throw new Error(`${folder} is a backup of a newer build`);
  if (scrypt.N > 1 << 20 || scrypt.r > 16 || scrypt.p > 4) throw new Error(`${file} asks too much`);
  const { N, r, p } = scrypt;
  const key = scryptSync(secret, Buffer.from(scrypt.salt, "base64"), 32, { N, r, p, maxmem: 4 * MEMORY });
  try {
    unseal(key, "check", Buffer.from(check, "base64"));
  } catch {
    throw new Error("this is not the passphrase or key file of the backup");
  }
  return key;
}

export function seal(key, name, plain) {
  const nonce = randomBytes(NONCE);
  const cipher = createCipheriv(CIPHER, key, nonce).setAAD(Buffer.from(name));
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

export function unseal(key, name, bytes) {
  const cipher = createDecipheriv(CIPHER, key, bytes.subarray(0, NONCE)).setAAD(Buffer.from(name));
  cipher.setAuthTag(bytes.subarray(-TAG));
  return Buffer.concat([cipher.update(bytes.subarray(NONCE, -TAG)), cipher.final()]);
}

/** Writes what a web stream brings; the file's hash and the length of its content. */
export async function sealStream(key, name, body, file) {
  const nonce = randomBytes(NONCE);
  const cipher = createCipheriv(CIPHER, key, nonce).setAAD(Buffer.from(name));
  const hash = createHash("sha256").update(nonce);
  let size = 0;
  const count = new Transform({ transform(chunk, _, done) { size += chunk.length; done(null, chunk); } });
  const hashed = new Transform({
    transform(chunk, _, done) { hash.update(chunk); done(null, chunk); },
    flush(done) {
      const tag = cipher.getAuthTag();
      hash.update(tag);
      done(null, tag);
    },
  });
  const out = createWriteStream(file, { mode: 0o600, flush: true });
  out.write(nonce);
  await pipeline(body ? Readable.fromWeb(body) : Readable.from([]), count, cipher, hashed, out);
  if (!out.closed) await once(out, "close");
  return { sha256: hash.digest("hex"), size };
}

/** What is in a file that [`sealStream`] wrote, as a stream that fails at its end if anything was changed. */
export async function unsealStream(key, name, file) {
  const { size } = await stat(file);
  const handle = await open(file);
  const [nonce, tag] = [Buffer.alloc(NONCE), Buffer.alloc(TAG)];
  await handle.read(nonce, 0, NONCE, 0);
  await handle.read(tag, 0, TAG, size - TAG);
  await handle.close();
  const cipher = createDecipheriv(CIPHER, key, nonce).setAAD(Buffer.from(name));
  cipher.setAuthTag(tag);
  if (size === NONCE + TAG) return Readable.from([cipher.final()]);
  const source = createReadStream(file, { start: NONCE, end: size - TAG - 1 });
  source.once("error", (error) => cipher.destroy(error));
  return source.pipe(cipher);
}
