/** What a proxy responds to CONNECT, by proxies that send any bytes in any pieces. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createTlsServer } from 'node:https';
import { connect, createServer, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { createEgressPolicy } from '../../src/http/egress.ts';
import { type Certificates, makeCertificates } from '../env/certificates.ts';
import { failureOf, peers } from './peers.ts';

let certificates: Certificates;
let server: ReturnType<typeof createTlsServer>;
let port: number;

before(async () => {
  certificates = await makeCertificates();
  server = createTlsServer(certificates.good, (_, response) => response.end('{"the":"file"}'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = portOf(server.address());
});
after(() => {
  server.closeAllConnections();
  server.close();
});

function portOf(address: ReturnType<typeof server.address>): number {
  assert.ok(address !== null && typeof address === 'object');
  return address.port;
}

const responses: [what: string, head: string, problem: string | undefined][] = [
  ['103 first', 'HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n', undefined],
  [
    '100 and 102 first',
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.0 200 OK\r\n\r\n',
    undefined,
  ],
  ['a status without a reason', 'HTTP/1.1 200\r\n\r\n', undefined],
  ['lines that end with LF only', 'HTTP/1.0 200 Connection established\n\n', undefined],
  ['a length that means nothing there', 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n', undefined],
  [
    '103 and then 403',
    'HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 403 Forbidden\r\n\r\n',
    'responded with 403 Forbidden',
  ],
  [
    '103 and then 502',
    'HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 502 Bad Gateway\r\n\r\n',
    'responded with 502 Bad Gateway',
  ],
  ['101', 'HTTP/1.1 101 Switching Protocols\r\n\r\n', 'responded with 101 Switching Protocols'],
  [
    '103 without end',
    'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(2000),
    'sent an invalid response: its header is longer than 16 KiB',
  ],
  [
    'a header without end',
    `HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(5000)}`,
    'sent an invalid response: its header is longer than 16 KiB',
  ],
  ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n', 'sent an invalid response: it is not HTTP/1.1'],
  ['HTTP/2', 'HTTP/2 200\r\n\r\n', 'sent an invalid response: it is not HTTP/1.1'],
  ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n', 'sent an invalid response: it is not HTTP/1.1'],
  ['nothing', '', 'does not respond: it closed the connection'],
  ['103 and nothing more', 'HTTP/1.1 103 Early Hints\r\n\r\n', 'does not respond: it closed the connection'],
];

for (const [what, head, problem] of responses)
  for (const step of [1, 7, 100_000])
    test(`a proxy that responds to CONNECT with ${what}, in pieces of ${step} bytes, ${problem === undefined ? 'opens a tunnel' : 'fails, and is named'}`, async () => {
      await using proxy = await startRawProxy(head, step, problem === undefined ? port : undefined);
      const rules = { allow: ['localhost'], deny: [], proxy: { url: proxy.url, except: [] } };
      await using peer = peers.source(createEgressPolicy(rules), certificates.ca);
      const got = peer.get('https://localhost/a');
      if (problem === undefined) return assert.equal(await got, '200 {"the":"file"}');
      const error = await failureOf(got);
      assert.ok(error.message.includes(`the proxy ${proxy.url} `) && error.message.includes(problem), error.message);
    });

/** Sends `head` to each client, `step` bytes at a time, and then connects it to port `to`, or closes the connection. */
async function startRawProxy(head: string, step: number, to: number | undefined) {
  const sockets = new Set<Socket>();
  const raw = createServer(async (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    await once(socket, 'data');
    for (let at = 0; at < head.length && !socket.destroyed; at += step) {
      socket.write(head.slice(at, at + step));
      if (at < 50 * step) await setImmediate();
    }
    if (to === undefined) return void socket.end();
    const onward = connect(to, '127.0.0.1');
    sockets.add(onward);
    onward.on('error', () => socket.destroy());
    socket.pipe(onward).pipe(socket);
  });
  raw.listen(0, '127.0.0.1');
  await once(raw, 'listening');
  return {
    url: `http://127.0.0.1:${portOf(raw.address())}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => raw.close(resolve));
    },
  };
}
