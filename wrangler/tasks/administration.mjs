// The administration interface as the backup tool asks it: what fails for a moment is asked again.

const TRIES = 6;
const FIRST_PAUSE_MS = 500;

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
    const { protocol, hostname } = new URL(url);
    // Everything passes here, and the token that is good for everything.
    if (protocol !== "https:" && !["127.0.0.1", "localhost", "[::1]"].includes(hostname)) throw new Error(`${url} is not encrypted: use https`);
    this.#base = `${url.replace(/\/$/u, "")}/_tern/admin/v1/`;
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
