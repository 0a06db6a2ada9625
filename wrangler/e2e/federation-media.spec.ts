// Media between servers: this one's for others, in an envelope that says what it is, and those of others, copied once.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ask, at, okay, refused, register, unique, type Json } from './support/client.ts';
import { Peer, type Reply, type Served } from './support/federation-peer.ts';
import { download, DOWNLOAD, noise, upload } from './support/media.ts';
import { own, uncontrolled } from './support/server.ts';
import { png } from './support/web.ts';

const skip = uncontrolled;
const MOST = 2_000_000;
const server = skip ? undefined! : await own({ vars: { OUTBOUND_PRIVATE: 'true', MEDIA_MAX_UPLOAD: String(MOST) } });
const base = server?.base;
const peer = skip ? undefined! : await new Peer().start();
const [alice, bob] = skip ? [undefined!, undefined!] : [await register(base), await register(base)];
const us: string = skip ? '' : alice.server;

const OUT = '/_matrix/federation/v1/media/';
const THUMBNAIL = '/_matrix/client/v1/media/thumbnail/';
const picture = png(300, 200);

const get = (target: string) => peer.send(base, us, 'GET', OUT + target);
const fails = (reply: Reply, status: number, errcode: string) =>
  assert.deepEqual([reply.status, reply.json?.errcode], [status, errcode], reply.text);

/** The two parts of an envelope: the metadata, and the content with its headers. */
function opened(reply: Reply): { meta: Json; headers: string; content: Buffer } {
  assert.equal(reply.status, 200, reply.text);
  const boundary = /^multipart\/mixed; *boundary="?([^"]+)"?$/u.exec(reply.type)?.[1];
  assert.ok(boundary, reply.type);
  const latin = reply.bytes.toString('latin1');
  const parts = latin.split(`--${boundary}`);
  assert.equal(parts.length, 4, 'before, two parts, after');
  const [first, second] = [parts[1]!, parts[2]!].map((part) => {
    const at_ = part.indexOf('\r\n\r\n');
    return [part.slice(0, at_), part.slice(at_ + 4, -2)] as const;
  });
  return { meta: JSON.parse(first![1]), headers: second![0], content: Buffer.from(second![1], 'latin1') };
}

/** What the peer has under an id, and how often it was asked for it. */
const shelf = new Map<string, { served: Served; asked: number; signed: string[] }>();
if (!skip) {
  peer.serve = (_, target, authorization) => {
    const entry = shelf.get(/^\/_matrix\/federation\/v1\/media\/download\/([\w-]+)\?timeout_ms=\d+$/u.exec(target)?.[1] ?? target);
    if (!entry) return { status: 404, body: { errcode: 'M_NOT_FOUND', error: '?' } };
    entry.asked += 1;
    entry.signed.push(authorization);
    return entry.served;
  };
}

function put(served: Served, id = unique('m')): string {
  shelf.set(id, { served, asked: 0, signed: [] });
  return id;
}

/** An envelope as another server makes it. */
function envelope(second: string, content: Uint8Array): Served {
  const raw = Buffer.concat([Buffer.from(`--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\n${second}\r\n\r\n`), content, Buffer.from('\r\n--b--\r\n')]);
  return { status: 200, raw, type: 'multipart/mixed; boundary=b' };
}

const pictured = () => put(envelope('Content-Type: image/png\r\nContent-Disposition: inline; filename="bird.png"', picture));
const asked = (id: string) => shelf.get(id)!.asked;
const read = (id: string, options = {}, user = alice) => download(user, `${peer.name}/${id}`, options);

test('media of this server goes out in an envelope', { skip }, async () => {
  const [, id] = (await upload(alice, picture, 'image/png', 'bird.png')).split('/');
  const { meta, headers, content } = opened(await get(`download/${id}`));
  assert.deepEqual(meta, {});
  assert.match(headers, /content-type: image\/png/iu);
  assert.match(headers, /content-disposition: inline; filename=.*bird\.png/iu);
  assert.deepEqual(content, picture);
  const small = opened(await get(`thumbnail/${id}?width=96&height=96&method=crop&animated=false`));
  assert.match(small.headers, /content-type: image\/(png|jpeg)/iu);
  assert.ok(small.content.length > 0 && !small.content.equals(picture));
  const long = Buffer.concat([...noise(1_500_000, 7)]);
  const [, longId] = (await upload(alice, new Uint8Array(long))).split('/');
  assert.ok(opened(await get(`download/${longId}`)).content.equals(long));
});

test('what another server asks for amiss', { skip }, async () => {
  const [, id] = (await upload(alice, 'text', 'text/plain')).split('/');
  fails(await get('download/nothing'), 404, 'M_NOT_FOUND');
  fails(await get('download/a.b'), 400, 'M_INVALID_PARAM');
  fails(await get(`thumbnail/${id}`), 400, 'M_MISSING_PARAM');
  fails(await get(`thumbnail/${id}?width=32&height=32`), 400, 'M_UNKNOWN');
  fails(await peer.send(base, us, 'GET', `${OUT}download/${id}`, { header: () => undefined }), 401, 'M_UNAUTHORIZED');
  const { content_uri: reserved } = okay(await alice.call('POST', '/_matrix/media/v1/create'));
  fails(await get(`download/${reserved.split('/').at(-1)}?timeout_ms=1`), 504, 'M_NOT_YET_UPLOADED');
  // A copy of what is elsewhere is not this server's to give.
  const copied = pictured();
  assert.equal((await read(copied)).status, 200);
  fails(await get(`download/${copied}`), 404, 'M_NOT_FOUND');
});

test('media of another server is copied once, and then like any other', { skip }, async () => {
  const id = pictured();
  const first = await read(id);
  assert.equal(first.status, 200);
  assert.deepEqual(first.bytes, picture);
  assert.equal(first.headers.get('content-type'), 'image/png');
  assert.match(first.headers.get('content-disposition')!, /bird\.png/u);
  assert.match(shelf.get(id)!.signed[0]!, new RegExp(`^X-Matrix origin="${us}"`, 'u'));
  assert.deepEqual((await read(id, {}, bob)).bytes, picture);
  const part = await read(id, { headers: { range: 'bytes=1-3' } });
  assert.deepEqual([part.status, part.bytes.toString()], [206, 'PNG']);
  const head = await read(id, { method: 'HEAD' });
  assert.deepEqual([head.status, head.headers.get('content-length')], [200, String(picture.length)]);
  const small = await download(alice, `${THUMBNAIL}${peer.name}/${id}?width=32&height=32&method=crop`);
  assert.deepEqual([small.status, small.headers.get('content-type')?.split('/')[0]], [200, 'image']);
  assert.equal(asked(id), 1, 'the other server was asked once');
  // By a thumbnail, or by HEAD, it comes as well.
  const other = pictured();
  assert.equal((await download(alice, `${THUMBNAIL}${peer.name}/${other}?width=32&height=32`)).status, 200);
  const third = pictured();
  assert.equal((await read(third, { method: 'HEAD' })).status, 200);
  assert.deepEqual([asked(other), asked(third)], [1, 1]);
});

test('those who want it at the same time cause one request', { skip }, async () => {
  const id = put(envelope('Content-Type: application/octet-stream', Buffer.concat([...noise(1_500_000, 9)])));
  const all = await Promise.all([alice, bob, alice, bob].map((user) => read(id, {}, user)));
  assert.deepEqual(all.map(({ status, bytes }) => [status, bytes.length]), Array(4).fill([200, 1_500_000]));
  assert.equal(asked(id), 1);
});

test('what the envelope says is elsewhere is brought from there, without a signature', { skip }, async () => {
  const elsewhere = put({ status: 200, raw: picture, type: 'image/png' }, `/cdn/${unique('x')}`);
  const id = put(envelope(`Location: http://${peer.name}${elsewhere}`, Buffer.alloc(0)));
  assert.deepEqual((await read(id)).bytes, picture);
  assert.deepEqual(shelf.get(elsewhere)!.signed, ['']);
});

test('what goes wrong elsewhere is told, and not tried again at once', { skip }, async () => {
  const wrong: [Served, number, string][] = [
    [{ status: 404, body: { errcode: 'M_NOT_FOUND' } }, 404, 'M_NOT_FOUND'],
    [{ status: 500, body: {} }, 502, 'M_UNKNOWN'],
    [{ status: 200, raw: Buffer.from('<html>'), type: 'text/html' }, 502, 'M_UNKNOWN'],
    [{ status: 200, raw: Buffer.from('--b\r\nContent-Type: application/json\r\n\r\n{}'), type: 'multipart/mixed; boundary=b' }, 502, 'M_UNKNOWN'],
    [envelope('Content-Type: text/plain', Buffer.alloc(MOST + 1)), 502, 'M_TOO_LARGE'],
    [envelope('Location: file:///etc/passwd', Buffer.alloc(0)), 502, 'M_UNKNOWN'],
    [undefined, 502, 'M_UNKNOWN'],
  ];
  for (const [served, status, errcode] of wrong) {
    const id = put(served);
    for (let i = 0; i < 2; i++) {
      const answer = await read(id);
      assert.deepEqual([answer.status, answer.errcode], [status, errcode], JSON.stringify(served)?.slice(0, 100));
    }
    // When the connection breaks, the platform asks again by itself.
    assert.ok(asked(id) <= (served ? 1 : 2), JSON.stringify(served)?.slice(0, 100));
  }
  const id = pictured();
  const nobody = await download(alice, `127.0.0.1:9/${id}`);
  assert.deepEqual([nobody.status, nobody.errcode], [502, 'M_UNKNOWN']);
});

test('only who is signed in has media brought, and only who wants that', { skip }, async () => {
  const id = pictured();
  refused(await ask(base, 'GET', `${DOWNLOAD}${peer.name}/${id}`), 401, 'M_MISSING_TOKEN');
  refused(await ask(base, 'GET', `/_matrix/media/v3/download/${peer.name}/${id}`), 404, 'M_NOT_FOUND');
  refused(await alice.call('GET', `${DOWNLOAD}${peer.name}/${id}`, { query: { allow_remote: 'false' } }), 404, 'M_NOT_FOUND');
  assert.equal(asked(id), 0);
  assert.equal((await read(id)).status, 200);
  assert.equal((await alice.call('GET', `${DOWNLOAD}${peer.name}/${id}`, { query: { allow_remote: 'false' } })).status, 200);
});

test('an administrator withholds a copy, or has it forgotten', { skip }, async () => {
  const token = JSON.parse(readFileSync(join(server.state, 'keys.json'), 'utf8')).admin_token;
  const id = pictured();
  assert.equal((await read(id)).status, 200);
  const media = at`/_tern/admin/v1/media/${peer.name}/${id}`;
  okay(await ask(base, 'PUT', `${media}/quarantine`, { token, body: {} }));
  assert.equal((await read(id)).status, 404);
  assert.equal(asked(id), 1, 'what is withheld is not brought again');
  okay(await ask(base, 'DELETE', `${media}/quarantine`, { token }));
  okay(await ask(base, 'DELETE', media, { token }));
  assert.equal((await read(id)).status, 200);
  assert.equal(asked(id), 2);
});
