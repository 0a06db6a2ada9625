// The administration interface as the backup tool asks it: what fails for a moment is asked again.

const TRIES = 6;
const FIRST_PAUSE_MS = 500;

/** The address as it is asked. Everything passes there, and the token that is good for everything; what may be secret is not shown. */
function base(url) {
  const { protocol, host, hostname, pathname, username, password } = URL.canParse(url) ? new URL(url) : {};
  if (!host || !["https:", "http:"].includes(protocol)) throw new Error("the server's address is not one such as https://matrix.example.org");
  if (username || password) throw new Error(`the address of ${host} has a name or a password in it: only the token opens the server`);
  if (protocol !== "https:" && !["127.0.0.1", "localhost", "[::1]"].includes(hostname)) throw new Error(`${host} is not asked by https, so that anybody may listen`);
  return `${protocol}//${host}${pathname.replace(/\/$/u, "")}/_tern/admin/v1/`;
}

/** An answer that says no. */
export class Refusal extends Error {
  constructor(status, errcode, message) {
    super(message);
    this.status = status;
    this.errcode = errcode;
  }
}

export class Administration {
  #base;
  #token;

  constructor(url, token) {
    this.#base = base(url);
    this.#token = token;
  }

  /** `body` makes the body anew for each try. */
  async send(method, path, body) {
    for (let tries = 1, pause = FIRST_PAUSE_MS; ; tries += 1, pause *= 2) {
      const headers = { "authorization": `Bearer ${this.#token}`, "content-type": "application/json" };
      const content = await body?.();
      const reply = await fetch(this.#base + path, { method, headers, body: content, duplex: "half", redirect: "error" }).catch((error) => error);
      if (reply.ok) return reply;
      const again = !reply.status || reply.status >= 500 || reply.status === 429;
      if (!again || tries === TRIES) {
        if (!reply.status) throw new Error(`the server cannot be reached: ${reply.cause?.message ?? reply.message}`);
        const answer = await reply.json().catch(() => ({}));
        throw new Refusal(reply.status, answer.errcode, `${method} ${path}: ${reply.status} ${answer.error ?? ""}`);
      }
      await reply.body?.cancel();
      await new Promise((resolve) => { setTimeout(resolve, pause); });
    }
  }

  /** The text of the answer: numbers in it may be longer than JavaScript's. */
  async ask(path, question) {
    const text = typeof question === "string" ? question : JSON.stringify(question);
    return (await this.send("POST", path, () => text)).text();
  }

  async get(path) {
    return (await this.send("GET", path)).json();
  }
}

/** Does `work` for each, so many at a time. */
export async function each(items, atOnce, work) {
  const rest = [...items].values();
  const worker = async () => { for (const item of rest) await work(item); };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

export const objectPath = (kind, name) => `objects/${kind}/${encodeURIComponent(name)}`;
