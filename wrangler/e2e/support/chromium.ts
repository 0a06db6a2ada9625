// A real browser on the pages, without scripts: what it shows, what it complains of, and a picture of it.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import { FULL } from './full.ts';

/** The browser, if there is one. */
export const executablePath = [process.env.TERN_CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
  .find((path) => path && existsSync(path));

/** Why the pages cannot be looked at on this machine; else false. */
export const missing: string | false = executablePath ? false : 'NOT RUN: there is no Chromium (TERN_CHROMIUM names one)';

const ARGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

export interface Look {
  width: number;
  height: number;
  scheme: 'light' | 'dark';
  /** axe-core reads the pages too. They differ in size and colours alone, and contrast is looked at in every window. */
  audited?: boolean;
}

/** A phone and a desk, by day and by night. */
export const LOOKS: Record<string, Look> = {
  'phone-light': { width: 360, height: 740, scheme: 'light', audited: true },
  'phone-dark': { width: 360, height: 740, scheme: 'dark' },
  'desktop-light': { width: 1280, height: 800, scheme: 'light' },
  'desktop-dark': { width: 1280, height: 800, scheme: 'dark' },
};

/** Those in which every page is looked at: each width and each scheme once, with `--full` all. */
export const LOOKED_AT = Object.entries(LOOKS).filter(([name]) => FULL || name === 'phone-light' || name === 'desktop-dark');

/** Longest page, in bytes. */
const MAX_PAGE = 30_000;

let running: Promise<Browser> | undefined;

function browser(): Promise<Browser> {
  running ??= chromium.launch({ executablePath, headless: true, chromiumSandbox: false, args: ARGS });
  return running;
}

/** For the end of a file that opened windows. */
export async function closeAll(): Promise<void> {
  await (await running)?.close();
}

/** axe-core, which runs in the browser. */
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** WCAG 2.2 AA, and what its authors advise. */
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

/** One window with a cookie jar of its own, which runs no script of any page unless it is told to. */
export class Window {
  readonly page: Page;
  readonly name: string;
  readonly complaints: string[] = [];
  #seen = 0;
  readonly #visited = new Set<string>();
  /** Where axe-core runs: timers rest where pages may run no scripts. */
  readonly #audit: Page | undefined;

  private constructor(name: string, page: Page, audit: Page | undefined) {
    this.name = name;
    this.#audit = audit;
    this.page = page;
    page.on('console', (message) => {
      // A status is no complaint: some pages are refusals on purpose.
      if (message.type() !== 'error' || /the server responded with a status/.test(message.text())) return;
      // An app that is led back to may be gone before the browser asks it for an icon.
      const { url } = message.location();
      if (url.endsWith('/favicon.ico') && !this.#visited.has(new URL(url).origin)) return;
      this.complaints.push(message.text());
    });
    page.on('pageerror', (error) => this.complaints.push(String(error)));
  }

  static async open(name: string, look: Look, locale = 'en-GB', scripts = false): Promise<Window> {
    const open = async (javaScriptEnabled: boolean): Promise<Page> => {
      const context: BrowserContext = await (await browser()).newContext({
        viewport: { width: look.width, height: look.height }, colorScheme: look.scheme, deviceScaleFactor: 2,
        javaScriptEnabled, locale, reducedMotion: 'reduce',
      });
      context.setDefaultTimeout(60_000);
      return context.newPage();
    };
    return new Window(name, await open(scripts), look.audited ? await open(true) : undefined);
  }

  async get(address: string): Promise<void> {
    this.#visited.add(new URL(address).origin);
    await this.page.goto(address);
  }

  /** Looks at the page that is shown, and takes a picture of it. */
  async look(what: string): Promise<void> {
    const { page } = this;
    const where = `${this.name}, ${what} (${page.url()})`;
    assert.deepEqual(this.complaints, [], where);
    assert.ok(Buffer.byteLength(await page.content()) < MAX_PAGE, `${where} is too long`);
    assert.deepEqual(await page.evaluate(faults), [], where);
    assert.deepEqual(await this.#audited(), [], where);
    const output = process.env.TERN_OUTPUT;
    if (!output) return;
    mkdirSync(join(output, 'pages'), { recursive: true });
    this.#seen += 1;
    const number = String(this.#seen).padStart(2, '0');
    await page.screenshot({ path: join(output, 'pages', `${this.name}-${number}-${what}.png`), fullPage: true });
  }

  async #audited(): Promise<string[]> {
    if (!this.#audit) return [];
    await this.#audit.setContent(await this.page.content());
    await this.#audit.evaluate(AXE);
    return this.#audit.evaluate(violations, RULES);
  }
}

/** What axe-core finds in the page. */
async function violations(rules: string[]): Promise<string[]> {
  const { axe } = globalThis as any;
  const found = await axe.run(document, { runOnly: rules, resultTypes: ['violations'], preload: false });
  return found.violations.flatMap(({ id, nodes }: any) => nodes.map((node: any) => `${id}: ${node.html} ${node.failureSummary}`));
}

/** What is wrong with the page for somebody who sees badly, has thick fingers, or hears it read out. Runs in the browser. */
function faults(): string[] {
  const found: string[] = [];
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) found.push(`${root.scrollWidth - root.clientWidth} px wider than the window`);
  if (document.querySelectorAll('h1').length !== 1) found.push('not one h1');
  if (!root.lang || !document.title) found.push('no language or title');
  const shown = (element: Element) => (element as HTMLElement).offsetParent !== null;
  for (const field of document.querySelectorAll<HTMLInputElement>('input:not([type=hidden])')) {
    if (!shown(field)) continue;
    if (!field.labels?.length) found.push(`no label: ${field.name}`);
    if (field.getAttribute('aria-describedby')?.split(' ').some((id) => !document.getElementById(id))) found.push(`described by nothing: ${field.name}`);
    if (field.type !== 'checkbox' && parseFloat(getComputedStyle(field).fontSize) < 16) found.push(`phones zoom in on small letters: ${field.name}`);
  }
  for (const target of document.querySelectorAll<HTMLElement>('a, button, .check')) {
    if (shown(target) && target.getBoundingClientRect().height < 24) found.push(`hard to hit: ${target.textContent}`);
    if (shown(target) && !target.textContent?.trim()) found.push('a target without a name');
  }
  const numbers = (color: string) => (color.match(/[\d.]+/g) ?? []).map(Number);
  const light = (color: string) => {
    const [r, g, b] = numbers(color).slice(0, 3).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
  };
  for (const element of document.querySelectorAll<HTMLElement>('body *')) {
    const text = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent?.trim());
    if (!text || !shown(element)) continue;
    let behind: Element | null = element;
    while (behind && numbers(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
    const pair = [light(getComputedStyle(element).color), light(getComputedStyle(behind ?? root).backgroundColor)].sort((one, other) => one - other);
    const contrast = (pair[1]! + 0.05) / (pair[0]! + 0.05);
    if (contrast < 4.5) found.push(`contrast ${contrast.toFixed(1)}: ${element.textContent?.trim().slice(0, 40)}`);
  }
  return found;
}
