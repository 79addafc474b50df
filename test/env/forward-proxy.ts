/**
 * A real forward proxy (tinyproxy) with authentication, and TLS in front of servers that have none.
 *
 * Guarantees: it listens on loopback only, and ends with its owner.
 */
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { folders } from './parts.mjs';
import { claimPorts, listens } from './ports.ts';
import { createProcesses } from './processes.ts';

export interface RealProxyOptions {
  user: string;
  password: string;
  /** Hosts that it rejects. */
  rejected: readonly string[];
}

export interface RealProxy extends AsyncDisposable {
  readonly port: number;
  /** The first lines of the requests so far: `CONNECT 127.0.0.1:443 HTTP/1.1`. */
  requests(): string[];
}

export async function startRealProxy({ user, password, rejected }: RealProxyOptions): Promise<RealProxy> {
  const processes = createProcesses();
  const block = await claimPorts();
  const [port = 0] = block.ports;
  const file = (name: string) => join(processes.directory, name);
  const patterns = rejected.map((host) => `^${host.replaceAll('.', '\\.')}$`);
  await writeFile(file('filter'), `${patterns.join('\n')}\n`);
  const settings = {
    Port: port,
    Listen: '127.0.0.1',
    Allow: '127.0.0.1',
    Timeout: 600,
    MaxClients: 200,
    BasicAuth: `${user} ${password}`,
    Filter: `"${file('filter')}"`,
    FilterExtended: 'On',
    LogLevel: 'Connect',
    LogFile: `"${file('requests.log')}"`,
  };
  await writeFile(
    file('tinyproxy.conf'),
    Object.entries(settings)
      .map((pair) => `${pair.join(' ')}\n`)
      .join(''),
  );
  await processes.start({
    name: 'tinyproxy',
    command: join(folders.forwardProxy, 'tinyproxy'),
    args: ['-d', '-c', file('tinyproxy.conf')],
    ready: () => listens(port),
  });
  return {
    port,
    requests: () =>
      [...readFileSync(file('requests.log'), 'utf8').matchAll(/Request \(file descriptor \d+\): (.*)/g)].map(
        ([, line = '']) => line,
      ),
    async [Symbol.asyncDispose]() {
      await processes.stop();
      await block.release();
    },
  };
}

export interface TlsFront extends AsyncDisposable {
  readonly port: number;
}

/** TLS in front of a server on loopback. */
export async function startTlsFront(port: number, pair: { key: string; cert: string }): Promise<TlsFront> {
  const sockets = new Set<Socket>();
  const server = createServer(pair, (socket) => {
    const onward = connect(port, '127.0.0.1');
    for (const [one, other] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      sockets.add(one);
      one.on('error', () => other.destroy()).on('close', () => sockets.delete(one));
      one.pipe(other);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return {
    port: address.port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
