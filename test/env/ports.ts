/**
 * Ports for a stack, in blocks below the range that the system assigns by itself.
 *
 * Invariant: two stacks on one machine never get the same port. A block belongs to the process that listens on its
 * first port: the kernel releases it when the owner dies.
 */
import { connect, createServer, type Server } from 'node:net';

const first = 14_000;
const size = 40;
const blocks = 400;

export interface PortBlock {
  /** The ports of the block, all free when it was claimed. */
  readonly ports: readonly number[];
  release(): Promise<void>;
}

export async function claimPorts(): Promise<PortBlock> {
  const start = Math.floor(Math.random() * blocks);
  for (let step = 0; step < blocks; step++) {
    const base = first + ((start + step) % blocks) * size;
    const lock = await listen(base);
    if (lock === undefined) continue;
    const ports = Array.from({ length: size - 1 }, (_, at) => base + 1 + at);
    if (await allFree(ports)) {
      lock.unref();
      return { ports, release: () => close(lock) };
    }
    await close(lock);
  }
  throw new Error(`no block of ${size} free ports between ${first} and ${first + blocks * size}`);
}

async function allFree(ports: readonly number[]): Promise<boolean> {
  const servers = await Promise.all(ports.map(listen));
  await Promise.all(servers.map((server) => server && close(server)));
  return servers.every((server) => server !== undefined);
}

function listen(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

/** Whether a server of this machine accepts connections. */
export function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true));
    socket.on('error', () => resolve(false)).on('connect', () => socket.destroy());
  });
}
