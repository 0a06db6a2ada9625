// matrix-js-sdk's own OAuth client and token refresher: the session outlives limits, 503 and lost connections.
import assert from 'node:assert/strict';
import { createServer, request as forward, type IncomingMessage, type ServerResponse } from 'node:http';
import { after, test } from 'node:test';
import { createClient, HttpApiEvent } from 'matrix-js-sdk';
import { OAuth2 } from 'matrix-js-sdk/lib/oauth/index.js';
import { ask, okay, unique, type Json } from './support/client.ts';
import { hush } from './support/js-peer.ts';
import { Browser } from './support/pages.ts';
import { freePort, own, uncontrolled } from './support/server.ts';

hush();
const ADDRESS = '192.0.2.77';
const port = await freePort();
const LIMITS = { public: { burst: 60, per_hour: 3_600 }, refresh: { burst: 6, per_hour: 3_600 } };
const vars = { PUBLIC_URL: `http://127.0.0.1:${port}`, LIMITS };
const server = uncontrolled ? undefined : await own({ flags: ['--open-registration'], vars });
const base = `http://127.0.0.1:${port}`;

/** What happens to the next requests for the token endpoint, one after the other. */
const faults: ('lost before' | 'lost after' | 'away')[] = [];
/** Every answer of the token endpoint that reached its client. */
const answers: { status: number; retryAfter: string | undefined; body: Json }[] = [];

function relay(incoming: IncomingMessage, outgoing: ServerResponse): void {
  const fault = incoming.url === '/oauth2/token' ? faults.shift() : undefined;
  if (fault === 'lost before') return void incoming.socket.destroy();
  if (fault === 'away') return void outgoing.writeHead(503, { 'content-type': 'text/html' }).end('<h1>away</h1>');
  const headers = { ...incoming.headers, 'cf-connecting-ip': ADDRESS };
  const options = { port: server!.port, host: '127.0.0.1', path: incoming.url, method: incoming.method, headers };
  const upstream = forward(options, (answer) => {
    const chunks: Buffer[] = [];
    answer.on('data', (chunk) => chunks.push(chunk)).on('end', () => {
      if (fault === 'lost after') return incoming.socket.destroy();
      const body = Buffer.concat(chunks);
      if (incoming.url === '/oauth2/token') {
        answers.push({ status: answer.statusCode!, retryAfter: answer.headers['retry-after'], body: JSON.parse(String(body)) });
      }
      outgoing.writeHead(answer.statusCode!, answer.headers).end(body);
    });
  });
  upstream.on('error', () => incoming.socket.destroy());
  incoming.pipe(upstream);
}

if (server) {
  const middle = createServer(relay).listen(port, '127.0.0.1');
  after(() => middle.close());
}

interface Session { loggedOut: () => boolean; refresh: () => Promise<void> }

/** Signs in with the SDK's client. A refresh is that of an app which is opened when its access token is over. */
async function signIn(): Promise<Session> {
  const browser = new Browser(base);
  await browser.register(unique(), 'correct horse battery');
  const metadata = await createClient({ baseUrl: base }).getAuthMetadata();
  const redirect = 'https://app.example.org/callback';
  const oauthClientId = await OAuth2.registerClient(metadata, {
    client_name: 'App', client_uri: 'https://app.example.org/', redirect_uris: [redirect], application_type: 'web',
  } as any);
  const oauth = new OAuth2(metadata, { clientId: oauthClientId });
  const page = await browser.get(await oauth.generateAuthorizationCodeGrantUrl(unique(), redirect, 'query'));
  const back = await browser.submit(page, '/oauth2/authorize', { decision: 'allow' });
  const code = new URL(back.headers.get('location')!).searchParams.get('code')!;
  let refreshToken = (await oauth.completeAuthorizationCodeGrant(code, redirect)).refresh_token;
  let loggedOut = false;
  const refresh = async () => {
    const client = createClient({
      baseUrl: base, accessToken: 'over', refreshToken, deviceId: oauth.context.deviceId, oauthClientId,
      onTokenRefresh: async (tokens: { refreshToken?: string }) => { refreshToken = tokens.refreshToken; },
    } as any);
    client.on(HttpApiEvent.SessionLoggedOut as any, () => { loggedOut = true; });
    assert.equal((await client.whoami()).device_id, oauth.context.deviceId);
  };
  return { loggedOut: () => loggedOut, refresh };
}

test('a refresh that is lost before or after the server has it, or finds it away, is tried again', { skip: uncontrolled }, async () => {
  const { loggedOut, refresh } = await signIn();
  await refresh();
  for (const fault of ['lost before', 'lost after', 'away'] as const) {
    faults.push(fault);
    await assert.rejects(refresh(), { name: 'TokenRefreshError' }, fault);
    assert.equal(loggedOut(), false, fault);
    await refresh();
  }
});

test('refreshes are counted by session, told as trouble that passes, and the session survives', { skip: uncontrolled }, async () => {
  const [eager, other] = [await signIn(), await signIn()];
  answers.length = 0;
  for (let i = 0; i < 9; i += 1) await eager.refresh().catch((error) => assert.equal(error.name, 'TokenRefreshError'));
  const refusal = answers.find(({ status }) => status !== 200);
  assert.deepEqual([refusal?.status, refusal?.body], [503, { error: 'temporarily_unavailable' }]);
  assert.ok(Number(refusal?.retryAfter) >= 1, refusal?.retryAfter);
  assert.equal(eager.loggedOut(), false);
  await other.refresh();
});

test('a busy neighbour at the same address takes nobody\'s session', { skip: uncontrolled }, async () => {
  const { loggedOut, refresh } = await signIn();
  const form = { method: 'POST', body: new URLSearchParams({ grant_type: 'refresh_token', client_id: 'x', refresh_token: 'x' }) };
  const noise = await Promise.all(Array.from({ length: 90 }, () => fetch(`${base}/oauth2/token`, form)));
  assert.ok(noise.some(({ status }) => status === 503));
  for (const answer of noise) assert.deepEqual(Object.keys(await answer.json() as Json).filter((key) => key === 'errcode'), []);
  await refresh();
  assert.equal(loggedOut(), false);
  for (const path of ['/_matrix/client/v1/auth_metadata', '/_matrix/client/versions', '/.well-known/matrix/client']) okay(await ask(base, 'GET', path));
});

test('below /oauth2/ every error has the shape of RFC 6749', { skip: uncontrolled }, async () => {
  for (const [method, path] of [['GET', '/oauth2/nothing'], ['PUT', '/oauth2/token'], ['GET', '/oauth2/userinfo'], ['POST', '/oauth2/introspect']] as const) {
    const answer = await fetch(base + path, { method });
    const body: Json = await answer.json();
    assert.ok(answer.status >= 400, path);
    assert.equal(typeof body.error, 'string', path);
    assert.equal(body.errcode, undefined, path);
  }
});
