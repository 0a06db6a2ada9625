// Starts the server of one state folder and keeps it until SIGINT or SIGTERM.
// stdout carries exactly one line, `ready: http://127.0.0.1:PORT`; all else goes to stderr.

import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { announce, proxyVars, runningServer, withdraw } from "./instance.mjs";
import { openMailbox } from "./mailbox.mjs";
import { freePort, startServer } from "./server.mjs";

const say = (text) => process.stderr.write(`${text}\n`);
globalThis.console = new console.Console(process.stderr, process.stderr);

const { values: options } = parseArgs({
  options: {
    "state": { type: "string" },
    "port": { type: "string" },
    "open-registration": { type: "boolean" },
    "unlimited": { type: "boolean" },
    "chaos": { type: "boolean" },
    "mail": { type: "boolean" },
    "inspect": { type: "boolean" },
  },
});

function fail(error) {
  say(`error: ${error.message ?? error}`);
  process.exit(1);
}

/** A registration token is a secret, so it comes by the environment and goes no further. */
function takeRegistrationToken() {
  const token = process.env.TERN_REGISTRATION_TOKEN;
  delete process.env.TERN_REGISTRATION_TOKEN;
  return token;
}

async function start(state) {
  const other = await runningServer(state);
  if (other) throw new Error(`${state} is already used by the server at ${other.address} (process ${other.pid})`);
  const port = await freePort(Number(options.port));
  const vars = proxyVars({
    state,
    port,
    openRegistration: options["open-registration"],
    unlimited: options.unlimited,
    registrationToken: takeRegistrationToken(),
    further: options.mail ? await openMailbox(state) : {},
  });
  const onExit = (reason) => {
    withdraw(state);
    fail(`workerd ended (${reason})`);
  };
  const inspector = options.inspect ? await freePort(0) : undefined;
  if (inspector) say(`inspector: http://127.0.0.1:${inspector}/json/list`);
  return startServer({ state, port, vars, chaos: options.chaos, inspector, say, onExit });
}

/** Ends on a signal; with control lines, also when whoever held the other end of stdin is gone. */
function untilStopped(state, server) {
  const stop = async () => {
    withdraw(state);
    await server.stop();
    process.exit(0);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    // Miniflare's own handlers would exit before workerd is gone.
    process.removeAllListeners(signal);
    process.on(signal, () => {
      // Node forgets that `nohup` made it deaf to a hang-up: only one of our own terminal counts.
      if (signal !== "SIGHUP" || process.stdin.isTTY) stop().catch(fail);
    });
  }
  if (!server.control) return;
  const lines = createInterface({ input: process.stdin });
  lines.on("line", (line) => server.control(line).then(say, (error) => say(`chaos: ${error.message}`)));
  lines.once("close", () => stop().catch(fail));
}

try {
  const server = await start(options.state);
  announce(options.state, { address: server.address, pid: process.pid, workerd: server.workerd });
  untilStopped(options.state, server);
  say(`workerd: ${server.workerd}`);
  process.stdout.write(`ready: ${server.address}\n`);
} catch (error) {
  fail(error);
}
