// A worker that stands between the proxy and the storage worker, and between both and the Internet, when a test asks for
// it (`--chaos`). It counts calls to storage and, for a while, makes them fail: in turn before the call, with a 503, and
// with the reply lost after the call was carried out. To the outside it lets a public name lead to a server of the test.
// Neither product worker knows of it.

const source = `
let failUntil = 0;
let calls = 0;
let failures = 0;
const hosts = new Map();

const control = {
  "/fail": (url) => { failUntil = Date.now() + Number(url.searchParams.get("ms")); },
  "/heal": () => { failUntil = 0; },
  "/host": (url) => { hosts.set(url.searchParams.get("name"), url.searchParams.get("at")); },
  "/calls": () => {},
};

async function failing(request, env) {
  failures += 1;
  if (failures % 3 === 1) throw new Error("storage is unreachable (chaos)");
  if (failures % 3 === 2) return new Response("storage is unavailable (chaos)", { status: 503 });
  await env.STORAGE.fetch(request);
  throw new Error("the reply of storage was lost (chaos)");
}

export default {
  fetch(request, env) {
    calls += 1;
    return Date.now() < failUntil ? failing(request, env) : env.STORAGE.fetch(request);
  },
};

export const Outside = {
  fetch(request) {
    const url = new URL(request.url);
    const at = hosts.get(url.host);
    return fetch(at ? new Request(new URL(url.pathname + url.search, at), request) : request);
  },
};

export const Control = {
  fetch(request) {
    const url = new URL(request.url);
    control[url.pathname]?.(url);
    return Response.json({ calls, failures });
  },
};
`;

/** Puts the wrapper in front of every binding to `storage` and of the Internet, in place; returns it as one more worker. */
export function insertChaos(workers, storage) {
  const name = `${storage.name}-chaos`;
  for (const worker of workers) {
    worker.outboundService = { name, entrypoint: "Outside" };
    for (const service of Object.values(worker.serviceBindings ?? {})) {
      if (service.name === storage.name) service.name = name;
    }
  }
  return {
    name,
    modules: [{ type: "ESModule", path: "chaos.js", contents: source }],
    modulesRoot: ".",
    compatibilityDate: storage.compatibilityDate,
    serviceBindings: { STORAGE: { name: storage.name } },
    unsafeDirectSockets: [{ host: "127.0.0.1", port: 0, entrypoint: "Control" }],
  };
}

/** Carries out one control line of a test and returns what to say about it. */
export async function control(miniflare, name, line) {
  const [verb, argument = "", at = ""] = line.trim().split(/\s+/u);
  const base = await miniflare.unsafeGetDirectURL(name, "Control");
  const ask = async (path) => (await fetch(new URL(path, base))).json();
  switch (verb) {
    case "storage-fail":
      await ask(`/fail?ms=${Number(argument)}`);
      return `chaos: storage fails for ${Number(argument)} ms`;
    case "storage-heal":
      await ask("/heal");
      return "chaos: storage works";
    case "storage-calls": {
      const { calls, failures } = await ask("/calls");
      return `chaos: storage calls ${calls}, failed ${failures}`;
    }
    case "host":
      await ask(`/host?${new URLSearchParams({ name: argument, at })}`);
      return `chaos: ${argument} is at ${at}`;
    default:
      return `chaos: unknown control line ${JSON.stringify(line)}`;
  }
}
