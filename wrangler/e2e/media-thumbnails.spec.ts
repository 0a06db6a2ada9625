// Thumbnails on workerd, beside those of another tool (Pillow): sizes, looks, bytes, and pictures that are none.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { people, register, type User } from './support/client.ts';
import { download, upload } from './support/media.ts';
import { python } from './support/python.ts';
import { shared } from './support/server.ts';

const base = await shared();
const THUMBNAIL = '/_matrix/client/v1/media/thumbnail/';
const STANDARD: [width: number, height: number, method: 'crop' | 'scale'][] =
  [[32, 32, 'crop'], [96, 96, 'crop'], [320, 240, 'scale'], [640, 480, 'scale'], [800, 600, 'scale']];
const TYPES: Record<string, string> = { jpg: 'image/jpeg', png: 'image/png', gif: 'image/gif', webp: 'image/webp' };

/** Long pictures, and for each width and height that is asked the size that is sent. */
const LONG: [name: string, asked: [number, number, number, number][]][] = [
  ['wide.jpg', [[800, 200, 1920, 240], [200, 200, 1920, 240], [1200, 150, 1920, 240], [800, 600, 800, 100]]],
  ['tall.jpg', [[200, 300, 320, 2560], [200, 800, 320, 2560], [800, 600, 75, 600]]],
];

function thumbnail(user: User | undefined, id: string, query: string, accept = 'image/*') {
  return download(user, `${THUMBNAIL}${id}?${query}`, { base, headers: { accept } });
}

const run = promisify(execFile);
const look = (task: 'draw' | 'judge' | 'draw-long' | 'measure', folder: string) =>
  run(python(), [join(import.meta.dirname, 'thumbnails.py'), task, folder]).then(({ stdout }) => stdout);

/** Where the contact sheet is left to be looked at. */
function output(): string {
  const folder = process.env.TERN_OUTPUT;
  if (!folder) return mkdtempSync(join(tmpdir(), 'tern-thumbnails-'));
  mkdirSync(folder, { recursive: true });
  return folder;
}

test('thumbnails look like those of another tool, upright, without metadata, and WebP is the smaller', { timeout: 180_000 }, async (t) => {
  const folder = output();
  await look('draw', folder);
  const user = await register(base);
  const pictures = readdirSync(folder).filter((name) => !name.includes('--') && name !== 'contact-sheet.png');
  for (const name of pictures) {
    const id = await upload(user, new Uint8Array(readFileSync(join(folder, name))), TYPES[name.split('.')[1]]);
    for (const [width, height, method] of STANDARD) {
      for (const accept of width === 320 ? ['image/*', 'image/webp,image/*'] : ['image/webp,image/*']) {
        const { status, headers, bytes } = await thumbnail(user, id, `width=${width}&height=${height}&method=${method}`, accept);
        assert.equal(status, 200, `${name} ${width}: ${bytes}`);
        assert.match(headers.get('content-type')!, /^image\/(jpeg|png|webp)$/u);
        assert.match(headers.get('content-disposition')!, /^inline/u);
        writeFileSync(join(folder, `${name}--${width}-${height}-${method}-${accept.includes('webp') ? 'webp' : 'plain'}`), bytes);
      }
    }
  }
  const judged = JSON.parse(await look('judge', folder));
  assert.equal(judged.length, pictures.length * (STANDARD.length + 1));
  for (const one of judged) {
    assert.deepEqual(one.size, one.expected, one.file);
    assert.equal(one.exif, 0, one.file);
    assert.ok(one.similarity > 0.85, `${one.file}: ${one.similarity}`);
  }
  const middle = judged.filter(({ file }: { file: string }) => file.includes('.jpg--320-'));
  const sum = (kind: string) => middle.filter(({ file }: { file: string }) => file.endsWith(kind))
    .reduce((sum: number, { bytes }: { bytes: number }) => sum + bytes, 0);
  assert.ok(sum('webp') < sum('plain'));
  t.diagnostic(`photos at 320x240: WebP has ${((100 * sum('webp')) / sum('plain')).toFixed(0)} % of the bytes of JPEG`);
  t.diagnostic(`contact sheet: ${join(folder, 'contact-sheet.png')}`);
});

test('of a wide or tall picture comes the smallest standard size that covers what was asked, not the original', { timeout: 180_000 }, async (t) => {
  const folder = join(output(), 'long');
  mkdirSync(folder, { recursive: true });
  await look('draw-long', folder);
  const user = await register(base);
  const sent = [];
  for (const [name, asked] of LONG) {
    const file = readFileSync(join(folder, name));
    const id = await upload(user, new Uint8Array(file), 'image/jpeg');
    for (const [width, height, ...size] of asked) {
      const { status, bytes } = await thumbnail(user, id, `width=${width}&height=${height}&method=scale`, 'image/webp,image/*');
      assert.equal(status, 200, `${name} ${width}x${height}: ${bytes}`);
      const made = `${name}--${width}-${height}-scale-long`;
      writeFileSync(join(folder, made), bytes);
      sent.push({ made, size });
      assert.ok(bytes.length < file.length, `${made}: ${bytes.length} bytes of ${file.length}`);
      t.diagnostic(`${name} of ${file.length} bytes at ${width}x${height}: ${bytes.length}`);
    }
  }
  const sizes = JSON.parse(await look('measure', folder));
  for (const { made, size } of sent) assert.deepEqual(sizes[made], size, made);
});

test('what can have no thumbnail is refused, to whoever may not ask nothing is told', async () => {
  const [alice, bob] = await people(base, 2);
  const size = 'width=96&height=96&method=crop';
  const told = async (user: User | undefined, id: string, query = size) => {
    const { status, errcode } = await thumbnail(user, id, query);
    return `${status} ${errcode}`;
  };
  const page = await upload(alice, '<html><script>alert(1)</script>', 'image/png', 'x.png');
  const broken = await upload(alice, new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13]), 'image/png');
  const drawing = await upload(alice, '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', 'image/svg+xml');
  const text = await upload(alice, 'text', 'text/plain');
  for (const id of [page, broken, drawing, text, page]) assert.equal(await told(bob, id), '400 M_UNKNOWN');
  const huge = Buffer.from(bomb(60_000, 60_000));
  assert.equal(await told(bob, await upload(alice, new Uint8Array(huge), 'image/gif')), '413 M_TOO_LARGE');
  assert.equal(await told(undefined, page), '401 M_MISSING_TOKEN');
  assert.equal(await told(bob, `${bob.server}/nothing`), '404 M_NOT_FOUND');
  assert.equal(await told(bob, page, 'width=96'), '400 M_MISSING_PARAM');
  for (const query of ['width=0&height=1', 'width=a&height=1', 'width=9&height=9&method=stretch']) {
    assert.equal(await told(bob, page, query), '400 M_INVALID_PARAM', query);
  }
});

/** A GIF of that many pixels in a few bytes. */
function bomb(width: number, height: number): number[] {
  const side = (pixels: number) => [pixels & 0xff, pixels >> 8];
  return [...Buffer.from('GIF89a'), ...side(width), ...side(height), 0x80, 0, 0, 0, 0, 0, 255, 255, 255,
    0x2c, 0, 0, 0, 0, ...side(width), ...side(height), 0, 2, 2, 0x4c, 1, 0, 0x3b];
}
