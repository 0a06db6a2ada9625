// What stands around a call: a web server with Element Call's embedded package and a page that hosts it as a widget, and
// a stand-in for the media service, whose LiveKit takes connections and says nothing.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo, Socket } from 'node:net';
import { dirname, extname, join } from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';
import { executablePath } from './chromium.ts';
import type { Json, User } from './client.ts';

const { resolve } = createRequire(import.meta.url);
const TYPES: Record<string, string> = {
  '.js': 'text/javascript', '.html': 'text/html', '.css': 'text/css', '.json': 'application/json', '.wasm': 'application/wasm',
};
const HOST = '<!doctype html><title>host</title><body><script src="/widget-api.js"></script><script type="module" src="/widget-host.js"></script>';
/** RFC 6455, section 1.3. */
const WEBSOCKET = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const ARGS = ['--no-sandbox', '--disable-gpu', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'];

const part = (value: Json): string => Buffer.from(JSON.stringify(value)).toString('base64url');

export class CallStage {
  /** What the media service was asked for. */
  readonly asked: Json[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((request, answer) => this.#serve(request, answer));
  #browser: Browser | undefined;
  #mode = 'compatibility';

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** What an operator names in `RTC_TRANSPORTS`. */
  get transport(): Json {
    return { type: 'livekit', livekit_service_url: `${this.address}/media` };
  }

  async start(): Promise<this> {
    this.#server.on('upgrade', (request, socket) => this.#accept(request, socket as Socket));
    await once(this.#server.listen(0, '127.0.0.1'), 'listening');
    return this;
  }

  async stop(): Promise<void> {
    await this.#browser?.close();
    this.#sockets.forEach((socket) => socket.destroy());
    this.#server.close();
  }

  /** Opens Element Call in a room, which joins the call by itself. */
  async open(user: User, room: string, mode: 'compatibility' | 'matrix_2_0'): Promise<Page> {
    this.#mode = mode;
    this.#browser ??= await chromium.launch({ executablePath, headless: true, chromiumSandbox: false, args: ARGS });
    const page = await this.#browser.newPage();
    const who = { base: user.base, token: user.token, user: user.id, device: user.device, room };
    await page.goto(`${this.address}/host.html#${encodeURIComponent(JSON.stringify(who))}`);
    return page;
  }

  #serve(request: IncomingMessage, answer: ServerResponse): void {
    answer.setHeader('access-control-allow-origin', '*').setHeader('access-control-allow-headers', '*');
    if (request.method === 'OPTIONS') answer.writeHead(204).end();
    else if (request.method === 'POST') void this.#letIn(request, answer);
    else this.#file(new URL(request.url!, this.address).pathname, answer);
  }

  /** A token for LiveKit, which nobody checks here. It does not take over delayed leaves, so that the widget keeps its own. */
  async #letIn(request: IncomingMessage, answer: ServerResponse): Promise<void> {
    if (!/^\/media\/(sfu\/get|get_token)$/.test(request.url!)) return void answer.writeHead(404).end('{}');
    let body = '';
    for await (const piece of request) body += piece;
    this.asked.push({ path: request.url, ...JSON.parse(body) });
    const grant = { sub: 'somebody', exp: 9_999_999_999, video: { room: 'call', roomJoin: true, canPublish: true, canSubscribe: true } };
    const jwt = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(grant)}.unsigned`;
    answer.setHeader('content-type', 'application/json').end(JSON.stringify({ url: this.address.replace('http', 'ws'), jwt }));
  }

  #accept(request: IncomingMessage, socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    const key = createHash('sha1').update(request.headers['sec-websocket-key'] + WEBSOCKET).digest('base64');
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${key}\r\n\r\n`);
  }

  #file(path: string, answer: ServerResponse): void {
    const send = (type: string, body: string | Buffer) => answer.setHeader('content-type', type).end(body);
    if (path === '/host.html') return void send('text/html', HOST);
    if (path === '/call/config.json') {
      return void send('application/json', JSON.stringify({ matrix_rtc_mode: this.#mode, matrix_rtc_session: { wait_for_key_rotation_ms: 5_000 } }));
    }
    const file = path === '/widget-api.js' ? join(dirname(resolve('matrix-widget-api/package.json')), 'dist/api.min.js')
      : path === '/widget-host.js' ? join(import.meta.dirname, 'widget-host.js')
        : join(dirname(resolve('@element-hq/element-call-embedded/package.json')), 'dist', path.replace(/^\/call\//, ''));
    if (!existsSync(file)) return void answer.writeHead(404).end();
    send(TYPES[extname(file)] ?? 'application/octet-stream', readFileSync(file));
  }
}
