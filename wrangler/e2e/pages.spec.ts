// The pages in a real browser, on a phone and on a desk, by day and by night, with scripts off. Pictures go to TERN_OUTPUT.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { ask, unique, type Json } from './support/client.ts';
import { closeAll, LOOKS, missing, Window } from './support/chromium.ts';
import { API, device, pkce } from './support/pages.ts';
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
    client_name: 'Harbour', client_uri: 'https://client.example/', application_type: 'native', redirect_uris: ['http://127.0.0.1/'],
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

for (const [name, look] of Object.entries(LOOKS)) {
  test(`every page, on a ${name.replace('-', ' in ')} window, without a script`, { skip: missing }, async () => {
    const window = await Window.open(name, look);
    const { page } = window;
    const press = (label: string) => page.getByRole('button', { name: label, exact: true }).click();
    const follow = (label: string) => page.getByRole('link', { name: label, exact: true }).click();
    const [user, id] = [unique(), unique('DEV')];
    const asked = request(id);

    await window.get(asked.address);
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
    await window.look('register-refused');
    await page.getByLabel('Password', { exact: true }).fill(password);
    await page.getByLabel('Password, once more').fill(password);
    await press('Create account');
    await page.getByRole('button', { name: 'Allow' }).waitFor();
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
    await page.getByLabel('Display name').fill('Ada <3 Lovelace');
    await press('Save');
    await page.getByRole('status').waitFor();
    await window.look('account');
    assert.equal(await page.getByLabel('Display name').inputValue(), 'Ada <3 Lovelace');
    await window.get(`${base}/account?action=org.matrix.device_view&device_id=${id}`);
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
  await reach('Details');
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

test('a browser that speaks German is answered in German', { skip: missing }, async () => {
  const window = await Window.open('german', LOOKS['phone-light']!, 'de-DE');
  await window.get(request(unique('DEV')).address);
  await window.page.getByRole('heading', { name: 'Anmelden' }).waitFor();
  await window.look('anmelden');
});
