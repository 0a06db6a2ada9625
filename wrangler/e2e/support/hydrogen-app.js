// An app of hydrogen-view-sdk, as its README builds one: what the spec calls is on `window`.
import { Client, createNavigation, LoadStatus, Platform } from 'hydrogen-view-sdk';

const assetPaths = {
  downloadSandbox: '/assets/download-sandbox.html',
  worker: '/assets/main.js',
  olm: { wasm: '/olm/olm.wasm', legacyBundle: '/olm/olm_legacy.js', wasmBundle: '/olm/olm.js' },
  serviceWorker: '/sw.js',
};
const platform = new Platform({ container: document.body, assetPaths, config: {}, options: { development: false } });
platform.setNavigation(createNavigation());
const ended = [LoadStatus.Ready, LoadStatus.Error, LoadStatus.LoginFailed];
let client;

/** Signs in and waits for the end of the first sync, or of the attempt. */
window.signIn = async (homeserver, username, password) => {
  await platform.init();
  client = new Client(platform);
  const ways = await client.queryLogin(homeserver).result;
  await client.startWithLogin(ways.password(username, password));
  await client.loadStatus.waitFor((status) => ended.includes(status)).promise;
  const { loginFailure, loadError } = client;
  return { status: client.loadStatus.get(), failure: loginFailure ?? loadError?.message ?? null, user: client.session?.userId ?? null };
};
/** The texts of a room's messages as the server told them; null where the room is not known. */
window.texts = async (id) => {
  const room = client.session.rooms.get(id);
  if (!room) return null;
  const timeline = await room.openTimeline();
  const entries = [...timeline.remoteEntries];
  timeline.release();
  return entries.filter((entry) => entry.eventType === 'm.room.message').map((entry) => entry.content.body);
};
window.say = (id, body) => client.session.rooms.get(id).sendEvent('m.room.message', { msgtype: 'm.text', body });
window.signOut = () => client.startLogout(client.sessionId);
window.ready = true;
