// A web server that means no good, on this machine.
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import { createServer as createRaw, type AddressInfo, type Server } from 'node:net';
import { once } from 'node:events';
import { after } from 'node:test';
import { crc32, deflateSync } from 'node:zlib';

export type Page = (response: ServerResponse, headers: IncomingHttpHeaders) => void;

export interface Web {
  base: string;
  /** Paths that were asked for, in order, with the headers of the request. */
  asked: { path: string; headers: IncomingHttpHeaders }[];
  /** How many answers were broken off by whoever asked. */
  brokenOff: number;
}

/** Serves `pages` by path; what is not there is 404. */
export async function web(pages: Record<string, Page>): Promise<Web> {
  const state: Web = { base: '', asked: [], brokenOff: 0 };
  const server = createServer((request, response) => {
    const path = request.url!.split('?')[0];
    state.asked.push({ path, headers: request.headers });
    response.on('close', () => {
      if (!response.writableFinished) state.brokenOff += 1;
    });
    const page = pages[path];
    if (page) page(response, request.headers);
    else response.writeHead(404).end('nothing');
  });
  state.base = await listen(server);
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  return state;
}

/** Writes `answer` to whoever connects, whatever it asks. */
export async function raw(answer: string): Promise<string> {
  const server = createRaw((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end(answer));
  });
  after(() => { server.close(); });
  return listen(server);
}

async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export function html(body: string | Uint8Array, type = 'text/html'): Page {
  return (response) => { response.writeHead(200, { 'content-type': type }).end(body); };
}

export function redirect(to: string, status = 302): Page {
  return (response) => { response.writeHead(status, { location: to }).end(); };
}

/** Begins with `start` and goes on for ever, `chunk` by `chunk`, as fast as it is read or every `everyMs`. */
export function endless(start: string, chunk: string | Uint8Array, everyMs = 0): Page {
  return (response) => {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.write(start);
    const more = (): void => {
      if (response.destroyed) return;
      if (everyMs > 0) setTimeout(more, everyMs);
      else if (response.write(chunk)) setImmediate(more);
      else response.once('drain', more);
      if (everyMs > 0) response.write(chunk);
    };
    more();
  };
}

/** A PNG of one colour. */
export function png(width: number, height: number): Buffer<ArrayBuffer> {
  const chunk = (kind: string, data: Buffer): Buffer => {
    const body = Buffer.concat([Buffer.from(kind), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const rows = Buffer.alloc(height * (1 + 3 * width), 0x60);
  for (let row = 0; row < height; row += 1) rows[row * (1 + 3 * width)] = 0;
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', header), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0)),
  ]);
}
