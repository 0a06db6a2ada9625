// A worker that stands between the proxy and the storage worker when a test asks for it (`--chaos`).
// It counts calls and, for a while, makes them fail: in turn before the call, with a 503, and with the reply lost
// after the call was carried out. Neither product worker knows of it.

const source = `
let failUntil = 0;
let calls = 0;
let failures = 0;

const control = {
  "/fail": (url) => { failUntil = Date.now() + Number(url.searchParams.get("ms")); },
  "/heal": () => { failUntil = 0; },
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

export const Control = {
  fetch(request) {
    const url = new URL(request.url);
    control[url.pathname]?.(url);
    return Response.json({ calls, failures });
  },
};
`;

/** Puts the wrapper in front of every binding to `storage`, in place, and returns it as one more worker. */
export function insertChaos(workers, storage) {
  const name = `${storage.name}-chaos`;
  for (const worker of workers) {
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
export async function controlStorage(miniflare, name, line) {
  const [verb, argument = ""] = line.trim().split(/\s+/u);
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
    default:
      return `chaos: unknown control line ${JSON.stringify(line)}`;
  }
}
