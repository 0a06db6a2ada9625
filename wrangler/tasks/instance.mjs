// The state folder of one server: `keys.json` (secrets, written once by the task runner), `vars.json` (further variables
// of the public worker, written by whoever wants them), `server.json` (who runs it now) and the data folder.

import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";

/** Variables and secrets of the public worker. They reach workerd through a pipe, never a command line. */
export function proxyVars({ state, port, openRegistration = false, unlimited = false, registrationToken, further = {} }) {
  const keys = JSON.parse(readFileSync(path.join(state, "keys.json"), "utf8"));
  return {
    SERVER_NAME: keys.server_name,
    PUBLIC_URL: `http://127.0.0.1:${port}`,
    SIGNING_KEY: `${keys.signing_key.key_id} ${keys.signing_key.seed}`,
    TOKEN_KEY: keys.token_key,
    ADMIN_TOKEN: keys.admin_token,
    OPEN_REGISTRATION: String(openRegistration),
    UNLIMITED: String(unlimited),
    ...(registrationToken && { REGISTRATION_TOKEN: registrationToken }),
    ...further,
    ...ownVars(state, further),
  };
}

/** What the owner of the folder wants; of a variable that is an object, only the parts that are named. */
function ownVars(state, further) {
  const file = path.join(state, "vars.json");
  const own = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
  if (own.MAIL && further.MAIL) own.MAIL = { ...further.MAIL, ...own.MAIL };
  return own;
}

export function adminToken(state) {
  return JSON.parse(readFileSync(path.join(state, "keys.json"), "utf8")).admin_token;
}

function alive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** The server that uses this folder now, if its process lives and it answers. */
export async function runningServer(state) {
  let server;
  try {
    server = JSON.parse(readFileSync(path.join(state, "server.json"), "utf8"));
  } catch {
    return undefined;
  }
  // The id may belong to another program by now, so the answer decides.
  if (!alive(server.pid)) return undefined;
  const answers = await fetch(`${server.address}/_matrix/client/versions`).then((reply) => reply.ok, () => false);
  return answers ? server : undefined;
}

export function announce(state, server) {
  writeFileSync(path.join(state, "server.json"), `${JSON.stringify(server)}\n`, { mode: 0o600 });
}

export function withdraw(state) {
  rmSync(path.join(state, "server.json"), { force: true });
}
