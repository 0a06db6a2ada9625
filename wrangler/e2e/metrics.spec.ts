// What requests cost, summed up: who may see it, that the numbers add up, and the page that shows them. Pictures go to TERN_OUTPUT.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ask, eventually, login, okay, refused, register, unique, User } from './support/client.ts';
import { closeAll, LOOKED_AT, missing, Window } from './support/chromium.ts';
import { Browser, guarded } from './support/pages.ts';
import { freePort, own, uncontrolled } from './support/server.ts';

const skip = uncontrolled;
const scrape = unique('scrape-');
const password = 'correct horse battery';
const server = skip ? undefined! : await own({ vars: { METRICS_INTERVAL_MS: '50', METRICS_TOKEN: scrape } });
const base = server?.base;
const operator: string = skip ? '' : JSON.parse(readFileSync(join(server.state, 'keys.json'), 'utf8')).admin_token;

after(closeAll);

interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

/** Reads text format 0.0.4, every line of it. */
function parse(text: string): Sample[] {
  assert.ok(text.endsWith('\n'));
  const types = new Map<string, string>();
  const seen = new Set<string>();
  const samples: Sample[] = [];
  for (const line of text.slice(0, -1).split('\n')) {
    const type = /^# TYPE ([a-z_]+) (counter|gauge|histogram)$/.exec(line);
    if (type) {
      assert.ok(!types.has(type[1]!), `${line} comes twice`);
      types.set(type[1]!, type[2]!);
      continue;
    }
    if (/^# HELP [a-z_]+ [^\\]+$/.test(line)) continue;
    const found = /^([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\]|\\["\\n])*",?)*)\})? ([0-9.e+-]+)$/.exec(line);
    assert.ok(found, `no sample: ${line}`);
    const [, name, labels = '', value] = found;
    assert.ok(types.has(name!) || types.get(name!.replace(/_(bucket|sum|count)$/, '')) === 'histogram', `${name} has no type`);
    assert.ok(!seen.has(`${name}{${labels}}`), `${line} comes twice`);
    seen.add(`${name}{${labels}}`);
    samples.push({ name: name!, labels: Object.fromEntries([...labels.matchAll(/([a-z]+)="((?:[^"\\]|\\.)*)"/g)].map((label) => [label[1], label[2]])), value: Number(value) });
  }
  return samples;
}

async function samples(): Promise<Sample[]> {
  const answer = await ask(base, 'GET', '/_tern/metrics', { token: scrape });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
  assert.equal(answer.headers.get('cache-control'), 'no-store');
  return answer.text ? parse(answer.text) : [];
}

/** The sum of all samples of a name with these labels. */
function sum(all: Sample[], name: string, labels: Record<string, string> = {}): number {
  const wanted = all.filter((one) => one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value));
  return wanted.reduce((total, one) => total + one.value, 0);
}

async function administrator(): Promise<User> {
  const localpart = unique('admin');
  okay(await ask(base, 'POST', '/_tern/admin/v1/users', { token: operator, body: { localpart, password, admin: true } }));
  return new User(base, password, okay(await login(base, localpart, password)));
}

test('what requests cost arrives, and the numbers add up', { skip }, async (t) => {
  const route = '/_matrix/client/v3/login';
  const times = 25;
  for (let n = 0; n < times; n += 1) okay(await ask(base, 'GET', '/login'));
  for (let n = 0; n < 3; n += 1) refused(await ask(base, 'GET', '/account/whoami'), 401, 'M_MISSING_TOKEN');
  assert.equal((await ask(base, 'GET', `/_matrix/${unique()}`)).status, 404);
  const alice = await register(base);
  const room = await alice.createRoom();
  for (let n = 0; n < 5; n += 1) await alice.send(room, 'hello');
  const send = '/_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}';
  const all = await eventually('all of it arrived', async () => {
    const all = await samples();
    return sum(all, 'tern_requests_total', { route: send, outcome: 'ok' }) === 5 && all;
  }, 20_000);
  // Each question is a request, too, and brings the one before it along.
  assert.equal(sum(all, 'tern_requests_total', { route, method: 'GET', outcome: 'ok' }), times);
  assert.equal(sum(all, 'tern_requests_total', { route: '/_matrix/client/v3/account/whoami', outcome: 'client_error' }), 3);
  assert.ok(sum(all, 'tern_requests_total', { route: '', method: '', outcome: 'client_error' }) >= 1);
  assert.ok(sum(all, 'tern_object_requests_total', { route: send }) >= 5, 'a message goes to an object');
  assert.ok(sum(all, 'tern_request_bytes_total', { route: send }) > 0 && sum(all, 'tern_response_bytes_total', { route }) > times * 20);

  const requests = sum(all, 'tern_requests_total');
  assert.equal(sum(all, 'tern_region_requests_total'), requests, 'every request came from somewhere');
  assert.equal(sum(all, 'tern_request_duration_seconds_count'), requests, 'every request took some time');
  assert.equal(sum(all, 'tern_request_duration_seconds_bucket', { le: '+Inf' }), requests);
  for (const { labels, value } of all.filter((one) => one.name === 'tern_request_duration_seconds_count')) {
    const buckets = all.filter((one) => one.name.endsWith('_bucket') && one.labels.route === labels.route && one.labels.method === labels.method);
    const numbers = buckets.map((bucket) => bucket.value);
    assert.deepEqual(numbers, [...numbers].sort((one, other) => one - other), JSON.stringify(labels));
    assert.equal(numbers.at(-1), value, JSON.stringify(labels));
  }
  assert.ok(sum(all, 'tern_cold_starts_total') >= 1 && sum(all, 'tern_metrics_frames_total') >= 1);
  assert.equal(sum(all, 'tern_metrics_frames_lost_total'), 0);
  assert.equal(sum(all, 'tern_failing_servers'), 0);
  assert.ok(!JSON.stringify(all).includes(alice.name) && !JSON.stringify(all).includes(room), 'nobody is named');
  const again = await samples();
  assert.equal(sum(again, 'tern_requests_total', { route }), times, 'nothing is counted twice');
  t.diagnostic(`${requests} requests in ${sum(all, 'tern_metrics_frames_total')} frames, ${all.length} samples`);
});

test('nobody but administrators and whoever collects them sees the metrics', { skip }, async () => {
  refused(await ask(base, 'GET', '/_tern/metrics'), 401, 'M_MISSING_TOKEN');
  refused(await ask(base, 'GET', '/_tern/metrics', { token: `${scrape}x` }), 401, 'M_UNKNOWN_TOKEN');
  const [alice, root] = [await register(base), await administrator()];
  refused(await alice.call('GET', '/_tern/metrics'), 403, 'M_FORBIDDEN');
  for (const token of [root.token, operator, scrape]) assert.equal((await ask(base, 'GET', '/_tern/metrics', { token })).status, 200);
  // The token of whoever collects opens nothing else.
  refused(await ask(base, 'GET', '/_tern/admin/v1/users', { token: scrape }), 401, 'M_UNKNOWN_TOKEN');
  refused(await ask(base, 'GET', '/account/whoami', { token: scrape }), 401, 'M_UNKNOWN_TOKEN');

  const visitor = new Browser(base);
  const led = await visitor.get('/_tern/dashboard');
  assert.match(led.html, /name="password"/, 'strangers sign in first');
  assert.doesNotMatch(led.html, /role="img"/);
  await visitor.register(unique(), password);
  const closed = await visitor.get('/_tern/dashboard');
  assert.equal(closed.status, 403);
  guarded(closed);
  assert.match(closed.html, /Only administrators of this server see this page/);
  const admin = new Browser(base);
  await admin.signIn(root.name, password);
  for (const range of ['', '?range=week', '?range=year', '?range=nonsense']) {
    const page = await admin.get(`/_tern/dashboard${range}`);
    assert.equal(page.status, 200);
    guarded(page);
    assert.equal(page.html.match(/role="img"/g)?.length, 2);
  }
  for (const [lang, title] of [['de', 'Wie es dem Server geht'], ['fr', 'Comment va le serveur']] as const) {
    assert.ok((await admin.visit('GET', '/_tern/dashboard', undefined, { 'accept-language': lang })).html.includes(`<h1>${title}</h1>`));
  }
});

for (const [name, look] of LOOKED_AT) {
  test(`the dashboard, on a ${name.replace('-', ' in ')} window, without a script`, { skip: skip || missing }, async () => {
    const root = await administrator();
    const window = await Window.open(name, look);
    const { page } = window;
    await window.get(`${base}/_tern/dashboard`);
    await page.getByLabel('User name').fill(root.name);
    await page.getByLabel('Password', { exact: true }).fill(password);
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await page.getByRole('heading', { name: 'How the server is doing' }).waitFor();
    await window.look('dashboard-day');
    await page.getByRole('link', { name: 'Week', exact: true }).click();
    await page.waitForURL(/range=week/);
    await window.look('dashboard-week');
    await page.getByRole('link', { name: 'Year', exact: true }).click();
    await page.waitForURL(/range=year/);
    await page.getByText('As numbers', { exact: true }).click();
    await page.getByRole('columnheader', { name: 'Ago' }).waitFor();
    await window.look('dashboard-year');
    await page.context().close();
  });
}

const prometheus = ['/usr/bin/prometheus', '/usr/local/bin/prometheus'].find(existsSync);

test('Prometheus collects them', { skip: skip || (prometheus ? false : 'NOT RUN: Prometheus is not installed') }, async () => {
  const [folder, port] = [mkdtempSync(join(tmpdir(), 'tern-prometheus-')), await freePort()];
  const host = new URL(base).host;
  writeFileSync(join(folder, 'prometheus.yml'), JSON.stringify({
    global: { scrape_interval: '1s', scrape_timeout: '1s' },
    scrape_configs: [{ job_name: 'tern', metrics_path: '/_tern/metrics', authorization: { credentials: scrape }, static_configs: [{ targets: [host] }] }],
  }));
  execFileSync('sh', ['-c', 'command -v promtool >/dev/null && promtool check config "$1" >/dev/null || true', 'sh', join(folder, 'prometheus.yml')]);
  const child = spawn(prometheus!, [`--config.file=${join(folder, 'prometheus.yml')}`, `--storage.tsdb.path=${join(folder, 'data')}`, `--web.listen-address=127.0.0.1:${port}`], { stdio: 'ignore' });
  try {
    await eventually('Prometheus has collected', async () => {
      const query = encodeURIComponent('sum(tern_requests_total{route="/_matrix/client/v3/login"})');
      const answer = await fetch(`http://127.0.0.1:${port}/api/v1/query?query=${query}`).then((reply) => reply.json(), () => undefined) as any;
      return Number(answer?.data?.result?.[0]?.value?.[1]) >= 1;
    }, 30_000);
  } finally {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
});
