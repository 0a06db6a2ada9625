// The pages in a real browser, on a phone and on a desk, by day and by night, with scripts off. Pictures go to TERN_OUTPUT.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { ask, unique, type Json } from './support/client.ts';
import { closeAll, LOOKED_AT, LOOKS, missing, Window } from './support/chromium.ts';
import { API, Browser, device, guarded, pkce } from './support/pages.ts';
import { shared } from './support/server.ts';

/** The app, which is opened again in the end. */
const app = createServer((_, answer) => answer.setHeader('content-type', 'text/html').end('<title>app</title>back in the app')).listen(0, '127.0.0.1');
await once(app, 'listening');
const APP = `http://127.0.0.1:${(app.address() as AddressInfo).port}/`;
const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
const password = 'correct horse battery';

let base: string;
let client: string;

before(async () => {
  base = await shared();
  const metadata = {
    client_name: 'Harbour', client_uri: 'https://client.example/', policy_uri: 'https://client.example/privacy', tos_uri: 'https://client.example/terms', application_type: 'native', redirect_uris: ['http://127.0.0.1/'],
    response_types: ['code'], grant_types: ['authorization_code', 'refresh_token', DEVICE_GRANT], token_endpoint_auth_method: 'none',
  };
  const registered = await fetch(`${base}/oauth2/register`, { method: 'POST', body: JSON.stringify(metadata) });
  assert.equal(registered.status, 201);
  client = ((await registered.json()) as Json).client_id;
});

after(async () => {
  await closeAll();
  app.close();
});

/** The address of an authorization request, and what redeems its code. */
function request(id: string, extra: Record<string, string> = {}): { address: string; verifier: string } {
  const { verifier, challenge } = pkce();
  const query = new URLSearchParams({
    client_id: client, redirect_uri: APP, response_type: 'code', response_mode: 'fragment', state: 's',
    scope: `openid ${API} ${device(id)}`, code_challenge: challenge, code_challenge_method: 'S256', ...extra,
  });
  return { address: `${base}/oauth2/authorize?${query}`, verifier };
}

async function post(path: string, fields: Record<string, string>): Promise<Json> {
  const answer = await fetch(base + path, { method: 'POST', body: new URLSearchParams({ client_id: client, ...fields }) });
  const json: Json = await answer.json();
  assert.equal(answer.status, 200, JSON.stringify(json));
  return json;
}

/** The tokens for the code that the app was given. */
function redeem(url: string, verifier: string): Promise<Json> {
  const answer = new URLSearchParams(new URL(url).hash.slice(1));
  assert.equal(answer.get('state'), 's', url);
  return post('/oauth2/token', { grant_type: 'authorization_code', code: answer.get('code')!, redirect_uri: APP, code_verifier: verifier });
}

const status = async (token: string) => (await ask(base, 'GET', '/account/whoami', { token })).status;

for (const [name, look] of LOOKED_AT) {
  test(`every page, on a ${name.replace('-', ' in ')} window, without a script`, { skip: missing }, async () => {
    const window = await Window.open(name, look);
    const { page } = window;
    const press = (label: string) => page.getByRole('button', { name: label, exact: true }).click();
    const follow = (label: string) => page.getByRole('link', { name: label, exact: true }).click();
    const [user, id] = [unique(), unique('DEV')];
    const asked = request(id);

    await window.get(base);
    await page.getByRole('heading', { name: 'Welcome to' }).waitFor();
    await window.look('welcome');
    await window.get(`${base}/account/nothing/here`);
    await page.getByRole('heading', { name: 'Nothing here' }).waitFor();
    await window.look('no-page');
    await window.get(asked.address);
    await page.getByText('To let Harbour use it').waitFor();
    await window.look('sign-in');
    await page.getByLabel('User name').fill(user);
    await page.getByLabel('Password').fill('wrong');
    await press('Sign in');
    await page.getByRole('alert').waitFor();
    await window.look('sign-in-refused');
    await follow('Create account');
    await window.look('register');
    await page.getByLabel('User name').fill(user);
    await page.getByLabel('Password', { exact: true }).fill(password);
    await page.getByLabel('Password, once more').fill(`${password}!`);
    await press('Create account');
    await page.getByRole('alert').waitFor();
    assert.equal(await page.getByLabel('User name').inputValue(), user);
    assert.equal(await page.evaluate(() => document.activeElement?.id), 'password');
    await window.look('register-refused');
    await page.getByLabel('Password', { exact: true }).fill(password);
    await page.getByLabel('Password, once more').fill(password);
    await press('Create account');
    await page.getByRole('button', { name: 'Allow' }).waitFor();
    await page.getByRole('heading', { name: 'Allow Harbour to use your account?' }).waitFor();
    assert.equal(await page.getByRole('link', { name: 'Privacy policy' }).getAttribute('href'), 'https://client.example/privacy');
    assert.equal(await page.getByRole('link', { name: 'Terms of use' }).getAttribute('href'), 'https://client.example/terms');
    await page.getByText('It becomes a new session').waitFor();
    await window.look('consent');
    await press('Allow');
    await page.waitForURL((url) => url.href.startsWith(APP));
    const tokens = await redeem(page.url(), asked.verifier);
    assert.equal(await status(tokens.access_token), 200);

    const pairing = await post('/oauth2/device', { scope: `${API} ${device(unique('TV'))}` });
    await window.get(pairing.verification_uri);
    await window.look('device-code');
    await page.getByLabel('Code').fill('BBBB-BBBB');
    await press('Next');
    await page.getByRole('alert').waitFor();
    await window.look('device-code-refused');
    await page.getByLabel('Code').fill(pairing.user_code);
    await press('Next');
    await page.getByRole('button', { name: 'Allow' }).waitFor();
    await window.look('device-consent');
    await press('Allow');
    await page.getByRole('status').waitFor();
    await window.look('device-done');
    await post('/oauth2/token', { grant_type: DEVICE_GRANT, device_code: pairing.device_code });

    await follow('Your account');
    assert.equal(await page.getByLabel('Display name').inputValue(), user, 'a new account is named as its user wrote it');
    await page.getByLabel('Display name').fill('Ada <3 Lovelace');
    await press('Save');
    await page.getByRole('status').waitFor();
    await window.look('account');
    assert.equal(await page.getByLabel('Display name').inputValue(), 'Ada <3 Lovelace');
    await page.getByText('This browser', { exact: true }).waitFor();
    const row = page.getByRole('listitem').filter({ hasText: id });
    assert.match(await row.getByRole('link', { name: 'Sign out…' }).getAttribute('href') ?? '', new RegExp(`/account/session/end.*${id}`));
    const browsers = page.getByRole('listitem').filter({ hasText: 'This browser' }).locator('time');
    assert.match(await browsers.getAttribute('datetime') ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.match(await browsers.getAttribute('title') ?? '', / UTC$/);
    assert.match(await browsers.textContent() ?? '', /just now|ago$/);
    await row.getByRole('link', { name: 'Harbour', exact: true }).click();
    await window.look('session');
    await follow('Sign out this session');
    await window.look('session-end');
    await press('Sign out this session');
    await page.getByRole('status').waitFor();
    assert.equal(await status(tokens.access_token), 401);
    await window.look('session-ended');

    await page.getByRole('link', { name: 'Change', exact: true }).click();
    await window.look('password');
    await page.getByLabel('Current password').fill('wrong');
    await page.getByLabel('New password').fill(`${password}!`);
    await page.getByLabel('Password, once more').fill(`${password}!`);
    await press('Change password');
    await page.getByRole('alert').waitFor();
    await window.look('password-refused');
    await window.get(`${base}/account?action=org.matrix.cross_signing_reset`);
    await window.look('reset');
    await press('Allow the reset');
    await page.getByRole('status').waitFor();
    await window.look('reset-allowed');
    await window.get(`${base}/oauth2/authorize?client_id=nobody`);
    await window.look('problem');
    await window.get(request(id, { response_mode: 'form_post' }).address);
    await window.look('app-mistake');

    // Where an app that wants a newer sign-in leads, a minute after the last one.
    const { pathname, search } = new URL(request(id, { max_age: '0' }).address);
    await window.get(`${base}/account/sign-in?${new URLSearchParams({ continue: pathname + search, anew: 'true' })}`);
    await page.getByText('Harbour wants to be sure that it is you.').waitFor();
    await window.look('sign-in-again');

    await window.get(`${base}/account?action=org.matrix.account_deactivate`);
    await window.look('deactivate');
    await page.getByLabel('Current password').fill(password);
    await page.getByLabel('Also erase').check();
    await press('Deactivate account');
    await page.getByRole('heading', { name: 'Goodbye' }).waitFor();
    await window.look('deactivated');
  });
}

test('with the keyboard alone: an account, an app let in, the session signed out', { skip: missing }, async () => {
  const window = await Window.open('keyboard', LOOKS['desktop-light']!);
  const { page } = window;
  const { keyboard } = page;
  const [user, id] = [unique(), unique('DEV')];
  const asked = request(id, { prompt: 'create' });
  /** Tabs on until something of this name has the focus, which must be seen. */
  const reach = async (name: string) => {
    for (let steps = 0; steps < 20; steps += 1) {
      const [at, ring] = await page.evaluate(() => {
        const element = document.activeElement as HTMLElement;
        const label = (element as HTMLInputElement).labels?.[0]?.textContent ?? element.textContent;
        return [label?.trim(), parseFloat(getComputedStyle(element).outlineWidth)];
      });
      if (at === name) {
        assert.ok((ring as number) >= 2, `the focus on "${name}" is not seen`);
        return;
      }
      await keyboard.press('Tab');
    }
    assert.fail(`the keyboard does not reach "${name}" on ${page.url()}`);
  };
  const write = async (name: string, text: string) => {
    await reach(name);
    await keyboard.type(text);
  };

  await window.get(asked.address);
  await write('User name', user);
  await write('Password', password);
  await write('Password, once more', password);
  await keyboard.press('Enter');
  await page.getByRole('button', { name: 'Allow' }).waitFor();
  await reach('Allow');
  await window.look('focus');
  await keyboard.press('Enter');
  await page.waitForURL((url) => url.href.startsWith(APP));
  const tokens = await redeem(page.url(), asked.verifier);

  await window.get(`${base}/account`);
  await reach('Harbour');
  await keyboard.press('Enter');
  await page.getByRole('link', { name: 'Sign out this session' }).waitFor();
  await reach('Sign out this session');
  await keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Sign out this session?' }).waitFor();
  await reach('Sign out this session');
  await keyboard.press('Enter');
  await page.getByRole('status').waitFor();
  assert.equal(await status(tokens.access_token), 401);
  await reach('Sign out of this browser');
  await keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
});

for (const [locale, heading, welcome] of [['de-DE', 'Anmelden', 'Willkommen auf'], ['fr-FR', 'Se connecter', 'Bienvenue sur']] as const) {
  test(`a browser that speaks ${locale} is answered so`, { skip: missing }, async () => {
    const window = await Window.open(locale, LOOKS['phone-light']!, locale);
    await window.get(base);
    await window.page.getByRole('heading', { name: welcome }).waitFor();
    await window.look('welcome');
    await window.get(request(unique('DEV')).address);
    await window.page.getByRole('heading', { name: heading }).waitFor();
    await window.look('sign-in');
    await window.get(`${base}/account/register`);
    await window.look('register');
  });
}

test('with scripts the password can be looked at, and is sent hidden', { skip: missing }, async () => {
  const window = await Window.open('show-password', LOOKS['desktop-dark']!, 'en-GB', true);
  const { page } = window;
  const types = () => page.locator('.secret').evaluateAll((fields) => fields.map((field) => (field as HTMLInputElement).type));
  await window.get(`${base}/account/register`);
  await page.getByLabel('User name').fill(unique());
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByLabel('Password, once more').fill(password);
  await page.getByLabel('Show the password').check();
  assert.deepEqual(await types(), ['text', 'text']);
  await window.look('shown');
  await page.getByLabel('Show the password').uncheck();
  assert.deepEqual(await types(), ['password', 'password']);
  await page.getByLabel('Show the password').check();
  await page.getByRole('button', { name: 'Create account' }).click();
  await page.getByRole('heading', { name: 'Your account' }).waitFor();
});

test('the welcome page and the icons may be kept, and keep nobody in mind', async () => {
  const welcome = await fetch(base, { headers: { 'accept-language': 'fr' } });
  const html = await welcome.text();
  assert.equal(welcome.status, 200);
  assert.ok(html.includes('<html lang="fr">') && html.includes(new URL(base).host) && html.length < 10_000, html);
  assert.match(welcome.headers.get('cache-control') ?? '', /^public, max-age=\d+$/);
  assert.equal(welcome.headers.get('vary')?.toLowerCase().includes('accept-language'), true);
  assert.deepEqual(welcome.headers.getSetCookie(), []);
  assert.match(welcome.headers.get('content-security-policy') ?? '', /^default-src 'none'/);
  assert.equal(welcome.headers.get('x-frame-options'), 'DENY');
  for (const [path, type] of [['/favicon.svg', 'image/svg+xml'], ['/favicon.ico', 'image/svg+xml'], ['/apple-touch-icon.png', 'image/png']] as const) {
    const icon = await fetch(base + path);
    assert.equal(icon.status, 200, path);
    assert.equal(icon.headers.get('content-type'), type);
    assert.ok((await icon.arrayBuffer()).byteLength < 1_000, path);
  }
});

test('where there is no page there is a page that says so', async () => {
  const browser = new Browser(base);
  for (const path of ['/account/', '/account/nothing', '/account/nothing/here', '/account/session/']) {
    const page = await browser.get(path);
    assert.equal(page.status, 404, path);
    guarded(page);
    assert.ok(page.html.includes('Nothing here'), path);
  }
});
