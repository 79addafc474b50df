/** A forward proxy that connects every request to one server, whatever host it is for, and records what it received. */
import { createServer, type IncomingHttpHeaders, request } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect, type Socket } from 'node:net';

export interface ProxyRequest {
  /** `GET http://mirror.example.com/a` or `CONNECT mirror.example.com:443`. */
  line: string;
  headers: IncomingHttpHeaders;
}

export interface StubProxy extends AsyncDisposable {
  readonly url: string;
  readonly requests: readonly ProxyRequest[];
  /** Of TCP, so far. */
  readonly connections: number;
}

export interface StubOptions {
  /** The port on loopback that everything leads to. */
  port: number;
  /** The status of every response instead of a connection; 0: never responds, -1: closes the connection. */
  status?: number;
  tls?: { key: string; cert: string };
}

export async function startStubProxy({ port, status, tls }: StubOptions): Promise<StubProxy> {
  const requests: ProxyRequest[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = tls === undefined ? createServer() : createTlsServer(tls);
  server.on('connection', (socket: Socket) => {
    connections++;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => {});
  });
  server.on('request', (incoming, outgoing) => {
    requests.push({ line: `${incoming.method} ${incoming.url}`, headers: incoming.headers });
    if (status === 0) return;
    if (status === -1) return void incoming.socket.destroy();
    if (status !== undefined) return void outgoing.writeHead(status).end('<h1>the page of the proxy</h1>');
    const { pathname, search } = new URL(incoming.url ?? '');
    const { 'proxy-authorization': _, ...headers } = incoming.headers;
    const onward = request(
      { host: '127.0.0.1', port, path: pathname + search, method: incoming.method, headers },
      (response) => {
        outgoing.writeHead(response.statusCode ?? 0, response.headers);
        response.pipe(outgoing);
      },
    );
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  });
  server.on('connect', (incoming, socket) => {
    requests.push({ line: `CONNECT ${incoming.url}`, headers: incoming.headers });
    socket.on('error', () => {});
    if (status === 0) return;
    if (status === -1) return void socket.destroy();
    if (status !== undefined) return void socket.end(`HTTP/1.1 ${status} Rejected\r\ncontent-length: 4\r\n\r\npage`);
    const onward = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      socket.pipe(onward).pipe(socket);
    });
    sockets.add(onward);
    onward.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address !== 'object') throw new Error('the proxy has no port');
  return {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${address.port}`,
    requests,
    get connections() {
      return connections;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
