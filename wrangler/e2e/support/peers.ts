// Clients of one kind each, all with the same few verbs, so that they can be made to talk with each other.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Companion } from './companion.ts';
import type { Json } from './http.ts';
import { secret } from './secrets.ts';

/** A file as it was received: its name and the SHA-256 of what was decrypted. */
export interface Received {
  sha256: string;
}

/** One signed-in, syncing client that sits in one encrypted room. */
export interface Peer {
  readonly kind: string;
  readonly user: string;
  /** Creates the encrypted room and invites. */
  create(invite: string[]): Promise<string>;
  /** Waits for the invite and accepts it. */
  join(room: string): Promise<void>;
  /** Waits until it knows that so many have joined. */
  members(count: number): Promise<void>;
  say(text: string): Promise<void>;
  /** Waits for a text; whether it came encrypted. */
  hear(text: string): Promise<boolean>;
  /** How many messages it could not decrypt. */
  sealed(): Promise<number>;
  /** Sends a file of so many bytes with known content. */
  attach(name: string, bytes: number): Promise<void>;
  /** Waits for a file by name, downloads and decrypts it. */
  fetch(name: string): Promise<Received>;
  stop(): Promise<void>;
}

/** A client in another language, under remote control. */
export class Remote implements Peer {
  readonly kind: string;
  user = '';
  readonly #companion: Companion;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(kind: string, companion: Companion) {
    this.kind = kind;
    this.#companion = companion;
  }

  static async start(kind: string, command: string, args: string[]): Promise<Remote> {
    const remote = new Remote(kind, new Companion(command, args));
    const hello = await remote.#hear();
    if (!hello?.user) throw new Error(`${kind} did not sign in: ${JSON.stringify(hello)}\n${remote.#companion.tail()}`);
    remote.user = hello.user;
    return remote;
  }

  /** The next answer; secrets it has used are noted on the way. */
  async #hear(): Promise<Json | undefined> {
    for (;;) {
      const line = await this.#companion.hear();
      if (!line?.secret) return line;
      secret(line.secret);
    }
  }

  /** Orders are obeyed one after the other. */
  #order(what: string, fields: Json = {}): Promise<Json> {
    const answer = this.#last.then(async () => {
      this.#companion.tell({ do: what, ...fields });
      const told = await this.#hear();
      if (!told || told.failed) throw new Error(`${this.kind} ${what}: ${told?.failed ?? 'ended'}\n${this.#companion.tail()}`);
      return told;
    });
    this.#last = answer.catch(() => {});
    return answer;
  }

  async create(invite: string[]): Promise<string> {
    return (await this.#order('create', { invite })).room;
  }

  async join(room: string): Promise<void> {
    await this.#order('join', { room });
  }

  async members(count: number): Promise<void> {
    await this.#order('members', { count });
  }

  async say(text: string): Promise<void> {
    await this.#order('say', { text });
  }

  async hear(text: string): Promise<boolean> {
    return (await this.#order('hear', { text })).encrypted;
  }

  async sealed(): Promise<number> {
    return (await this.#order('sealed')).count;
  }

  async attach(name: string, bytes: number): Promise<void> {
    await this.#order('attach', { name, bytes });
  }

  async fetch(name: string): Promise<Received> {
    return this.#order('fetch', { name });
  }

  stop(): Promise<void> {
    return this.#companion.dismiss();
  }
}

/** The first invites the others into an encrypted room; then each speaks in turn and all others must read it. */
export async function converse(peers: Peer[], rounds: number): Promise<string> {
  const [host, ...guests] = peers;
  const room = await host!.create(guests.map((guest) => guest.user));
  for (const guest of guests) await guest.join(room);
  await Promise.all(peers.map((peer) => peer.members(peers.length)));
  for (let round = 1; round <= rounds; round += 1) {
    for (const speaker of peers) {
      const text = `${speaker.user} ${round} in ${room}`;
      await speaker.say(text);
      for (const listener of peers.filter((peer) => peer !== speaker)) {
        assert.equal(await listener.hear(text), true, `${listener.kind} got "${text}" in the clear`);
      }
    }
  }
  for (const peer of peers) assert.equal(await peer.sealed(), 0, `messages ${peer.kind} could not decrypt`);
  return room;
}

/** In the room they share each sends an encrypted file, and all others must get its bytes back. */
export async function exchange(peers: Peer[], bytes: number): Promise<void> {
  const expected = digest(pattern(bytes));
  for (const sender of peers) {
    const name = `from ${sender.user.slice(1, 12)}.bin`;
    await sender.attach(name, bytes);
    for (const receiver of peers.filter((peer) => peer !== sender)) {
      const { sha256 } = await receiver.fetch(name);
      assert.equal(sha256, expected, `${receiver.kind} got other bytes than ${sender.kind} sent`);
    }
  }
}

/** The bytes that every peer sends as a file of that size. */
export function pattern(bytes: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: bytes }, (_, place) => (place * 31 + (place >> 8)) & 0xff);
}

export function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
