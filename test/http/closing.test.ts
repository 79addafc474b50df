import assert from 'node:assert/strict';
import { getEventListeners, once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { buildConnector } from 'undici';
import { createEgressPolicy, type EgressPolicy } from '../../src/http/egress.ts';
import { createTrust, trustingConnector } from '../../src/http/trust.ts';
import { neverAborted } from '../../src/lib/abort.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createTransport } from '../../src/openstack/transport.ts';
import { createSourceTransport } from '../../src/source/transport.ts';

interface Peer {
  get(url: string): Promise<unknown>;
  close(): Promise<void>;
}

/** All transports that carry bytes of users. */
const transports: Readonly<Record<string, (policy: EgressPolicy) => Peer>> = {
  source(policy) {
    const transport = createSourceTransport(policy);
    return { get: (url) => transport.get(new URL(url), {}, neverAborted()), close: () => transport.close() };
  },
  'part of a source'(policy) {
    const transport = createSourceTransport(policy);
    const kept = transport.keep?.('pipelined') ?? assert.fail();
    return { get: (url) => kept.get(new URL(url), {}, neverAborted()), close: () => transport.close() };
  },
  cloud(policy) {
    const tls = { ca: undefined, verify: true, client: undefined };
    const transport = createTransport({ tls, egress: policy, userAgent: 'test', clock: systemClock });
    const request = {
      purpose: { service: 'image', operation: 'read' },
      method: 'GET',
      headers: {},
      requestId: 'req-1',
      deadlineMs: 600_000,
      limit: { bytes: 1000, values: 1000 },
      signal: neverAborted(),
    } as const;
    return { get: (url) => transport.request({ ...request, url }), close: () => transport.close() };
  },
};

/** Sends these responses, one for each piece that it receives, and then nothing. `reached`: it has received one more. */
async function startSilent(
  t: TestContext,
  responses: readonly string[],
): Promise<{ url: string; reached: Promise<void> }> {
  const sockets = new Set<Socket>();
  const { promise: reached, resolve } = Promise.withResolvers<void>();
  const server = createServer((socket) => {
    sockets.add(socket.unref());
    const left = [...responses];
    socket
      .on('error', () => {})
      .on('data', () => {
        const response = left.shift();
        if (response === undefined) resolve();
        else socket.write(response);
      });
  });
  server.listen(0, '127.0.0.1').unref();
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  assert(address !== null && typeof address === 'object');
  return { url: `http://127.0.0.1:${address.port}`, reached };
}

const connections = () => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;

const servers: readonly [what: string, isProxy: boolean, responses: readonly string[]][] = [
  ['a server that does not begin TLS', false, []],
  ['a proxy that opens no tunnel', true, []],
  ['a server that does not begin TLS behind a proxy', true, ['HTTP/1.1 200 OK\r\n\r\n']],
];
for (const [name, open] of Object.entries(transports))
  for (const [what, isProxy, responses] of servers)
    test(`the connection of a ${name} to ${what} does not outlive its transport, so that nothing waits for it`, async (t) => {
      const before = connections();
      const { url, reached } = await startSilent(t, responses);
      const proxy = isProxy ? { proxy: { url, except: [] } } : {};
      const peer = open(createEgressPolicy({ allow: ['127.0.0.1', 'images.example.com'], deny: [], ...proxy }));
      const ended = assert.rejects(peer.get(isProxy ? 'https://192.0.2.1/' : url.replace('http', 'https')));
      await reached;
      assert.equal(connections(), before + 1);
      await peer.close();
      await ended;
      for (let turn = 0; turn < 20 && connections() > before; turn++) await new Promise(setImmediate);
      assert.equal(connections(), before);
    });

test('a transport does not keep what would close a connection that was closed before', async (t) => {
  const { url } = await startSilent(t, []);
  const { signal } = new AbortController();
  const connect = trustingConnector(createTrust(), { replacesSystem: false }, () => buildConnector({}), signal);
  const { hostname, port } = new URL(url);
  for (let count = 0; count < 3; count++) {
    const { promise, resolve, reject } = Promise.withResolvers<Socket>();
    connect({ hostname, port, protocol: 'http:' }, (...[error, socket]) =>
      error === null ? resolve(socket) : reject(error),
    );
    const socket = await promise;
    assert.equal(getEventListeners(signal, 'abort').length, 1);
    await once(socket.destroy(), 'close');
  }
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});
