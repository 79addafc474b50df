import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createEgressPolicy, EgressRefused } from '../../src/http/egress.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { errorCode } from '../../src/lib/errors.ts';
import { BodyFailed, ConnectionFailed, MalformedResponse } from '../../src/openstack/errors.ts';
import type { Exchange, HttpRequest, HttpUpload } from '../../src/openstack/exchange.ts';
import { createTransport, type TransportOptions } from '../../src/openstack/transport.ts';
import { createVirtualClock } from '../clock.ts';
import { bodyOf, reply, serve } from './stub.ts';

function transportOf(t: TestContext, options: Partial<TransportOptions> = {}) {
  const transport = createTransport({
    tls: { ca: undefined, verify: true, client: undefined },
    userAgent: 'glance-image-operator/test',
    clock: systemClock,
    ...options,
  });
  t.after(() => transport.close());
  return transport;
}

const read = { service: 'image', operation: 'read' } as const;
const get = (url: string, some: Partial<HttpRequest> = {}): HttpRequest => ({
  purpose: read,
  method: 'GET',
  url,
  headers: {},
  requestId: 'req-of-the-call',
  deadlineMs: 10_000,
  limit: { bytes: 1000, values: 1000 },
  signal: new AbortController().signal,
  ...some,
});

const put = (url: string, body: AsyncIterable<Uint8Array>, some: Partial<HttpUpload> = {}): HttpUpload => ({
  purpose: { service: 'image', operation: 'upload' },
  method: 'PUT',
  url,
  headers: { 'content-type': 'application/octet-stream' },
  requestId: 'req-of-the-call',
  body,
  size: undefined,
  responseDeadlineMs: 10_000,
  signal: new AbortController().signal,
  ...some,
});

async function* bytes(...sizes: number[]) {
  for (const size of sizes) yield Buffer.alloc(size, 1);
}

test('a response of any status is a result with its request id, and the request has the id of its call', async (t) => {
  const url = await serve(t, (request, response) => {
    assert.equal(request.headers['user-agent'], 'glance-image-operator/test');
    assert.equal(request.headers.accept, 'application/json');
    assert.equal(request.headers['x-openstack-request-id'], 'req-of-the-call');
    reply(response, 503, { message: 'busy' }, { 'x-openstack-request-id': 'req-1', 'retry-after': '3' });
  });
  const transport = transportOf(t);
  const { status, requestId, text, headers } = await transport.request(get(url));
  assert.deepEqual({ status, requestId, text }, { status: 503, requestId: 'req-1', text: '{"message":"busy"}' });
  assert.equal(headers['retry-after'], '3');
});

test('the error for an unreachable server names the server and the cause', async (t) => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  server.close();
  await assert.rejects(transportOf(t).request(get(`http://127.0.0.1:${address.port}/v3?secret=x`)), (error) => {
    assert.ok(error instanceof ConnectionFailed);
    assert.equal(error.message, `no response from ${error.origin}: connect ECONNREFUSED 127.0.0.1:${address.port}`);
    return true;
  });
});

test('a server that never responds, or never ends its response, is timed out at the deadline', async (t) => {
  const url = await serve(t, (request, response) => {
    if (request.url === '/slow') response.write('{');
  });
  for (const path of ['/silent', '/slow']) {
    await assert.rejects(transportOf(t).request(get(url + path, { deadlineMs: 50 })), (error) => {
      assert.ok(error instanceof ConnectionFailed);
      assert.match(error.message, /took longer than 0.05 s/);
      return true;
    });
  }
});

test("an abort rejects with the signal's reason, not with a failure of the server", async (t) => {
  const controller = new AbortController();
  const reason = new Error('the resource was deleted');
  const url = await serve(t, () => controller.abort(reason));
  await assert.rejects(transportOf(t).request(get(url, { signal: controller.signal })), reason);
});

test('a response above the limit is an error, and an error response is truncated', async (t) => {
  const url = await serve(t, (request, response) => {
    response.writeHead(request.url === '/big' ? 200 : 500);
    response.end('x'.repeat(200_000));
  });
  await assert.rejects(transportOf(t).request(get(`${url}/big`)), MalformedResponse);
  const rejected = await transportOf(t).request(get(`${url}/rejected`));
  assert.equal(rejected.text.length, 1000);
});

test('a truncated response is a ConnectionFailed', async (t) => {
  const url = await serve(t, (_, response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('{"images": [');
    setImmediate(() => response.destroy());
  });
  await assert.rejects(transportOf(t).request(get(url)), ConnectionFailed);
});

test('a change follows the redirects that keep its method and body, on the same host, and a stream follows none', async (t) => {
  const elsewhere = await serve(t, () => assert.fail('the token went to another host'));
  const url = await serve(t, async (request, response) => {
    const body = String(await bodyOf(request));
    const [, status = '', where] = (request.url ?? '').split('/');
    if (status === 'there') return reply(response, 200, { method: request.method, body });
    response.writeHead(Number(status), { location: where === 'away' ? `${elsewhere}/there` : '/there' }).end();
  });
  const transport = transportOf(t);
  for (const [method, body] of [
    ['PATCH', '[]'],
    ['POST', '{}'],
    ['DELETE', undefined],
  ] as const) {
    const ask = async (path: string) =>
      transport.request(get(`${url}${path}`, { method, ...(body === undefined ? {} : { body }) }));
    for (const status of [307, 308]) {
      assert.deepEqual(JSON.parse((await ask(`/${status}`)).text), { method, body: body ?? '' });
      assert.equal((await ask(`/${status}/away`)).status, status);
    }
    for (const status of [301, 302, 303]) assert.equal((await ask(`/${status}`)).status, status);
  }
  assert.equal((await transport.upload(put(`${url}/307`, bytes(1)), () => {})).status, 307);
});

test('a GET follows redirects on the same host only, a POST follows no 302, and loops end', async (t) => {
  const elsewhere = await serve(t, () => assert.fail('the token went to another host'));
  const url = await serve(t, (request, response) => {
    const { url: path = '' } = request;
    if (path === '/there') return reply(response, 200, { path, method: request.method });
    response.writeHead(302, { location: { '/away': elsewhere, '/circle': '/circle' }[path] ?? '/there' });
    response.end();
  });
  const transport = transportOf(t);
  assert.equal((await transport.request(get(`${url}/here`))).status, 200);
  assert.equal((await transport.request(get(`${url}/away`))).status, 302);
  assert.equal((await transport.request(get(`${url}/circle`))).status, 302);
  assert.equal((await transport.request(get(`${url}/here`, { method: 'POST', body: '{}' }))).status, 302);
});

test('the error of the egress policy is thrown unchanged', async (t) => {
  const url = await serve(t, () => assert.fail('it was reached'));
  const policy = createEgressPolicy({ allow: [], deny: [] });
  const transport = transportOf(t, { egress: policy });
  await assert.rejects(transport.request(get(url)), EgressRefused);
  await assert.rejects(
    transport.upload(put(url, bytes(1)), () => {}),
    EgressRefused,
  );
});

test('an upload has a content-length if its size is known and is chunked otherwise, and all bytes arrive', async (t) => {
  const url = await serve(t, async (request, response) => {
    const { length } = await bodyOf(request);
    reply(response, 200, {
      length,
      announced: request.headers['content-length'] ?? request.headers['transfer-encoding'],
    });
  });
  const transport = transportOf(t);
  const known = await transport.upload(put(url, bytes(10, 0, 2_000_000, 5), { size: 2_000_015 }), () => {});
  assert.deepEqual(JSON.parse(known.text), { length: 2_000_015, announced: '2000015' });
  const unknown = await transport.upload(put(url, bytes(70_000, 3)), () => {});
  assert.deepEqual(JSON.parse(unknown.text), { length: 70_003, announced: 'chunked' });
});

const wrong: [name: string, sizes: number[], size: number | undefined, code: string][] = [
  ['shorter than announced', [5, 4], 10, 'SourceTooShort'],
  ['longer than announced', [5, 5, 1], 10, 'SourceTooLong'],
  ['longer in one piece', [11], 10, 'SourceTooLong'],
  ['empty', [], undefined, 'EmptySource'],
  ['empty as announced', [], 0, 'EmptySource'],
];
for (const [name, sizes, size, code] of wrong) {
  test(`a body that is ${name} never reaches the server as a complete request`, async (t) => {
    const arrived = Promise.withResolvers<boolean>();
    const url = await serve(t, (request) => {
      request.resume();
      request.on('end', () => arrived.resolve(true));
      request.on('error', () => arrived.resolve(false));
    });
    await assert.rejects(
      transportOf(t).upload(put(url, bytes(...sizes), { size }), () => {}),
      (error) => error instanceof BodyFailed && errorCode(error.cause) === code,
    );
    // Nothing at all is sent of a body that is over before its first byte could leave.
    if (sizes.length > 1) assert.equal(await arrived.promise, false);
  });
}

test('an upload throws the error of its source, and the request stays incomplete', async (t) => {
  const arrived = Promise.withResolvers<boolean>();
  const url = await serve(t, (request) => {
    request.resume();
    request.on('end', () => arrived.resolve(true));
    request.on('error', () => arrived.resolve(false));
  });
  const mismatch = new Error('the digest is wrong');
  async function* source() {
    yield* bytes(100_000, 100_000);
    throw mismatch;
  }
  await assert.rejects(
    transportOf(t).upload(put(url, source()), () => {}),
    new BodyFailed(mismatch),
  );
  assert.equal(await arrived.promise, false);
});

test('a response before the end of the body is the result, and a hanging source is released', async (t) => {
  const url = await serve(t, (request, response) => {
    request.once('data', () => reply(response, 409, { message: 'no' }, { connection: 'close' }));
  });
  const transport = transportOf(t);
  let released = false;
  async function* source() {
    try {
      yield* bytes(100_000, 100_000);
      await new Promise<never>((_, reject) => controller.signal.addEventListener('abort', reject));
    } finally {
      released = true;
    }
  }
  const controller = new AbortController();
  const response = await transport.upload(put(url, source()), () => {});
  assert.equal(response.status, 409);
  controller.abort();
  await new Promise(setImmediate);
  assert.ok(released);
});

test('an early error response is not lost even if the server resets the connection after it', async (t) => {
  const url = await serve(t, (request, response) => {
    request.socket.pause();
    response.writeHead(413, { 'content-type': 'text/plain' });
    response.end('quota', () => request.socket.destroy());
  });
  const transport = transportOf(t);
  for (let round = 0; round < 5; round++) {
    const body = bytes(...Array.from({ length: 64 }, () => 1024 * 1024));
    const response = await transport.upload(put(url, body, { size: 64 * 1024 * 1024 }), () => {});
    assert.deepEqual([response.status, response.text], [413, 'quota']);
  }
});

test('a success response before the end of the body is a MalformedResponse', async (t) => {
  const url = await serve(t, (request, response) => {
    request.once('data', () => reply(response, 200, {}));
  });
  async function* source() {
    yield* bytes(100_000, 100_000);
    await new Promise<never>(() => {});
  }
  await assert.rejects(
    transportOf(t).upload(put(url, source()), () => {}),
    MalformedResponse,
  );
});

test('a server that stops reading or does not respond is timed out, and a slow source is not', async (t) => {
  const url = await serve(t, (request) => {
    if (request.url === '/silent') request.resume();
  });
  async function* endless() {
    for (;;) yield Buffer.alloc(1_000_000);
  }
  const transport = transportOf(t);
  for (const [path, source] of [
    ['/deaf', endless()],
    ['/silent', bytes(10)],
  ] as const) {
    await assert.rejects(
      transport.upload(put(url + path, source, { responseDeadlineMs: 50 }), () => {}),
      /took longer than 0.05 s/,
    );
  }
  const patient = await serve(t, async (request, response) => {
    await bodyOf(request);
    reply(response, 200, {});
  });
  const clock = createVirtualClock();
  async function* slow() {
    // The last piece is held back.
    yield* bytes(10, 10);
    await clock.advance(60_000);
    yield* bytes(10);
  }
  const sent = put(patient, slow(), { size: 30, responseDeadlineMs: 50 });
  assert.equal((await transportOf(t, { clock }).upload(sent, () => {})).status, 200);
});

test("an aborted upload ends at once with the signal's reason", async (t) => {
  const controller = new AbortController();
  const reason = new Error('suspended');
  const url = await serve(t, (request) => {
    request.once('data', () => controller.abort(reason));
    request.on('error', () => {});
  });
  async function* hanging() {
    yield* bytes(100_000, 100_000);
    await new Promise<never>(() => {});
  }
  await assert.rejects(
    transportOf(t).upload(put(url, hanging(), { signal: controller.signal }), () => {}),
    reason,
  );
});

test('many uploads do not delay small calls', async (t) => {
  const url = await serve(t, (request, response) => {
    if (request.method === 'GET') reply(response, 200, {});
  });
  const transport = transportOf(t);
  const controller = new AbortController();
  const uploads = Array.from({ length: 40 }, () =>
    transport.upload(put(url, bytes(10), { signal: controller.signal }), () => {}).catch(() => 'ended'),
  );
  assert.equal((await transport.request(get(url))).status, 200);
  controller.abort();
  await Promise.all(uploads);
});

test('a body is read only after the connection is established', async (t) => {
  const transport = transportOf(t);
  let begun = false;
  const closed = createServer();
  closed.listen(0, '127.0.0.1');
  await once(closed, 'listening');
  const address = closed.address();
  assert.ok(address !== null && typeof address === 'object');
  closed.close();
  let asked = false;
  async function* source() {
    asked = true;
    yield* bytes(1);
  }
  const upload = transport.upload(put(`http://127.0.0.1:${address.port}`, source()), () => {
    begun = true;
  });
  await assert.rejects(upload, ConnectionFailed);
  assert.deepEqual({ begun, asked }, { begun: false, asked: false });
});

test('each exchange is observed with its status, or as an error without one', async (t) => {
  const seen: Omit<Exchange, 'durationMs'>[] = [];
  const transport = transportOf(t, {
    observe: ({ durationMs, ...exchange }) => {
      assert.ok(durationMs >= 0);
      seen.push(exchange);
    },
  });
  const url = await serve(t, async (request, response) => {
    await bodyOf(request);
    if (request.url === '/cut') request.socket.destroy();
    else reply(response, request.method === 'PUT' ? 204 : 503, {});
  });
  await transport.request(get(`${url}/busy`));
  await transport.upload(put(`${url}/file`, bytes(10)), () => {});
  await transport.download({ ...get(`${url}/data`), responseDeadlineMs: 10_000, idleMs: 10_000 });
  await assert.rejects(transport.request(get(`${url}/cut`)), ConnectionFailed);
  assert.deepEqual(seen, [
    { purpose: read, code: '503' },
    { purpose: { service: 'image', operation: 'upload' }, code: '204' },
    { purpose: read, code: '503' },
    { purpose: read, code: '<error>' },
  ]);
});
