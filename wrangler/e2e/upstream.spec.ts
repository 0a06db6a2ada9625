// Signing in by the browser: with another provider, honest and not, and for apps of the older kind.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { ask, at, login, okay, refused, register, unique, type Answer, type Json } from './support/client.ts';
import { Browser, type Page } from './support/pages.ts';
import { Provider } from './support/provider.ts';
import { own, uncontrolled } from './support/server.ts';

const skip = uncontrolled;
const provider = skip ? undefined! : await new Provider().start();
const server = skip ? undefined! : await own({
  vars: {
    OUTBOUND_PRIVATE: 'true',
    UPSTREAM: [
      { id: 'ours', name: 'Example', issuer: provider.issuer, client_id: 'tern', localpart: '{preferred_username}', display_name: '{name}' },
      { id: 'closed', name: 'Closed', issuer: provider.issuer, client_id: 'tern', register: false },
    ],
    UPSTREAM_SECRETS: { ours: provider.secret, closed: provider.secret },
    SSO_CLIENTS: ['https://known.example/'],
  },
});
const base = server?.base;

function somebody(fields: Json = {}): Json {
  const preferred_username = unique('up');
  provider.person = { sub: unique('sub'), preferred_username, name: 'Some Body', ...fields };
  return provider.person;
}

/** Goes to the provider and comes back with its answer, unopened. */
async function away(browser: Browser, start = '/account/upstream?provider=ours&continue=%2Faccount'): Promise<string> {
  const page = await browser.get(start);
  assert.equal(page.status, 303, page.html.slice(-800));
  return back(page);
}

async function back(page: Page): Promise<string> {
  const response = await fetch(page.headers.get('location')!, { redirect: 'manual' });
  return response.headers.get('location')!;
}

async function signIn(browser = new Browser(base)): Promise<Page> {
  return browser.get(await away(browser));
}

const exists = async (name: string) =>
  (await ask(base, 'GET', '/register/available', { query: { username: name } })).json.errcode === 'M_USER_IN_USE';

test('whoever comes from a provider gets an account once, with name and display name from the claims', { skip }, async () => {
  const page = await new Browser(base).get('/account/sign-in');
  assert.ok(page.html.includes('Continue with Example'), page.html.slice(-1200));
  for (const algorithm of ['RS256', 'ES256'] as const) {
    provider.algorithm = algorithm;
    const { preferred_username: name } = somebody();
    const first = await signIn();
    assert.equal(first.url, `${base}/account`, first.html.slice(-800));
    assert.ok(first.html.includes(`@${name}:`) && first.html.includes('Some Body'));
    provider.person = { sub: provider.person.sub, preferred_username: unique('other') };
    assert.ok((await signIn()).html.includes(`@${name}:`), 'the subject counts, not the name');
  }
  provider.algorithm = 'RS256';
  assert.deepEqual(provider.refusals, []);
});

test('a name that is taken or none is chosen on a page, in the same browser, once', { skip }, async () => {
  const taken = await register(base);
  somebody({ preferred_username: taken.name });
  const browser = new Browser(base);
  const page = await signIn(browser);
  assert.ok(page.html.includes('Choose a user name'), page.html.slice(-800));
  const again = await browser.submit(page, '/account/upstream/name', { username: taken.name });
  assert.equal(again.status, 400);
  const thief = new Browser(base);
  await thief.get('/account/sign-in');
  const name = unique('chosen');
  const state = /name="state" value="([^"]+)"/.exec(page.html)![1];
  const form = await thief.get('/account/sign-in');
  const token = /name="form_token" value="([^"]+)"/.exec(form.html)![1];
  const stolen = await thief.visit('POST', '/account/upstream/name', new URLSearchParams({ form_token: token, state, username: name }));
  assert.equal(stolen.status, 403);
  assert.ok((await browser.submit(again, '/account/upstream/name', { username: name })).html.includes(`@${name}:`));
  somebody({ preferred_username: undefined, sub: provider.person.sub });
  assert.ok((await signIn()).html.includes(`@${name}:`));
});

const day = 86_400;
const lies: Record<string, (token: { header: Json; claims: Json }) => string | void> = {
  'another nonce': ({ claims }) => { claims.nonce = 'x'; },
  'no nonce': ({ claims }) => { delete claims.nonce; },
  'another audience': ({ claims }) => { claims.aud = 'somebody-else'; },
  'several audiences without azp': ({ claims }) => { claims.aud = ['tern', 'x']; },
  'another azp': ({ claims }) => { claims.azp = 'x'; },
  'no audience': ({ claims }) => { delete claims.aud; },
  'another issuer': ({ claims }) => { claims.iss = 'https://evil.example'; },
  expired: ({ claims }) => { claims.exp -= day; },
  'no end': ({ claims }) => { delete claims.exp; },
  'of tomorrow': ({ claims }) => { claims.iat += day; claims.exp += day; },
  'not yet': ({ claims }) => { claims.nbf = claims.iat + day; },
  'no subject': ({ claims }) => { delete claims.sub; },
  'alg none': ({ header, claims }) => {
    header.alg = 'none';
    return `${provider.signed(header, claims).split('.').slice(0, 2).join('.')}.`;
  },
  'alg HS256 with the public key': ({ header, claims }) => {
    header.alg = 'HS256';
    const content = provider.signed(header, claims).split('.').slice(0, 2).join('.');
    const key = provider.rsa.publicKey.export({ type: 'spki', format: 'pem' });
    return `${content}.${createHmac('sha256', key).update(content).digest('base64url')}`;
  },
  'alg ES256 with the RSA key': ({ header, claims }) => { header.alg = 'ES256'; return provider.signed(header, claims); },
  'another key': ({ header, claims }) => provider.signed(header, claims, provider.stranger.privateKey),
  'an unknown key id': ({ header }) => { header.kid = 'x'; },
  'a critical header': ({ header }) => { header.crit = ['x']; },
  'altered after signing': ({ header, claims }) => {
    const [head, , signature] = provider.signed(header, claims).split('.');
    return `${head}.${Buffer.from(JSON.stringify({ ...claims, sub: 'root' })).toString('base64url')}.${signature}`;
  },
  'no token at all': () => 'x',
};

test('no lie of a provider lets anybody in', { skip }, async () => {
  const wrong: string[] = [];
  for (const [what, twist] of Object.entries(lies)) {
    const { preferred_username: name } = somebody();
    provider.twist = twist;
    const page = await signIn();
    if (page.status !== 403 || await exists(name)) wrong.push(`${what}: ${page.status} ${page.url}`);
  }
  provider.twist = () => {};
  assert.deepEqual(wrong, []);
});

test('an answer is good once, in the browser that asked, from the provider that was asked', { skip }, async () => {
  somebody();
  const browser = new Browser(base);
  const answer = await away(browser);
  const other = new Browser(base);
  await other.get('/account/sign-in');
  assert.equal((await other.get(answer)).status, 403, 'another browser');
  assert.equal((await browser.get(answer)).url, `${base}/account`, 'which takes nothing away');
  assert.equal((await browser.get(answer)).status, 403, 'again');
  for (const bend of [
    (params: URLSearchParams) => params.set('state', 'AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAA'),
    (params: URLSearchParams) => params.delete('state'),
    (params: URLSearchParams) => params.set('iss', 'https://evil.example'),
    (params: URLSearchParams) => { params.delete('code'); params.set('error', 'access_denied'); },
    (params: URLSearchParams) => params.set('code', 'guess'),
  ]) {
    provider.bend = bend;
    const { preferred_username: name } = somebody();
    assert.equal((await signIn()).status, 403, bend.toString());
    assert.ok(!await exists(name));
  }
  provider.bend = () => {};
  assert.equal((await new Browser(base).get('/account/upstream?provider=none')).status, 404);
});

test('an account is tied to a provider by its owner, who then comes in that way', { skip }, async () => {
  const user = await register(base);
  somebody();
  const closed = '/account/upstream?provider=closed&continue=%2Faccount';
  const stranger = new Browser(base);
  assert.equal((await stranger.get(await away(stranger, closed))).status, 403, 'this provider makes no accounts');
  const browser = new Browser(base);
  const page = await browser.signIn(user.name, user.password);
  const gone = await browser.submit(page, '/account/upstream/link', { provider: 'closed' });
  assert.equal((await browser.get(await back(gone))).url, `${base}/account`);
  const later = new Browser(base);
  assert.ok((await later.get(await away(later, closed))).html.includes(user.id));
  const thief = await register(base);
  const second = new Browser(base);
  const again = await second.submit(await second.signIn(thief.name, thief.password), '/account/upstream/link', { provider: 'closed' });
  assert.equal((await second.get(await back(again))).status, 400, 'it belongs to somebody');
});

test('an account is untied by its owner, but not from the last way in', { skip }, async () => {
  const user = await register(base);
  somebody();
  const browser = new Browser(base);
  const page = await browser.signIn(user.name, user.password);
  const tied = await browser.get(await back(await browser.submit(page, '/account/upstream/link', { provider: 'closed' })));
  const theirs = { provider: 'closed', form_token: 'x' };
  assert.equal((await browser.submit(tied, '/account/upstream/unlink', theirs)).status, 403, 'a form of another site');
  const untied = await browser.submit(tied, '/account/upstream/unlink', { provider: 'closed' });
  assert.equal(untied.url, `${base}/account?done=untied`);
  assert.ok(!untied.html.includes('/account/upstream/unlink'));
  const later = new Browser(base);
  const closed = '/account/upstream?provider=closed&continue=%2Faccount';
  assert.equal((await later.get(await away(later, closed))).status, 403, 'it is nobody\'s now');

  // Without a password, one provider has to stay, also when two are untied at once.
  const { preferred_username: name } = somebody();
  const bare = new Browser(base);
  const mine = await bare.get(await away(bare));
  assert.equal((await bare.submit(mine, '/account/upstream/unlink', { provider: 'ours' })).url, `${base}/account?done=last-way`);
  const both = await bare.get(await back(await bare.submit(mine, '/account/upstream/link', { provider: 'closed' })));
  const gone = await Promise.all(['ours', 'closed'].map((provider) => bare.submit(both, '/account/upstream/unlink', { provider })));
  assert.deepEqual(gone.map(({ url }) => url.split('=')[1]).sort(), ['last-way', 'untied']);
  const kept = gone[0]!.url.endsWith('last-way') ? 'ours' : 'closed';
  const last = new Browser(base);
  const account = await last.get(await away(last, `/account/upstream?provider=${kept}&continue=%2Faccount`));
  assert.ok(account.html.includes(`@${name}:`), account.html.slice(-800));
});

test('who has no password sets one, or ends the account, after signing in', { skip }, async () => {
  const { preferred_username: name } = somebody();
  const browser = new Browser(base);
  await signIn(browser);
  const page = await browser.get('/account/password');
  assert.ok(!page.html.includes('name="old"'), page.html.slice(-1200));
  const password = unique('Pw-');
  assert.equal((await browser.submit(page, '/account/password', { password, repeat: password })).url, `${base}/account?done=password`);
  okay(await login(base, name, password));
  // From then on it is asked for.
  const next = unique('Pw-');
  assert.equal((await browser.submit(page, '/account/password', { password: next, repeat: next })).status, 403);
  assert.equal((await browser.submit(await browser.get('/account/deactivate'), '/account/deactivate')).status, 403);
  okay(await login(base, name, password));

  const { preferred_username: other } = somebody();
  const bare = new Browser(base);
  await signIn(bare);
  const end = await bare.get('/account/deactivate');
  assert.equal((await bare.submit(end, '/account/deactivate', { form_token: 'x' })).status, 403);
  assert.equal((await bare.submit(end, '/account/deactivate')).url, `${base}/account/ended`);
  assert.ok(await exists(other), 'the name stays taken');
  assert.match((await bare.get('/account')).url, /sign-in/);
});

const sso = (redirectUrl: string, idp = '') => ask(base, 'GET', '/login/sso/redirect' + idp, { query: { redirectUrl } });
const byToken = (token: string): Promise<Answer> => ask(base, 'POST', '/login', { body: { type: 'm.login.token', token } });

test('an older app is let in by the browser, after a question, once', { skip }, async () => {
  const flows: Json[] = okay(await ask(base, 'GET', '/login')).flows;
  assert.deepEqual(flows.find(({ type }) => type === 'm.login.sso').identity_providers.map(({ id }: Json) => id), ['ours', 'closed']);
  const user = await register(base);
  const start = await sso('https://app.example/cb?x=1');
  assert.equal(start.status, 302);
  const browser = new Browser(base);
  const signIn = await browser.get(start.headers.get('location')!);
  const question = await browser.submit(signIn, '/account/sign-in', { username: user.name, password: user.password });
  assert.ok(question.html.includes('app.example'), question.html.slice(-1500));
  const left = await browser.submit(question, '/account/sso');
  const target = new URL(left.headers.get('location')!);
  assert.equal(target.origin + target.pathname + target.searchParams.get('x'), 'https://app.example/cb1');
  const token = target.searchParams.get('loginToken')!;
  assert.equal(okay(await byToken(token)).user_id, user.id);
  refused(await byToken(token), 403, 'M_FORBIDDEN');
  // An app that the operator knows needs no question.
  const known = await browser.get((await sso('https://known.example/in')).headers.get('location')!);
  assert.ok(known.headers.get('location')!.startsWith('https://known.example/in?loginToken='));
});

test('an older app is let in by a provider of its choice', { skip }, async () => {
  const { preferred_username: name } = somebody();
  const browser = new Browser(base);
  const start = await sso('io.example.app:/cb', '/ours');
  const question = await browser.get(await away(browser, start.headers.get('location')!));
  const left = await browser.submit(question, '/account/sso');
  const token = new URL(left.headers.get('location')!).searchParams.get('loginToken')!;
  assert.equal(okay(await byToken(token)).user_id.split(':')[0], `@${name}`);
  refused(await sso('https://app.example/', '/none'), 404, 'M_NOT_FOUND');
});

test('a login token goes nowhere dangerous', { skip }, async () => {
  for (const bad of ['javascript:alert(1)', 'data:text/html,x', 'http://app.example/', '/account', 'https://a@app.example/', '']) {
    refused(await sso(bad), 400, 'M_INVALID_PARAM');
    const page = await new Browser(base).get(`/account/sso?redirectUrl=${encodeURIComponent(bad)}`);
    assert.equal(page.status, 400, bad);
  }
  refused(await ask(base, 'GET', '/login/sso/redirect'), 400, 'M_MISSING_PARAM');
});

test('who has no password proves on the page of the stage who he is; others cannot for him', { skip }, async () => {
  somebody();
  const browser = new Browser(base);
  const question = await browser.get(await away(browser, (await sso('https://known.example/', '/ours')).headers.get('location')!));
  const token = new URL(question.headers.get('location')!).searchParams.get('loginToken')!;
  const [one, two] = [okay(await byToken(token)), await register(base)];
  const remove = (auth?: Json) => ask(base, 'DELETE', at`/devices/${one.device_id}`, { token: one.access_token, body: { auth } });
  const challenge = await remove();
  assert.deepEqual(challenge.json.flows, [{ stages: ['m.login.password'] }, { stages: ['m.login.sso'] }]);
  const { session } = challenge.json;
  const path = `/_matrix/client/v3/auth/m.login.sso/fallback/web?session=${session}`;
  const other = new Browser(base);
  await other.signIn(two.name, two.password);
  await other.submit(await other.get(path), '/_matrix/client/v3/auth/m.login.sso/fallback/web');
  assert.equal((await remove({ session })).status, 401, 'somebody else');
  const page = await browser.get(path);
  assert.equal(page.status, 200, page.html.slice(-800));
  const done = await browser.submit(page, '/_matrix/client/v3/auth/m.login.sso/fallback/web');
  assert.ok(done.html.includes('onAuthDone'), done.html.slice(-800));
  okay(await remove({ session }));
  assert.equal((await remove({ session })).status, 401, 'a session is good once');
  for (const bad of ['', 'x', session.slice(0, -4) + 'AAAA']) {
    assert.equal((await browser.get(`/_matrix/client/v3/auth/m.login.sso/fallback/web?session=${bad}`)).status, 400);
  }
  refused(await login(base, one.user_id, ''), 403, 'M_FORBIDDEN');
});
