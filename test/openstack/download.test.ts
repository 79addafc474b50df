import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../../src/lib/clock.ts';
import { ConnectionFailed } from '../../src/openstack/errors.ts';
import type { HttpDownload } from '../../src/openstack/exchange.ts';
import { createTransport } from '../../src/openstack/transport.ts';
import { createVirtualClock } from '../clock.ts';
import { reply, serve } from './stub.ts';

function transportOf(t: TestContext, clock = systemClock) {
  const tls = { ca: undefined, verify: true, client: undefined };
  const transport = createTransport({ tls, userAgent: 'glance-image-operator/test', clock });
  t.after(() => transport.close());
  return transport;
}

const from = (url: string, some: Partial<HttpDownload> = {}): HttpDownload => ({
  purpose: { service: 'image', operation: 'download' },
  url,
  headers: {},
  requestId: 'req-of-the-call',
  responseDeadlineMs: 10_000,
  idleMs: 10_000,
  signal: new AbortController().signal,
  ...some,
});

async function streamOf(t: TestContext, download: HttpDownload, clock = systemClock) {
  const answer = await transportOf(t, clock).download(download);
  assert.ok('accepted' in answer);
  return answer.accepted;
}

async function lengthOf(body: AsyncIterable<Uint8Array>): Promise<number> {
  let length = 0;
  for await (const chunk of body) length += chunk.byteLength;
  return length;
}

test('a download returns the head first and then every byte, with and without a content-length', async (t) => {
  for (const announced of [{ 'content-length': '2000000' }, {}]) {
    const url = await serve(t, (request, response) => {
      assert.equal(request.headers['x-auth-token'], 'a-token');
      response.writeHead(200, { 'x-openstack-request-id': 'req-1', 'content-md5': 'm', ...announced });
      response.end(Buffer.alloc(2_000_000));
    });
    const { status, headers, requestId, body } = await streamOf(
      t,
      from(url, { headers: { 'x-auth-token': 'a-token' } }),
    );
    assert.deepEqual([status, headers['content-md5'], requestId], [200, 'm', 'req-1']);
    assert.equal(await lengthOf(body), 2_000_000);
  }
});

test('a response without content is a stream without bytes', async (t) => {
  const url = await serve(t, (_, response) => response.writeHead(204).end());
  const { status, body } = await streamOf(t, from(url));
  assert.deepEqual([status, await lengthOf(body)], [204, 0]);
});

test('a response without content may stay unread', async (t) => {
  const url = await serve(t, (_, response) => response.writeHead(204).end());
  const { body } = await streamOf(t, from(url));
  await body[Symbol.asyncIterator]().return?.();
  // The error of an ended stream comes a turn later.
  await new Promise(setImmediate);
});

test('a rejected download returns the error message of the server', async (t) => {
  const url = await serve(t, (_, response) => reply(response, 404, { message: 'no such image' }));
  const answer = await transportOf(t).download(from(url));
  assert.ok('rejected' in answer);
  assert.deepEqual([answer.rejected.status, answer.rejected.text], [404, '{"message":"no such image"}']);
});

test('a truncated body throws ConnectionFailed and never ends normally', async (t) => {
  for (const announced of [{ 'content-length': '1000' }, {}]) {
    const url = await serve(t, (_, response) => {
      response.writeHead(200, announced);
      response.write('x'.repeat(10), () => response.destroy());
    });
    const { body } = await streamOf(t, from(url));
    await assert.rejects(lengthOf(body), (error) => error instanceof ConnectionFailed && error.origin === url);
  }
});

test('a server that stops sending is timed out, and a slow reader is not', async (t) => {
  const silent = await serve(t, (_, response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('x');
  });
  const { body } = await streamOf(t, from(silent, { idleMs: 50 }));
  await assert.rejects(lengthOf(body), /no response from .*: the next piece of GET http:.* took longer than 0.05 s/);

  const steady = await serve(t, (_, response) => response.end(Buffer.alloc(1_000_000)));
  const clock = createVirtualClock();
  let length = 0;
  for await (const chunk of (await streamOf(t, from(steady, { idleMs: 50 }), clock)).body) {
    if (length === 0) await clock.advance(60_000);
    length += chunk.byteLength;
  }
  assert.equal(length, 1_000_000);
});

test('a server that sends no head is timed out', async (t) => {
  const url = await serve(t, () => {});
  await assert.rejects(transportOf(t).download(from(url, { responseDeadlineMs: 50 })), /took longer than 0.05 s/);
});

test('the connection is closed when the body is returned, read in part, or aborted', async (t) => {
  const reason = new Error('suspended');
  const ends: [name: string, end: (body: AsyncIterable<Uint8Array>, abort: () => void) => Promise<void>][] = [
    ['returned unread', async (body) => void (await body[Symbol.asyncIterator]().return?.())],
    [
      'left',
      async (body) => {
        for await (const _ of body) break;
      },
    ],
    [
      'aborted',
      async (body, abort) => {
        abort();
        await assert.rejects(lengthOf(body), reason);
      },
    ],
    ['aborted unread', async (_, abort) => abort()],
  ];
  for (const [, end] of ends) {
    const closed = Promise.withResolvers<void>();
    const url = await serve(t, (_, response) => {
      response.on('close', closed.resolve);
      response.writeHead(200, { 'content-length': '1000000000' });
      response.write(Buffer.alloc(100_000));
    });
    const controller = new AbortController();
    const { body } = await streamOf(t, from(url, { signal: controller.signal }));
    await end(body, () => controller.abort(reason));
    await closed.promise;
  }
});

test('a download follows a redirect within its origin, and sends its token nowhere else', async (t) => {
  const elsewhere = await serve(t, () => assert.fail('the token went to another host'));
  const url = await serve(t, (request, response) => {
    if (request.url === '/there') return void response.end('bytes');
    response.writeHead(302, { location: request.url === '/away' ? elsewhere : '/there' }).end();
  });
  assert.equal(await lengthOf((await streamOf(t, from(`${url}/here`))).body), 5);
  const answer = await transportOf(t).download(from(`${url}/away`));
  assert.ok('rejected' in answer && answer.rejected.status === 302);
});

test("an abort before the head rejects with the signal's reason", async (t) => {
  const controller = new AbortController();
  const reason = new Error('deleted');
  const url = await serve(t, () => controller.abort(reason));
  await assert.rejects(transportOf(t).download(from(url, { signal: controller.signal })), reason);
});

test('many downloads do not delay small calls', async (t) => {
  const url = await serve(t, (request, response) => {
    if (request.url === '/small') return reply(response, 200, {});
    response.writeHead(200);
    response.write('x');
  });
  const transport = transportOf(t);
  const controller = new AbortController();
  const { signal } = controller;
  await Promise.all(Array.from({ length: 40 }, () => transport.download(from(url, { signal }))));
  const requestId = 'req-small';
  const small = {
    purpose: { service: 'image', operation: 'read' } as const,
    method: 'GET',
    url: `${url}/small`,
    headers: {},
    requestId,
    deadlineMs: 5000,
    limit: { bytes: 100, values: 1000 },
    signal,
  };
  assert.equal((await transport.request(small)).status, 200);
  controller.abort();
});
