// matrix-js-sdk with the crypto of matrix-rust-sdk compiled to wasm, as a web client uses it.
import { createHash, webcrypto } from 'node:crypto';
import {
  ClientEvent, createClient, EventType, MatrixEventEvent, MsgType, Preset, RoomEvent, RoomMemberEvent,
  type ICreateClientOpts, type MatrixClient, type MatrixEvent,
} from 'matrix-js-sdk';
import { decodeRecoveryKey } from 'matrix-js-sdk/lib/crypto-api/recovery-key.js';
import { logger } from 'matrix-js-sdk/lib/logger.js';
import { SlidingSync } from 'matrix-js-sdk/lib/sliding-sync.js';
import { login, register, unique, type User } from './client.ts';
import type { Json } from './http.ts';
import { digest, pattern, type Peer, type Received } from './peers.ts';

const LIVE_MS = 20_000;
const silent: any = { getChild: () => silent, trace() {}, debug() {}, info() {}, warn() {}, error() {}, log() {} };

/** The SDK and its wasm log through the console and know no off switch. */
export function hush(): void {
  (logger as any).disableAll?.();
  console.log = console.info = console.debug = console.warn = () => {};
}

export type Way = 'classic sync' | 'sliding sync';

export class JsPeer implements Peer {
  readonly kind: string;
  readonly client: MatrixClient;
  readonly account: User;
  /** Of the secret storage, where this device made it or was given it. */
  recoveryKey: string | undefined;
  room = '';

  private constructor(kind: string, account: User, session: Json, recoveryKey?: string) {
    this.kind = kind;
    this.account = account;
    this.recoveryKey = recoveryKey;
    const options: ICreateClientOpts = {
      baseUrl: account.base, accessToken: session.access_token, userId: session.user_id, deviceId: session.device_id,
      logger: silent,
      cryptoCallbacks: {
        getSecretStorageKey: async ({ keys }) => [Object.keys(keys)[0]!, decodeRecoveryKey(this.recoveryKey!)],
      },
    };
    this.client = createClient(options);
  }

  get user(): string {
    return this.client.getUserId()!;
  }

  /** A new account and its first device. */
  static async start(base: string, way: Way = 'classic sync'): Promise<JsPeer> {
    return JsPeer.#begin(await register(base, { inhibit_login: true, username: unique('js') }), way);
  }

  /** A further device of the same account. */
  device(way: Way = 'classic sync', recoveryKey?: string): Promise<JsPeer> {
    return JsPeer.#begin(this.account, way, recoveryKey);
  }

  static async #begin(account: User, way: Way, recoveryKey?: string): Promise<JsPeer> {
    const session = (await login(account.base, account.id, account.password)).json;
    const peer = new JsPeer(`js over ${way}`, account, session, recoveryKey);
    await peer.client.initRustCrypto({ useIndexedDB: false });
    const subscription = { timeline_limit: 50, required_state: [['*', '*']] };
    const lists = new Map([['all', { ranges: [[0, 99]], ...subscription }]]);
    const started = peer.until('the first sync', () => peer.client.isInitialSyncComplete());
    await peer.client.startClient(way === 'classic sync'
      ? { initialSyncLimit: 50, pollTimeout: 20_000 }
      : { slidingSync: new SlidingSync(account.base, lists, subscription, peer.client, 20_000) });
    await started;
    return peer;
  }

  /** Waits for a condition, looking again whenever the SDK has news. */
  until(claim: string, check: () => unknown, within = LIVE_MS): Promise<void> {
    const events = [ClientEvent.Sync, ClientEvent.Room, RoomEvent.Timeline, RoomEvent.MyMembership,
      RoomMemberEvent.Membership, MatrixEventEvent.Decrypted] as any[];
    return new Promise((resolve, reject) => {
      const look = () => Promise.resolve().then(check).then((met) => met && finish(resolve), (error) => finish(reject, error));
      const finish = (end: (error?: any) => void, error?: Error) => {
        clearTimeout(timer);
        for (const event of events) this.client.off(event, look);
        end(error);
      };
      const timer = setTimeout(() => finish(reject, new Error(`${this.kind}: not within ${within} ms: ${claim}`)), within);
      for (const event of events) this.client.on(event, look);
      look();
    });
  }

  /** Cross-signing, secret storage and a key backup, as an app sets them up after the first login. */
  async secure(): Promise<void> {
    const crypto = this.client.getCrypto()!;
    const identifier = { type: 'm.id.user', user: this.account.id };
    const made = await crypto.createRecoveryKeyFromPassphrase();
    this.recoveryKey = made.encodedPrivateKey;
    await crypto.bootstrapCrossSigning({
      authUploadDeviceSigningKeys: (request) => request(null).catch((error) => {
        if (error.httpStatus !== 401) throw error;
        const { session } = error.data;
        return request({ type: 'm.login.password', identifier, password: this.account.password, session });
      }),
    });
    await crypto.bootstrapSecretStorage({ createSecretStorageKey: async () => made, setupNewKeyBackup: true });
    await crypto.checkKeyBackupAndEnable();
  }

  /** Gets every backed-up key with the recovery key. Returns how many. */
  async restore(): Promise<number> {
    const crypto = this.client.getCrypto()!;
    await crypto.loadSessionBackupPrivateKeyFromSecretStorage();
    return (await crypto.restoreKeyBackup()).imported;
  }

  async create(invite: string[]): Promise<string> {
    const initial_state = [{ type: EventType.RoomEncryption, state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }];
    const { room_id } = await this.client.createRoom({ name: 'Babel', preset: Preset.PrivateChat, invite, initial_state });
    await this.enter(room_id);
    return room_id;
  }

  async join(room: string): Promise<void> {
    await this.until('the invite', () => this.client.getRoom(room)?.getMyMembership() === 'invite');
    await this.client.joinRoom(room);
    await this.enter(room);
  }

  async enter(room: string): Promise<void> {
    this.room = room;
    const crypto = this.client.getCrypto()!;
    // The invite alone tells that the room is encrypted; the SDK can send once it has seen that in the room itself.
    await this.until('the encrypted room', () =>
      this.client.getRoom(room)?.getMyMembership() === 'join' && crypto.isEncryptionEnabledInRoom(room));
  }

  members(count: number): Promise<void> {
    return this.until(`${count} members`, () => this.client.getRoom(this.room)?.getJoinedMembers().length === count);
  }

  async say(text: string): Promise<void> {
    await this.client.sendMessage(this.room, { msgtype: MsgType.Text, body: text });
  }

  #events(): MatrixEvent[] {
    return this.client.getRoom(this.room)?.getLiveTimeline().getEvents() ?? [];
  }

  texts(): string[] {
    return this.#events().filter((event) => event.getType() === EventType.RoomMessage).map((event) => event.getContent().body);
  }

  async #find(body: string): Promise<MatrixEvent> {
    const find = () => this.#events().find((event) => event.getContent().body === body);
    await this.until(`"${body}"`, find);
    return find()!;
  }

  async hear(text: string): Promise<boolean> {
    return (await this.#find(text)).isEncrypted();
  }

  async sealed(): Promise<number> {
    return this.#events().filter((event) => event.isEncrypted() && (event.isDecryptionFailure() || !event.getClearContent())).length;
  }

  async attach(name: string, bytes: number): Promise<void> {
    const plain = pattern(bytes);
    const key = await webcrypto.subtle.generateKey({ name: 'AES-CTR', length: 256 }, true, ['encrypt', 'decrypt']);
    const iv = webcrypto.getRandomValues(new Uint8Array(16)).fill(0, 8);
    const cipher = new Uint8Array(await webcrypto.subtle.encrypt({ name: 'AES-CTR', counter: iv, length: 64 }, key, plain));
    const { content_uri: url } = await this.client.uploadContent(new Blob([cipher]), { type: 'application/octet-stream', includeFilename: false });
    const sha256 = createHash('sha256').update(cipher).digest('base64').replaceAll('=', '');
    const file: Json = {
      url, v: 'v2', key: await webcrypto.subtle.exportKey('jwk', key), iv: Buffer.from(iv).toString('base64').replaceAll('=', ''),
      hashes: { sha256 },
    };
    await this.client.sendMessage(this.room, { msgtype: MsgType.File, body: name, file, info: { size: bytes } } as any);
  }

  async fetch(name: string): Promise<Received> {
    const { file } = (await this.#find(name)).getContent();
    const url = this.client.mxcUrlToHttp(file.url, undefined, undefined, undefined, false, true, true)!;
    const answer = await globalThis.fetch(url, { headers: { authorization: `Bearer ${this.client.getAccessToken()}` } });
    if (!answer.ok) throw new Error(`download: ${answer.status} ${await answer.text()}`);
    const cipher = new Uint8Array(await answer.arrayBuffer());
    const hash = createHash('sha256').update(cipher).digest('base64').replaceAll('=', '');
    if (hash !== file.hashes.sha256) throw new Error('the downloaded bytes are not those that were uploaded');
    const key = await webcrypto.subtle.importKey('jwk', file.key, { name: 'AES-CTR' }, false, ['decrypt']);
    const counter = Buffer.from(file.iv, 'base64');
    const plain = await webcrypto.subtle.decrypt({ name: 'AES-CTR', counter, length: 64 }, key, cipher);
    return { sha256: digest(new Uint8Array(plain)) };
  }

  async stop(): Promise<void> {
    this.client.stopClient();
  }
}
