// The endpoints bad input is tried on: how each is called well, and what about it can be wrong.
import { at, unique, type Json, type User } from './client.ts';

/** Who calls, in whose room, about which event, and one stranger to it all. */
export interface Scene {
  user: User;
  guest: User;
  stranger: User;
  room: string;
  event: string;
}

export interface Endpoint {
  method: string;
  path: (scene: Scene) => string;
  /** False where no token is needed. */
  auth?: false;
  /** A well-formed body, where the endpoint takes one. */
  body?: (scene: Scene) => Json;
  /** Values of a type the field does not have, each refused with M_BAD_JSON. */
  wrong?: Record<string, Json>;
  /** True where someone outside the room gets 403 M_FORBIDDEN. */
  members?: true;
  /** True where the body may be left out. */
  bare?: true;
}

const V3 = '/_matrix/client/v3';
const room = (rest: (scene: Scene) => string) => (scene: Scene) => V3 + at`/rooms/${scene.room}` + rest(scene);
const about = (scene: Scene) => ({ user_id: scene.guest.id });
const list = { timeline_limit: 1, required_state: [['m.room.name', '']], ranges: [[0, 9]] };
const element = { timeline_limit: 1, required_state: { include: [{ type: 'm.room.name' }] }, range: [0, 9] };

export const ENDPOINTS: Endpoint[] = [
  { method: 'GET', path: () => '/_matrix/client/versions', auth: false },
  { method: 'GET', path: () => '/.well-known/matrix/client', auth: false },
  { method: 'GET', path: () => '/.well-known/matrix/server', auth: false },
  { method: 'GET', path: () => V3 + '/capabilities' },

  { method: 'GET', path: () => V3 + '/login', auth: false },
  {
    method: 'POST', path: () => V3 + '/login', auth: false,
    body: ({ user }) => ({ type: 'm.login.password', identifier: { type: 'm.id.user', user: user.id }, password: user.password }),
    wrong: { type: 7, identifier: 'me', password: 5, device_id: [], initial_device_display_name: {}, refresh_token: 'yes' },
  },
  {
    method: 'POST', path: () => V3 + '/register', auth: false,
    body: () => ({ username: unique(), password: 'Pw-12345-x', auth: { type: 'm.login.dummy' } }),
    wrong: { username: 7, password: [], auth: 'dummy', device_id: 7, inhibit_login: 'no', initial_device_display_name: 7 },
  },
  { method: 'GET', path: () => V3 + '/register/available', auth: false },
  {
    method: 'POST', path: () => V3 + '/refresh', auth: false,
    body: () => ({ refresh_token: 'nothing' }), wrong: { refresh_token: 7 },
  },
  {
    method: 'POST', path: () => V3 + '/search', body: () => ({ search_categories: { room_events: { search_term: 'word' } } }),
    wrong: { search_categories: 'all' },
  },
  { method: 'POST', path: () => V3 + '/logout', bare: true },
  { method: 'POST', path: ({ user }) => V3 + at`/user/${user.id}/openid/request_token`, body: () => ({}), bare: true },
  { method: 'POST', path: () => V3 + '/logout/all', bare: true },
  { method: 'GET', path: () => V3 + '/account/whoami' },
  { method: 'GET', path: () => V3 + '/devices' },
  { method: 'GET', path: ({ user }) => V3 + at`/devices/${user.device}` },
  {
    method: 'PUT', path: ({ user }) => V3 + at`/devices/${user.device}`,
    body: () => ({ display_name: 'desk' }), wrong: { display_name: 7 },
  },
  { method: 'DELETE', path: () => V3 + '/devices/NONE', body: () => ({}), wrong: { auth: 7 } },
  { method: 'POST', path: () => V3 + '/delete_devices', body: () => ({ devices: ['NONE'] }), wrong: { devices: {}, auth: 7 } },

  {
    method: 'POST', path: () => V3 + '/createRoom', body: () => ({ preset: 'private_chat' }),
    wrong: {
      preset: 7, name: 5, topic: [], visibility: 1, room_alias_name: {}, invite: '@a:b', initial_state: {}, is_direct: 'yes',
      creation_content: 'x', power_level_content_override: 'x', room_version: 12,
    },
  },
  { method: 'POST', path: ({ room }) => V3 + at`/join/${room}`, body: () => ({}), wrong: { reason: 7 }, members: true, bare: true },
  { method: 'POST', path: room(() => '/join'), body: () => ({}), wrong: { reason: 7 }, members: true, bare: true },
  { method: 'POST', path: room(() => '/invite'), body: about, wrong: { user_id: 7, reason: 7 }, members: true },
  { method: 'POST', path: room(() => '/kick'), body: about, wrong: { user_id: 7, reason: [] }, members: true },
  { method: 'POST', path: room(() => '/ban'), body: about, wrong: { user_id: 7, reason: [] }, members: true },
  { method: 'POST', path: room(() => '/unban'), body: about, wrong: { user_id: 7, reason: [] }, members: true },
  {
    method: 'PUT', path: room(() => '/send/m.room.message/bad-input'), body: () => ({ msgtype: 'm.text', body: 'x' }), members: true,
  },
  { method: 'PUT', path: room(() => '/state/m.room.topic'), body: () => ({ topic: 'x' }), members: true },
  { method: 'PUT', path: room(() => '/state/m.room.topic/'), body: () => ({ topic: 'x' }), members: true },
  { method: 'PUT', path: room(() => '/state/org.example.kind/key'), body: () => ({ n: 1 }), members: true },
  { method: 'GET', path: room(() => '/state'), members: true },
  { method: 'GET', path: room(() => '/state/m.room.create'), members: true },
  { method: 'GET', path: room(() => '/state/m.room.create/'), members: true },
  {
    method: 'PUT', path: room(({ event }) => at`/redact/${event}/bad-input`),
    body: () => ({ reason: 'x' }), wrong: { reason: 7 }, members: true,
  },
  { method: 'GET', path: room(({ event }) => at`/event/${event}`) },
  { method: 'GET', path: room(() => '/messages?dir=b'), members: true },
  { method: 'GET', path: room(() => '/initialSync'), members: true },
  { method: 'GET', path: () => V3 + '/initialSync' },
  { method: 'GET', path: () => V3 + '/events' },
  { method: 'GET', path: ({ event }) => V3 + at`/events/${event}` },
  { method: 'GET', path: room(() => '/members'), members: true },
  { method: 'GET', path: room(() => '/joined_members'), members: true },
  { method: 'GET', path: () => V3 + '/joined_rooms' },

  { method: 'GET', path: ({ user }) => V3 + at`/profile/${user.id}`, auth: false },
  { method: 'GET', path: ({ user }) => V3 + at`/profile/${user.id}/displayname`, auth: false },
  {
    method: 'PUT', path: ({ user }) => V3 + at`/profile/${user.id}/displayname`,
    body: () => ({ displayname: 'Tern' }), wrong: { displayname: 7 },
  },
  {
    method: 'PUT', path: ({ user }) => V3 + at`/profile/${user.id}/avatar_url`,
    body: () => ({ avatar_url: 'mxc://example.org/x' }), wrong: { avatar_url: 7 },
  },
  { method: 'GET', path: ({ user }) => V3 + at`/user/${user.id}/account_data/org.example.none` },
  { method: 'PUT', path: ({ user }) => V3 + at`/user/${user.id}/account_data/org.example.some`, body: () => ({ n: 1 }) },
  { method: 'GET', path: ({ user, room }) => V3 + at`/user/${user.id}/rooms/${room}/account_data/org.example.none` },
  { method: 'PUT', path: ({ user, room }) => V3 + at`/user/${user.id}/rooms/${room}/account_data/org.example.some`, body: () => ({ n: 1 }) },
  { method: 'GET', path: ({ user, room }) => V3 + at`/user/${user.id}/rooms/${room}/tags` },
  {
    method: 'PUT', path: ({ user, room }) => V3 + at`/user/${user.id}/rooms/${room}/tags/u.x`,
    body: () => ({ order: 0.5 }), wrong: { order: 'first' },
  },
  { method: 'DELETE', path: ({ user, room }) => V3 + at`/user/${user.id}/rooms/${room}/tags/u.none` },
  {
    method: 'POST', path: ({ user }) => V3 + at`/user/${user.id}/filter`,
    body: () => ({ room: {} }), wrong: { room: 'x', event_fields: 'x', presence: 7 },
  },
  { method: 'GET', path: ({ user }) => V3 + at`/user/${user.id}/filter/none` },

  {
    method: 'PUT', path: (scene) => room(() => at`/typing/${scene.user.id}`)(scene),
    body: () => ({ typing: true, timeout: 1000 }), wrong: { typing: 'yes', timeout: 'soon' }, members: true,
  },
  {
    method: 'POST', path: room(({ event }) => at`/receipt/m.read/${event}`), body: () => ({}), members: true, bare: true,
  },
  {
    method: 'POST', path: room(() => '/read_markers'), body: ({ event }) => ({ 'm.read': event }),
    wrong: { 'm.read': 7, 'm.fully_read': [], 'm.read.private': {} }, members: true,
  },
  {
    method: 'PUT', path: () => V3 + '/sendToDevice/org.example.none/bad-input', body: () => ({ messages: {} }), wrong: { messages: [] },
  },
  { method: 'GET', path: () => V3 + '/sync?timeout=0' },
  {
    method: 'POST', path: () => '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync',
    body: () => ({ conn_id: 'bad', lists: { a: list } }),
    wrong: { conn_id: 7, lists: [], room_subscriptions: 'x', extensions: [] },
  },
  {
    method: 'POST', path: () => '/_matrix/client/v4/sync', body: () => ({ conn_id: 'bad', lists: { a: element }, timeout: 0 }),
    wrong: { conn_id: 7, lists: [], room_subscriptions: 'x', extensions: [], timeout: 'long', pos: 7 },
  },
  { method: 'GET', path: () => V3 + '/notifications' },
  { method: 'GET', path: () => V3 + '/pushrules/' },
  { method: 'GET', path: () => V3 + '/pushrules/global/' },
  {
    method: 'PUT', path: () => V3 + '/pushrules/global/room/!none:example.org',
    body: () => ({ actions: [] }), wrong: { actions: 'notify' },
  },
  {
    method: 'PUT', path: () => V3 + '/pushrules/global/override/.m.rule.master/enabled',
    body: () => ({ enabled: false }), wrong: { enabled: 'no' },
  },
  // last: a server that takes them badly formed spoils the scene for the others
  { method: 'POST', path: room(() => '/leave'), body: () => ({}), wrong: { reason: 7 }, members: true, bare: true },
  { method: 'POST', path: room(() => '/forget'), bare: true },
];
