// What somebody who means harm tries against the provider and its pages. Every one of these is refused.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { before, test } from 'node:test';
import { ask, unique, type Json } from './support/client.ts';
import { API, Browser, device, guarded, pkce, type Page } from './support/pages.ts';
import { shared } from './support/server.ts';

const REDIRECT = 'https://app.client.example/callback';
const METADATA = {
  client_name: 'Client', client_uri: 'https://client.example/', redirect_uris: [REDIRECT],
  grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'], token_endpoint_auth_method: 'none',
};

let base: string;
let browser: Browser;
let client: string;
const password = 'correct horse battery';

const post = (path: string, body: URLSearchParams | string, headers: Record<string, string> = {}) =>
  fetch(base + path, { method: 'POST', body, headers, redirect: 'manual' });

async function register(changes: Json): Promise<{ status: number; json: Json }> {
  const answer = await post('/oauth2/register', JSON.stringify({ ...METADATA, ...changes }));
  return { status: answer.status, json: await answer.json() };
}

async function token(fields: Record<string, string>): Promise<{ status: number; json: Json }> {
  const answer = await post('/oauth2/token', new URLSearchParams({ client_id: client, ...fields }));
  return { status: answer.status, json: await answer.json() };
}

function query(changes: Record<string, string | undefined>, challenge = pkce().challenge): URLSearchParams {
  const fields: Record<string, string | undefined> = {
    client_id: client, redirect_uri: REDIRECT, response_type: 'code', response_mode: 'fragment', state: 'st',
    scope: `${API} ${device(unique('DEV'))}`, code_challenge: challenge, code_challenge_method: 'S256', ...changes,
  };
  return new URLSearchParams(Object.entries(fields).filter((pair): pair is [string, string] => pair[1] !== undefined));
}

/** A code and what belongs to it. */
async function code(): Promise<{ code: string; code_verifier: string; redirect_uri: string; grant_type: string }> {
  const { verifier, challenge } = pkce();
  const page = await browser.get(`/oauth2/authorize?${query({}, challenge)}`);
  const back = await browser.submit(page, '/oauth2/authorize', { decision: 'allow' });
  const answer = new URLSearchParams(back.headers.get('location')!.split('#')[1]);
  return { code: answer.get('code')!, code_verifier: verifier, redirect_uri: REDIRECT, grant_type: 'authorization_code' };
}

/** The device of a new session. */
async function signedIn(): Promise<{ device_id: string }> {
  return (await whoami((await token(await code())).json.access_token)).json;
}

const whoami = (token: string) => ask(base, 'GET', '/account/whoami', { token });

before(async () => {
  base = await shared();
  browser = new Browser(base);
  await browser.register(unique(), password);
  const registered = await register({});
  assert.equal(registered.status, 201);
  client = registered.json.client_id;
});

test('a redirect URI that is not the client\'s cannot be registered', async () => {
  const web = [
    'http://client.example/', 'https://evil.example/', 'https://evilclient.example/', 'https://client.example.evil.example/',
    'https://user:pass@client.example/', 'https://client.example/#x', 'javascript:alert(1)', 'data:text/html,x', 'http://localhost/',
    'example.client:/cb', 'https://client.example/\r\nx-evil: 1', '/callback', '', 'https://127.0.0.1/', 'https://client.example\\@evil.example/',
  ];
  for (const uri of web) {
    const answer = await register({ redirect_uris: [uri] });
    assert.deepEqual([answer.status, answer.json.error], [400, 'invalid_redirect_uri'], uri);
  }
  const native = [
    'javascript:alert(1)', 'vbscript:x', 'file:///etc/passwd', 'http://localhost:1234/', 'http://127.0.0.2/', 'http://evil.example/',
    'example.client://evil.example/', 'examplex:/cb', 'example.clientx:/cb', 'client:/cb', 'http://localhost.evil.example/', 'http://localhost@evil.example/',
  ];
  for (const uri of native) {
    const answer = await register({ application_type: 'native', redirect_uris: [uri] });
    assert.deepEqual([answer.status, answer.json.error], [400, 'invalid_redirect_uri'], uri);
  }
  for (const changes of [{ client_uri: 'javascript:alert(1)' }, { client_uri: 'http://client.example/' }, { client_uri: undefined }, { redirect_uris: 'x' }]) {
    assert.equal((await register(changes)).status, 400, JSON.stringify(changes));
  }
  assert.equal((await post('/oauth2/register', 'not json')).status, 400);
});

test('a request with another redirect URI or client never leads away', async () => {
  for (const changes of [
    { redirect_uri: 'https://evil.example/' }, { redirect_uri: `${REDIRECT}/..` }, { redirect_uri: `${REDIRECT}?x=y` },
    { redirect_uri: undefined }, { client_id: 'nobody' }, { client_id: undefined },
  ]) {
    const page = await browser.get(`/oauth2/authorize?${query(changes)}`);
    assert.equal(page.status, 400, JSON.stringify(changes));
    assert.ok(!page.html.includes('evil.example'), page.html);
  }
  const doubled = query({});
  doubled.append('redirect_uri', 'https://evil.example/');
  assert.equal((await browser.get(`/oauth2/authorize?${doubled}`)).status, 400);
});

test('without PKCE S256, or with a malformed request, nobody is asked, nor led away unasked', async () => {
  for (const [changes, error] of [
    [{ code_challenge: undefined }, 'invalid_request'], [{ code_challenge_method: undefined }, 'invalid_request'],
    [{ code_challenge_method: 'plain' }, 'invalid_request'], [{ code_challenge: 'short' }, 'invalid_request'],
    [{ response_type: 'token' }, 'unsupported_response_type'], [{ response_mode: 'form_post' }, 'invalid_request'],
    [{ scope: 'urn:matrix:client:api:*' }, 'invalid_scope'], [{ scope: undefined }, 'invalid_scope'],
    [{ request: 'x.y.z' }, 'invalid_request'], [{ request_uri: 'https://evil.example/' }, 'invalid_request'],
  ] as [Record<string, string | undefined>, string][]) {
    const page = await browser.get(`/oauth2/authorize?${query(changes)}`);
    assert.equal(page.status, 400, JSON.stringify(changes));
    assert.match(page.html, new RegExp(`error=${error}`), JSON.stringify(changes));
  }
});

test('a code works once: of fifty at the same time one gets tokens, and the replay ends them', async () => {
  const granted = await code();
  const answers = await Promise.all(Array.from({ length: 50 }, () => token(granted)));
  const good = answers.filter((answer) => answer.status === 200);
  assert.equal(good.length, 1);
  for (const answer of answers) assert.ok(answer.status === 200 || answer.json.error === 'invalid_grant', JSON.stringify(answer));
  assert.equal((await whoami(good[0].json.access_token)).status, 401);
  assert.equal((await token({ grant_type: 'refresh_token', refresh_token: good[0].json.refresh_token })).json.error, 'invalid_grant');
});

test('a code is of no use to another client, another place, or without its verifier', async () => {
  const granted = await code();
  const other = (await register({ client_name: 'Other' })).json.client_id;
  for (const changes of [
    { client_id: other }, { redirect_uri: 'https://app.client.example/other' }, { code_verifier: pkce().verifier },
    { code: `${granted.code}x` }, { code: 'nonsense' }, { code: granted.code.replace('tern_c_', 'tern_b_') },
  ]) {
    const answer = await token({ ...granted, ...changes });
    assert.deepEqual([answer.status, answer.json.error], [400, 'invalid_grant'], JSON.stringify(changes));
  }
  const { code_verifier: _, ...without } = granted;
  assert.equal((await token(without)).json.error, 'invalid_request');
  const { redirect_uri: __, ...nowhere } = granted;
  assert.equal((await token(nowhere)).json.error, 'invalid_request');
  assert.equal((await token({ ...granted, grant_type: 'password' })).json.error, 'unsupported_grant_type');
  const answer = await post('/oauth2/token', JSON.stringify(granted), { 'content-type': 'application/json' });
  assert.equal(answer.status, 400);
  assert.equal((await token(granted)).status, 200);
});

test('a refresh token belongs to its client, and ends the old access token', async () => {
  const first = (await token(await code())).json;
  const other = (await register({ client_name: 'Other' })).json.client_id;
  const refresh = { grant_type: 'refresh_token', refresh_token: first.refresh_token };
  assert.equal((await token({ ...refresh, client_id: other })).json.error, 'invalid_grant');
  assert.equal((await ask(base, 'POST', '/refresh', { body: { refresh_token: first.refresh_token } })).status, 401);
  const second = (await token(refresh)).json;
  assert.equal((await whoami(second.access_token)).status, 200);
  const old = await whoami(first.access_token);
  assert.equal(old.status, 401);
  const third = (await token({ ...refresh, refresh_token: second.refresh_token })).json;
  assert.equal((await token(refresh)).json.error, 'invalid_grant');
  assert.equal((await whoami(third.access_token)).status, 401, 'reuse ends the family');
});

test('a revoked access token takes its refresh token along', async () => {
  const { access_token, refresh_token } = (await token(await code())).json;
  assert.equal((await post('/oauth2/revoke', new URLSearchParams({ token: access_token, client_id: client }))).status, 200);
  const refused = await whoami(access_token);
  assert.deepEqual([refused.status, refused.json.errcode, refused.json.soft_logout], [401, 'M_UNKNOWN_TOKEN', false]);
  assert.equal((await token({ grant_type: 'refresh_token', refresh_token })).json.error, 'invalid_grant');
});

test('tokens that are forged, altered, or of another kind are refused', async () => {
  const { access_token } = (await token(await code())).json;
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const sign = (message: string, key: string) => createHmac('sha256', key).update(message).digest('base64url');
  const bytes = Buffer.from(access_token.slice('ta_'.length), 'base64url');
  const altered = (place: number): string => {
    const other = Buffer.from(bytes);
    other[place]! ^= 1;
    return `ta_${other.toString('base64url')}`;
  };
  // What builds before gave out were JSON Web Tokens.
  const claims = encode({ sub: '@admin:localhost', dev: 'DEVICE', sid: 'session', iat: 1_700_000_000 });
  const web = (header: Json, key: string): string => {
    const message = `${encode(header)}.${claims}`;
    return `${message}.${sign(message, key)}`;
  };
  for (const forged of [
    ...[...bytes.keys()].map(altered), `ta_${bytes.subarray(0, -16).toString('base64url')}`, `ta_${bytes.subarray(0, -1).toString('base64url')}`,
    access_token.slice('ta_'.length), `${access_token}AA`, `ta_`, `ta_${'A'.repeat(22)}`, `${encode({ alg: 'none' })}.${claims}.`,
    web({ alg: 'HS256' }, ''), web({ alg: 'HS256', kid: 'none' }, ''), web({ alg: 'RS256' }, 'x'), 'x.y.z', 'x'.repeat(9000),
  ]) {
    assert.equal((await whoami(forged)).status, 401, forged.slice(0, 120));
  }
  assert.equal((await whoami(access_token)).status, 200);
});

test('introspection is for trusted clients', async () => {
  const forged = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{"sub":"@admin:localhost"}').toString('base64url')}.`;
  const body = new URLSearchParams({ token: forged, client_id: client });
  const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` });
  for (const headers of [{}, basic(`${client}:`), basic(`${client}:x`), basic(':'), basic('nobody:nothing')]) {
    const answer = await post('/oauth2/introspect', body, headers);
    assert.deepEqual([answer.status, ((await answer.json()) as Json).error], [401, 'invalid_client']);
  }
});

const SSO = '/account/sso?redirectUrl=https%3A%2F%2Fapp.example%2F';
const long = 'another long one';
/** A page, the form on it, and what would be harmful to send. */
const FORMS: [string, string, Record<string, string>][] = [
  ['/account/password', '/account/password', { old: password, password: long, repeat: long }],
  ['/account', '/account/profile', { name: 'Eve' }],
  ['/account/deactivate', '/account/deactivate', { password }],
  ['/account/reset', '/account/reset', {}],
  ['/account', '/account/sign-out', {}],
  [SSO, '/account/sso', {}],
  ['/account/mail?sid=x&token=y', '/account/mail', {}],
  ['/account/recover', '/account/recover', { email: 'a@example.org' }],
  ['/account/recover?sid=x&token=y', '/account/recover/password', { password: long, repeat: long }],
];

/** The page of a stage of interactive authentication, for a session that is open. */
async function fallback(stage: string): Promise<string> {
  const challenge = await ask(base, 'POST', '/register', { body: { username: unique(), password } });
  return `/_matrix/client/v3/auth/${stage}/fallback/web?session=${challenge.json.session}`;
}
const STAGES = ['m.login.sso', 'm.login.terms', 'm.login.registration_token'];

test('a form of another site, or of another visitor, does nothing', async () => {
  const stranger = new Browser(base);
  const theirs = /name="form_token" value="([^"]*)"/.exec((await stranger.get('/account/sign-in')).html)![1];
  const id = (await signedIn()).device_id;
  const session = `/account/session/end?device_id=${id}`;
  const forms = [...FORMS, [session, '/account/session/end', { device_id: id }]] as typeof FORMS;
  for (const stage of STAGES) forms.push([await fallback(stage), `/_matrix/client/v3/auth/${stage}/fallback/web`, { token: 'x' }]);
  for (const [page, action, fields] of forms) {
    const shown = await browser.get(page);
    for (const form_token of ['', 'x', theirs]) {
      assert.equal((await browser.submit(shown, action, { ...fields, form_token })).status, 403, `${action} with "${form_token}"`);
    }
    const elsewhere = await browser.submit(shown, action, fields, { 'sec-fetch-site': 'cross-site' });
    assert.equal(elsewhere.status, 403, action);
    assert.equal(elsewhere.headers.get('location'), null, action);
  }
  assert.match((await browser.get(session)).html, new RegExp(id), 'the session is still there');
  const consent = await browser.get(`/oauth2/authorize?${query({})}`);
  const forged = await browser.submit(consent, '/oauth2/authorize', { decision: 'allow', form_token: theirs });
  assert.equal(forged.status, 403);
  assert.equal(forged.headers.get('location'), null);
  // A visitor without a cookie has no form to send either.
  for (const [action, fields] of [
    ['/account/sign-in', { username: 'x', password }], ['/account/register', { username: unique(), password, repeat: password }],
    ['/account/upstream/link', { provider: 'x' }], ['/account/upstream/name', { state: 'x', username: unique() }],
    ['/account/register/mail', { email: 'a@example.org' }], ['/device', { user_code: 'BBBB-BBBB', decision: 'allow' }],
  ] as [string, Record<string, string>][]) {
    assert.equal((await post(action, new URLSearchParams({ ...fields, form_token: theirs }))).status, 403, action);
  }
});

test('nobody is fixed to a session that somebody else prepared', async () => {
  const name = unique();
  await new Browser(base).register(name, password);
  const victim = new Browser(base);
  const page = await victim.get('/account/sign-in');
  const before = [...victim.cookies.values()][0];
  await victim.submit(page, '/account/sign-in', { username: name, password });
  assert.notEqual([...victim.cookies.values()][0], before);
  const attacker = new Browser(base);
  attacker.cookies.set([...victim.cookies.keys()][0], before);
  assert.match((await attacker.get('/account')).url, /\/account\/sign-in/);
});

test('signing in leads to our own pages only', async () => {
  const name = unique();
  await new Browser(base).register(name, password);
  for (const target of ['https://evil.example/', '//evil.example/', '/\\evil.example', '/account@evil.example', 'javascript:alert(1)', '/account%0d%0ax: y']) {
    const page = await browser.get(`/account/sign-in?continue=${encodeURIComponent(target)}`);
    assert.equal(page.status, 200, target);
    assert.equal(new URL(page.url).pathname, '/account', target);
    const visitor = new Browser(base);
    const forms: [string, string, Record<string, string>][] = [
      ['/account/sign-in', '/account/sign-in', { username: name, password }], ['/account', '/account/sign-out', {}],
      ['/account/register', '/account/register', { username: unique(), password, repeat: password }],
    ];
    for (const [where, action, fields] of forms) {
      const sent = await visitor.submit(await visitor.get(where), action, { ...fields, continue: target });
      assert.ok(sent.url.startsWith(`${base}/account`), `${action} leads to ${sent.headers.get('location') ?? sent.url}`);
      assert.ok(!decodeURIComponent(sent.url).includes('evil') && !sent.html.includes('evil.example'), sent.url);
    }
  }
});

test('every page forbids frames, scripts and caching', async () => {
  const stranger = new Browser(base);
  const id = (await signedIn()).device_id;
  const open = ['/account/sign-in', '/account/register', '/oauth2/authorize?client_id=x', '/account/ended',
    '/account/recover', '/account/upstream/callback?state=x', '/account/sso?redirectUrl=javascript:x',
    await fallback('m.login.terms'), await fallback('m.login.registration_token'), (await fallback('m.login.terms')) + 'x'];
  const own = ['/account', '/account/password', '/device', '/account/deactivate', '/account/reset', SSO, `/account/session?device_id=${id}`,
    `/account/session/end?device_id=${id}`, `/oauth2/authorize?${query({})}`, await fallback('m.login.sso')];
  for (const path of open) guarded(await stranger.get(path));
  for (const path of own) {
    const page = await browser.get(path);
    assert.equal(page.status, 200, path);
    guarded(page);
  }
  const first = await fetch(`${base}/account/sign-in`, { headers: { origin: 'https://evil.example' } });
  assert.equal(first.headers.get('access-control-allow-origin'), null);
  assert.match(first.headers.get('set-cookie')!, /; Path=\/; HttpOnly; SameSite=Lax; Max-Age=\d+/);
});

test('the pages with scripts run those alone', async () => {
  const done = await browser.submit(await browser.get(await fallback('m.login.sso')), '/_matrix/client/v3/auth/m.login.sso/fallback/web');
  const pages: [Page, number][] = [[done, 1]];
  for (const [path, count] of [['/account/mail?sid=x', 1], ['/account/recover?sid=x', 2], ['/account/register?sid=x', 2], ['/account/password', 1]] as const) {
    pages.push([await browser.get(path), count]);
  }
  for (const [page, count] of pages) {
    guarded(page);
    assert.equal(page.html.split('<script>').length - 1, count, page.url);
  }
});

test('what people write is shown, not run, and splits no header', async () => {
  const evil = '"><img src=x onerror=alert(1)>';
  const page = await new Browser(base).get(`/account/sign-in?username=${encodeURIComponent(evil)}&continue=${encodeURIComponent(evil)}`);
  assert.ok(!page.html.includes('<img'));
  for (const path of [
    `/account/mail?sid=${encodeURIComponent(evil)}&token=${encodeURIComponent(evil)}`,
    `/account/recover?sid=${encodeURIComponent(evil)}&token=${encodeURIComponent(evil)}&client_secret=${encodeURIComponent(evil)}`,
    `/account/recover?continue=${encodeURIComponent(evil)}`, `/account/register?token=${encodeURIComponent(evil)}`,
    `/account/sso?redirectUrl=${encodeURIComponent(`https://app.example/${evil}`)}`, `/device?user_code=${encodeURIComponent(evil)}`,
    `/_matrix/client/v3/auth/m.login.terms/fallback/web?session=${encodeURIComponent(evil)}`,
  ]) assert.ok(!(await browser.get(path)).html.includes('<img'), path);
  const named = (await register({ client_name: '<b>Bank</b>\u202e' })).json.client_id;
  const consent = await browser.get(`/oauth2/authorize?${query({ client_id: named, state: '"><b>\r\nx-evil: 1' })}`);
  assert.ok(!consent.html.includes('<b>') && !consent.html.includes('\u202e'));
  const back = await browser.submit(consent, '/oauth2/authorize', { decision: 'deny' });
  assert.equal(back.headers.get('x-evil'), null);
  assert.equal(new URLSearchParams(back.headers.get('location')!.split('#')[1]).get('state'), '"><b>\r\nx-evil: 1');
});

test('whether somebody has an account is not told', async () => {
  const name = unique();
  await new Browser(base).register(name, password);
  const strip = (page: Page) => page.html.replace(/value="[^"]*"/g, '').replace(/continue=\S*"/g, '');
  const [there, nobody] = [await new Browser(base).signIn(name, 'wrong'), await new Browser(base).signIn(unique(), 'wrong')];
  assert.deepEqual([there.status, nobody.status], [403, 403]);
  assert.equal(strip(there), strip(nobody));
});

test('a device code and its user code cannot be guessed into one another', async () => {
  const native = (await register({ grant_types: ['urn:ietf:params:oauth:grant-type:device_code'] })).json.client_id;
  const ask = async (client_id: string) => (await post('/oauth2/device', new URLSearchParams({ client_id, scope: `${API} ${device(unique('D'))}` }))).json() as Json;
  assert.equal((await ask(client)).error, 'unauthorized_client');
  assert.equal((await ask('nobody')).error, 'invalid_client');
  const asked = await ask(native);
  const grant = (device_code: string, client_id = native) => token({ grant_type: 'urn:ietf:params:oauth:grant-type:device_code', device_code, client_id });
  const letters = asked.user_code.replace('-', '');
  assert.equal((await grant(`tern_d_${letters}.${'A'.repeat(43)}`)).json.error, 'invalid_grant');
  assert.equal((await grant(asked.device_code, client)).json.error, 'invalid_grant');
  assert.equal((await grant('nonsense')).json.error, 'invalid_grant');
  assert.equal((await browser.get('/device?user_code=BBBB-BBBB')).status, 404);
});
