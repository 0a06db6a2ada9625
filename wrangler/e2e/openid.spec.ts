// OpenID Connect on top of OAuth, by a generic client library that checks every id token against the published keys; and
// what somebody tries with those keys and tokens who should not.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash, createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import * as oauth from 'openid-client';
import { accessToken, type TokenFields } from './support/access-token.ts';
import { ask, okay, unique, type Json } from './support/client.ts';
import { API, Browser, device } from './support/pages.ts';
import { CHECKOUT, own, uncontrolled } from './support/server.ts';

const REDIRECT = 'https://rp.example/callback';
const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
const password = 'correct horse battery';
const skip = uncontrolled;

const server = skip ? undefined : await own();
const base = server?.base ?? '';
const browser = new Browser(base);
const user = unique();

/** A relying party that wants its id tokens signed so, and looks at the signatures. */
async function relyingParty(changes: Json = {}): Promise<oauth.Configuration> {
  const metadata = {
    client_name: unique('Relying party '), client_uri: 'https://rp.example/', redirect_uris: [REDIRECT], response_types: ['code'],
    grant_types: ['authorization_code', 'refresh_token', DEVICE_GRANT], token_endpoint_auth_method: 'none', ...changes,
  };
  const config = await oauth.dynamicClientRegistration(new URL(base), metadata, oauth.None(), { execute: [oauth.allowInsecureRequests] });
  oauth.enableNonRepudiationChecks(config);
  return config;
}

interface Asked {
  address: URL;
  checks: oauth.AuthorizationCodeGrantChecks;
}

async function request(config: oauth.Configuration, extra: Record<string, string> = {}): Promise<Asked> {
  const [pkceCodeVerifier, expectedState, expectedNonce] = [oauth.randomPKCECodeVerifier(), oauth.randomState(), oauth.randomNonce()];
  const address = oauth.buildAuthorizationUrl(config, {
    redirect_uri: REDIRECT, scope: 'openid', state: expectedState, nonce: expectedNonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: 'S256', ...extra,
  });
  return { address, checks: { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true } };
}

/** The user agrees; the relying party exchanges the code and checks the id token. */
async function signIn(config: oauth.Configuration, extra: Record<string, string> = {}, checks: Json = {}) {
  const asked = await request(config, extra);
  const back = await browser.submit(await browser.get(asked.address.href), '/oauth2/authorize', { decision: 'allow' });
  return oauth.authorizationCodeGrant(config, new URL(back.headers.get('location')!), { ...asked.checks, ...checks });
}

const whoami = (token: string) => ask(base, 'GET', '/account/whoami', { token });
const keys = async (): Promise<Json[]> => ((await (await fetch(`${base}/oauth2/keys`)).json()) as Json).keys;
const header = (token: string): Json => JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString());
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

function rotate(...extra: string[]): { status: number | null; stdout: string; stderr: string } {
  const args = ['xtask', 'keys', 'rotate', '--state', server!.state, ...extra];
  return spawnSync('cargo', args, { cwd: CHECKOUT, encoding: 'utf8' });
}

before(async () => {
  if (skip) return;
  // Everybody asks for keys that are not there yet.
  const sets = await Promise.all(Array.from({ length: 20 }, keys));
  for (const set of sets) assert.deepEqual(set, sets[0], 'everybody gets the same first keys');
  await browser.register(user, password);
});

test('what is published of the keys is complete, public, and named by its thumbprint', { skip }, async () => {
  const published = await keys();
  assert.deepEqual(published.map((key) => key.alg).sort(), ['ES256', 'ES256', 'RS256', 'RS256'], 'one that signs and one to come');
  for (const key of published) {
    const members: string[] = key.kty === 'RSA' ? ['e', 'kty', 'n'] : ['crv', 'kty', 'x', 'y'];
    assert.deepEqual(Object.keys(key).sort(), [...members, 'alg', 'kid', 'use'].sort());
    const thumbprint = createHash('sha256').update(JSON.stringify(Object.fromEntries(members.map((name) => [name, key[name]])))).digest('base64url');
    assert.equal(key.kid, thumbprint);
    assert.equal(key.use, 'sig');
  }
  assert.equal(Buffer.from(published.find((key) => key.kty === 'RSA')!.n, 'base64url').length, 256);
  const answer = await fetch(`${base}/oauth2/keys`);
  assert.match(answer.headers.get('cache-control')!, /public, max-age=\d+/);
});

test('the discovery document claims what is there, and what is not supported', { skip }, async () => {
  const metadata: Json = await (await fetch(`${base}/.well-known/openid-configuration`)).json();
  assert.deepEqual(metadata, okay(await ask(base, 'GET', '/_matrix/client/v1/auth_metadata')));
  assert.equal(metadata.jwks_uri, `${base}/oauth2/keys`);
  assert.deepEqual(metadata.id_token_signing_alg_values_supported, ['RS256', 'ES256']);
  assert.deepEqual(metadata.prompt_values_supported, ['none', 'login', 'consent', 'create']);
  assert.deepEqual(metadata.subject_types_supported, ['public']);
  for (const name of ['claims', 'request', 'request_uri']) assert.equal(metadata[`${name}_parameter_supported`], false, name);
  for (const [name, address] of Object.entries(metadata)) {
    if (!/_(endpoint|uri)$/.test(name)) continue;
    assert.notEqual((await fetch(address as string, { redirect: 'manual' })).status, 404, name);
  }
});

for (const alg of ['RS256', 'ES256']) {
  test(`an id token under ${alg}: nonce, at_hash, auth_time, audience, and the userinfo that belongs to it`, { skip }, async () => {
    const config = await relyingParty({ id_token_signed_response_alg: alg });
    const tokens = await signIn(config, { max_age: '3600' }, { maxAge: 3600 });
    assert.deepEqual([header(tokens.id_token!).alg, header(tokens.id_token!).typ], [alg, 'JWT']);
    const claims = tokens.claims()!;
    assert.ok(claims.sub.startsWith(`@${user}:`));
    assert.equal(claims.aud, config.clientMetadata().client_id);
    assert.equal(claims.iss, `${base}/`);
    const half = createHash('sha256').update(tokens.access_token).digest().subarray(0, 16).toString('base64url');
    assert.equal(claims.at_hash, half);
    const now = Date.now() / 1000;
    assert.ok(claims.auth_time! <= now && claims.auth_time! > now - 600);
    assert.ok(claims.exp > now && claims.exp < now + 3600);
    assert.equal(tokens.refresh_token, undefined, 'who only learns who the user is gets no refresh token');
    const told = await oauth.fetchUserInfo(config, tokens.access_token, claims.sub);
    assert.deepEqual(told, { sub: claims.sub, preferred_username: user, name: user });
  });
}

test('without openid there is no id token, with it a device gets one, and a refresh none', { skip }, async () => {
  const config = await relyingParty();
  const scope = `${API} ${device(unique('DEV'))}`;
  const asked = await request(config, { scope });
  const back = await browser.submit(await browser.get(asked.address.href), '/oauth2/authorize', { decision: 'allow' });
  const plain = await oauth.authorizationCodeGrant(config, new URL(back.headers.get('location')!), {
    pkceCodeVerifier: asked.checks.pkceCodeVerifier, expectedState: asked.checks.expectedState,
  });
  assert.equal(plain.id_token, undefined);
  assert.equal((await fetch(`${base}/oauth2/userinfo`, { headers: { authorization: `Bearer ${plain.access_token}` } })).status, 403);

  const both = await signIn(config, { scope: `openid ${API} ${device(unique('DEV'))}` });
  okay(await whoami(both.access_token));
  await oauth.fetchUserInfo(config, both.access_token, both.claims()!.sub);
  assert.equal((await oauth.refreshTokenGrant(config, both.refresh_token!)).id_token, undefined);

  const pairing = await oauth.initiateDeviceAuthorization(config, { scope: `openid ${API} ${device(unique('TV'))}` });
  await browser.submit(await browser.get(pairing.verification_uri_complete!), '/device', { decision: 'allow' });
  const paired = await oauth.pollDeviceAuthorizationGrant(config, { ...pairing, interval: 0.05 });
  assert.ok(paired.claims()!.sub.startsWith(`@${user}:`));
});

test('a token that only says who somebody is can be taken back', { skip }, async () => {
  const config = await relyingParty();
  const tokens = await signIn(config);
  const { sub } = tokens.claims()!;
  await oauth.fetchUserInfo(config, tokens.access_token, sub);
  const api = [await whoami(tokens.access_token), await ask(base, 'GET', '/sync', { token: tokens.access_token })];
  assert.deepEqual(api.map(({ status, json }) => [status, json.errcode]), [[403, 'M_FORBIDDEN'], [403, 'M_FORBIDDEN']], 'it opens nothing else');
  const other = await signIn(config);
  await oauth.tokenRevocation(config, tokens.access_token);
  const userinfo = (token: string) => fetch(`${base}/oauth2/userinfo`, { headers: { authorization: `Bearer ${token}` } });
  assert.equal((await userinfo(tokens.access_token)).status, 401);
  assert.equal((await userinfo(other.access_token)).status, 200, 'another session of the same user stays');
  await oauth.tokenRevocation(config, tokens.access_token);
});

test('prompt=none: a code at once for what was granted before, a reason otherwise, and strangers lead nobody away', { skip }, async () => {
  const config = await relyingParty();
  const silently = async (extra: Record<string, string> = {}, by = browser) => {
    const asked = await request(config, { prompt: 'none', ...extra });
    const page = await by.get(asked.address.href);
    return { page, asked, location: page.headers.get('location') };
  };
  const stranger = await silently();
  assert.equal(stranger.location, null, 'this client was never let in');
  assert.match(stranger.page.html, /error=consent_required/);

  await signIn(config);
  const again = await silently();
  const tokens = await oauth.authorizationCodeGrant(config, new URL(again.location!), again.asked.checks);
  assert.ok(tokens.claims()!.sub.startsWith(`@${user}:`));
  const error = (location: string | null) => new URL(location!).searchParams.get('error');
  assert.equal(error((await silently({ scope: `openid ${API} ${device(unique('DEV'))}` })).location), 'consent_required');

  const nobody = await silently({}, new Browser(base));
  assert.equal(error(nobody.location), 'login_required');
  assert.equal(new URL(nobody.location!).searchParams.get('iss'), `${base}/`);
  assert.match((await silently({ prompt: 'none login' })).page.html, /error=invalid_request/);
});

test('prompt=login and max_age ask for the password again, login_hint fills in the name', { skip }, async (t) => {
  const config = await relyingParty();
  const name = unique();
  const visitor = new Browser(base);
  const asked = await request(config, { login_hint: `mxid:@${name}:x`, prompt: 'login consent' });
  assert.match((await visitor.get(asked.address.href)).html, new RegExp(`name="username"[^>]* value="@${name}:x"`));
  await visitor.register(name, password);
  assert.match((await visitor.get(asked.address.href)).html, /decision/, 'signing in a moment ago is enough');
  t.diagnostic('a sign-in that is older is asked for again: tern-auth, request and silent');
});

test('a request may come as a form, and the parameters that are not supported are passed over or refused', { skip }, async () => {
  const config = await relyingParty();
  const { address } = await request(config, { claims: '{"id_token":{"email":null}}', acr_values: 'x', ui_locales: 'de' });
  const posted = await browser.visit('POST', '/oauth2/authorize', address.searchParams);
  assert.match(posted.html, /name="decision"/);
  for (const [extra, error] of [[{ response_mode: 'form_post' }, 'invalid_request'], [{ request: 'x.y.z' }, 'invalid_request'], [{ response_type: 'code id_token' }, 'unsupported_response_type']] as const) {
    assert.match((await browser.get((await request(config, extra)).address.href)).html, new RegExp(`error=${error}`));
  }
  const wrong = await fetch(`${base}/oauth2/register`, {
    method: 'POST', body: JSON.stringify({ client_uri: 'https://rp.example/', redirect_uris: [REDIRECT], id_token_signed_response_alg: 'none' }),
  });
  assert.deepEqual([wrong.status, ((await wrong.json()) as Json).error], [400, 'invalid_client_metadata']);
});

test('who is refused is told how to identify themselves', { skip }, async () => {
  const userinfo = async (authorization?: string) => {
    const answer = await fetch(`${base}/oauth2/userinfo`, { headers: authorization ? { authorization } : {} });
    return [answer.status, answer.headers.get('www-authenticate')];
  };
  assert.deepEqual(await userinfo(), [401, 'Bearer']);
  assert.deepEqual(await userinfo('Bearer nonsense'), [401, 'Bearer error="invalid_token"']);
  const introspect = await fetch(`${base}/oauth2/introspect`, { method: 'POST', body: new URLSearchParams({ token: 'x' }) });
  assert.deepEqual([introspect.status, introspect.headers.get('www-authenticate')], [401, 'Basic realm="introspection"']);
});

test('no token of one kind passes for another: mixed-up alg and kid, id tokens, expired ones and those of the future', { skip }, async () => {
  const config = await relyingParty();
  const tokens = await signIn(config, { scope: `openid ${API} ${device(unique('DEV'))}` });
  const { sub } = tokens.claims()!;
  const published = await keys();
  const secret = Buffer.from(JSON.parse(readFileSync(join(server!.state, 'keys.json'), 'utf8')).token_key, 'base64');
  const now = Math.floor(Date.now() / 1000);
  const made = (fields: TokenFields, key: Buffer = secret) => accessToken(key, sub.slice(sub.indexOf(':') + 1), tokens.access_token, fields);
  assert.equal(made({}), tokens.access_token, 'the test knows how tokens are made');
  const [head, body] = [encode({ alg: 'HS256' }), encode({ sub, dev: 'DEVICE', sid: 'session', iat: now, exp: now + 300 })];
  const mac = (key: Buffer | string, input: string) => `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`;
  const by = (kid: string) => encode({ alg: 'HS256', kid });
  const forged: Record<string, string> = {
    'an id token': tokens.id_token!,
    'an id token with the header of an older access token': [head, ...tokens.id_token!.split('.').slice(1)].join('.'),
    'an older access token with the header of an id token': [tokens.id_token!.split('.')[0], body, 'x'].join('.'),
    'an id token behind the prefix of access tokens': `ta_${tokens.id_token!.split('.')[1]}`,
    'issued in an hour': made({ issued: now + 3600, lifetime: 3600 }),
    'of a user of no session': made({ localpart: 'admin' }),
    'under the key of a form token': made({}, createHmac('sha256', secret).update('tern form token 1\0').digest()),
    ...Object.fromEntries(published.flatMap((key) => [
      [`an access token under the public ${key.alg} key as JSON`, made({}, Buffer.from(JSON.stringify(key)))],
      [`HS256 under the public ${key.alg} key as JSON`, mac(JSON.stringify(key), `${by(key.kid)}.${body}`)],
      [`HS256 under the modulus or point of ${key.kid}`, mac(Buffer.from(key.n ?? key.x, 'base64url'), `${by(key.kid)}.${body}`)],
      [`${key.alg} claimed for a secret's signature (${key.kid})`, mac(secret, `${encode({ alg: key.alg, kid: key.kid })}.${body}`)],
      [`the kid of a public key (${key.kid})`, mac(secret, `${by(key.kid)}.${body}`)],
    ])),
  };
  for (const [what, token] of Object.entries(forged)) {
    const answer = await whoami(token);
    assert.deepEqual([answer.status, answer.json.errcode, answer.json.soft_logout], [401, 'M_UNKNOWN_TOKEN', false], what);
    const userinfo = await fetch(`${base}/oauth2/userinfo`, { headers: { authorization: `Bearer ${token}` } });
    assert.equal(userinfo.status, 401, what);
  }
  const expired = await whoami(made({ issued: now - 600, lifetime: 300 }));
  assert.deepEqual([expired.status, expired.json.soft_logout], [401, true], 'its client may refresh');
  const openid = okay(await ask(base, 'POST', `/user/${encodeURIComponent(sub)}/openid/request_token`, { token: tokens.access_token, body: {} }));
  assert.equal((await whoami(openid.access_token)).status, 401, 'an OpenID token of the Client-Server API');
  assert.equal((await ask(base, 'GET', '/_matrix/federation/v1/openid/userinfo', { query: { access_token: tokens.id_token! } })).status, 401);
  okay(await whoami(tokens.access_token));
});

test('keys outlive a restart, take turns no faster than others notice, and are replaced at once when they must', { skip }, async () => {
  const config = await relyingParty();
  const before = await keys();
  await server!.restart();
  assert.deepEqual(await keys(), before);
  await signIn(config);

  const early = rotate();
  assert.notEqual(early.status, 0);
  assert.match(early.stderr, /less than an hour ago/);
  assert.deepEqual(await keys(), before);

  const anew = rotate('--anew');
  assert.equal(anew.status, 0, anew.stderr);
  const after = await keys();
  assert.deepEqual(anew.stdout.trim().split('\n').map((line) => JSON.parse(line)), after);
  assert.equal(after.filter((key) => before.some((old) => old.kid === key.kid)).length, 0);
  const tokens = await signIn(await relyingParty());
  assert.ok(after.some((key) => key.kid === header(tokens.id_token!).kid));
});
