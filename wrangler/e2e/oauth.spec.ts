// The OAuth 2.0 provider, by a generic client library that knows nothing of Matrix, and by hand where that library asks less.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import * as oauth from 'openid-client';
import { ask, okay, unique, User, type Json } from './support/client.ts';
import { CrossSigning, publish } from './support/keys.ts';
import { API, Browser, device, pkce } from './support/pages.ts';
import { adminToken, shared } from './support/server.ts';

const REDIRECT = 'http://127.0.0.1:4321/callback';
const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
const METADATA = {
  client_name: 'Generic client',
  client_uri: 'https://client.example/',
  application_type: 'native',
  redirect_uris: ['http://127.0.0.1/callback', 'example.client:/callback'],
  grant_types: ['authorization_code', 'refresh_token', DEVICE_GRANT],
  response_types: ['code'],
  token_endpoint_auth_method: 'none',
};

let base: string;
let config: oauth.Configuration;
let browser: Browser;
let user: string;
const password = 'correct horse battery';

before(async () => {
  base = await shared();
  user = unique();
  browser = new Browser(base);
  const page = await browser.register(user, password);
  assert.equal(page.status, 200, page.html.slice(-800));
  config = await oauth.dynamicClientRegistration(new URL(base), METADATA, oauth.None(), {
    algorithm: 'oauth2', execute: [oauth.allowInsecureRequests],
  });
});

/** Signs the generic client in as a device; answers with its tokens. */
async function signIn(id: string, extra: Record<string, string> = {}): Promise<oauth.TokenEndpointResponse> {
  const verifier = oauth.randomPKCECodeVerifier();
  const state = oauth.randomState();
  const address = oauth.buildAuthorizationUrl(config, {
    redirect_uri: REDIRECT, scope: `${API} ${device(id)}`, state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', ...extra,
  });
  const page = await browser.get(address.href);
  const back = await browser.submit(page, '/oauth2/authorize', { decision: 'allow' });
  const callback = new URL(back.headers.get('location')!.replace('#', '?'));
  return oauth.authorizationCodeGrant(config, callback, { pkceCodeVerifier: verifier, expectedState: state });
}

const whoami = (token: string) => ask(base, 'GET', '/account/whoami', { token });

test('the metadata names everything, at its old and new places', async () => {
  const stable = okay(await ask(base, 'GET', '/_matrix/client/v1/auth_metadata'));
  assert.deepEqual(okay(await ask(base, 'GET', '/_matrix/client/unstable/org.matrix.msc2965/auth_metadata')), stable);
  assert.deepEqual(okay(await ask(base, 'GET', '/.well-known/oauth-authorization-server')), stable);
  assert.equal(stable.issuer, `${base}/`);
  assert.deepEqual(stable.code_challenge_methods_supported, ['S256']);
  assert.deepEqual(stable.response_modes_supported, ['query', 'fragment']);
  assert.ok(stable.prompt_values_supported.includes('create'));
  for (const [name, value] of Object.entries(stable)) {
    if (name.endsWith('_endpoint') || name === 'jwks_uri') assert.ok((value as string).startsWith(`${base}/oauth2/`), name);
  }
});

test('the same client registers twice and is one client', async () => {
  const register = () => fetch(`${base}/oauth2/register`, { method: 'POST', body: JSON.stringify(METADATA) });
  const answers = await Promise.all([register(), register()].map(async (answer) => (await answer).json() as Json));
  assert.equal(answers[0]?.client_id, answers[1]?.client_id);
});

test('a generic client signs in, uses the API, refreshes and signs out', async () => {
  const id = unique('DEV');
  const tokens = await signIn(id);
  assert.equal(tokens.token_type, 'bearer');
  assert.equal(tokens.scope, `${API} ${device(id)}`);
  const who = okay(await whoami(tokens.access_token));
  assert.equal(who.device_id, id);
  assert.ok(who.user_id.startsWith(`@${user}:`));

  const fresh = await oauth.refreshTokenGrant(config, tokens.refresh_token!);
  assert.notEqual(fresh.access_token, tokens.access_token);
  okay(await whoami(fresh.access_token));

  await oauth.tokenRevocation(config, fresh.refresh_token!);
  const refused = await whoami(fresh.access_token);
  assert.equal(refused.status, 401);
  assert.equal(refused.json.soft_logout, false);
  await oauth.tokenRevocation(config, fresh.refresh_token!);
});

test('an answer in the fragment, and a new account on the way', async () => {
  const visitor = new Browser(base);
  const { verifier, challenge } = pkce();
  const id = unique('DEV');
  const query = new URLSearchParams({
    client_id: config.clientMetadata().client_id, redirect_uri: 'example.client:/callback', response_type: 'code', response_mode: 'fragment',
    scope: `${API} ${device(id)}`, state: 'a b&c', code_challenge: challenge, code_challenge_method: 'S256', prompt: 'create',
  });
  const form = await visitor.get(`/oauth2/authorize?${query}`);
  assert.match(form.url, /\/account\/register\?/);
  const name = unique();
  const consent = await visitor.submit(form, '/account/register', { username: name, password, repeat: password });
  assert.match(consent.html, new RegExp(`@${name}:`));
  const back = (await visitor.submit(consent, '/oauth2/authorize', { decision: 'allow' })).headers.get('location')!;
  assert.ok(back.startsWith('example.client:/callback#code='), back);
  const answer = new URLSearchParams(back.split('#')[1]);
  assert.equal(answer.get('state'), 'a b&c');
  assert.equal(answer.get('iss'), `${base}/`);
  const token = await fetch(`${base}/oauth2/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code', client_id: config.clientMetadata().client_id, code: answer.get('code')!,
      redirect_uri: 'example.client:/callback', code_verifier: verifier,
    }),
  });
  assert.equal(token.status, 200);
  assert.equal(token.headers.get('cache-control'), 'no-store');
  const tokens: Json = await token.json();
  assert.equal(okay(await whoami(tokens.access_token)).user_id.split(':')[0], `@${name}`);
});

test('somebody who says no is sent back with that', async () => {
  const { challenge } = pkce();
  const address = oauth.buildAuthorizationUrl(config, {
    redirect_uri: REDIRECT, scope: `${API} ${device('NO')}`, state: 's', code_challenge: challenge, code_challenge_method: 'S256',
  });
  const back = await browser.submit(await browser.get(address.href), '/oauth2/authorize', { decision: 'deny' });
  const answer = new URL(back.headers.get('location')!).searchParams;
  assert.equal(answer.get('error'), 'access_denied');
  assert.equal(answer.get('state'), 's');
});

test('a repeated refresh gets the same pair, an old one ends the session', async () => {
  const first = await signIn(unique('DEV'));
  const [one, two] = await Promise.all([0, 1].map(() => oauth.refreshTokenGrant(config, first.refresh_token!)));
  assert.equal(one.refresh_token, two.refresh_token);
  assert.equal(one.access_token, two.access_token);
  await oauth.refreshTokenGrant(config, one.refresh_token!);
  await assert.rejects(oauth.refreshTokenGrant(config, first.refresh_token!), { error: 'invalid_grant' });
  await assert.rejects(oauth.refreshTokenGrant(config, one.refresh_token!), { error: 'invalid_grant' });
});

test('a device without a browser is let in with a code', async () => {
  const id = unique('DEV');
  const asked = await oauth.initiateDeviceAuthorization(config, { scope: `${API} ${device(id)}` });
  assert.match(asked.user_code, /^[B-Z]{4}-[B-Z]{4}$/);
  const waiting = await fetch(`${base}/oauth2/token`, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: DEVICE_GRANT, device_code: asked.device_code, client_id: config.clientMetadata().client_id }),
  });
  assert.deepEqual([waiting.status, ((await waiting.json()) as Json).error], [400, 'authorization_pending']);
  const entry = await browser.get(asked.verification_uri);
  const consent = await browser.submit(entry, '/device', { user_code: asked.user_code.toLowerCase().replace('-', ' ') });
  assert.match(consent.html, /Generic client/);
  const done = await browser.submit(consent, '/device', { decision: 'allow' });
  assert.match(done.html, /role="status"/);
  const tokens = await oauth.pollDeviceAuthorizationGrant(config, { ...asked, interval: 0.05 });
  assert.equal(okay(await whoami(tokens.access_token)).device_id, id);
  await assert.rejects(oauth.pollDeviceAuthorizationGrant(config, { ...asked, interval: 0.05 }), { error: 'invalid_grant' });
});

test('a device that is turned away learns it', async () => {
  const asked = await oauth.initiateDeviceAuthorization(config, { scope: `${API} ${device(unique('DEV'))}` });
  const consent = await browser.get(asked.verification_uri_complete!);
  await browser.submit(consent, '/device', { decision: 'deny' });
  await assert.rejects(oauth.pollDeviceAuthorizationGrant(config, { ...asked, interval: 0.05 }), { error: 'access_denied' });
});

test('a session that is signed out on the account page ends at once', async () => {
  const id = unique('DEV');
  const tokens = await signIn(id);
  okay(await whoami(tokens.access_token));
  const page = await browser.get(`/account?action=org.matrix.device_delete&device_id=${id}`);
  assert.match(page.html, /Generic client/);
  await browser.submit(page, '/account/session/end');
  const refused = await whoami(tokens.access_token);
  assert.equal(refused.status, 401);
  assert.equal(refused.json.soft_logout, false);
});

test('the account page opens what an app asks for, by stable and older names', async () => {
  const id = unique('DEV');
  await signIn(id);
  for (const [actions, path] of [
    [['org.matrix.profile', 'profile', 'org.example.unknown'], '/account'],
    [['org.matrix.devices_list', 'org.matrix.sessions_list', 'sessions_list'], '/account'],
    [['org.matrix.device_view', 'org.matrix.session_view', 'session_view'], '/account/session'],
    [['org.matrix.device_delete', 'org.matrix.session_end', 'session_end'], '/account/session/end'],
    [['org.matrix.account_deactivate'], '/account/deactivate'],
    [['org.matrix.cross_signing_reset'], '/account/reset'],
  ] as [string[], string][]) {
    for (const action of actions) {
      const page = await browser.get(`/account?action=${action}&device_id=${id}`);
      assert.deepEqual([page.status, new URL(page.url).pathname], [200, path], action);
    }
  }
  const gone = await browser.get('/account?action=org.matrix.device_delete&device_id=NOSUCH');
  assert.equal(new URL(gone.url).pathname, '/account');
});

test('an app resets the encryption identity once, when its user allows it on the account page', async () => {
  const [id, other] = [unique('DEV'), unique('DEV')];
  const session = async (device_id: string) => {
    const { access_token } = await signIn(device_id);
    return new User(base, password, { ...okay(await whoami(access_token)), access_token });
  };
  const [phone, thief] = [await session(id), await session(other)];
  await publish(phone);
  const upload = (by: User, keys: CrossSigning, auth?: Json) =>
    by.call('POST', '/keys/device_signing/upload', { body: { ...keys.upload(), auth } });
  okay(await upload(phone, new CrossSigning(phone)));

  const next = new CrossSigning(phone);
  const challenge = await upload(phone, next);
  assert.equal(challenge.status, 401, challenge.text);
  assert.deepEqual(challenge.json.flows, [{ stages: ['m.oauth'] }, { stages: ['org.matrix.cross_signing_reset'] }]);
  const { url } = challenge.json.params['m.oauth'];
  assert.deepEqual(challenge.json.params['org.matrix.cross_signing_reset'], { url });
  const proof = { type: 'm.login.password', identifier: { type: 'm.id.user', user: phone.id }, password };
  const auth = { session: challenge.json.session };
  for (const tried of [auth, { ...auth, type: 'm.oauth' }, { ...auth, ...proof }]) {
    assert.equal((await upload(phone, next, tried)).status, 401, JSON.stringify(tried));
  }
  const page = await browser.get(url);
  assert.match(page.html, /Generic client/);
  assert.match((await browser.submit(page, '/account/reset')).html, /role="status"/);
  assert.equal((await upload(thief, new CrossSigning(thief))).status, 401, 'another app was not meant');
  okay(await upload(phone, next, auth));
  okay(await upload(phone, next));
  assert.equal((await upload(phone, new CrossSigning(phone), auth)).status, 401, 'once');
});

test('a trusted client introspects, with its secret', async (t) => {
  const admin = adminToken();
  if (!admin) return t.skip('the admin token is not known');
  const { client_id, client_secret } = okay(await ask(base, 'POST', '/_tern/admin/v1/oauth/clients', { token: admin, body: { name: 'gate' } }));
  const trusted = new oauth.Configuration(config.serverMetadata(), client_id, undefined, oauth.ClientSecretBasic(client_secret));
  oauth.allowInsecureRequests(trusted);
  const id = unique('DEV');
  const tokens = await signIn(id);
  for (const token of [tokens.access_token, tokens.refresh_token!]) {
    const seen = await oauth.tokenIntrospection(trusted, token);
    assert.equal(seen.active, true);
    assert.equal(seen.client_id, config.clientMetadata().client_id);
    assert.equal(seen.device_id, id);
  }
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const unsigned = `${part({ alg: 'none' })}.${part({ sub: '@admin:localhost', exp: 4_000_000_000 })}.`;
  const claimed = `${tokens.access_token.slice(0, -1)}${tokens.access_token.endsWith('A') ? 'B' : 'A'}`;
  for (const token of [unsigned, claimed]) assert.deepEqual(await oauth.tokenIntrospection(trusted, token), { active: false });
  await oauth.tokenRevocation(config, tokens.refresh_token!);
  for (const token of [tokens.access_token, tokens.refresh_token!, 'nonsense', `${tokens.access_token}x`]) {
    assert.deepEqual(await oauth.tokenIntrospection(trusted, token), { active: false });
  }
});

test('the password can be changed, and everything signed out with it', async () => {
  const name = unique();
  const own = new Browser(base);
  await own.register(name, password);
  const page = await own.get('/account/password');
  const wrong = await own.submit(page, '/account/password', { old: 'wrong', password: 'another long one', repeat: 'another long one' });
  assert.equal(wrong.status, 403);
  const fields = { old: password, password: 'another long one', repeat: 'another long one', everywhere: 'yes' };
  assert.match((await own.submit(page, '/account/password', fields)).url, /\/account\/sign-in/);
  assert.equal((await own.signIn(name, password)).status, 403);
  assert.equal((await own.signIn(name, 'another long one')).status, 200);
});

test('the profile is changed, a reset allowed, the account ended', async () => {
  const name = unique();
  const own = new Browser(base);
  const account = await own.register(name, password);
  const saved = await own.submit(account, '/account/profile', { name: 'Anna <b>' });
  assert.match(saved.html, /value="Anna &#60;b&#62;"/);
  const reset = await own.get('/account?action=org.matrix.cross_signing_reset');
  assert.match((await own.submit(reset, '/account/reset')).html, /role="status"/);
  const end = await own.get('/account?action=org.matrix.account_deactivate');
  assert.equal((await own.submit(end, '/account/deactivate', { password: 'wrong' })).status, 403);
  await own.submit(end, '/account/deactivate', { password });
  assert.equal((await own.signIn(name, password)).status, 403);
});

test('two devices meet (MSC4108 of 2024)', async () => {
  const path = '/_matrix/client/unstable/org.matrix.msc4108/rendezvous';
  const plain = { 'content-type': 'text/plain' };
  const opened = await ask(base, 'POST', path, { raw: '', headers: plain });
  assert.equal(opened.status, 201);
  const at = opened.json.url.slice(base.length);
  const etag = opened.headers.get('etag')!;
  assert.ok(opened.headers.get('expires') && opened.headers.get('last-modified'));
  assert.equal((await ask(base, 'GET', at, { headers: { 'if-none-match': etag } })).status, 304);
  const sent = await ask(base, 'PUT', at, { raw: 'hello', headers: { ...plain, 'if-match': etag } });
  assert.equal(sent.status, 202);
  assert.equal((await ask(base, 'PUT', at, { raw: 'again', headers: { ...plain, 'if-match': etag } })).status, 412);
  const got = await ask(base, 'GET', at, { headers: { 'if-none-match': etag } });
  assert.deepEqual([got.status, got.text, got.headers.get('content-type'), got.headers.get('etag')],
    [200, 'hello', 'text/plain', sent.headers.get('etag')]);
  assert.equal((await ask(base, 'PUT', at, { raw: 'x'.repeat(4097), headers: { ...plain, 'if-match': got.headers.get('etag')! } })).status, 413);
  assert.equal((await ask(base, 'DELETE', at)).status, 204);
  assert.equal((await ask(base, 'GET', at)).status, 404);
});

test('two devices meet (MSC4388)', async () => {
  const path = '/_matrix/client/unstable/io.element.msc4388/rendezvous';
  assert.deepEqual(okay(await ask(base, 'GET', path)), { create_available: true });
  const { id, sequence_token } = okay(await ask(base, 'POST', path, { body: { data: 'one' } }));
  const next = okay(await ask(base, 'PUT', `${path}/${id}`, { body: { sequence_token, data: 'two' } }));
  assert.equal((await ask(base, 'PUT', `${path}/${id}`, { body: { sequence_token, data: 'three' } })).status, 409);
  const seen = okay(await ask(base, 'GET', `${path}/${id}`));
  assert.deepEqual([seen.data, seen.sequence_token], ['two', next.sequence_token]);
  okay(await ask(base, 'DELETE', `${path}/${id}`));
  assert.equal((await ask(base, 'GET', `${path}/${id}`)).status, 404);
});
