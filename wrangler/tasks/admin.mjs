// One request to the administration interface: of the running server of a state folder, else of one started for the
// purpose. The body comes on stdin, the answer goes to stdout.

import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { adminToken, proxyVars, runningServer } from "./instance.mjs";
import { freePort, startServer } from "./server.mjs";

const say = (line) => process.stderr.write(`${line}\n`);
globalThis.console = new console.Console(process.stderr, process.stderr);

const { values: options } = parseArgs({
  options: {
    state: { type: "string" },
    port: { type: "string", default: "0" },
    method: { type: "string" },
    path: { type: "string" },
  },
});

function fail(message) {
  say(`error: ${message}`);
  process.exit(1);
}

async function ask(address, state, body) {
  const reply = await fetch(`${address}/_tern/admin/v1${options.path}`, {
    method: options.method,
    headers: { "Authorization": `Bearer ${adminToken(state)}`, "Content-Type": "application/json" },
    body: body === "" ? undefined : body,
  });
  const answer = await reply.json().catch(() => ({}));
  if (!reply.ok) throw new Error(answer.error ?? `the server answered ${reply.status}`);
  return answer;
}

async function startForOnce(state) {
  const port = await freePort(Number(options.port));
  const onExit = (reason) => fail(`workerd ended (${reason})`);
  return startServer({ state, port, vars: proxyVars({ state, port }), say, onExit });
}

try {
  const body = await text(process.stdin);
  const running = await runningServer(options.state);
  const own = running ? undefined : await startForOnce(options.state);
  try {
    const answer = await ask((running ?? own).address, options.state, body);
    process.stdout.write(JSON.stringify(answer));
  } finally {
    await own?.stop();
  }
  process.exit(0);
} catch (error) {
  fail(error.message);
}
