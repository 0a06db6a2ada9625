// Where the mails of a local server end: an HTTP interface like those of mail providers, and a file with a line for each.

import { once } from "node:events";
import { appendFileSync } from "node:fs";
import { createServer } from "node:http";
import path from "node:path";
import { text } from "node:stream/consumers";

const HOST = "127.0.0.1";

/** Starts the interface; resolves to the variables that make the public worker use it. */
export async function openMailbox(state) {
  const file = path.join(state, "mail.jsonl");
  const server = createServer(async (request, response) => {
    const mail = JSON.parse(await text(request));
    appendFileSync(file, `${JSON.stringify(mail)}\n`, { mode: 0o600 });
    response.end("{}");
  });
  server.listen(0, HOST);
  await once(server, "listening");
  // It must not keep the launcher alive.
  server.unref();
  return {
    MAIL: { url: `http://${HOST}:${server.address().port}/`, from: "Tern <tern@localhost>" },
    OUTBOUND_PRIVATE: "true",
  };
}
