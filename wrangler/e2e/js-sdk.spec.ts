// matrix-js-sdk, as published, is a full client of this server: over classic sync and over sliding sync.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import {
  ClientEvent, createClient, EventType, MsgType, Preset, ReceiptType, RoomEvent, RoomMemberEvent, RoomStateEvent,
  type MatrixClient,
} from 'matrix-js-sdk';
import { logger } from 'matrix-js-sdk/lib/logger.js';
import { SlidingSync } from 'matrix-js-sdk/lib/sliding-sync.js';
import { unique } from './support/client.ts';
import { shared } from './support/server.ts';

const base = await shared();
const MESSAGES = 20;
const LIVE_MS = 10_000;
const silent: any = { getChild: () => silent, trace() {}, debug() {}, info() {}, warn() {}, error() {}, log() {} };

(logger as any).disableAll?.();
console.log = console.info = console.debug = () => {}; // its child loggers know no off switch
// The SDK leaves the 100 s timers of its aborted polls behind; they would hold this process.
after(() => setTimeout(() => process.exit(), 500));

const STARTS: Record<string, (client: MatrixClient) => Promise<void>> = {
  'classic sync': (client) => client.startClient({ initialSyncLimit: 50, pollTimeout: 20_000 }),
  'its SlidingSync class': (client) => {
    const subscription = { timeline_limit: 50, required_state: [['*', '*']] };
    const lists = new Map([['all', { ranges: [[0, 99]], ...subscription }]]);
    return client.startClient({ slidingSync: new SlidingSync(base, lists, subscription, client, 20_000) });
  },
};

/** A new account, registered and then logged in by the SDK's own calls. */
async function signIn(): Promise<MatrixClient> {
  const door = createClient({ baseUrl: base, logger: silent });
  const username = unique();
  const password = unique('Pw-');
  const body = { username, password, inhibit_login: true };
  const session = await door.registerRequest(body).then(() => undefined, (error) => error.data?.session);
  if (session) await door.registerRequest({ ...body, auth: { type: 'm.login.dummy', session } });
  const identifier = { type: 'm.id.user', user: username };
  const login = await door.loginRequest({ type: 'm.login.password', identifier, password });
  return createClient({
    baseUrl: base, accessToken: login.access_token, userId: login.user_id, deviceId: login.device_id, logger: silent,
  });
}

/** Waits for the condition to hold; looks again at each of the SDK's events. */
function holds(client: MatrixClient, claim: string, check: () => unknown): Promise<void> {
  const events = [ClientEvent.Sync, ClientEvent.Room, RoomEvent.Timeline, RoomEvent.Receipt, RoomEvent.MyMembership,
    RoomMemberEvent.Typing, RoomMemberEvent.Membership, RoomStateEvent.Events] as any[];
  return new Promise((resolve, reject) => {
    const look = () => {
      if (check()) finish(resolve);
    };
    const finish = (end: (error?: any) => void, error?: Error) => {
      clearTimeout(timer);
      for (const event of events) client.off(event, look);
      end(error);
    };
    const timer = setTimeout(() => finish(reject, new Error(`not seen within ${LIVE_MS} ms: ${claim}`)), LIVE_MS);
    for (const event of events) client.on(event, look);
    look();
  });
}

function messages(client: MatrixClient, room: string): string[] {
  const events = client.getRoom(room)?.getLiveTimeline().getEvents() ?? [];
  return events
    .filter((event) => event.getType() === EventType.RoomMessage && !event.isSending())
    .map((event) => event.getContent().body);
}

async function say(from: MatrixClient, to: MatrixClient, room: string, body: string): Promise<string> {
  const { event_id } = await from.sendMessage(room, { msgtype: MsgType.Text, body });
  await holds(to, `"${body}"`, () => messages(to, room).includes(body));
  return event_id;
}

async function seesTyping(watcher: MatrixClient, typist: MatrixClient, room: string): Promise<void> {
  const member = () => watcher.getRoom(room)?.getMember(typist.getUserId()!);
  await typist.sendTyping(room, true, 30_000);
  await holds(watcher, 'typing', () => member()?.typing === true);
  await typist.sendTyping(room, false, 0);
  await holds(watcher, 'the end of typing', () => member()?.typing === false);
}

async function seesReceipt(watcher: MatrixClient, reader: MatrixClient, room: string, eventId: string): Promise<void> {
  const event = reader.getRoom(room)!.findEventById(eventId)!;
  await reader.sendReadReceipt(event, ReceiptType.Read);
  const read = () => watcher.getRoom(room)!.getEventReadUpTo(reader.getUserId()!, true);
  await holds(watcher, 'the receipt', () => read() === eventId);
}

for (const [way, start] of Object.entries(STARTS)) {
  test(`matrix-js-sdk over ${way}: two users register, log in, meet in a room and chat live`, async (t) => {
    const [alice, bob] = await Promise.all([signIn(), signIn()]);
    t.after(() => [alice, bob].forEach((client) => client.stopClient()));
    await Promise.all([start(alice), start(bob)]);

    const { room_id: room } = await alice.createRoom({ name: 'Colony', preset: Preset.PrivateChat });
    await holds(alice, 'the own room', () => alice.getRoom(room)?.getMyMembership() === 'join');
    await alice.invite(room, bob.getUserId()!);
    await holds(bob, 'the invite', () => bob.getRoom(room)?.getMyMembership() === 'invite');
    assert.equal(bob.getRoom(room)!.name, 'Colony', 'the invite shows the name of the room');
    await bob.joinRoom(room);
    await holds(bob, 'the join', () => bob.getRoom(room)?.getMyMembership() === 'join');
    await holds(alice, 'the other joining', () => alice.getRoom(room)?.getMember(bob.getUserId()!)?.membership === 'join');

    const expected: string[] = [];
    let last = '';
    for (let n = 1; n <= MESSAGES; n += 1) {
      await say(alice, bob, room, `from alice ${n}`);
      last = await say(bob, alice, room, `from bob ${n}`);
      expected.push(`from alice ${n}`, `from bob ${n}`);
    }
    for (const client of [alice, bob]) {
      await holds(client, 'its own last message', () => messages(client, room).length >= expected.length);
      assert.deepEqual(messages(client, room), expected);
    }

    await seesTyping(bob, alice, room);
    await seesTyping(alice, bob, room);
    await seesReceipt(bob, alice, room, last);
    const reply = await say(alice, bob, room, 'good night');
    await seesReceipt(alice, bob, room, reply);
  });
}
