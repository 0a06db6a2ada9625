#!/bin/bash
# hydrogen-view-sdk asks for the ways to sign in under /_matrix/client/r0/ and never asks /versions whether that is there:
# a server that has v3 alone, which the specification has had since v1.1, cannot be signed in to.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund hydrogen-view-sdk@0.3.1 linkedom@0.18.12
cat > ask.mjs <<'MODULE'
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { parseHTML } from 'linkedom';

const { window } = parseHTML('<html></html>');
Object.assign(globalThis, { window, document: window.document });
const require = createRequire(import.meta.url);
const { Client } = require('hydrogen-view-sdk');
console.log('hydrogen-view-sdk', JSON.parse(readFileSync('node_modules/hydrogen-view-sdk/package.json', 'utf8')).version);

const asked = [];
const ANSWERS = {
  '/_matrix/client/versions': { versions: ['v1.1', 'v1.2', 'v1.3', 'v1.4', 'v1.5', 'v1.6'] },
  '/_matrix/client/v3/login': { flows: [{ type: 'm.login.password' }] },
};
const server = createServer((request, response) => {
  const answer = ANSWERS[request.url];
  asked.push(`${request.method} ${request.url} ${answer ? 200 : 404}`);
  response.writeHead(answer ? 200 : 404, { 'content-type': 'application/json' });
  response.end(JSON.stringify(answer ?? { errcode: 'M_UNRECOGNIZED', error: 'Unrecognized request' }));
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));

/** What the SDK wants of a platform: a request that can be aborted. */
function request(url, { method = 'GET', headers, body }) {
  const answer = fetch(url, { method, headers: Object.fromEntries(headers ?? []), body })
    .then(async (response) => ({ status: response.status, body: await response.json() }));
  return { response: () => answer, abort() {} };
}

const client = new Client({ request, logger: {}, loadOlm: async () => {}, loadOlmWorker: async () => {} });
const outcome = await client.queryLogin(`http://127.0.0.1:${server.address().port}`).result
  .then((ways) => `ways to sign in: ${Object.keys(ways)}`, (error) => `${error.name}: ${error.message}`);
for (const line of asked) console.log(line);
console.log(outcome.replaceAll(/127\.0\.0\.1:\d+/g, 'the server'));
server.close();
const same = asked.some((line) => line === 'GET /_matrix/client/r0/login 404') && !asked.some((line) => line.includes('/versions'));
if (!same) throw new Error('the behaviour has changed');
MODULE
node ask.mjs
