// TLS in front of a server that listens without: hands requests on byte for byte, keeps a record of them, and can fail.
import { once } from 'node:events';
import { request, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { buffer } from 'node:stream/consumers';

/** An authority, and a certificate of it for localhost, as files. */
export interface Certificates {
  ca: string;
  cert: Buffer;
  key: Buffer;
}

export interface Passed {
  method: string;
  target: string;
  body: string;
  status: number;
}

/** What is answered instead of what the server would say; 'close' hangs up. */
export type Fault = 'close' | { status: number; body: string; headers?: Record<string, string> };

export class TlsFront {
  readonly port: number;
  /** Where requests go: a port of this machine. */
  to = 0;
  /** Every request so far with what it was answered, oldest first. */
  readonly passed: Passed[] = [];
  /** Decides of each request whether it fails. */
  fault: (method: string, target: string) => Fault | undefined = () => undefined;
  readonly #server: Server;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  static async start({ cert, key }: Certificates): Promise<TlsFront> {
    const server = createServer({ cert, key }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const front = new TlsFront(server, typeof address === 'object' && address ? address.port : 0);
    server.on('request', (incoming, response) => {
      front.#pass(incoming, response).catch(() => response.destroy());
    });
    return front;
  }

  /** The name of the server behind it. */
  get name(): string {
    return `localhost:${this.port}`;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #pass(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const [method, target] = [incoming.method!, incoming.url!];
    const body = await buffer(incoming);
    const record = (status: number) => this.passed.push({ method, target, body: body.toString(), status });
    const fault = this.fault(method, target);
    if (fault === 'close') {
      record(0);
      response.destroy();
      return;
    }
    if (fault) {
      record(fault.status);
      response.writeHead(fault.status, { 'content-type': 'application/json', ...fault.headers }).end(fault.body);
      return;
    }
    const headers = { ...incoming.headers, 'content-length': String(body.length) };
    delete headers['transfer-encoding'];
    const onward = request({ host: '127.0.0.1', port: this.to, method, path: target, headers });
    onward.end(method === 'GET' || method === 'HEAD' ? undefined : body);
    const [answer] = (await once(onward, 'response')) as [IncomingMessage];
    const reply = await buffer(answer);
    record(answer.statusCode!);
    const onHeaders = { ...answer.headers };
    delete onHeaders['transfer-encoding'];
    response.writeHead(answer.statusCode!, { ...onHeaders, 'content-length': String(reply.length) }).end(reply);
  }
}
