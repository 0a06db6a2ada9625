#!/bin/bash
# matrix-js-sdk peeks into a room by /initialSync and then /events, but its first /events names no place to go on from
# although /initialSync did: what happens between the two requests is not seen until the room is opened again.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund matrix-js-sdk@43.0.0
cat > peek.mjs <<'MODULE'
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createClient } from 'matrix-js-sdk';

// The SDK logs each request.
console.debug = console.info = console.warn = console.error = () => {};
console.log('matrix-js-sdk', JSON.parse(readFileSync('node_modules/matrix-js-sdk/package.json', 'utf8')).version);
const ROOM = '!room:example.org';
const asked = [];
const creation = {
  type: 'm.room.create', state_key: '', sender: '@b:example.org', room_id: ROOM, event_id: '$1', origin_server_ts: 1,
  content: { room_version: '11' },
};
let enough;
const polls = new Promise((done) => { enough = done; });
const server = createServer((request, response) => {
  const url = new URL(request.url, 'http://local');
  const json = (body) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  if (url.pathname.endsWith('/initialSync')) {
    return json({ room_id: ROOM, messages: { start: 's0', end: 's1', chunk: [creation] }, state: [creation], presence: [] });
  }
  if (url.pathname.endsWith('/events')) {
    asked.push(url.searchParams.get('from'));
    if (asked.length === 2) enough();
    return json({ start: 's1', end: 's2', chunk: [] });
  }
  return json({ versions: ['v1.1'] });
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const quiet = { debug() {}, info() {}, warn() {}, error() {}, trace() {}, getChild: () => quiet };
const client = createClient({
  baseUrl: `http://127.0.0.1:${server.address().port}`, userId: '@a:example.org', accessToken: 'a', logger: quiet,
});
await client.peekInRoom(ROOM);
await polls;
console.log('initialSync ended at s1');
console.log(`/events from ${asked[0] ?? 'nowhere'}, then from ${asked[1] ?? 'nowhere'}`);
if (asked[0] !== null || asked[1] !== 's2') throw new Error('the behaviour has changed');
process.exit(0);
MODULE
timeout 60 node peek.mjs
