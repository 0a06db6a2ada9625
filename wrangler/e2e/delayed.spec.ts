// Delayed events (MSC4140): when they are sent, and what is answered to requests that are repeated or come too late.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, eventually, okay, pair, refused, text, unique, type Json, type User } from './support/client.ts';
import { shared } from './support/server.ts';

const base = await shared();
const DELAYED = '/_matrix/client/unstable/org.matrix.msc4140/delayed_events';
const act = (user: User, id: string, action: string) => user.call('POST', at`/_matrix/client/unstable/org.matrix.msc4140/delayed_events/${id}/${action}`, { body: {} });

async function schedule(user: User, room: string, body: string, delay: number, txn = unique('t')): Promise<string> {
  const query = { 'org.matrix.msc4140.delay': delay };
  return okay(await user.call('PUT', at`/rooms/${room}/send/m.room.message/${txn}`, { query, body: text(body) })).delay_id;
}

async function said(user: User, room: string): Promise<Json[]> {
  const { chunk } = await user.get(at`/rooms/${room}/messages`, { dir: 'b', limit: 50 });
  return chunk.filter(({ type }: Json) => type === 'm.room.message').reverse();
}

/** Schedules three events that are due within one second; how late the latest was sent, in milliseconds. */
async function lateness(): Promise<number> {
  const [alice, , room] = await pair(base);
  const delays = [1_500, 1_800, 2_100];
  const begun = Date.now();
  await Promise.all(delays.map((delay) => schedule(alice, room, String(delay), delay)));
  const set = Date.now();
  const sent = await eventually('all are sent', async () => {
    const all = await said(alice, room);
    return all.length === delays.length && all;
  });
  assert.deepEqual(sent.map(({ content }) => content.body), delays.map(String));
  for (const { content, origin_server_ts } of sent) {
    assert.ok(origin_server_ts >= begun + Number(content.body), `${content.body}: too early`);
  }
  return Math.max(...sent.map(({ content, origin_server_ts }) => origin_server_ts - set - Number(content.body)));
}

test('events that are due within one second are each sent in time', async () => {
  // Sent together, the first would always be 600 ms late; a machine that is busy elsewhere is late now and then.
  const late: number[] = [];
  do late.push(await lateness()); while (late.at(-1)! >= 600 && late.length < 3);
  assert.ok(late.at(-1)! < 600, `${late} ms late`);
});

test('an action that is repeated is answered again, and one that conflicts is refused', async () => {
  const [alice, , room] = await pair(base);
  const sent = await schedule(alice, room, 'sent', 600_000);
  const cancelled = await schedule(alice, room, 'cancelled', 600_000);
  for (let time = 0; time < 3; time += 1) {
    assert.deepEqual(okay(await act(alice, sent, 'send')), {});
    assert.deepEqual(okay(await act(alice, cancelled, 'cancel')), {});
  }
  for (const [id, action] of [[sent, 'cancel'], [sent, 'restart'], [cancelled, 'send'], [cancelled, 'restart']] as const) {
    refused(await act(alice, id, action), 409, 'M_UNKNOWN');
  }
  const timed = await schedule(alice, room, 'timed', 1);
  await eventually('its time comes', async () => (await said(alice, room)).length === 2);
  okay(await act(alice, timed, 'send'));
  refused(await act(alice, timed, 'cancel'), 409, 'M_UNKNOWN');
  refused(await act(alice, 'x' + sent.slice(1), 'send'), 404, 'M_NOT_FOUND');
  assert.deepEqual((await said(alice, room)).map(({ content }) => content.body), ['sent', 'timed']);
});

test('a request that is repeated gets the answer of the first, without a body and whatever became of the event', async () => {
  const [alice, , room] = await pair(base);
  const own = at`/_matrix/client/unstable/org.matrix.msc4140/rooms/${room}/delayed_event/m.room.message/`;
  const forms = [
    { path: (txn: string) => at`/rooms/${room}/send/m.room.message/${txn}`, query: { 'org.matrix.msc4140.delay': 600_000 }, body: text('a') },
    { path: (txn: string) => own + txn, query: {}, body: { delay_ms: 600_000, content: text('b') } },
    { path: (txn: string) => own + txn, query: {}, body: { delay: 600_000, content: text('c') } },
  ];
  for (const { path, query, body } of forms) {
    const [txn, fresh] = [unique('t'), unique('t')];
    const put = (name: string, asked?: Json) => alice.call('PUT', path(name), { query, ...(asked && { body: asked }) });
    const { delay_id } = okay(await put(txn, body));
    const again = async (when: string) => {
      for (const repeated of [await put(txn), await put(txn, {}), await put(txn, body)]) assert.deepEqual(okay(repeated), { delay_id }, when);
    };
    await again('while it waits');
    okay(await act(alice, delay_id, 'send'));
    await again('when it was sent');
    assert.equal((await put(fresh)).status, 400, 'the first needs one');
  }
  assert.equal((await said(alice, room)).length, forms.length);
  assert.deepEqual((await alice.get(DELAYED)).delayed_events, []);
});
