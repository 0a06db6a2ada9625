// Push to phones: a gateway on this machine is told of what notifies, and of nothing else.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { text as textOf } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { at, eventually, pair, people, refused, register, unique, type Answer, type Json, type User } from './support/client.ts';
import { own, uncontrolled } from './support/server.ts';

const skip = uncontrolled;
const PATH = '/_matrix/push/v1/notify';
const TYPES: Record<string, string> = { event_id: 'string', room_id: 'string', prio: 'string', type: 'string', sender: 'string', sender_display_name: 'string', room_name: 'string', content: 'object', user_is_target: 'boolean', counts: 'object', devices: 'object' };

/** The gateway: what it was sent, by pushkey, and what it answers. */
const sent: Json[] = [];
const failing = new Set<string>();
const rejected = new Set<string>();
const gateway = createServer(async (request, response) => {
  const { notification } = JSON.parse(await textOf(request));
  const [device] = notification.devices;
  sent.push({ path: request.url, method: request.method, notification, device, at: Date.now() });
  const status = failing.has(device.pushkey) ? 500 : 200;
  response.writeHead(status, { 'content-type': 'text/html' }).end(JSON.stringify({ rejected: [...rejected] }));
});
let url = '';
if (!skip) {
  gateway.listen(0, '127.0.0.1');
  await once(gateway, 'listening');
  const address = gateway.address();
  url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}${PATH}`;
  after(() => {
    gateway.closeAllConnections();
    gateway.close();
  });
}
const server = skip ? undefined! : await own({ vars: { OUTBOUND_PRIVATE: 'true' } });
const base = server?.base;

function set(user: User, fields: Json = {}): Promise<Answer> {
  const body = {
    app_id: 'org.example.app', pushkey: unique('key'), kind: 'http', app_display_name: 'App', device_display_name: 'Phone', lang: 'en',
    data: { url, format: 'event_id_only', default_payload: { cs: 'secret' } }, ...fields,
  };
  return user.call('POST', '/pushers/set', { body });
}

async function pusher(user: User, fields: Json = {}): Promise<string> {
  const pushkey = unique('key');
  const answer = await set(user, { pushkey, ...fields });
  assert.deepEqual([answer.status, answer.json], [200, {}], answer.text);
  return pushkey;
}

const of = (pushkey: string): Json[] => sent.filter(({ device }) => device.pushkey === pushkey).map(({ notification }) => notification);
const events = (pushkey: string): string[] => of(pushkey).filter(({ event_id }) => event_id).map(({ event_id }) => event_id);
const full = (): Json => ({ data: { url } });

/** The push of an event, once it has come; it has the shape that the specification gives it. */
async function pushed(pushkey: string, event: string): Promise<Json> {
  const found = await eventually(`a push of ${event}`, async () => of(pushkey).find(({ event_id }) => event_id === event));
  for (const [key, type] of Object.entries(TYPES)) {
    if (key in found) assert.equal(typeof found[key], type, `${key} of ${JSON.stringify(found)}`);
  }
  assert.equal(found.devices.length, 1);
  return found;
}

test('a message is pushed in the short format, and says nothing of itself', { skip }, async () => {
  const [alice, bob, room] = await pair(base);
  const pushkey = await pusher(bob);
  const [listed] = (await bob.get('/pushers')).pushers;
  assert.deepEqual([listed.pushkey, listed.kind, listed.data.url, listed.enabled, listed['org.matrix.msc3881.enabled']], [pushkey, 'http', url, true, true]);
  assert.equal(listed.device_id, bob.device);
  const event = await alice.send(room, 'hello');
  const push = await pushed(pushkey, event);
  assert.deepEqual(Object.keys(push).sort(), ['counts', 'devices', 'event_id', 'prio', 'room_id']);
  assert.deepEqual([push.room_id, push.counts], [room, { unread: 1 }]);
  const { app_id, data, pushkey_ts } = push.devices[0];
  assert.deepEqual([app_id, data], ['org.example.app', { format: 'event_id_only', default_payload: { cs: 'secret' } }]);
  assert.ok(Math.abs(pushkey_ts - Date.now() / 1_000) < 600);
  const request = sent.find(({ device }) => device.pushkey === pushkey)!;
  assert.deepEqual([request.path, request.method], [PATH, 'POST']);
});

test('mentions and what is encrypted are urgent, notices and own messages are nothing', { skip }, async () => {
  const [alice, bob, room] = await pair(base);
  const carol = await register(base);
  await carol.join(room);
  const pushkey = await pusher(bob, full());
  const say = async (user: User, type: string, content: Json): Promise<string> =>
    (await user.put(at`/rooms/${room}/send/${type}/${unique('t')}`, content)).event_id;
  await say(alice, 'm.room.message', { msgtype: 'm.notice', body: 'a bot speaks' });
  await say(bob, 'm.room.message', { msgtype: 'm.text', body: 'my own' });
  const plain = await say(alice, 'm.room.message', { msgtype: 'm.text', body: 'plain', 'm.mentions': {} });
  const mention = await say(alice, 'm.room.message', { msgtype: 'm.text', body: 'you', 'm.mentions': { user_ids: [bob.id] } });
  const encrypted = await say(alice, 'm.room.encrypted', { algorithm: 'm.megolm.v1.aes-sha2', ciphertext: 'x', session_id: 's' });
  assert.equal((await pushed(pushkey, plain)).prio, 'low');
  const loud = await pushed(pushkey, mention);
  assert.deepEqual([loud.prio, loud.devices[0].tweaks.highlight, loud.content.body, loud.sender, loud.type], ['high', true, 'you', alice.id, 'm.room.message']);
  assert.equal((await pushed(pushkey, encrypted)).prio, 'high');
  assert.deepEqual(events(pushkey), [plain, mention, encrypted]);
});

test('an invite is pushed with the name of the room', { skip }, async () => {
  const [alice, bob] = await people(base, 2);
  const pushkey = await pusher(bob, full());
  const room = await alice.createRoom({ name: 'Party' });
  await alice.invite(room, bob);
  const push = await eventually('the invite', async () => of(pushkey).find(({ room_id }) => room_id === room));
  assert.deepEqual([push.type, push.membership, push.user_is_target, push.room_name, push.prio], ['m.room.member', 'invite', true, 'Party', 'high']);
  assert.deepEqual(push.counts, { unread: 1 });
});

test('reading on one device clears the badge of the other', { skip }, async () => {
  const [alice, bob, room] = await pair(base);
  const pushkey = await pusher(bob);
  const desk = await bob.login();
  let event = '';
  for (let number = 0; number < 3; number += 1) event = await alice.send(room, `hello ${number}`);
  await pushed(pushkey, event);
  await desk.receipt(room, event);
  const [badge] = await eventually('the badge', async () => {
    const badges = of(pushkey).filter(({ event_id }) => !event_id);
    return badges.length > 0 && badges;
  });
  assert.deepEqual([badge.counts, Object.keys(badge).sort()], [{ unread: 0 }, ['counts', 'devices']]);
});

test('a device that the gateway rejects has no pusher any more, nor one that signed out', { skip }, async () => {
  const [alice, bob, room] = await pair(base);
  const pushkey = await pusher(bob);
  const desk = await bob.login();
  await pusher(desk);
  rejected.add(pushkey);
  await pushed(pushkey, await alice.send(room, 'hello'));
  await eventually('one is gone', async () => (await bob.get('/pushers')).pushers.length === 1);
  await desk.post('/logout');
  assert.deepEqual(await bob.get('/pushers'), { pushers: [] });
});

test('a gateway that failed gets the newest when it is back', { skip }, async () => {
  const [alice, bob, room] = await pair(base);
  const pushkey = await pusher(bob);
  failing.add(pushkey);
  const first = await alice.send(room, 'first');
  await pushed(pushkey, first);
  const others = [await alice.send(room, 'second'), await alice.send(room, 'third')];
  failing.delete(pushkey);
  await eventually('the newest', async () => events(pushkey).includes(others[1]!), 30_000);
  assert.deepEqual(events(pushkey), [first, others[1]]);
});

test('what was said just before a power cut is pushed after it', { skip }, async () => {
  const [alice, bob, room] = await pair(base);
  const pushkey = await pusher(bob);
  failing.add(pushkey);
  const event = await alice.send(room, 'before the cut');
  server.killWorkerd();
  failing.delete(pushkey);
  await server.recover();
  await eventually('the push', async () => events(pushkey).includes(event), 60_000);
});

test('a deleted or disabled pusher is silent', { skip }, async () => {
  const [alice, bob, room] = await pair(base);
  const [deleted, disabled, kept] = [await pusher(bob), await pusher(bob), await pusher(bob)];
  for (let twice = 0; twice < 2; twice += 1) {
    assert.equal((await set(bob, { pushkey: deleted, kind: null })).status, 200);
  }
  assert.equal((await set(bob, { pushkey: disabled, 'org.matrix.msc3881.enabled': false })).status, 200);
  await pushed(kept, await alice.send(room, 'hello'));
  assert.deepEqual([events(deleted), events(disabled)], [[], []]);
  assert.equal((await bob.get('/pushers')).pushers.length, 2);
});

test('what cannot be set is refused with its code', { skip }, async () => {
  const bob = await register(base);
  for (const key of ['app_id', 'pushkey', 'kind', 'lang', 'app_display_name', 'device_display_name', 'data']) {
    refused(await set(bob, { [key]: undefined }), 400, 'M_MISSING_PARAM');
  }
  const data = (address: string): Json => ({ data: { url: address } });
  for (const fields of [
    { kind: 'email' }, { kind: 1 }, { app_id: 'x'.repeat(65) }, { pushkey: 'x'.repeat(513) }, { append: 'yes' }, { enabled: 'yes' },
    data('https://example.org/'), data(`https://user@example.org${PATH}`), data(`ftp://example.org${PATH}`), data('nothing'),
  ] as Json[]) {
    refused(await set(bob, fields), 400, 'M_INVALID_PARAM');
  }
  assert.deepEqual(await bob.get('/pushers'), { pushers: [] });
});
