// What the isolate of the public worker holds: the heap of its JavaScript and the memory of its WebAssembly. The platform
// ends an isolate above 128 MB; the rest of workerd's process (page caches of SQLite, sockets) is not counted there.
import { readFileSync } from 'node:fs';
import type { Json } from './http.ts';
import type { Server } from './server.ts';

const WORKER = 'core:user:tern-proxy';
const MB = 1 << 20;
/**
 * V8 reserves all addresses that 32 bits reach, and some behind them, for the memory of a module. The heap of JavaScript looks
 * alike, all isolates in one region, but for its guard it has less.
 */
const RESERVED = 2 ** 32;

export interface Isolate {
  /** Megabytes. */
  heap: number;
  wasm: number;
}

export async function isolate(server: Server): Promise<Isolate> {
  const { usedSize, backingStorageSize } = await heap(server);
  return { heap: (usedSize + backingStorageSize) / MB, wasm: largestMemory(server.workerd) / MB };
}

async function heap(server: Server): Promise<Json> {
  const list: Json[] = await fetch(server.inspector).then((answer) => answer.json());
  const socket = new WebSocket(list.find(({ id }) => id === WORKER)!.webSocketDebuggerUrl);
  try {
    return await new Promise((resolve, reject) => {
      socket.onerror = () => reject(new Error('the inspector does not answer'));
      socket.onmessage = ({ data }) => resolve(JSON.parse(String(data)).result);
      socket.onopen = () => socket.send(JSON.stringify({ id: 1, method: 'Runtime.getHeapUsage' }));
    });
  } finally {
    socket.close();
  }
}

/** The size of the largest WebAssembly memory of a process, the public worker's or at least as large: what is mapped before a guard. */
function largestMemory(pid: number): number {
  const regions = readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n').filter(Boolean).map((line) => {
    const [range, access] = line.split(' ');
    const [start, end] = range!.split('-').map((address) => Number.parseInt(address, 16));
    return { start: start!, end: end!, access: access! };
  });
  const sizes = regions.map(({ start, end, access }, n) => {
    const guard = regions[n + 1];
    const guarded = guard?.access.startsWith('---') && guard.start === end && guard.end - start > RESERVED;
    return access.startsWith('rw') && guarded ? end - start : 0;
  });
  return Math.max(...sizes);
}
