// Registrations as bridges write them: taken as they are, or refused in words that say what to do; tokens are never shown.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { ask, at, okay, refused, register, unique, type Json } from './support/client.ts';
import { CHECKOUT, own, uncontrolled } from './support/server.ts';
import { did, xtask } from './support/xtask.ts';

const folder = mkdtempSync(join(tmpdir(), 'tern-e2e-appservice-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** A folder of a server that never ran. */
function stateFolder(vars?: object): string {
  const state = mkdtempSync(join(folder, 'state-'));
  writeFileSync(join(state, 'keys.json'), '{}');
  if (vars) writeFileSync(join(state, 'vars.json'), JSON.stringify(vars));
  return state;
}

function file(text: string | Uint8Array): string {
  const path = join(folder, unique('registration-') + '.yaml');
  writeFileSync(path, text);
  return path;
}

const read = (path: string): Json => JSON.parse(readFileSync(path, 'utf8'));

/** As mautrix bridges write theirs (mautrix-go, `registration.yaml`). */
function mautrix(id: string, url: string, server: string): { yaml: string; tokens: { as: string; hs: string } } {
  const tokens = { as: unique('AsTokenOfMautrix'), hs: unique('HsTokenOfMautrix') };
  const host = server.replaceAll('.', '\\.');
  return { tokens, yaml: `id: ${id}
url: ${url}
as_token: ${tokens.as}
hs_token: ${tokens.hs}
sender_localpart: ${unique('NlQ0bYwXzFQ0kmP2')}
rate_limited: false
namespaces:
    users:
        - regex: ^@${id}bot:${host}$
          exclusive: true
        - regex: ^@${id}_.*:${host}$
          exclusive: true
de.sorunome.msc2409.push_ephemeral: true
receive_ephemeral: true
io.element.msc4190: true
` };
}

/** As matrix-appservice-irc writes its own (js-yaml): keys without values, strings in quotes. */
const IRC = `id: irc
hs_token: 5f1ac9aa4d5cd8ee1d7bff5b3ecb1ab5ed5ab5ef1e01d12f4b9a4f1d84d0f1aa
as_token: '1234567890123456789012345678901234567890123456789012345678901234'
namespaces:
  users:
    - exclusive: true
      regex: '@irc\\.libera\\.chat_.*:example.org'
  aliases:
    - exclusive: true
      regex: '#irc_.*:example.org'
  rooms: []
url: 'https://irc.example.org'
sender_localpart: appservice-irc
rate_limited: false
protocols:
  - irc
push_ephemeral:
`;

const HEAD = 'as_token: SECRET-0123456789abcdef\nhs_token: SECRET-of-the-server-abcdef\n';
const WHOLE = `id: it\n${HEAD}sender_localpart: it\n`;
/** Files that cannot be used, and what is said of them. */
const UNUSABLE: [string | Uint8Array, ...RegExp[]][] = [
  ['', /it has no keys/],
  ['SECRET', /it has no keys/],
  [`id: it\n${HEAD.replace(/^as_token.*\n/, '')}`, /as_token is missing/, /sender_localpart is missing/],
  [WHOLE.replace('SECRET-0123456789abcdef', 'SECRET-01234567'), /as_token is shorter than 16 characters/],
  [WHOLE.replace('SECRET-0123456789abcdef', '12345678901234567890'), /as_token is no text; put it in quotes/],
  [WHOLE.replace('id: it', 'id: ""'), /id is empty/],
  [WHOLE.replace('localpart: it', 'localpart: "@it:example.org"'), /sender_localpart is no localpart/],
  [`${WHOLE}rate_limited: no\n`, /rate_limited is neither true nor false/],
  [`${WHOLE}namespaces:\n  users: {regex: "@it_.*"}\n`, /namespaces\.users is no list/],
  [`${WHOLE}namespaces:\n  users: ["@it_.*"]\n  rooms: [{exclusive: true}]\n`, /namespaces\.users\[0\] has no keys/, /rooms\[0\] has no regex/],
  [`${WHOLE}namespaces:\n  users: [{regex: '@(?!admin)it_.*'}]\n`, /namespaces\.users: the server cannot use the expression/],
  [`${WHOLE}url: bridge:29317\n`, /url is no address that begins with http/],
  [`${WHOLE}url: http://SECRET:SECRET@bridge.example.org\n`, /url has a user name or a password/],
  [`${WHOLE}as_token: SECRET-another-abcdef\n`, /line 5: this key is there already/],
  [`${WHOLE}---\n${WHOLE}`, /line 5: a second document begins here/],
  [`${WHOLE}\tprotocols: []\n`, /line 5: /],
  [`${WHOLE}SECRET\n`, /line 5: this is no YAML/],
  [`${WHOLE}bomb:\n  - &a [x,x,x,x]\n  - &b [*a,*a,*a,*a]\n  - &c [*b,*b,*b,*b]\n  - &d [*c,*c,*c,*c]\n  - [*d,*d,*d,*d]\n`, /its aliases/],
  [`${WHOLE}#${'x'.repeat(64 * 1024)}\n`, /larger than 64 KiB/],
  [new Uint8Array([0x69, 0x64, 0x3a, 0xff]), /not text in UTF-8/],
];

test('a file that cannot be used is refused in words that say why, and changes nothing', async () => {
  const state = stateFolder();
  for (const [text, ...reasons] of UNUSABLE) {
    const path = file(text);
    const { ok, said } = await xtask('appservice', 'add', path, '--state', state);
    assert.ok(!ok, said);
    for (const reason of reasons) assert.match(said, reason);
    assert.doesNotMatch(said, /SECRET/, 'nothing of the file is shown');
  }
  assert.ok(!existsSync(join(state, 'vars.json')));
  const { said } = await xtask('appservice', 'add', file(IRC), '--state', folder);
  assert.match(said, /is not the folder of a server/);
});

test('registrations are added, listed, replaced when that is wanted, and removed; all else stays', async () => {
  const state = stateFolder({ MEDIA_QUOTA: 1_000_000, APPSERVICES: '[]' });
  const vars = join(state, 'vars.json');
  const to = ['--state', state];
  const { yaml, tokens } = mautrix('telegram', 'http://mautrix-telegram:29317', 'example.org');
  const first = await did('appservice', 'add', file(yaml), ...to);
  assert.match(first.said, /left out.*"io\.element\.msc4190"/);
  assert.match(first.said, /OUTBOUND_PRIVATE/, 'the bridge is at a private address');
  assert.match(first.said, /reads it at its next start/);
  const second = await did('appservice', 'add', file(IRC), ...to);
  assert.doesNotMatch(second.said, /OUTBOUND_PRIVATE/);
  assert.equal(statSync(vars).mode & 0o777, 0o600);
  assert.deepEqual(Object.keys(read(vars)), ['MEDIA_QUOTA', 'APPSERVICES']);
  const [telegram, irc] = read(vars).APPSERVICES;
  assert.deepEqual([telegram.as_token, telegram.hs_token], [tokens.as, tokens.hs]);
  assert.equal(telegram.namespaces.users[1].regex, '^@telegram_.*:example\\.org$');
  assert.ok(telegram.receive_ephemeral && telegram['de.sorunome.msc2409.push_ephemeral']);
  assert.deepEqual(Object.keys(irc).sort(), ['as_token', 'hs_token', 'id', 'namespaces', 'protocols', 'rate_limited', 'sender_localpart', 'url']);

  const listed = (await did('appservice', 'list', ...to)).stdout.trim().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual(listed.map(({ id, url }) => [id, url]), [['telegram', 'http://mautrix-telegram:29317'], ['irc', 'https://irc.example.org']]);
  assert.doesNotMatch(JSON.stringify(listed), /token/i);

  const before = readFileSync(vars, 'utf8');
  for (const [text, reason] of [
    [IRC, /irc is registered already; with --replace/],
    [IRC.replace('id: irc', 'id: irc2'), /as_token is that of irc already/],
    [IRC.replace('id: irc', 'id: irc2').replace("as_token: '1", "as_token: '2"), /hs_token is that of irc already/],
    [IRC.replace('id: irc', 'id: irc2').replace("as_token: '1", "as_token: '2").replace('hs_token: 5', 'hs_token: a'), /sender_localpart is that of irc already/],
  ] as const) {
    const { ok, said } = await xtask('appservice', 'add', file(text), ...to);
    assert.ok(!ok, said);
    assert.match(said, reason);
    assert.doesNotMatch(said, /5f1ac9aa|1234567890/);
  }
  assert.equal(readFileSync(vars, 'utf8'), before);

  await did('appservice', 'add', '--replace', file(IRC.replace('url: ', 'url: #')), ...to);
  assert.deepEqual(read(vars).APPSERVICES.map(({ id, url }: Json) => [id, url]), [['telegram', 'http://mautrix-telegram:29317'], ['irc', null]]);
  assert.ok(!(await xtask('appservice', 'remove', 'nobody', ...to)).ok);
  await did('appservice', 'remove', 'telegram', ...to);
  assert.deepEqual(read(vars).APPSERVICES.map(({ id }: Json) => id), ['irc']);
});

test('a deployment keeps them as a secret, within what Cloudflare takes', async () => {
  const name = `e2e-${unique().toLowerCase().replace(/[^a-z0-9]/g, '').slice(-20)}`;
  const place = join(CHECKOUT, '.deploy', name);
  const secrets = join(place, 'secrets.json');
  const to = ['--deployment', name];
  mkdirSync(place, { recursive: true });
  after(() => rmSync(place, { recursive: true, force: true }));
  const bridge = file(mautrix('telegram', 'http://10.1.2.3:29317', 'example.org').yaml);
  const early = await xtask('appservice', 'add', bridge, ...to);
  assert.ok(!early.ok && early.said.includes(`cargo xtask deploy ${name}`), early.said);
  assert.ok(!existsSync(secrets), 'a deployment must not begin with this secret alone');

  writeFileSync(secrets, JSON.stringify({ SIGNING_KEY: 'kept' }));
  const { said } = await did('appservice', 'add', bridge, ...to);
  assert.match(said, /Cloudflare reaches no other/);
  assert.ok(said.includes(`cargo xtask deploy ${name}`), said);
  assert.equal(statSync(secrets).mode & 0o777, 0o600);
  assert.equal(read(secrets).SIGNING_KEY, 'kept');
  assert.deepEqual(JSON.parse(read(secrets).APPSERVICES).map(({ id }: Json) => id), ['telegram']);

  const before = readFileSync(secrets, 'utf8');
  const long = `${WHOLE}namespaces:\n  users: [${Array.from({ length: 200 }, (_, n) => `{regex: "@it_${n}_.*:example.org"}`).join(', ')}]\n`;
  assert.match((await xtask('appservice', 'add', file(long), ...to)).said, /Cloudflare takes 5120 as one secret/);
  assert.equal(readFileSync(secrets, 'utf8'), before);

  writeFileSync(join(place, 'record.json'), JSON.stringify({ deployed: { commit: 'x' } }));
  const removed = await did('appservice', 'remove', 'telegram', ...to);
  assert.ok(removed.said.includes(`cargo xtask upgrade ${name}`), removed.said);
  assert.equal(read(secrets).APPSERVICES, '[]', 'sent, or Cloudflare would keep the old one');
  writeFileSync(join(place, 'vars.json'), JSON.stringify({ APPSERVICES: [] }));
  assert.match((await xtask('appservice', 'list', ...to)).said, /move it into secrets\.json/);
});

test('a server that is started again knows a bridge by the file that the bridge wrote', { skip: uncontrolled }, async () => {
  const pinged: (string | undefined)[] = [];
  const bridge = createServer(async (request, response) => {
    await textOf(request);
    if (request.url === '/_matrix/app/v1/ping') pinged.push(request.headers.authorization);
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  }).listen(0, '127.0.0.1');
  await once(bridge, 'listening');
  after(() => bridge.close());
  const address = bridge.address();
  const port = typeof address === 'object' && address ? address.port : 0;

  const server = await own({ vars: { OUTBOUND_PRIVATE: 'true' } });
  const { server: name } = await register(server.base);
  const { yaml, tokens } = mautrix('telegram', `http://localhost:${port}`, name);
  const { said } = await did('appservice', 'add', file(yaml), '--state', server.state);
  assert.ok(said.includes(`${server.base} runs`), said);
  assert.doesNotMatch(said, /OUTBOUND_PRIVATE/);
  assert.doesNotMatch(said, new RegExp(`${tokens.as}|${tokens.hs}`));
  refused(await ask(server.base, 'GET', '/account/whoami', { token: tokens.as }), 401, 'M_UNKNOWN_TOKEN');

  await server.restart();
  const body = { type: 'm.login.application_service', username: 'telegram_42', inhibit_login: true };
  assert.equal(okay(await ask(server.base, 'POST', '/register', { token: tokens.as, body })).user_id, `@telegram_42:${name}`);
  refused(await ask(server.base, 'POST', '/register', { body: { username: 'telegram_43', password: unique('Pw-') } }), 400, 'M_EXCLUSIVE');
  okay(await ask(server.base, 'POST', at`/_matrix/client/v1/appservice/${'telegram'}/ping`, { token: tokens.as, body: {} }));
  assert.deepEqual(pinged, [`Bearer ${tokens.hs}`]);

  await did('appservice', 'remove', 'telegram', '--state', server.state);
  await server.restart();
  refused(await ask(server.base, 'GET', '/account/whoami', { token: tokens.as }), 401, 'M_UNKNOWN_TOKEN');
});
