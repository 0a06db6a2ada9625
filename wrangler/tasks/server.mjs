// Runs both workers on workerd, with the wrangler configurations as the one source of bindings.
//
// Why not `wrangler dev`: it puts a proxy worker and an entry worker before ours, about 3 ms per request. Here workerd's
// own socket is bound straight to the public worker; Miniflare only supplies D1, R2 and the folder layout of both.

import childProcess from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Log, LogLevel, Miniflare, convertV4MiniflareOptions } from "miniflare";
import { unstable_getMiniflareWorkerOptions as workerOptions, unstable_readConfig as readConfig } from "wrangler";
import { control, insertChaos } from "./chaos.mjs";
import { migrate } from "./migrate.mjs";

const HOST = "127.0.0.1";
const CONFIGS = fileURLToPath(new URL("..", import.meta.url));
const MODULE_TYPES = { ".js": "ESModule", ".mjs": "ESModule", ".wasm": "CompiledWasm" };

/** Everything the build left beside the main module, main module first. */
function modulesOf(main) {
  const root = path.dirname(main);
  const files = readdirSync(root, { recursive: true }).map((name) => path.join(root, name));
  const modules = files.filter((file) => file !== main && path.extname(file) in MODULE_TYPES);
  return {
    modulesRoot: root,
    modules: [main, ...modules].map((file) => ({ type: MODULE_TYPES[path.extname(file)], path: file })),
  };
}

function loadWorker(file, bindings = {}) {
  // Secrets come from the state folder, so wrangler need not look for them in files and the environment.
  const config = { ...readConfig({ config: path.join(CONFIGS, file) }), secrets: undefined };
  const { workerOptions: options, main } = workerOptions(config);
  const { modulesRules: _, ...rest } = options;
  const worker = {
    ...rest,
    ...modulesOf(main),
    name: config.name,
    rootPath: CONFIGS,
    cacheAPI: false,
    bindings: { ...options.bindings, ...bindings },
  };
  return { config, worker };
}

/** Everything of Miniflare's goes to stderr, and only when it matters. */
class StderrLog extends Log {
  constructor(say) {
    super(LogLevel.WARN);
    this.log = say;
  }
}

/** A port nobody listens on; a clear error when a wanted one is taken. */
export async function freePort(wanted) {
  const probe = net.createServer();
  probe.listen(wanted, HOST);
  try {
    await once(probe, "listening");
  } catch (error) {
    if (error.code !== "EADDRINUSE") throw error;
    throw new Error(`port ${wanted} is in use; choose another with --port`);
  }
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
}

/**
 * Calls back with workerd's process as soon as Miniflare starts it.
 * Miniflare keeps that process to itself and restarts a killed one; we want to know its id and to end with it.
 */
function onWorkerd(callback) {
  const spawn = childProcess.spawn;
  childProcess.spawn = (command, ...rest) => {
    const child = spawn(command, ...rest);
    if (/workerd[^/]*$/u.test(command)) {
      childProcess.spawn = spawn;
      callback(child);
    }
    return child;
  };
}

/** workerd outlives a SIGKILL of this process unless somebody ends it: a shell that waits for our end of a pipe. */
function guard(pid) {
  const script = "read -r _; kill -KILL $0 2>/dev/null";
  const shell = childProcess.spawn("/bin/sh", ["-c", script, String(pid)], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  shell.unref();
  shell.stdin.unref();
  return shell;
}

async function untilAnswering(url, deadline = Date.now() + 60_000) {
  for (;;) {
    const status = await fetch(url).then((reply) => reply.status, String);
    if (status === 200) return;
    if (Date.now() > deadline) throw new Error(`${url} does not answer: ${status}`);
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}

/**
 * Starts the server and returns once it answers.
 * `vars` are the proxy's variables and secrets; `inspector` is a port for DevTools; `onExit` is called when workerd ends by
 * itself.
 */
export async function startServer({ state, port, vars, chaos = false, inspector, say, onExit }) {
  const proxy = loadWorker("proxy.jsonc", vars);
  const storage = loadWorker("storage-worker.jsonc");
  proxy.worker.unsafeDirectSockets = [{ host: HOST, port }];
  const workers = [proxy.worker, storage.worker];
  const wrapper = chaos ? insertChaos(workers, storage.worker) : undefined;
  if (wrapper) workers.push(wrapper);

  let workerd;
  let stopping = false;
  onWorkerd((child) => {
    workerd = child;
    workerd.guard = guard(child.pid);
    child.once("exit", (code, signal) => {
      if (!stopping) onExit(signal ?? `code ${code}`);
    });
  });
  const miniflare = new Miniflare(convertV4MiniflareOptions({
    host: HOST,
    cf: false,
    ...(inspector && { inspectorPort: inspector }),
    log: new StderrLog(say),
    logRequests: false,
    handleStructuredLogs: ({ level, message }) => say(`[${level}] ${message}`),
    telemetry: { enabled: false },
    // The folder `wrangler dev --persist-to` and `wrangler d1 … --persist-to` use.
    resourcePersistencePath: path.join(state, "v3"),
    workers,
  }));
  const stop = async () => {
    stopping = true;
    workerd?.guard.kill("SIGKILL");
    await miniflare.dispose();
  };
  try {
    await miniflare.ready;
    await migrate(miniflare, storage.config, say);
    await untilAnswering(`http://${HOST}:${port}/_matrix/client/versions`);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    address: `http://${HOST}:${port}`,
    workerd: workerd.pid,
    control: wrapper && ((line) => control(miniflare, wrapper.name, line)),
    stop,
  };
}
