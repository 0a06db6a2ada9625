// The content repository: bytes in, the same bytes out, harmless to whoever opens them and closed to whoever may not.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';
import { json } from 'node:stream/consumers';
import { test } from 'node:test';
import { ask, okay, people, refused, register, unique, type Json, type User } from './support/client.ts';
import { DOWNLOAD, Memory, download, named, noise, sha256, tryUpload, upload } from './support/media.ts';
import { adminToken, shared } from './support/server.ts';

const base = await shared();
const LARGE = 95 * 1_000_000;
/** What a transfer may add to the memory of workerd, whatever its length. */
const FLAT_MB = 60;

async function push(user: User, length: number, seed: number): Promise<string> {
  const chunks = noise(length, seed);
  const body = new ReadableStream({
    pull(controller) {
      const { value, done } = chunks.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
  });
  const response = await fetch(base + '/_matrix/media/v3/upload', {
    method: 'POST', body, duplex: 'half', headers: { authorization: `Bearer ${user.token}`, 'content-type': 'video/mp4' },
  } as RequestInit);
  assert.equal(response.status, 200, await response.clone().text());
  return (await response.json()).content_uri.replace('mxc://', '');
}

async function pull(user: User, id: string): Promise<{ hash: string; length: number; announced: number }> {
  const response = await fetch(base + DOWNLOAD + id, { headers: { authorization: `Bearer ${user.token}` } });
  assert.equal(response.status, 200);
  const hash = createHash('sha256');
  let length = 0;
  for await (const chunk of response.body!) {
    hash.update(chunk);
    length += chunk.length;
  }
  return { hash: hash.digest('hex'), length, announced: Number(response.headers.get('content-length')) };
}

test('95 MB go up and come down byte for byte in flat memory', { timeout: 180_000 }, async (t) => {
  const user = await register(base);
  // The heaps of a fresh process grow to their working size with the first transfer, whatever the worker does: one in
  // JavaScript that throws a body away grew by 105 MB, one that puts it into the local bucket and reads it back by 236.
  const fresh = Memory.of(process.env.TERN_STATE);
  await pull(user, await push(user, LARGE, 5));
  const grown = fresh?.peak();
  const memory = Memory.of(process.env.TERN_STATE);
  const id = await push(user, LARGE, 7);
  const up = memory?.peak();
  const got = await pull(user, id);
  const both = memory?.peak();
  assert.deepEqual(got, { hash: sha256(noise(LARGE, 7)), length: LARGE, announced: LARGE });
  if (memory) {
    t.diagnostic(`workerd: ${fresh!.idle.toFixed(0)} MB when fresh, +${grown!.toFixed(0)} MB with the first ${LARGE / 1e6} MB`);
    t.diagnostic(`then ${memory.idle.toFixed(0)} MB idle, +${up!.toFixed(0)} MB at the peak of the upload, +${both!.toFixed(0)} MB at that of both`);
    assert.ok(both! <= FLAT_MB, `${both} MB above idle`);
  }
});

test('a cut download is resumed by ranges', async () => {
  const user = await register(base);
  const content = Buffer.concat([...noise(700_001, 3)]);
  const id = await upload(user, content, 'image/jpeg');
  const first = await download(user, id, { headers: { range: 'bytes=0-299999' } });
  assert.equal(first.status, 206);
  assert.equal(first.headers.get('content-range'), 'bytes 0-299999/700001');
  const tag = first.headers.get('etag')!;
  const rest = await download(user, id, { headers: { range: 'bytes=300000-', 'if-range': tag } });
  assert.equal(rest.status, 206);
  assert.ok(Buffer.concat([first.bytes, rest.bytes]).equals(content));
  const tail = await download(user, id, { headers: { range: 'bytes=-10' } });
  assert.deepEqual([...tail.bytes], [...content.subarray(-10)]);
  const other = await download(user, id, { headers: { range: 'bytes=5-', 'if-range': '"other"' } });
  assert.equal(other.status, 200);
  const beyond = await download(user, id, { headers: { range: 'bytes=700001-' } });
  assert.deepEqual([beyond.status, beyond.headers.get('content-range')], [416, 'bytes */700001']);
  const known = await download(user, id, { headers: { 'if-none-match': tag } });
  assert.deepEqual([known.status, known.bytes.length], [304, 0]);
  const head = await download(user, id, { method: 'HEAD' });
  assert.deepEqual([head.status, head.headers.get('content-length'), head.headers.get('etag')], [200, '700001', tag]);
  const part = await download(user, id, { method: 'HEAD', headers: { range: 'bytes=0-9' } });
  assert.deepEqual([part.status, part.headers.get('content-length')], [200, '700001'], 'a range means nothing to HEAD');
  for (const { headers } of [first, known, head]) {
    assert.equal(headers.get('cache-control'), 'private, max-age=31536000, immutable');
  }
});

test('the same content under two names has one tag, and deleting one name leaves the other', async (t) => {
  const [alice, bob] = await people(base, 2);
  const content = Buffer.concat([...noise(50_000, 11)]);
  const [one, two] = [await upload(alice, content, 'image/png', 'a.png'), await upload(bob, content, 'text/plain', 'b.txt')];
  assert.notEqual(one, two);
  const [first, second] = [await download(alice, one), await download(alice, two)];
  assert.equal(first.headers.get('etag'), second.headers.get('etag'));
  assert.equal(second.headers.get('content-type'), 'text/plain');
  const token = adminToken();
  if (!token) return t.skip('TERN_STATE is not set: no admin token');
  okay(await ask(base, 'DELETE', `/_tern/admin/v1/media/${one}`, { token }));
  refused(await ask(base, 'DELETE', `/_tern/admin/v1/media/${one}`, { token }), 404, 'M_NOT_FOUND');
  assert.deepEqual([(await download(bob, one)).errcode, (await download(bob, two)).status], ['M_NOT_FOUND', 200]);
});

/** What is served inline must not be able to act; what can act must not be inline. */
const HOSTILE: [claim: string, type: string, name: string, content: string | Buffer<ArrayBuffer>][] = [
  ['a page', 'text/html', 'x.html', '<script>alert(1)</script>'],
  ['a vector picture with script', 'image/svg+xml', 'x.svg', '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'],
  ['a page that claims to be a picture', 'image/png', 'x.png', '<html><script>alert(1)</script>'],
  ['a picture that is also a page', 'image/gif', 'x.gif', Buffer.from('GIF89a/*<script>alert(1)</script>*/=1;')],
  ['a type that breaks the header', 'text/html, image/png', 'x', 'x'],
  ['a type with a parameter', 'text/html; charset="utf-7"', 'x', '+ADw-script+AD4-'],
  ['a document', 'application/pdf', 'x.pdf', '%PDF-1.7'],
  ['XHTML', 'application/xhtml+xml', 'x', '<html/>'],
  ['script', 'text/javascript', 'x.js', 'alert(1)'],
  ['a name that reverses', 'image/jpeg', 'photo\u202egpj.exe', 'x'],
  ['a name that breaks the header', 'image/jpeg', 'a"\r\nset-cookie: a=b\r\n\r\n<script>', 'x'],
  ['a name that is a path', 'image/jpeg', '../../../etc/passwd\0.jpg', 'x'],
];

test('hostile content is served inert', async () => {
  const user = await register(base);
  const inline = /^inline(; |$)/u;
  for (const [claim, type, name, content] of HOSTILE) {
    const raw = typeof content === 'string' ? content : new Uint8Array(content);
    const id = await upload(user, raw, type, name);
    for (const path of [id, `${id}/${encodeURIComponent(name)}`]) {
      const { status, headers, bytes } = await download(user, path);
      assert.equal(status, 200, claim);
      assert.ok(bytes.equals(Buffer.from(content)), `${claim}: the bytes are the bytes`);
      assert.match(headers.get('content-security-policy') ?? '', /sandbox; default-src 'none'/u, claim);
      assert.equal(headers.get('x-content-type-options'), 'nosniff', claim);
      assert.equal(headers.get('cross-origin-resource-policy'), 'cross-origin', claim);
      assert.equal(headers.get('set-cookie'), null, claim);
      const disposition = headers.get('content-disposition')!;
      const served = headers.get('content-type')!;
      if (inline.test(disposition)) assert.match(served, /^image\/(png|jpeg|gif)$/u, `${claim}: inline as ${served}`);
      else assert.match(disposition, /^attachment/u, claim);
      assert.doesNotMatch(decodeURIComponent(disposition), /[\0-\x1f\u202a-\u202e/\\]/u, claim);
    }
  }
});

test('a reserved id is filled once, by whoever reserved it, and waited for', async () => {
  const [alice, bob] = await people(base, 2);
  const created = await alice.post('/_matrix/media/v1/create', undefined);
  assert.ok(created.unused_expires_at > Date.now());
  const id = created.content_uri.replace('mxc://', '');
  const fill = (user: User, raw: string) =>
    user.call('PUT', `/_matrix/media/v3/upload/${id}`, { raw, headers: { 'content-type': 'text/plain' } });
  assert.deepEqual(await download(bob, `${id}?timeout_ms=0`).then(({ status, errcode }) => [status, errcode]), [504, 'M_NOT_YET_UPLOADED']);
  refused(await fill(bob, 'not mine'), 403, 'M_FORBIDDEN');
  const waiting = download(bob, `${id}?timeout_ms=20000`);
  okay(await fill(alice, 'at last'));
  assert.equal((await waiting).bytes.toString(), 'at last');
  refused(await fill(alice, 'again'), 409, 'M_CANNOT_OVERWRITE_MEDIA');
  const never = await alice.call('PUT', `/_matrix/media/v3/upload/${alice.server}/${unique()}`, { raw: 'x' });
  refused(never, 404, 'M_NOT_FOUND');
});

test('nothing is told to whoever may not know', async (t) => {
  const [alice, bob] = await people(base, 2);
  const id = await upload(alice, 'secret', 'text/plain', 'secret.txt');
  const errcode = async (user: User | undefined, path: string) => {
    const { status, errcode, bytes } = await download(user, path, { base });
    assert.ok(!bytes.includes('secret'), path);
    return `${status} ${errcode}`;
  };
  assert.equal(await errcode(undefined, id), '401 M_MISSING_TOKEN');
  assert.equal(await errcode(undefined, `/_matrix/media/v3/download/${id}`), '404 M_NOT_FOUND');
  assert.equal(await errcode(bob, `${bob.server}/${unique()}`), '404 M_NOT_FOUND');
  assert.equal(await errcode(bob, `elsewhere.example/${unique()}?allow_remote=false`), '404 M_NOT_FOUND');
  for (const path of [`${bob.server}/..%2f..%2fetc`, `${bob.server}/a.b`, 'not%20a%20server/abc']) {
    assert.equal(await errcode(bob, path), '400 M_INVALID_PARAM', path);
  }
  for (const path of ['/_matrix/media/v3/upload', '/_matrix/media/v1/create']) {
    refused(await ask(base, 'POST', path, { raw: 'x' }), 401, 'M_MISSING_TOKEN');
  }
  const token = adminToken();
  if (!token) return t.skip('TERN_STATE is not set: no admin token');
  const quarantine = `/_tern/admin/v1/media/${id}/quarantine`;
  refused(await bob.call('PUT', quarantine), 401, 'M_UNKNOWN_TOKEN');
  okay(await ask(base, 'PUT', quarantine, { token }));
  assert.equal(await errcode(alice, id), '404 M_NOT_FOUND');
  const copy = await upload(bob, 'secret', 'text/plain');
  assert.equal(await errcode(bob, copy), '404 M_NOT_FOUND');
  okay(await ask(base, 'DELETE', quarantine, { token }));
  assert.equal((await download(alice, id)).status, 200);
  okay(await ask(base, 'DELETE', `/_tern/admin/v1/users/${encodeURIComponent(alice.id)}/media`, { token }));
  assert.equal(await errcode(alice, id), '404 M_NOT_FOUND');
});

test('previews of addresses are off unless the operator wants them', async () => {
  const user = await register(base);
  for (const path of ['/_matrix/client/v1/media/preview_url', '/_matrix/media/v3/preview_url']) {
    refused(await user.call('GET', path, { query: { url: 'https://matrix.org/' } }), 404, 'M_UNRECOGNIZED');
    refused(await ask(base, 'GET', path, { query: { url: 'https://matrix.org/' } }), 401, 'M_MISSING_TOKEN');
  }
});

/** What an upload of that length is answered that is announced and does not come. */
async function announced(user: User, length: number): Promise<[status?: number, errcode?: string]> {
  const upload = request(base + '/_matrix/media/v3/upload', {
    method: 'POST', headers: { 'authorization': `Bearer ${user.token}`, 'content-length': length },
  });
  upload.on('error', () => {}); // the connection ends with the answer
  upload.flushHeaders();
  const [response] = await once(upload, 'response', { signal: AbortSignal.timeout(30_000) });
  const body = await json(response) as Json;
  upload.destroy();
  return [response.statusCode, body.errcode];
}

/** What an upload of no told length is answered once it has become that long. It is not ended, so only its size can matter. */
async function growing(user: User, length: number): Promise<[status?: number, errcode?: string]> {
  const upload = request(base + '/_matrix/media/v3/upload', { method: 'POST', headers: { authorization: `Bearer ${user.token}` } });
  const answered = once(upload, 'response', { signal: AbortSignal.timeout(60_000) });
  for (const chunk of noise(length, 3)) {
    if (!upload.write(chunk)) await once(upload, 'drain');
  }
  const [response] = await answered;
  const body = await json(response) as Json;
  upload.on('error', () => {}); // the connection ends with the answer
  upload.destroy();
  return [response.statusCode, body.errcode];
}

test('the size limit is told, and holds', async () => {
  const user = await register(base);
  const limit = (await user.get('/_matrix/client/v1/media/config'))['m.upload.size'];
  assert.equal((await user.get('/_matrix/media/v3/config'))['m.upload.size'], limit);
  assert.ok(limit >= LARGE);
  assert.deepEqual(await announced(user, limit + 1), [413, 'M_TOO_LARGE'], 'before a byte of it is sent');
  assert.deepEqual(await growing(user, limit + 1), [413, 'M_TOO_LARGE'], 'as soon as it is too long');
  assert.match(named(await tryUpload(user, '', 'text/plain')), /\/[\w-]+$/u, 'an empty file is a file');
});
