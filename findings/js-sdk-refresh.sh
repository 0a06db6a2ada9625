#!/bin/bash
# matrix-js-sdk ends an OAuth session when its token endpoint is only busy, if the answer is shaped like an error of the
# Matrix API: 429 or 503 with an errcode is a logout, the same statuses in the shape of RFC 6749 or as plain text are not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund matrix-js-sdk@43.0.0
cat > refresh.mjs <<'MODULE'
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createClient, HttpApiEvent } from 'matrix-js-sdk';

// The SDK logs each request.
console.debug = console.warn = console.error = () => {};
console.log('matrix-js-sdk', JSON.parse(readFileSync('node_modules/matrix-js-sdk/package.json', 'utf8')).version);
let token;
const server = createServer((request, response) => {
  const say = (status, type, body) => response.writeHead(status, { 'content-type': type }).end(body);
  const json = (status, body) => say(status, 'application/json', JSON.stringify(body));
  if (request.url.endsWith('/auth_metadata')) return json(200, metadata());
  if (request.url === '/token') return say(...token);
  if (request.url.endsWith('/account/whoami')) {
    return json(401, { errcode: 'M_UNKNOWN_TOKEN', error: 'Expired', soft_logout: true });
  }
  return json(200, { versions: ['v1.1', 'v1.15'] });
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const base = `http://127.0.0.1:${server.address().port}`;

function metadata() {
  return {
    issuer: `${base}/`, authorization_endpoint: `${base}/authorize`, token_endpoint: `${base}/token`,
    revocation_endpoint: `${base}/revoke`, registration_endpoint: `${base}/register`,
    response_types_supported: ['code'], response_modes_supported: ['query', 'fragment'],
    grant_types_supported: ['authorization_code', 'refresh_token'], code_challenge_methods_supported: ['S256'],
  };
}

/** Whether one request with an expired access token ends the session, when the token endpoint answers so. */
async function ends(status, type, body) {
  token = [status, type, body];
  const quiet = { debug() {}, info() {}, warn() {}, error() {}, trace() {}, getChild: () => quiet };
  const client = createClient({
    baseUrl: base, userId: '@a:example.org', deviceId: 'D', accessToken: 'old', refreshToken: 'refresh', logger: quiet,
    oauthClientId: 'client', onTokenRefresh: async () => {},
  });
  let ended = false;
  client.on(HttpApiEvent.SessionLoggedOut, () => { ended = true; });
  await client.whoami().catch(() => {});
  return ended;
}

const MATRIX = JSON.stringify({ errcode: 'M_LIMIT_EXCEEDED', error: 'Too many requests' });
const RFC = JSON.stringify({ error: 'temporarily_unavailable' });
let same = true;
for (const [status, type, body, expected] of [
  [429, 'application/json', MATRIX, true], [503, 'application/json', MATRIX, true],
  [503, 'application/json', RFC, false], [503, 'text/plain', 'busy', false],
]) {
  const ended = await ends(status, type, body);
  console.log(`${status} ${body}: the session ${ended ? 'ends' : 'goes on'}`);
  same &&= ended === expected;
}
server.close();
if (!same) throw new Error('the behaviour has changed');
process.exit(0);
MODULE
timeout 300 node refresh.mjs
