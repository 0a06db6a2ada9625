#!/bin/bash
# workerd 1.20261117.1 sends a PUT a second time by itself, and a GET likewise, when the server closes a connection that was used before
# without having answered. A POST is sent once, and so is a PUT on a fresh connection. The worker sees one error; a server that
# took the first PUT in before it failed has got it twice, as with transactions of Matrix.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund miniflare@5.20261117.0-beta
cat > repeated.mjs <<'MODULE'
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { Miniflare, convertV4MiniflareOptions } from 'miniflare';

const version = (name) => JSON.parse(readFileSync(`node_modules/${name}/package.json`, 'utf8')).version;
console.log('workerd', version('workerd'), 'miniflare', version('miniflare'));

let came = 0;
const server = createServer((request, response) => {
  came += 1;
  if (request.url === '/answered') response.end('ok');
  else response.destroy();
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));

const worker = new Miniflare(convertV4MiniflareOptions({
  modules: true,
  compatibilityDate: '2025-09-01',
  bindings: { BASE: `http://127.0.0.1:${server.address().port}` },
  script: `export default {
    async fetch(request, env) {
      const { pathname } = new URL(request.url);
      return fetch(env.BASE + pathname, { method: request.method }).then(
        async (answer) => new Response(await answer.text()),
        (error) => new Response(error.message),
      );
    },
  };`,
}));

/** How often the server got a request that it does not answer. */
async function times(method, connection) {
  if (connection === 'used') await (await worker.dispatchFetch('http://worker/answered')).text();
  came = 0;
  const seen = await (await worker.dispatchFetch('http://worker/unanswered', { method })).text();
  console.log(`${method} on a ${connection} connection: the server got it ${came} times, the worker saw "${seen}"`);
  return came;
}

const seen = [];
for (const connection of ['fresh', 'used']) {
  for (const method of ['GET', 'PUT', 'POST']) seen.push(await times(method, connection));
}
await worker.dispose();
server.close();
process.exitCode = seen.join() === '1,1,1,2,2,1' ? 0 : 1;
MODULE
node repeated.mjs
