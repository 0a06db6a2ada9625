// A web server with an app of hydrogen-view-sdk, as published, and the Chromium that runs it.
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { dirname, extname, join } from 'node:path';
import { build } from 'esbuild';
import { chromium, type Browser, type Page } from 'playwright-core';
import { executablePath } from './chromium.ts';

const { resolve } = createRequire(import.meta.url);
const TYPES: Record<string, string> = { '.js': 'text/javascript', '.html': 'text/html', '.wasm': 'application/wasm' };
const HOST = '<!doctype html><title>hydrogen</title><body class="hydrogen"><script type="module" src="/app.js"></script>';
const LIB = dirname(resolve('hydrogen-view-sdk'));
/** What the app is served besides itself. */
const FOLDERS: Record<string, string> = {
  '/olm/': dirname(resolve('@matrix-org/olm')), '/assets/': join(LIB, '../asset-build/assets'), '/': LIB,
};

export class HydrogenStage {
  readonly #server = createServer((request, answer) => this.#serve(request.url!, answer));
  #app = '';
  #browser: Browser | undefined;

  async start(): Promise<this> {
    const built = await build({
      entryPoints: [join(import.meta.dirname, 'hydrogen-app.js')], bundle: true, write: false, format: 'esm', logLevel: 'error',
      external: ['fs', 'path', 'crypto'], // olm asks for these in Node only
    });
    this.#app = built.outputFiles[0]!.text;
    await once(this.#server.listen(0, '127.0.0.1'), 'listening');
    this.#browser = await chromium.launch({ executablePath, headless: true, chromiumSandbox: false, args: ['--no-sandbox', '--disable-gpu'] });
    return this;
  }

  async stop(): Promise<void> {
    await this.#browser?.close();
    this.#server.close();
  }

  /** The app in a profile of its own. `asked` becomes what it asks of `base`: method, path and status. */
  async open(base: string, asked: string[]): Promise<Page> {
    const page = await (await this.#browser!.newContext()).newPage();
    page.on('response', (response) => {
      const { origin, pathname } = new URL(response.url());
      if (origin === base) asked.push(`${response.request().method()} ${pathname} ${response.status()}`);
    });
    await page.goto(`http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`);
    await page.waitForFunction('window.ready');
    return page;
  }

  #serve(path: string, answer: ServerResponse): void {
    if (path === '/') return void answer.setHeader('content-type', 'text/html').end(HOST);
    if (path === '/app.js') return void answer.setHeader('content-type', 'text/javascript').end(this.#app);
    const prefix = Object.keys(FOLDERS).find((prefix) => path.startsWith(prefix))!;
    const file = join(FOLDERS[prefix]!, path.slice(prefix.length));
    if (!existsSync(file)) return void answer.writeHead(404).end();
    answer.setHeader('content-type', TYPES[extname(file)] ?? 'application/octet-stream').end(readFileSync(file));
  }
}
