// The pages of other ways in, in a real browser: other providers, older apps, stages of interactive authentication, mail,
// terms. Scripts are off, as in `pages`. Pictures go to TERN_OUTPUT.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { ask, login, okay, register, unique, type Json } from './support/client.ts';
import { closeAll, LOOKED_AT, missing, Window } from './support/chromium.ts';
import { link, mail } from './support/mailbox.ts';
import { Browser, guarded } from './support/pages.ts';
import { Provider } from './support/provider.ts';
import { own, uncontrolled } from './support/server.ts';

const skip = uncontrolled || missing;
const password = 'correct horse battery';
/** Apps of the older kind, one of them known to the operator. */
const app = createServer((_, answer) => answer.setHeader('content-type', 'text/html').end('<title>app</title>back in the app'));
const other = createServer((_, answer) => answer.setHeader('content-type', 'text/html').end('<title>app</title>back in the app'));
const at = async (server: typeof app) => {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
};
const [KNOWN, APP] = skip ? ['', ''] : [await at(app), await at(other)];
const provider = skip ? undefined! : await new Provider().start();
const TERMS = {
  privacy_policy: { version: '1', en: { name: 'Privacy policy', url: 'https://example.org/privacy' } },
  conduct: { version: '1', en: { name: 'Code of conduct', url: 'https://example.org/conduct' } },
};
const server = skip ? undefined! : await own({
  flags: ['--open-registration', '--unlimited', '--mail'],
  vars: {
    OUTBOUND_PRIVATE: 'true', TERMS, SSO_CLIENTS: [KNOWN], REGISTRATION_TOKENS: 'true',
    UPSTREAM: [{ id: 'harbour', name: 'Harbour', issuer: provider.issuer, client_id: 'tern', localpart: '{preferred_username}', display_name: '{name}' }],
    UPSTREAM_SECRETS: { harbour: provider.secret },
  },
});
const base = server?.base;

after(async () => {
  await closeAll();
  app.close();
  other.close();
});

/** An account made by the API, which takes the terms first. */
async function account(): Promise<{ name: string; id: string; token: string }> {
  const body = { username: unique(), password };
  const { session } = (await ask(base, 'POST', '/register', { body })).json;
  await ask(base, 'POST', '/register', { body: { ...body, auth: { type: 'm.login.terms', session } } });
  const made = okay(await ask(base, 'POST', '/register', { body: { ...body, auth: { type: 'm.login.dummy', session } } }));
  return { name: body.username, id: made.user_id, token: made.access_token };
}

const sso = (target: string) => `${base}/_matrix/client/v3/login/sso/redirect?redirectUrl=${encodeURIComponent(target)}`;
const byToken = (address: string) =>
  ask(base, 'POST', '/login', { body: { type: 'm.login.token', token: new URL(address).searchParams.get('loginToken') } });

for (const [name, look] of LOOKED_AT) {
  test(`the further pages, on a ${name.replace('-', ' in ')} window, without a script`, { skip }, async () => {
    const window = await Window.open(`further-${name}`, look);
    const { page } = window;
    const press = (label: string) => page.getByRole('button', { name: label, exact: true }).click();
    const follow = (label: string) => page.getByRole('link', { name: label, exact: true }).click();
    const said = () => page.getByRole('status').waitFor();
    const refused = () => page.getByRole('alert').waitFor();

    // A provider, terms, a name of one's own.
    const taken = await account();
    provider.person = { sub: unique('sub'), preferred_username: taken.name, name: 'Ada Lovelace' };
    await window.get(`${base}/account/sign-in`);
    await window.look('sign-in-with-provider');
    await follow('Continue with Harbour');
    await page.getByRole('heading', { name: 'Choose a user name' }).waitFor();
    await window.look('choose-name');
    await page.getByLabel('I agree').check();
    await press('Create account');
    await refused();
    await window.look('choose-name-refused');
    await page.getByLabel('User name').fill(unique());
    await page.getByLabel('I agree').check();
    await press('Create account');
    await page.getByRole('button', { name: 'Disconnect' }).waitFor();
    await window.look('account-with-provider');
    await press('Disconnect');
    await refused();
    await window.look('last-way');

    // An older app, with a question and without.
    await window.get(sso(APP));
    await page.getByRole('button', { name: 'Allow' }).waitFor();
    await window.look('sso');
    await press('Allow');
    await page.waitForURL((url) => url.href.startsWith(APP));
    const session = okay(await byToken(page.url()));

    // Stages of interactive authentication, of which an app shows the page.
    const challenge = await ask(base, 'DELETE', `/devices/${session.device_id}`, { token: session.access_token, body: {} });
    await window.get(`${base}/_matrix/client/v3/auth/m.login.sso/fallback/web?session=${challenge.json.session}`);
    await window.look('stage-sso');
    await press('Next');
    await said();
    await window.look('stage-done');
    okay(await ask(base, 'DELETE', `/devices/${session.device_id}`, { token: session.access_token, body: { auth: { session: challenge.json.session } } }));
    const opened = (await ask(base, 'POST', '/register', { body: { username: unique(), password } })).json.session;
    const stage = (kind: string) => `${base}/_matrix/client/v3/auth/${kind}/fallback/web?session=${opened}`;
    await window.get(stage('m.login.terms'));
    await window.look('stage-terms');
    await press('I agree');
    await said();
    await window.get(stage('m.login.registration_token'));
    await window.look('stage-token');
    await page.getByLabel('Registration token').fill('guess');
    await press('Next');
    await refused();
    await window.look('stage-token-refused');

    // A new account behind the terms, then an app that is known: one form leads to both.
    await window.get(`${base}/account`);
    await press('Sign out of this browser');
    await window.get(sso(KNOWN));
    await follow('Create account');
    await window.look('register-terms');
    await page.getByLabel('User name').fill(unique());
    await page.getByLabel('Password', { exact: true }).fill(password);
    await page.getByLabel('Password, once more').fill(password);
    await page.getByLabel('I agree').check();
    await press('Create account');
    await page.waitForURL((url) => url.href.startsWith(KNOWN));
    const known = okay(await byToken(page.url()));
    await window.get(`${base}/account`);
    await press('Sign out of this browser');
    await window.get(sso(KNOWN));
    await page.getByLabel('User name').fill(known.user_id);
    await page.getByLabel('Password').fill(password);
    await press('Sign in');
    await page.waitForURL((url) => url.href.startsWith(KNOWN));
    assert.equal(okay(await byToken(page.url())).user_id, known.user_id);

    // Mail: an address that is confirmed, a password that was forgotten.
    const [email, client_secret] = [`${unique('mail')}@example.org`, unique('s')];
    const { sid } = okay(await ask(base, 'POST', '/account/3pid/email/requestToken', { body: { email, client_secret, send_attempt: 1 } }));
    const first = link(await mail(server, email));
    await window.get(first.href);
    await page.getByLabel('The link from the mail').fill(first.href);
    await window.look('mail-confirm');
    await press('Yes, confirm');
    await said();
    await window.look('mail-confirmed');
    const auth = { type: 'm.login.password', identifier: { type: 'm.id.user', user: known.user_id }, password };
    okay(await ask(base, 'POST', '/account/3pid/add', { token: known.access_token, body: { sid, client_secret, auth } }));
    await window.get(`${base}/account`);
    await press('Sign out of this browser');
    await follow('Forgot your password?');
    await window.look('recover');
    await page.getByLabel('Mail address').fill(email);
    await press('Send the link');
    await said();
    await window.look('mail-sent');
    const second = link(await mail(server, email, 2));
    // With scripts nobody pastes anything, and nothing secret stays in the address.
    const scripted = await Window.open(`further-${name}-with-scripts`, look, 'en-GB', true);
    await scripted.get(second.href);
    await scripted.page.getByLabel('The link from the mail').waitFor({ state: 'hidden' });
    assert.equal(await scripted.page.locator('#proof').inputValue(), second.hash.slice(1));
    assert.deepEqual([new URL(scripted.page.url()).hash, new URL(scripted.page.url()).searchParams.has('token')], ['', false]);
    await scripted.look('new-password-with-scripts');
    await window.get(second.href);
    await page.getByLabel('The link from the mail').fill(second.href);
    await window.look('new-password');
    await page.getByLabel('New password').fill(`${password}!`);
    await page.getByLabel('Password, once more').fill(password);
    await press('Set a new password');
    await refused();
    await window.look('new-password-refused');
    await page.getByLabel('New password').fill(`${password}!`);
    await page.getByLabel('Password, once more').fill(`${password}!`);
    await press('Set a new password');
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    okay(await login(base, known.user_id, `${password}!`));
  });
}

test('who does not agree to the terms gets no account, whatever the browser lets through', { skip: uncontrolled }, async () => {
  const browser = new Browser(base);
  const form = await browser.get('/account/register');
  guarded(form);
  assert.ok(form.html.includes('https://example.org/privacy') && form.html.includes('https://example.org/conduct'));
  const name = unique();
  const fields = { username: name, password, repeat: password };
  const without = await browser.submit(form, '/account/register', fields);
  assert.equal(without.status, 403);
  assert.match(without.html, /role="alert"/);
  assert.equal((await browser.submit(without, '/account/register', { ...fields, terms: 'agreed' })).url, `${base}/account`);

  provider.person = { sub: unique('sub'), preferred_username: unique('free') };
  const newcomer = new Browser(base);
  const away = await newcomer.get('/account/upstream?provider=harbour&continue=%2Faccount');
  const back = await fetch(away.headers.get('location')!, { redirect: 'manual' });
  const choose = await newcomer.get(back.headers.get('location')!);
  guarded(choose);
  assert.ok(choose.html.includes('Choose a user name'), 'a free name makes no account before the terms were agreed to');
  const username = provider.person.preferred_username;
  assert.equal((await newcomer.submit(choose, '/account/upstream/name', { username })).status, 403);
  const form_token = 'x';
  assert.equal((await newcomer.submit(choose, '/account/upstream/name', { username, terms: 'agreed', form_token })).status, 403);
  assert.equal((await newcomer.submit(choose, '/account/upstream/name', { username, terms: 'agreed' })).url, `${base}/account`);
});
