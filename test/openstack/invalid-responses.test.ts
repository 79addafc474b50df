/** Responses of a cloud that are not valid HTTP, from a plain socket. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { systemClock } from '../../src/lib/clock.ts';
import { ConnectionFailed } from '../../src/openstack/errors.ts';
import { createTransport } from '../../src/openstack/transport.ts';

for (const [what, response, problem] of [
  ['is not HTTP', 'SSH-2.0-OpenSSH\r\n', 'Response does not match the HTTP/1.1 protocol .*'],
  ['has too many headers', `HTTP/1.1 200 OK\r\na: ${'b'.repeat(20_000)}\r\n\r\n`, 'Headers Overflow Error'],
  ['has no status', 'HTTP/1.1 000 OK\r\n\r\n', 'its status is less than 100'],
  [
    'switches to another protocol',
    'HTTP/1.1 101 X\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n',
    'it sent a status 100 or 101 .*',
  ],
  ['switches to no protocol', 'HTTP/1.1 101 X\r\n\r\n', 'it sent a status 100 or 101 .*'],
] as const)
  test(`a response that ${what} is reported as an invalid one, not as a missing one`, async (t) => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end(response, 'latin1'));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    const url = `http://127.0.0.1:${address.port}`;
    const transport = createTransport({
      tls: { ca: undefined, verify: true, client: undefined },
      userAgent: 'test',
      clock: systemClock,
    });
    t.after(() => transport.close());
    const purpose = { service: 'image', operation: 'read' } as const;
    const limit = { bytes: 1000, values: 1000 };
    const { signal } = new AbortController();
    const request = { purpose, method: 'GET', url, headers: {}, requestId: 'req-1', deadlineMs: 10_000, limit, signal };
    await assert.rejects(transport.request(request), (error) => {
      assert.ok(error instanceof ConnectionFailed);
      assert.match(error.message, new RegExp(`^invalid HTTP response from ${url}: ${problem}$`));
      return true;
    });
  });
