// The page around a widget: speaks the widget API for a signed-in user, by matrix-widget-api, and syncs for the widget.
const { base, token, user, device, room } = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const { ClientWidgetApi, Widget, WidgetDriver, OpenIDRequestState } = window.mxwidgets();
const V3 = '/_matrix/client/v3';
const DELAYED = '/_matrix/client/unstable/org.matrix.msc4140/delayed_events';
const path = (...parts) => parts.map(encodeURIComponent).join('/');

async function ask(method, where, { body, query = {} } = {}) {
  const address = new URL(base + where);
  for (const [name, value] of Object.entries(query)) address.searchParams.set(name, value);
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const answer = await fetch(address, { method, headers, body: body && JSON.stringify(body) });
  const json = await answer.json();
  if (!answer.ok) throw new Error(`${method} ${where}: ${JSON.stringify(json)}`);
  return json;
}

let txn = 0;
/** Events of a sync are told without their room. */
const whole = (event) => ({ ...event, room_id: room });

class Driver extends WidgetDriver {
  async validateCapabilities(requested) {
    return requested;
  }

  #send(type, content, stateKey, query) {
    const where = stateKey == null
      ? `${V3}/rooms/${path(room)}/send/${path(type, `w${Date.now()}.${txn += 1}`)}`
      : `${V3}/rooms/${path(room)}/state/${path(type, stateKey)}`;
    return ask('PUT', where, { body: content, query });
  }

  async sendEvent(type, content, stateKey = null) {
    return { roomId: room, eventId: (await this.#send(type, content, stateKey, {})).event_id };
  }

  async sendStickyEvent(duration, type, content) {
    return { roomId: room, eventId: (await this.#send(type, content, null, { 'org.matrix.msc4354.sticky_duration_ms': duration })).event_id };
  }

  async sendDelayedEvent(delay, type, content, stateKey = null) {
    return { roomId: room, delayId: (await this.#send(type, content, stateKey, { 'org.matrix.msc4140.delay': delay })).delay_id };
  }

  async sendDelayedStickyEvent(delay, duration, type, content) {
    const query = { 'org.matrix.msc4140.delay': delay, 'org.matrix.msc4354.sticky_duration_ms': duration };
    return { roomId: room, delayId: (await this.#send(type, content, null, query)).delay_id };
  }

  cancelScheduledDelayedEvent(id) { return ask('POST', `${DELAYED}/${path(id)}/cancel`, { body: {} }); }
  restartScheduledDelayedEvent(id) { return ask('POST', `${DELAYED}/${path(id)}/restart`, { body: {} }); }
  sendScheduledDelayedEvent(id) { return ask('POST', `${DELAYED}/${path(id)}/send`, { body: {} }); }

  async sendToDevice(type, encrypted, messages) {
    await ask('PUT', `${V3}/sendToDevice/${path(type, `w${txn += 1}`)}`, { body: { messages } });
  }

  async readRoomState(_room, type, stateKey) {
    const state = await ask('GET', `${V3}/rooms/${path(room)}/state`);
    return state.filter((event) => event.type === type && (stateKey === undefined || event.state_key === stateKey));
  }

  async readStateEvents(type, stateKey) { return this.readRoomState(room, type, stateKey); }
  async readRoomTimeline() { return []; }
  async readRoomEvents() { return []; }
  async readStickyEvents() { return window.stuck; }

  askOpenID(observer) {
    ask('POST', `${V3}/user/${path(user)}/openid/request_token`, { body: {} })
      .then((credentials) => observer.update({ state: OpenIDRequestState.Allowed, token: credentials }));
  }

  getRtcTransports() { return ask('GET', '/_matrix/client/unstable/org.matrix.msc4143/rtc/transports'); }
  getKnownRooms() { return [room]; }
  processError(error) { window.errors.push(String(error)); return undefined; }
}

window.errors = [];
window.actions = [];
window.stuck = [];
const frame = document.createElement('iframe');
frame.allow = 'camera *; microphone *; autoplay *';
const query = new URLSearchParams({
  widgetId: 'call', parentUrl: location.origin, roomId: room, userId: user, deviceId: device, baseUrl: base, lang: 'en',
  skipLobby: 'true', intent: 'start_call', confineToRoom: 'true', header: 'none', perParticipantE2EE: 'false', enableE2EE: 'false',
  hideScreensharing: 'true', preload: 'false',
});
const url = `${location.origin}/call/index.html#?${query}`;
const widget = new Widget({ id: 'call', creatorUserId: user, type: 'm.custom', url });
frame.src = url;
document.body.append(frame);
const api = new ClientWidgetApi(widget, frame, new Driver());
api.setViewedRoomId(room);
for (const action of ['io.element.join', 'im.vector.hangup', 'io.element.close', 'io.element.device_mute', 'set_always_on_screen', 'content_loaded']) {
  api.on(`action:${action}`, (event) => {
    event.preventDefault();
    window.actions.push(action);
    api.transport.reply(event.detail, action === 'set_always_on_screen' ? { success: true } : {});
  });
}
window.leave = () => api.transport.send('im.vector.hangup', {});
api.on('ready', async () => {
  window.actions.push('ready');
  let since;
  for (;;) {
    const answer = await ask('GET', `${V3}/sync`, { query: { timeout: since ? 20000 : 0, ...(since ? { since } : {}) } });
    const joined = answer.rooms?.join?.[room];
    const events = [...(joined?.timeline?.events ?? [])].map(whole);
    const sticky = (joined?.msc4354_sticky?.events ?? []).map(whole);
    const state = since ? events.filter((event) => event.state_key !== undefined)
      : await ask('GET', `${V3}/rooms/${path(room)}/state`);
    window.stuck.push(...[...sticky, ...events].filter((event) => event.msc4354_sticky));
    for (const event of state) await api.feedStateUpdate(event);
    if (since) for (const event of [...sticky, ...events]) await api.feedEvent(event);
    for (const event of answer.to_device?.events ?? []) await api.feedToDevice(event, false);
    since = answer.next_batch;
  }
});
