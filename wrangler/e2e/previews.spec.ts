// Previews of addresses: what a page says about itself, taken from servers that mean no good, and from nowhere private.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { eventually, okay, refused, register, type Answer, type Json, type User } from './support/client.ts';
import { download } from './support/media.ts';
import { own, uncontrolled } from './support/server.ts';
import { endless, html, png, raw, redirect, web } from './support/web.ts';

const PREVIEW = '/_matrix/client/v1/media/preview_url';
const picture = png(48, 32);
const image = (path: string): string => `<title>t</title><meta property="og:image" content="${path}">`;

const site = await web({
  '/page': html(`<!doctype html><html><head><title>Not this</title><meta property="og:title" content="Tea &amp; cake">
    <meta property="og:description" content="Two\n lines"><meta property="og:image" content="picture.png">
    <meta property="og:image:alt" content="A cake"></head><body><meta property="og:title" content="nor this"></body>`, 'text/html; charset=utf-8'),
  '/picture.png': (response) => { response.writeHead(200, { 'content-type': 'text/html', 'set-cookie': 'a=b' }).end(picture); },
  '/moved': redirect('/moved/again', 301),
  '/moved/again': (response) => { response.writeHead(307, { 'location': '/page', 'set-cookie': 'session=1' }).end('<title>no</title>'); },
  '/loop': redirect('/loop'),
  '/to-file': redirect('file:///etc/passwd'),
  '/to-data': redirect('data:text/html,<title>x</title>'),
  '/to-user': redirect('http://user:secret@127.0.0.1/'),
  '/to-nothing': (response) => { response.writeHead(302).end('<title>stays</title>'); },
  '/endless': endless('<title>Endless</title>', '<p>'.repeat(10_000)),
  '/slow': endless('<title>Slow', '.', 500),
  '/huge-head': html(`<head><script>${'x'.repeat(900_000)}</script><title>Behind</title>`),
  '/huger-head': html(`<head><script>${'x'.repeat(1_200_000)}</script><title>Too far</title>`),
  '/latin': html(Buffer.from('<meta charset=utf-8><title>gr\xfc\xdfe</title>', 'latin1'), 'text/html; charset=ISO-8859-1'),
  '/russian': html(Buffer.concat([Buffer.from('<meta charset=koi8-r><title>'), Buffer.from([0xce, 0xc5, 0xd4]), Buffer.from('</title>')])),
  '/no-charset': html('<title>größe</title>', 'text/html; charset=x-no-such-thing'),
  '/wrong-charset': html(Buffer.from('<title>a\xff\xfeb</title>', 'latin1'), 'text/html; charset=utf-8'),
  '/bomb': (response) => {
    response.writeHead(200, { 'content-type': 'text/html', 'content-encoding': 'gzip' });
    response.end(gzipSync('<title>Bomb</title>' + ' '.repeat(60_000_000)));
  },
  '/svg': html(image('/svg.svg')),
  '/svg.svg': html('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9" onload="alert(1)"/>', 'image/png'),
  '/large': html(image('/large.png')),
  '/large.png': html(Buffer.concat([picture, Buffer.alloc(5_000_000)]), 'image/png'),
  '/vast': html(image('/vast.png')),
  '/vast.png': (response) => {
    const bomb = Buffer.from(picture);
    bomb.writeUInt32BE(60_000, 16);
    bomb.writeUInt32BE(60_000, 20);
    response.writeHead(200, { 'content-type': 'image/png' }).end(bomb);
  },
  '/local-picture': html(image('file:///etc/passwd')),
  '/cut-picture': html(image('/cut.png')),
  '/cut.png': (response) => {
    response.writeHead(200, { 'content-type': 'image/png', 'content-length': picture.length });
    response.write(picture.subarray(0, 20));
    response.destroy();
  },
  '/bidi': html('<title>a\u202egpj.exe\u0007 b</title>', 'text/html; charset=utf-8'),
  '/plain': html('<title>x</title>', 'text/plain'),
  '/untyped': (response) => { response.writeHead(200).end('<title>x</title>'); },
  '/empty': (response) => { response.writeHead(204).end(); },
  '/broken': (response) => { response.writeHead(500, { 'content-type': 'text/html' }).end('<title>x</title>'); },
});

const open = uncontrolled ? undefined : await own({ vars: { URL_PREVIEWS: 'true', OUTBOUND_PRIVATE: 'true', UNLIMITED: 'true' } });
const reader = open && (await register(open.base));

function look(url: string, user: User = reader!): Promise<Answer> {
  return user.call('GET', PREVIEW, { query: { url }, within: 25_000 });
}

async function seen(path: string): Promise<Json> {
  return okay(await look(site.base + path));
}

const asked = (path: string): number => site.asked.filter((request) => request.path === path).length;

test('a page with its picture is shown, kept, and shown again without being asked again', { skip: uncontrolled }, async () => {
  const preview = await seen('/page');
  const { 'og:image': uri, ...rest } = preview;
  assert.deepEqual(rest, {
    'og:title': 'Tea & cake', 'og:description': 'Two lines', 'og:image:type': 'image/png', 'og:image:width': 48,
    'og:image:height': 32, 'og:image:alt': 'A cake', 'matrix:image:size': picture.length,
  });
  const kept = await download(reader, uri.replace('mxc://', ''));
  assert.deepEqual([kept.status, kept.headers.get('content-type'), kept.headers.get('set-cookie')], [200, 'image/png', null]);
  assert.ok(kept.bytes.equals(picture));
  const other = await register(open!.base);
  const frozen = okay(await other.call('GET', '/_matrix/media/v3/preview_url', { query: { url: `${site.base}/page#part`, ts: Date.now() } }));
  assert.deepEqual(frozen, preview);
  assert.deepEqual([asked('/page'), asked('/picture.png')], [1, 1]);
});

test('nothing of ours goes to the page, and redirects are followed to the end', { skip: uncontrolled }, async () => {
  assert.equal((await seen('/moved'))['og:title'], 'Tea & cake');
  for (const { path, headers } of site.asked) {
    for (const name of ['authorization', 'cookie', 'referer', 'origin', 'cf-connecting-ip', 'x-tern-command']) {
      assert.equal(headers[name], undefined, `${path} was sent ${name}`);
    }
  }
  refused(await look(site.base + '/loop'), 502, 'M_UNKNOWN');
  assert.equal(asked('/loop'), 5);
  for (const path of ['/to-file', '/to-data', '/to-user']) refused(await look(site.base + path), 403, 'M_FORBIDDEN');
  refused(await look(site.base + '/to-nothing'), 502, 'M_UNKNOWN');
});

test('what has no end is cut, and what takes too long is left', { skip: uncontrolled }, async (t) => {
  assert.equal((await seen('/endless'))['og:title'], 'Endless');
  assert.equal((await seen('/bomb'))['og:title'], 'Bomb');
  assert.equal((await seen('/huge-head'))['og:title'], 'Behind');
  assert.deepEqual(await seen('/huger-head'), {});
  const slow = await look(site.base + '/slow');
  refused(slow, 504, 'M_UNKNOWN');
  t.diagnostic(`given up after ${Math.round(slow.ms)} ms`);
  assert.ok(slow.ms < 20_000);
  await eventually('endless answers are broken off', async () => site.brokenOff >= 2);
  const again = await look(site.base + '/slow');
  refused(again, 504, 'M_UNKNOWN');
  assert.equal(asked('/slow'), 1, 'it is remembered that there is nothing');
});

test('texts come out right whatever the page is encoded in', { skip: uncontrolled }, async () => {
  const titles = { '/latin': 'grüße', '/russian': 'нет', '/no-charset': 'größe', '/wrong-charset': 'a\ufffd\ufffdb', '/bidi': 'agpj.exe b' };
  for (const [path, title] of Object.entries(titles)) assert.equal((await seen(path))['og:title'], title, path);
});

test('what is no picture is not kept as one', { skip: uncontrolled }, async () => {
  for (const path of ['/svg', '/large', '/vast', '/local-picture', '/cut-picture']) {
    assert.deepEqual(await seen(path), { 'og:title': 't' }, path);
  }
  const alone = await seen('/picture.png');
  assert.deepEqual(alone, {}, 'it says that it is a page');
});

test('what is no page has no preview', { skip: uncontrolled }, async () => {
  for (const path of ['/plain', '/untyped', '/empty']) assert.deepEqual(await seen(path), {}, path);
  for (const path of ['/broken', '/nowhere']) refused(await look(site.base + path), 502, 'M_UNKNOWN');
  for (const url of ['', 'x', '//example.org/', `http://a/${'x'.repeat(2_000)}`]) refused(await look(url), 400, 'M_INVALID_PARAM');
  refused(await reader!.call('GET', PREVIEW), 400, 'M_MISSING_PARAM');
  for (const url of ['file:///etc/passwd', 'data:text/html,x', 'ftp://example.org/']) refused(await look(url), 403, 'M_FORBIDDEN');
  const split = await raw('HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Type: image/png\r\nX-A: b\r\n c\r\nContent-Length: 19\r\n\r\n<title>Two</title>\n');
  const torn = await raw('HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100000\r\n\r\n<title>Torn</title>');
  const noise = await raw('\x00\x01 not HTTP at all\r\n\r\n');
  const headers = await raw(`HTTP/1.1 200 OK\r\n${`X-Filler: ${'x'.repeat(8_000)}\r\n`.repeat(200)}\r\n<title>x</title>`);
  for (const url of [split, torn, noise, headers]) {
    const answer = await look(url);
    assert.ok([200, 502].includes(answer.status), `${answer.status} ${answer.text}`);
    assert.ok(answer.status === 200 || answer.json.errcode === 'M_UNKNOWN', answer.text);
  }
});

test('the server asks nobody on private networks unless it is told to', { skip: uncontrolled }, async () => {
  const closed = await own({ vars: { URL_PREVIEWS: 'true', UNLIMITED: 'true' } });
  const user = await register(closed.base);
  const port = new URL(site.base).port;
  const before = site.asked.length;
  for (const host of [
    '127.0.0.1', '127.1', '2130706433', '0x7f.1', '0', '[::1]', '[::]', '[::ffff:127.0.0.1]', 'localhost', 'LOCALHOST.', 'a.localhost',
    '10.0.0.1', '172.16.0.1', '192.168.1.1', '169.254.169.254', '100.64.0.1', '[fe80::1]', '[fc00::1]', 'router', 'printer.local', 'db.internal',
  ]) {
    refused(await look(`http://${host}:${port}/page`, user), 403, 'M_FORBIDDEN');
  }
  refused(await look('https://example.org:22/', user), 403, 'M_FORBIDDEN');
  assert.equal(site.asked.length, before);
  await closed.stop();
});

test('a public host leads nowhere private, neither by a redirect nor by a picture', { skip: uncontrolled }, async () => {
  const within = [`127.0.0.1:${new URL(site.base).port}`, 'localhost', '10.0.0.1', '169.254.169.254', '[::1]', 'db.internal', '2130706433'];
  const town = await web({
    '/page': html('<title>Public</title>'),
    '/moved': redirect('/page'),
    '/picture': html(image(`http://${within[0]}/picture.png`)),
    ...Object.fromEntries(within.map((host, n) => [`/to-${n}`, redirect(`http://${host}/page`)])),
    ...Object.fromEntries(within.map((_, n) => [`/far-${n}`, redirect(`/to-${n}`)])),
  });
  const server = await own({ flags: ['--open-registration', '--unlimited', '--chaos'], vars: { URL_PREVIEWS: 'true' } });
  await server.host('public.example', town.base);
  const user = await register(server.base);
  const at = (path: string): Promise<Answer> => look(`http://public.example${path}`, user);
  assert.equal(okay(await at('/moved'))['og:title'], 'Public');
  const before = site.asked.length;
  for (const n of within.keys()) {
    for (const path of [`/to-${n}`, `/far-${n}`]) refused(await at(path), 403, 'M_FORBIDDEN');
  }
  assert.deepEqual(okay(await at('/picture')), { 'og:title': 't' });
  assert.equal(site.asked.length, before, 'nothing private was asked');
  assert.equal(town.asked.filter(({ path }) => path.startsWith('/to-')).length, 2 * within.length);
  await server.stop();
});
