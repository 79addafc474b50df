import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createFence, fenceOf, LeadershipLost } from '../../src/http/fence.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createTransport as createCloudTransport } from '../../src/openstack/transport.ts';
import { createVirtualClock } from '../clock.ts';
import { connect, json, never, startServer } from './server.ts';

function lost(error: unknown): boolean {
  return error instanceof LeadershipLost;
}

test('a fence lets writes pass until its time has come, in every thread, and none once it is closed', () => {
  let now = 1000;
  const clock = { ...createVirtualClock(), monotonic: () => now };
  const fence = createFence(clock);
  const elsewhere = fenceOf(fence.memory, clock);
  assert.throws(fence.mayWrite, lost, 'nothing was granted yet');
  fence.openUntil(11_000);
  now = 10_999;
  fence.mayWrite();
  elsewhere();
  now = 11_000;
  assert.throws(fence.mayWrite, lost);
  assert.throws(elsewhere, lost);
  fence.openUntil(20_000);
  elsewhere();
  fence.close();
  assert.throws(elsewhere, lost);
});

test('reads of the API server pass a closed fence, and other requests do not', async (t) => {
  const server = await startServer(t, json(200, { ok: true }));
  let open = false;
  const mayWrite = () => {
    if (!open) throw new LeadershipLost('the test says so');
  };
  const transport = await connect(t, server, { mayWrite });
  assert.deepEqual(await transport.request({ method: 'GET', path: '/a' }, never), { ok: true });
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE'] as const) {
    await assert.rejects(transport.request({ method, path: '/a', body: {}, idempotent: true }, never), lost);
  }
  open = true;
  await transport.request({ method: 'PATCH', path: '/b', body: {} }, never);
  assert.deepEqual(
    server.seen.map(({ method, path }) => `${method} ${path}`),
    ['GET /a', 'PATCH /b'],
  );
});

test('a write that waited for a connection when the fence closed is not sent', async (t) => {
  const held: (() => void)[] = [];
  const server = await startServer(t, (response, request) => void held.push(() => json(200, {})(response, request)));
  let open = true;
  const mayWrite = () => {
    if (!open) throw new LeadershipLost('the test says so');
  };
  const transport = await connect(t, server, { mayWrite, clock: systemClock });
  const connections = 16;
  const first = Array.from({ length: connections }, () => transport.request({ method: 'GET', path: '/slow' }, never));
  while (held.length < connections) await new Promise((resolve) => setImmediate(resolve));
  const waiting = transport.request({ method: 'PATCH', path: '/late', body: {} }, never);
  const refused = assert.rejects(waiting, lost);
  await new Promise((resolve) => setImmediate(resolve));
  open = false;
  for (const answer of held) answer();
  await Promise.all([...first, refused]);
  assert.ok(!server.seen.some(({ path }) => path === '/late'));
});

async function startSink(t: TestContext) {
  const seen = { bytes: 0, complete: 0 };
  const server = createServer(async (request, response) => {
    try {
      for await (const chunk of request) seen.bytes += chunk.length;
      seen.complete++;
      response.writeHead(204).end();
    } catch {
      // The body broke off.
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { seen, url: `http://127.0.0.1:${port}/v2/images/1/file` };
}

test('an upload whose fence closes sends no further piece, so that the server never has all of it', async (t) => {
  const { seen, url } = await startSink(t);
  let open = true;
  const mayWrite = () => {
    if (!open) throw new LeadershipLost('the test says so');
  };
  const tls = { ca: undefined, verify: true, client: undefined };
  const transport = createCloudTransport({ tls, userAgent: 'test', clock: systemClock, mayWrite });
  t.after(() => transport.close());
  async function* body() {
    yield Buffer.alloc(1000);
    yield Buffer.alloc(1000);
    while (seen.bytes < 1000) await new Promise((resolve) => setImmediate(resolve));
    // As after a SIGSTOP: the rest of the source is there, and nothing has been aborted.
    open = false;
    yield Buffer.alloc(1000);
  }
  const upload = {
    purpose: { service: 'image', operation: 'upload' } as const,
    method: 'PUT',
    url,
    headers: {},
    requestId: 'req-1',
    body: body(),
    size: 3000,
    responseDeadlineMs: 5000,
    signal: never,
  };
  await assert.rejects(
    transport.upload(upload, () => {}),
    lost,
  );
  assert.equal(seen.complete, 0);
  assert.ok(seen.bytes <= 1000, `${seen.bytes} bytes`);
});

test('reads of a cloud pass a closed fence, and other requests do not', async (t) => {
  const { seen, url } = await startSink(t);
  const mayWrite = () => {
    throw new LeadershipLost('the test says so');
  };
  const tls = { ca: undefined, verify: true, client: undefined };
  const transport = createCloudTransport({ tls, userAgent: 'test', clock: systemClock, mayWrite });
  t.after(() => transport.close());
  const call = (method: string) =>
    transport.request({
      purpose: { service: 'image', operation: 'read' },
      method,
      url,
      headers: {},
      requestId: 'r',
      deadlineMs: 5000,
      limit: { bytes: 10, values: 1000 },
      signal: never,
    });
  assert.equal((await call('GET')).status, 204);
  for (const method of ['POST', 'PATCH', 'DELETE', 'PUT']) await assert.rejects(call(method), lost);
  assert.equal(seen.complete, 1);
});
