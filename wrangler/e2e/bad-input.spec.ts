// Bad input: every named endpoint refuses with the status and errcode of the spec, never a 5xx, never a hang.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, at, okay, people, refused, register, text, unique, type Answer, type Ask } from './support/client.ts';
import { ENDPOINTS, type Endpoint, type Scene } from './support/endpoints.ts';
import { shared } from './support/server.ts';
import { Sliding, SLIDING } from './support/sync.ts';

const base = await shared();

async function stage(): Promise<Scene> {
  const [user, guest, stranger] = await people(base, 3);
  const room = await user.createRoom({ preset: 'private_chat' });
  return { user, guest, stranger, room, event: await user.send(room, 'hello') };
}

type Expected = [status: number, errcode: string];
/** Variants of one request by what is bad about each. */
type Requests = Record<string, Ask & { method?: string }>;

/** Calls each endpoint, collects what does not match, and fails with the whole list. */
async function all(endpoints: Endpoint[], requests: (endpoint: Endpoint, scene: Scene) => Requests, ...expected: Expected[]): Promise<void> {
  const scene = await stage();
  const wrong: string[] = [];
  let tried = 0;
  for (const endpoint of endpoints) {
    for (const [kind, { method, ...options }] of Object.entries(requests(endpoint, scene))) {
      const name = `${method ?? endpoint.method} ${endpoint.path(scene)} [${kind}]`;
      tried += 1;
      const answer = await ask(base, method ?? endpoint.method, endpoint.path(scene), { within: 15_000, ...options })
        .catch((error: Error) => error);
      const matches = !(answer instanceof Error) && typeof answer.json?.error === 'string'
        && expected.some(([status, errcode]) => answer.status === status && answer.json.errcode === errcode);
      if (!matches) wrong.push(`${name}: ${answer instanceof Error ? answer.message : `${answer.status} ${answer.text.slice(0, 120)}`}`);
    }
  }
  assert.ok(tried > 0, 'nothing was tried');
  const wanted = expected.map((pair) => pair.join(' ')).join(' or ');
  assert.equal(wrong.length, 0, `${wrong.length} of ${tried} did not answer ${wanted}:\n  ${wrong.join('\n  ')}`);
}

const authed = ENDPOINTS.filter(({ auth }) => auth !== false);
const taking = ENDPOINTS.filter(({ body }) => body);
const token = (endpoint: Endpoint, scene: Scene) => (endpoint.auth === false ? undefined : scene.user.token);

test('without a token: 401 M_MISSING_TOKEN', () => all(authed, (endpoint, scene) => ({
  'no header': { body: endpoint.body?.(scene) },
  'basic auth': { body: endpoint.body?.(scene), headers: { authorization: 'Basic eDp5' } },
}), [401, 'M_MISSING_TOKEN']));

test('with an unknown token: 401 M_UNKNOWN_TOKEN', () => all(authed, (endpoint, scene) => ({
  garbage: { body: endpoint.body?.(scene), token: 'nonsense' },
  forged: { body: endpoint.body?.(scene), token: tampered(scene.user.token) },
}), [401, 'M_UNKNOWN_TOKEN']));

/** The token with one character in its middle changed: right form, wrong content or signature. */
function tampered(good: string): string {
  const middle = Math.floor(good.length / 2);
  return good.slice(0, middle) + (good[middle] === 'A' ? 'B' : 'A') + good.slice(middle + 1);
}

test('a body that is not JSON: 400 M_NOT_JSON', () => all(taking, (endpoint, scene) => ({
  truncated: { raw: '{"a":', token: token(endpoint, scene) },
  words: { raw: 'hello', token: token(endpoint, scene) },
  'not UTF-8': { raw: new Uint8Array([0x7b, 0x22, 0x61, 0x22, 0x3a, 0x22, 0xff, 0xfe, 0x22, 0x7d]), token: token(endpoint, scene) },
}), [400, 'M_NOT_JSON']));

test('a missing body where one is needed: 400', () => all(
  taking.filter(({ bare, method }) => !bare && method !== 'DELETE'),
  (endpoint, scene) => ({ empty: { raw: '', token: token(endpoint, scene) } }),
  [400, 'M_NOT_JSON'], [400, 'M_BAD_JSON'], [400, 'M_MISSING_PARAM']));

test('a body that is JSON but no object: 400 M_BAD_JSON', () => all(taking, (endpoint, scene) => ({
  array: { raw: '[]', token: token(endpoint, scene) },
  string: { raw: '"x"', token: token(endpoint, scene) },
  ...(endpoint.bare ? {} : { null: { raw: 'null', token: token(endpoint, scene) } }),
}), [400, 'M_BAD_JSON']));

test('a field of the wrong type: 400 M_BAD_JSON', () => all(taking.filter(({ wrong }) => wrong), (endpoint, scene) => {
  const fields = Object.entries(endpoint.wrong!);
  return Object.fromEntries(fields.map(([field, value]) =>
    [`${field}: ${JSON.stringify(value)}`, { body: { ...endpoint.body!(scene), [field]: value }, token: token(endpoint, scene) }]));
}, [400, 'M_BAD_JSON']));

test('JSON nested 3,000 deep is refused or read, in order', async () => {
  const scene = await stage();
  for (const endpoint of taking) {
    const raw = '{"a":'.repeat(3_000) + '1' + '}'.repeat(3_000);
    const answer = await ask(base, endpoint.method, endpoint.path(scene), { raw, token: token(endpoint, scene), within: 15_000 });
    assert.ok(answer.status < 500, `${answer.what}: ${answer.status} ${answer.text}`);
  }
});

test('a room of others: 403 M_FORBIDDEN', () => all(ENDPOINTS.filter(({ members }) => members), (endpoint, scene) => ({
  stranger: { body: endpoint.body?.(scene), token: scene.stranger.token },
}), [403, 'M_FORBIDDEN']));

test('a room that does not exist: 403 or 404, never 5xx', async () => {
  const scene = await stage();
  const nowhere = { ...scene, room: `!nowhere:${scene.user.server}` };
  for (const endpoint of ENDPOINTS.filter(({ members }) => members)) {
    const answer = await ask(base, endpoint.method, endpoint.path(nowhere), { body: endpoint.body?.(scene), token: scene.user.token });
    assert.ok([403, 404].includes(answer.status) && answer.json?.errcode, `${answer.what}: ${answer.status} ${answer.text}`);
  }
});

test('an unknown event: 404 M_NOT_FOUND', async () => {
  const scene = await stage();
  refused(await scene.user.call('GET', at`/rooms/${scene.room}/event/${'$none'}`), 404, 'M_NOT_FOUND');
  refused(await scene.stranger.call('GET', at`/rooms/${scene.room}/event/${scene.event}`), 404, 'M_NOT_FOUND');
});

test('the account, data, filters, typing and profile of others: 403 M_FORBIDDEN', async () => {
  const { user, guest, room } = await stage();
  for (const [method, path, body] of [
    ['PUT', at`/user/${guest.id}/account_data/org.example.x`, {}], ['GET', at`/user/${guest.id}/account_data/org.example.x`, undefined],
    ['PUT', at`/user/${guest.id}/rooms/${room}/account_data/org.example.x`, {}], ['GET', at`/user/${guest.id}/rooms/${room}/tags`, undefined],
    ['PUT', at`/user/${guest.id}/rooms/${room}/tags/u.x`, {}], ['POST', at`/user/${guest.id}/filter`, {}],
    ['GET', at`/user/${guest.id}/filter/0`, undefined], ['PUT', at`/rooms/${room}/typing/${guest.id}`, { typing: true }],
    ['PUT', at`/profile/${guest.id}/displayname`, { displayname: 'x' }],
  ] as const) refused(await user.call(method, path, { body }), 403, 'M_FORBIDDEN');
});

test('an unknown path: 404 M_UNRECOGNIZED, whatever the method', async () => {
  const { user, room } = await stage();
  const unknown = ['/_matrix/client/v3/nothing', '/_matrix/client/v99/sync', '/_matrix/client/v3/rooms', '/_matrix/nothing',
    at`/_matrix/client/v3/rooms/${room}/nothing`, '/_matrix/client/v3/sync/nothing', '/_matrix/client/unstable/org.example/x'];
  for (const path of unknown) {
    for (const method of ['GET', 'POST', 'PUT', 'DELETE']) {
      refused(await user.call(method, path, method === 'GET' ? {} : { body: {} }), 404, 'M_UNRECOGNIZED');
    }
  }
});

/** Paths that have further methods, by this table, by a later spec or by a proposal. */
const MANY_METHODS = /account_data|pushrules|profile|devices\/|tags\/|filter/;

test('a wrong method: 405 M_UNRECOGNIZED', () => all(ENDPOINTS, (endpoint, scene) => {
  const path = endpoint.path(scene).split('?')[0];
  const known = ENDPOINTS.filter((other) => other.path(scene).split('?')[0] === path).map(({ method }) => method);
  const wrong = MANY_METHODS.test(path) ? ['PATCH'] : ['PATCH', 'POST', 'DELETE'].filter((method) => !known.includes(method));
  return Object.fromEntries(wrong.map((method) => [method, { method, body: {}, token: scene.user.token }]));
}, [405, 'M_UNRECOGNIZED']));

test('an event of more than 65,536 bytes: 413 M_TOO_LARGE, and one just below passes', async () => {
  const { user, room } = await stage();
  const put = (path: string, body: unknown) => user.call('PUT', path, { body });
  const message = () => at`/rooms/${room}/send/m.room.message/${unique()}`;
  refused(await put(message(), text('x'.repeat(70_000))), 413, 'M_TOO_LARGE');
  refused(await put(message(), text('x'.repeat(65_500))), 413, 'M_TOO_LARGE');
  refused(await put(message(), text('\u{1F426}'.repeat(17_000))), 413, 'M_TOO_LARGE');
  refused(await put(at`/rooms/${room}/state/m.room.topic/`, { topic: 'x'.repeat(70_000) }), 413, 'M_TOO_LARGE');
  okay(await put(message(), text('x'.repeat(60_000))));
});

test('a type or state key of more than 255 bytes: 400 or 413', async () => {
  const { user, room } = await stage();
  for (const path of [at`/rooms/${room}/send/${'t'.repeat(256)}/${unique()}`, at`/rooms/${room}/state/org.example.kind/${'k'.repeat(256)}`,
    at`/rooms/${room}/state/org.example.kind/${'\u00e9'.repeat(128)}`]) {
    const answer = await user.call('PUT', path, { body: {} });
    assert.ok([400, 413].includes(answer.status) && answer.json?.errcode, `${answer.what}: ${answer.status} ${answer.text}`);
  }
});

test('a body beyond every limit: 413 M_TOO_LARGE', async () => {
  const user = await register(base);
  const raw = JSON.stringify({ name: 'x'.repeat(24 * 1024 * 1024) });
  refused(await user.call('POST', '/createRoom', { raw }), 413, 'M_TOO_LARGE');
  refused(await user.call('PUT', at`/user/${user.id}/account_data/org.example.big`, { raw }), 413, 'M_TOO_LARGE');
});

test('values that canonical JSON does not have: 400 M_BAD_JSON', async () => {
  const { user, room } = await stage();
  for (const value of ['1.5', '9007199254740992', '-9007199254740992', '[0.1]', '{"a":{"b":2.5}}']) {
    for (const path of [at`/rooms/${room}/send/org.example.v/${unique()}`, at`/rooms/${room}/state/org.example.v/`]) {
      refused(await user.call('PUT', path, { raw: `{"v":${value}}` }), 400, 'M_BAD_JSON');
    }
  }
});

test('power levels and memberships of the wrong shape: 400', async () => {
  const { user, room } = await stage();
  for (const [type, key, content] of [
    ['m.room.power_levels', '', { users_default: 'x' }], ['m.room.power_levels', '', { users: { nobody: 'x' } }],
    ['m.room.member', user.id, { membership: 5 }], ['m.room.member', user.id, {}],
  ] as const) {
    const answer = await user.call('PUT', at`/rooms/${room}/state/${type}/${key}`, { body: content });
    assert.ok([400, 403].includes(answer.status) && answer.json.errcode, `${answer.status} ${answer.text}`);
  }
});

test('query parameters of the wrong shape: 400', async () => {
  const { user, room } = await stage();
  for (const query of [{ dir: 'x' }, { dir: 'b', limit: 'ten' }, { dir: 'b', from: 'garbage' }, { dir: 'b', filter: '{' }, {}]) {
    badly(await user.call('GET', at`/rooms/${room}/messages`, { query }));
  }
  for (const query of [{ timeout: 'x' }, { since: 'garbage' }, { filter: '{' }, { full_state: 'maybe' }]) {
    badly(await user.call('GET', '/sync', { query, within: 10_000 }));
  }
  badly(await user.call('POST', SLIDING.unstable, { query: { timeout: 'x' }, body: {} }));
  for (const path of ['/rooms/not-a-room/messages?dir=b', '/profile/not-a-user', '/rooms/%ff%fe/state', '/join/nobody']) {
    const answer = await user.call(path.startsWith('/join') ? 'POST' : 'GET', path, {});
    assert.ok(answer.status >= 400 && answer.status < 500 && answer.json?.errcode, `${answer.what}: ${answer.status} ${answer.text}`);
  }
});

function badly(answer: Answer): void {
  assert.ok(answer.status === 400 && answer.json?.errcode, `${answer.what}: ${answer.status} ${answer.text.slice(0, 200)}`);
}

test('an unknown pos: 400 M_UNKNOWN_POS', async () => {
  const user = await register(base);
  for (const shape of ['unstable', 'stable'] as const) {
    refused(await new Sliding(user, { shape }).request('99999/zzz', 0), 400, 'M_UNKNOWN_POS');
  }
});

test('a name that is taken, or can be none: M_USER_IN_USE, M_INVALID_USERNAME', async () => {
  const taken = (await register(base)).name;
  const attempt = (username: string) =>
    ask(base, 'POST', '/register', { body: { username, password: unique('Pw-'), auth: { type: 'm.login.dummy' } } });
  const available = (username: string) => ask(base, 'GET', '/register/available', { query: { username } });
  refused(await attempt(taken), 400, 'M_USER_IN_USE');
  refused(await available(taken), 400, 'M_USER_IN_USE');
  for (const username of ['has space', 'snow\u2603', '@me:here', 'x'.repeat(250)]) {
    refused(await attempt(username), 400, 'M_INVALID_USERNAME');
    refused(await available(username), 400, 'M_INVALID_USERNAME');
  }
});

test('rooms that cannot be: M_ROOM_IN_USE, M_UNSUPPORTED_ROOM_VERSION', async () => {
  const { user } = await stage();
  const create = (body: unknown) => user.call('POST', '/createRoom', { body });
  const room_alias_name = unique('alias');
  okay(await create({ room_alias_name }));
  refused(await create({ room_alias_name }), 400, 'M_ROOM_IN_USE');
  for (const room_version of ['99', 'org.example.odd', '']) refused(await create({ room_version }), 400, 'M_UNSUPPORTED_ROOM_VERSION');
  for (const body of [{ preset: 'odd' }, { visibility: 'odd' }, { invite: ['nobody'] }, { initial_state: [{ content: {} }] }]) {
    badly(await create(body));
  }
});

test('a repeated transaction id is the same event, even with another body', async () => {
  const [alice, bob] = [await register(base), await register(base)];
  const room = await alice.createRoom();
  await bob.join(room);
  const first = await alice.send(room, 'one', 'txn');
  assert.equal(await alice.send(room, 'two', 'txn'), first);
  assert.notEqual(await bob.send(room, 'three', 'txn'), first, 'transaction ids belong to a device');
  assert.notEqual(await (await alice.login()).send(room, 'four', 'txn'), first);
});
