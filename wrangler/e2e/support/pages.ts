// A browser without scripts: follows links and sends forms as the pages offer them, with a cookie jar of its own.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';

export interface Page {
  status: number;
  url: string;
  headers: Headers;
  html: string;
}

const unescape = (text: string) => text.replaceAll('&#38;', '&').replaceAll('&amp;', '&').replaceAll('&#60;', '<')
  .replaceAll('&#62;', '>').replaceAll('&#34;', '"').replaceAll('&#39;', "'").replaceAll('&quot;', '"');

export class Browser {
  readonly base: string;
  readonly cookies = new Map<string, string>();

  constructor(base: string) {
    this.base = base;
  }

  async #once(method: string, url: string, body?: URLSearchParams, headers: Record<string, string> = {}): Promise<Page> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(url, {
      method, body, redirect: 'manual', signal: AbortSignal.timeout(30_000),
      headers: { accept: 'text/html', 'accept-language': 'en', ...(cookie && { cookie }), ...headers },
    });
    for (const set of response.headers.getSetCookie()) {
      const [name, value] = set.split(';')[0].split('=', 2);
      if (value) this.cookies.set(name, value);
      else this.cookies.delete(name);
    }
    return { status: response.status, url, headers: response.headers, html: await response.text() };
  }

  /** One request, then every redirect that stays on the server; a redirect that leads away is returned. */
  async visit(method: string, url: string, body?: URLSearchParams, headers?: Record<string, string>): Promise<Page> {
    let page = await this.#once(method, new URL(url, this.base).href, body, headers);
    for (let hops = 0; page.status >= 300 && page.status < 400 && hops < 10; hops += 1) {
      const next = new URL(page.headers.get('location')!, page.url);
      if (next.origin !== new URL(this.base).origin) return page;
      page = await this.#once('GET', next.href);
    }
    return page;
  }

  get(url: string): Promise<Page> {
    return this.visit('GET', url);
  }

  /** Sends the form of a page whose action begins with `action`, with its hidden fields and these. */
  submit(page: Page, action: string, fields: Record<string, string> = {}, headers?: Record<string, string>): Promise<Page> {
    const forms = [...page.html.matchAll(/<form method="(post|get)" action="([^"]*)">(.*?)<\/form>/gs)];
    const form = forms.find((form) => unescape(form[2]).startsWith(action));
    assert.ok(form, `no form to ${action} on ${page.url} (${page.status}): ${page.html.slice(-1500)}`);
    const values = new URLSearchParams();
    for (const input of form[3].matchAll(/<input([^>]*)>/g)) {
      const name = / name="([^"]*)"/.exec(input[1])?.[1];
      const value = / value="([^"]*)"/.exec(input[1])?.[1];
      if (name && !/ type="checkbox"/.test(input[1])) values.set(name, unescape(value ?? ''));
    }
    for (const [name, value] of Object.entries(fields)) values.set(name, value);
    if (form[1] === 'get') return this.get(`${unescape(form[2])}?${values}`);
    return this.visit('POST', unescape(form[2]), values, headers);
  }

  async signIn(name: string, password: string): Promise<Page> {
    const page = await this.get('/account/sign-in');
    return this.submit(page, '/account/sign-in', { username: name, password });
  }

  async register(name: string, password: string): Promise<Page> {
    const page = await this.get('/account/register');
    return this.submit(page, '/account/register', { username: name, password, repeat: password });
  }
}

/** How a content security policy names a script that stands in the page. */
const named = (script: string) => `'sha256-${createHash('sha256').update(script).digest('base64')}'`;

/** What every page must be: not framed, not kept, without scripts but those that its policy names one by one, short. */
export function guarded(page: Page): void {
  const policy = page.headers.get('content-security-policy') ?? '';
  for (const part of ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"]) assert.ok(policy.includes(part), `${page.url}: ${policy}`);
  const scripts = [...page.html.matchAll(/<script>(.*?)<\/script>/gs)].map((script) => named(script[1]));
  const allowed = /script-src ([^;]*)/.exec(policy)?.[1].trim().split(' ') ?? [];
  assert.deepEqual(allowed, scripts, `${page.url}: ${policy}`);
  assert.ok(!policy.includes('unsafe'), policy);
  assert.equal(page.headers.get('x-frame-options'), 'DENY', page.url);
  assert.equal(page.headers.get('x-content-type-options'), 'nosniff', page.url);
  assert.equal(page.headers.get('cache-control'), 'no-store', page.url);
  assert.equal(page.headers.get('access-control-allow-origin'), null, page.url);
  assert.ok(!/<script[^>]|javascript:| on\w+=| style=/i.test(page.html), page.url);
  assert.ok(page.html.length < 30_000, `${page.url} has ${page.html.length} bytes`);
  assert.match(page.html, /<html lang="en">/);
}

export function pkce(): { verifier: string; challenge: string } {
  const verifier = randomBytes(32).toString('base64url');
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') };
}

export const API = 'urn:matrix:client:api:*';
export const device = (id: string) => `urn:matrix:client:device:${id}`;
